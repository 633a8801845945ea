//! A process listens on a port that nobody declared. Nothing else need be wrong.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::cause;
use crate::Situation;

/// The socket is a fact; whether it is an offence, a person decides.
const SCORE: f64 = 0.9;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let strangers = s.of_kind(FindingKind::ListenerUnexpected).map(|finding| {
        let entity = &finding.key.entity;
        let mut found = cause(entity, CauseKind::UnexpectedListener, &entity.name, SCORE, [finding]);
        for name in ["comm", "user"] {
            found.detail = found.detail.with(name, finding.text.arg(name).unwrap_or_default());
        }
        found
    });
    strangers.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;

    #[test]
    fn it_is_a_matter_of_security_whatever_else_is_wrong() {
        let case = Case::new("app runs since 10; app unhealthy; a stranger listens on 0.0.0.0:31337");
        assert_eq!(case.first(), "listener:tcp/0.0.0.0:31337 unexpected_listener");
        assert_eq!(case.causes[0].entity.component(), "security");
        assert_eq!(case.causes[0].explains.len(), 1, "it explains nothing else");
    }
}
