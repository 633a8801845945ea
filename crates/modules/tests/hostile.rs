//! What strangers send: archives, endless output, patterns without end, unknown modules.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use wellkept_modules::{Call, Context, NoFiles, known, run};

fn go(folder: &Path, module: &str, args: Value) -> Map<String, Value> {
    let Value::Object(args) = args else { panic!() };
    #[expect(clippy::disallowed_methods, reason = "the host's clock")]
    let mut ctx = Context::new(folder.to_owned(), std::time::SystemTime::now);
    run(
        &Call { module: module.to_owned(), args, timeout_seconds: Some(60), ..Call::default() },
        &NoFiles,
        &mut ctx,
    )
}

/// A tar with these entries; a name with a target is a link.
fn tar(entries: &[(&str, Option<&str>, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, target, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(if target.is_some() { 0 } else { content.len() as u64 });
        if let Some(target) = target {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_link_name(target).unwrap();
        }
        header.set_cksum();
        builder.append(&header, if target.is_some() { &b""[..] } else { content.as_bytes() }).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn an_archive_writes_nothing_outside_its_folder() {
    for entries in [
        vec![("../escaped", None, "x")],
        vec![("a/../../escaped", None, "x")],
        vec![("out", Some(".."), ""), ("out/escaped", None, "x")],
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dest")).unwrap();
        fs::write(folder.path().join("a.tar"), tar(&entries)).unwrap();
        let args = json!({"src": folder.path().join("a.tar"), "dest": folder.path().join("dest"), "remote_src": true});
        let result = go(folder.path(), "unarchive", args);
        assert!(result["msg"].as_str().unwrap().contains("leads out of"), "{entries:?}: {result:?}");
        assert!(!folder.path().join("escaped").exists(), "{entries:?}");
    }
}

#[test]
fn an_absolute_name_lands_below_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("dest")).unwrap();
    fs::write(folder.path().join("a.tar"), tar(&[("/etc/x", None, "x")])).unwrap();
    let args =
        json!({"src": folder.path().join("a.tar"), "dest": folder.path().join("dest"), "remote_src": true});
    assert_eq!(go(folder.path(), "unarchive", args)["changed"], json!(true));
    assert_eq!(fs::read(folder.path().join("dest/etc/x")).unwrap(), b"x");
}

/// A zip with one stored entry.
fn zip(name: &str, content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    let (length, sum) = ((content.len() as u32).to_le_bytes(), crc.sum().to_le_bytes());
    let name_length = (name.len() as u16).to_le_bytes();
    let common = |head: &[u8]| {
        [head, &[0; 2], &[0; 2], &[0, 0, 0x21, 0], &sum, &length, &length, &name_length, &[0, 0]].concat()
    };
    let local = [common(b"PK\x03\x04\x14\x00"), name.as_bytes().to_vec(), content.to_vec()].concat();
    let list = [
        common(b"PK\x01\x02\x14\x03\x14\x00"),
        vec![0; 6],
        (0o100_640u32 << 16).to_le_bytes().to_vec(),
        vec![0; 4],
        name.as_bytes().to_vec(),
    ]
    .concat();
    let end = [
        b"PK\x05\x06\0\0\0\0\x01\0\x01\0".to_vec(),
        (list.len() as u32).to_le_bytes().to_vec(),
        (local.len() as u32).to_le_bytes().to_vec(),
        vec![0, 0],
    ]
    .concat();
    [local, list, end].concat()
}

#[test]
fn a_zip_is_unpacked_once_and_does_not_escape_either() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("dest")).unwrap();
    let args =
        json!({"src": folder.path().join("a.zip"), "dest": folder.path().join("dest"), "remote_src": true});
    fs::write(folder.path().join("a.zip"), zip("d/f", b"hello")).unwrap();
    let first = go(folder.path(), "unarchive", args.clone());
    assert_eq!((&first["changed"], &first["handler"]), (&json!(true), &json!("ZipArchive")), "{first:?}");
    assert_eq!(fs::read(folder.path().join("dest/d/f")).unwrap(), b"hello");
    assert_eq!(go(folder.path(), "unarchive", args.clone())["changed"], json!(false));
    fs::write(folder.path().join("a.zip"), zip("../escaped", b"x")).unwrap();
    assert!(go(folder.path(), "unarchive", args.clone())["msg"].as_str().unwrap().contains("leads out of"));
    let whole = zip("f", b"hello");
    // The last two bytes say that no comment follows; without them nothing is missing.
    for cut in 0..whole.len() - 2 {
        fs::write(folder.path().join("a.zip"), &whole[..cut]).unwrap();
        assert_eq!(go(folder.path(), "unarchive", args.clone())["failed"], json!(true), "cut at {cut}");
    }
}

#[test]
fn endless_output_and_endless_patterns_end() {
    let folder = tempfile::tempdir().unwrap();
    let said = go(folder.path(), "command", json!({"argv": ["yes"]}));
    assert!(said["msg"].as_str().unwrap().contains("64 MiB"), "{said:?}");
    let file = folder.path().join("f");
    fs::write(&file, "a".repeat(64)).unwrap();
    let args = json!({"path": file, "regexp": r"^(a|a)*(?=b)\1?$", "line": "x"});
    assert_eq!(go(folder.path(), "lineinfile", args)["failed"], json!(true));
    assert_eq!(fs::read_to_string(file).unwrap(), "a".repeat(64));
}

#[test]
fn names_that_look_like_options_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (module, args) in [
        ("git", json!({"repo": "--upload-pack=touch x", "dest": folder.path().join("d")})),
        ("git", json!({"repo": "https://e.org/x", "version": "--exec=x", "dest": folder.path().join("d")})),
        ("user", json!({"name": "-x"})),
        ("user", json!({"name": "a:b"})),
        ("modprobe", json!({"name": "-r"})),
        ("sysctl", json!({"name": "-w", "value": "1"})),
        ("hostname", json!({"name": "a b"})),
    ] {
        let result = go(folder.path(), module, args.clone());
        assert_eq!(result["failed"], json!(true), "{module} {args}: {result:?}");
    }
}

#[test]
fn every_module_names_what_it_accepts_and_an_unknown_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for spec in known() {
        let result = go(folder.path(), spec.name, json!({"no_such_argument": 1}));
        assert_eq!(result["failed"], json!(true), "{}", spec.name);
        let mut names: Vec<&str> = spec.all_args().map(|arg| arg.name).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(before, names.len(), "{} names an argument twice", spec.name);
    }
    assert!(
        go(folder.path(), "nope", json!({}))["msg"]
            .as_str()
            .unwrap()
            .starts_with("The module nope is not one of: command")
    );
}
