//! `cron`: jobs and variables in a user's table or a file of `/etc/cron.d`.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::base::replace::{self, Keep};
use crate::base::{Done, Fail, Result, ResultExt, Task, accounts, fail, files, map, python};
use crate::spec::{Arg, ModuleSpec, Rule, flag, path, text};

const ARGS: &[Arg] = &[
    text("name").required(),
    text("user"),
    text("job").aka(&["value"]),
    path("cron_file"),
    text("state").or("present").one_of(&["present", "absent"]),
    flag("backup", false),
    text("minute").or("*"),
    text("hour").or("*"),
    text("day").or("*").aka(&["dom"]),
    text("month").or("*"),
    text("weekday").or("*").aka(&["dow"]),
    text("special_time").one_of(&["reboot", "yearly", "annually", "monthly", "weekly", "daily", "hourly"]),
    flag("disabled", false),
    flag("env", false),
    text("insertafter"),
    text("insertbefore"),
];

pub(crate) const SPEC: ModuleSpec =
    ModuleSpec::new("cron", ARGS, run).rules(&[Rule::Exclusive(&["insertafter", "insertbefore"])]);

/// What stands above a job that a task made.
const MARK: &str = "#Ansible: ";

struct Table {
    /// The file, for tables that are files.
    file: Option<PathBuf>,
    user: Option<String>,
    before: String,
    lines: Vec<String>,
}

fn run(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let name = args.or_empty("name").to_owned();
    let (install, env) = (args.text("state") == Some("present"), args.flag("env"));
    let job = args.text("job").map(str::to_owned);
    let cron_file = args.filled("cron_file").map(str::to_owned);
    if cron_file.as_deref() == Some("/etc/crontab") {
        return fail("Will not manage /etc/crontab via cron_file, see documentation.");
    }
    let mut warnings = Vec::new();
    if let Some(file) = &cron_file {
        let base = files::basename(file);
        if base.is_empty() || !base.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            warnings.push(format!("Filename portion of cron_file (\"{base}\") should consist solely of upper- and lower-case letters, digits, underscores, and hyphens"));
        }
    }
    let mut table = Table::read(task, cron_file.as_deref())?;
    refused(task, &name, cron_file.is_some())?;
    let mut backup = None;
    if args.flag("backup") && !task.check() {
        let file = tempfile::Builder::new().prefix("crontab").tempfile().or_fail(|| "backup".into())?;
        fs::write(file.path(), table.text()).or_fail(|| "backup".into())?;
        let (_, kept) = file.keep().map_err(|error| Fail::new(error.to_string()))?;
        backup = Some(files::shown(&kept));
    }
    let mut changed = if env {
        table.variable(
            &name,
            job.as_deref().filter(|_| install),
            args.filled("insertafter"),
            args.filled("insertbefore"),
        )?
    } else if install {
        let job = job.unwrap_or_default();
        if job.trim_matches(['\r', '\n']).contains(['\r', '\n']) {
            warnings.push("Job should not contain line breaks".to_owned());
        }
        let line = table.line(task, job.trim_matches(['\r', '\n']));
        table.job(&name, &line)
    } else {
        let gone = table.remove(&name);
        if let (true, Some(file), true) =
            (gone, &table.file, table.lines.iter().all(|line| line.trim().is_empty()))
        {
            let there = file.is_file();
            if there && !task.check() {
                fs::remove_file(file).or_fail(|| files::shown(file))?;
            }
            let diff = if task.call.diff {
                json!({"before": table.before, "before_header": files::shown(file), "after": "", "after_header": "/dev/null"})
            } else {
                json!({})
            };
            return Ok(map([
                ("changed", there.into()),
                ("cron_file", cron_file.into()),
                ("state", "absent".into()),
                ("diff", diff),
            ]));
        }
        gone
    };
    if !changed && !table.before.is_empty() && !table.before.ends_with(['\r', '\n']) {
        changed = true;
    }
    let mut result =
        map([("jobs", table.jobs().into()), ("envs", table.variables().into()), ("changed", changed.into())]);
    if !warnings.is_empty() {
        warnings.iter().for_each(|warning| task.warn(warning.clone()));
        result.insert("warnings".into(), warnings.into());
    }
    if changed {
        if task.call.diff {
            result.insert("diff".into(), table.diff());
        }
        if !task.check() {
            table.write(task)?;
        }
    }
    if let Some(backup) = backup {
        if changed {
            result.insert("backup_file".into(), backup.into());
        } else {
            fs::remove_file(&backup).or_fail(|| backup.clone())?;
        }
    }
    if let Some(file) = cron_file {
        result.insert("cron_file".into(), file.into());
    }
    Ok(result)
}

/// What cannot be meant.
fn refused(task: &Task<'_>, name: &str, in_file: bool) -> Result<()> {
    let args = &task.args;
    let (install, env) = (args.text("state") == Some("present"), args.flag("env"));
    let timed = ["minute", "hour", "day", "month", "weekday"].iter().any(|part| args.text(part) != Some("*"));
    let inserted = args.filled("insertafter").or(args.filled("insertbefore")).map(str::to_owned);
    for (wrong, msg) in [
        (
            args.has("special_time") && timed,
            "You cannot combine special_time with any of the time or day/date parameters.",
        ),
        (
            install && in_file && !args.has("user"),
            "To use cron_file=... parameter you must specify user=... as well",
        ),
        (install && !args.has("job"), "You must specify 'job' to install a new cron job or variable"),
        (
            install && inserted.is_some() && !env,
            "Insertafter and insertbefore parameters are valid only with env=yes",
        ),
        (env && name.contains(' '), "Invalid name for environment variable"),
    ] {
        if wrong {
            return fail(msg);
        }
    }
    Ok(())
}

impl Table {
    fn read(task: &Task<'_>, cron_file: Option<&str>) -> Result<Self> {
        let user = task.args.text("user").map(str::to_owned);
        let program = task.need("crontab")?;
        if let Some(file) = cron_file {
            let file = if file.starts_with('/') {
                PathBuf::from(file)
            } else {
                task.ctx.system("etc/cron.d").join(file)
            };
            let before = files::text(&file).unwrap_or_default();
            let lines = python::lines(&before);
            return Ok(Self { file: Some(file), user, before, lines });
        }
        let mut argv = vec![program.to_string_lossy().into_owned()];
        argv.extend(Self::other(task, user.as_deref()));
        argv.push("-l".to_owned());
        let ran = task.run(&argv)?;
        if ran.rc != 0 && ran.rc != 1 {
            return Err(Fail::crash("Unable to read crontab"));
        }
        let mut before = ran.out_text();
        let mut lines = Vec::new();
        for (number, line) in python::lines(&before.clone()).into_iter().enumerate() {
            let head = line.starts_with("# DO NOT EDIT THIS FILE - edit the master and reinstall.")
                || (line.starts_with("# (/tmp/") && line.contains("installed on"))
                || (line.starts_with("# (") && line.contains("version"));
            if number > 2 || !head {
                lines.push(line);
            } else {
                before = before.replacen(&format!("{line}\n"), "", 1);
            }
        }
        Ok(Self { file: None, user, before, lines })
    }

    /// `-u user`, when it is not our own table.
    fn other(task: &Task<'_>, user: Option<&str>) -> Vec<String> {
        let own = accounts::user_with(&task.ctx.root, rustix::process::getuid().as_raw()).map(|own| own.name);
        match user {
            Some(user) if own.as_deref() != Some(user) => vec!["-u".to_owned(), user.to_owned()],
            _ => Vec::new(),
        }
    }

    fn text(&self) -> String {
        let text = self.lines.join("\n");
        let text = text.trim_end_matches(['\r', '\n']);
        if self.lines.is_empty() || (text.is_empty() && self.lines.join("\n").is_empty()) {
            String::new()
        } else {
            format!("{text}\n")
        }
    }

    fn write(&self, task: &Task<'_>) -> Result<()> {
        if let Some(file) = &self.file {
            return replace::with_bytes(file, self.text().as_bytes(), &Keep::Old, false)
                .or_fail(|| files::shown(file));
        }
        let trial = tempfile::Builder::new().prefix("crontab").tempfile().or_fail(|| "crontab".into())?;
        fs::write(trial.path(), self.text()).or_fail(|| "crontab".into())?;
        let mut argv = vec![task.need("crontab")?.to_string_lossy().into_owned()];
        argv.extend(Self::other(task, self.user.as_deref()));
        argv.push(files::shown(trial.path()));
        let ran = task.run(&argv)?;
        if ran.rc != 0 {
            return Err(Fail::new(format!("Failed to install new cronfile: {}", files::shown(trial.path())))
                .with("stderr", ran.err_text())
                .with("stdout", ran.out_text())
                .with("rc", ran.rc));
        }
        Ok(())
    }

    fn line(&self, task: &Task<'_>, job: &str) -> String {
        let off = if task.args.flag("disabled") { "#" } else { "" };
        let user = self
            .file
            .as_ref()
            .map(|_| format!("{} ", self.user.as_deref().unwrap_or_default()))
            .unwrap_or_default();
        if let Some(special) = task.args.text("special_time") {
            return format!("{off}@{special} {user}{job}");
        }
        let times = ["minute", "hour", "day", "month", "weekday"].map(|part| task.args.or_empty(part));
        format!("{off}{} {user}{job}", times.join(" "))
    }

    /// The job's line stands below its mark; true when that changes the table.
    fn job(&mut self, name: &str, line: &str) -> bool {
        let mark = format!("{MARK}{name}");
        let place = self.lines.iter().position(|have| *have == mark).filter(|at| at + 1 < self.lines.len());
        if let Some(at) = place {
            return match self.lines.get_mut(at + 1) {
                Some(have) if have != line => {
                    *have = line.to_owned();
                    true
                }
                _ => false,
            };
        }
        if let Some(at) = self.lines.iter().position(|have| have == line) {
            let above =
                at.checked_sub(1).and_then(|above| self.lines.get(above)).cloned().unwrap_or_default();
            if !above.starts_with(MARK) {
                self.lines.insert(at, mark);
                return true;
            }
        }
        self.lines.extend([mark, line.to_owned()]);
        true
    }

    fn remove(&mut self, name: &str) -> bool {
        let mark = format!("{MARK}{name}");
        let before = self.lines.len();
        let mut skip = false;
        self.lines.retain(|line| {
            if skip {
                skip = false;
                return false;
            }
            skip = *line == mark;
            !skip
        });
        self.lines.len() != before
    }

    fn variable(
        &mut self,
        name: &str,
        value: Option<&str>,
        after: Option<&str>,
        before: Option<&str>,
    ) -> Result<bool> {
        let find = |lines: &[String], name: &str| {
            lines.iter().position(|line| line.starts_with(&format!("{name}=")))
        };
        let place = find(&self.lines, name);
        let Some(value) = value else {
            if let Some(at) = place {
                self.lines.remove(at);
            }
            return Ok(place.is_some());
        };
        let line = format!("{name}=\"{value}\"");
        if let Some(have) = place.and_then(|at| self.lines.get_mut(at)) {
            let changed = *have != line;
            *have = line;
            return Ok(changed);
        }
        let at = match after.or(before) {
            None => 0,
            Some(other) => match find(&self.lines, other) {
                Some(at) => at + usize::from(after.is_some()),
                None => return fail(format!("Variable named '{other}' not found.")),
            },
        };
        self.lines.insert(at, line);
        Ok(true)
    }

    fn jobs(&self) -> Vec<String> {
        self.lines.iter().filter_map(|line| line.strip_prefix(MARK)).map(str::to_owned).collect()
    }

    fn variables(&self) -> Vec<String> {
        let name = |line: &String| {
            let (name, _) = line.split_once('=')?;
            (!name.is_empty() && !name.contains(char::is_whitespace)).then(|| name.to_owned())
        };
        self.lines.iter().filter_map(name).collect()
    }

    fn diff(&self) -> Value {
        let header = match (&self.file, &self.user) {
            (Some(file), _) => files::shown(file),
            (None, Some(user)) => format!("crontab for user \"{user}\""),
            (None, None) => "crontab".to_owned(),
        };
        let mut diff = Map::new();
        diff.insert("before".into(), self.before.clone().into());
        diff.insert("before_header".into(), header.clone().into());
        diff.insert("after".into(), self.text().into());
        diff.insert("after_header".into(), header.into());
        diff.into()
    }
}
