//! The process is in the stopped state and is not scheduled.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// The state is a fact.
const SCORE: f64 = 0.95;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let stopped = s.of_kind(FindingKind::ProcessStopped).map(|finding| {
        let entity = &finding.key.entity;
        let own = s.about(entity).filter(|f| is_illness(f.key.kind));
        cause(entity, CauseKind::ProcessStopped, "", SCORE, own)
    });
    stopped.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::check;

    #[test]
    fn a_stopped_process_explains_its_failing_checks() {
        check("app runs since 10; app stopped; app unhealthy", "service:app process_stopped 0.95");
    }
}
