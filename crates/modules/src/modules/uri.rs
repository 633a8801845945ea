//! `uri`: one request to a server, and what it answered.

use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use serde_json::{Map, Value};

use super::url;
use crate::base::attributes::{Sides, Wanted};
use crate::base::http::{self, Follow};
use crate::base::replace::{self, Keep};
use crate::base::{Done, Fail, Result, ResultExt, Task, fail, files, hash, map, python};
use crate::spec::{Arg, Kind, ModuleSpec, Rule, flag, int, list, map as map_arg, path, raw, text};

const ARGS: &[Arg] = &[
    text("url").required(),
    flag("force", false),
    text("http_agent").or("ansible-httpget"),
    flag("use_proxy", true),
    flag("validate_certs", true),
    text("url_username").aka(&["user"]),
    text("url_password").secret().aka(&["password"]),
    flag("force_basic_auth", false),
    path("client_cert"),
    path("client_key"),
    flag("use_gssapi", false),
    text("follow_redirects").or("safe").one_of(&["all", "no", "none", "safe", "urllib2", "yes"]),
    path("dest"),
    raw("body"),
    text("body_format").or("raw").one_of(&["form-urlencoded", "json", "raw", "form-multipart"]),
    path("src"),
    text("method").or("GET"),
    flag("return_content", false),
    path("creates"),
    path("removes"),
    Arg::new("status_code", Kind::List).of(Kind::Int),
    int("timeout").or_int(30),
    map_arg("headers"),
    path("unix_socket"),
    flag("remote_src", false),
    path("ca_path"),
    list("unredirected_headers").or_list(&[]),
    flag("decompress", true),
    list("ciphers"),
    flag("use_netrc", true),
];

pub(crate) const SPEC: ModuleSpec =
    ModuleSpec::new("uri", ARGS, run).with_file_args().rules(&[Rule::Exclusive(&["body", "src"])]);

/// Longest answer that is taken into a result, bytes.
const CONTENT_MAX: u64 = 64 << 20;

fn run(task: &mut Task<'_>) -> Done {
    if task.check() {
        let msg = "This action (uri) does not support check mode.";
        return Ok(map([("skipped", true.into()), ("msg", msg.into())]));
    }
    let method = task.args.or_empty("method").to_uppercase();
    if method.is_empty() || !method.chars().all(|c| c.is_ascii_uppercase()) {
        return fail("Parameter 'method' needs to be a single word in uppercase, like GET or POST.");
    }
    let address = task.args.or_empty("url").to_owned();
    let mut ask = url::request(task, &address, &method, changed_since(task));
    let typed =
        |ask: &http::Ask| ask.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let (body, kind) = body(task)?;
    if let Some(kind) = kind
        && (!typed(&ask) || kind.starts_with("multipart"))
    {
        ask.headers.push(("Content-Type".to_owned(), kind));
    }
    for (name, gone) in [("creates", false), ("removes", true)] {
        if let Some(path) = task.args.text(name)
            && files::exists(Path::new(path)) != gone
        {
            let why = if gone { "does not exist" } else { "exists" };
            let said = format!("skipped, since '{path}' {why}");
            return Ok(map([("stdout", said.into()), ("changed", false.into())]));
        }
    }
    ask.body = body;
    ask.follow = match task.args.or_empty("follow_redirects") {
        "all" | "yes" => Follow::All,
        "none" | "no" => Follow::None,
        "urllib2" => Follow::Usual,
        _ => Follow::Safe,
    };
    let start = task.ctx.now();
    let answer = http::ask(&ask).map_err(|why| {
        Fail::new(format!("Status code was -1 and not {}: {why}", shown(&wanted(task))))
            .with("status", -1)
            .with("url", url::masked(&address))
            .with("redirected", false)
            .with("elapsed", task.ctx.now().duration_since(start).unwrap_or_default().as_secs())
    })?;
    told(task, answer, &address, start)
}

fn wanted(task: &Task<'_>) -> Vec<i64> {
    match task.args.get("status_code").and_then(Value::as_array) {
        Some(codes) => codes.iter().filter_map(Value::as_i64).collect(),
        None => vec![200],
    }
}

fn shown(codes: &[i64]) -> String {
    format!("[{}]", codes.iter().map(i64::to_string).collect::<Vec<_>>().join(", "))
}

fn changed_since(task: &Task<'_>) -> Option<std::time::SystemTime> {
    let path = Path::new(task.args.filled("dest")?);
    if path.is_file() { path.metadata().and_then(|meta| meta.modified()).ok() } else { None }
}

fn told(task: &mut Task<'_>, answer: http::Answer, address: &str, start: std::time::SystemTime) -> Done {
    let status = i64::from(answer.status);
    let codes = wanted(task);
    let good = codes.contains(&status);
    let mut result = Map::new();
    for (name, value) in url::told(&answer) {
        result.insert(name.replace('-', "_"), value);
    }
    if let Some(location) = answer.header("location") {
        let base =
            http::Url::parse(address).map(|url| url.join(location)).unwrap_or_else(|_| location.to_owned());
        result.insert("location".into(), base.into());
    }
    result.insert("redirected".into(), (answer.url != address).into());
    result
        .insert("elapsed".into(), task.ctx.now().duration_since(start).unwrap_or_default().as_secs().into());
    result.insert("changed".into(), false.into());
    let kind = answer.header("content-type").unwrap_or("application/octet-stream").to_lowercase();
    let sub = kind.split(';').next().unwrap_or_default().split_once('/').map_or("", |(_, sub)| sub).trim();
    let sub = sub.rsplit('+').next().unwrap_or_default();
    let json = matches!(sub, "json" | "javascript");
    let keep = json || task.args.flag("return_content") || !good;
    let name = url::proposed_name(&answer).unwrap_or_else(|| "index.html".to_owned());
    let mut reader = url::body(task, answer);
    let mut content = None;
    if keep {
        let mut bytes = Vec::new();
        reader
            .by_ref()
            .take(CONTENT_MAX + 1)
            .read_to_end(&mut bytes)
            .or_fail(|| format!("HTTP Error while fetching {}", url::masked(address)))?;
        if bytes.len() as u64 > CONTENT_MAX {
            return fail("the answer is longer than 64 MiB; set dest and not return_content");
        }
        content = Some(bytes);
    }
    if let Some(dest) = task.args.filled("dest").map(str::to_owned) {
        let dest = if Path::new(&dest).is_dir() { files::join(&dest, &name) } else { dest };
        if good && status != 304 {
            store(task, &dest, content.as_deref(), reader.as_mut())?;
            Wanted::of(task).apply(task, Path::new(&dest), &mut Sides::default())?;
            result.insert("changed".into(), true.into());
        }
        result.insert("path".into(), dest.into());
    }
    if let Some(bytes) = content {
        let text = decoded(&bytes, &kind);
        if json && let Ok(value) = serde_json::from_str::<Value>(&text) {
            result.insert("json".into(), value);
        }
        if task.args.flag("return_content") {
            result.insert("content".into(), text.into());
        }
    } else if result.get("status").and_then(Value::as_i64).is_some_and(|status| status >= 300) {
        let mut text = String::new();
        // What a server says besides an expected error is told as far as it comes.
        let _ = reader.by_ref().take(1 << 20).read_to_string(&mut text);
        result.insert("body".into(), text.into());
    }
    if good {
        return Ok(result);
    }
    let why = result.get("msg").and_then(Value::as_str).unwrap_or_default();
    Err(Fail { msg: format!("Status code was {status} and not {}: {why}", shown(&codes)), more: result })
}

fn decoded(bytes: &[u8], kind: &str) -> String {
    if kind.contains("charset=iso-8859-1") || kind.contains("charset=latin-1") {
        return bytes.iter().map(|byte| char::from(*byte)).collect();
    }
    String::from_utf8_lossy(bytes).into_owned()
}

fn store(task: &Task<'_>, dest: &str, content: Option<&[u8]>, reader: &mut dyn Read) -> Result<()> {
    let path = Path::new(dest);
    let broken = || format!("failed to copy the answer to {dest}");
    let mut made = tempfile::Builder::new().prefix("tmp").tempfile_in(&task.ctx.temp).or_fail(broken)?;
    match content {
        Some(mut bytes) => io::copy(&mut bytes, made.as_file_mut()),
        None => io::copy(reader, made.as_file_mut()),
    }
    .or_fail(broken)?;
    if hash::file(made.path(), "sha1").ok() == hash::file(path, "sha1").ok() {
        return Ok(());
    }
    let mut from = made.reopen().or_fail(broken)?;
    replace::with(path, &mut from, &Keep::Old, false).or_fail(broken)
}

/// The body and its type.
fn body(task: &Task<'_>) -> Result<(Vec<u8>, Option<String>)> {
    if let Some(src) = task.args.filled("src") {
        let bytes =
            if task.args.flag("remote_src") { files::bytes(Path::new(src)) } else { task.source.read(src) };
        let bytes =
            bytes.map_err(|_| Fail::new(format!("Unable to open source file {src}")).with("elapsed", 0))?;
        return Ok((bytes, None));
    }
    let body = task.args.get("body").cloned().unwrap_or_default();
    Ok(match task.args.or_empty("body_format") {
        "json" => {
            let text = match &body {
                Value::String(text) => text.clone(),
                other => python::json(other),
            };
            (text.into_bytes(), Some("application/json".to_owned()))
        }
        "form-urlencoded" => {
            (form(&body)?.into_bytes(), Some("application/x-www-form-urlencoded".to_owned()))
        }
        "form-multipart" => multipart(task, &body)?,
        _ if body.is_null() => (Vec::new(), None),
        _ => (python::text(&body).into_bytes(), None),
    })
}

fn form(body: &Value) -> Result<String> {
    let pairs: Vec<(String, Value)> = match body {
        Value::String(text) => return Ok(text.clone()),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        Value::Array(items) => {
            let pair = |item: &Value| Some((python::text(item.get(0)?), item.get(1)?.clone()));
            let pairs: Option<Vec<_>> = items.iter().map(pair).collect();
            pairs.ok_or_else(|| {
                Fail::new("failed to parse body as form_urlencoded: a list of pairs is wanted")
            })?
        }
        _ => return Ok(String::new()),
    };
    let mut out = Vec::new();
    for (key, value) in pairs {
        let values = match value {
            Value::Array(items) => items,
            one => vec![one],
        };
        for value in values.iter().filter(|value| !value.is_null()) {
            out.push(format!("{}={}", escaped(&key), escaped(&python::text(value))));
        }
    }
    Ok(out.join("&"))
}

/// As `quote_plus`.
fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        b if b.is_ascii_alphanumeric() || b"_.-~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}

fn multipart(task: &Task<'_>, body: &Value) -> Result<(Vec<u8>, Option<String>)> {
    let Value::Object(fields) = body else {
        return fail("failed to parse body as form-multipart: Mapping is required");
    };
    let mut seed = [0u8; 16];
    getrandom::fill(&mut seed).map_err(|error| Fail::new(error.to_string()))?;
    let boundary = format!("==============={}==", hash::hex(&seed));
    let mut out = Vec::new();
    let clean = |text: &str| text.replace(['"', '\r', '\n'], "_");
    for (name, value) in fields {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let (content, file) = match value {
            Value::Object(_) => match (text("content"), text("filename")) {
                (Some(content), file) => (content.as_bytes().to_vec(), file.map(str::to_owned)),
                (None, Some(file)) => {
                    let bytes = task.source.read(file).or_else(|_| files::bytes(Path::new(file)));
                    (
                        bytes.or_fail(|| format!("failed to parse body as form-multipart: {file}"))?,
                        Some(file.to_owned()),
                    )
                }
                (None, None) => {
                    return fail(
                        "failed to parse body as form-multipart: at least one of filename or content must be provided",
                    );
                }
            },
            other => (python::text(other).into_bytes(), None),
        };
        out.extend(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", clean(name)).bytes(),
        );
        if let Some(file) = &file {
            out.extend(format!("; filename=\"{}\"", clean(files::basename(file))).bytes());
        }
        let kind = text("mime_type").unwrap_or(if file.is_some() {
            "application/octet-stream"
        } else {
            "text/plain"
        });
        out.extend(format!("\r\nContent-Type: {}\r\n", clean(kind)).bytes());
        if text("multipart_encoding") == Some("base64") {
            out.extend(b"Content-Transfer-Encoding: base64\r\n\r\n");
            out.extend(base64::engine::general_purpose::STANDARD.encode(content).bytes());
        } else {
            out.extend(b"\r\n");
            out.extend(content);
        }
        out.extend(b"\r\n");
    }
    out.extend(format!("--{boundary}--\r\n").bytes());
    Ok((out, Some(format!("multipart/form-data; boundary=\"{boundary}\""))))
}
