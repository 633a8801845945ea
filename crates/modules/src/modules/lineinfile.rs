//! `lineinfile`: one line is in a file, or is not.

use std::path::Path;

use crate::base::attributes::Sides;
use crate::base::pattern::{self, Flags, Pattern};
use crate::base::{Done, Fail, Result, ResultExt, Task, edit, fail, files, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, path, text};

const ARGS: &[Arg] = &[
    path("path").required().aka(&["dest", "destfile", "name"]),
    text("state").or("present").one_of(&["absent", "present"]),
    text("regexp").aka(&["regex"]),
    text("search_string"),
    text("line").aka(&["value"]),
    text("insertafter"),
    text("insertbefore"),
    flag("backrefs", false),
    flag("create", false),
    flag("backup", false),
    flag("firstmatch", false),
    text("validate"),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("lineinfile", ARGS, run).with_file_args().rules(&[
    Rule::Exclusive(&["insertbefore", "insertafter"]),
    Rule::Exclusive(&["regexp", "search_string"]),
    Rule::Exclusive(&["backrefs", "search_string"]),
]);

fn run(task: &mut Task<'_>) -> Done {
    for (name, word, more) in [
        (
            "regexp",
            "regular expression",
            " If this is desired, use '^' to match every line in the file and avoid this warning.",
        ),
        ("search_string", "search string", ""),
    ] {
        if task.args.text(name) == Some("") {
            task.warn(format!("The {word} is an empty string, which will match every line in the file. This may have unintended consequences, such as replacing the last line in the file rather than appending.{more}"));
        }
    }
    let path = task.args.or_empty("path").to_owned();
    if Path::new(&path).is_dir() {
        return Err(Fail::new(format!("Path {path} is a directory !")).with("rc", 256));
    }
    if task.args.text("state") == Some("absent") {
        if !["line", "search_string", "regexp"].iter().any(|name| task.args.has(name)) {
            return fail("one of line, search_string, or regexp is required with state=absent");
        }
        return absent(task, &path);
    }
    if task.args.flag("backrefs") && !task.args.has("regexp") {
        return fail("regexp is required with backrefs=true");
    }
    if !task.args.has("line") {
        return fail("line is required with state=present");
    }
    present(task, &path)
}

/// How lines are found.
enum Finder {
    Regexp(Pattern),
    Text(Vec<u8>),
    Neither,
}

fn compile(source: &str) -> Result<Pattern> {
    Pattern::new(source, Flags { ascii: true, ..Flags::default() }).map_err(Fail::crash)
}

impl Finder {
    fn of(task: &Task<'_>) -> Result<Self> {
        Ok(match (task.args.text("regexp"), task.args.text("search_string")) {
            (Some(regexp), _) => Self::Regexp(compile(regexp)?),
            (None, Some(text)) => Self::Text(text.as_bytes().to_vec()),
            (None, None) => Self::Neither,
        })
    }

    fn finds(&self, line: &[u8]) -> Result<bool> {
        match self {
            Self::Regexp(pattern) => pattern.found(line).map_err(Fail::crash),
            Self::Text(text) if text.is_empty() => Ok(true),
            Self::Text(text) => Ok(line.windows(text.len()).any(|part| part == text)),
            Self::Neither => Ok(false),
        }
    }
}

/// Where the line goes.
struct Where {
    after: Option<String>,
    before: Option<String>,
    pattern: Option<Pattern>,
}

impl Where {
    fn of(task: &Task<'_>) -> Result<Self> {
        let before = task.args.text("insertbefore").map(str::to_owned);
        let after = task.args.text("insertafter").map(str::to_owned);
        let after = if before.is_none() { after.or_else(|| Some("EOF".to_owned())) } else { after };
        let pattern = match (after.as_deref(), before.as_deref()) {
            (Some(after), _) if !matches!(after, "BOF" | "EOF") => Some(compile(after)?),
            (_, Some(before)) if before != "BOF" => Some(compile(before)?),
            _ => None,
        };
        Ok(Self { after, before, pattern })
    }
}

/// The lines as they are to be, and a message when that is a change.
fn edited(task: &Task<'_>, mut lines: Vec<Vec<u8>>) -> Result<(Vec<Vec<u8>>, &'static str)> {
    let finder = Finder::of(task)?;
    let place = Where::of(task)?;
    let (line, first) = (task.args.or_empty("line").as_bytes().to_vec(), task.args.flag("firstmatch"));
    let mut found = None;
    for (number, current) in lines.iter().enumerate() {
        if finder.finds(current)? {
            found = Some(number);
            if first {
                break;
            }
        }
    }
    let (mut exact, mut insert) = (None, None);
    if found.is_none() {
        for (number, current) in lines.iter().enumerate() {
            if edit::bare(current) == line {
                exact = Some(number);
            } else if let Some(pattern) = &place.pattern
                && pattern.found(current).map_err(Fail::crash)?
            {
                insert = Some(if place.after.as_deref().is_some_and(|a| !a.is_empty()) {
                    number + 1
                } else {
                    number
                });
                if first {
                    break;
                }
            }
        }
    }
    let ended = |line: &[u8]| if line.ends_with(b"\n") { line.to_vec() } else { [line, b"\n"].concat() };
    let added = [line.as_slice(), b"\n"].concat();
    if let Some(number) = found.or(exact) {
        let new = match (&finder, found) {
            (Finder::Regexp(pattern), Some(_)) if task.args.flag("backrefs") => {
                let current = lines.get(number).map(Vec::as_slice).unwrap_or_default();
                let text = pattern::as_text(current);
                let groups = pattern.first(&text).map_err(Fail::crash)?;
                let template = task.args.or_empty("line");
                let new = groups
                    .map(|groups| pattern::expanded(template, &groups))
                    .transpose()
                    .map_err(Fail::crash)?;
                match (std::str::from_utf8(current), new.unwrap_or_default()) {
                    (Ok(_), new) => ended(new.as_bytes()),
                    (Err(_), new) => ended(&new.chars().map(|c| c as u32 as u8).collect::<Vec<_>>()),
                }
            }
            _ => ended(&line),
        };
        return Ok(match lines.get_mut(number) {
            Some(current) if *current != new => {
                *current = new;
                (lines, "line replaced")
            }
            _ => (lines, ""),
        });
    }
    if task.args.flag("backrefs") {
        return Ok((lines, ""));
    }
    if place.before.as_deref() == Some("BOF") || place.after.as_deref() == Some("BOF") {
        lines.insert(0, added);
        return Ok((lines, "line added"));
    }
    let Some(number) = insert.filter(|_| place.after.as_deref() != Some("EOF")) else {
        if lines.last().is_some_and(|last| !last.ends_with(b"\n") && !last.ends_with(b"\r")) {
            lines.push(b"\n".to_vec());
        }
        lines.push(added);
        return Ok((lines, "line added"));
    };
    let same = |line: &Vec<u8>| edit::bare(line) == task.args.or_empty("line").as_bytes();
    if place.after.is_some() && lines.get(number).is_some_and(same) {
        return Ok((lines, ""));
    }
    if number == lines.len() && lines.last().is_some_and(|last| !last.ends_with(b"\n")) {
        // The line that was asked for comes on a line of its own.
        lines.extend([b"\n".to_vec(), added]);
    } else {
        lines.insert(number, added);
    }
    Ok((lines, "line added"))
}

fn present(task: &mut Task<'_>, path: &str) -> Done {
    let there = files::exists(Path::new(path));
    if !there && !task.args.flag("create") {
        return Err(Fail::new(format!("Destination {path} does not exist !")).with("rc", 257));
    }
    if !there {
        edit::folder_for(task, path)?;
    }
    let before = if there { read(path)? } else { Vec::new() };
    let (lines, msg) = edited(task, edit::lines(&before))?;
    let after = lines.concat();
    let diff = edit::content_diff(task, path, &before, &after);
    let changed = !msg.is_empty();
    let mut backup = None;
    if changed && !task.check() {
        backup = edit::backup(task, path)?;
        edit::write(task, path, &after)?;
    }
    let backup = backup.unwrap_or_default();
    if task.check() && !there {
        return Ok(map([
            ("changed", changed.into()),
            ("msg", msg.into()),
            ("backup", backup.into()),
            ("diff", diff),
        ]));
    }
    let mut sides = Sides::default();
    let (msg, changed) = edit::rights(task, path, msg, changed, &mut sides)?;
    let diffs = vec![diff, edit::rights_diff(path, sides)];
    Ok(map([
        ("changed", changed.into()),
        ("msg", msg.into()),
        ("backup", backup.into()),
        ("diff", diffs.into()),
    ]))
}

fn read(path: &str) -> Result<Vec<u8>> {
    files::bytes(Path::new(path)).or_fail(|| format!("Task failed: Module failed: {path}"))
}

fn absent(task: &mut Task<'_>, path: &str) -> Done {
    if !files::exists(Path::new(path)) {
        return Ok(map([("changed", false.into()), ("msg", "file not present".into())]));
    }
    let before = read(path)?;
    let finder = Finder::of(task)?;
    let line = task.args.or_empty("line").as_bytes();
    let (mut kept, mut found) = (Vec::new(), 0);
    for current in edit::lines(&before) {
        let gone = match &finder {
            Finder::Neither => edit::bare(&current) == line,
            finder => finder.finds(&current)?,
        };
        if gone {
            found += 1;
        } else {
            kept.push(current);
        }
    }
    let after = kept.concat();
    let diff = edit::content_diff(task, path, &before, &after);
    let mut backup = None;
    if found > 0 && !task.check() {
        backup = edit::backup(task, path)?;
        edit::write(task, path, &after)?;
    }
    let msg = if found > 0 { format!("{found} line(s) removed") } else { String::new() };
    let mut sides = Sides::default();
    let (msg, changed) = edit::rights(task, path, &msg, found > 0, &mut sides)?;
    Ok(map([
        ("changed", changed.into()),
        ("found", found.into()),
        ("msg", msg.into()),
        ("backup", backup.unwrap_or_default().into()),
        ("diff", vec![diff, edit::rights_diff(path, sides)].into()),
    ]))
}
