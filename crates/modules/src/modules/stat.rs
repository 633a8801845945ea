//! `stat`: what the host knows of a file.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::base::{Done, Fail, Task, accounts, attributes, files, hash, map, python, status};
use crate::spec::{Arg, ModuleSpec, flag, path, text};

const ARGS: &[Arg] = &[
    path("path").required().aka(&["dest", "name"]),
    flag("follow", false),
    flag("get_checksum", true),
    flag("get_mime", true).aka(&["mime", "mime_type", "mime-type"]),
    flag("get_attributes", true).aka(&["attr", "attributes"]),
    text("checksum_algorithm")
        .or("sha1")
        .one_of(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
        .aka(&["checksum", "checksum_algo"]),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("stat", ARGS, run);

fn run(task: &mut Task<'_>) -> Done {
    let name = task.args.or_empty("path").to_owned();
    let path = Path::new(&name);
    let meta =
        if task.args.flag("follow") { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
    let meta = match meta {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(map([("changed", false.into()), ("stat", json!({"exists": false}))]));
        }
        Err(error) => {
            return Err(Fail::caused(python::strerror(&error), &error));
        }
    };
    let mut stat = facts(&name, &meta);
    let mut tell = |key: &str, value: Value| stat.insert(key.to_owned(), value);
    tell("readable", files::readable(path).into());
    tell("writeable", files::writable(path).into());
    tell("executable", files::executable(path).into());
    if meta.is_symlink() {
        tell("lnk_source", files::shown(&files::realpath(path)).into());
        let target = std::fs::read_link(path).unwrap_or_default();
        tell("lnk_target", files::shown(&target).into());
    }
    if let Some(user) = accounts::user_with(&task.ctx.root, meta.uid()) {
        tell("pw_name", user.name.into());
    }
    if let Some(group) = accounts::group_with(&task.ctx.root, meta.gid()) {
        tell("gr_name", group.name.into());
    }
    if meta.is_file() && files::readable(path) && task.args.flag("get_checksum") {
        let algorithm = task.args.or_empty("checksum_algorithm");
        if let Ok(Some(digest)) = hash::file(path, algorithm) {
            tell("checksum", digest.into());
        }
    }
    if task.args.flag("get_mime") {
        let (mime, charset) = mime(task, path).unwrap_or_else(|| ("unknown".into(), "unknown".into()));
        tell("mimetype", mime.into());
        tell("charset", charset.into());
    }
    if task.args.flag("get_attributes") {
        let read = attributes::read_flags(task, path, true);
        tell("version", read.version.into());
        tell("attributes", flag_names(&read.flags).into());
        tell("attr_flags", read.flags.into());
    }
    Ok(map([("changed", false.into()), ("stat", stat.into())]))
}

fn facts(name: &str, meta: &Metadata) -> Map<String, Value> {
    let mut facts = status::facts(meta);
    facts.extend(map([
        ("exists", true.into()),
        ("path", name.into()),
        ("blocks", meta.blocks().into()),
        ("block_size", meta.blksize().into()),
        ("device_type", meta.rdev().into()),
    ]));
    facts
}

fn mime(task: &Task<'_>, path: &Path) -> Option<(String, String)> {
    let file = task.find("file")?;
    let ran = task
        .run([file.as_os_str(), "--mime-type".as_ref(), "--mime-encoding".as_ref(), path.as_os_str()])
        .ok()?;
    let said = ran.out_text();
    let (mime, charset) = said.rsplit_once(':').filter(|_| ran.rc == 0)?.1.split_once(';')?;
    Some((mime.trim().to_owned(), charset.split_once('=')?.1.trim().to_owned()))
}

/// Words for the letters of `lsattr`.
fn flag_names(flags: &str) -> Vec<&'static str> {
    flags
        .chars()
        .filter_map(|flag| {
            Some(match flag {
                'A' => "noatime",
                'a' => "append",
                'c' => "compressed",
                'C' => "nocow",
                'd' => "nodump",
                'D' => "dirsync",
                'e' => "extents",
                'E' => "encrypted",
                'h' => "blocksize",
                'i' => "immutable",
                'I' => "indexed",
                'j' => "journalled",
                'N' => "inline",
                's' => "zero",
                'S' => "synchronous",
                't' => "notail",
                'T' => "blockroot",
                'u' => "undelete",
                'X' => "compressedraw",
                'Z' => "compresseddirty",
                _ => return None,
            })
        })
        .collect()
}
