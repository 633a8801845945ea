//! Filters on paths. `realpath`, `expanduser` and `fileglob` look at the machine that runs the play.

use super::super::args::Args;
use super::super::error::{Result, bail};
use super::super::lookups::glob;
use super::super::value::Val;

pub(crate) const NAMES: &[&str] = &[
    "basename",
    "dirname",
    "expanduser",
    "expandvars",
    "realpath",
    "relpath",
    "splitext",
    "path_join",
    "commonpath",
    "normpath",
    "win_basename",
    "win_dirname",
    "win_splitdrive",
    "fileglob",
];

pub(crate) fn apply(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    if matches!(name, "path_join" | "commonpath") {
        let parts = match value {
            Val::Str(one) => vec![one.to_string()],
            other => args
                .session
                .iterate(other)?
                .iter()
                .map(|item| args.session.text(item))
                .collect::<Result<_>>()?,
        };
        return Ok(Val::str(if name == "path_join" { join(&parts) } else { common(&parts)? }));
    }
    let text = args.session.text(value)?;
    let engine = args.session.engine;
    Ok(match name {
        "basename" => Val::str(text.rsplit_once('/').map_or(text.as_str(), |(_, name)| name)),
        "dirname" => Val::str(dirname(&text)),
        "normpath" => Val::str(normal(&text)),
        "expanduser" => Val::str(match text.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => match engine.outside.env("HOME") {
                Some(home) => format!("{}{rest}", home.trim_end_matches('/')),
                None => text,
            },
            _ => text,
        }),
        "expandvars" => Val::str(expand(&text, |name| engine.outside.env(name))),
        "realpath" => Val::str(absolute(args, &text)),
        "relpath" => {
            let start = args.text(0, "start", ".")?;
            Val::str(relative(&absolute(args, &text), &absolute(args, &start)))
        }
        "splitext" => {
            let (folder, name) = text.rsplit_once('/').map_or(("", text.as_str()), |(_, n)| {
                (text.get(..text.len() - n.len()).unwrap_or_default(), n)
            });
            let dots = name.len() - name.trim_start_matches('.').len();
            let split = name.rfind('.').filter(|at| *at >= dots.max(1)).unwrap_or(name.len());
            let (stem, extension) = name.split_at(split);
            Val::tuple(vec![Val::str(format!("{folder}{stem}")), Val::str(extension)])
        }
        "win_basename" => Val::str(text.rsplit(['\\', '/']).next().unwrap_or_default()),
        "win_dirname" => {
            let cut = text.rfind(['\\', '/']).map_or(0, |at| at + 1);
            let head = text.get(..cut).unwrap_or_default();
            let short = head.trim_end_matches(['\\', '/']);
            Val::str(if short.is_empty() || short.ends_with(':') { head } else { short })
        }
        "win_splitdrive" => {
            let drive = if text.chars().nth(1) == Some(':') { 2 } else { 0 };
            let (drive, rest) = text.split_at_checked(drive).unwrap_or(("", &text));
            Val::tuple(vec![Val::str(drive), Val::str(rest)])
        }
        _ => Val::list(glob(&*engine.files, &text)?.into_iter().map(Val::str).collect()),
    })
}

pub(crate) fn dirname(path: &str) -> &str {
    let Some((folder, _)) = path.rsplit_once('/') else { return "" };
    let short = folder.trim_end_matches('/');
    if short.is_empty() { path.get(..1).unwrap_or_default() } else { short }
}

pub(crate) fn join(parts: &[String]) -> String {
    let mut out = String::new();
    for part in parts {
        if part.starts_with('/') {
            out.clear();
        } else if !out.is_empty() && !out.ends_with('/') {
            out.push('/');
        }
        out.push_str(part);
    }
    out
}

/// `.` and `..` worked out, without looking at the disk.
pub(crate) fn normal(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

fn absolute(args: &Args<'_, '_>, path: &str) -> String {
    if path.starts_with('/') {
        return normal(path);
    }
    let here = args.session.engine.outside.env("PWD").unwrap_or_else(|| "/".to_owned());
    normal(&format!("{here}/{path}"))
}

fn relative(path: &str, start: &str) -> String {
    let parts = |p: &str| p.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (path, start) = (parts(path), parts(start));
    let same = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let mut out = vec!["..".to_owned(); start.len() - same];
    out.extend(path.into_iter().skip(same));
    if out.is_empty() { ".".to_owned() } else { out.join("/") }
}

fn common(paths: &[String]) -> Result<String> {
    let Some((first, rest)) = paths.split_first() else { bail!("commonpath() arg is an empty sequence") };
    if rest.iter().any(|path| path.starts_with('/') != first.starts_with('/')) {
        bail!("Can't mix absolute and relative paths");
    }
    let parts = |p: &str| {
        p.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect::<Vec<_>>()
    };
    let mut same = parts(first);
    for path in rest {
        let length = same.iter().zip(parts(path)).take_while(|(a, b)| *a == b).count();
        same.truncate(length);
    }
    Ok(format!("{}{}", if first.starts_with('/') { "/" } else { "" }, same.join("/")))
}

fn expand(text: &str, env: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, tail, whole) = match after.strip_prefix('{').and_then(|a| a.split_once('}')) {
            Some((name, tail)) => (name, tail, format!("${{{name}}}")),
            None => {
                let end = after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len());
                let (name, tail) = after.split_at(end);
                (name, tail, format!("${name}"))
            }
        };
        out.push_str(&env(name).unwrap_or(whole));
        rest = tail;
    }
    out + rest
}
