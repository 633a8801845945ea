//! What came out of an action.

use wellkept_model::{ActionStatus, Text, Undo};

/// The end of one action, or of its undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// `Succeeded`, `Failed`, `RolledBack` (after an undo) or `Unknown`.
    pub status: ActionStatus,
    /// What happened, for people.
    pub text: Text,
    /// How it is taken back, as it was really done; to be used instead of the planned undo. `None`: nothing was
    /// done that could be taken back. A step that failed half way has one as well.
    pub undo: Option<Undo>,
}

impl Outcome {
    pub(crate) fn succeeded(text: Text) -> Self {
        Self { status: ActionStatus::Succeeded, text, undo: None }
    }

    pub(crate) fn failed(text: Text) -> Self {
        Self { status: ActionStatus::Failed, text, undo: None }
    }

    pub(crate) fn unknown(text: Text) -> Self {
        Self { status: ActionStatus::Unknown, text, undo: None }
    }

    pub(crate) fn with_undo(mut self, undo: Undo) -> Self {
        self.undo = Some(undo);
        self
    }

    /// An undo that worked is `rolled_back`.
    pub(crate) fn into_undo(mut self) -> Self {
        if self.status == ActionStatus::Succeeded {
            self.status = ActionStatus::RolledBack;
        }
        self.undo = None;
        self
    }
}

/// Bytes for people: `12.3 MiB`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = "KiB";
    for next in UNITS.iter().skip(1) {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_for_people() {
        let got: Vec<_> = [0, 1023, 1024, 1536, 5 << 20, 3 << 30].map(human_bytes).into();
        assert_eq!(got, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB", "3.0 GiB"]);
    }
}
