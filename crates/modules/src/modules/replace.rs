//! `replace`: all matches of a pattern in a file become something else.

use std::path::Path;

use serde_json::json;

use crate::base::attributes::Sides;
use crate::base::pattern::{Flags, Pattern};
use crate::base::{Done, Fail, ResultExt, Task, edit, fail, files, map};
use crate::spec::{Arg, ModuleSpec, flag, path, text};

const ARGS: &[Arg] = &[
    path("path").required().aka(&["dest", "destfile", "name"]),
    text("regexp").required(),
    text("replace").or(""),
    text("after"),
    text("before"),
    flag("backup", false),
    text("validate"),
    text("encoding").or("utf-8"),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("replace", ARGS, run).with_file_args();

fn run(task: &mut Task<'_>) -> Done {
    let path = task.args.or_empty("path").to_owned();
    let file = Path::new(&path);
    if file.is_dir() {
        return Err(Fail::new(format!("Path {path} is a directory !")).with("rc", 256));
    }
    if !files::exists(file) {
        return Err(Fail::new(format!("Path {path} does not exist !")).with("rc", 257));
    }
    let bytes = files::bytes(file).or_fail(|| format!("Unable to read the contents of '{path}'."))?;
    let latin =
        matches!(task.args.or_empty("encoding").to_lowercase().as_str(), "latin-1" | "latin1" | "iso-8859-1");
    let text = match (latin, String::from_utf8(bytes)) {
        (false, Ok(text)) => text,
        (true, other) => other
            .map_or_else(|raw| raw.into_bytes(), String::into_bytes)
            .iter()
            .map(|byte| char::from(*byte))
            .collect(),
        (false, Err(_)) => {
            return fail(format!("{path} is not UTF-8; set encoding to latin-1 to edit it byte by byte"));
        }
    };
    let limits = match (task.args.filled("after"), task.args.filled("before")) {
        (Some(after), Some(before)) => Some(format!("{after}(?P<subsection>.*?){before}")),
        (Some(after), None) => Some(format!("{after}(?P<subsection>.*)")),
        (None, Some(before)) => Some(format!("(?P<subsection>.*){before}")),
        (None, None) => None,
    };
    let (mut from, mut to) = (0, text.len());
    if let Some(limits) = &limits {
        let flags = Flags { dot_all: true, ..Flags::default() };
        let pattern = Pattern::new(limits, flags).map_err(Fail::crash)?;
        let found = pattern.first(&text).map_err(Fail::crash)?.and_then(|found| found.name("subsection"));
        let Some(section) = found else {
            let msg = format!("Pattern for before/after params did not match the given file: {limits}");
            return Ok(map([("rc", 0.into()), ("msg", msg.into()), ("changed", false.into())]));
        };
        (from, to) = (section.start(), section.end());
    }
    let section = text.get(from..to).unwrap_or_default();
    let flags = Flags { lines: true, ..Flags::default() };
    let pattern = Pattern::new(task.args.or_empty("regexp"), flags).map_err(Fail::crash)?;
    let (new, count) = pattern
        .replace_all(section, task.args.or_empty("replace"))
        .map_err(|why| Fail::new(format!("Unable to process replace due to error: {why}")))?;
    let mut result = map([("rc", 0.into())]);
    let (mut msg, changed) = (String::new(), count > 0 && new != section);
    if changed {
        msg = format!("{count} replacements made");
        let whole = [text.get(..from).unwrap_or_default(), &new, text.get(to..).unwrap_or_default()].concat();
        if task.call.diff {
            let diff = json!({"before_header": path, "before": text, "after_header": path, "after": whole});
            result.insert("diff".to_owned(), diff);
        }
        if !task.check() {
            if let Some(backup) = edit::backup(task, &path)? {
                result.insert("backup_file".to_owned(), backup.into());
            }
            let bytes =
                if latin { whole.chars().map(|c| c as u32 as u8).collect() } else { whole.into_bytes() };
            edit::write(task, &path, &bytes)?;
        }
    }
    let (msg, changed) = edit::rights(task, &path, &msg, changed, &mut Sides::default())?;
    result.insert("msg".to_owned(), msg.into());
    result.insert("changed".to_owned(), changed.into());
    Ok(result)
}
