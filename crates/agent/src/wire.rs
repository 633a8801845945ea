//! What agents and their server say to each other: HTTP/1.1 inside TLS, JSON heads, records as bytes.
//!
//! | path | who | what |
//! |------|-----|------|
//! | `POST /v1/join` | anybody with a token | a key with proof of its possession; gives a certificate |
//! | `POST /v1/renew` | an agent | the same, with its certificate instead of a token |
//! | `POST /v1/push` | an agent | records of its queue; gives how far they are stored, and whether there is an order |
//! | `GET /v1/order/ID` | an agent | the bundle of an order |

use serde::{Deserialize, Serialize};
use wellkept_sign::{Digest, PublicKey, SigningKey, verify_statement};

/// Largest body of a push, bytes.
pub const PUSH_MAX: usize = 8 << 20;
/// Largest record, bytes.
pub const RECORD_MAX: usize = 4 << 20;
/// Largest body of other requests and of JSON answers, bytes.
pub const SMALL_MAX: usize = 64 << 10;
/// Longest text in a report.
pub const SAID_MAX: usize = 16 << 10;
/// Findings that one agent may have at once.
pub const FINDINGS_MAX: usize = 100;

const HEAD_BYTES: usize = 25;

/// Who asks for a certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// Which token; empty when a certificate is renewed.
    pub token: String,
    /// The token's secret part; empty when a certificate is renewed.
    pub secret: String,
    /// The key that the certificate is for.
    pub key: PublicKey,
    /// Base64 of its holder's signature.
    pub proof: String,
}

/// A certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinAnswer {
    /// The name that the token was made for.
    pub name: String,
    /// Base64 of DER.
    pub certificate: String,
    /// Milliseconds since the epoch.
    pub expires_ms: i64,
    /// Milliseconds since the epoch; from then on a new one is asked for.
    pub renew_ms: i64,
}

/// What the holder of a key signs to show that it has it.
pub(crate) fn proof(key: &SigningKey, token: &str, authority: Digest) -> [u8; 64] {
    key.sign("join 1", format!("{token}\n{authority}").as_bytes())
}

pub(crate) fn proven(key: &PublicKey, token: &str, authority: Digest, signature: &[u8]) -> bool {
    verify_statement(key, "join 1", format!("{token}\n{authority}").as_bytes(), signature)
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A remote write 1.0 request, packed with Snappy.
    Samples = 1,
    /// JSON: [`Lines`].
    Lines = 2,
    /// JSON: all findings that hold, a list of [`Told`].
    Findings = 3,
    /// JSON: [`Report`].
    Report = 4,
    /// JSON: facts of the host.
    Facts = 5,
}

impl Kind {
    /// Of its number.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        [Self::Samples, Self::Lines, Self::Findings, Self::Report, Self::Facts]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// One record, on its way or in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// One more than that of the record before it.
    pub seq: u64,
    /// When it was made, milliseconds since the epoch.
    pub at_ms: i64,
    /// What it holds.
    pub kind: Kind,
    /// The content.
    pub bytes: Vec<u8>,
}

impl Record {
    /// Bytes that it takes when written.
    #[must_use]
    pub fn size(&self) -> usize {
        HEAD_BYTES + self.bytes.len()
    }

    /// Checksum, length, number, time, kind, content.
    pub fn write(&self, out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        out.push(self.kind as u8);
        out.extend_from_slice(&self.bytes);
        let sum = crc32fast::hash(out.get(from + 4..).unwrap_or_default());
        if let Some(place) = out.get_mut(from..from + 4) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
    }

    /// The first record of some bytes and what follows it; `None` when there is no whole, sound one.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (sum, rest) = bytes.split_first_chunk::<4>()?;
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > RECORD_MAX {
            return None;
        }
        let (seq, after) = after.split_first_chunk::<8>()?;
        let (at_ms, after) = after.split_first_chunk::<8>()?;
        let (kind, after) = after.split_first()?;
        let (content, after) = after.split_at_checked(length)?;
        let summed = rest.get(..HEAD_BYTES - 4 + length)?;
        if crc32fast::hash(summed) != u32::from_le_bytes(*sum) {
            return None;
        }
        let record = Self {
            seq: u64::from_le_bytes(*seq),
            at_ms: i64::from_le_bytes(*at_ms),
            kind: Kind::of(*kind)?,
            bytes: content.to_vec(),
        };
        Some((record, after))
    }

    /// All records of a body.
    ///
    /// # Errors
    /// Anything in it that is no sound record, or records out of order.
    pub fn read_all(mut bytes: &[u8]) -> Result<Vec<Self>, &'static str> {
        let mut all: Vec<Self> = Vec::new();
        while !bytes.is_empty() {
            let (record, rest) = Self::read(bytes).ok_or("a record is damaged or of an unknown kind")?;
            if all.last().is_some_and(|last| last.seq >= record.seq) {
                return Err("the records are not in order");
            }
            all.push(record);
            bytes = rest;
        }
        Ok(all)
    }
}

/// The answer to a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushAnswer {
    /// Everything up to this number is stored, or was stored before.
    pub acked: u64,
    /// What the agent is handed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderHead>,
}

/// An order that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderHead {
    /// Its name.
    pub id: String,
    /// Bytes of its bundle.
    pub size: u64,
}

/// Lines of logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// Oldest first.
    pub lines: Vec<Line>,
    /// How far sources were read, for the agent itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<(String, Option<String>)>,
}

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Nanoseconds since the epoch.
    pub at_ns: i64,
    /// Its stream.
    pub labels: Vec<(String, String)>,
    /// Its level, when it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Its text; base64 in `bytes` when it is not UTF-8.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// See `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    /// Named values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String)>,
}

/// A finding as an agent tells it: data that is shown, and nothing that anything is done by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Word of the finding's kind, and what it is about.
    pub subject: String,
    /// `info`, `warning`, `critical`.
    pub severity: String,
    /// Milliseconds since the epoch.
    pub since_ms: i64,
    /// Key of a message.
    pub key: String,
    /// Its values.
    pub args: Vec<(String, String)>,
}

/// How far an order came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It waits for the agent.
    Handed,
    /// The agent has asked for it.
    Taken,
    /// The agent's own checks let it through, and it runs.
    Began,
    /// The agent's own checks did not let it through; nothing was done.
    Refused,
    /// It ran to its end.
    Ended,
    /// The host's own switch stopped it.
    Stopped,
    /// It was begun, and nobody knows how it ended.
    Unknown,
}

impl Stage {
    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Handed => "handed",
            Self::Taken => "taken",
            Self::Began => "began",
            Self::Refused => "refused",
            Self::Ended => "ended",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }

    /// Nothing more comes after it.
    #[must_use]
    pub fn is_last(self) -> bool {
        matches!(self, Self::Refused | Self::Ended | Self::Stopped | Self::Unknown)
    }
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Which.
    pub order: String,
    /// How far it came.
    pub stage: Stage,
    /// Exit code, at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// Why, or the last of what it wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
    /// Milliseconds since the epoch.
    pub at_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64) -> Record {
        Record { seq, at_ms: -5, kind: Kind::Lines, bytes: vec![seq as u8; 10] }
    }

    #[test]
    fn records_come_back_and_damaged_ones_are_refused() {
        let mut bytes = Vec::new();
        record(1).write(&mut bytes);
        record(7).write(&mut bytes);
        assert_eq!(bytes.len(), record(1).size() * 2);
        assert_eq!(Record::read_all(&bytes).unwrap(), [record(1), record(7)]);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Record::read_all(&changed).is_err(), "byte {at}");
        }
        let whole = record(1).size();
        for cut in (1..bytes.len()).filter(|cut| *cut != whole) {
            assert!(Record::read_all(&bytes[..cut]).is_err(), "{cut} bytes");
        }
        let mut turned = Vec::new();
        record(7).write(&mut turned);
        record(7).write(&mut turned);
        assert!(Record::read_all(&turned).is_err());
    }
}
