//! `known_hosts` and `authorized_key`: whom SSH trusts, and whom it lets in.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::base::replace::{self, Keep};
use crate::base::{Done, Fail, Result, ResultExt, Task, accounts, fail, files, map};
use crate::spec::{Arg, ModuleSpec, flag, path, text};

const ARGS: &[Arg] = &[
    text("name").required().aka(&["host"]),
    text("key"),
    path("path").or("~/.ssh/known_hosts"),
    flag("hash_host", false),
    text("state").or("present").one_of(&["absent", "present"]),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("known_hosts", ARGS, known);

const AUTHORIZED_ARGS: &[Arg] = &[
    text("user").required(),
    text("key").required(),
    path("path"),
    flag("manage_dir", true),
    text("state").or("present").one_of(&["absent", "present"]),
    text("key_options"),
    flag("exclusive", false),
    text("comment"),
    flag("validate_certs", true),
    flag("follow", false),
];

pub(crate) const AUTHORIZED: ModuleSpec = ModuleSpec::new("authorized_key", AUTHORIZED_ARGS, authorized);

/// Marker, names, type and key of a line.
fn fields(line: &str) -> Option<(Option<&str>, &str, &str, &str)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [marker, host, kind, key, ..] if marker.starts_with('@') => Some((Some(*marker), *host, *kind, *key)),
        [host, kind, key, ..] => Some((None, *host, *kind, *key)),
        _ => None,
    }
}

fn known(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let host = args.or_empty("name").to_lowercase();
    let (path, state) = (args.or_empty("path").to_owned(), args.or_empty("state").to_owned());
    let keygen = task.need("ssh-keygen")?.to_string_lossy().into_owned();
    let mut key = args.filled("key").map(str::to_owned);
    if key.is_none() && state != "absent" {
        return fail("No key specified when adding a host");
    }
    if host.starts_with('-') {
        return fail(format!("{host} cannot be the name of a host"));
    }
    if let Some(text) = &mut key {
        let Some((marker, _, kind, bytes)) = fields(text) else {
            return fail(format!("Host parameter does not match hashed host field in supplied key: {text}"));
        };
        if args.flag("hash_host") {
            let marker = marker.map(|marker| format!("{marker} ")).unwrap_or_default();
            *text = format!("{marker}{} {kind} {bytes}", hashed(&host)?);
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        check_key(task, &keygen, &host, text)?;
    }
    let (found, replace, line) = search(task, &keygen, &host, key.as_deref(), &path)?;
    let before = files::text(Path::new(&path)).unwrap_or_default();
    let mut lines: Vec<String> = before.split_inclusive('\n').map(str::to_owned).collect();
    if (replace || state == "absent")
        && let Some(at) = line.filter(|at| (1..=lines.len()).contains(at))
    {
        lines.remove(at - 1);
    }
    if state == "present" && (replace || line.is_none()) {
        lines.extend(key.clone());
    }
    let after = lines.concat();
    let header = if files::exists(Path::new(&path)) { path.as_str() } else { "/dev/null" };
    let diff = json!({"before_header": header, "after_header": path, "before": before, "after": after});
    let mut result = map([
        ("name", args.or_empty("name").into()),
        ("key", args.get("key").cloned().unwrap_or_default()),
        ("path", path.clone().into()),
        ("hash_host", args.flag("hash_host").into()),
        ("state", state.clone().into()),
        ("changed", false.into()),
        ("diff", diff),
    ]);
    if state == "absent" && line.is_none() && key.is_some() {
        return Ok(result);
    }
    let change = replace || (state == "present") != found;
    if task.check() {
        let diff = result.remove("diff").unwrap_or_default();
        return Ok(map([("changed", change.into()), ("diff", diff)]));
    }
    if found && key.is_none() && state == "absent" {
        let ran = task.run([keygen.as_str(), "-R", &host, "-f", &path])?;
        if ran.rc != 0 {
            return fail(ran.err_text().trim_end());
        }
        result.insert("changed".into(), true.into());
    } else if change {
        replace::with_bytes(Path::new(&path), after.as_bytes(), &Keep::Old, false)
            .or_fail(|| format!("Task failed: Module failed: Failed to write to file '{path}'"))?;
        result.insert("changed".into(), true.into());
    }
    Ok(result)
}

/// The host's name as OpenSSH hashes it.
fn hashed(host: &str) -> Result<String> {
    let mut salt = [0u8; 20];
    getrandom::fill(&mut salt).map_err(|error| Fail::new(error.to_string()))?;
    let sum = hmac_sha1(&salt, host.as_bytes());
    Ok(format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(sum)))
}

/// HMAC with SHA-1 and a key shorter than its block.
fn hmac_sha1(key: &[u8], text: &[u8]) -> Vec<u8> {
    use sha1::Digest;
    let padded = |with: u8| -> Vec<u8> {
        let mut block = [0u8; 64];
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        block.iter().map(|byte| byte ^ with).collect()
    };
    let inner = sha1::Sha1::new().chain_update(padded(0x36)).chain_update(text).finalize();
    sha1::Sha1::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

/// The key must be one for this host.
fn check_key(task: &Task<'_>, keygen: &str, host: &str, key: &str) -> Result<()> {
    let trial = tempfile::Builder::new().tempfile_in(&task.ctx.temp).or_fail(|| "known_hosts".into())?;
    std::fs::write(trial.path(), key).or_fail(|| "known_hosts".into())?;
    let path = files::shown(trial.path());
    let ran = task.run([keygen, "-F", host, "-f", &path])?;
    if ran.out.is_empty() {
        return fail("Host parameter does not match hashed host field in supplied key");
    }
    Ok(())
}

/// Whether the host is there, whether its key is another one, and on which line one of this type stands.
fn search(
    task: &Task<'_>,
    keygen: &str,
    host: &str,
    key: Option<&str>,
    path: &str,
) -> Result<(bool, bool, Option<usize>)> {
    if !files::exists(Path::new(path)) {
        return Ok((false, false, None));
    }
    let ran = task.run([keygen, "-F", host, "-f", path])?;
    let out = ran.out_text();
    if ran.out.is_empty() && ran.err.is_empty() && matches!(ran.rc, 0 | 1) {
        return Ok((false, false, None));
    }
    if ran.rc != 0 {
        return fail(format!(
            "ssh-keygen failed (rc={}, stdout='{out}',stderr='{}')",
            ran.rc,
            ran.err_text()
        ));
    }
    let Some((marker, mut name, kind, bytes)) = key.and_then(fields) else { return Ok((true, false, None)) };
    let mut number = None;
    for line in out.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            number =
                line.rsplit("line ").next().and_then(|digits| digits.split_whitespace().next()?.parse().ok());
            continue;
        }
        let Some(found) = fields(line) else { continue };
        if found.0.is_none() && name.starts_with("|1|") && found.1.starts_with("|1|") {
            name = found.1;
        }
        if found == (marker, name, kind, bytes) {
            return Ok((true, false, number));
        }
        if found.0.is_none() && found.2 == kind {
            return Ok((true, true, number));
        }
    }
    Ok((true, true, None))
}

/// Names of key types, which tell where options end.
fn is_kind(word: &str) -> bool {
    word.starts_with("ssh-")
        || word.starts_with("ecdsa-sha2-")
        || word.starts_with("sk-ssh-")
        || word.starts_with("sk-ecdsa-")
}

/// One line of `authorized_keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    options: String,
    kind: String,
    key: String,
    comment: String,
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        // Options may hold blanks between quotes.
        let (mut quoted, mut words, mut word) = (false, Vec::new(), String::new());
        for c in line.chars() {
            quoted ^= c == '"';
            if c.is_whitespace() && !quoted {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            } else {
                word.push(c);
            }
        }
        words.push(word);
        let at = words.iter().position(|word| is_kind(word)).filter(|at| *at <= 1)?;
        let key = words.get(at + 1).filter(|key| !key.is_empty())?.clone();
        Some(Self {
            options: if at == 1 { words.first()?.clone() } else { String::new() },
            kind: words.get(at)?.clone(),
            key,
            comment: words.get(at + 2..).unwrap_or_default().join(" "),
        })
    }

    fn text(&self) -> String {
        let parts = [&self.options, &self.kind, &self.key, &self.comment];
        parts.iter().filter(|part| !part.is_empty()).map(|part| part.as_str()).collect::<Vec<_>>().join(" ")
    }
}

fn authorized(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let name = args.or_empty("user").to_owned();
    let user = accounts::user_named(&task.ctx.root, &name);
    if user.is_none() && !args.has("path") {
        return fail(format!("Failed to lookup user {name}: 'getpwnam(): name not found: {name}'"));
    }
    let path = match (args.filled("path"), &user) {
        (Some(path), _) => path.to_owned(),
        (None, Some(user)) => format!("{}/.ssh/authorized_keys", user.home.trim_end_matches('/')),
        (None, None) => String::new(),
    };
    let wanted = keys(task)?;
    let state = args.or_empty("state");
    let before = files::text(Path::new(&path)).unwrap_or_default();
    let mut lines: Vec<String> = before.lines().map(str::to_owned).collect();
    for key in &wanted {
        let place = lines.iter().position(|line| {
            Line::parse(line).is_some_and(|have| have.key == key.key && have.kind == key.kind)
        });
        match (state, place) {
            ("present", Some(at)) => {
                let Some(line) = lines.get_mut(at) else { continue };
                let mut new = key.clone();
                if let Some(have) = Line::parse(line) {
                    if args.text("key_options").is_none() && key.options.is_empty() {
                        new.options = have.options.clone();
                    }
                    if args.text("comment").is_none() && key.comment.is_empty() {
                        new.comment = have.comment.clone();
                    }
                    if new != have {
                        *line = new.text();
                    }
                }
            }
            ("present", None) => lines.push(key.text()),
            (_, Some(at)) => drop(lines.remove(at)),
            _ => {}
        }
    }
    if args.flag("exclusive") && state == "present" {
        lines
            .retain(|line| Line::parse(line).is_none_or(|have| wanted.iter().any(|key| key.key == have.key)));
    }
    let after = if lines.is_empty() { String::new() } else { lines.join("\n") + "\n" };
    let changed = after != before && !(before.is_empty() && lines.is_empty());
    if changed && !task.check() {
        write(task, &path, &after, user.as_ref())?;
    }
    let mut result = map([
        ("changed", changed.into()),
        ("user", name.into()),
        ("key", args.or_empty("key").into()),
        ("keyfile", path.clone().into()),
        ("state", state.into()),
        ("exclusive", args.flag("exclusive").into()),
        ("path", args.get("path").cloned().unwrap_or_default()),
        ("manage_dir", args.flag("manage_dir").into()),
        ("key_options", args.get("key_options").cloned().unwrap_or_default()),
        ("comment", args.get("comment").cloned().unwrap_or_default()),
        ("validate_certs", args.flag("validate_certs").into()),
        ("follow", args.flag("follow").into()),
    ]);
    if task.call.diff && changed {
        let diff: Value =
            json!({"before_header": path, "after_header": path, "before": before, "after": after});
        result.insert("diff".into(), diff);
    }
    Ok(result)
}

/// The keys that the task gives: text, or what an address answers.
fn keys(task: &Task<'_>) -> Result<Vec<Line>> {
    let mut text = task.args.or_empty("key").to_owned();
    if text.starts_with("http://") || text.starts_with("https://") {
        let ask = super::url::request(task, &text, "GET", None);
        let mut answer = crate::base::http::ask(&ask)
            .map_err(|why| Fail::new(format!("Error getting key from: {text}: {why}")))?;
        if answer.status != 200 {
            return fail(format!("Error getting key from: {text}"));
        }
        text = String::from_utf8_lossy(&answer.whole(1 << 20).or_fail(|| text.clone())?).into_owned();
    }
    let mut out = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let Some(mut key) = Line::parse(line) else { return fail(format!("invalid key specified: {line}")) };
        if let Some(options) = task.args.text("key_options") {
            key.options = options.to_owned();
        }
        if let Some(comment) = task.args.text("comment") {
            key.comment = comment.to_owned();
        }
        out.push(key);
    }
    Ok(out)
}

/// Replaces the file; its folder is made for the user when it is not there.
fn write(task: &Task<'_>, path: &str, text: &str, user: Option<&accounts::User>) -> Result<()> {
    let broken = || format!("Failed to write {path}");
    let folder = Path::new(files::dirname(path)).to_owned();
    let new = !files::exists(Path::new(path));
    if task.args.flag("manage_dir") {
        if !folder.exists() {
            std::fs::DirBuilder::new().mode(0o700).create(&folder).or_fail(broken)?;
        }
        if let Some(user) = user {
            let meta = std::fs::metadata(&folder).or_fail(broken)?;
            if (meta.uid(), meta.gid()) != (user.uid, user.gid) {
                chown(&folder, Some(user.uid), Some(user.gid)).or_fail(broken)?;
            }
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).or_fail(broken)?;
        }
    }
    let target =
        if task.args.flag("follow") { files::realpath(Path::new(path)) } else { Path::new(path).to_owned() };
    replace::with_bytes(&target, text.as_bytes(), &Keep::Old, false).or_fail(broken)?;
    if new {
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).or_fail(broken)?;
    }
    if let Some(user) = user {
        chown(&target, Some(user.uid), Some(user.gid)).or_fail(broken)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_with_blanks_between_quotes_are_one_word() {
        let line = Line::parse("command=\"a b\",no-pty ssh-ed25519 AAAA me at home").unwrap();
        assert_eq!(
            (line.options.as_str(), line.key.as_str(), line.comment.as_str()),
            ("command=\"a b\",no-pty", "AAAA", "me at home")
        );
        assert_eq!(Line::parse("# ssh-rsa AAAA"), None);
        assert_eq!(Line::parse("nonsense"), None);
    }

    #[test]
    fn hashed_names_are_those_of_openssh() {
        // RFC 2202, case 2.
        let sum = hmac_sha1(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(crate::base::hash::hex(&sum), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    }
}
