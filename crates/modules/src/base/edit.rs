//! What modules that edit text files have in common: writing with `validate` and `backup`, and telling diffs.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::attributes::{Sides, Wanted};
use super::result::{Fail, Result, ResultExt};
use super::task::Task;
use super::{files, replace, words};

/// Lines with their ends.
pub(crate) fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// The line without its end.
pub(crate) fn bare(line: &[u8]) -> &[u8] {
    let mut line = line;
    while let [rest @ .., b'\n' | b'\r'] = line {
        line = rest;
    }
    line
}

/// Writes the new text to what the path leads to, when `validate` likes it.
pub(crate) fn write(task: &Task<'_>, path: &str, bytes: &[u8]) -> Result<()> {
    if let Some(validate) = task.args.filled("validate") {
        validated(task, validate, bytes)?;
    }
    let real = files::realpath(Path::new(path));
    let in_place = task.args.flag("unsafe_writes");
    replace::with_bytes(&real, bytes, &replace::Keep::Old, in_place)
        .or_fail(|| format!("Task failed: Module failed: Could not replace {path}"))
}

fn validated(task: &Task<'_>, validate: &str, bytes: &[u8]) -> Result<()> {
    if !validate.contains("%s") {
        return Err(Fail::new(format!("validate must contain %s: {validate}")));
    }
    let trial = tempfile::Builder::new()
        .prefix("tmp")
        .tempfile_in(&task.ctx.temp)
        .or_fail(|| "failed to validate".into())?;
    std::fs::write(trial.path(), bytes).or_fail(|| "failed to validate".into())?;
    let words = words::split(&validate.replace("%s", &files::shown(trial.path()))).map_err(Fail::crash)?;
    let words: Vec<String> = words.iter().map(|word| task.expand(word)).collect();
    let ran = task.run(&words)?;
    if ran.rc != 0 {
        return Err(Fail::new(format!("failed to validate: rc:{} error:{}", ran.rc, ran.err_text())));
    }
    Ok(())
}

/// Owner and mode after an edit; the message and whether anything changed.
pub(crate) fn rights(
    task: &Task<'_>,
    path: &str,
    msg: &str,
    changed: bool,
    sides: &mut Sides,
) -> Result<(String, bool)> {
    if !Wanted::of(task).apply(task, Path::new(path), sides)? {
        return Ok((msg.to_owned(), changed));
    }
    let join = if changed { " and " } else { "" };
    Ok((format!("{msg}{join}ownership, perms or SE linux context changed"), true))
}

/// Texts before and after, as these modules show them.
pub(crate) fn content_diff(task: &Task<'_>, path: &str, before: &[u8], after: &[u8]) -> Value {
    let side = |bytes: &[u8]| {
        if task.call.diff { String::from_utf8_lossy(bytes).into_owned() } else { String::new() }
    };
    json!({
        "before": side(before),
        "after": side(after),
        "before_header": format!("{path} (content)"),
        "after_header": format!("{path} (content)"),
    })
}

/// The second part of such a diff.
pub(crate) fn rights_diff(path: &str, sides: Sides) -> Value {
    let mut diff = Map::new();
    if !sides.before.is_empty() {
        diff.insert("before".to_owned(), sides.before.into());
        diff.insert("after".to_owned(), sides.after.into());
    }
    diff.insert("before_header".to_owned(), format!("{path} (file attributes)").into());
    diff.insert("after_header".to_owned(), format!("{path} (file attributes)").into());
    diff.into()
}

/// Makes the folder that a new file stands in.
pub(crate) fn folder_for(task: &Task<'_>, path: &str) -> Result<()> {
    let folder = files::dirname(path);
    if folder.is_empty() || task.check() || files::exists(Path::new(folder)) {
        return Ok(());
    }
    std::fs::create_dir_all(folder).map_err(|error| {
        Fail::new(format!(
            "Error creating {folder} ({}: b{})",
            super::python::errno(&error),
            super::python::quoted(folder)
        ))
    })
}

/// Copies the old text aside when the task asks for it.
pub(crate) fn backup(task: &Task<'_>, path: &str) -> Result<Option<String>> {
    if !task.args.flag("backup") || !files::exists(Path::new(path)) {
        return Ok(None);
    }
    replace::backup(path, task.ctx.now())
        .map(Some)
        .or_fail(|| format!("Task failed: Module failed: Could not make backup of '{path}'"))
}
