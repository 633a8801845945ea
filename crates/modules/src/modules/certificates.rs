//! `openssl_privatekey`, `openssl_csr` and `x509_certificate`, by the host's `openssl`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::base::attributes::{Sides, Wanted};
use crate::base::program::Ran;
use crate::base::replace::{self, Keep};
use crate::base::{Done, Fail, Result, ResultExt, Task, edit, fail, files, map};
use crate::spec::{Arg, ModuleSpec, flag, int, list, path, text};

const KEY: &[Arg] = &[
    path("path").required(),
    text("state").or("present").one_of(&["absent", "present"]),
    int("size").or_int(4096),
    text("type").or("RSA").one_of(&["DSA", "ECC", "Ed25519", "Ed448", "RSA", "X25519", "X448"]),
    text("curve").one_of(&["secp224r1", "secp256k1", "secp256r1", "secp384r1", "secp521r1"]),
    flag("force", false),
    flag("backup", false),
    flag("return_content", false),
];
const CSR: &[Arg] = &[
    path("path").required(),
    text("state").or("present").one_of(&["absent", "present"]),
    path("privatekey_path"),
    text("common_name").aka(&["CN", "commonName"]),
    text("country_name").aka(&["C", "countryName"]),
    text("state_or_province_name").aka(&["ST", "stateOrProvinceName"]),
    text("locality_name").aka(&["L", "localityName"]),
    text("organization_name").aka(&["O", "organizationName"]),
    text("organizational_unit_name").aka(&["OU", "organizationalUnitName"]),
    text("email_address").aka(&["E", "emailAddress"]),
    list("subject_alt_name").aka(&["subjectAltName"]),
    text("digest").or("sha256"),
    flag("force", false),
    flag("backup", false),
];
const CERTIFICATE: &[Arg] = &[
    path("path").required(),
    text("state").or("present").one_of(&["absent", "present"]),
    text("provider").one_of(&["ownca", "selfsigned"]),
    path("csr_path"),
    path("privatekey_path"),
    path("ownca_path"),
    path("ownca_privatekey_path"),
    text("selfsigned_not_after").or("+3650d").aka(&["selfsigned_notAfter"]),
    text("ownca_not_after").or("+3650d"),
    text("selfsigned_digest").or("sha256"),
    text("ownca_digest").or("sha256"),
    flag("force", false),
    flag("backup", false),
];

pub(crate) const ALL: [ModuleSpec; 3] = [
    ModuleSpec::new("openssl_privatekey", KEY, key).with_file_args(),
    ModuleSpec::new("openssl_csr", CSR, csr).with_file_args(),
    ModuleSpec::new("x509_certificate", CERTIFICATE, certificate).with_file_args(),
];

fn openssl(task: &Task<'_>, words: &[&str]) -> Result<Ran> {
    let program = task.need("openssl")?.to_string_lossy().into_owned();
    task.run_plain(std::iter::once(program.as_str()).chain(words.iter().copied()))
}

fn must(task: &Task<'_>, words: &[&str]) -> Result<Vec<u8>> {
    let ran = openssl(task, words)?;
    if ran.rc != 0 {
        return fail(format!(
            "openssl {}: {}",
            words.first().copied().unwrap_or_default(),
            ran.err_text().trim()
        ));
    }
    Ok(ran.out)
}

/// Writes what was made (a key with the mode 0600), removes what is not wanted; whether that changed something.
fn settle(
    task: &Task<'_>,
    right: bool,
    make: &dyn Fn() -> Result<Vec<u8>>,
    mode: u32,
) -> Result<(bool, Option<String>)> {
    let file = task.args.or_empty("path").to_owned();
    let path = Path::new(&file);
    let there = files::exists(path);
    let mut backup = None;
    if task.args.text("state") == Some("absent") {
        if there && !task.check() {
            backup = edit::backup(task, &file)?;
            fs::remove_file(path).or_fail(|| file.clone())?;
        }
        return Ok((there, backup));
    }
    if !files::folder_of(path).is_dir() {
        return fail(format!(
            "The directory {} does not exist or the file is not a directory",
            files::dirname(&file)
        ));
    }
    let mut changed = !right || !there || task.args.flag("force");
    if changed && !task.check() {
        let bytes = make()?;
        backup = edit::backup(task, &file)?;
        replace::with_bytes(path, &bytes, &Keep::Old, task.args.flag("unsafe_writes"))
            .or_fail(|| file.clone())?;
        if !there {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).or_fail(|| file.clone())?;
        }
    }
    changed |= Wanted::of(task).apply(task, path, &mut Sides::default())?;
    Ok((changed, backup))
}

fn told(changed: bool, backup: Option<String>, name: &str, path: &str) -> serde_json::Map<String, Value> {
    let mut result = map([("changed", changed.into()), (name, path.into())]);
    if let Some(backup) = backup {
        result.insert("backup_file".into(), backup.into());
    }
    result
}

fn key(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let (file, kind, size) = (
        args.or_empty("path").to_owned(),
        args.or_empty("type").to_owned(),
        args.int("size").unwrap_or(4096),
    );
    let curve = match args.text("curve") {
        Some("secp256r1") => "prime256v1",
        Some(other) => other,
        None => "",
    };
    if kind == "ECC" && curve.is_empty() {
        return fail("type is ECC but all of the following are missing: curve");
    }
    let text = if files::exists(Path::new(&file)) {
        openssl(task, &["pkey", "-in", &file, "-noout", "-text"])?
    } else {
        Ran::default()
    };
    let said = text.out_text();
    let right = text.rc == 0
        && match kind.as_str() {
            "RSA" => said.contains(&format!("({size} bit")) && said.contains("modulus"),
            "ECC" => said.contains(&format!("ASN1 OID: {curve}")),
            "DSA" => said.contains(&format!("({size} bit")) && said.contains("DSA"),
            other => said.to_uppercase().starts_with(&other.to_uppercase()),
        };
    let bits = format!("rsa_keygen_bits:{size}");
    let group = format!("ec_paramgen_curve:{curve}");
    let words: Vec<&str> = match kind.as_str() {
        "RSA" => vec!["genpkey", "-algorithm", "RSA", "-pkeyopt", &bits],
        "ECC" => vec!["genpkey", "-algorithm", "EC", "-pkeyopt", &group],
        "DSA" => return fail("keys of the type DSA are no longer made; choose RSA, ECC or Ed25519"),
        other => vec!["genpkey", "-algorithm", other],
    };
    let (changed, backup) = settle(task, right, &|| must(task, &words), 0o600)?;
    let mut result = told(changed, backup, "filename", &file);
    result.insert("type".into(), kind.clone().into());
    result.insert("size".into(), if kind == "RSA" { size.into() } else { Value::Null });
    if args.flag("return_content") && args.text("state") == Some("present") {
        result.insert("privatekey".into(), files::text(Path::new(&file)).ok().into());
    }
    Ok(result)
}

/// The parts of a name, in the order in which certificates write them.
const SUBJECT: &[(&str, &str)] = &[
    ("country_name", "C"),
    ("state_or_province_name", "ST"),
    ("locality_name", "L"),
    ("organization_name", "O"),
    ("organizational_unit_name", "OU"),
    ("common_name", "CN"),
    ("email_address", "emailAddress"),
];

fn csr(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let file = args.or_empty("path").to_owned();
    let key = args.or_empty("privatekey_path").to_owned();
    let mut subject = String::new();
    for (name, short) in SUBJECT {
        if let Some(value) = args.filled(name) {
            if value.contains('\n') {
                return fail(format!("{name} must be one line"));
            }
            subject.push_str(&format!("/{short}={}", value.replace('\\', "\\\\").replace('/', "\\/")));
        }
    }
    let names = args.list("subject_alt_name");
    if names.iter().any(|name| name.contains(['\n', ';', '$'])) {
        return fail("subject_alt_name must hold names such as DNS:example.org or IP:192.0.2.1");
    }
    let mut right = false;
    if files::exists(Path::new(&file)) {
        let text = openssl(
            task,
            &["req", "-in", &file, "-noout", "-subject", "-nameopt", "compat,sep_multiline,utf8", "-text"],
        )?
        .out_text();
        let has_name = SUBJECT
            .iter()
            .filter_map(|(name, short)| Some((short, args.filled(name)?)))
            .all(|(short, value)| text.lines().any(|line| line.trim() == format!("{short}={value}")));
        let alt = text
            .lines()
            .skip_while(|line| !line.contains("Subject Alternative Name"))
            .nth(1)
            .unwrap_or_default()
            .trim()
            .to_owned();
        let mut have: Vec<String> = alt
            .split(',')
            .map(|name| name.trim().replace("IP Address:", "IP:"))
            .filter(|name| !name.is_empty())
            .collect();
        let mut want = names.clone();
        have.sort();
        want.sort();
        let public = |words: &[&str]| -> Result<Vec<u8>> { Ok(openssl(task, words)?.out) };
        let same_key = public(&["req", "-in", &file, "-noout", "-pubkey"])?
            == public(&["pkey", "-in", &key, "-pubout"])?;
        right = has_name && have == want && same_key;
    }
    let extension = format!("subjectAltName={}", names.join(","));
    let digest = format!("-{}", args.or_empty("digest"));
    let subject = if subject.is_empty() { "/".to_owned() } else { subject };
    let mut words =
        vec!["req", "-new", "-utf8", "-key", key.as_str(), "-subj", subject.as_str(), digest.as_str()];
    if !names.is_empty() {
        words.extend(["-addext", extension.as_str()]);
    }
    let (changed, backup) = settle(task, right, &|| must(task, &words), 0o644)?;
    let mut result = told(changed, backup, "filename", &file);
    result.insert("privatekey".into(), key.into());
    result.insert("subjectAltName".into(), names.into());
    Ok(result)
}

/// Days of `+365d`, `+52w` or `+1y`.
fn days(text: &str) -> Result<String> {
    let number =
        |unit: char, by: u64| text.strip_prefix('+')?.strip_suffix(unit)?.parse::<u64>().ok().map(|n| n * by);
    match number('d', 1).or_else(|| number('w', 7)) {
        Some(days) => Ok(days.to_string()),
        None => fail(format!("{text} is not a time such as +3650d or +52w")),
    }
}

fn certificate(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let file = args.or_empty("path").to_owned();
    if args.text("state") == Some("absent") {
        let (changed, backup) = settle(task, true, &|| Ok(Vec::new()), 0o644)?;
        return Ok(told(changed, backup, "filename", &file));
    }
    let own = match args.text("provider") {
        Some("ownca") => true,
        Some("selfsigned") => false,
        _ => return fail("provider is wanted: selfsigned or ownca"),
    };
    let (csr, key) = (args.or_empty("csr_path").to_owned(), args.or_empty("privatekey_path").to_owned());
    if csr.is_empty() || !files::exists(Path::new(&csr)) {
        return Err(Fail::new(format!("The certificate signing request file {csr} does not exist")));
    }
    let (ca, ca_key) =
        (args.or_empty("ownca_path").to_owned(), args.or_empty("ownca_privatekey_path").to_owned());
    let mut right = false;
    if files::exists(Path::new(&file)) {
        let same = openssl(task, &["x509", "-in", &file, "-noout", "-pubkey"])?.out
            == openssl(task, &["req", "-in", &csr, "-noout", "-pubkey"])?.out;
        let issuer = if own { ca.as_str() } else { file.as_str() };
        let signed =
            openssl(task, &["verify", "-partial_chain", "-no_check_time", "-CAfile", issuer, &file])?.rc == 0;
        let subject = |kind: &str, from: &str| -> Result<String> {
            let said =
                openssl(task, &[kind, "-in", from, "-noout", "-subject", "-nameopt", "RFC2253"])?.out_text();
            Ok(said.trim().trim_start_matches("subject=").trim().to_owned())
        };
        right = same && signed && subject("x509", &file)? == subject("req", &csr)?;
    }
    let lasting = days(args.or_empty(if own { "ownca_not_after" } else { "selfsigned_not_after" }))?;
    let digest = format!("-{}", args.or_empty(if own { "ownca_digest" } else { "selfsigned_digest" }));
    let mut words = vec![
        "x509",
        "-req",
        "-in",
        csr.as_str(),
        "-days",
        lasting.as_str(),
        digest.as_str(),
        "-copy_extensions",
        "copy",
    ];
    if own {
        words.extend(["-CA", ca.as_str(), "-CAkey", ca_key.as_str()]);
    } else {
        words.extend(["-signkey", key.as_str()]);
    }
    let (changed, backup) = settle(task, right, &|| must(task, &words), 0o644)?;
    let mut result = told(changed, backup, "filename", &file);
    result.insert("csr".into(), csr.into());
    result.insert("privatekey".into(), key.into());
    Ok(result)
}

#[cfg(test)]
mod tests {
    use crate::{Call, Context, NoFiles, run};
    use serde_json::{Map, Value, json};

    fn go(folder: &std::path::Path, module: &str, args: Value) -> Map<String, Value> {
        let Value::Object(args) = args else { panic!() };
        let mut ctx = Context::new(folder.to_owned(), || std::time::UNIX_EPOCH);
        run(&Call { module: module.into(), args, ..Call::default() }, &NoFiles, &mut ctx)
    }

    #[test]
    fn key_request_and_certificate_are_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let steps = [
            ("openssl_privatekey", json!({"path": at("k"), "type": "ECC", "curve": "secp256r1"})),
            (
                "openssl_csr",
                json!({"path": at("r"), "privatekey_path": at("k"), "common_name": "a/b, c", "organization_name": "Ö", "subject_alt_name": ["DNS:example.org", "IP:192.0.2.1"]}),
            ),
            (
                "x509_certificate",
                json!({"path": at("c"), "csr_path": at("r"), "privatekey_path": at("k"), "provider": "selfsigned"}),
            ),
        ];
        for (module, args) in &steps {
            let first = go(folder.path(), module, args.clone());
            assert_eq!(first["changed"], json!(true), "{module} {first:?}");
            let again = go(folder.path(), module, args.clone());
            assert_eq!(again["changed"], json!(false), "{module} {again:?}");
        }
        let other = json!({"path": at("r"), "privatekey_path": at("k"), "common_name": "other", "subject_alt_name": ["DNS:example.org"]});
        assert_eq!(go(folder.path(), "openssl_csr", other)["changed"], json!(true));
        assert_eq!(
            go(folder.path(), "openssl_privatekey", json!({"path": at("k"), "state": "absent"}))["changed"],
            json!(true)
        );
        assert!(!at("k").exists());
    }
}
