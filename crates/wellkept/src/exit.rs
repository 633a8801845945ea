//! Exit codes, as the README and the man page list them.

/// Everything went as asked.
pub(crate) const OK: u8 = 0;
/// The command worked and found that something is not well.
pub(crate) const NOT_WELL: u8 = 1;
/// Wrong usage, or a keep file with mistakes.
pub(crate) const USAGE: u8 = 2;
/// The data directory cannot be used: not writable, full, in use, or from a newer version.
pub(crate) const DATA_DIR: u8 = 3;
/// The address is in use or cannot be listened on.
pub(crate) const ADDRESS: u8 = 4;
/// A running Wellkept could not be reached, or refused.
pub(crate) const UNREACHABLE: u8 = 5;

/// An error that ends the program with a code of its own.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One of the constants above.
    pub(crate) code: u8,
    /// What is printed, as it stands.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A failure whose message is the whole chain of an error.
    pub(crate) fn of(code: u8, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self { code, message }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
