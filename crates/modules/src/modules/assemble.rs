//! `assemble`: one file out of the files of a folder, in the order of their names.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::copy_place::{Origin, Place, place};
use crate::base::attributes::{Sides, Wanted};
use crate::base::pattern::{Flags, Pattern};
use crate::base::replace::{self, Keep};
use crate::base::{Done, Fail, Result, ResultExt, Task, edit, fail, files, hash, map, words};
use crate::call::SourceKind;
use crate::spec::{Arg, ModuleSpec, flag, path, text};

const ARGS: &[Arg] = &[
    path("src"),
    text("delimiter"),
    path("dest"),
    flag("backup", false),
    flag("remote_src", true),
    text("regexp"),
    flag("ignore_hidden", false),
    text("validate"),
    flag("decrypt", true),
    flag("follow", false),
    flag("force", true),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("assemble", ARGS, run).with_file_args();

fn run(task: &mut Task<'_>) -> Done {
    let (src, dest) = (task.args.or_empty("src").to_owned(), task.args.or_empty("dest").to_owned());
    if src.is_empty() || dest.is_empty() {
        return fail("src and dest are required");
    }
    let pattern = match task.args.text("regexp") {
        Some(regexp) => Some(
            Pattern::new(regexp, Flags::default())
                .map_err(|why| Fail::new(format!("Invalid Regexp ({why}) in \"{regexp}\"")))?,
        ),
        None => None,
    };
    if !task.args.flag("remote_src") {
        return from_controller(task, &src, &dest, pattern.as_ref());
    }
    let folder = Path::new(&src);
    if !files::exists(folder) {
        return fail(format!("Source ({src}) does not exist"));
    }
    if !folder.is_dir() {
        return fail(format!("Source ({src}) is not a directory"));
    }
    if let Some(validate) = task.args.filled("validate").filter(|validate| !validate.contains("%s")) {
        return fail(format!("validate must contain %s: {validate}"));
    }
    let mut names: Vec<String> = fs::read_dir(folder)
        .or_fail(|| src.clone())?
        .flatten()
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut parts = Vec::new();
    for name in chosen(task, names, pattern.as_ref())? {
        parts.push(files::bytes(&folder.join(&name)).or_fail(|| name)?);
    }
    on_host(task, &src, &dest, &joined(task, parts))
}

fn chosen(task: &Task<'_>, names: Vec<String>, pattern: Option<&Pattern>) -> Result<Vec<String>> {
    let hidden = task.args.flag("ignore_hidden");
    let mut out = Vec::new();
    for name in names {
        let wanted = match pattern {
            Some(pattern) => pattern.found(name.as_bytes()).map_err(Fail::crash)?,
            None => true,
        };
        if wanted && !(hidden && name.starts_with('.')) {
            out.push(name);
        }
    }
    Ok(out)
}

/// Fragments with line ends and delimiters between them.
fn joined(task: &Task<'_>, parts: Vec<Vec<u8>>) -> Vec<u8> {
    let delimiter = unescaped(task.args.or_empty("delimiter"));
    let (mut out, mut open, mut first) = (Vec::new(), false, true);
    for part in parts {
        if open {
            out.push(b'\n');
        }
        if !first && !delimiter.is_empty() {
            out.extend_from_slice(&delimiter);
            if !delimiter.ends_with(b"\n") {
                out.push(b'\n');
            }
        }
        first = false;
        open = !part.ends_with(b"\n");
        out.extend(part);
    }
    out
}

/// `\n`, `\t` and the like as in Python's byte texts.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let mut utf8 = [0u8; 4];
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            continue;
        }
        match chars.next() {
            Some('n') => out.push(b'\n'),
            Some('t') => out.push(b'\t'),
            Some('r') => out.push(b'\r'),
            Some('a') => out.push(7),
            Some('b') => out.push(8),
            Some('f') => out.push(12),
            Some('v') => out.push(11),
            Some(c @ ('\\' | '\'' | '"')) => out.push(c as u8),
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                out.extend(u8::from_str_radix(&digits, 16));
            }
            Some(c) => {
                out.push(b'\\');
                out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            }
            None => out.push(b'\\'),
        }
    }
    out
}

fn on_host(task: &mut Task<'_>, src: &str, dest: &str, text: &[u8]) -> Done {
    let (sum, md5) = (hash::bytes(text, "sha1"), hash::bytes(text, "md5"));
    let mut result = map([
        ("src", src.into()),
        ("dest", dest.into()),
        ("checksum", sum.clone().into()),
        ("md5sum", md5.into()),
    ]);
    let path = Path::new(dest);
    let old = if files::exists(path) {
        if path.is_dir() {
            return fail(format!("attempted to take checksum of directory: {dest}"));
        }
        hash::file(path, "sha1").or_fail(|| dest.to_owned())?
    } else {
        None
    };
    let mut changed = old != sum;
    if changed {
        if let Some(validate) = task.args.filled("validate") {
            let ran = trial(task, validate, text)?;
            if ran.rc != 0 {
                return fail(format!("failed to validate: rc:{} error:{}", ran.rc, ran.err_text()));
            }
            result.insert(
                "validation".into(),
                json!({"rc": ran.rc, "stdout": ran.out_text(), "stderr": ran.err_text()}),
            );
        }
        if old.is_some()
            && !task.check()
            && let Some(backup) = edit::backup(task, dest)?
        {
            result.insert("backup_file".to_owned(), backup.into());
        }
        if !task.check() {
            replace::with_bytes(path, text, &Keep::Old, task.args.flag("unsafe_writes"))
                .or_fail(|| format!("Task failed: Module failed: Could not replace '{dest}'"))?;
        }
    }
    changed |= Wanted::of(task).apply(task, path, &mut Sides::default())?;
    result.insert("changed".to_owned(), changed.into());
    result.insert("msg".to_owned(), "OK".into());
    Ok(result)
}

fn trial(task: &Task<'_>, validate: &str, text: &[u8]) -> Result<crate::base::program::Ran> {
    let made = tempfile::Builder::new()
        .prefix("tmp")
        .tempfile_in(&task.ctx.temp)
        .or_fail(|| "failed to validate".into())?;
    fs::write(made.path(), text).or_fail(|| "failed to validate".into())?;
    let words = words::split(&validate.replace("%s", &files::shown(made.path()))).map_err(Fail::crash)?;
    let words: Vec<String> = words.iter().map(|word| task.expand(word)).collect();
    task.run(&words)
}

fn from_controller(task: &mut Task<'_>, src: &str, dest: &str, pattern: Option<&Pattern>) -> Done {
    let top = src.trim_end_matches('/');
    let entries = task.source.list(top).or_fail(|| format!("Could not find or access '{src}'"))?;
    if entries.iter().any(|entry| entry.name.is_empty()) {
        return fail(format!("Source ({src}) is not a directory"));
    }
    let mut names: Vec<String> = entries
        .into_iter()
        .filter(|e| matches!(e.kind, SourceKind::File(_)))
        .map(|entry| entry.name)
        .collect();
    names.sort();
    let mut parts = Vec::new();
    for name in chosen(task, names, pattern)? {
        let whole = format!("{top}/{name}");
        parts.push(task.source.read(&whole).or_fail(|| format!("Could not find or access '{whole}'"))?);
    }
    let text = joined(task, parts);
    let shown = files::shown(&task.ctx.temp.join("src"));
    place(
        task,
        &Place { origin: Origin::Bytes(text, shown), dest: dest.to_owned(), basename: None, mode: None },
    )
}
