//! `get_url`: a file from a server.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::url;
use crate::base::attributes::{Sides, Wanted};
use crate::base::pattern::{Flags, Pattern};
use crate::base::replace::{self, Keep};
use crate::base::{Done, Fail, Result, ResultExt, Task, edit, fail, files, hash, http, map};
use crate::spec::{Arg, ModuleSpec, flag, int, list, map as map_arg, path, text};

const ARGS: &[Arg] = &[
    text("url").required(),
    flag("force", false),
    text("http_agent").or("ansible-httpget"),
    flag("use_proxy", true),
    flag("validate_certs", true),
    text("url_username").aka(&["username"]),
    text("url_password").secret().aka(&["password"]),
    flag("force_basic_auth", false),
    path("client_cert"),
    path("client_key"),
    flag("use_gssapi", false),
    path("dest").required(),
    flag("backup", false),
    text("checksum").or(""),
    int("timeout").or_int(10),
    map_arg("headers"),
    path("tmp_dest"),
    list("unredirected_headers").or_list(&[]),
    flag("decompress", true),
    list("ciphers"),
    flag("use_netrc", true),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("get_url", ARGS, run).with_file_args();

/// Longest file of checksums, bytes.
const SUMS_MAX: u64 = 16 << 20;

fn run(task: &mut Task<'_>) -> Done {
    let address = task.args.or_empty("url").to_owned();
    let mut dest = task.args.or_empty("dest").to_owned();
    let mut result = map([
        ("changed", false.into()),
        ("checksum_dest", Value::Null),
        ("checksum_src", Value::Null),
        ("dest", dest.clone().into()),
        ("elapsed", 0.into()),
        ("url", url::masked(&address).into()),
    ]);
    let sum = checksum(task, &address, &result)?;
    let into_folder = Path::new(&dest).is_dir();
    let (mut force, mut since) = (task.args.flag("force"), None);
    if !into_folder && files::exists(Path::new(&dest)) {
        if let (false, Some((algorithm, wanted))) = (force, &sum) {
            let have = hash::file(Path::new(&dest), algorithm).or_fail(|| dest.clone())?;
            if have.as_ref() == Some(wanted) {
                let changed = Wanted::of(task).apply(task, Path::new(&dest), &mut Sides::default())?;
                result.insert("changed".into(), changed.into());
                let more = if changed { " but file attributes changed" } else { "" };
                result.insert("msg".into(), format!("file already exists{more}").into());
                return Ok(result);
            }
            force = true;
        }
        since = fs::metadata(&dest).and_then(|meta| meta.modified()).ok();
    }
    task.args.set("force", force);
    let method = if task.check() { "HEAD" } else { "GET" };
    let start = task.ctx.now();
    let answer = get(task, &address, method, since, &dest)?;
    if answer.status == 304 {
        let told = [("url", url::masked(&address).into()), ("dest", dest.into()), ("changed", false.into())];
        let mut out = map(told);
        out.insert("msg".into(), format!("HTTP Error 304: {}", answer.reason).into());
        out.insert("status_code".into(), 304.into());
        out.insert("elapsed".into(), 0.into());
        return Ok(out);
    }
    let info = url::told(&answer);
    let proposed = url::proposed_name(&answer);
    let final_name = url::file_name(&answer.url);
    let folder = task
        .args
        .filled("tmp_dest")
        .map_or_else(|| task.ctx.temp.clone(), |folder| Path::new(folder).to_owned());
    if !folder.is_dir() {
        let what = if files::exists(&folder) {
            "is a file but should be a directory."
        } else {
            "directory does not exist."
        };
        return Err(Fail::new(format!("{} {what}", files::shown(&folder))).with("elapsed", 0));
    }
    let got = download(task, answer, &folder)?;
    result
        .insert("elapsed".into(), task.ctx.now().duration_since(start).unwrap_or_default().as_secs().into());
    result.insert("src".into(), files::shown(got.path()).into());
    if into_folder {
        dest = files::join(&dest, &proposed.unwrap_or(final_name));
        result.insert("dest".into(), dest.clone().into());
    }
    put(task, got.path(), &dest, sum, result, &info)
}

fn put(
    task: &mut Task<'_>,
    got: &Path,
    dest: &str,
    sum: Option<(String, String)>,
    mut result: Map<String, Value>,
    info: &Map<String, Value>,
) -> Done {
    let path = Path::new(dest);
    let new = hash::file(got, "sha1").or_fail(|| files::shown(got))?;
    result.insert("checksum_src".into(), new.clone().into());
    let refuse = |msg: String, result: &Map<String, Value>| Fail { msg, more: result.clone() };
    let mut old = None;
    if files::exists(path) {
        if !files::writable(path) {
            return Err(refuse(format!("Destination {dest} is not writable"), &result));
        }
        if path.is_dir() {
            return fail(format!("attempted to take checksum of directory: {dest}"));
        }
        old = hash::file(path, "sha1").or_fail(|| dest.to_owned())?;
        result.insert("checksum_dest".into(), old.clone().into());
    } else {
        let folder = files::dirname(dest);
        if !files::exists(&files::folder_of(path)) {
            return Err(refuse(format!("Destination {folder} does not exist"), &result));
        }
        if !files::writable(&files::folder_of(path)) {
            return Err(refuse(format!("Destination {folder} is not writable"), &result));
        }
    }
    let msg = info.get("msg").cloned().unwrap_or_default();
    if task.check() {
        result.insert("changed".into(), (new != old).into());
        result.insert("msg".into(), msg);
        return Ok(result);
    }
    if let Some((algorithm, wanted)) = sum {
        let have = hash::file(got, &algorithm).or_fail(|| dest.to_owned())?.unwrap_or_default();
        if have != wanted {
            let msg =
                format!("The checksum for {} did not match {wanted}; it was {have}.", files::shown(got));
            return Err(refuse(msg, &result));
        }
    }
    let mut backup = None;
    let mut changed = new != old;
    if changed {
        backup = edit::backup(task, dest)?;
        let mut from = fs::File::open(got).or_fail(|| files::shown(got))?;
        replace::with(path, &mut from, &Keep::Old, task.args.flag("unsafe_writes"))
            .or_fail(|| format!("failed to copy {} to {dest}", files::shown(got)))?;
    }
    changed |= Wanted::of(task).apply(task, path, &mut Sides::default())?;
    result.insert("changed".into(), changed.into());
    result.insert("md5sum".into(), hash::file(path, "md5").or_fail(|| dest.to_owned())?.into());
    if let Some(backup) = backup {
        result.insert("backup_file".into(), backup.into());
    }
    result.insert("msg".into(), msg);
    let local = task.args.or_empty("url").starts_with("file:");
    let status = info.get("status").filter(|_| !local).cloned().unwrap_or_default();
    result.insert("status_code".into(), status);
    Ok(result)
}

fn get(
    task: &Task<'_>,
    address: &str,
    method: &str,
    since: Option<std::time::SystemTime>,
    dest: &str,
) -> Result<http::Answer> {
    let about =
        |msg: String| Fail::new(msg).with("url", url::masked(address)).with("dest", dest).with("elapsed", 0);
    if let Some(path) = address.strip_prefix("file://") {
        let path = path.strip_prefix("localhost").unwrap_or(path);
        let file = fs::File::open(path).map_err(|error| {
            about(format!("Request failed: <urlopen error {}>", crate::base::python::errno(&error)))
        })?;
        let length = file.metadata().map(|meta| meta.len()).unwrap_or_default();
        return Ok(http::Answer {
            status: 200,
            reason: "OK".to_owned(),
            headers: vec![("content-length".to_owned(), length.to_string())],
            url: address.to_owned(),
            cookies: Vec::new(),
            body: Box::new(file),
        });
    }
    let answer = http::ask(&url::request(task, address, method, since))
        .map_err(|why| about(why).with("status_code", -1))
        .map_err(|mut fail| {
            fail.more.remove("status_code");
            fail
        })?;
    match answer.status {
        200 | 304 => Ok(answer),
        status => Err(about("Request failed".to_owned())
            .with("status_code", status)
            .with("response", url::told(&answer).get("msg").cloned().unwrap_or_default())),
    }
}

/// The file in a temporary place, complete.
fn download(task: &Task<'_>, answer: http::Answer, folder: &Path) -> Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix("tmp")
        .tempfile_in(folder)
        .or_fail(|| "failed to create temporary content file".into())?;
    let packed = answer.header("content-encoding") == Some("gzip");
    let expected = answer.header("content-length").and_then(|length| length.parse::<u64>().ok());
    let got = io::copy(&mut url::body(task, answer), file.as_file_mut())
        .or_fail(|| "failed to create temporary content file".to_owned())?;
    let unpacked = packed && task.args.flag("decompress");
    let counts = !task.check() && !unpacked;
    match expected.filter(|expected| counts && got != *expected) {
        Some(expected) => {
            let left = expected.saturating_sub(got);
            fail(format!(
                "Incomplete read, (rsp.length={left}, cl={expected}, st.st_size={got}) failed to read remaining {left} bytes"
            ))
        }
        None => Ok(file),
    }
}

/// Algorithm and digits that the file must have.
fn checksum(task: &Task<'_>, address: &str, result: &Map<String, Value>) -> Result<Option<(String, String)>> {
    let Some(given) = task.args.filled("checksum") else { return Ok(None) };
    let wrong = |msg: &str| Fail { msg: msg.to_owned(), more: result.clone() };
    let Some((algorithm, digits)) = given.split_once(':') else {
        return Err(wrong("The checksum parameter has to be in format <algorithm>:<checksum>"));
    };
    let mut digits = digits.to_owned();
    if ["http://", "https://", "file://", "ftp://"].iter().any(|scheme| digits.starts_with(scheme)) {
        let mut answer = get(task, &digits, "GET", None, task.args.or_empty("dest"))?;
        let mut text = Vec::new();
        answer.body.by_ref().take(SUMS_MAX).read_to_end(&mut text).or_fail(|| digits.clone())?;
        let name = url::file_name(address);
        digits = listed(&String::from_utf8_lossy(&text), &name)?.ok_or_else(|| {
            Fail::new(format!("Unable to find a checksum for file '{name}' in '{}'", url::masked(&digits)))
        })?;
    }
    let digits: String =
        digits.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect::<String>().to_lowercase();
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(wrong("The checksum format is invalid"));
    }
    if hash::bytes(b"", algorithm).is_none() {
        return Err(Fail::new(format!(
            "Could not hash file '{}' with algorithm '{algorithm}'. Available algorithms: md5, sha1, sha224, sha256, sha384, sha512",
            task.args.or_empty("dest")
        )));
    }
    Ok(Some((algorithm.to_owned(), digits)))
}

/// The digits beside this name in a file of checksums, in BSD's or GNU's form.
fn listed(text: &str, name: &str) -> Result<Option<String>> {
    let lines: Vec<&str> = text.lines().collect();
    if let [only] = lines.as_slice()
        && only.split_whitespace().count() == 1
    {
        return Ok(Some((*only).to_owned()));
    }
    let compile = |source| Pattern::new(source, Flags::default()).map_err(Fail::new);
    let bsd = compile(r"^(\w+) ?\((?P<path>.+)\) ?= (?P<digest>[\w.]+)$")?;
    let gnu = compile(r"^(?P<digest>[\w.]+)\s+(\*|\.\/|\.)?(?P<path>.+)$")?;
    for line in lines {
        let found = match bsd.first(line).map_err(Fail::new)? {
            Some(found) => Some((found, false)),
            None => gnu.first(line).map_err(Fail::new)?.map(|found| (found, true)),
        };
        let Some((found, strip)) = found else { continue };
        let path = found.name("path").map_or("", |path| path.as_str());
        let path = if strip { path.trim_start_matches(['.', '/']) } else { path };
        if path == name {
            return Ok(found.name("digest").map(|digest| digest.as_str().to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_found_in_all_forms() {
        let text = "SHA256 (a.tar) = 12ab\n34cd  b.tar\n56ef *./c.tar\n";
        for (name, expected) in
            [("a.tar", Some("12ab")), ("b.tar", Some("34cd")), ("c.tar", Some("56ef")), ("d", None)]
        {
            assert_eq!(listed(text, name).unwrap().as_deref(), expected, "{name}");
        }
        assert_eq!(listed("99", "x").unwrap().as_deref(), Some("99"));
    }
}
