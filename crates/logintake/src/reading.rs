//! What a line says of itself: its time and its level, from whatever it is written as.

use std::borrow::Cow;

use wellkept_model::Level;

use crate::json::{self, Members, Value};
use crate::{Zone, keys, level, stamp};

/// Bytes of a JSON line in which time and level are looked for; programs write them first.
const JSON_BYTES: usize = 16 << 10;
/// Members of a JSON line that are looked at.
const MEMBERS_MAX: usize = 64;

/// Time and level of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Nanoseconds since the epoch, UTC.
    pub at_ns: Option<i64>,
    /// How grave it is.
    pub level: Option<Level>,
}

/// Reads time and level out of a line. `now_ns` and `zone` complete what is incomplete.
#[must_use]
pub fn read(line: &[u8], now_ns: i64, zone: &Zone) -> Reading {
    if line.first() == Some(&b'{')
        && let Some(members) = Members::of(line.get(..JSON_BYTES).unwrap_or(line))
    {
        return of_json(members, now_ns, zone);
    }
    let stamp = stamp::find(line, now_ns, zone);
    Reading { at_ns: stamp.map(|s| s.at_ns), level: level::find(line, stamp.map_or(0, |s| s.end)) }
}

/// Only the level, for lines whose time the protocol tells.
#[must_use]
pub fn level_of(line: &[u8], now_ns: i64, zone: &Zone) -> Option<Level> {
    read(line, now_ns, zone).level
}

fn of_json(members: Members<'_>, now_ns: i64, zone: &Zone) -> Reading {
    let mut reading = Reading::default();
    for (key, value) in members.take(MEMBERS_MAX) {
        if reading.at_ns.is_none() && keys::is_time(key) {
            reading.at_ns = time_of(value, now_ns, zone);
        } else if reading.level.is_none() && keys::is_level(key) {
            let name = String::from_utf8_lossy(key);
            reading.level = level::of_value(&name, &value.text());
        } else if reading.level.is_none()
            && key == b"log"
            && let Value::Object(raw) = value
        {
            let inner =
                Members::of(raw).into_iter().flatten().take(MEMBERS_MAX).find(|(k, _)| *k == b"level");
            reading.level = inner.and_then(|(_, v)| level::of_value("level", &v.text()));
        }
        if reading.at_ns.is_some() && reading.level.is_some() {
            break;
        }
    }
    reading
}

/// The instant that a JSON value says; MongoDB writes it one object deeper.
fn time_of(value: Value<'_>, now_ns: i64, zone: &Zone) -> Option<i64> {
    match value {
        Value::Text(raw) => stamp::at_start(json::unescaped(raw).as_bytes(), now_ns, zone).map(|s| s.at_ns),
        Value::Other(raw) => number(raw).or_else(|| stamp::at_start(raw, now_ns, zone).map(|s| s.at_ns)),
        Value::Object(raw) => match Members::of(raw)?.next()? {
            (b"$date", Value::Text(raw)) => {
                let text: Cow<'_, str> = json::unescaped(raw);
                stamp::at_start(text.as_bytes(), now_ns, zone).map(|s| s.at_ns)
            }
            _ => None,
        },
        Value::List(_) => None,
    }
}

/// A number with an exponent or fraction, in the unit that its size suggests: `1.7e9`, `1704164645123.5`.
fn number(raw: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(raw).ok()?;
    if !text.contains(['.', 'e', 'E']) || (text.contains('.') && text.find('.') == Some(10)) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    let scale = match number {
        1e9..1e11 => 1e9,
        1e12..1e14 => 1e6,
        1e15..1e17 => 1e3,
        1e18..9e18 => 1.0,
        _ => return None,
    };
    Some((number * scale) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_710_072_000_000_000_000;
    const THEN: i64 = 1_704_164_645_000_000_000;

    fn check(line: &str, at_ns: Option<i64>, level: Option<Level>) {
        assert_eq!(read(line.as_bytes(), NOW, &Zone::utc()), Reading { at_ns, level }, "{line}");
    }

    #[test]
    fn json_lines_of_many_programs() {
        let (info, error) = (Some(Level::Info), Some(Level::Error));
        check(r#"{"level":30,"time":1704164645000,"msg":"up"}"#, Some(THEN), info);
        check(r#"{"level":"error","ts":1704164645.0,"msg":"down"}"#, Some(THEN), error);
        check(r#"{"level":"error","ts":1.704164645e9,"msg":"down"}"#, Some(THEN), error);
        check(r#"{"t":{"$date":"2024-01-02T03:04:05.000+00:00"},"s":"I","c":"NETWORK"}"#, Some(THEN), info);
        check(r#"{"@timestamp":"2024-01-02T03:04:05Z","log.level":"INFO","message":"x"}"#, Some(THEN), info);
        check(
            r#"{"@timestamp":"2024-01-02T03:04:05Z","log":{"logger":"a","level":"error"}}"#,
            Some(THEN),
            error,
        );
        check(r#"{"time":"2024-01-02T03:04:05Z","severity":"ERROR","message":"x"}"#, Some(THEN), error);
        check(r#"{"asctime":"2024-01-02 03:04:05,000","levelname":"ERROR"}"#, Some(THEN), error);
        check(r#"{"msg":"no time"}"#, None, None);
        check(r#"{"level":true,"time":null}"#, None, None);
    }

    #[test]
    fn free_text_and_logfmt() {
        check("2024-01-02 03:04:05 ERROR down", Some(THEN), Some(Level::Error));
        check("ts=2024-01-02T03:04:05Z level=info msg=up", Some(THEN), Some(Level::Info));
        check("{broken", None, None);
        check("", None, None);
    }
}
