//! `pip`: packages of Python, by the host's `pip`.

use std::path::Path;

use serde_json::Value;

use crate::base::{Done, Fail, Result, Task, fail, files, map, words};
use crate::spec::{Arg, ModuleSpec, Rule, flag, list, path, text};

const ARGS: &[Arg] = &[
    text("state").or("present").one_of(&["present", "absent", "latest", "forcereinstall"]),
    list("name"),
    text("version"),
    text("requirements"),
    path("virtualenv"),
    flag("virtualenv_site_packages", false),
    path("virtualenv_command").or("virtualenv"),
    text("virtualenv_python"),
    text("extra_args"),
    flag("editable", false),
    path("chdir"),
    path("executable"),
    text("umask"),
    flag("break_system_packages", false),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("pip", ARGS, run).rules(&[
    Rule::OneOf(&["name", "requirements"]),
    Rule::Exclusive(&["name", "requirements"]),
    Rule::Exclusive(&["executable", "virtualenv"]),
]);

fn run(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let (state, version) = (args.or_empty("state").to_owned(), args.text("version").map(str::to_owned));
    if state == "latest" && version.is_some() {
        return fail("version is incompatible with state=latest");
    }
    let chdir = args.filled("chdir").map_or_else(|| files::shown(&std::env::temp_dir()), str::to_owned);
    let env = args.filled("virtualenv").map(|env| files::join(args.or_empty("chdir"), env));
    let (mut out, mut err, mut made) = (String::new(), String::new(), false);
    if let Some(env) = &env
        && !Path::new(env).join("bin/activate").exists()
    {
        made = true;
        if task.check() {
            return Ok(task.changed(true));
        }
        (out, err) = make_environment(task, env, &chdir)?;
    }
    let pip = pip(task, env.as_deref())?;
    let packages = packages(task, version.as_deref())?;
    let mut cmd = pip.clone();
    cmd.extend(
        match state.as_str() {
            "absent" => vec!["uninstall", "-y"],
            "latest" => vec!["install", "-U"],
            "forcereinstall" => vec!["install", "-U", "--force-reinstall"],
            _ => vec!["install"],
        }
        .into_iter()
        .map(str::to_owned),
    );
    let mut extra = words::split(args.or_empty("extra_args")).map_err(Fail::crash)?;
    if args.flag("editable") && !extra.iter().any(|word| word == "-e") {
        extra.push("-e".to_owned());
    }
    cmd.extend(extra.clone());
    let requirements = args.filled("requirements").map(str::to_owned);
    match &requirements {
        Some(file) => cmd.extend(["-r".to_owned(), file.clone()]),
        None => cmd.extend(packages.clone()),
    }
    let listed = |task: &Task<'_>| -> Result<(String, String)> {
        let argv = pip.iter().map(String::as_str).chain(["list", "--format=freeze"]);
        let ran = go(task, argv.collect(), &chdir, env.as_deref())?;
        Ok((ran.out_text(), ran.err_text()))
    };
    if task.check() {
        if !extra.is_empty() || requirements.is_some() || state == "latest" {
            return Ok(task.changed(true));
        }
        let (out, err) = listed(task)?;
        let changed = packages.iter().any(|package| present(&out, package) == (state == "absent"));
        let cmd = format!("{} list --format=freeze", pip.join(" "));
        return Ok(map([
            ("changed", changed.into()),
            ("cmd", cmd.into()),
            ("stdout", out.into()),
            ("stderr", err.into()),
        ]));
    }
    let by_list = requirements.is_some() || packages.iter().any(|package| package.contains("://"));
    let before = if by_list { Some(listed(task)?.0) } else { None };
    let ran = go(task, cmd.iter().map(String::as_str).collect(), &chdir, env.as_deref())?;
    let (said, wrong) = (ran.out_text(), ran.err_text());
    out.push_str(&said);
    err.push_str(&wrong);
    let already_gone = ran.rc == 1
        && state == "absent"
        && (said.contains("not installed") || wrong.contains("not installed"));
    if ran.rc != 0 && !already_gone {
        let mut msg = format!("stdout: {out}\n").trim_start_matches("stdout: \n").to_owned();
        if out.is_empty() {
            msg.clear();
        }
        msg.push_str(&format!("\n:stderr: {err}"));
        return Err(Fail::new(msg.trim_start()).with("cmd", cmd));
    }
    let changed = match before {
        Some(before) if state != "absent" => before != listed(task)?.0,
        _ if state == "absent" => said.contains("Successfully uninstalled"),
        _ => said.contains("Successfully installed"),
    };
    Ok(map([
        ("changed", (changed || made).into()),
        ("cmd", cmd.into()),
        ("name", if requirements.is_some() { Value::Null } else { task.args.list("name").into() }),
        ("version", version.into()),
        ("state", state.into()),
        ("requirements", requirements.into()),
        ("virtualenv", env.into()),
        ("stdout", out.into()),
        ("stderr", err.into()),
    ]))
}

fn go(task: &Task<'_>, argv: Vec<&str>, chdir: &str, env: Option<&str>) -> Result<crate::base::program::Ran> {
    let mut more = Vec::new();
    if let Some(env) = env {
        let path = task.variable("PATH").unwrap_or_default();
        more.push(("PATH".to_owned(), format!("{env}/bin:{path}")));
    }
    if task.args.flag("break_system_packages") {
        more.push(("PIP_BREAK_SYSTEM_PACKAGES".to_owned(), "1".to_owned()));
    }
    let shown: Value = argv.clone().into();
    task.end(task.program(argv).environment(&more).folder(Some(Path::new(chdir))).run(), shown)
}

/// The command that is pip.
fn pip(task: &Task<'_>, env: Option<&str>) -> Result<Vec<String>> {
    if let Some(program) = task.args.filled("executable") {
        if program.starts_with('/') {
            return Ok(vec![program.to_owned()]);
        }
        return Ok(vec![task.need(program)?.to_string_lossy().into_owned()]);
    }
    if let Some(env) = env {
        let found = ["pip3", "pip"]
            .iter()
            .map(|name| format!("{env}/bin/{name}"))
            .find(|path| Path::new(path).exists());
        return found.map(|pip| vec![pip]).ok_or_else(|| Fail::new(format!("Unable to find pip in the virtualenv, {env}, under any of these names: pip3, pip. Make sure pip is present in the virtualenv.")));
    }
    let found = ["pip3", "pip"].iter().find_map(|name| task.find(name));
    found
        .map(|pip| vec![pip.to_string_lossy().into_owned()])
        .ok_or_else(|| Fail::new("Unable to find any of pip3, pip to use.  pip needs to be installed."))
}

fn make_environment(task: &Task<'_>, env: &str, chdir: &str) -> Result<(String, String)> {
    let mut argv = words::split(task.args.or_empty("virtualenv_command")).map_err(Fail::crash)?;
    if let Some(first) = argv.first_mut()
        && !first.contains('/')
    {
        *first = task.need(first)?.to_string_lossy().into_owned();
    }
    if task.args.flag("virtualenv_site_packages") {
        argv.push("--system-site-packages".to_owned());
    }
    let venv = argv.iter().any(|word| word == "venv" || word.ends_with("pyvenv"));
    if let Some(python) = task.args.filled("virtualenv_python").filter(|_| !venv) {
        argv.push(format!("-p{python}"));
    }
    argv.push(env.to_owned());
    let ran = go(task, argv.iter().map(String::as_str).collect(), chdir, None)?;
    if ran.rc != 0 {
        return Err(Fail::new(format!("\n:stderr: {}", ran.err_text())).with("cmd", argv));
    }
    Ok((ran.out_text(), ran.err_text()))
}

/// Requirements as pip takes them: parts of one that a comma tore apart are joined again.
fn packages(task: &Task<'_>, version: Option<&str>) -> Result<Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    for name in task.args.list("name").iter().flat_map(|name| name.split(',')) {
        let name = name.trim();
        let follows = name.starts_with(['<', '>', '=', '!', '~']);
        let open = out.last().is_some_and(|last| last.contains('[') && !last.contains(']'));
        match out.last_mut() {
            Some(last) if follows || open => {
                last.push(',');
                last.push_str(name);
            }
            _ if !name.is_empty() => out.push(name.to_owned()),
            _ => {}
        }
    }
    if let Some(wrong) = out.iter().find(|name| name.starts_with('-')) {
        return fail(format!("{wrong} cannot be the name of a package; options go into extra_args"));
    }
    let Some(version) = version else { return Ok(out) };
    match out.as_mut_slice() {
        [only] if !only.contains(['<', '>', '=', '!', '~']) => {
            let bare = !version.starts_with(['<', '>', '=', '!', '~']);
            only.push_str(if bare { "==" } else { "" });
            only.push_str(version);
            Ok(out)
        }
        [_] => fail(
            "The 'version' argument conflicts with any version specifier provided along with a package name. Please keep the version specifier, but remove the 'version' argument.",
        ),
        _ => fail(
            "'version' argument is ambiguous when installing multiple package distributions. Please specify version restrictions next to each package in 'name' argument.",
        ),
    }
}

/// Whether `pip list` names the package, in the version that it asks for with `==`.
fn present(listed: &str, package: &str) -> bool {
    let plain = |name: &str| name.to_lowercase().replace(['_', '.'], "-");
    let end = package.find(['<', '>', '=', '!', '~', '[', ' ']).unwrap_or(package.len());
    let name = plain(package.get(..end).unwrap_or_default());
    let exact = package.split_once("==").map(|(_, version)| version.trim());
    listed
        .lines()
        .filter_map(|line| line.split_once("=="))
        .any(|(have, version)| plain(have) == name && exact.is_none_or(|exact| exact == version.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_found_whatever_its_spelling() {
        let listed = "Foo_Bar==1.2\nx==3\n";
        assert!(present(listed, "foo-bar") && present(listed, "foo.bar==1.2") && present(listed, "x[extra]"));
        assert!(!present(listed, "foo-bar==1.3") && !present(listed, "y"));
    }
}
