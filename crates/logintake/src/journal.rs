//! Entries of the systemd journal as `journalctl --output=json` writes them, one object per line.
//!
//! A member is a text, a list of numbers when it is not UTF-8 or holds control characters, a list of those when a field
//! came several times, and null when it was too large. Source: systemd, "Journal Export Formats", and `journalctl(1)`.

use std::borrow::Cow;

use serde_json::Value;
use wellkept_model::LogSink;

use crate::emit::{Arrival, Emitter, LabelMaker};
use crate::{DecodeError, Limits, Refusal, Tally, level};

/// Members that are not handed on as fields: they are the line itself, its labels, or say the same in other words.
const NO_FIELDS: [&str; 14] = [
    "MESSAGE",
    "PRIORITY",
    "_HOSTNAME",
    "_SYSTEMD_UNIT",
    "SYSLOG_IDENTIFIER",
    "SYSLOG_TIMESTAMP",
    "SYSLOG_RAW",
    "_SYSTEMD_INVOCATION_ID",
    "_SYSTEMD_SLICE",
    "_SYSTEMD_CGROUP",
    "_CAP_EFFECTIVE",
    "_MACHINE_ID",
    "_RUNTIME_SCOPE",
    "_SELINUX_CONTEXT",
];

/// Decodes entries.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    labels: LabelMaker,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where the journal is to be read on from, after this entry.
    pub cursor: Option<String>,
    /// Counts.
    pub tally: Tally,
}

impl Decoder {
    /// A decoder with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Hands one entry on. The labels are `host`, `unit` and `service` (the unit without its kind, else the program).
    ///
    /// # Errors
    /// [`DecodeError::Json`] when the line is no JSON object.
    pub fn decode(
        &mut self,
        line: &[u8],
        arrival: &Arrival<'_>,
        sink: &mut dyn LogSink,
    ) -> Result<Entry, DecodeError> {
        let parsed: Value = serde_json::from_slice(line)
            .map_err(|e| DecodeError::Json(crate::tally::readable(&e.to_string())))?;
        let Value::Object(members) = &parsed else {
            return Err(DecodeError::Json("expected an object".to_owned()));
        };
        let get = |name: &str| members.get(name).map(text).unwrap_or_default();
        let cursor = Some(get("__CURSOR").into_owned()).filter(|c| !c.is_empty());
        let mut emitter = Emitter::new(&self.limits, arrival, sink);
        let Some(message) = members.get("MESSAGE").map(bytes) else {
            emitter.refuse(Refusal::Document)?;
            return Ok(Entry { cursor, tally: emitter.tally });
        };
        let (unit, host, program) = (get("_SYSTEMD_UNIT"), get("_HOSTNAME"), get("SYSLOG_IDENTIFIER"));
        let service = service(&unit, &program);
        let sent = [("host", host.as_ref()), ("unit", unit.as_ref()), ("service", service)];
        let labels = match self.labels.make(&sent, arrival, &self.limits) {
            Ok(labels) => labels,
            Err(why) => {
                emitter.refuse(why)?;
                return Ok(Entry { cursor, tally: emitter.tally });
            }
        };
        let source_us = ["_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"];
        let at_us = source_us.iter().find_map(|name| get(name).parse::<i64>().ok());
        let at_ns = at_us.and_then(|us| us.checked_mul(1000));
        let level = get("PRIORITY").parse().ok().and_then(level::of_syslog);
        let kept = |name: &str| !name.starts_with("__") && !NO_FIELDS.contains(&name);
        let kept = members.iter().filter(|(name, _)| kept(name) && !name.ends_with("_TIMESTAMP"));
        let named: Vec<(String, Cow<'_, str>)> =
            kept.map(|(n, v)| (n.trim_start_matches('_').to_ascii_lowercase(), text(v))).collect();
        let fields: Vec<(&str, &str)> = named.iter().map(|(n, v)| (n.as_str(), v.as_ref())).collect();
        emitter.line(&labels, at_ns, level, &message, &fields)?;
        Ok(Entry { cursor, tally: emitter.tally })
    }
}

/// The unit without its kind, when it is one that people name; else the program.
fn service<'a>(unit: &'a str, program: &'a str) -> &'a str {
    match unit.strip_suffix(".service") {
        Some(name) if !name.starts_with("user@") => name,
        _ if !program.is_empty() => program,
        _ => unit,
    }
}

/// A member's bytes. Of a field that came several times, the first.
fn bytes(value: &Value) -> Cow<'_, [u8]> {
    match value {
        Value::String(text) => Cow::Borrowed(text.as_bytes()),
        Value::Array(list) => match list.first() {
            Some(first @ (Value::String(_) | Value::Array(_))) => match first {
                Value::String(text) => Cow::Borrowed(text.as_bytes()),
                inner => Cow::Owned(numbers(inner)),
            },
            _ => Cow::Owned(numbers(value)),
        },
        Value::Null => Cow::Borrowed(b""),
        other => Cow::Owned(other.to_string().into_bytes()),
    }
}

fn numbers(value: &Value) -> Vec<u8> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|n| u8::try_from(n.as_u64()?).ok()).collect()
}

fn text(value: &Value) -> Cow<'_, str> {
    match bytes(value) {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use wellkept_model::Level;

    use super::*;
    use crate::testing::Kept;

    const SSHD: &str = r#"{"_TRANSPORT":"syslog","__CURSOR":"s=aa;i=1;b=cc;m=1;t=2;x=3","__REALTIME_TIMESTAMP":"1704164645000009","_SOURCE_REALTIME_TIMESTAMP":"1704164645000001","__MONOTONIC_TIMESTAMP":"77","_BOOT_ID":"cc","PRIORITY":"4","SYSLOG_IDENTIFIER":"sshd","SYSLOG_FACILITY":"4","_PID":"812","_UID":"0","_COMM":"sshd","_SYSTEMD_UNIT":"ssh.service","_HOSTNAME":"web-1","_MACHINE_ID":"dd","MESSAGE":"Invalid user bob from 10.0.0.9"}"#;

    fn decode(line: &str) -> (Result<Entry, DecodeError>, Kept) {
        let mut kept = Kept::default();
        let entry = Decoder::new(Limits::default()).decode(line.as_bytes(), &Kept::ARRIVAL, &mut kept);
        (entry, kept)
    }

    #[test]
    fn an_entry_has_its_unit_host_and_cursor() {
        let (entry, kept) = decode(SSHD);
        assert_eq!(entry.unwrap().cursor.as_deref(), Some("s=aa;i=1;b=cc;m=1;t=2;x=3"));
        let line = &kept.lines[0];
        assert_eq!(line.labels.to_string(), r#"{host="web-1", service="ssh", unit="ssh.service"}"#);
        assert_eq!((line.at_ns, line.level), (1_704_164_645_000_001_000, Some(Level::Warning)));
        assert_eq!(line.text, b"Invalid user bob from 10.0.0.9");
        assert!(line.fields().contains(&("pid", "812")) && line.fields().contains(&("transport", "syslog")));
        assert!(!line.fields().iter().any(|(n, _)| n.contains("cursor") || n.contains("timestamp")));
    }

    #[test]
    fn bytes_repeated_fields_and_missing_values() {
        let (_, kept) = decode(
            r#"{"__CURSOR":"c","MESSAGE":[104,105,0,255],"SYSLOG_IDENTIFIER":["a","b"],"PRIORITY":"6"}"#,
        );
        assert_eq!(
            (kept.lines[0].text.as_slice(), kept.lines[0].labels.get("service")),
            (&b"hi\x00\xff"[..], "a")
        );
        let (_, kept) = decode(r#"{"__CURSOR":"c","MESSAGE":[[104],[105]]}"#);
        assert_eq!(kept.lines[0].text, b"h");
        let (_, kept) = decode(r#"{"__CURSOR":"c","MESSAGE":null}"#);
        assert_eq!(kept.lines[0].text, b"");
        let (entry, kept) = decode(r#"{"__CURSOR":"c","PRIORITY":"6"}"#);
        let entry = entry.unwrap();
        assert_eq!((entry.tally.refused, entry.cursor.as_deref(), kept.lines.len()), (1, Some("c"), 0));
    }

    #[test]
    fn units_of_user_sessions_are_named_by_their_program() {
        assert_eq!(service("user@1000.service", "firefox"), "firefox");
        assert_eq!(service("session-1.scope", "sudo"), "sudo");
        assert_eq!(service("nginx.service", "nginx-worker"), "nginx");
        assert_eq!(service("init.scope", ""), "init.scope");
    }

    #[test]
    fn what_is_no_entry_is_an_error() {
        for line in ["", "[]", "1", "{", "-- No entries --"] {
            assert!(matches!(decode(line).0, Err(DecodeError::Json(_))), "{line}");
        }
    }
}
