//! What `uri` and `get_url` have in common: one request with the task's account, certificates and proxies.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::base::http::{self, Answer, Ask, Follow};
use crate::base::{Task, python, tls::Trust};

/// A request of this task to this address.
pub(crate) fn request(task: &Task<'_>, url: &str, method: &str, changed_since: Option<SystemTime>) -> Ask {
    let args = &task.args;
    let mut ask = Ask { method: method.to_owned(), url: url.to_owned(), ..Ask::default() };
    for (name, value) in args.map("headers").into_iter().flatten() {
        ask.headers.push((name.clone(), python::text(value)));
    }
    let given = |ask: &Ask, name: &str| ask.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    if !given(&ask, "user-agent") {
        let agent = args.filled("http_agent").unwrap_or("ansible-httpget").to_owned();
        ask.headers.push(("User-Agent".to_owned(), agent));
    }
    if !given(&ask, "accept-encoding") {
        ask.headers.push(("Accept-Encoding".to_owned(), "identity".to_owned()));
    }
    match changed_since {
        Some(when) if !args.flag("force") => {
            if let Ok(stamp) = jiff::Timestamp::try_from(when) {
                let zoned = stamp.to_zoned(jiff::tz::TimeZone::UTC);
                let when = zoned.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
                ask.headers.push(("If-Modified-Since".to_owned(), when));
            }
        }
        _ if args.flag("force") => ask.headers.push(("Cache-Control".to_owned(), "no-cache".to_owned())),
        _ => {}
    }
    ask.within = args.int("timeout").and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    ask.account =
        args.filled("url_username").map(|user| (user.to_owned(), args.or_empty("url_password").to_owned()));
    ask.basic_at_once = args.flag("force_basic_auth");
    let path = |name: &str| args.filled(name).map(PathBuf::from);
    ask.trust = Trust {
        anyone: args.maybe("validate_certs") == Some(false),
        roots: path("ca_path"),
        certificate: path("client_cert"),
        key: path("client_key"),
    };
    ask.socket = path("unix_socket");
    ask.follow = Follow::Usual;
    if args.maybe("use_proxy") != Some(false) {
        ask.proxies = proxies(task, url);
    }
    ask
}

/// Proxies that the environment names, unless it excepts this host.
fn proxies(task: &Task<'_>, url: &str) -> Vec<(String, String)> {
    let variable = |name: &str| {
        task.variable(name).or_else(|| task.variable(&name.to_uppercase())).filter(|v| !v.is_empty())
    };
    let host = http::Url::parse(url).map(|url| url.host).unwrap_or_default();
    let excepted = variable("no_proxy").is_some_and(|list| {
        list.split(',').map(str::trim).any(|entry| {
            let entry = entry.trim_start_matches('.');
            entry == "*" || (!entry.is_empty() && (host == entry || host.ends_with(&format!(".{entry}"))))
        })
    });
    if excepted {
        return Vec::new();
    }
    let schemes = ["http", "https"]
        .map(|scheme| variable(&format!("{scheme}_proxy")).map(|proxy| (scheme.to_owned(), proxy)));
    schemes.into_iter().flatten().collect()
}

/// What results tell of an answer: headers, status, cookies, message.
pub(crate) fn told(answer: &Answer) -> Map<String, Value> {
    let mut out: Map<String, Value> =
        answer.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let cookies: Map<String, Value> =
        answer.cookies.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let line: Vec<String> = answer.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let good = answer.status < 300;
    let length = answer.header("content-length").unwrap_or("unknown");
    let msg = if good {
        format!("OK ({length} bytes)")
    } else {
        format!("HTTP Error {}: {}", answer.status, answer.reason)
    };
    if good {
        out.insert("cookies".to_owned(), cookies.into());
        out.insert("cookies_string".to_owned(), line.join("; ").into());
    }
    out.insert("msg".to_owned(), msg.into());
    out.insert("url".to_owned(), masked(&answer.url).into());
    out.insert("status".to_owned(), answer.status.into());
    out
}

/// The address without the password that it may hold.
pub(crate) fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let Some((account, host)) = authority.rsplit_once('@') else { return url.to_owned() };
    match account.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:********@{host}{tail}"),
        None => url.to_owned(),
    }
}

/// The name of a file that an address ends in.
pub(crate) fn file_name(url: &str) -> String {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let name = path.split_once('/').map_or("", |(_, path)| path).rsplit('/').next().unwrap_or_default();
    if name.is_empty() { "index.html".to_owned() } else { name.to_owned() }
}

/// The name that a server proposes, without folders.
pub(crate) fn proposed_name(answer: &Answer) -> Option<String> {
    let header = answer.header("content-disposition")?;
    let value = header.split(';').find_map(|part| part.trim().strip_prefix("filename="))?;
    let name = value.trim().trim_matches('"').rsplit('/').next().unwrap_or_default();
    Some(name.to_owned()).filter(|name| !name.is_empty() && name != "." && name != "..")
}

/// The body, unpacked when the server packed it for the way.
pub(crate) fn body(task: &Task<'_>, answer: Answer) -> Box<dyn std::io::Read> {
    let packed = answer.header("content-encoding") == Some("gzip") && task.args.flag("decompress");
    if packed { Box::new(flate2::read::MultiGzDecoder::new(answer.body)) } else { answer.body }
}
