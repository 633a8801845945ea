//! What was learned, as a table.

use serde::Serialize;
use wellkept_catalogue::{Language, render};
use wellkept_model::belief::Row;
use wellkept_model::{Beliefs, Text};

#[derive(Serialize)]
pub(crate) struct LearnedView {
    learned: Vec<BeliefView>,
}

#[derive(Serialize)]
struct BeliefView {
    cause: &'static str,
    cause_text: String,
    action: &'static str,
    action_text: String,
    /// Verified results: it helped, it did not, a person took it back.
    helped: u32,
    failed: u32,
    undone: u32,
    /// Expected share of cases in which it helps, 0 to 1.
    expected: f64,
}

impl LearnedView {
    pub(crate) fn new(language: Language, beliefs: &Beliefs) -> Self {
        Self { learned: beliefs.rows().map(|row| BeliefView::new(language, &row)).collect() }
    }
}

impl BeliefView {
    fn new(language: Language, row: &Row) -> Self {
        let word = |area: &str, word: &str| render(language, &Text::new(&format!("kind.{area}.{word}")));
        Self {
            cause: row.cause.word(),
            cause_text: word("cause", row.cause.word()),
            action: row.action.word(),
            action_text: word("action", row.action.word()),
            helped: row.belief.helped,
            failed: row.belief.failed,
            undone: row.belief.undone,
            expected: row.belief.mean(),
        }
    }
}
