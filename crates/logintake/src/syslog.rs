//! Syslog: RFC 5424, RFC 3164 as devices and libraries really write it, and how TCP carries it (RFC 6587).
//!
//! Nothing is refused: what is no syslog message is a plain line. Host and program become the labels `host` and
//! `service`; facility, process, message id and structured data become fields; what remains is the text.

mod bsd;
mod frame;
mod ietf;

use std::borrow::Cow;

use wellkept_model::{Level, LogSink};

use crate::emit::{Arrival, Emitter, LabelMaker};
use crate::{DecodeError, Limits, Tally, level};

pub use frame::{Frame, Framer};

/// What stands before the text of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// Facility (0 to 23) and severity (0 to 7).
    pub priority: Option<(u8, u8)>,
    /// Nanoseconds since the epoch.
    pub at_ns: Option<i64>,
    /// The sender's name or address, as it says.
    pub host: Option<&'a str>,
    /// The program.
    pub app: Option<&'a str>,
    /// Its process.
    pub process: Option<&'a str>,
    /// Kind of message.
    pub message_id: Option<&'a str>,
    /// Structured data, as `id.name` and value.
    pub data: Vec<(String, Cow<'a, str>)>,
    /// The rest.
    pub text: &'a [u8],
}

/// Names of the facilities. Source: RFC 5424, 6.2.1, with the words of `syslog.h`.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

impl<'a> Message<'a> {
    /// Reads a message. `arrival` completes time stamps without year or zone.
    #[must_use]
    pub fn read(bytes: &'a [u8], arrival: &Arrival<'_>, limits: &Limits) -> Self {
        let bytes = trimmed(bytes);
        let Some((priority, rest)) = priority(bytes) else {
            return Self { text: bytes, ..Self::default() };
        };
        let mut message = match rest {
            [b'1', b' ', after @ ..] => ietf::read(after, arrival, limits),
            _ => None,
        }
        .unwrap_or_else(|| bsd::read(rest, arrival));
        message.priority = Some(priority);
        message
    }

    /// The word for its facility.
    #[must_use]
    pub fn facility(&self) -> Option<&'static str> {
        FACILITIES.get(usize::from(self.priority?.0)).copied()
    }

    /// The level of its severity.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        level::of_syslog(i64::from(self.priority?.1))
    }
}

/// Without what senders put behind a datagram.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| !matches!(b, b'\n' | b'\r' | 0)).map_or(0, |i| i + 1);
    bytes.get(..end).unwrap_or_default()
}

/// `<PRI>` and what follows.
fn priority(bytes: &[u8]) -> Option<((u8, u8), &[u8])> {
    let inner = bytes.strip_prefix(b"<")?;
    let end = inner.iter().take(4).position(|b| *b == b'>')?;
    let digits = inner.get(..end).filter(|d| !d.is_empty() && d.iter().all(u8::is_ascii_digit))?;
    let number = digits.iter().fold(0_u32, |n, d| n * 10 + u32::from(d - b'0'));
    let rest = inner.get(end + 1..)?;
    (number < 192).then_some((((number >> 3) as u8, (number & 7) as u8), rest))
}

/// Decodes messages and keeps label sets between them.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    labels: LabelMaker,
}

impl Decoder {
    /// A decoder with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Hands one message on. `peer`: where it came from, for messages that do not name their host.
    ///
    /// # Errors
    /// None of those that exist today: a single message is within every bound.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        peer: &str,
        arrival: &Arrival<'_>,
        sink: &mut dyn LogSink,
    ) -> Result<Tally, DecodeError> {
        let mut message = Message::read(bytes, arrival, &self.limits);
        let mut emitter = Emitter::new(&self.limits, arrival, sink);
        let host = message.host.unwrap_or(peer);
        let sent = [("host", host), ("service", message.app.unwrap_or_default())];
        let labels = match self.labels.make(&sent, arrival, &self.limits) {
            Ok(labels) => labels,
            Err(why) => {
                emitter.refuse(why)?;
                return Ok(emitter.tally);
            }
        };
        let data = std::mem::take(&mut message.data);
        let facility = message.facility();
        let named = [("facility", facility), ("procid", message.process), ("msgid", message.message_id)];
        let mut fields: Vec<(&str, &str)> = named.into_iter().filter_map(|(n, v)| Some((n, v?))).collect();
        fields.extend((!peer.is_empty()).then_some(("peer", peer)));
        fields.extend(data.iter().map(|(n, v)| (n.as_str(), v.as_ref())));
        emitter.line(&labels, message.at_ns, message.level(), message.text, &fields)?;
        Ok(emitter.tally)
    }
}

#[cfg(test)]
mod tests;
