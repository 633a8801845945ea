//! What is in the frames between controller and helper: a kind, the number of the order, and a body.

use serde::{Deserialize, Serialize};
use wellkept_modules::{Call, SourceEntry};

use crate::values::JsonMap;

/// Both sides are of one build, because the binary is found by its hash; the number guards against anything else.
pub const VERSION: u16 = 1;
/// The longest frame, bytes.
pub const FRAME_MAX: usize = 64 * 1024 * 1024;
/// Files cross in pieces of this many bytes.
pub const PIECE: usize = 1024 * 1024;

/// What the helper is to do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Order {
    /// The module with everything rendered.
    pub call: Call,
    /// It goes on by itself for so many seconds, and the answer says under which name it is looked after.
    #[serde(default)]
    pub background_seconds: Option<u64>,
    /// Its end is waited for, at most for that time.
    #[serde(default)]
    pub waits: bool,
    /// Where jobs tell how they went; the usual place when it is not said.
    #[serde(default)]
    pub job_folder: Option<String>,
    /// After the order of this number, unless that one was not begun.
    #[serde(default)]
    pub after: Option<u64>,
    /// Only when these orders, which end before it, have succeeded.
    #[serde(default)]
    pub needs: Vec<u64>,
}

/// From the controller.
#[derive(Debug)]
pub enum Down {
    /// Do this.
    Order(Box<Order>),
    /// A piece of the file that was asked for.
    Piece {
        /// No piece follows.
        last: bool,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The folder that was asked for.
    Entries(Vec<SourceEntry>),
    /// There is no such file, or it is not for this order.
    Refused(String),
}

/// From the helper.
#[derive(Debug)]
pub enum Up {
    /// What came of an order.
    Result(JsonMap),
    /// A file is wanted.
    Read(String),
    /// A folder is wanted.
    List(String),
    /// The order was not begun, because one that it needs did not succeed.
    NotRun,
    /// What the helper's own file looks like; said once, at the beginning.
    Stamp(String),
}

/// Whether a result lets the order after it begin: the same that the run calls success where nothing else is said.
pub fn succeeded(result: &JsonMap) -> bool {
    let rc = result.get("rc").and_then(serde_json::Value::as_i64).unwrap_or(0);
    rc == 0 && result.get("failed").is_none_or(|failed| failed == false)
}

fn frame(kind: u8, id: u64, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(body.len() + 9);
    frame.push(kind);
    frame.extend_from_slice(&id.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

fn parts(frame: &[u8]) -> Option<(u8, u64, &[u8])> {
    let (kind, rest) = frame.split_first()?;
    let (id, body) = rest.split_first_chunk::<8>()?;
    Some((*kind, u64::from_be_bytes(*id), body))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("maps with text keys always become JSON")
}

impl Down {
    /// As a frame.
    pub fn encode(&self, id: u64) -> Vec<u8> {
        match self {
            Self::Order(order) => frame(1, id, &json(order)),
            Self::Piece { last: false, bytes } => frame(2, id, bytes),
            Self::Piece { last: true, bytes } => frame(3, id, bytes),
            Self::Entries(entries) => frame(4, id, &json(entries)),
            Self::Refused(why) => frame(5, id, why.as_bytes()),
        }
    }

    /// From a frame; `None` when it is none of ours.
    pub fn decode(bytes: &[u8]) -> Option<(u64, Self)> {
        let (kind, id, body) = parts(bytes)?;
        let down = match kind {
            1 => Self::Order(serde_json::from_slice(body).ok()?),
            2 | 3 => Self::Piece { last: kind == 3, bytes: body.to_vec() },
            4 => Self::Entries(serde_json::from_slice(body).ok()?),
            5 => Self::Refused(String::from_utf8_lossy(body).into_owned()),
            _ => return None,
        };
        Some((id, down))
    }
}

impl Up {
    /// As a frame. A result that is too long becomes a failure that says so.
    pub fn encode(&self, id: u64) -> Vec<u8> {
        match self {
            Self::Result(result) => {
                let body = json(result);
                if body.len() + 9 > FRAME_MAX {
                    let why = format!("the result has {} bytes; accepted: at most {FRAME_MAX}", body.len());
                    return frame(1, id, &json(&crate::values::failed(why)));
                }
                frame(1, id, &body)
            }
            Self::Read(name) => frame(2, id, name.as_bytes()),
            Self::List(name) => frame(3, id, name.as_bytes()),
            Self::NotRun => frame(4, id, &[]),
            Self::Stamp(stamp) => frame(5, id, stamp.as_bytes()),
        }
    }

    /// From a frame; `None` when it is none of ours.
    pub fn decode(bytes: &[u8]) -> Option<(u64, Self)> {
        let (kind, id, body) = parts(bytes)?;
        let name = || String::from_utf8(body.to_vec()).ok();
        let up = match kind {
            1 => Self::Result(serde_json::from_slice(body).ok()?),
            2 => Self::Read(name()?),
            3 => Self::List(name()?),
            4 => Self::NotRun,
            5 => Self::Stamp(name()?),
            _ => return None,
        };
        Some((id, up))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_were() {
        let order = Order { background_seconds: Some(3), ..Order::default() };
        let sent = Down::Order(Box::new(order)).encode(7);
        assert!(matches!(Down::decode(&sent), Some((7, Down::Order(o))) if o.background_seconds == Some(3)));
        let sent = Down::Piece { last: true, bytes: vec![0, 255] }.encode(u64::MAX);
        assert!(
            matches!(Down::decode(&sent), Some((u64::MAX, Down::Piece { last: true, bytes })) if bytes == [0, 255])
        );
        assert!(matches!(Up::decode(&Up::Read("a".into()).encode(1)), Some((1, Up::Read(n))) if n == "a"));
    }

    #[test]
    fn bytes_that_are_no_frame_are_nothing() {
        for bytes in
            [&b""[..], b"\x01", b"\x01\0\0\0\0\0\0\0", b"\x01\0\0\0\0\0\0\0\x01{", b"\x09\0\0\0\0\0\0\0\x01"]
        {
            assert!(Down::decode(bytes).is_none() && Up::decode(bytes).is_none(), "{bytes:?}");
        }
    }
}
