//! `package`, and `dnf`/`yum`: packages by the manager that the host has.

use serde_json::Value;

use super::apt;
use super::facts::package_manager;
use crate::base::program::Ran;
use crate::base::{Done, Fail, Result, Task, check, fail, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, int, list, path, text};

pub(crate) const PACKAGE: ModuleSpec = ModuleSpec::new(
    "package",
    &[list("name").required(), text("state").required(), text("use").or("auto"), flag("update_cache", false)],
    package,
);

const DNF_ARGS: &[Arg] = &[
    flag("allow_downgrade", false),
    flag("allowerasing", false),
    flag("autoremove", false),
    flag("best", false),
    flag("bugfix", false),
    flag("cacheonly", false),
    text("conf_file"),
    text("disable_excludes"),
    flag("disable_gpg_check", false),
    list("disable_plugin").or_list(&[]),
    list("disablerepo").or_list(&[]),
    flag("download_only", false),
    text("download_dir"),
    list("enable_plugin").or_list(&[]),
    list("enablerepo").or_list(&[]),
    list("exclude").or_list(&[]),
    path("installroot").or("/"),
    flag("install_weak_deps", true),
    text("list"),
    int("lock_timeout").or_int(30),
    list("name").or_list(&[]).aka(&["pkg"]),
    flag("nobest", false),
    text("releasever"),
    flag("security", false),
    flag("skip_broken", false),
    flag("sslverify", true),
    text("state").one_of(&["absent", "installed", "latest", "present", "removed"]),
    flag("update_cache", false).aka(&["expire-cache"]),
    flag("update_only", false),
    text("use_backend").or("auto"),
    flag("validate_certs", true),
];

pub(crate) const DNF: ModuleSpec = ModuleSpec::new("dnf", DNF_ARGS, dnf).also(&["yum", "dnf5"]).rules(&[
    Rule::OneOf(&["name", "list", "update_cache", "autoremove"]),
    Rule::Exclusive(&["name", "list"]),
]);

fn package(task: &mut Task<'_>) -> Done {
    let wanted = task.args.or_empty("use").to_owned();
    let manager = match wanted.as_str() {
        "auto" => package_manager(task).unwrap_or_default().to_owned(),
        other => other.rsplit('.').next().unwrap_or_default().to_owned(),
    };
    let (spec, run): (&ModuleSpec, fn(&mut Task<'_>) -> Done) = match manager.as_str() {
        "apt" => (&apt::SPEC, apt::SPEC.run),
        "dnf" | "dnf5" | "yum" => (&DNF, dnf),
        "" => {
            return fail(
                "Could not detect which package manager to use. Try gathering facts or setting the \"use\" option.",
            );
        }
        other => {
            return fail(format!("Could not find a matching action for the \"{other}\" package manager."));
        }
    };
    let mut given = task.call.args.clone();
    given.remove("use");
    let environment = crate::base::task::Environment { call: task.call, root: &task.ctx.root };
    let (args, warnings) = check::check(spec, &given, &environment)?;
    task.args = args;
    task.warnings.extend(warnings);
    run(task)
}

fn rpm(task: &Task<'_>, words: &[&str]) -> Result<Ran> {
    let program = task.need("rpm")?.to_string_lossy().into_owned();
    task.run_plain(std::iter::once(program.as_str()).chain(words.iter().copied()))
}

/// Whether a name, path, group of capabilities or `name-version` is installed.
fn installed(task: &Task<'_>, name: &str) -> Result<bool> {
    Ok(rpm(task, &["-q", "--", name])?.rc == 0 || rpm(task, &["-q", "--whatprovides", "--", name])?.rc == 0)
}

#[expect(clippy::too_many_lines, reason = "one decision after the other, each of a few lines")]
fn dnf(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let program = ["dnf5", "dnf", "dnf-3", "yum"].iter().find_map(|name| task.find(name));
    let Some(program) = program else { return fail("Could not find dnf or yum on this host.") };
    let program = program.to_string_lossy().into_owned();
    let base = options(task);
    let go = |words: &[String]| -> Result<Ran> {
        task.run_plain(std::iter::once(&program).chain(&base).chain(words))
    };
    let names: Vec<String> = args
        .list("name")
        .iter()
        .flat_map(|name| name.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if let Some(wrong) = names.iter().find(|name| name.starts_with('-')) {
        return fail(format!("{wrong} cannot be the name of a package"));
    }
    if args.flag("update_cache") && !task.check() {
        let ran = go(&["makecache".to_owned()])?;
        if ran.rc != 0 {
            return Err(failed("Failed to update the cache", &ran));
        }
        if names.is_empty() && !args.flag("autoremove") {
            return Ok(map([
                ("changed", false.into()),
                ("rc", 0.into()),
                ("msg", "Cache updated".into()),
                ("results", Value::Array(Vec::new())),
            ]));
        }
    }
    let state = args.text("state").unwrap_or(if args.flag("autoremove") { "absent" } else { "present" });
    let (mut missing, mut there) = (Vec::new(), Vec::new());
    for name in &names {
        let file = name.ends_with(".rpm");
        let have = if name.starts_with('@') || file || name == "*" { false } else { installed(task, name)? };
        if have { there.push(name.clone()) } else { missing.push(name.clone()) }
    }
    let words: Vec<String> = match state {
        "absent" | "removed" if names.is_empty() => vec!["autoremove".to_owned()],
        "absent" | "removed" => {
            there.extend(missing.iter().filter(|name| name.starts_with('@')).cloned());
            if there.is_empty() { Vec::new() } else { [vec!["remove".to_owned()], there].concat() }
        }
        "latest" => {
            let star = names.iter().any(|name| name == "*");
            if star {
                vec!["upgrade".to_owned()]
            } else {
                let outdated: Vec<String> = there
                    .iter()
                    .filter(|name| {
                        go(&["check-update".to_owned(), (*name).clone()]).is_ok_and(|ran| ran.rc == 100)
                    })
                    .cloned()
                    .collect();
                let new = if args.flag("update_only") { Vec::new() } else { missing };
                let all = [new, outdated].concat();
                if all.is_empty() {
                    Vec::new()
                } else {
                    [vec!["install".to_owned(), "--best".to_owned()], all].concat()
                }
            }
        }
        _ if args.flag("update_only") || missing.is_empty() => Vec::new(),
        _ => [vec!["install".to_owned()], missing].concat(),
    };
    let nothing = map([
        ("changed", false.into()),
        ("rc", 0.into()),
        ("msg", "Nothing to do".into()),
        ("results", Value::Array(Vec::new())),
    ]);
    if words.is_empty() {
        return Ok(nothing);
    }
    if task.check() {
        let results: Vec<String> = words
            .iter()
            .skip(1)
            .map(|name| format!("{}: {name}", if state == "absent" { "Removed" } else { "Installed" }))
            .collect();
        return Ok(map([
            ("changed", true.into()),
            ("msg", "Check mode: No changes made, but would have if not in check mode".into()),
            ("rc", 0.into()),
            ("results", results.into()),
        ]));
    }
    let ran = go(&words)?;
    let out = ran.out_text();
    if ran.rc != 0 {
        return Err(failed(
            if state == "absent" {
                "Failed to remove some of the specified packages"
            } else {
                "Failed to install some of the specified packages"
            },
            &ran,
        ));
    }
    if out.lines().any(|line| line.trim().trim_end_matches('.') == "Nothing to do") {
        return Ok(nothing);
    }
    let results = done(&out);
    Ok(map([("changed", true.into()), ("rc", 0.into()), ("msg", "".into()), ("results", results.into())]))
}

/// Options that all changes take.
fn options(task: &Task<'_>) -> Vec<String> {
    let args = &task.args;
    let mut base = vec!["-y".to_owned()];
    for (name, option) in
        [("enablerepo", "--enablerepo"), ("disablerepo", "--disablerepo"), ("exclude", "--exclude")]
    {
        let items: Vec<String> =
            args.list(name).iter().flat_map(|item| item.split(',')).map(str::to_owned).collect();
        base.extend(items.iter().map(|item| format!("{option}={item}")));
    }
    for (wanted, option) in [
        (args.flag("disable_gpg_check"), "--nogpgcheck"),
        (args.flag("allowerasing"), "--allowerasing"),
        (args.flag("best"), "--best"),
        (args.flag("nobest"), "--nobest"),
        (args.flag("skip_broken"), "--skip-broken"),
        (args.flag("cacheonly"), "--cacheonly"),
        (args.flag("download_only"), "--downloadonly"),
        (args.flag("security"), "--security"),
        (args.flag("bugfix"), "--bugfix"),
        (!args.flag("install_weak_deps"), "--setopt=install_weak_deps=False"),
        (!args.flag("sslverify"), "--setopt=sslverify=False"),
    ] {
        base.extend(wanted.then(|| option.to_owned()));
    }
    for (name, option) in
        [("releasever", "--releasever"), ("conf_file", "--config"), ("disable_excludes", "--disableexcludes")]
    {
        base.extend(args.filled(name).map(|value| format!("{option}={value}")));
    }
    if let Some(root) = args.filled("installroot").filter(|root| *root != "/") {
        base.push(format!("--installroot={root}"));
    }
    base
}

/// What was done to which package, by dnf's own list.
fn done(out: &str) -> Vec<String> {
    let mut results = Vec::new();
    let mut verb = None;
    for line in out.lines() {
        match line.trim_end() {
            "Installed:" | "Upgraded:" | "Removed:" | "Downgraded:" | "Reinstalled:" => {
                verb = Some(line.trim_end().trim_end_matches(':').to_owned())
            }
            "" | "Complete!" => verb = None,
            line => results.extend(
                verb.iter()
                    .flat_map(|verb| line.split_whitespace().map(move |name| format!("{verb}: {name}"))),
            ),
        }
    }
    results
}

fn failed(msg: &str, ran: &Ran) -> Fail {
    let failures: Vec<String> = ran.err_text().lines().map(str::to_owned).collect();
    Fail::new(msg).with("failures", failures).with("rc", ran.rc).with("results", Value::Array(Vec::new()))
}
