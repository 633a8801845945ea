//! `slurp` and `fetch`: a file of the host for the controller.

use std::io::ErrorKind;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::base::{Done, Fail, Task, fail, files, hash, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, path, text};

pub(crate) const SLURP: ModuleSpec =
    ModuleSpec::new("slurp", &[path("src").required().aka(&["path"])], slurp);

const FETCH_ARGS: &[Arg] = &[
    path("src"),
    text("dest"),
    flag("flat", false),
    flag("fail_on_missing", true),
    flag("validate_checksum", true),
];
const FETCH_RULES: &[Rule] = &[];

pub(crate) const FETCH: ModuleSpec = ModuleSpec::new("fetch", FETCH_ARGS, fetch).rules(FETCH_RULES).plain();

/// Largest file that is read into a result.
const SLURP_MAX: u64 = 256 << 20;
/// Under which name [`fetch`] hands the content to the controller.
const CONTENT: &str = "_content";

fn slurp(task: &mut Task<'_>) -> Done {
    let src = task.args.or_empty("src");
    let bytes = read(src)?;
    Ok(map([
        ("content", STANDARD.encode(bytes).into()),
        ("source", src.into()),
        ("encoding", "base64".into()),
    ]))
}

fn read(src: &str) -> Result<Vec<u8>, Fail> {
    files::bytes_up_to(Path::new(src), SLURP_MAX).map_err(|error| {
        Fail::new(match error.kind() {
            ErrorKind::NotFound => format!("File not found: {src}"),
            ErrorKind::PermissionDenied => format!("File is not readable: {src}"),
            ErrorKind::IsADirectory => format!("Source is a directory and must be a file: {src}"),
            _ => format!("Unable to slurp file: {src}: {error}"),
        })
    })
}

fn fetch(task: &mut Task<'_>) -> Done {
    let (src, dest) = (task.args.or_empty("src").to_owned(), task.args.or_empty("dest"));
    if task.check() {
        return Ok(map([
            ("skipped", true.into()),
            ("msg", "check mode not (yet) supported for this module".into()),
        ]));
    }
    if src.is_empty() || dest.is_empty() {
        return fail("src and dest are required");
    }
    let ignored = |msg: &str| -> Done {
        let (required, msg) = (task.args.flag("fail_on_missing"), msg.to_owned());
        let told = [("changed", Value::Bool(false)), ("file", src.clone().into())];
        if required {
            return Err(Fail { msg, more: map(told) });
        }
        let mut result = map(told);
        result.insert("msg".to_owned(), format!("{msg}, ignored").into());
        Ok(result)
    };
    if Path::new(&src).is_dir() {
        return ignored("remote file is a directory, fetch cannot work on directories");
    }
    if !files::exists(Path::new(&src)) {
        return ignored("the remote file does not exist");
    }
    let bytes = read(&src)?;
    let sum = hash::bytes(&bytes, "sha1");
    let told =
        [("file", src.into()), ("remote_checksum", sum.into()), (CONTENT, STANDARD.encode(bytes).into())];
    Ok(map(told))
}

/// The controller's half of `fetch`: stores what the host sent, unless it is there already.
///
/// `args` are the task's, `host` names the folder below `dest` (unless `flat`), `base` is the folder that relative
/// names start at, `result` is what [`crate::run`] gave on the host. Returns the result for people.
pub fn fetched(
    args: &Map<String, Value>,
    host: &str,
    base: &Path,
    mut result: Map<String, Value>,
) -> Map<String, Value> {
    let Some(Value::String(content)) = result.remove(CONTENT) else { return result };
    let bytes = match STANDARD.decode(content) {
        Ok(bytes) => bytes,
        Err(error) => return Fail::new(format!("Failed to fetch the file: {error}")).into_map(),
    };
    let src = result.get("file").and_then(Value::as_str).unwrap_or_default().to_owned();
    store(args, host, base, &src, &bytes).unwrap_or_else(Fail::into_map)
}

fn store(args: &Map<String, Value>, host: &str, base: &Path, src: &str, bytes: &[u8]) -> Done {
    let dest = args.get("dest").and_then(Value::as_str).unwrap_or_default();
    let flag =
        |name: &str| args.get(name).is_some_and(|value| crate::base::convert::truth(value).unwrap_or(false));
    let target = if flag("flat") {
        let whole = base.join(dest);
        if whole.is_dir() && !dest.ends_with('/') {
            return fail(
                "dest is an existing directory, use a trailing slash if you want to fetch src into that directory",
            );
        }
        let whole = if dest.ends_with('/') { whole.join(files::basename(src)) } else { whole };
        if whole.is_dir() {
            let shown = files::shown(&whole);
            return fail(format!(
                "calculated dest '{shown}' is an existing directory, use another path that does not point to an existing directory"
            ));
        }
        files::lexical(&whole)
    } else {
        let folder = files::lexical(&base.join(dest).join(host));
        let whole = files::lexical(&folder.join(src.trim_start_matches('/')));
        if host.contains('/') || matches!(host, "" | "." | "..") || !whole.starts_with(&folder) {
            let (whole, folder) = (files::shown(&whole), files::shown(&folder));
            return fail(format!(
                "Detected directory traversal, expected to be contained in '{folder}' but got '{whole}'"
            ));
        }
        whole
    };
    let (sum, md5) = (hash::bytes(bytes, "sha1"), hash::bytes(bytes, "md5"));
    let old = hash::file(&target, "sha1").ok().flatten();
    let shown = files::shown(&target);
    if old == sum {
        return Ok(map([
            ("changed", false.into()),
            ("md5sum", md5.into()),
            ("file", src.into()),
            ("dest", shown.into()),
            ("checksum", sum.into()),
        ]));
    }
    let written = std::fs::create_dir_all(files::folder_of(&target)).and_then(|()| {
        crate::base::replace::with_bytes(&target, bytes, &crate::base::replace::Keep::Old, false)
    });
    if let Err(error) = written {
        return fail(format!("Failed to fetch the file.: {}", crate::base::python::errno(&error)));
    }
    Ok(map([
        ("changed", true.into()),
        ("md5sum", md5.into()),
        ("dest", shown.into()),
        ("remote_md5sum", Value::Null),
        ("checksum", sum.clone().into()),
        ("remote_checksum", sum.into()),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Context, NoFiles, run};
    use serde_json::json;

    fn fetch(folder: &Path, args: Value) -> Map<String, Value> {
        let Value::Object(args) = args else { panic!() };
        let call = Call { module: "fetch".into(), args: args.clone(), ..Call::default() };
        let mut ctx = Context::new(folder.to_owned(), || std::time::UNIX_EPOCH);
        fetched(&args, "h1", &folder.join("base"), run(&call, &NoFiles, &mut ctx))
    }

    #[test]
    fn a_fetched_file_stands_below_its_host_and_is_not_fetched_twice() {
        let folder = tempfile::tempdir().unwrap();
        let src = folder.path().join("f");
        std::fs::write(&src, "x").unwrap();
        let args = json!({"src": src, "dest": "out"});
        let first = fetch(folder.path(), args.clone());
        let dest = folder.path().join("base/out/h1").join(src.strip_prefix("/").unwrap());
        assert_eq!((first["changed"].clone(), first["dest"].clone()), (json!(true), json!(dest)));
        assert_eq!(std::fs::read(dest).unwrap(), b"x");
        assert_eq!(fetch(folder.path(), args)["changed"], json!(false));
        let flat = fetch(folder.path(), json!({"src": src, "dest": "flat/", "flat": true}));
        assert_eq!(flat["dest"], json!(folder.path().join("base/flat/f")));
    }

    #[test]
    fn a_path_that_leaves_the_hosts_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let sent = map([("file", "/../../../etc/x".into()), (CONTENT, "eA==".into())]);
        let args = map([("dest", "out".into())]);
        let got = fetched(&args, "h1", folder.path(), sent);
        assert!(got["msg"].as_str().unwrap().starts_with("Detected directory traversal"), "{got:?}");
    }

    #[test]
    fn a_missing_file_fails_unless_the_task_says_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let missing = fetch(folder.path(), json!({"src": "/no/such", "dest": "out"}));
        assert_eq!(
            (missing["failed"].clone(), missing["msg"].clone()),
            (json!(true), json!("the remote file does not exist"))
        );
        let args = json!({"src": "/no/such", "dest": "out", "fail_on_missing": false});
        assert_eq!(fetch(folder.path(), args)["msg"], json!("the remote file does not exist, ignored"));
    }
}
