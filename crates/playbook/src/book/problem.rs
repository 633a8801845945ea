//! What is wrong in a playbook, with file, line and column.

use wellkept_inventory::{InventoryError, Place};

/// A mistake and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct BookError {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

/// What can be wrong. Every text says what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the error texts say what each variant and field is")]
pub enum Problem {
    #[error("{0}")]
    Yaml(String),
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("'{keyword}' is not a valid attribute for a {of}; accepted: {accepted}")]
    Keyword { keyword: String, of: &'static str, accepted: String },
    #[error("no module/action detected in task; accepted: one key that names a module")]
    NoAction,
    #[error("conflicting action statements: {0}; accepted: one module for each task")]
    TwoActions(String),
    #[error("expected {expected}, found {found}")]
    Unexpected { expected: &'static str, found: String },
    #[error("could not find or access '{name}'; looked in {looked}")]
    Missing { name: String, looked: String },
    #[error("the role '{name}' was not found; looked in {looked}")]
    NoRole { name: String, looked: String },
    #[error("the arguments cannot be read: {0}")]
    Arguments(String),
    #[error("{what} need more than {max} levels; accepted: files and roles without circles")]
    TooDeep { what: &'static str, max: usize },
    #[error("more than {max} tasks; accepted: at most {max}")]
    TooMany { max: usize },
    #[error("the strategy '{0}' is not supported; accepted: linear, free, host_pinned")]
    Strategy(String),
    #[error("{0}")]
    Template(String),
    #[error("{0} is sealed: {1}")]
    Vault(String, String),
}

pub(crate) type Result<T> = std::result::Result<T, BookError>;

impl From<InventoryError> for BookError {
    fn from(error: InventoryError) -> Self {
        Self { place: error.place, problem: Problem::Yaml(error.problem.to_string()) }
    }
}
