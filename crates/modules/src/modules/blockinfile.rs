//! `blockinfile`: some lines between two marks are in a file, or are not.

use std::path::Path;

use crate::base::attributes::Sides;
use crate::base::pattern::{Flags, Pattern, as_text};
use crate::base::{Done, Fail, Result, ResultExt, Task, edit, files, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, path, text};

const ARGS: &[Arg] = &[
    path("path").required().aka(&["dest", "destfile", "name"]),
    text("state").or("present").one_of(&["absent", "present"]),
    text("marker").or("# {mark} ANSIBLE MANAGED BLOCK"),
    text("block").or("").aka(&["content"]),
    text("insertafter"),
    text("insertbefore"),
    flag("create", false),
    flag("backup", false),
    text("validate"),
    text("marker_begin").or("BEGIN"),
    text("marker_end").or("END"),
    flag("append_newline", false),
    flag("prepend_newline", false),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("blockinfile", ARGS, run)
    .with_file_args()
    .rules(&[Rule::Exclusive(&["insertbefore", "insertafter"])]);

fn run(task: &mut Task<'_>) -> Done {
    let path = task.args.or_empty("path").to_owned();
    let file = Path::new(&path);
    if file.is_dir() {
        return Err(Fail::new(format!("Path {path} is a directory !")).with("rc", 256));
    }
    let there = files::exists(file);
    if !there {
        if !task.args.flag("create") {
            return Err(Fail::new(format!("Path {path} does not exist !")).with("rc", 257));
        }
        edit::folder_for(task, &path)?;
        if task.args.text("state") == Some("absent") {
            let msg = format!("File {path} not present");
            return Ok(map([("changed", false.into()), ("msg", msg.into())]));
        }
    }
    let before = if there { files::bytes(file).or_fail(|| path.clone())? } else { Vec::new() };
    let (after, filled) = edited(task, &before)?;
    let msg = match (there, filled) {
        (true, _) if after == before => "",
        (false, _) => "File created",
        (true, false) => "Block removed",
        (true, true) => "Block inserted",
    };
    let (changed, diff) = (!msg.is_empty(), edit::content_diff(task, &path, &before, &after));
    let mut backup = None;
    if changed && !task.check() {
        backup = edit::backup(task, &path)?;
        edit::write(task, &path, &after)?;
    }
    if task.check() && !there {
        return Ok(map([("changed", changed.into()), ("msg", msg.into()), ("diff", diff)]));
    }
    let mut sides = Sides::default();
    let (msg, changed) = edit::rights(task, &path, msg, changed, &mut sides)?;
    let diffs = vec![diff, edit::rights_diff(&path, sides)];
    let mut result = map([("changed", changed.into()), ("msg", msg.into()), ("diff", diffs.into())]);
    if let Some(backup) = backup {
        result.insert("backup_file".to_owned(), backup.into());
    }
    Ok(result)
}

/// Lines as Python splits bytes: `\n`, `\r` and `\r\n` end a line.
fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut out, mut line) = (Vec::new(), Vec::new());
    let mut bytes = bytes.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        line.push(byte);
        if byte == b'\n' || (byte == b'\r' && bytes.peek() != Some(&b'\n')) {
            out.push(std::mem::take(&mut line));
        }
    }
    if !line.is_empty() {
        out.push(line);
    }
    out
}

/// The new text, and whether it holds a block.
fn edited(task: &Task<'_>, before: &[u8]) -> Result<(Vec<u8>, bool)> {
    let mut lines = split(before);
    let present = task.args.text("state") == Some("present");
    let mark = |word: &str| {
        let marker = task.args.or_empty("marker").replace("{mark}", task.args.or_empty(word));
        format!("{marker}\n").into_bytes()
    };
    let (begin, end) = (mark("marker_begin"), mark("marker_end"));
    let mut block = task.args.or_empty("block").as_bytes().to_vec();
    let mut new = Vec::new();
    if present && !block.is_empty() {
        if !block.ends_with(b"\n") {
            block.push(b'\n');
        }
        new.push(begin.clone());
        new.extend(split(&block));
        new.push(end.clone());
    }
    let last = |mark: &[u8]| lines.iter().rposition(|line| line == mark);
    let mut at = match (last(&begin), last(&end)) {
        (Some(first), Some(second)) => {
            lines.drain(first.min(second)..=first.max(second));
            first.min(second)
        }
        _ => insertion(task, before, &lines)?,
    };
    if let Some(above) = at.checked_sub(1).and_then(|above| lines.get_mut(above))
        && !above.ends_with(b"\n")
    {
        above.push(b'\n');
    }
    let blank = |line: Option<&Vec<u8>>| line.is_none_or(|line| line == b"\n");
    if present && task.args.flag("prepend_newline") && at != 0 && !blank(lines.get(at - 1)) {
        lines.insert(at, b"\n".to_vec());
        at += 1;
    }
    let (filled, below) = (!new.is_empty(), at + new.len());
    lines.splice(at..at, new);
    if present && task.args.flag("append_newline") && !blank(lines.get(below)) {
        lines.insert(below, b"\n".to_vec());
    }
    Ok((lines.concat(), filled))
}

/// Where a block goes that is not there yet.
fn insertion(task: &Task<'_>, text: &[u8], lines: &[Vec<u8>]) -> Result<usize> {
    let (after, before) = (task.args.text("insertafter"), task.args.text("insertbefore"));
    let source = match (after, before) {
        (Some(after), _) if after != "EOF" => after,
        (_, Some(before)) if before != "BOF" => before,
        (_, Some(_)) => return Ok(0),
        _ => return Ok(lines.len()),
    };
    let flags = Flags { ascii: true, ..Flags::default() };
    let pattern = Pattern::new(source, flags).map_err(Fail::crash)?;
    let several = source
        .strip_prefix("(?")
        .and_then(|rest| rest.split_once(')'))
        .is_some_and(|(flags, _)| flags.contains('m'));
    let mut at = None;
    if several {
        let text = as_text(text);
        if let Some(whole) = pattern.first(&text).map_err(Fail::crash)?.and_then(|found| found.get(0)) {
            let end = if after.is_some() { whole.end() } else { whole.start() };
            at = Some(text.get(..end).unwrap_or_default().matches('\n').count());
        }
    } else {
        for (number, line) in lines.iter().enumerate() {
            if pattern.found(line).map_err(Fail::crash)? {
                at = Some(number);
            }
        }
    }
    Ok(match at {
        None => lines.len(),
        Some(at) if after.is_some() => at + 1,
        Some(at) => at,
    })
}
