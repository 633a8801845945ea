//! Why a template gives nothing.

/// Why a template gives nothing. The words are Ansible's where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A name or an entry that nobody set; the text names it.
    #[error("{0}")]
    Undefined(String),
    /// The text is no template.
    #[error("Syntax error in template: {message} (line {line})")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Line in the template, from 1.
        line: u32,
    },
    /// A bound was reached: steps, depth or size.
    #[error("the template needs more than {max} {what}; accepted: at most {max}")]
    Bound {
        /// What ran out.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// Something that is not supported here, named.
    #[error("{0}")]
    Refused(String),
    /// An operation that its values do not allow.
    #[error("{0}")]
    Value(String),
}

pub(crate) type Result<T> = std::result::Result<T, TemplateError>;

/// An error of values with a formatted text.
macro_rules! bail {
    ($($arg:tt)*) => { return Err($crate::template::error::TemplateError::Value(format!($($arg)*))) };
}
pub(crate) use bail;

pub(crate) fn value_error(text: impl Into<String>) -> TemplateError {
    TemplateError::Value(text.into())
}
