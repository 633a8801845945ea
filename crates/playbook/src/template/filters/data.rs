//! Filters that read and write JSON, YAML and URLs.

use super::super::args::Args;
use super::super::error::{Result, bail};
use super::super::value::{Dict, Key, Val};
use super::super::{json, yaml};

pub(crate) const NAMES: &[&str] = &[
    "to_json",
    "to_nice_json",
    "from_json",
    "to_yaml",
    "to_nice_yaml",
    "from_yaml",
    "from_yaml_all",
    "urlsplit",
];

pub(crate) fn apply(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let truth = |name: &str, default: bool| args.truth(usize::MAX, name, default);
    let size = |name: &str, default: usize| args.size(usize::MAX, name, default, 1 << 16);
    Ok(match name {
        "to_json" | "to_nice_json" => {
            let nice = name == "to_nice_json";
            let indent = match args.get(usize::MAX, "indent")? {
                None if nice => Some(4),
                None | Some(Val::None) => None,
                Some(_) => Some(size("indent", 4)?),
            };
            Val::str(json::dump(value, indent, truth("ensure_ascii", true)?, truth("sort_keys", nice)?)?)
        }
        "from_json" => json::load(&args.session.text(value)?)?,
        "to_yaml" | "to_nice_yaml" => {
            let nice = name == "to_nice_yaml";
            let default_flow = match args.get(usize::MAX, "default_flow_style")? {
                None if nice => Some(false),
                None | Some(Val::None) => None,
                Some(flow) => Some(args.session.truth(&flow)?),
            };
            let style = yaml::Style {
                indent: size("indent", if nice { 4 } else { 2 })?.clamp(1, 9),
                width: size("width", 80)?,
                sort: truth("sort_keys", true)?,
                flow: default_flow,
                unicode: truth("allow_unicode", true)?,
                start: truth("explicit_start", false)?,
            };
            Val::str(yaml::dump(value, &style)?)
        }
        "from_yaml" => match value {
            Val::None => Val::None,
            value => yaml::load(&args.session.text(value)?)?,
        },
        "from_yaml_all" => match value {
            Val::None => Val::list(Vec::new()),
            value => yaml::load_all(&args.session.text(value)?)?,
        },
        _ => urlsplit(&args.session.text(value)?, &args.text(0, "query", "")?)?,
    })
}

fn urlsplit(url: &str, wanted: &str) -> Result<Val> {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_alphabetic())
            && s.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = rest
        .split_once(':')
        .filter(|(s, _)| is_scheme(s))
        .map_or((String::new(), rest), |(s, r)| (s.to_lowercase(), r));
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(after) => after.split_at(after.find('/').unwrap_or(after.len())),
        None => ("", rest),
    };
    let (login, host) = netloc.rsplit_once('@').map_or((None, netloc), |(login, host)| (Some(login), host));
    let (user, password) = login.map_or((None, None), |login| match login.split_once(':') {
        Some((user, password)) => (Some(user), Some(password)),
        None => (Some(login), None),
    });
    let (name, port) = match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
        Some((inside, after)) => (inside, after.strip_prefix(':')),
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let port = match port.filter(|port| !port.is_empty()) {
        None => Val::None,
        Some(port) => match port.parse::<u16>() {
            Ok(port) => Val::Int(port.into()),
            Err(_) => bail!("Port could not be cast to integer value as '{port}'"),
        },
    };
    let maybe = |text: Option<&str>| text.map_or(Val::None, Val::str);
    let parts: Dict = [
        ("fragment", Val::str(fragment)),
        ("hostname", maybe(Some(name).filter(|n| !n.is_empty()).map(str::to_lowercase).as_deref())),
        ("netloc", Val::str(netloc)),
        ("password", maybe(password)),
        ("path", Val::str(path)),
        ("port", port),
        ("query", Val::str(query)),
        ("scheme", Val::str(scheme)),
        ("username", maybe(user)),
    ]
    .into_iter()
    .map(|(name, value)| (Key::text(name), value))
    .collect();
    if wanted.is_empty() {
        return Ok(Val::map(parts));
    }
    match super::basic::at(&parts, wanted) {
        Some(part) => Ok(part),
        None => bail!("Unknown URL component: {wanted}"),
    }
}
