//! The way to the server and back.

use std::time::Duration;

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Body, within the bound that was asked for.
    pub body: Vec<u8>,
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The answer is longer than the bound.
    #[error("the answer is longer than {max} bytes; narrow the matchers or the time range")]
    TooLong {
        /// The bound, bytes.
        max: usize,
    },
    /// It took longer than was allowed.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The server cannot be reached, or broke off.
    #[error("{0}")]
    Broken(String),
}

/// Posts forms to one server. Blocking: called from a thread that may wait.
pub trait Transport: Send + Sync {
    /// Posts a form to a path below the server's address and gives the whole answer.
    ///
    /// # Errors
    /// [`TransportError`] when there is none within `max` bytes and `time`.
    fn post(
        &self,
        path: &str,
        form: &[(&str, String)],
        max: usize,
        time: Duration,
    ) -> Result<Reply, TransportError>;
}
