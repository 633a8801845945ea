//! `script` and `raw`: a script of the controller, and a shell line, as they stand.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::base::program::Ran;
use crate::base::{Done, Fail, ResultExt, Task, fail, files, map, words};
use crate::spec::{Arg, ModuleSpec, Rule, flag, text};

const SCRIPT_ARGS: &[Arg] = &[
    text("_raw_params"),
    text("cmd"),
    text("creates"),
    text("removes"),
    text("chdir"),
    text("executable"),
    flag("decrypt", true),
];

pub(crate) const SCRIPT: ModuleSpec = ModuleSpec::new("script", SCRIPT_ARGS, script)
    .rules(&[Rule::OneOf(&["_raw_params", "cmd"]), Rule::Exclusive(&["_raw_params", "cmd"])])
    .plain();
pub(crate) const RAW: ModuleSpec =
    ModuleSpec::new("raw", &[text("_raw_params"), text("executable")], raw).plain();

fn skip(msg: String) -> Done {
    Ok(map([("skipped", true.into()), ("msg", msg.into())]))
}

fn script(task: &mut Task<'_>) -> Done {
    let exists =
        |name: &str| glob::glob(&task.expand(name)).is_ok_and(|mut found| found.any(|path| path.is_ok()));
    let (creates, removes) = (task.args.filled("creates"), task.args.filled("removes"));
    if let Some(made) = creates.filter(|made| exists(made)) {
        return skip(format!("{made} exists, matching creates option"));
    }
    if let Some(gone) = removes.filter(|gone| !exists(gone)) {
        return skip(format!("{gone} does not exist, matching removes option"));
    }
    let chdir = task.args.filled("chdir").map(str::to_owned);
    if let Some(chdir) = chdir.as_ref().filter(|chdir| !chdir.starts_with('/')) {
        return fail(format!("chdir {chdir} must be an absolute path for a Unix-aware remote node"));
    }
    let line =
        task.args.filled("_raw_params").or(task.args.filled("cmd")).unwrap_or_default().trim().to_owned();
    let parts = words::split(&line).map_err(Fail::crash)?;
    let Some(name) = parts.first() else { return fail("no script given") };
    let bytes = task.source.read(name).or_fail(|| format!("Could not find or access '{name}'"))?;
    if task.check() {
        if creates.is_some() || removes.is_some() {
            return Ok(map([("changed", true.into())]));
        }
        return skip("Check mode is not supported for this task.".to_owned());
    }
    let path = task.ctx.temp.join(files::basename(name));
    fs::write(&path, bytes).or_fail(|| files::shown(&path))?;
    fs::set_permissions(&path, Permissions::from_mode(0o700)).or_fail(|| files::shown(&path))?;
    let rest = line.replace(name.as_str(), &words::quote(&files::shown(&path)));
    let line = match task.args.filled("executable") {
        Some(executable) => format!("{executable} {rest}"),
        None => rest,
    };
    let ran = shell(task, "/bin/sh", &line, chdir.as_deref());
    // The script has run; that it cannot be removed is no failure of it.
    let _ = fs::remove_file(&path);
    told(ran?)
}

fn raw(task: &mut Task<'_>) -> Done {
    if task.check() {
        return Ok(map([("skipped", true.into())]));
    }
    let executable = task.args.filled("executable").unwrap_or("/bin/sh").to_owned();
    let line = task.args.or_empty("_raw_params").to_owned();
    told(shell(task, &executable, &line, None)?)
}

fn shell(task: &Task<'_>, executable: &str, line: &str, folder: Option<&str>) -> Result<Ran, Fail> {
    let folder = folder.or(task.call.cwd.as_deref()).map(Path::new);
    task.end(task.program([executable, "-c", line]).folder(folder).run(), line.into())
}

fn told(ran: Ran) -> Done {
    let result = map([
        ("changed", true.into()),
        ("rc", ran.rc.into()),
        ("stdout", ran.out_text().into()),
        ("stderr", ran.err_text().into()),
    ]);
    if ran.rc == 0 {
        return Ok(result);
    }
    let mut result = result;
    result.insert("rc".to_owned(), Value::from(ran.rc));
    Err(Fail { msg: "non-zero return code".to_owned(), more: result })
}
