//! A service presents a credential that the other side no longer accepts.
//!
//! Discriminating test against a database that is ill: the copy of the service is not what the store holds. When they
//! are equal and logins are refused all the same, store and server disagree, which only a person can settle.

use wellkept_model::{Cause, CauseKind, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// Refused, and the copy is an old one.
const SCORE: f64 = 0.97;
/// Refused although the copy is right.
const SCORE_EQUAL: f64 = 0.8;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let refused = s.of_kind(FindingKind::CredentialRefused).map(|finding| {
        let (entity, name) = (&finding.key.entity, &finding.key.subject);
        let seen = s.seen.watched.credentials.get(name);
        let differs = seen.is_some_and(|c| c.differs.is_some());
        let score = if differs { SCORE } else { SCORE_EQUAL };
        let own = s.about(entity).filter(|f| f.key == finding.key || is_illness(f.key.kind));
        let mut found = cause(entity, CauseKind::CredentialMismatch, name, score, own);
        found.detail = found.detail.with("credential", name);
        found
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::CredentialSeen;
    use wellkept_model::{EntityId, FindingKind};

    fn score(differs: Option<&str>) -> (String, f64) {
        let mut case = Case::new("app needs db; app runs since 1; app unhealthy; db runs since 1");
        Case::find(&mut case.situation, EntityId::service("app"), FindingKind::CredentialRefused, "main");
        let seen = CredentialSeen { differs: differs.map(str::to_owned), ..CredentialSeen::default() };
        case.situation.seen.watched.credentials.insert("main".into(), seen);
        let case = case.again();
        (case.first(), case.causes[0].score)
    }

    #[test]
    fn an_old_copy_proves_it_and_an_equal_one_leaves_it_to_a_person() {
        assert_eq!(score(Some("/x")), ("service:app credential_mismatch".to_owned(), 0.97));
        assert_eq!(score(None), ("service:app credential_mismatch".to_owned(), 0.8));
    }
}
