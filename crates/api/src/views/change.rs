//! Recorded changes.

use serde::Serialize;
use wellkept_model::{Change, ChangeKind};

/// Most changes in one answer.
pub(crate) const CHANGES_MAX: usize = 1000;

#[derive(Serialize)]
pub(crate) struct ChangesView<'a> {
    changes: Vec<ChangeView<'a>>,
}

#[derive(Serialize)]
struct ChangeView<'a> {
    id: &'a str,
    at: i64,
    who: &'a str,
    kind: &'static str,
    what: &'a str,
    before: &'a str,
    after: &'a str,
}

impl<'a> ChangesView<'a> {
    pub(crate) fn new(changes: &'a [Change]) -> Self {
        Self { changes: changes.iter().take(CHANGES_MAX).map(ChangeView::new).collect() }
    }
}

impl<'a> ChangeView<'a> {
    fn new(change: &'a Change) -> Self {
        // The value of a secret is never shown, even if a recorder was careless enough to send it.
        let shown = |value: &'a str| if change.kind == ChangeKind::Secret { "" } else { value };
        Self {
            id: &change.id.0,
            at: change.at.0,
            who: &change.who,
            kind: change.kind.word(),
            what: &change.what,
            before: shown(&change.before),
            after: shown(&change.after),
        }
    }
}

#[cfg(test)]
mod tests {
    use wellkept_model::{ChangeId, TimestampMs};

    use super::*;

    #[test]
    fn the_value_of_a_secret_is_never_shown() {
        let change = |kind| Change {
            id: ChangeId("c1".into()),
            at: TimestampMs(1),
            who: "ann".into(),
            kind,
            what: "/srv/key".into(),
            before: "hunter2".into(),
            after: "hunter3".into(),
        };
        let json = serde_json::to_string(&ChangesView::new(&[change(ChangeKind::Secret)])).unwrap();
        assert!(!json.contains("hunter"), "{json}");
        let json = serde_json::to_string(&ChangesView::new(&[change(ChangeKind::Config)])).unwrap();
        assert!(json.contains("hunter3"), "{json}");
    }
}
