//! A parent process never waits for its ended children.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::cause;
use crate::Situation;

/// The kernel says whose children they are.
const SCORE: f64 = 0.9;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let piles = s.of_kind(FindingKind::ZombiesRising).map(|finding| {
        let mut found =
            cause(&finding.key.entity, CauseKind::ChildrenNotReaped, &finding.key.subject, SCORE, [finding]);
        found.detail = found
            .detail
            .with("pid", &finding.key.subject)
            .with("count", finding.text.arg("count").unwrap_or_default());
        found
    });
    piles.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::check;

    #[test]
    fn the_parent_is_the_root() {
        check("worker runs since 1; worker leaves children", "service:worker children_not_reaped 0.90");
    }
}
