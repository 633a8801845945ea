//! The engine's API over its socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::base::http::{self, Ask, Follow};
use crate::base::{Fail, Result, ResultExt, Task, fail, python};

/// Longest answer of the engine, bytes.
const ANSWER_MAX: u64 = 64 << 20;

pub(super) struct Engine<'t, 'a> {
    task: &'t Task<'a>,
    socket: Option<PathBuf>,
    base: String,
}

pub(super) fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"_.-~/:@".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}

/// What is sent with a question.
enum Sent<'a> {
    Nothing,
    Json(&'a Value),
    File(&'a Path),
}

impl Engine<'_, '_> {
    fn raw(
        &self,
        method: &str,
        path: &str,
        sent: &Sent<'_>,
        within: Option<Duration>,
    ) -> Result<(u16, Vec<u8>)> {
        let mut ask = Ask {
            method: method.to_owned(),
            url: format!("{}{path}", self.base),
            follow: Follow::None,
            within,
            ..Ask::default()
        };
        ask.socket.clone_from(&self.socket);
        let kind = match sent {
            Sent::Nothing => None,
            Sent::Json(body) => {
                ask.body = body.to_string().into_bytes();
                Some("application/json")
            }
            Sent::File(path) => {
                ask.upload = Some(path.to_path_buf());
                Some("application/x-tar")
            }
        };
        ask.headers.extend(kind.map(|kind| ("Content-Type".to_owned(), kind.to_owned())));
        let mut answer = http::ask(&ask).map_err(|why| {
            Fail::new(format!("Error connecting: Error while fetching server API version: {why}"))
        })?;
        let bytes = answer.whole(ANSWER_MAX).or_fail(|| format!("reading {path}"))?;
        Ok((answer.status, bytes))
    }

    fn within(&self) -> Option<Duration> {
        let seconds = u64::try_from(self.task.args.int("timeout").unwrap_or(60)).unwrap_or(60);
        Some(Duration::from_secs(seconds))
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        sent: &Sent<'_>,
        within: Option<Duration>,
    ) -> Result<(u16, Value)> {
        let (status, bytes) = self.raw(method, path, sent, within)?;
        // Progress is one JSON value a line; the last one tells the end.
        let text = String::from_utf8_lossy(&bytes);
        let value = serde_json::from_str(&text)
            .ok()
            .or_else(|| text.lines().rev().find_map(|line| serde_json::from_str(line).ok()));
        Ok((status, value.unwrap_or_default()))
    }

    /// Asks; anything but success ends the task.
    pub(super) fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        self.done(method, path, &body.map_or(Sent::Nothing, Sent::Json), self.within())
    }

    /// Waits as long as it takes: the task has a limit of its own.
    pub(super) fn wait(&self, path: &str) -> Result<Value> {
        self.done("POST", path, &Sent::Nothing, None)
    }

    /// Sends a file as it is read.
    pub(super) fn upload(&self, path: &str, file: &Path) -> Result<Value> {
        self.done("POST", path, &Sent::File(file), self.within())
    }

    fn done(&self, method: &str, path: &str, sent: &Sent<'_>, within: Option<Duration>) -> Result<Value> {
        let (status, value) = self.ask(method, path, sent, within)?;
        let wrong = value.get("error").or_else(|| value.get("message")).and_then(Value::as_str);
        match (status, wrong) {
            (200..=304, None) => Ok(value),
            (200..=304, Some(_)) if value.get("Id").is_some() => Ok(value),
            (_, wrong) => fail(format!(
                "{status} from the engine for {method} {path}: {}",
                wrong.unwrap_or("no reason given")
            )),
        }
    }

    /// What a container wrote, at most the last of it.
    pub(super) fn logs(&self, place: &str, tty: bool) -> Result<String> {
        let path = format!("{place}/logs?stdout=true&stderr=true&tail=10000");
        let (_, bytes) = self.raw("GET", &path, &Sent::Nothing, self.within())?;
        let text = if tty { bytes } else { unframed(&bytes) };
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    pub(super) fn known(&self, path: &str) -> Result<Option<Value>> {
        let (status, value) = self.ask("GET", path, &Sent::Nothing, self.within())?;
        match status {
            200 => Ok(Some(value)),
            404 => Ok(None),
            _ => fail(format!(
                "{status} from the engine for GET {path}: {}",
                value.get("message").map(python::text).unwrap_or_default()
            )),
        }
    }

    pub(super) fn pull(&self, image: &str) -> Result<()> {
        let (name, tag) = split(image);
        let path = format!("/images/create?fromImage={}&tag={}", escaped(name), escaped(tag));
        self.must("POST", &path, None).map(|_| ())
    }
}

/// The output of a container without the eight bytes before each piece that tell its stream and length.
fn unframed(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
        let [_, _, _, _, length @ ..] = *head;
        let length = (u32::from_be_bytes(length) as usize).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        out.extend_from_slice(piece);
        bytes = rest;
    }
    out
}

pub(super) fn engine<'t, 'a>(task: &'t Task<'a>) -> Result<Engine<'t, 'a>> {
    let host = task.args.or_empty("docker_host");
    if let Some(path) = host.strip_prefix("unix://") {
        return Ok(Engine { task, socket: Some(path.into()), base: "http://localhost".to_owned() });
    }
    match host.strip_prefix("tcp://") {
        Some(rest) => Ok(Engine { task, socket: None, base: format!("http://{rest}") }),
        None => fail(format!("docker_host {host} is neither unix:// nor tcp://")),
    }
}

/// Name and tag (or digest) of an image.
pub(super) fn split(image: &str) -> (&str, &str) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, digest);
    }
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

/// Whether what is there holds all that is wanted; lists without order, maps by their keys.
pub(super) fn holds(have: &Value, wanted: &Value) -> bool {
    match (have, wanted) {
        (Value::Object(have), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| have.get(key).is_some_and(|have| holds(have, value)))
        }
        (Value::Array(have), Value::Array(wanted)) => {
            wanted.iter().all(|value| have.iter().any(|have| holds(have, value)))
        }
        (have, wanted) => have == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn images_have_names_and_tags() {
        assert_eq!(split("a:5000/b"), ("a:5000/b", "latest"));
        assert_eq!(split("a:5000/b:1"), ("a:5000/b", "1"));
        assert_eq!(split("a@sha256:00"), ("a", "sha256:00"));
    }

    #[test]
    fn only_what_the_task_says_is_compared() {
        assert!(holds(&json!({"a": 1, "b": ["x", "y"]}), &json!({"b": ["y"]})));
        assert!(!holds(&json!({"a": 1}), &json!({"a": 2})));
    }

    #[test]
    fn output_comes_in_pieces_and_a_false_length_ends_it() {
        let framed = [&[1u8, 0, 0, 0, 0, 0, 0, 3][..], b"one", &[2, 0, 0, 0, 0, 0, 0, 9], b"two"].concat();
        assert_eq!(unframed(&framed), b"onetwo");
        assert_eq!(unframed(b"short"), b"");
    }
}
