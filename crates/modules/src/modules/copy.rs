//! `copy` (and `template`, whose text the controller has rendered): puts files and folders of the controller on the host.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::copy_place::{Origin, Place, place};
use super::file::{self, Job};
use crate::base::attributes::Wanted;
use crate::base::{Done, Fail, Result, Task, fail, files, hash, map, mode, plain, python};
use crate::call::SourceKind;
use crate::spec::{Arg, ModuleSpec, flag, maybe, path, raw, text};

/// Files larger than this are not shown in diffs.
const DIFF_MAX: usize = 104_448;
/// Levels of folders that are copied.
const DEPTH_MAX: usize = 64;

pub(crate) const ARGS: &[Arg] = &[
    path("src"),
    text("_original_basename"),
    raw("content").secret(),
    path("dest"),
    flag("backup", false),
    flag("force", true),
    text("validate"),
    raw("directory_mode"),
    flag("remote_src", false),
    maybe("local_follow"),
    text("checksum"),
    flag("follow", false),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("copy", ARGS, run).with_file_args();

/// What `template` takes besides; the controller has used these when it rendered.
const TEMPLATE_ARGS: &[Arg] = &[
    path("src"),
    text("_original_basename"),
    raw("content").secret(),
    path("dest"),
    flag("backup", false),
    flag("force", true),
    text("validate"),
    flag("follow", false),
    text("newline_sequence").or("\n").one_of(&["\n", "\r", "\r\n", "\\n", "\\r", "\\r\\n"]),
    text("block_start_string"),
    text("block_end_string"),
    text("variable_start_string"),
    text("variable_end_string"),
    text("comment_start_string"),
    text("comment_end_string"),
    flag("trim_blocks", true),
    flag("lstrip_blocks", false),
    text("output_encoding").or("utf-8"),
];

/// `template`: the controller sends the rendered text as `content`; `src` names the file when `dest` is a folder.
pub(crate) const TEMPLATE: ModuleSpec = ModuleSpec::new("template", TEMPLATE_ARGS, template).with_file_args();

fn template(task: &mut Task<'_>) -> Done {
    let (src, dest) = (task.args.or_empty("src").to_owned(), task.args.or_empty("dest").to_owned());
    if src.is_empty() || dest.is_empty() {
        return fail("src and dest are required");
    }
    if !task.args.has("content") {
        return fail(format!("{src} comes without its rendered text"));
    }
    let name = task.args.filled("_original_basename").unwrap_or(files::basename(&src)).to_owned();
    let dest =
        if dest.ends_with('/') || Path::new(&dest).is_dir() { files::join(&dest, &name) } else { dest };
    task.args.set("dest", dest);
    task.args.set("src", Value::Null);
    run(task)
}

/// One thing to copy, with its name below `dest`.
struct Piece {
    /// What the controller calls it.
    name: String,
    /// Path below the destination.
    below: String,
    kind: SourceKind,
    mode: u32,
}

fn run(task: &mut Task<'_>) -> Done {
    let (src, content) = (task.args.filled("src").map(str::to_owned), task.args.get("content").cloned());
    let dest = task.args.or_empty("dest").to_owned();
    for (wrong, msg) in [
        (src.is_none() && content.is_none(), "src (or content) is required"),
        (dest.is_empty(), "dest is required"),
        (src.is_some() && content.is_some(), "src and content are mutually exclusive"),
        (content.is_some() && dest.ends_with('/'), "can not use content with a dir as dest"),
    ] {
        if wrong {
            return fail(msg);
        }
    }
    if let Some(content) = content {
        return from_content(task, &content, &dest);
    }
    let src = src.unwrap_or_default();
    if task.args.flag("remote_src") {
        return place(task, &Place { origin: Origin::Host(src), dest, basename: None, mode: None });
    }
    from_controller(task, &src, &dest)
}

fn from_content(task: &mut Task<'_>, content: &Value, dest: &str) -> Done {
    let text = match content {
        Value::Object(_) | Value::Array(_) => python::json(content),
        other => python::text(other),
    };
    // The name that the text would have below a folder is never used, for a folder is refused.
    let shown = task.args.text("_original_basename").unwrap_or(".content").to_owned();
    match one(task, &text.into_bytes(), &shown, None, dest, Shown::Content)? {
        Some(result) => Ok(result),
        None => {
            let temp = files::shown(&task.ctx.temp.join(".content"));
            Ok(plain([("dest", dest.into()), ("src", temp.into()), ("changed", false.into())]))
        }
    }
}

fn from_controller(task: &mut Task<'_>, src: &str, dest: &str) -> Done {
    let top = src.trim_end_matches('/');
    let entries = task.source.list(top).map_err(|error| not_found(&error, src))?;
    if let [only] = entries.as_slice()
        && only.name.is_empty()
    {
        let name = files::basename(top).to_owned();
        let bytes = task.source.read(src).map_err(|error| not_found(&error, src))?;
        return match one(task, &bytes, &name, Some(only.mode), dest, Shown::Named(src))? {
            Some(result) => Ok(result),
            None => Ok(plain([("dest", dest.into()), ("src", src.into()), ("changed", false.into())])),
        };
    }
    let dest = if dest.ends_with('/') { dest.to_owned() } else { format!("{dest}/") };
    let base = if src.ends_with('/') { String::new() } else { format!("{}/", files::basename(top)) };
    let mut pieces = Vec::new();
    walk(task, top, &base, 0, &mut pieces)?;
    folder(task, src, &dest, &pieces)
}

fn not_found(error: &std::io::Error, src: &str) -> Fail {
    match error.kind() {
        ErrorKind::NotFound => Fail::new(format!(
            "Could not find or access '{src}' on the Ansible Controller.\nIf you are using a module and expect the file to exist on the remote, see the remote_src option"
        )),
        _ => Fail::new(format!("could not find src={src}, {}", python::errno(error))),
    }
}

fn walk(task: &Task<'_>, name: &str, below: &str, depth: usize, out: &mut Vec<Piece>) -> Result<()> {
    if depth > DEPTH_MAX {
        return fail(format!("{name} is nested deeper than {DEPTH_MAX} folders"));
    }
    let mut entries = task.source.list(name).map_err(|error| not_found(&error, name))?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in entries {
        if entry.name.is_empty() || entry.name.contains('/') || matches!(entry.name.as_str(), "." | "..") {
            return fail(format!("{name} holds an entry whose name cannot be copied"));
        }
        let (inside, path) = (format!("{name}/{}", entry.name), format!("{below}{}", entry.name));
        let folder = entry.kind == SourceKind::Folder;
        out.push(Piece { name: inside.clone(), below: path.clone(), kind: entry.kind, mode: entry.mode });
        if folder {
            walk(task, &inside, &format!("{path}/"), depth + 1, out)?;
        }
    }
    Ok(())
}

/// A folder: files, then folders that were not made on the way, then links.
fn folder(task: &mut Task<'_>, src: &str, dest: &str, pieces: &[Piece]) -> Done {
    let (mut changed, mut last, mut files_seen) = (false, Map::new(), 0);
    let told = |result: &Map<String, Value>| result.get("changed").and_then(Value::as_bool).unwrap_or(false);
    task.args.set("follow", task.args.flag("follow") && !pieces.iter().any(|p| p.kind == SourceKind::Folder));
    for piece in pieces.iter().filter(|piece| matches!(piece.kind, SourceKind::File(_))) {
        files_seen += 1;
        let bytes = task.source.read(&piece.name).map_err(|error| not_found(&error, &piece.name))?;
        if let Some(result) =
            one(task, &bytes, &piece.below, Some(piece.mode), dest, Shown::Named(&piece.name))?
        {
            changed |= told(&result);
            last = result;
        }
    }
    for piece in pieces {
        let path = files::join(dest, &piece.below);
        let mut job = Job { path, follow: true, wanted: Wanted::of(task), ..Job::default() };
        last = match &piece.kind {
            SourceKind::File(_) => continue,
            SourceKind::Folder => {
                job.state = Some("directory");
                job.wanted.mode = task.args.get("directory_mode").cloned();
                file::execute(task, job)?
            }
            SourceKind::Link(target) => {
                (job.state, job.src, job.force, job.follow) =
                    (Some("link"), Some(target.clone()), true, false);
                job.wanted.mode = job.wanted.mode.filter(|mode| mode.as_str() != Some("preserve"));
                file::execute(task, job)?
            }
        };
        changed |= told(&last);
    }
    if files_seen == 1 && !last.is_empty() {
        if let (Some(path), None) = (last.get("path").cloned(), last.get("dest")) {
            last.insert("dest".to_owned(), path);
        }
        return Ok(last);
    }
    Ok(plain([("dest", dest.into()), ("src", src.into()), ("changed", changed.into())]))
}

/// How the new text is called in a diff.
enum Shown<'s> {
    Content,
    Named(&'s str),
}

/// One file; `None` when it is there and must not be replaced.
fn one(
    task: &mut Task<'_>,
    bytes: &[u8],
    name: &str,
    source_mode: Option<u32>,
    dest: &str,
    shown: Shown<'_>,
) -> Result<Option<Map<String, Value>>> {
    let follow = task.args.flag("follow");
    let preserve = task.args.text("mode") == Some("preserve");
    let kept = source_mode.filter(|_| preserve).map(|bits| Value::from(mode::shown(bits)));
    let mut target = if dest.ends_with('/') { files::join(dest, name) } else { dest.to_owned() };
    let is_folder = |path: &str| match follow {
        true => std::fs::metadata(path).is_ok_and(|meta| meta.is_dir()),
        false => std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()),
    };
    if is_folder(&target) {
        if matches!(shown, Shown::Content) && task.args.text("_original_basename").is_none() {
            return Err(Fail::new("can not use content with a dir as dest").with("diff", json!([])));
        }
        target = files::join(&target, name);
    }
    let there = if follow { files::exists(Path::new(&target)) } else { files::lexists(Path::new(&target)) };
    if there && !task.args.flag("force") {
        return Ok(None);
    }
    let checksum = hash::bytes(bytes, "sha1").unwrap_or_default();
    if sum(&target, follow) == Some(checksum.clone()) {
        return same(task, dest, &target, name, kept, &checksum).map(Some);
    }
    let diff = task.call.diff.then(|| diff(&target, bytes, &shown));
    if task.check() {
        return Ok(Some(map([("changed", true.into()), ("diff", diff.into_iter().collect())])));
    }
    let suffix =
        Path::new(&target).extension().map_or_else(String::new, |e| format!(".{}", e.to_string_lossy()));
    let shown_src = files::shown(&task.ctx.temp.join(format!(".source{suffix}")));
    let origin = Origin::Bytes(bytes.to_vec(), shown_src);
    let place_at = Place { origin, dest: dest.to_owned(), basename: Some(name.to_owned()), mode: kept };
    let mut result = place(task, &place_at).map_err(|fail| told_sum(fail, &checksum))?;
    result.insert("diff".to_owned(), diff.into_iter().collect());
    Ok(Some(result))
}

/// Failures tell the checksum of what was to be copied, and that there is no diff.
fn told_sum(mut fail: Fail, checksum: &str) -> Fail {
    fail.more.entry("checksum").or_insert(checksum.into());
    fail.more.entry("diff").or_insert_with(|| json!([]));
    fail
}

fn sum(path: &str, follow: bool) -> Option<String> {
    let path = Path::new(path);
    let meta = if follow { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) }.ok()?;
    if !meta.is_file() {
        return None;
    }
    hash::file(path, "sha1").ok().flatten()
}

/// The text is there already: only owner and mode may differ.
fn same(
    task: &mut Task<'_>,
    dest: &str,
    target: &str,
    name: &str,
    kept: Option<Value>,
    checksum: &str,
) -> Done {
    let mut path = dest.to_owned();
    if task.args.flag("follow") && files::is_link(Path::new(target)) {
        path = files::shown(&files::realpath(Path::new(target)));
    }
    let mut wanted = Wanted::of(task);
    if kept.is_some() {
        wanted.mode = kept;
    }
    let job = Job {
        path,
        state: Some("file"),
        basename: Some(name.to_owned()),
        follow: task.args.flag("follow"),
        wanted,
        ..Job::default()
    };
    let mut result = file::execute(task, job).map_err(|fail| told_sum(fail, checksum))?;
    result.entry("diff").or_insert_with(|| json!([]));
    result.insert("checksum".to_owned(), checksum.into());
    if let (Some(path), None) = (result.get("path").cloned(), result.get("dest")) {
        result.insert("dest".to_owned(), path);
    }
    Ok(result)
}

fn diff(target: &str, new: &[u8], shown: &Shown<'_>) -> Value {
    let mut diff = Map::new();
    let path = Path::new(target);
    match std::fs::metadata(path) {
        Err(_) => {
            diff.insert("before".to_owned(), "".into());
        }
        Ok(meta) if meta.is_file() => {
            let old = files::bytes_up_to(path, DIFF_MAX as u64);
            match old {
                Err(_) => drop(diff.insert("dst_larger".to_owned(), DIFF_MAX.into())),
                Ok(old) if old.iter().take(8192).any(|byte| *byte == 0) => {
                    diff.insert("dst_binary".to_owned(), 1.into());
                }
                Ok(old) => {
                    diff.insert("before_header".to_owned(), target.into());
                    diff.insert("before".to_owned(), String::from_utf8_lossy(&old).into());
                }
            }
        }
        Ok(_) => {}
    }
    if new.len() > DIFF_MAX {
        diff.insert("src_larger".to_owned(), DIFF_MAX.into());
    } else if new.contains(&0) {
        diff.insert("src_binary".to_owned(), 1.into());
    } else {
        let header = match shown {
            Shown::Content => target,
            Shown::Named(name) => name,
        };
        diff.insert("after_header".to_owned(), header.into());
        diff.insert("after".to_owned(), String::from_utf8_lossy(new).into());
    }
    diff.into()
}
