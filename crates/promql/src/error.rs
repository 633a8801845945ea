//! Why a query gives no answer, in Prometheus' words where it has some.

use wellkept_model::SourceError;

use crate::Limits;

/// A query that failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is no query, its types do not fit, or it uses something that is not supported.
    #[error("{0}")]
    BadData(String),
    /// It failed on the data that it met.
    #[error("{0}")]
    Execution(String),
    /// The caller's `cancelled` said stop.
    #[error("the query was stopped before it was complete: it took too long or nobody waits for it any more")]
    Timeout,
    /// It would cost more than the limits allow.
    #[error(
        "the query needs more than {limit} {what}; narrow the selectors, shorten the range or widen the step"
    )]
    TooMuch {
        /// `samples` or `series`.
        what: &'static str,
        /// The limit that was hit.
        limit: usize,
    },
    /// The source could not give the samples: damaged data, or a device or server that fails.
    #[error("the samples of {selector} could not be read")]
    Source {
        /// The selector as PromQL writes it.
        selector: String,
        /// Why.
        #[source]
        source: SourceError,
    },
}

impl QueryError {
    /// Prometheus' `errorType` for the HTTP API: `bad_data`, `execution`, `timeout` or `internal`.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::BadData(_) => "bad_data",
            Self::Timeout | Self::TooMuch { what: "milliseconds", .. } => "timeout",
            Self::Execution(_) | Self::TooMuch { .. } => "execution",
            Self::Source { .. } => "internal",
        }
    }

    /// What a source said about one selector. A limit is the same whoever hits it first; `limits` names it as the
    /// caller set it, because the source was only given what was left.
    pub(crate) fn from_source(source: SourceError, selector: &str, limits: &Limits) -> Self {
        match source {
            SourceError::TooMuch { what: "samples", .. } => {
                Self::TooMuch { what: "samples", limit: limits.samples }
            }
            SourceError::TooMuch { what, limit } => Self::TooMuch { what, limit },
            source @ SourceError::Read { .. } => Self::Source { selector: selector.to_owned(), source },
        }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::BadData(text.into())
    }

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Execution(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_prometheus_word_for_it() {
        let source = |source| QueryError::from_source(source, "up", &Limits::default()).error_type();
        assert_eq!(QueryError::bad("x").error_type(), "bad_data");
        assert_eq!(QueryError::failed("x").error_type(), "execution");
        assert_eq!(QueryError::Timeout.error_type(), "timeout");
        assert_eq!(source(SourceError::TooMuch { what: "series", limit: 1 }), "execution");
        assert_eq!(source(SourceError::TooMuch { what: "milliseconds", limit: 1 }), "timeout");
        assert_eq!(source(SourceError::Read { what: "block 1".into(), source: "torn".into() }), "internal");
    }

    #[test]
    fn a_limit_that_the_source_hits_is_named_as_it_was_set() {
        let limits = Limits { samples: 100, ..Limits::default() };
        let error =
            QueryError::from_source(SourceError::TooMuch { what: "samples", limit: 7 }, "up", &limits);
        assert!(error.to_string().contains("more than 100 samples"), "{error}");
    }
}
