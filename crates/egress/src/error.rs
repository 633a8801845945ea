//! What can go wrong on the way.

use std::time::Duration;

/// No answer, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The address is none.
    #[error("{url}: no address of a server; use http://host:port/path or https://…")]
    Address {
        /// As it was given.
        url: String,
    },
    /// The settings for TLS do not fit.
    #[error("TLS: {0}")]
    Tls(String),
    /// A header cannot be sent.
    #[error("the value of the header {0} holds characters that cannot be sent")]
    Header(String),
    /// The body is longer than the bound.
    #[error("the answer is longer than {max} bytes")]
    TooLong {
        /// The bound, bytes.
        max: usize,
    },
    /// It took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The server cannot be reached, or broke off; the innermost reason.
    #[error("{0}")]
    Broken(String),
}

impl EgressError {
    /// The innermost reason, which is the one that people know.
    pub(crate) fn broken(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut innermost = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        Self::Broken(innermost.to_string())
    }
}
