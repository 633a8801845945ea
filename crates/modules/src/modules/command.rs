//! `command` and `shell`: a program, by words or by the user's shell line.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::base::{Done, Fail, Task, fail, map, words};
use crate::spec::{Arg, Kind, ModuleSpec, Rule, flag, list, path, text};

const ARGS: &[Arg] = &[
    text("_raw_params"),
    flag("_uses_shell", false),
    text("cmd"),
    list("argv"),
    path("chdir"),
    text("executable"),
    flag("expand_argument_vars", true),
    path("creates"),
    path("removes"),
    Arg::new("stdin", Kind::Text),
    flag("stdin_add_newline", true),
    flag("strip_empty_ends", true),
];
const RULES: &[Rule] =
    &[Rule::Exclusive(&["_raw_params", "cmd", "argv"]), Rule::OneOf(&["_raw_params", "cmd", "argv"])];

pub(crate) const COMMAND: ModuleSpec = ModuleSpec::new("command", ARGS, |task| {
    let shell = task.args.flag("_uses_shell");
    run(task, shell)
})
.rules(RULES);
pub(crate) const SHELL: ModuleSpec = ModuleSpec::new("shell", ARGS, |task| run(task, true)).rules(RULES);

fn run(task: &mut Task<'_>, shell: bool) -> Done {
    let executable = task.args.filled("executable").map(str::to_owned);
    if let Some(executable) = executable.as_ref().filter(|_| !shell) {
        task.warn(format!(
            "As of Ansible 2.4, the parameter 'executable' is no longer supported with the 'command' module. Not using '{executable}'."
        ));
    }
    let line = task.args.filled("_raw_params").or(task.args.filled("cmd")).map(str::to_owned);
    let argv = match &line {
        Some(line) if !shell => words::split(line).map_err(Fail::crash)?,
        _ => task.args.list("argv"),
    };
    let cmd: Value = match &line {
        Some(line) if shell => line.trim().into(),
        _ => argv.clone().into(),
    };
    let mut result = map([
        ("changed", false.into()),
        ("stdout", "".into()),
        ("stderr", "".into()),
        ("rc", Value::Null),
        ("cmd", cmd.clone()),
        ("start", Value::Null),
        ("end", Value::Null),
        ("delta", Value::Null),
        ("msg", "".into()),
    ]);
    let folder = task.args.filled("chdir").map(str::to_owned).or_else(|| task.call.cwd.clone());
    if let Some(chdir) = task.args.filled("chdir")
        && std::fs::read_dir(chdir).is_err()
    {
        let msg = "Unable to change directory before execution.".to_owned();
        return Err(Fail { msg, more: result });
    }
    if let Some(reason) = needless(task, folder.as_deref()) {
        let did = if task.check() { "Would" } else { "Did" };
        result.insert("msg".into(), format!("{did} not run command since {}", reason.0).into());
        result.insert("stdout".into(), format!("skipped, since {}", reason.1).into());
        result.insert("rc".into(), 0.into());
        return Ok(result);
    }
    if task.check() {
        result.insert("rc".into(), 0.into());
        result.insert("msg".into(), "Command would have run if not in check mode".into());
        let blind = !task.args.has("creates") && !task.args.has("removes");
        if blind {
            result.insert("skipped".into(), true.into());
        }
        result.insert("changed".into(), (!blind).into());
        return Ok(result);
    }
    let program = match &line {
        Some(line) if shell => {
            vec![executable.unwrap_or_else(|| "/bin/sh".to_owned()), "-c".to_owned(), line.trim().to_owned()]
        }
        _ if shell => {
            let line = argv.iter().map(|word| words::quote(word)).collect::<Vec<_>>().join(" ");
            vec![executable.unwrap_or_else(|| "/bin/sh".to_owned()), "-c".to_owned(), line]
        }
        _ if task.args.flag("expand_argument_vars") => argv.iter().map(|word| task.expand(word)).collect(),
        _ => argv,
    };
    start(task, &program, folder.as_deref(), &mut result)?;
    Ok(result)
}

fn start(
    task: &Task<'_>,
    program: &[String],
    folder: Option<&str>,
    result: &mut Map<String, Value>,
) -> Result<(), Fail> {
    if program.is_empty() {
        return fail("no command given");
    }
    let input = task.args.filled("stdin").map(|input| {
        let end = if task.args.flag("stdin_add_newline") { "\n" } else { "" };
        format!("{input}{end}").into_bytes()
    });
    let start = task.ctx.now();
    let shown = program.iter().map(|word| words::quote(word)).collect::<Vec<_>>().join(" ");
    let ran = task.program(program).folder(folder.map(Path::new)).input(input).run();
    let ran = task.end(ran, shown.into()).map_err(|fail| {
        let mut more = fail.more;
        more.entry("changed").or_insert(false.into());
        Fail { msg: fail.msg, more }
    })?;
    let end = task.ctx.now();
    let strip = |text: String| {
        if task.args.flag("strip_empty_ends") { text.trim_end_matches(['\r', '\n']).to_owned() } else { text }
    };
    let delta = end.duration_since(start).unwrap_or_default();
    let told = [
        ("changed", Value::Bool(true)),
        ("rc", ran.rc.into()),
        ("stdout", strip(ran.out_text()).into()),
        ("stderr", strip(ran.err_text()).into()),
        ("start", moment(start).into()),
        ("end", moment(end).into()),
        ("delta", span(delta).into()),
    ];
    result.extend(told.map(|(key, value)| (key.to_owned(), value)));
    if ran.rc == 0 {
        return Ok(());
    }
    Err(Fail { msg: "non-zero return code".to_owned(), more: std::mem::take(result) })
}

/// Why `creates` or `removes` make the command needless.
fn needless(task: &Task<'_>, folder: Option<&str>) -> Option<(String, String)> {
    let exists = |pattern: &str| {
        let whole =
            folder.map_or_else(|| pattern.to_owned(), |folder| crate::base::files::join(folder, pattern));
        let literal = std::fs::symlink_metadata(&whole).is_ok();
        literal || glob::glob(&whole).is_ok_and(|mut found| found.any(|path| path.is_ok()))
    };
    if let Some(made) = task.args.filled("creates").filter(|made| exists(made)) {
        return Some((format!("'{made}' exists"), format!("{made} exists")));
    }
    let gone = task.args.filled("removes").filter(|gone| !exists(gone))?;
    Some((format!("'{gone}' does not exist"), format!("{gone} does not exist")))
}

/// `2024-01-02 03:04:05.000006`, local time.
pub(crate) fn moment(at: std::time::SystemTime) -> String {
    let Ok(stamp) = Timestamp::try_from(at) else { return String::new() };
    stamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
}

/// `0:00:01.000002`
pub(crate) fn span(took: std::time::Duration) -> String {
    let seconds = took.as_secs();
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    let clock = format!("{hours}:{minutes:02}:{:02}.{:06}", seconds % 60, took.subsec_micros());
    match days {
        0 => clock,
        1 => format!("1 day, {clock}"),
        days => format!("{days} days, {clock}"),
    }
}
