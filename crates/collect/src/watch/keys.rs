//! Reads when a key or token ends: from the claims of a JSON Web Token (RFC 7519), or from JSON with such a field. Its
//! content is kept nowhere, and its signature is nobody's business here.

use std::io::Read;
use std::path::Path;

use wellkept_model::TimestampMs;
use wellkept_model::keep::EndingKey;
use wellkept_model::observe::KeySeen;

use super::{Shared, pause};
use crate::clock;

/// Longest file, bytes.
const FILE_MAX: u64 = 64 << 10;

pub(super) async fn watch(shared: Shared, declared: EndingKey) {
    let mut closely = shared.closely.subscribe();
    loop {
        let seen = look(&declared.file, clock::wall());
        shared.lock().keys.insert(declared.name.clone(), seen);
        pause(declared.every, &mut closely).await;
    }
}

fn look(file: &Path, at: TimestampMs) -> KeySeen {
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|f| f.take(FILE_MAX).read_to_string(&mut text));
    let ends_at = match read {
        Ok(_) => end_of(text.trim()).ok_or_else(|| "no end is written in it".to_owned()),
        Err(e) => Err(format!("{}: {e}", file.display())),
    };
    match ends_at {
        Ok(end) => KeySeen { at, ends_at: Some(end), problem: None },
        Err(problem) => KeySeen { at, ends_at: None, problem: Some(problem) },
    }
}

fn end_of(text: &str) -> Option<TimestampMs> {
    let claims = if text.starts_with('{') {
        serde_json::from_str::<serde_json::Value>(text).ok()?
    } else {
        let mut parts = text.split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        serde_json::from_slice(&base64url(payload)?).ok()?
    };
    let field = |name: &str| claims.get(name);
    let seconds = field("exp").or_else(|| field("expires_at")).and_then(serde_json::Value::as_f64);
    if let Some(seconds) = seconds.filter(|s| (0.0..=1e11).contains(s)) {
        #[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
        return Some(TimestampMs((seconds * 1000.0) as i64));
    }
    let told = field("expires_at").or_else(|| field("not_after"))?.as_str()?;
    let told: jiff::Timestamp = told.parse().ok()?;
    Some(TimestampMs(told.as_millisecond()))
}

/// Base64 with the letters of URLs and without padding (RFC 4648, section 5).
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0u32);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_from_tokens_and_from_json() {
        // {"alg":"HS256"} . {"sub":"app","exp":1700000000} . a signature
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhcHAiLCJleHAiOjE3MDAwMDAwMDB9.c2ln";
        for text in [
            token,
            r#"{"exp": 1700000000}"#,
            r#"{"expires_at": 1700000000.0}"#,
            r#"{"token": "x", "expires_at": "2023-11-14T22:13:20Z"}"#,
            r#"{"not_after": "2023-11-14T22:13:20+00:00"}"#,
        ] {
            assert_eq!(end_of(text), Some(TimestampMs(1_700_000_000_000)), "{text}");
        }
        for text in ["", "a.b", "a.!.c", "a.e30.c", "{", r#"{"exp": "soon"}"#, r#"{"exp": 1e30}"#] {
            assert_eq!(end_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_or_has_no_end_says_why() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("key");
        assert!(look(&path, TimestampMs(1)).problem.is_some());
        std::fs::write(&path, "geheim").expect("written");
        let seen = look(&path, TimestampMs(1));
        assert!(seen.problem.is_some_and(|p| !p.contains("geheim")) && seen.ends_at.is_none());
    }
}
