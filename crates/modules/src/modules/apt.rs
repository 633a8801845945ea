//! `apt`: packages of Debian, by `apt-get` and what `dpkg` knows.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::find::wildcard;
use crate::base::pattern::{Flags, Pattern};
use crate::base::program::Ran;
use crate::base::{Done, Fail, Result, Task, fail, files, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, int, list, maybe, path, text};

const ARGS: &[Arg] = &[
    text("state").or("present").one_of(&["absent", "build-dep", "fixed", "latest", "present"]),
    maybe("update_cache").aka(&["update-cache"]),
    int("update_cache_retries").or_int(5),
    int("update_cache_retry_max_delay").or_int(12),
    int("cache_valid_time").or_int(0),
    flag("purge", false),
    list("package").aka(&["pkg", "name"]),
    path("deb"),
    text("default_release").aka(&["default-release"]),
    maybe("install_recommends").aka(&["install-recommends"]),
    flag("force", false),
    text("upgrade").or("no").one_of(&["dist", "full", "no", "safe", "yes"]),
    text("dpkg_options").or("force-confdef,force-confold"),
    flag("autoremove", false),
    flag("autoclean", false),
    flag("fail_on_autoremove", false),
    int("policy_rc_d"),
    flag("only_upgrade", false),
    flag("force_apt_get", false),
    flag("clean", false),
    flag("allow_unauthenticated", false).aka(&["allow-unauthenticated"]),
    flag("allow_downgrade", false).aka(&["allow-downgrade", "allow_downgrades", "allow-downgrades"]),
    flag("allow_change_held_packages", false),
    int("lock_timeout").or_int(60),
    flag("auto_install_module_deps", true),
];

pub(crate) const SPEC: ModuleSpec =
    ModuleSpec::new("apt", ARGS, run).rules(&[Rule::Exclusive(&["deb", "package"])]);

/// A package that dpkg knows.
struct Installed {
    version: String,
    architecture: String,
    provides: Vec<String>,
}

fn run(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let mut result = map([("changed", false.into())]);
    let upgrade = args.or_empty("upgrade") != "no";
    if args.flag("clean") {
        let ran = apt_get(task, &["clean"])?;
        if ran.rc != 0 {
            return Err(Fail::new("apt-get clean failed").with("stdout", ran.out_text()).with("rc", ran.rc));
        }
        result.insert("stdout".into(), ran.out_text().into());
        result.insert("stderr".into(), ran.err_text().into());
        result.insert("changed".into(), true.into());
    }
    let (updated, time) = refresh(task)?;
    result.insert("cache_updated".into(), updated.into());
    result.insert("cache_update_time".into(), time.into());
    let names = names(task)?;
    let nothing = names.is_empty()
        && !args.has("deb")
        && !upgrade
        && args.or_empty("state") != "fixed"
        && args.or_empty("state") != "build-dep";
    if nothing
        && (updated || args.flag("update_cache") || args.flag("clean"))
        && !args.flag("autoremove")
        && !args.flag("autoclean")
    {
        if updated {
            result.insert("changed".into(), true.into());
        }
        return Ok(result);
    }
    if upgrade {
        let word = match args.or_empty("upgrade") {
            "dist" | "full" => "dist-upgrade",
            "safe" | "yes" => "upgrade",
            other => other,
        };
        let mut words = options(task);
        words.extend(
            ["--with-new-pkgs", word]
                .into_iter()
                .filter(|option| word == "upgrade" || *option == word)
                .map(str::to_owned),
        );
        done(task, words, &mut result, "'apt-get upgrade' failed")?;
        return Ok(result);
    }
    if let Some(deb) = args.filled("deb").map(str::to_owned) {
        return install_file(task, &deb, result);
    }
    if !names.is_empty() {
        packages(task, &names, &mut result)?;
        return Ok(result);
    }
    for (wanted, word) in [("autoclean", "autoclean"), ("autoremove", "autoremove")] {
        if args.flag(wanted) {
            let mut words = options(task);
            words.push(word.to_owned());
            done(task, words, &mut result, &format!("'apt-get {word}' failed"))?;
        }
    }
    if args.or_empty("state") == "fixed" {
        let mut words = options(task);
        words.extend(["--fix-broken".to_owned(), "install".to_owned()]);
        done(task, words, &mut result, "'apt-get --fix-broken install' failed")?;
    }
    Ok(result)
}

fn environment() -> Vec<(String, String)> {
    let fixed = [
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBIAN_PRIORITY", "critical"),
        ("LANG", "C"),
        ("LC_ALL", "C"),
        ("LC_MESSAGES", "C"),
    ];
    fixed.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

fn apt_get(task: &Task<'_>, words: &[&str]) -> Result<Ran> {
    let program = task.need("apt-get")?.to_string_lossy().into_owned();
    let argv: Vec<&str> = std::iter::once(program.as_str()).chain(words.iter().copied()).collect();
    let shown: Value = argv.clone().into();
    task.end(task.program(argv).environment(&environment()).run(), shown)
}

/// Options that all changes take.
fn options(task: &Task<'_>) -> Vec<String> {
    let args = &task.args;
    let mut out = vec!["-y".to_owned()];
    let options = args.or_empty("dpkg_options").split(',').map(str::trim).filter(|option| !option.is_empty());
    for option in options {
        out.extend(["-o".to_owned(), format!("Dpkg::Options::=--{option}")]);
    }
    if let Some(seconds) = args.int("lock_timeout") {
        out.extend(["-o".to_owned(), format!("DPkg::Lock::Timeout={seconds}")]);
    }
    let force = args.flag("force");
    for (wanted, option) in [
        (args.flag("only_upgrade"), "--only-upgrade"),
        (args.flag("autoremove"), "--auto-remove"),
        (args.flag("fail_on_autoremove"), "--no-remove"),
        (task.check(), "--simulate"),
        (args.flag("purge"), "--purge"),
        (force, "--allow-downgrades"),
        (force, "--allow-remove-essential"),
        (force, "--allow-change-held-packages"),
        (force, "--allow-unauthenticated"),
        (args.flag("allow_unauthenticated") && !force, "--allow-unauthenticated"),
        (args.flag("allow_downgrade") && !force, "--allow-downgrades"),
        (args.flag("allow_change_held_packages") && !force, "--allow-change-held-packages"),
    ] {
        if wanted {
            out.push(option.to_owned());
        }
    }
    if let Some(release) = args.filled("default_release") {
        out.extend(["-t".to_owned(), release.to_owned()]);
    }
    if let Some(recommends) = args.maybe("install_recommends") {
        out.extend([
            "-o".to_owned(),
            format!("APT::Install-Recommends={}", if recommends { "yes" } else { "no" }),
        ]);
    }
    out
}

/// Whether apt said that nothing is to be done.
fn idle(out: &str) -> bool {
    const SAYINGS: &[&str] = &[
        "The following packages will be REMOVED:",
        "The following NEW packages will be installed:",
        "The following packages will be upgraded:",
        "The following packages will be DOWNGRADED:",
    ];
    let counts = |line: &str| {
        let parts = line.split([',', '.']).flat_map(|part| part.split(" and "));
        let counted = parts.filter(|part| !part.contains("not upgraded"));
        line.contains(" upgraded, ")
            && counted
                .filter_map(|part| part.split_whitespace().next())
                .any(|n| n.parse::<u64>().is_ok_and(|n| n > 0))
    };
    !out.lines().any(|line| line.starts_with("Del ") || counts(line) || SAYINGS.contains(&line.trim_end()))
}

/// Runs apt-get with the policy that the task sets for services, and tells what it said.
fn done(task: &Task<'_>, words: Vec<String>, result: &mut Map<String, Value>, what: &str) -> Result<()> {
    let guard = Policy::set(task)?;
    let ran = apt_get(task, &words.iter().map(String::as_str).collect::<Vec<_>>());
    drop(guard);
    let ran = ran?;
    let (out, err) = (ran.out_text(), ran.err_text());
    if ran.rc != 0 {
        return Err(Fail::new(format!("{what}: {err}"))
            .with("stdout", out)
            .with("stderr", err)
            .with("rc", ran.rc));
    }
    if task.call.diff {
        result.insert("diff".into(), json!({"prepared": changes(&out)}));
    }
    if !idle(&out) {
        result.insert("changed".into(), true.into());
    }
    result.insert("stdout".into(), out.into());
    result.insert("stderr".into(), err.into());
    Ok(())
}

/// The part of apt's words that says what changes.
fn changes(out: &str) -> String {
    let lines: Vec<&str> = out.lines().collect();
    let start = lines.iter().position(|line| line.starts_with("The following")).unwrap_or(lines.len());
    let end = lines.iter().position(|line| line.contains(" upgraded, ")).map_or(lines.len(), |at| at + 1);
    lines.get(start..end.max(start)).unwrap_or_default().join("\n")
}

/// `/usr/sbin/policy-rc.d` while packages are installed, when the task wants one.
struct Policy {
    path: Option<std::path::PathBuf>,
}

impl Policy {
    fn set(task: &Task<'_>) -> Result<Self> {
        let Some(code) = task.args.int("policy_rc_d").filter(|_| !task.check()) else {
            return Ok(Self { path: None });
        };
        let path = task.ctx.system("usr/sbin/policy-rc.d");
        if path.exists() {
            return fail(format!(
                "{} exists already; the task's policy_rc_d would replace it",
                path.display()
            ));
        }
        use std::os::unix::fs::PermissionsExt;
        let written = std::fs::write(&path, format!("#!/bin/sh\nexit {code}\n"))
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)));
        written.map_err(|error| Fail::caused("Failed to create policy-rc.d", &error))?;
        Ok(Self { path: Some(path) })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // It stands in nobody's way if it is gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Brings the lists up to date when the task wants it and they are old; whether, and their age.
fn refresh(task: &Task<'_>) -> Result<(bool, u64)> {
    let stamp = || -> u64 {
        let candidates = ["var/lib/apt/periodic/update-success-stamp", "var/lib/apt/lists"];
        let times = candidates
            .iter()
            .filter_map(|path| std::fs::metadata(task.ctx.system(path)).ok()?.modified().ok());
        times.map(|time| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()).next().unwrap_or(0)
    };
    let args = &task.args;
    let valid = u64::try_from(args.int("cache_valid_time").unwrap_or(0)).unwrap_or(0);
    let wanted = args.maybe("update_cache").unwrap_or(valid > 0);
    if !wanted {
        return Ok((false, stamp()));
    }
    let now = task.ctx.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if valid > 0 && stamp() + valid > now {
        return Ok((false, stamp()));
    }
    if task.check() {
        return Ok((true, stamp()));
    }
    let tries = u64::try_from(args.int("update_cache_retries").unwrap_or(5)).unwrap_or(5).clamp(1, 20);
    let longest = u64::try_from(args.int("update_cache_retry_max_delay").unwrap_or(12)).unwrap_or(12);
    let mut said = String::new();
    for attempt in 0..tries {
        let ran = apt_get(task, &["update"])?;
        if ran.rc == 0 {
            return Ok((true, stamp()));
        }
        said = ran.err_text();
        if attempt + 1 < tries {
            std::thread::sleep(Duration::from_secs((1u64 << attempt.min(10)).min(longest)));
        }
    }
    fail(format!("Failed to update apt cache after {tries} retries: {}", said.trim()))
}

/// Packages that the task names.
fn names(task: &Task<'_>) -> Result<Vec<String>> {
    let names = task.args.list("package");
    let names: Vec<String> = names
        .iter()
        .flat_map(|name| name.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    match names.iter().find(|name| name.starts_with('-')) {
        Some(wrong) => fail(format!("{wrong} cannot be the name of a package")),
        None => Ok(names),
    }
}

/// All packages that dpkg has installed.
fn installed(task: &Task<'_>) -> Result<BTreeMap<String, Installed>> {
    let program = task.need("dpkg-query")?;
    let form = "-f=${db:Status-Abbrev}\\t${Package}\\t${Version}\\t${Architecture}\\t${Provides}\\n";
    let ran = task.run_plain([program.as_os_str(), "-W".as_ref(), form.as_ref()])?;
    let mut out = BTreeMap::new();
    for line in ran.out_text().lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [status, name, version, architecture, provides] = fields.as_slice() else { continue };
        if status.get(1..2) != Some("i") {
            continue;
        }
        let provides =
            provides.split(',').filter_map(|one| Some(one.split_whitespace().next()?.to_owned())).collect();
        let about =
            Installed { version: (*version).to_owned(), architecture: (*architecture).to_owned(), provides };
        out.insert((*name).to_owned(), about);
    }
    Ok(out)
}

/// Name, how its version is compared, and the version.
fn parts(spec: &str) -> (&str, &str, Option<&str>) {
    for sign in [">=", "="] {
        if let Some((name, version)) = spec.split_once(sign) {
            return (name, sign, Some(version));
        }
    }
    (spec, "", None)
}

fn packages(task: &Task<'_>, names: &[String], result: &mut Map<String, Value>) -> Result<()> {
    let have = installed(task)?;
    let state = task.args.or_empty("state");
    let mut wanted = Vec::new();
    for spec in names {
        let (name, sign, version) = parts(spec);
        let plain = name.split(':').next().unwrap_or(name);
        let found: Vec<(&String, &Installed)> = if name.contains(['*', '?', '[']) {
            let pattern = Pattern::new(&wildcard(name), Flags { at_start: true, ..Flags::default() })
                .map_err(Fail::crash)?;
            let mut out = Vec::new();
            for entry in &have {
                if pattern.found(entry.0.as_bytes()).map_err(Fail::crash)? {
                    out.push(entry);
                }
            }
            out
        } else {
            let architecture = name.split_once(':').map(|(_, architecture)| architecture);
            have.get_key_value(plain)
                .filter(|(_, about)| {
                    architecture.is_none_or(|a| a == "any" || a == "native" || a == about.architecture)
                })
                .into_iter()
                .collect()
        };
        let provided =
            || have.values().any(|about| about.provides.iter().any(|virtual_name| virtual_name == plain));
        if state == "absent" {
            let fits = |about: &Installed| {
                version.is_none_or(|version| sign != "=" || version_fits(version, &about.version))
            };
            wanted.extend(found.iter().filter(|(_, about)| fits(about)).map(|(name, _)| (*name).clone()));
            continue;
        }
        let right = match version {
            None => !found.is_empty() || provided(),
            Some(version) => {
                let mut right = false;
                for (_, about) in &found {
                    right |= if sign == "=" {
                        version_fits(version, &about.version)
                    } else {
                        newer(task, &about.version, version)?
                    };
                }
                right
            }
        };
        let install = match state {
            "latest" if version.is_none() => !right || outdated(task, plain)?,
            "build-dep" => true,
            _ => !right,
        };
        if install && !(task.args.flag("only_upgrade") && found.is_empty()) {
            wanted.push(if sign == ">=" { name.to_owned() } else { spec.clone() });
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let mut words = options(task);
    words.push(
        match state {
            "absent" => "remove",
            "build-dep" => "build-dep",
            _ => "install",
        }
        .to_owned(),
    );
    words.extend(wanted.clone());
    let quoted = wanted.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(" ");
    let word = match state {
        "absent" => "remove",
        "build-dep" => "build-dep",
        _ => "install",
    };
    done(task, words, result, &format!("'apt-get {word} {quoted}' failed"))
}

/// Whether an installed version is the one asked for; `1.2*` is any that begins so.
fn version_fits(wanted: &str, have: &str) -> bool {
    let pattern = Pattern::new(&wildcard(wanted), Flags { at_start: true, ..Flags::default() });
    pattern.is_ok_and(|pattern| pattern.found(have.as_bytes()).unwrap_or(false))
}

/// Whether a version is at least another, in dpkg's order.
fn newer(task: &Task<'_>, have: &str, wanted: &str) -> Result<bool> {
    let program = task.need("dpkg")?;
    let argv =
        [program.as_os_str(), "--compare-versions".as_ref(), have.as_ref(), "ge".as_ref(), wanted.as_ref()];
    Ok(task.run(argv)?.rc == 0)
}

/// Whether apt would install another version than the installed one.
fn outdated(task: &Task<'_>, name: &str) -> Result<bool> {
    let program = task.need("apt-cache")?;
    let mut argv = vec![program.to_string_lossy().into_owned()];
    if let Some(release) = task.args.filled("default_release") {
        argv.extend(["-o".to_owned(), format!("APT::Default-Release={release}")]);
    }
    argv.extend(["policy".to_owned(), name.to_owned()]);
    let said = task.run_plain(&argv)?.out_text();
    let value = |key: &str| {
        said.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim).unwrap_or_default()
    };
    let (have, candidate) = (value("Installed:"), value("Candidate:"));
    Ok(!candidate.is_empty() && candidate != "(none)" && have != candidate)
}

fn install_file(task: &Task<'_>, deb: &str, mut result: Map<String, Value>) -> Done {
    let program = task.need("dpkg-deb")?;
    let mut path = deb.to_owned();
    let kept;
    if deb.contains("://") {
        let ask = super::url::request(task, deb, "GET", None);
        let mut answer = crate::base::http::ask(&ask)
            .map_err(|why| Fail::new(format!("Failure downloading {deb}, {why}")))?;
        if answer.status != 200 {
            return fail(format!(
                "Failure downloading {deb}, HTTP Error {}: {}",
                answer.status, answer.reason
            ));
        }
        let wrong = |error: std::io::Error| Fail::caused(format!("Failure downloading {deb}"), &error);
        let mut file = tempfile::Builder::new().suffix(".deb").tempfile_in(&task.ctx.temp).map_err(wrong)?;
        std::io::copy(&mut answer.body, file.as_file_mut()).map_err(wrong)?;
        path = files::shown(file.path());
        kept = Some(file);
    } else {
        kept = None;
    }
    if !Path::new(&path).is_file() {
        return fail(format!(
            "Unable to install package: E:Could not open file {path} - open (2: No such file or directory)"
        ));
    }
    let ran = task.run_plain([
        program.as_os_str(),
        "-f".as_ref(),
        path.as_ref(),
        "Package".as_ref(),
        "Version".as_ref(),
    ])?;
    let said = ran.out_text();
    let value = |key: &str| {
        said.lines().find_map(|line| line.strip_prefix(key)).map(str::trim).unwrap_or_default().to_owned()
    };
    let (name, version) = (value("Package:"), value("Version:"));
    if ran.rc != 0 || name.is_empty() {
        return fail(format!("Unable to install package: {}", ran.err_text().trim()));
    }
    if installed(task)?.get(&name).is_some_and(|about| about.version == version) && !task.args.flag("force") {
        return Ok(result);
    }
    let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone().into());
    let mut words = options(task);
    words.extend(["install".to_owned(), files::shown(&absolute)]);
    done(task, words, &mut result, &format!("'apt-get install {path}' failed"))?;
    drop(kept);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_versions() {
        assert_eq!(parts("a=1*"), ("a", "=", Some("1*")));
        assert_eq!(parts("a>=1"), ("a", ">=", Some("1")));
        assert_eq!(parts("a:amd64"), ("a:amd64", "", None));
        assert!(version_fits("1.2*", "1.2.3-1") && !version_fits("1.2", "1.2.3"));
    }

    #[test]
    fn what_apt_says_tells_whether_it_changed_something() {
        assert!(idle("Reading...\n0 upgraded, 0 newly installed, 0 to remove and 3 not upgraded.\n"));
        let busy = "The following NEW packages will be installed:\n  a\n0 upgraded, 1 newly installed, 0 to remove\n";
        assert!(!idle(busy));
        assert_eq!(changes(busy), busy.trim_end());
    }
}
