//! `systemd` (`systemd_service`) and `service`: units run, start at boot, are masked.

use serde_json::{Map, Value};

use super::facts::service_manager;
use crate::base::program::Ran;
use crate::base::{Done, Fail, Result, Task, fail, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, int, maybe, text};

const ARGS: &[Arg] = &[
    text("name").aka(&["service", "unit"]),
    text("state").one_of(&["reloaded", "restarted", "started", "stopped"]),
    maybe("enabled"),
    maybe("force"),
    maybe("masked"),
    flag("daemon_reload", false).aka(&["daemon-reload"]),
    flag("daemon_reexec", false).aka(&["daemon-reexec"]),
    text("scope").or("system").one_of(&["system", "user", "global"]),
    flag("no_block", false),
];

pub(crate) const SPEC: ModuleSpec =
    ModuleSpec::new("systemd", ARGS, run).also(&["systemd_service"]).rules(&[
        Rule::OneOf(&["state", "enabled", "masked", "daemon_reload", "daemon_reexec"]),
        Rule::By("state", &["name"]),
        Rule::By("enabled", &["name"]),
        Rule::By("masked", &["name"]),
    ]);

const SERVICE_ARGS: &[Arg] = &[
    text("name").required(),
    text("state").one_of(&["started", "stopped", "reloaded", "restarted"]),
    int("sleep"),
    text("pattern"),
    maybe("enabled"),
    text("runlevel").or("default"),
    text("arguments").or("").aka(&["args"]),
    text("use").or("auto"),
    maybe("daemon_reload").aka(&["daemon-reload"]),
    maybe("masked"),
    maybe("force"),
    text("scope"),
    maybe("no_block"),
];

pub(crate) const SERVICE: ModuleSpec = ModuleSpec::new("service", SERVICE_ARGS, service)
    .also(&["sysvinit"])
    .rules(&[Rule::OneOf(&["state", "enabled"])]);

/// `systemctl` with the options of the task.
struct Control<'t, 'a> {
    task: &'t Task<'a>,
    start: Vec<String>,
}

impl Control<'_, '_> {
    fn run(&self, words: &[&str]) -> Result<Ran> {
        self.task.run(self.start.iter().map(String::as_str).chain(words.iter().copied()))
    }
}

fn control<'t, 'a>(task: &'t Task<'a>) -> Result<Control<'t, 'a>> {
    let mut start = vec![task.need("systemctl")?.to_string_lossy().into_owned()];
    if let Some(scope) = task.args.filled("scope").filter(|scope| *scope != "system") {
        start.push(format!("--{scope}"));
    }
    if task.args.flag("no_block") {
        start.push("--no-block".to_owned());
    }
    if task.args.flag("force") {
        start.push("--force".to_owned());
    }
    Ok(Control { task, start })
}

/// Properties as `systemctl show` prints them; `Exec…` values may span lines.
fn properties(text: &str) -> Map<String, Value> {
    let mut out = Map::new();
    let mut open: Option<(String, Vec<String>)> = None;
    for line in text.split('\n') {
        if let Some((key, mut lines)) = open.take() {
            lines.push(line.to_owned());
            if line.trim_end().ends_with('}') {
                out.insert(key, lines.join("\n").trim().into());
            } else {
                open = Some((key, lines));
            }
        } else if let Some((key, value)) = line.split_once('=') {
            if key.starts_with("Exec")
                && value.trim_start().starts_with('{')
                && !value.trim_end().ends_with('}')
            {
                open = Some((key.to_owned(), vec![value.to_owned()]));
            } else {
                out.insert(key.to_owned(), value.trim().into());
            }
        }
    }
    out
}

/// Whether `/etc/init.d` has a script of this name.
fn init_script(task: &Task<'_>, name: &str) -> bool {
    !name.contains('/') && task.ctx.system(&format!("etc/init.d/{name}")).exists()
}

fn starts_at_boot(task: &Task<'_>, name: &str) -> bool {
    (2..=5).any(|level| {
        let folder = task.ctx.system(&format!("etc/rc{level}.d"));
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .any(|entry| entry.strip_prefix('S').and_then(|rest| rest.get(2..)) == Some(name))
    })
}

fn missing(name: &str) -> Fail {
    Fail::new(format!("Could not find the requested service {name}: host"))
}

fn run(task: &mut Task<'_>) -> Done {
    let name = task.args.text("name").map(str::to_owned);
    if let Some(name) = &name
        && let Some(wild) = ["*", "?", "["].iter().find(|wild| name.contains(**wild))
    {
        return fail(format!(
            "This module does not currently support using glob patterns, found '{wild}' in service name: {name}"
        ));
    }
    let (check, init) = (task.check(), name.as_deref().is_some_and(|name| init_script(task, name)));
    let mut result =
        map([("name", name.clone().into()), ("changed", false.into()), ("status", Map::new().into())]);
    let offline = task.variable("SYSTEMD_OFFLINE").as_deref() == Some("1");
    let mut warnings = Vec::new();
    let done = {
        let control = control(task)?;
        for (wanted, word) in [("daemon_reload", "daemon-reload"), ("daemon_reexec", "daemon-reexec")] {
            if !task.args.flag(wanted) || check {
                continue;
            }
            let ran = control.run(&[word])?;
            if ran.rc != 0 && offline {
                warnings.push(format!("{word} failed, but target is a chroot or systemd is offline. Continuing. Error was: {} / {}", ran.rc, ran.err_text()));
            } else if ran.rc != 0 {
                return fail(format!("failure {} during {word}: {}", ran.rc, ran.err_text()));
            }
        }
        match &name {
            Some(name) => unit(&control, name, init, offline, &mut result, &mut warnings),
            None => Ok(()),
        }
    };
    warnings.into_iter().for_each(|warning| task.warn(warning));
    done.map(|()| result)
}

fn unit(
    control: &Control<'_, '_>,
    name: &str,
    init: bool,
    offline: bool,
    result: &mut Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let task = control.task;
    let shown = control.run(&["show", name])?;
    let (out, err) = (shown.out_text(), shown.err_text());
    let ignored = |text: &str| {
        !text.contains('=') && (text.contains("ignoring request") || text.contains("ignoring command"))
    };
    let mut status = Map::new();
    let mut known = false;
    if shown.rc == 0 && !ignored(&out) && !ignored(&err) {
        status = properties(&out);
        let load = status.get("LoadState").and_then(Value::as_str);
        known = load.is_some_and(|load| load != "not-found");
        if let (true, Some(error)) =
            (known && load != Some("masked"), status.get("LoadError").and_then(Value::as_str))
        {
            return fail(format!("Error loading unit file '{name}': {error}"));
        }
    } else {
        const STATES: &[&str] = &[
            "enabled",
            "enabled-runtime",
            "linked",
            "linked-runtime",
            "masked",
            "masked-runtime",
            "static",
            "indirect",
            "disabled",
            "generated",
            "transient",
        ];
        known |= STATES.contains(&control.run(&["is-enabled", name])?.out_text().trim());
        known = known || control.run(&["list-unit-files", name])?.rc == 0;
        if !known {
            let ran = control.run(&[])?;
            if ran.rc != 0 {
                return Err(Fail::new(ran.err_text().trim_end())
                    .with("rc", ran.rc)
                    .with("stdout", ran.out_text())
                    .with("stderr", ran.err_text()));
            }
        }
    }
    result.insert("status".into(), status.clone().into());
    let found = known || init;
    if init && !known {
        warnings.push(format!(
            "The service ({name}) is actually an init script but the system is managed by systemd"
        ));
    }
    if let Some(masked) = task.args.maybe("masked")
        && (control.run(&["is-enabled", name])?.out_text().trim() == "masked") != masked
    {
        result.insert("changed".into(), true.into());
        if !task.check() {
            let action = if masked { "mask" } else { "unmask" };
            let ran = control.run(&[action, name])?;
            if ran.rc != 0 {
                return if found {
                    fail(format!("Failed to {action} the service ({name}): {}", ran.err_text().trim()))
                } else {
                    Err(missing(name))
                };
            }
        }
    }
    if let Some(wanted) = task.args.maybe("enabled") {
        if !found {
            return Err(missing(name));
        }
        enable(control, name, init, wanted, result)?;
    }
    if let Some(state) = task.args.text("state") {
        if !found {
            return Err(missing(name));
        }
        change(control, name, state, &status, offline, result, warnings)?;
    }
    Ok(())
}

fn enable(
    control: &Control<'_, '_>,
    name: &str,
    init: bool,
    wanted: bool,
    result: &mut Map<String, Value>,
) -> Result<()> {
    let task = control.task;
    let ran = control.run(&["is-enabled", name, "-l"])?;
    let out = ran.out_text();
    let now = match ran.rc {
        0 => !matches!(out.trim_end(), "enabled-runtime" | "indirect" | "alias"),
        1 => {
            task.args.text("scope").is_none_or(|scope| scope == "system")
                && init
                && !out.trim().ends_with("disabled")
                && starts_at_boot(task, name)
        }
        _ => false,
    };
    result.insert("enabled".into(), now.into());
    if now == wanted {
        return Ok(());
    }
    result.insert("changed".into(), true.into());
    if !task.check() {
        let action = if wanted { "enable" } else { "disable" };
        let ran = control.run(&[action, name])?;
        if ran.rc != 0 {
            return fail(format!("Unable to {action} service {name}: {}{}", ran.out_text(), ran.err_text()));
        }
    }
    result.insert("enabled".into(), wanted.into());
    Ok(())
}

fn change(
    control: &Control<'_, '_>,
    name: &str,
    wanted: &str,
    status: &Map<String, Value>,
    offline: bool,
    result: &mut Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Result<()> {
    result.insert("state".into(), wanted.into());
    let Some(active) = status.get("ActiveState").and_then(Value::as_str) else {
        if offline {
            warnings.push("Target is a chroot or systemd is offline. This can lead to false positives or prevent the init system tools from working.".to_owned());
            return Ok(());
        }
        return Err(Fail::new("Service is in unknown state").with("status", status.clone()));
    };
    let running = matches!(active, "active" | "activating");
    let action = match wanted {
        "started" => (!running).then_some("start"),
        "stopped" => (running || active == "deactivating").then_some("stop"),
        other => {
            result.insert("state".into(), "started".into());
            Some(match (running, other) {
                (false, _) => "start",
                (true, "reloaded") => "reload",
                (true, _) => "restart",
            })
        }
    };
    let Some(action) = action else { return Ok(()) };
    result.insert("changed".into(), true.into());
    if !control.task.check() {
        let ran = control.run(&[action, name])?;
        if ran.rc != 0 {
            return fail(format!("Unable to {action} service {name}: {}", ran.err_text()));
        }
    }
    Ok(())
}

/// `service`: by systemd where it runs, else by the host's `service` program.
fn service(task: &mut Task<'_>) -> Done {
    let wanted = task.args.or_empty("use").to_owned();
    let manager = if wanted == "auto" { service_manager(task) } else { wanted };
    if matches!(manager.as_str(), "systemd" | "ansible.builtin.systemd" | "systemd_service") {
        for name in ["pattern", "runlevel", "sleep", "arguments"] {
            let given = task.call.args.contains_key(name)
                || (name == "arguments" && task.call.args.contains_key("args"));
            if given {
                task.warn(format!("Ignoring \"{name}\" as it is not used in \"systemd\""));
            }
        }
        return run(task);
    }
    by_script(task)
}

fn by_script(task: &mut Task<'_>) -> Done {
    let name = task.args.or_empty("name").to_owned();
    let mut result = map([("name", name.clone().into()), ("changed", false.into())]);
    if let Some(wanted) = task.args.maybe("enabled") {
        result.insert("enabled".into(), wanted.into());
        let now = match task.find("rc-update") {
            Some(program) => {
                task.run([program.as_os_str(), "show".as_ref()])?.out_text().lines().any(|line| {
                    line.split('|').next().is_some_and(|unit| unit.trim() == name) && line.contains("default")
                })
            }
            None => starts_at_boot(task, &name),
        };
        if now != wanted {
            result.insert("changed".into(), true.into());
            if !task.check() {
                switch(task, &name, wanted)?;
            }
        }
    }
    if let Some(wanted) = task.args.text("state").map(str::to_owned) {
        let program = task.find("rc-service").map_or_else(|| task.need("service"), Ok)?;
        let run = |action: &str| task.run([program.as_os_str(), name.as_ref(), action.as_ref()]);
        let running = run("status")?.rc == 0;
        let action = match wanted.as_str() {
            "started" => (!running).then_some("start"),
            "stopped" => running.then_some("stop"),
            "reloaded" => Some(if running { "reload" } else { "start" }),
            _ => Some(if running { "restart" } else { "start" }),
        };
        let shown = if wanted == "stopped" { "stopped" } else { "started" };
        if let Some(action) = action {
            if !task.check() {
                let ran = run(action)?;
                if ran.rc != 0 {
                    let said = if ran.err.is_empty() { ran.out_text() } else { ran.err_text() };
                    return fail(format!("Unable to {action} service {name}: {said}"));
                }
            }
            result.insert("changed".into(), true.into());
        }
        result.insert("state".into(), shown.into());
    }
    Ok(result)
}

fn switch(task: &Task<'_>, name: &str, on: bool) -> Result<()> {
    let ran = if let Some(program) = task.find("rc-update") {
        task.run([
            program.as_os_str(),
            if on { "add" } else { "del" }.as_ref(),
            name.as_ref(),
            "default".as_ref(),
        ])?
    } else if let Some(program) = task.find("update-rc.d") {
        task.run([program.as_os_str(), name.as_ref(), if on { "enable" } else { "disable" }.as_ref()])?
    } else {
        let program = task.need("chkconfig")?;
        task.run([program.as_os_str(), name.as_ref(), if on { "on" } else { "off" }.as_ref()])?
    };
    if ran.rc != 0 {
        return fail(format!(
            "Error when trying to {} {name}: rc={} {}",
            if on { "enable" } else { "disable" },
            ran.rc,
            ran.err_text()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_properties_may_span_lines() {
        let got = properties("A=1\nExecStart={ path=/x\nmore }\nDescription={ open\nB=2\n");
        let got: Vec<(&str, &str)> =
            got.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap())).collect();
        assert_eq!(
            got,
            [("A", "1"), ("B", "2"), ("Description", "{ open"), ("ExecStart", "{ path=/x\nmore }")]
        );
    }
}
