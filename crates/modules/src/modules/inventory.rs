//! `package_facts`, `service_facts` and `reboot`: what is installed, what runs, and starting again.

use serde_json::{Map, Value, json};

use super::facts::package_manager;
use crate::base::{Done, Task, fail, map};
use crate::spec::{ModuleSpec, int, list, text};

pub(crate) const PACKAGES: ModuleSpec = ModuleSpec::new(
    "package_facts",
    &[list("manager").or_list(&["auto"]), text("strategy").or("first").one_of(&["first", "all"])],
    packages,
);
pub(crate) const SERVICES: ModuleSpec = ModuleSpec::new("service_facts", &[], services);
pub(crate) const REBOOT: ModuleSpec = ModuleSpec::new(
    "reboot",
    &[
        int("pre_reboot_delay").or_int(0).aka(&["pre_reboot_delay_sec"]),
        int("post_reboot_delay").or_int(0).aka(&["post_reboot_delay_sec"]),
        int("reboot_timeout").or_int(600).aka(&["reboot_timeout_sec"]),
        int("connect_timeout").aka(&["connect_timeout_sec"]),
        text("test_command").or("whoami"),
        text("msg").or("Reboot initiated by Ansible"),
        list("search_paths").or_list(&["/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin"]),
        text("boot_time_command").or("cat /proc/sys/kernel/random/boot_id"),
        text("reboot_command"),
    ],
    reboot,
);

fn packages(task: &mut Task<'_>) -> Done {
    let mut out: Map<String, Value> = Map::new();
    let mut add = |name: &str, about: Value| {
        if let Value::Array(all) = out.entry(name).or_insert_with(|| json!([])) {
            all.push(about);
        }
    };
    let wanted = task.args.list("manager");
    let auto = wanted.iter().any(|name| name == "auto");
    let manager = if auto {
        package_manager(task).unwrap_or_default().to_owned()
    } else {
        wanted.first().cloned().unwrap_or_default()
    };
    match manager.as_str() {
        "apt" => {
            let program = task.need("dpkg-query")?;
            let form = "-f=${db:Status-Abbrev}\\t${Package}\\t${Version}\\t${Architecture}\\t${Section}\\n";
            let ran = task.run_plain([program.as_os_str(), "-W".as_ref(), form.as_ref()])?;
            for line in ran.out_text().lines() {
                let fields: Vec<&str> = line.split('\t').collect();
                let [status, name, version, architecture, section] = fields.as_slice() else { continue };
                if status.get(1..2) == Some("i") {
                    add(
                        name,
                        json!({"name": name, "version": version, "arch": architecture, "category": section, "origin": "", "source": "apt"}),
                    );
                }
            }
        }
        "dnf" | "dnf5" | "yum" | "rpm" | "zypper" => {
            let program = task.need("rpm")?;
            let form = "%{NAME}\\t%{VERSION}\\t%{RELEASE}\\t%{EPOCH}\\t%{ARCH}\\n";
            let ran =
                task.run_plain([program.as_os_str(), "-qa".as_ref(), "--qf".as_ref(), form.as_ref()])?;
            for line in ran.out_text().lines() {
                let fields: Vec<&str> = line.split('\t').collect();
                let [name, version, release, epoch, architecture] = fields.as_slice() else { continue };
                let architecture =
                    if *architecture == "(none)" { Value::Null } else { (*architecture).into() };
                add(
                    name,
                    json!({"name": name, "version": version, "release": release, "epoch": epoch.parse::<i64>().ok(), "arch": architecture, "source": "rpm"}),
                );
            }
        }
        "apk" => {
            let program = task.need("apk")?;
            let ran = task.run_plain([program.as_os_str(), "info".as_ref(), "-v".as_ref()])?;
            for line in ran.out_text().lines() {
                let parts: Vec<&str> = line.trim().rsplitn(3, '-').collect();
                let [release, version, name] = parts.as_slice() else { continue };
                add(name, json!({"name": name, "version": version, "release": release, "source": "apk"}));
            }
        }
        "pacman" => {
            let program = task.need("pacman")?;
            let ran = task.run_plain([program.as_os_str(), "-Q".as_ref()])?;
            for (name, version) in ran.out_text().lines().filter_map(|line| line.split_once(' ')) {
                add(name, json!({"name": name, "version": version, "source": "pacman"}));
            }
        }
        other => {
            return fail(format!(
                "Could not detect a supported package manager from the following list: apt, rpm, apk, pacman; found {other:?}"
            ));
        }
    }
    Ok(map([("ansible_facts", json!({"packages": out}))]))
}

fn services(task: &mut Task<'_>) -> Done {
    let mut out: Map<String, Value> = Map::new();
    let scripts = std::fs::read_dir(task.ctx.system("etc/init.d")).into_iter().flatten().flatten();
    if let Some(service) = task.find("service").filter(|_| task.ctx.system("etc/init.d").is_dir()) {
        let names: Vec<String> =
            scripts.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let ran = task.run_plain([service.as_os_str(), "--status-all".as_ref()])?;
        for line in ran.out_text().lines().chain(ran.err_text().lines()) {
            let Some((state, name)) = line.trim().strip_prefix('[').and_then(|rest| rest.split_once(']'))
            else {
                continue;
            };
            let (state, name) = (if state.trim() == "+" { "running" } else { "stopped" }, name.trim());
            if names.iter().any(|have| have == name) {
                out.insert(name.to_owned(), json!({"name": name, "state": state, "source": "sysv"}));
            }
        }
    }
    if let Some(systemctl) =
        task.find("systemctl").filter(|_| super::facts::service_manager(task) == "systemd")
    {
        units(task, &systemctl.to_string_lossy(), &mut out)?;
    }
    if out.is_empty() {
        let msg =
            "Failed to find any services. This can be due to privileges or some other configuration issue.";
        return Ok(map([("skipped", true.into()), ("msg", msg.into())]));
    }
    Ok(map([("ansible_facts", json!({"services": out}))]))
}

/// States that count more than whether a unit is active.
const BAD: &[&str] = &["not-found", "masked", "failed"];

fn units(
    task: &mut Task<'_>,
    systemctl: &str,
    out: &mut Map<String, Value>,
) -> Result<(), crate::base::Fail> {
    let ran =
        task.run_plain([systemctl, "list-units", "--no-pager", "--type", "service", "--all", "--plain"])?;
    if ran.rc != 0 {
        task.warn(format!("Could not list units from systemd: {}", ran.err_text()));
    }
    for line in ran.out_text().lines().filter(|line| line.contains(".service")) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, _, active, sub, ..] = fields.as_slice() else { continue };
        let bad = BAD.iter().find(|bad| fields.iter().rev().skip(1).any(|field| field == *bad));
        let state = if *sub == "running" { "running" } else { "stopped" };
        out.insert(
            (*name).to_owned(),
            json!({"name": name, "state": state, "status": bad.unwrap_or(active), "source": "systemd"}),
        );
    }
    let ran = task.run_plain([systemctl, "list-unit-files", "--no-pager", "--type", "service", "--all"])?;
    if ran.rc != 0 {
        task.warn(format!("Could not get unit files data from systemd: {}", ran.err_text()));
    }
    for line in ran.out_text().lines().filter(|line| line.contains(".service")) {
        let mut words = line.split_whitespace();
        let (Some(name), Some(status)) = (words.next(), words.next()) else { continue };
        match out.get_mut(name) {
            Some(Value::Object(known)) => {
                if !known.get("status").and_then(Value::as_str).is_some_and(|status| BAD.contains(&status)) {
                    known.insert("status".into(), status.into());
                }
            }
            _ => {
                let ran = task.run_plain([systemctl, "show", name, "--property=ActiveState"])?;
                let said = ran.out_text();
                let state = if ran.rc == 0 && !said.is_empty() {
                    said.replace("ActiveState=", "").trim_end().to_owned()
                } else {
                    "unknown".to_owned()
                };
                out.insert(
                    name.to_owned(),
                    json!({"name": name, "state": state, "status": status, "source": "systemd"}),
                );
            }
        }
    }
    Ok(())
}

/// A host cannot wait for its own start: the result holds in `_reboot` what the controller does, in order: run
/// `command` (the connection may break), wait `post_delay`, connect again until `timeout` and until `boot_id` differs,
/// then run `test`. All times are in seconds.
fn reboot(task: &mut Task<'_>) -> Done {
    if task.check() {
        return Ok(map([("changed", true.into()), ("elapsed", 0.into()), ("rebooted", true.into())]));
    }
    let args = &task.args;
    let seconds = |name: &str| args.int(name).unwrap_or(0).max(0);
    let command: Vec<String> = match args.filled("reboot_command") {
        Some(line) => crate::base::words::split(line).map_err(crate::base::Fail::crash)?,
        None => {
            let minutes = seconds("pre_reboot_delay") / 60;
            let program = args
                .list("search_paths")
                .iter()
                .map(|folder| format!("{folder}/shutdown"))
                .find(|path| std::path::Path::new(path).exists());
            let program = program
                .map_or_else(|| task.need("shutdown").map(|path| path.to_string_lossy().into_owned()), Ok)?;
            let when = if minutes > 0 { format!("+{minutes}") } else { "+0".to_owned() };
            vec![program, "-r".to_owned(), when, args.or_empty("msg").to_owned()]
        }
    };
    let boot_id = super::facts::boot_id(task);
    let plan = json!({
        "command": command, "boot_id": boot_id, "test": args.or_empty("test_command"),
        "post_delay": seconds("post_reboot_delay"), "timeout": seconds("reboot_timeout"),
        "connect_timeout": args.int("connect_timeout"), "boot_time_command": args.or_empty("boot_time_command"),
    });
    Ok(map([("changed", true.into()), ("rebooted", false.into()), ("_reboot", plan)]))
}

#[cfg(test)]
mod tests {
    use crate::{Call, Context, NoFiles, run};

    #[test]
    fn reboot_tells_the_controller_what_to_do_and_does_nothing_itself() {
        let folder = tempfile::tempdir().unwrap();
        let mut ctx = Context::new(folder.path().to_owned(), || std::time::UNIX_EPOCH);
        let mut call = Call { module: "reboot".into(), ..Call::default() };
        call.args.insert("reboot_command".into(), "/bin/restart 'in a moment'".into());
        let result = run(&call, &NoFiles, &mut ctx);
        assert_eq!(result["_reboot"]["command"], serde_json::json!(["/bin/restart", "in a moment"]));
        assert_eq!(result["_reboot"]["timeout"], 600);
        call.check = true;
        assert_eq!(run(&call, &NoFiles, &mut ctx)["rebooted"], true);
    }
}
