//! Why a body, or a part of it, was not taken.

/// The body as a whole cannot be taken. None of these can be mended by sending the same body again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Decompression would give, or claims to give, more than is allowed.
    #[error("the body unpacks to more than {limit} bytes; send smaller requests")]
    TooLarge {
        /// Allowed bytes after decompression.
        limit: usize,
    },
    /// The compressed body claims or reaches a size that no honest body of its length has.
    #[error("the {encoding} body unpacks to an implausible multiple of its length")]
    Implausible {
        /// Name of the compression.
        encoding: &'static str,
    },
    /// The compressed body is damaged.
    #[error("the body is not valid {encoding}")]
    Compression {
        /// Name of the compression.
        encoding: &'static str,
    },
    /// The protobuf message is damaged.
    #[error("the body is not a valid protobuf message: {0}")]
    Proto(#[from] crate::proto::ProtoError),
    /// The JSON text is damaged or not of the expected shape.
    #[error("the body is not valid JSON of the expected shape: {0}")]
    Json(String),
    /// More samples than one body may carry.
    #[error("the body carries more than {limit} samples; send smaller requests")]
    TooManySamples {
        /// Allowed samples.
        limit: usize,
    },
    /// More distinct strings than one body may carry.
    #[error("the body carries more than {limit} symbols; send smaller requests")]
    TooManySymbols {
        /// Allowed symbols.
        limit: usize,
    },
    /// Few bytes that stand for many labels.
    #[error("the labels of the body's series expand to more than {limit} bytes; send smaller requests")]
    Expands {
        /// Allowed bytes of all labels of all series.
        limit: usize,
    },
    /// A line of a text format is wrong, and the format stands or falls as a whole.
    #[error("line {line}: {problem}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what would be accepted.
        problem: &'static str,
    },
    /// A header names a format that we do not read.
    #[error("{header} `{value}` is not understood; accepted: {accepted}")]
    Header {
        /// Name of the header.
        header: &'static str,
        /// What it said, cut to a readable length.
        value: String,
        /// What it may say.
        accepted: &'static str,
    },
}

/// Why one series, point or line was left out of an otherwise good body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A series without any label.
    #[error("a series has no labels")]
    NoLabels,
    /// A name or value is not UTF-8.
    #[error("a label is not valid UTF-8")]
    NotUtf8,
    /// Too many labels.
    #[error("a series has more than {limit} labels")]
    TooManyLabels {
        /// Allowed labels.
        limit: usize,
    },
    /// A name is too long.
    #[error("a label name is longer than {limit} bytes")]
    NameTooLong {
        /// Allowed bytes.
        limit: usize,
    },
    /// A value is too long.
    #[error("the value of label `{name}` is longer than {limit} bytes")]
    ValueTooLong {
        /// The label, cut to a readable length.
        name: String,
        /// Allowed bytes.
        limit: usize,
    },
    /// A reference to a symbol that the request does not have.
    #[error("a series refers to a symbol that the request does not have")]
    UnknownSymbol,
    /// Label references come in pairs of name and value.
    #[error("a series has a label name without a value")]
    OddReferences,
    /// A native histogram contradicts itself.
    #[error("a native histogram is not valid: {0}")]
    Histogram(&'static str),
    /// A data point that cannot be stored as a cumulative series.
    #[error("metric `{metric}`: {problem}")]
    Metric {
        /// Name as it was sent, cut to a readable length.
        metric: String,
        /// What is wrong, and what would be accepted.
        problem: &'static str,
    },
    /// A line of a line format.
    #[error("line {line}: {problem}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what would be accepted.
        problem: &'static str,
    },
}

/// At most 64 characters of what a stranger wrote, control characters replaced, for a message.
pub(crate) fn readable(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_is_cut_and_made_harmless() {
        assert_eq!(readable("a\x1b[31m\nb"), "a\u{fffd}[31m\u{fffd}b");
        assert_eq!(readable(&"ü".repeat(1000)).chars().count(), 64);
    }
}
