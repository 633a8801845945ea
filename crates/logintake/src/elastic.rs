//! Elasticsearch's `_bulk`, as far as Filebeat, Vector, Fluent Bit and Logstash need it.
//!
//! A body is lines of JSON: an action, then its document. `index` and `create` are taken, each document as one line:
//! its message is the text, where it came from the labels, everything else fields. `update` and `delete` are refused in
//! the answer, entry by entry. What shippers ask before they send is answered in [`handshake`].

mod answer;
mod document;
pub mod handshake;

use std::borrow::Cow;

use wellkept_model::LogSink;

use crate::emit::{Arrival, Emitter, LabelMaker};
use crate::json::{Members, Value};
use crate::{DecodeError, Limits, Refusal, Tally};
use answer::Answer;

/// Longest name of an index and id that are repeated in the answer.
const NAME_BYTES_MAX: usize = 256;

/// What became of a `_bulk` request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bulk {
    /// Counts.
    pub tally: Tally,
    /// Body of the answer, to be sent with status 200 once the lines are on disk.
    pub answer: String,
}

/// Decodes `_bulk` bodies and keeps its buffers.
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

    /// Decodes one body, already decompressed. `index`: the one in the request's path, for actions that name none.
    ///
    /// # Errors
    /// [`DecodeError`]; what the sink was given of the body is to be thrown away then, and the error told by [`error`].
    pub fn decode(
        &mut self,
        index: Option<&str>,
        body: &[u8],
        arrival: &Arrival<'_>,
        sink: &mut dyn LogSink,
    ) -> Result<Bulk, DecodeError> {
        if body.len() > self.limits.unpacked_bytes {
            let limit = self.limits.unpacked_bytes;
            return Err(wellkept_intake::DecodeError::TooLarge { limit }.into());
        }
        let mut emitter = Emitter::new(&self.limits, arrival, sink);
        let mut answer = Answer::new(arrival.now_ns);
        let lines = body.split(|b| *b == b'\n').map(crate::plain::without_end);
        let mut lines = (1..).zip(lines).filter(|(_, line)| !line.is_empty());
        while let Some((number, line)) = lines.next() {
            let action = Action::read(line, index).ok_or(DecodeError::NoAction { line: number })?;
            let document = match action.has_document() {
                true => lines.next().ok_or(DecodeError::NoDocument { line: number })?.1,
                false => b"",
            };
            let outcome = if action.is_taken() {
                document::emit(document, &action, &mut self.labels, &mut emitter)?
            } else {
                let refused = crate::tally::readable(&action.verb);
                Err(Refusal::Action { action: refused })
            };
            if let Err(why) = &outcome {
                emitter.refuse(why.clone())?;
            }
            answer.item(&action, outcome.err().as_ref());
        }
        Ok(Bulk { tally: emitter.tally, answer: answer.finish() })
    }
}

/// Body that tells of a request that could not be taken; its status is [`DecodeError::status`].
#[must_use]
pub fn error(error: &DecodeError) -> String {
    let reason = error.to_string();
    let cause = serde_json::json!({ "type": "illegal_argument_exception", "reason": reason });
    serde_json::json!({
        "error": { "root_cause": [cause], "type": "illegal_argument_exception", "reason": reason },
        "status": error.status(),
    })
    .to_string()
}

/// `{"create":{"_index":"…","_id":"…"}}`.
#[derive(Debug)]
struct Action<'a> {
    verb: Cow<'a, str>,
    index: Cow<'a, str>,
    id: Option<Cow<'a, str>>,
}

impl<'a> Action<'a> {
    fn read(line: &'a [u8], index: Option<&'a str>) -> Option<Self> {
        let (verb, Value::Object(inner)) = Members::of(line)?.next()? else { return None };
        let mut action = Self {
            verb: crate::json::unescaped(verb),
            index: Cow::Borrowed(index.unwrap_or("logs")),
            id: None,
        };
        for (key, value) in Members::of(inner)? {
            match (key, value) {
                (b"_index", Value::Text(_)) => {
                    action.index = crate::fields::cut(value.text(), NAME_BYTES_MAX)
                }
                (b"_id", Value::Text(_)) => {
                    action.id = Some(crate::fields::cut(value.text(), NAME_BYTES_MAX))
                }
                _ => {}
            }
        }
        Some(action)
    }

    fn is_taken(&self) -> bool {
        matches!(self.verb.as_ref(), "index" | "create")
    }

    fn has_document(&self) -> bool {
        self.verb != "delete"
    }
}

#[cfg(test)]
mod tests;
