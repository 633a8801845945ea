//! `mount`, `acl`, `capabilities` and `pam_limits`: file systems and rights beyond the usual ones.

use std::path::Path;

use serde_json::Value;

use crate::base::replace::{self, Keep};
use crate::base::{Done, Fail, Result, ResultExt, Task, edit, fail, files, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, path, text};

const ARGS: &[Arg] = &[
    path("path").required().aka(&["name"]),
    path("src"),
    text("fstype"),
    text("opts"),
    flag("opts_no_log", false),
    text("dump").or("0"),
    text("passno").or("0"),
    path("fstab"),
    flag("boot", true),
    text("state").required().one_of(&[
        "absent",
        "absent_from_fstab",
        "mounted",
        "present",
        "unmounted",
        "remounted",
        "ephemeral",
    ]),
    flag("backup", false),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("mount", ARGS, mount).rules(&[
    Rule::IfAll("state", "mounted", &["src", "fstype"]),
    Rule::IfAll("state", "present", &["src", "fstype"]),
    Rule::IfAll("state", "ephemeral", &["src", "fstype"]),
]);

pub(crate) const ACL: ModuleSpec = ModuleSpec::new(
    "acl",
    &[
        path("path").required().aka(&["name"]),
        text("entry"),
        text("entity").or(""),
        text("etype").one_of(&["group", "mask", "other", "user"]),
        text("permissions"),
        text("state").or("query").one_of(&["absent", "present", "query"]),
        flag("follow", true),
        flag("default", false),
        flag("recursive", false),
        text("recalculate_mask").or("default").one_of(&["default", "mask", "no_mask"]),
        flag("use_nfsv4_acls", false),
    ],
    acl,
);

pub(crate) const CAPABILITIES: ModuleSpec = ModuleSpec::new(
    "capabilities",
    &[
        path("path").required().aka(&["key"]),
        text("capability").required().aka(&["cap"]),
        text("state").or("present").one_of(&["absent", "present"]),
    ],
    capabilities,
);

pub(crate) const PAM_LIMITS: ModuleSpec = ModuleSpec::new(
    "pam_limits",
    &[
        text("domain").required(),
        text("limit_type").required().one_of(&["hard", "soft", "-"]),
        text("limit_item").required().one_of(&[
            "core",
            "data",
            "fsize",
            "memlock",
            "nofile",
            "rss",
            "stack",
            "cpu",
            "nproc",
            "as",
            "maxlogins",
            "maxsyslogins",
            "priority",
            "locks",
            "sigpending",
            "msgqueue",
            "nice",
            "rtprio",
            "chroot",
        ]),
        text("value").required(),
        flag("use_max", false),
        flag("use_min", false),
        flag("backup", false),
        path("dest").or("/etc/security/limits.conf"),
        text("comment").or(""),
    ],
    pam_limits,
);

/// Blanks as `fstab` writes them.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012")
}

/// `fstab` as it is to be: the line of this mount set, or gone.
fn table(before: &str, target: &str, line: Option<&str>) -> String {
    let (mut out, mut done) = (Vec::new(), false);
    for have in before.lines() {
        let words: Vec<&str> = have.split_whitespace().collect();
        let ours = !have.trim_start().starts_with('#')
            && words.len() >= 4
            && words.get(1) == Some(&target)
            && words.get(2) != Some(&"swap");
        match (ours, line) {
            (false, _) => out.push(have.to_owned()),
            (true, Some(line)) if !done => {
                done = true;
                out.push(if same(have, line) { have.to_owned() } else { line.to_owned() });
            }
            _ => {}
        }
    }
    if let Some(line) = line.filter(|_| !done) {
        out.push(line.to_owned());
    }
    if out.is_empty() { String::new() } else { out.join("\n") + "\n" }
}

/// The same mount, with the numbers at the end as they count when they are missing.
fn same(a: &str, b: &str) -> bool {
    let fields = |line: &str| {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        words.resize(6.max(words.len()), "0".to_owned());
        words
    };
    fields(a) == fields(b)
}

fn is_mounted(task: &Task<'_>, target: &str) -> bool {
    let text = files::text(&task.ctx.system("proc/self/mounts")).unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').nth(1)).any(|have| have == escaped(target))
}

fn program(task: &Task<'_>, argv: &[&str], what: &str) -> Result<()> {
    let path = task.need(argv.first().copied().unwrap_or_default())?.to_string_lossy().into_owned();
    let ran = task.run(std::iter::once(path.as_str()).chain(argv.iter().skip(1).copied()))?;
    if ran.rc != 0 {
        return Err(Fail::new(format!("{what}: {}{}", ran.out_text(), ran.err_text())).with("rc", ran.rc));
    }
    Ok(())
}

fn mount(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let (state, target) = (args.or_empty("state").to_owned(), args.or_empty("path").to_owned());
    let target = if target.len() > 1 { target.trim_end_matches('/').to_owned() } else { target };
    let file =
        args.filled("fstab").map_or_else(|| task.ctx.system("etc/fstab"), |file| Path::new(file).to_owned());
    let shown = files::shown(&file);
    let before = files::text(&file).unwrap_or_default();
    let (src, kind) = (args.or_empty("src").to_owned(), args.or_empty("fstype").to_owned());
    let mut options = args.filled("opts").unwrap_or("defaults").to_owned();
    if !args.flag("boot") && !options.split(',').any(|option| option == "noauto") {
        options.push_str(",noauto");
    }
    let line = format!(
        "{} {} {} {} {} {}",
        escaped(&src),
        escaped(&target),
        escaped(&kind),
        escaped(&options),
        args.or_empty("dump"),
        args.or_empty("passno")
    );
    let mounted = is_mounted(task, &target);
    let stored = match state.as_str() {
        "mounted" | "present" => table(&before, &escaped(&target), Some(&line)),
        "absent" | "absent_from_fstab" => table(&before, &escaped(&target), None),
        _ => before.clone(),
    };
    let file_changes = stored.trim_end() != before.trim_end();
    let mut changed = file_changes;
    let mut backup = None;
    if file_changes && !task.check() {
        if args.flag("backup") {
            backup = edit::backup(task, &shown)?;
        }
        replace::with_bytes(&file, stored.as_bytes(), &Keep::Old, false).or_fail(|| shown.clone())?;
    }
    let act = !task.check();
    match state.as_str() {
        "mounted" | "ephemeral" => {
            if act && !Path::new(&target).exists() {
                std::fs::create_dir_all(&target).or_fail(|| format!("Error making dir {target}"))?;
            }
            if !mounted {
                changed = true;
            }
            if act && !mounted {
                let by_line =
                    ["mount", "-t", kind.as_str(), "-o", options.as_str(), src.as_str(), target.as_str()];
                let by_table = ["mount", "-T", shown.as_str(), target.as_str()];
                program(
                    task,
                    if state == "mounted" { &by_table } else { &by_line },
                    &format!("Error mounting {target}"),
                )?;
            } else if act && file_changes && mounted && state == "mounted" {
                program(
                    task,
                    &["mount", "-o", &format!("remount,{options}"), &target],
                    &format!("Error remounting {target}"),
                )?;
            }
        }
        "unmounted" | "absent" => {
            if mounted {
                changed = true;
                if act {
                    program(task, &["umount", &target], &format!("Error unmounting {target}"))?;
                }
            }
            if state == "absent" && act && Path::new(&target).is_dir() {
                // Only an empty mount point goes; one with files is not ours to empty.
                let _ = std::fs::remove_dir(&target);
            }
        }
        "remounted" => {
            if !mounted {
                return fail(format!("{target} is not mounted"));
            }
            changed = true;
            if act {
                let option = args
                    .filled("opts")
                    .map_or_else(|| "remount".to_owned(), |opts| format!("remount,{opts}"));
                program(task, &["mount", "-o", &option, &target], &format!("Error remounting {target}"))?;
            }
        }
        _ => {}
    }
    Ok(map([
        ("changed", changed.into()),
        ("name", target.into()),
        ("src", src.into()),
        ("fstype", kind.into()),
        ("opts", options.into()),
        ("boot", if args.flag("boot") { "yes" } else { "no" }.into()),
        ("dump", args.or_empty("dump").into()),
        ("passno", args.or_empty("passno").into()),
        ("fstab", shown.into()),
        ("backup_file", backup.unwrap_or_default().into()),
    ]))
}

fn acl(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let (target, state) = (args.or_empty("path").to_owned(), args.or_empty("state").to_owned());
    if !files::exists(Path::new(&target)) {
        return Err(Fail::new("Path not found or not accessible.").with("path", target));
    }
    let link = if args.flag("follow") { Vec::new() } else { vec!["-h".to_owned()] };
    let list = |task: &Task<'_>| -> Result<Vec<String>> {
        let program = task.need("getfacl")?.to_string_lossy().into_owned();
        let mut argv = vec![program];
        argv.extend(link.clone());
        argv.extend(args.flag("default").then(|| "-d".to_owned()));
        argv.extend(args.flag("recursive").then(|| "-R".to_owned()));
        argv.extend(["--omit-header".to_owned(), "--absolute-names".to_owned(), target.clone()]);
        let ran = task.run(&argv)?;
        if ran.rc != 0 {
            return fail(ran.err_text());
        }
        Ok(ran.out_text().lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
    };
    if state == "query" {
        return Ok(map([
            ("changed", false.into()),
            ("msg", "current acl".into()),
            ("acl", list(task)?.into()),
        ]));
    }
    let entry = match args.filled("entry") {
        Some(entry) => entry.trim_start_matches("default:").trim_start_matches("d:").to_owned(),
        None => {
            let Some(kind) = args.filled("etype") else {
                return fail("'state=present' needs entry or etype");
            };
            let letter = kind.chars().next().unwrap_or('u');
            match (state.as_str(), args.filled("permissions")) {
                ("present", Some(permissions)) => {
                    format!("{letter}:{}:{permissions}", args.or_empty("entity"))
                }
                ("present", None) => return fail("'entry' or 'permissions' is needed with state=present"),
                _ => format!("{letter}:{}", args.or_empty("entity")),
            }
        }
    };
    let program = task.need("setfacl")?.to_string_lossy().into_owned();
    let command = |test: bool| -> Vec<String> {
        let mut argv = vec![program.clone()];
        argv.extend(test.then(|| "--test".to_owned()));
        argv.extend(link.clone());
        argv.extend(args.flag("default").then(|| "-d".to_owned()));
        argv.extend(args.flag("recursive").then(|| "-R".to_owned()));
        match args.or_empty("recalculate_mask") {
            "mask" => argv.push("--mask".to_owned()),
            "no_mask" => argv.push("--no-mask".to_owned()),
            _ => {}
        }
        argv.extend([if state == "present" { "-m" } else { "-x" }.to_owned(), entry.clone(), target.clone()]);
        argv
    };
    let said = task.run(command(true))?;
    if said.rc != 0 {
        return fail(said.err_text());
    }
    let changed = said.out_text().lines().any(|line| !line.ends_with("*,*"));
    if changed && !task.check() {
        let ran = task.run(command(false))?;
        if ran.rc != 0 {
            return fail(ran.err_text());
        }
    }
    let msg = format!("{entry} is {state}");
    Ok(map([("changed", changed.into()), ("msg", msg.into()), ("acl", list(task)?.into())]))
}

fn capabilities(task: &mut Task<'_>) -> Done {
    let (target, wanted) =
        (task.args.or_empty("path").to_owned(), task.args.or_empty("capability").to_lowercase());
    let present = task.args.text("state") == Some("present");
    if target.starts_with('-') || wanted.starts_with('-') {
        return fail("path and capability must not begin with '-'");
    }
    let get = task.need("getcap")?.to_string_lossy().into_owned();
    let ran = task.run([get.as_str(), "-v", &target])?;
    if ran.rc != 0 || !ran.err.is_empty() {
        return Err(Fail::new(format!("Unable to get capabilities of {target}"))
            .with("stdout", ran.out_text())
            .with("stderr", ran.err_text()));
    }
    let text = ran.out_text();
    let rest = text
        .trim()
        .strip_prefix(target.as_str())
        .unwrap_or_default()
        .trim()
        .trim_start_matches("= ")
        .to_owned();
    let now: Vec<String> = rest
        .split_whitespace()
        .flat_map(|group| {
            let at = group.find(['=', '+']).unwrap_or(group.len());
            let (names, flags) = group.split_at(at);
            names.split(',').map(|name| format!("{name}{}", flags.replace('=', "+"))).collect::<Vec<_>>()
        })
        .collect();
    let (name, _) = wanted.split_at(wanted.find(['=', '+', '-']).unwrap_or(wanted.len()));
    let normal = wanted.replace('=', "+");
    let there = if present {
        now.contains(&normal)
    } else {
        now.iter().any(|have| have.split('+').next() == Some(name))
    };
    if there == present {
        return Ok(map([("changed", false.into()), ("state", task.args.or_empty("state").into())]));
    }
    let mut new: Vec<String> = now.into_iter().filter(|have| have.split('+').next() != Some(name)).collect();
    if present {
        new.push(wanted.clone());
    }
    let msg = "capabilities changed";
    if !task.check() {
        let set = task.need("setcap")?.to_string_lossy().into_owned();
        let argv = if new.is_empty() {
            vec![set, "-r".to_owned(), target]
        } else {
            vec![set, new.join(" "), target]
        };
        let ran = task.run(&argv)?;
        if ran.rc != 0 {
            return Err(Fail::new(format!("Unable to set capabilities of {}", task.args.or_empty("path")))
                .with("stdout", ran.out_text())
                .with("stderr", ran.err_text()));
        }
    }
    Ok(map([("changed", true.into()), ("state", task.args.or_empty("state").into()), ("msg", msg.into())]))
}

fn pam_limits(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let file = args.or_empty("dest").to_owned();
    let (domain, kind, item) =
        (args.or_empty("domain"), args.or_empty("limit_type"), args.or_empty("limit_item"));
    let value = args.or_empty("value").to_owned();
    let number = |text: &str| -> Option<i64> {
        if matches!(text, "unlimited" | "infinity" | "-1") { Some(i64::MAX) } else { text.parse().ok() }
    };
    if number(&value).is_none() {
        return fail(format!(
            "Argument 'value' can be one of 'unlimited', 'infinity', '-1' or a number. Refer to manual pages for more details: {value}"
        ));
    }
    if args.flag("use_max") && args.flag("use_min") {
        return fail("Cannot use use_min and use_max at the same time.");
    }
    let before = files::text(Path::new(&file)).unwrap_or_default();
    let comment = args.filled("comment").map(|comment| format!(" # {comment}")).unwrap_or_default();
    let (mut lines, mut found, mut msg) = (Vec::new(), false, String::new());
    for line in before.lines() {
        let body = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = body.split_whitespace().collect();
        let [have_domain, have_kind, have_item, have] = words.as_slice() else {
            lines.push(line.to_owned());
            continue;
        };
        if (*have_domain, *have_kind, *have_item) != (domain, kind, item) {
            lines.push(line.to_owned());
            continue;
        }
        found = true;
        let (a, b) = (number(have).unwrap_or(0), number(&value).unwrap_or(0));
        let keep = (args.flag("use_max") && a >= b) || (args.flag("use_min") && a <= b) || a == b;
        if keep {
            lines.push(line.to_owned());
        } else {
            msg = format!("{domain}\t{kind}\t{item}\t{value}{comment}");
            lines.push(msg.clone());
        }
    }
    if !found {
        msg = format!("{domain}\t{kind}\t{item}\t{value}{comment}");
        lines.push(msg.clone());
    }
    let after = lines.join("\n") + "\n";
    let changed = after.trim_end() != before.trim_end();
    let mut result = map([("changed", changed.into()), ("msg", msg.into())]);
    if changed && !task.check() {
        if let Some(backup) = edit::backup(task, &file)? {
            result.insert("backup_file".into(), backup.into());
        }
        replace::with_bytes(Path::new(&file), after.as_bytes(), &Keep::Old, false)
            .or_fail(|| file.clone())?;
    }
    if task.call.diff {
        let diff: Value = serde_json::json!({"before": before, "after": after});
        result.insert("diff".into(), diff);
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_has_one_line_and_the_rest_stays() {
        let before = "# x\n/dev/a / ext4 defaults 0 1\n/dev/b /mnt ext4 ro 0 0\n";
        let line = "/dev/c /mnt xfs defaults 0 0";
        assert_eq!(
            table(before, "/mnt", Some(line)),
            "# x\n/dev/a / ext4 defaults 0 1\n/dev/c /mnt xfs defaults 0 0\n"
        );
        assert_eq!(table(before, "/mnt", None), "# x\n/dev/a / ext4 defaults 0 1\n");
        assert_eq!(table(before, "/", Some("/dev/a / ext4 defaults 0 1")), before);
        assert_eq!(escaped("/a b"), "/a\\040b");
    }
}
