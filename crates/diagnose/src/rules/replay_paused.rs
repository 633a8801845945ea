//! A standby receives changes and does not apply them, because it was told so.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::cause;
use crate::Situation;

/// The server says so itself.
const SCORE: f64 = 0.96;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let paused = s.of_kind(FindingKind::ReplayPaused);
    paused.map(|f| cause(&f.key.entity, CauseKind::ReplayPaused, "", SCORE, [f])).collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind};

    #[test]
    fn the_standby_is_named_and_not_its_primary() {
        let case = Case::of(|s| Case::find(s, EntityId::service("standby"), FindingKind::ReplayPaused, ""));
        assert_eq!(case.first(), "service:standby replay_paused");
    }
}
