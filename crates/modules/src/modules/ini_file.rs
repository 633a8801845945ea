//! `ini_file`: options in sections of INI files; comments and order stay.

use std::path::Path;

use serde_json::json;

use crate::base::attributes::{Sides, Wanted};
use crate::base::replace::{self, Keep};
use crate::base::{Done, Fail, ResultExt, Task, edit, files, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, list, path, text};

const ARGS: &[Arg] = &[
    path("path").required().aka(&["dest"]),
    text("section"),
    text("option"),
    text("value"),
    list("values"),
    flag("backup", false),
    text("state").or("present").one_of(&["absent", "present"]),
    flag("exclusive", true),
    flag("no_extra_spaces", false),
    flag("ignore_spaces", false),
    flag("allow_no_value", false),
    flag("modify_inactive_option", true),
    flag("create", true),
    flag("follow", false),
];

pub(crate) const SPEC: ModuleSpec =
    ModuleSpec::new("ini_file", ARGS, run).with_file_args().rules(&[Rule::Exclusive(&["value", "values"])]);

/// The option that a line sets, and whether the line is commented out.
fn option_of(line: &str) -> Option<(String, Option<String>, bool)> {
    let trimmed = line.trim();
    let inactive = trimmed.starts_with(['#', ';']);
    let body = trimmed.trim_start_matches(['#', ';', ' ', '\t']);
    if body.is_empty() || body.starts_with('[') {
        return None;
    }
    Some(match body.split_once('=') {
        Some((key, value)) => (key.trim().to_owned(), Some(value.trim().to_owned()), inactive),
        None => (body.to_owned(), None, inactive),
    })
}

fn section_of(line: &str) -> Option<&str> {
    line.trim().strip_prefix('[')?.strip_suffix(']').map(str::trim)
}

fn run(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let path = args.or_empty("path").to_owned();
    let target =
        if args.flag("follow") { files::realpath(Path::new(&path)) } else { Path::new(&path).to_owned() };
    let there = files::exists(&target);
    if !there && !args.flag("create") {
        return Err(Fail::new(format!("Destination {path} does not exist!")).with("rc", 257));
    }
    let before = if there { files::text(&target).or_fail(|| path.clone())? } else { String::new() };
    let (after, msg) = edited(task, &before);
    let changed = after != before;
    let mut backup = None;
    if changed && !task.check() {
        edit::folder_for(task, &path)?;
        backup = edit::backup(task, &path)?;
        replace::with_bytes(&target, after.as_bytes(), &Keep::Old, args.flag("unsafe_writes"))
            .or_fail(|| format!("Unable to write {path}"))?;
    }
    let rights = if task.check() && !there {
        changed
    } else {
        Wanted::of(task).apply(task, &target, &mut Sides::default())?
    };
    let mut result = map([
        ("changed", (changed || rights).into()),
        ("msg", if changed { msg } else { "OK" }.into()),
        ("path", path.clone().into()),
    ]);
    if task.call.diff {
        let header = format!("{path} (content)");
        result.insert(
            "diff".into(),
            json!({"before": before, "after": after, "before_header": header, "after_header": header}),
        );
    }
    if let Some(backup) = backup {
        result.insert("backup_file".into(), backup.into());
    }
    Ok(result)
}

/// The text as it is to be, and what was done to it.
#[expect(clippy::too_many_lines, reason = "the steps share the lines that they change")]
fn edited(task: &Task<'_>, before: &str) -> (String, &'static str) {
    let args = &task.args;
    let mut lines: Vec<String> = before.lines().map(str::to_owned).collect();
    let section = args.filled("section");
    let (present, option) = (args.text("state") == Some("present"), args.filled("option"));
    let mut values = args.list("values");
    values.extend(args.text("value").map(str::to_owned));
    let find = |lines: &[String]| -> Option<(usize, usize)> {
        let next = |from: usize| {
            lines
                .iter()
                .skip(from)
                .position(|line| section_of(line).is_some())
                .map_or(lines.len(), |at| from + at)
        };
        match section {
            None => Some((0, next(0))),
            Some(name) => {
                let at = lines.iter().position(|line| section_of(line) == Some(name))?;
                Some((at + 1, next(at + 1)))
            }
        }
    };
    let write = |value: Option<&String>| match (option, value) {
        (Some(option), Some(value)) => {
            let equals = if args.flag("no_extra_spaces") { "=" } else { " = " };
            format!("{option}{equals}{value}").trim_end().to_owned()
        }
        (option, _) => option.unwrap_or_default().to_owned(),
    };
    let Some((start, end)) = find(&lines) else {
        if !present {
            return (before.to_owned(), "OK");
        }
        lines.push(format!("[{}]", section.unwrap_or_default()));
        if option.is_some() {
            let new: Vec<String> = if values.is_empty() {
                vec![write(None)]
            } else {
                values.iter().map(|v| write(Some(v))).collect()
            };
            lines.extend(new);
        }
        return (lines.join("\n") + "\n", "section and option added");
    };
    let Some(option) = option else {
        if present || section.is_none() {
            return (before.to_owned(), "OK");
        }
        lines.drain(start - 1..end);
        return (finished(lines), "section removed");
    };
    let is = |line: &String, inactive: bool| {
        option_of(line).is_some_and(|(key, _, off)| key == option && off == inactive)
    };
    let mut body: Vec<String> = lines.get(start..end).unwrap_or_default().to_vec();
    let msg;
    if present {
        let same = |line: &String, value: Option<&String>| {
            option_of(line).is_some_and(|(key, have, off)| key == option && !off && have.as_ref() == value)
        };
        let wanted: Vec<Option<&String>> =
            if values.is_empty() { vec![None] } else { values.iter().map(Some).collect() };
        let missing: Vec<Option<&String>> =
            wanted.iter().copied().filter(|value| !body.iter().any(|line| same(line, *value))).collect();
        let had = body.iter().any(|line| is(line, false));
        let free: Vec<usize> = body
            .iter()
            .enumerate()
            .filter(|(_, line)| {
                let unwanted = is(line, false) && !wanted.iter().any(|value| same(line, *value));
                (args.flag("exclusive") && unwanted)
                    || (args.flag("modify_inactive_option") && !had && is(line, true))
            })
            .map(|(at, _)| at)
            .collect();
        msg = if free.is_empty() { "option added" } else { "option changed" };
        let mut places = free.into_iter();
        for value in missing {
            match places.next().and_then(|at| body.get_mut(at)) {
                Some(line) => *line = write(value),
                None => {
                    let last = body.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |at| at + 1);
                    body.insert(last, write(value));
                }
            }
        }
        if args.flag("exclusive") && had {
            let surplus: Vec<usize> = places.collect();
            let mut number = 0;
            body.retain(|_| {
                number += 1;
                !surplus.contains(&(number - 1))
            });
        }
    } else {
        msg = "option changed";
        let all = args.flag("exclusive") || values.is_empty();
        body.retain(|line| {
            let Some((key, have, off)) = option_of(line) else { return true };
            key != option || off || !(all || have.is_some_and(|have| values.contains(&have)))
        });
    }
    lines.splice(start..end, body);
    (if lines.join("\n") == before.trim_end_matches('\n') { before.to_owned() } else { finished(lines) }, msg)
}

fn finished(lines: Vec<String>) -> String {
    if lines.is_empty() { String::new() } else { lines.join("\n") + "\n" }
}

#[cfg(test)]
mod tests {
    use crate::{Call, Context, NoFiles, run};
    use serde_json::{Value, json};

    /// The file after the module ran, and whether it said that something changed.
    fn after(text: &str, mut args: Value) -> (String, bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.ini");
        std::fs::write(&path, text).unwrap();
        args["path"] = json!(path);
        let Value::Object(args) = args else { panic!() };
        let mut ctx = Context::new(folder.path().to_owned(), || std::time::UNIX_EPOCH);
        let call = Call { module: "ini_file".into(), args, ..Call::default() };
        let result = run(&call, &NoFiles, &mut ctx);
        assert!(!result.contains_key("failed"), "{result:?}");
        let again = run(&call, &NoFiles, &mut ctx);
        assert_eq!(again["changed"], json!(false), "a second run changes nothing: {again:?}");
        (std::fs::read_to_string(path).unwrap(), result["changed"] == json!(true))
    }

    #[test]
    fn options_are_set_added_and_removed_in_their_section() {
        let text = "# top\n[a]\nx = 1\n\n[b]\nx = 2\n";
        for (args, expected) in [
            (json!({"section": "b", "option": "x", "value": "3"}), "# top\n[a]\nx = 1\n\n[b]\nx = 3\n"),
            (
                json!({"section": "a", "option": "y", "value": "3"}),
                "# top\n[a]\nx = 1\ny = 3\n\n[b]\nx = 2\n",
            ),
            (
                json!({"section": "c", "option": "y", "value": "3", "no_extra_spaces": true}),
                "# top\n[a]\nx = 1\n\n[b]\nx = 2\n[c]\ny=3\n",
            ),
            (json!({"section": "a", "option": "x", "state": "absent"}), "# top\n[a]\n\n[b]\nx = 2\n"),
            (json!({"section": "a", "state": "absent"}), "# top\n[b]\nx = 2\n"),
            (json!({"section": "b", "option": "x", "value": "2"}), text),
        ] {
            assert_eq!(after(text, args.clone()), (expected.to_owned(), expected != text), "{args}");
        }
    }

    #[test]
    fn an_option_that_is_commented_out_is_put_in_its_place() {
        let got = after("[a]\n#x = 1\ny = 2\n", json!({"section": "a", "option": "x", "value": "5"}));
        assert_eq!(got, ("[a]\nx = 5\ny = 2\n".to_owned(), true));
    }
}
