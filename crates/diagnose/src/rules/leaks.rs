//! The component keeps ever more descriptors or memory: a defect in it, which a restart only puts off.
//!
//! Discriminating tests: it rises in a straight line (the detectors see to that), and it did not begin with a release
//! (then `bad_release` speaks louder).

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// A line towards the limit is hard to mistake.
const SCORE: f64 = 0.9;

const KINDS: [(FindingKind, CauseKind); 2] =
    [(FindingKind::FdsRising, CauseKind::FdLeak), (FindingKind::MemoryRising, CauseKind::MemoryLeak)];

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let mut found = Vec::new();
    for (sign, kind) in KINDS {
        for finding in s.of_kind(sign) {
            let entity = &finding.key.entity;
            let own = s.about(entity).filter(|f| {
                f.key == finding.key
                    || f.since >= finding.since
                        && (is_illness(f.key.kind) || f.key.kind == FindingKind::HealthUnsteady)
            });
            found.push(cause(entity, kind, "", SCORE, own));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::check;

    #[test]
    fn a_line_towards_the_limit_is_a_leak_of_the_service() {
        check("app runs since 1; app leaks memory", "service:app memory_leak 0.90");
        check("app runs since 1; app leaks descriptors; app unhealthy", "service:app fd_leak 0.90");
    }
}
