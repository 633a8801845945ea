//! `sysctl`, `modprobe`, `hostname`, `timezone`, `locale_gen`, `alternatives`, `debconf`: settings of the system.

use std::path::Path;

use serde_json::{Value, json};

use crate::base::program::Ran;
use crate::base::replace::{self, Keep};
use crate::base::{Done, Fail, Result, ResultExt, Task, fail, files, map};
use crate::spec::{Arg, Kind, ModuleSpec, Rule, flag, int, list, path, text};

pub(crate) const SYSCTL: ModuleSpec = ModuleSpec::new(
    "sysctl",
    &[
        text("name").required().aka(&["key"]),
        text("value").aka(&["val"]),
        text("state").or("present").one_of(&["present", "absent"]),
        flag("reload", true),
        flag("sysctl_set", false),
        flag("ignoreerrors", false),
        path("sysctl_file").or("/etc/sysctl.conf"),
    ],
    sysctl,
)
.rules(&[Rule::IfAll("state", "present", &["value"])]);

pub(crate) const MODPROBE: ModuleSpec = ModuleSpec::new(
    "modprobe",
    &[
        text("name").required(),
        text("state").or("present").one_of(&["absent", "present"]),
        text("params").or(""),
        text("persistent").or("disabled").one_of(&["disabled", "present", "absent"]),
    ],
    modprobe,
);

pub(crate) const HOSTNAME: ModuleSpec =
    ModuleSpec::new("hostname", &[text("name").required(), text("use")], hostname);

pub(crate) const TIMEZONE: ModuleSpec = ModuleSpec::new(
    "timezone",
    &[text("name"), text("hwclock").aka(&["rtc"]).one_of(&["local", "UTC"])],
    timezone,
)
.rules(&[Rule::OneOf(&["hwclock", "name"])]);

pub(crate) const LOCALE_GEN: ModuleSpec = ModuleSpec::new(
    "locale_gen",
    &[list("name").required(), text("state").or("present").one_of(&["absent", "present"])],
    locale_gen,
);

pub(crate) const ALTERNATIVES: ModuleSpec = ModuleSpec::new(
    "alternatives",
    &[
        text("name").required(),
        path("path"),
        text("family"),
        path("link"),
        int("priority"),
        text("state").or("selected").one_of(&["present", "selected", "absent", "auto"]),
        Arg::new("subcommands", Kind::List).aka(&["slaves"]).with(&[
            path("link"),
            text("name"),
            path("path"),
        ]),
    ],
    alternatives,
);

pub(crate) const DEBCONF: ModuleSpec = ModuleSpec::new(
    "debconf",
    &[
        text("name").required().aka(&["pkg"]),
        text("question").aka(&["selection", "setting"]),
        text("vtype").one_of(&[
            "boolean",
            "error",
            "multiselect",
            "note",
            "password",
            "seen",
            "select",
            "string",
            "text",
            "title",
        ]),
        Arg::new("value", Kind::Raw).aka(&["answer"]),
        flag("unseen", false),
    ],
    debconf,
)
.rules(&[Rule::Together(&["question", "vtype", "value"])]);

fn good(ran: Ran, what: &str) -> Result<Ran> {
    if ran.rc == 0 {
        return Ok(ran);
    }
    Err(Fail::new(format!("{what}: {}{}", ran.out_text(), ran.err_text()).trim_end()).with("rc", ran.rc))
}

/// A value of the kernel with one blank between its words.
fn squeezed(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn sysctl(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let (name, state) = (args.or_empty("name").to_owned(), args.or_empty("state").to_owned());
    if name.is_empty()
        || name.starts_with('-')
        || name.split(['.', '/']).any(|part| part == "..")
        || name.contains(char::is_whitespace)
    {
        return fail(format!("name cannot be {name:?}"));
    }
    let value = args.text("value").map(|value| match value.trim() {
        "True" | "true" | "yes" | "on" => "1".to_owned(),
        "False" | "false" | "no" | "off" => "0".to_owned(),
        other => other.to_owned(),
    });
    if state == "present" && value.as_deref().is_none_or(str::is_empty) {
        return fail("value cannot be None");
    }
    let file = args.or_empty("sysctl_file").to_owned();
    let before = files::text(Path::new(&file)).unwrap_or_default();
    let key = |line: &str| -> Option<(String, String)> {
        let line = line.trim();
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with(['#', ';']))?;
        Some((key.trim().to_owned(), value.trim().to_owned()))
    };
    let mut lines: Vec<String> = Vec::new();
    let mut placed = false;
    for line in before.lines() {
        match key(line) {
            Some((have, old)) if have == name => {
                if state == "present" && !placed {
                    let wanted = value.as_deref().unwrap_or_default();
                    let same = squeezed(&old) == squeezed(wanted);
                    lines.push(if same { line.to_owned() } else { format!("{name}={wanted}") });
                    placed = true;
                }
            }
            _ => lines.push(line.to_owned()),
        }
    }
    if state == "present" && !placed {
        lines.push(format!("{name}={}", value.as_deref().unwrap_or_default()));
    }
    let after = if lines.is_empty() { String::new() } else { lines.join("\n") + "\n" };
    let file_changes = after.trim_end() != before.trim_end();
    let program = task.need("sysctl")?.to_string_lossy().into_owned();
    let mut set = false;
    if args.flag("sysctl_set") && state == "present" {
        let now = task.run([program.as_str(), "-e", "-n", &name])?;
        set = squeezed(&now.out_text()) != squeezed(value.as_deref().unwrap_or_default());
    }
    if !task.check() {
        let quiet = if args.flag("ignoreerrors") { vec!["-e"] } else { Vec::new() };
        if set {
            let pair = format!("{name}={}", value.as_deref().unwrap_or_default());
            let argv = [vec![program.as_str()], quiet.clone(), vec!["-w", &pair]].concat();
            good(task.run(argv)?, &format!("setting {name} failed"))?;
        }
        if file_changes {
            replace::with_bytes(Path::new(&file), after.as_bytes(), &Keep::Old, false)
                .or_fail(|| format!("Failed to write {file}"))?;
            if args.flag("reload") {
                let argv = [vec![program.as_str()], quiet, vec!["-p", &file]].concat();
                good(task.run(argv)?, "Failed to reload sysctl")?;
            }
        }
    }
    Ok(task.changed(file_changes || set))
}

fn modprobe(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let (name, params, state) = (
        args.or_empty("name").to_owned(),
        args.or_empty("params").to_owned(),
        args.or_empty("state").to_owned(),
    );
    if name.is_empty() || name.starts_with('-') || name.contains('/') {
        return fail(format!("{name} cannot be the name of a module"));
    }
    let plain = name.replace('-', "_");
    let loaded = files::text(&task.ctx.system("proc/modules")).unwrap_or_default();
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let built_in =
        files::text(&task.ctx.system(&format!("lib/modules/{release}/modules.builtin"))).unwrap_or_default();
    let there = loaded.lines().any(|line| line.split(' ').next() == Some(plain.as_str()))
        || built_in.lines().any(|line| {
            files::basename(line).split('.').next().is_some_and(|have| have.replace('-', "_") == plain)
        });
    let program = task.need("modprobe")?.to_string_lossy().into_owned();
    let mut changed = false;
    if (state == "present") != there {
        changed = true;
        if !task.check() {
            let words = crate::base::words::split(&params).map_err(Fail::crash)?;
            let mut argv = vec![program];
            if state == "absent" {
                argv.push("-r".into());
            }
            argv.push(name.clone());
            if state == "present" {
                argv.extend(words);
            }
            let ran = task.run(&argv)?;
            if ran.rc != 0 {
                return Err(Fail::new(ran.err_text())
                    .with("rc", ran.rc)
                    .with("stdout", ran.out_text())
                    .with("stderr", ran.err_text()));
            }
        }
    }
    changed |= persist(task, &name, &params)?;
    Ok(map([
        ("changed", changed.into()),
        ("name", name.into()),
        ("params", params.into()),
        ("state", state.into()),
    ]))
}

/// Whether the module is loaded at boot, by files of its own.
fn persist(task: &Task<'_>, name: &str, params: &str) -> Result<bool> {
    let wanted = task.args.or_empty("persistent");
    if wanted == "disabled" {
        return Ok(false);
    }
    let mut changed = false;
    let options = if params.is_empty() { None } else { Some(format!("options {name} {params}\n")) };
    for (path, text) in [
        (format!("etc/modules-load.d/{name}.conf"), Some(format!("{name}\n"))),
        (format!("etc/modprobe.d/{name}.conf"), options),
    ] {
        let path = task.ctx.system(&path);
        let have = files::text(&path).ok();
        let text = text.filter(|_| wanted == "present");
        if have == text {
            continue;
        }
        changed = true;
        if !task.check() {
            match text {
                Some(text) => replace::with_bytes(&path, text.as_bytes(), &Keep::Old, false),
                None => std::fs::remove_file(&path),
            }
            .or_fail(|| files::shown(&path))?;
        }
    }
    Ok(changed)
}

fn hostname(task: &mut Task<'_>) -> Done {
    let name = task.args.or_empty("name").to_owned();
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    if name.is_empty() || name.len() > 253 || name.starts_with(['-', '.']) || !name.chars().all(allowed) {
        return fail(format!("{name} is not the name of a host: letters, digits, '-' and '.', at most 253"));
    }
    let now = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let file = task.ctx.system("etc/hostname");
    let stored = files::text(&file).unwrap_or_default();
    let stored = stored
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .unwrap_or_default()
        .to_owned();
    let changed = now != name || stored != name;
    if changed && !task.check() {
        let control = task.find("hostnamectl").filter(|_| task.ctx.system("run/systemd/system").exists());
        match control {
            Some(program) => {
                for kind in ["--static", "--transient", "--pretty"] {
                    let argv = [program.as_os_str(), kind.as_ref(), "set-hostname".as_ref(), name.as_ref()];
                    good(task.run(argv)?, "Command failed")?;
                }
            }
            None => {
                replace::with_bytes(&file, format!("{name}\n").as_bytes(), &Keep::Old, false)
                    .or_fail(|| files::shown(&file))?;
                let program = task.need("hostname")?;
                good(task.run([program.as_os_str(), name.as_ref()])?, "Command failed")?;
            }
        }
    }
    let short = name.split('.').next().unwrap_or_default();
    let domain = name.split_once('.').map_or("", |(_, domain)| domain);
    let facts = json!({"ansible_hostname": short, "ansible_nodename": name, "ansible_fqdn": name, "ansible_domain": domain});
    let mut result =
        map([("changed", changed.into()), ("name", name.clone().into()), ("ansible_facts", facts)]);
    if changed && task.call.diff {
        result.insert(
            "diff".into(),
            json!({"before": format!("hostname = {now}\n"), "after": format!("hostname = {name}\n")}),
        );
    }
    Ok(result)
}

fn timezone(task: &mut Task<'_>) -> Done {
    let (wanted, clock) =
        (task.args.filled("name").map(str::to_owned), task.args.filled("hwclock").map(str::to_owned));
    let link = task.ctx.system("etc/localtime");
    let target = files::shown(&std::fs::read_link(&link).unwrap_or_default());
    let zone = target.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned());
    let zone = zone
        .or_else(|| files::text(&task.ctx.system("etc/timezone")).ok().map(|text| text.trim().to_owned()))
        .unwrap_or_default();
    let adjusted = files::text(&task.ctx.system("etc/adjtime")).unwrap_or_default();
    let now_clock = if adjusted.lines().any(|line| line.trim() == "LOCAL") { "local" } else { "UTC" };
    let mut changed = false;
    if let Some(wanted) = &wanted {
        let file = task.ctx.system(&format!("usr/share/zoneinfo/{wanted}"));
        if wanted.starts_with(['-', '/']) || wanted.split('/').any(|part| part == "..") || !file.is_file() {
            return fail(format!("given timezone \"{wanted}\" is not available"));
        }
        changed |= zone != *wanted;
        if zone != *wanted && !task.check() {
            match task.find("timedatectl").filter(|_| task.ctx.system("run/systemd/system").exists()) {
                Some(program) => drop(good(
                    task.run([program.as_os_str(), "set-timezone".as_ref(), wanted.as_ref()])?,
                    "set-timezone failed",
                )?),
                None => {
                    let beside = task.ctx.system("etc/.localtime.new");
                    let _ = std::fs::remove_file(&beside);
                    std::os::unix::fs::symlink(format!("/usr/share/zoneinfo/{wanted}"), &beside)
                        .and_then(|()| std::fs::rename(&beside, &link))
                        .or_fail(|| files::shown(&link))?;
                    let text = task.ctx.system("etc/timezone");
                    if text.exists() {
                        replace::with_bytes(&text, format!("{wanted}\n").as_bytes(), &Keep::Old, false)
                            .or_fail(|| files::shown(&text))?;
                    }
                }
            }
        }
    }
    if let Some(clock) = clock.as_ref().filter(|clock| clock.as_str() != now_clock) {
        changed = true;
        if !task.check() {
            let program = task.need("timedatectl")?;
            let local = if clock == "local" { "yes" } else { "no" };
            good(
                task.run([program.as_os_str(), "set-local-rtc".as_ref(), local.as_ref()])?,
                "set-local-rtc failed",
            )?;
        }
    }
    let mut result = task.changed(changed);
    if changed {
        let mut before = serde_json::Map::new();
        let mut after = serde_json::Map::new();
        if let Some(wanted) = wanted {
            before.insert("name".into(), zone.into());
            after.insert("name".into(), wanted.into());
        }
        if let Some(clock) = clock {
            before.insert("hwclock".into(), now_clock.into());
            after.insert("hwclock".into(), clock.into());
        }
        result.insert("diff".into(), json!({"before": before, "after": after}));
    }
    Ok(result)
}

fn locale_gen(task: &mut Task<'_>) -> Done {
    let (names, present) = (task.args.list("name"), task.args.text("state") == Some("present"));
    let file = task.ctx.system("etc/locale.gen");
    let before = files::text(&file)
        .map_err(|_| Fail::new("/etc/locale.gen is missing; install the package that holds it (locales)"))?;
    let mut lines: Vec<String> = before.lines().map(str::to_owned).collect();
    let named = |line: &str| {
        line.trim_start_matches(['#', ' ']).split_whitespace().next().unwrap_or_default().to_owned()
    };
    for name in &names {
        let Some(line) = lines.iter_mut().find(|line| named(line) == *name) else {
            return fail(format!("The locales you've entered are not available on your system: {name}"));
        };
        let rest = line.trim_start_matches(['#', ' ']).to_owned();
        let on = !line.trim_start().starts_with('#');
        if on != present {
            *line = if present { rest } else { format!("# {rest}") };
        }
    }
    let after = lines.join("\n") + "\n";
    let changed = after != before;
    if changed && !task.check() {
        replace::with_bytes(&file, after.as_bytes(), &Keep::Old, false).or_fail(|| files::shown(&file))?;
        let program = task.need("locale-gen")?;
        good(task.run([program.as_os_str()])?, "locale-gen failed")?;
    }
    Ok(map([("changed", changed.into()), ("name", names.into())]))
}

fn alternatives(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let name = args.or_empty("name").to_owned();
    let program = task
        .find("update-alternatives")
        .map_or_else(|| task.need("alternatives"), Ok)?
        .to_string_lossy()
        .into_owned();
    let query = task.run_plain([program.as_str(), "--query", &name])?;
    let said = query.out_text();
    let value =
        |key: &str| said.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned());
    let (current, mode, link) = (value("Value:"), value("Status:"), value("Link:"));
    let known: Vec<String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("Alternative:"))
        .map(|path| path.trim().to_owned())
        .collect();
    let state = args.or_empty("state").to_owned();
    let path = args.filled("path").map(str::to_owned);
    let mut steps: Vec<Vec<String>> = Vec::new();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match (state.as_str(), &path) {
        ("auto", _) => {
            if mode.as_deref() != Some("auto") {
                steps.push(words(&["--auto", &name]));
            }
        }
        (_, None) => return fail("path is required unless state is auto"),
        ("absent", Some(path)) => {
            if known.contains(path) {
                steps.push(words(&["--remove", &name, path]));
            }
        }
        (state, Some(path)) => {
            if !known.contains(path) {
                if !files::exists(Path::new(path)) {
                    return fail(format!("Specified path {path} does not exist"));
                }
                let Some(link) = args.filled("link").map(str::to_owned).or(link) else {
                    return fail(
                        "Needed to install the alternative, but unable to do so as we are missing the link",
                    );
                };
                let priority = args.int("priority").unwrap_or(50).to_string();
                let mut install = words(&["--install", &link, &name, path, &priority]);
                for sub in args.get("subcommands").and_then(Value::as_array).into_iter().flatten() {
                    let part =
                        |key: &str| sub.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                    install.extend(["--slave".to_owned(), part("link"), part("name"), part("path")]);
                }
                steps.push(install);
            }
            if state == "selected" && current.as_ref() != Some(path) {
                steps.push(words(&["--set", &name, path]));
            }
        }
    }
    let changed = !steps.is_empty();
    if !task.check() {
        for step in steps {
            good(task.run_plain(std::iter::once(&program).chain(&step))?, "update-alternatives failed")?;
        }
    }
    Ok(task.changed(changed))
}

fn debconf(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let (package, question) = (args.or_empty("name").to_owned(), args.filled("question").map(str::to_owned));
    if package.starts_with('-') {
        return fail(format!("{package} cannot be the name of a package"));
    }
    let show = task.need("debconf-show")?.to_string_lossy().into_owned();
    let ran = good(task.run_plain([show.as_str(), &package])?, "debconf-show failed")?;
    let said = ran.out_text();
    let previous: serde_json::Map<String, Value> = said
        .lines()
        .filter_map(|line| line.trim_start_matches(['*', ' ']).split_once(':'))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().into()))
        .collect();
    let mut result =
        map([("changed", false.into()), ("msg", "".into()), ("current", previous.clone().into())]);
    let (Some(question), Some(vtype)) = (question, args.filled("vtype").map(str::to_owned)) else {
        return Ok(result);
    };
    let value = match args.get("value") {
        Some(Value::Bool(truth)) => truth.to_string(),
        Some(Value::Array(items)) => {
            items.iter().map(crate::base::python::text).collect::<Vec<_>>().join(", ")
        }
        other => other.map(crate::base::python::text).unwrap_or_default(),
    };
    let value = if vtype == "boolean" { value.to_lowercase() } else { value };
    if [&question, &value].iter().any(|text| text.contains('\n')) {
        return fail("question and value must be one line");
    }
    let have = previous.get(&question).and_then(Value::as_str).map(str::to_owned);
    let changed = if vtype == "password" { true } else { have.as_deref() != Some(value.as_str()) };
    if changed {
        result.insert("changed".into(), true.into());
        if !task.check() {
            let set = task.need("debconf-set-selections")?.to_string_lossy().into_owned();
            let mut argv = vec![set];
            argv.extend(args.flag("unseen").then(|| "-u".to_owned()));
            let line = format!("{package} {question} {vtype} {value}\n");
            let ran = task.program(&argv).input(Some(line.into_bytes())).run();
            good(task.end(ran, argv.clone().into())?, "debconf-set-selections failed")?;
        }
        let mut current = previous.clone();
        current.insert(question.clone(), value.clone().into());
        result.insert("previous".into(), previous.into());
        result.insert("current".into(), json!({question: value}));
    }
    Ok(result)
}
