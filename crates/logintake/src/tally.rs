//! What a decoder found in a body, and why something of it was not taken.

use wellkept_intake::proto::ProtoError;

/// Most reasons that a tally keeps: enough to see what is wrong, whatever the sender repeats.
pub const REASONS_MAX: usize = 8;

/// Counts of one body. They say what was handed to the sink, not what the sink stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines as they were sent.
    pub accepted: u64,
    /// Lines that were left out.
    pub refused: u64,
    /// Lines that were longer than allowed and were handed on in pieces.
    pub split: u64,
    /// Lines whose time stamp lay too far in the future and was replaced by that of their arrival.
    pub ahead: u64,
    /// Labels and fields that were left out of a line that was taken.
    pub trimmed: u64,
    /// The first refusals.
    pub reasons: Vec<Refused>,
}

impl Tally {
    /// Counts `lines` that are left out at `place`.
    pub(crate) fn refuse(&mut self, place: u64, lines: u64, why: Refusal) {
        self.refused = self.refused.saturating_add(lines);
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(Refused { place, why });
        }
    }

    /// The first reason as a sentence; empty when nothing was refused.
    #[must_use]
    pub fn first_reason(&self) -> String {
        self.reasons.first().map(ToString::to_string).unwrap_or_default()
    }
}

/// A refusal with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {place}: {why}")]
pub struct Refused {
    /// Which entry of the body, counted from 1.
    pub place: u64,
    /// Why.
    pub why: Refusal,
}

/// Why one line, or one stream, was left out of an otherwise good body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The labels of a Loki stream cannot be read.
    #[error("the labels are not written as {{name=\"value\", …}}: {0}")]
    Labels(&'static str),
    /// Too many labels.
    #[error("more than {limit} labels")]
    TooManyLabels {
        /// Allowed labels.
        limit: usize,
    },
    /// The name of a label is empty or too long.
    #[error("the name of a label is empty or longer than {limit} bytes")]
    LabelName {
        /// Allowed bytes.
        limit: usize,
    },
    /// The value of a label is too long.
    #[error("the value of label `{name}` is longer than {limit} bytes")]
    LabelValue {
        /// The label, cut to a readable length.
        name: String,
        /// Allowed bytes.
        limit: usize,
    },
    /// A text that must be UTF-8 is not.
    #[error("a label is not valid UTF-8")]
    NotUtf8,
    /// A time stamp that is none.
    #[error("the time stamp is not {expected}")]
    Time {
        /// What would be accepted.
        expected: &'static str,
    },
    /// An action of `_bulk` that a store of logs does not have.
    #[error("action `{action}` is not taken; accepted: index, create")]
    Action {
        /// What was asked for, cut to a readable length.
        action: String,
    },
    /// A document that is no JSON object.
    #[error("the document is not a JSON object")]
    Document,
}

impl Refusal {
    /// A short name for the answer's `error.type` and for counters.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Labels(_) => "labels",
            Self::TooManyLabels { .. } => "too_many_labels",
            Self::LabelName { .. } => "label_name",
            Self::LabelValue { .. } => "label_value",
            Self::NotUtf8 => "not_utf8",
            Self::Time { .. } => "time",
            Self::Action { .. } => "action",
            Self::Document => "document",
        }
    }
}

/// The body as a whole cannot be taken. None of these can be mended by sending the same body again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It does not unpack, or is not written as its headers say.
    #[error(transparent)]
    Body(#[from] wellkept_intake::DecodeError),
    /// The JSON text is damaged or not of the expected shape.
    #[error("the body is not valid JSON of the expected shape: {0}")]
    Json(String),
    /// More lines than one body may carry.
    #[error("the body carries more than {limit} lines; send smaller requests")]
    TooManyLines {
        /// Allowed lines.
        limit: usize,
    },
    /// Few bytes that stand for much.
    #[error("labels and fields of the body's lines expand to more than {limit} bytes; send smaller requests")]
    Expands {
        /// Allowed bytes.
        limit: usize,
    },
    /// The `_bulk` body ends after an action that needs a document.
    #[error("line {line}: an action without its document")]
    NoDocument {
        /// Counted from 1.
        line: u64,
    },
    /// A line of the `_bulk` body is no action.
    #[error("line {line}: expected an action such as {{\"create\":{{}}}}")]
    NoAction {
        /// Counted from 1.
        line: u64,
    },
}

impl From<ProtoError> for DecodeError {
    fn from(e: ProtoError) -> Self {
        Self::Body(e.into())
    }
}

impl DecodeError {
    /// The HTTP status that says it: 400, 413 or 415.
    #[must_use]
    pub fn status(&self) -> u16 {
        use wellkept_intake::DecodeError as E;
        match self {
            Self::Body(E::TooLarge { .. } | E::Expands { .. } | E::Implausible { .. })
            | Self::TooManyLines { .. }
            | Self::Expands { .. } => 413,
            Self::Body(E::Header { .. }) => 415,
            Self::Body(_) | Self::Json(_) | Self::NoDocument { .. } | Self::NoAction { .. } => 400,
        }
    }
}

/// At most 64 characters of what a stranger wrote, control characters replaced, for a message.
pub(crate) fn readable(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
