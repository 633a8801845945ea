//! Keys that have ended, versions that do not fit, data that is damaged: each is what was looked at itself.
//!
//! Neighbours: a credential that the other side no longer accepts has no end written in it; a bad release fits its
//! neighbours and fails by itself; a damaged file is not a changed one, whose content is another but whole.

use wellkept_model::{Cause, CauseKind, FindingKind, Means, Severity, Text};

use super::{cause, is_illness};
use crate::Situation;

/// It was looked at.
const SCORE: f64 = 0.95;
/// It has not ended yet.
const SCORE_SOON: f64 = 0.8;
/// They are apart, and nobody is ill.
const SCORE_APART: f64 = 0.7;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let mut found: Vec<Cause> = s.of_kind(FindingKind::KeyEnding).map(|f| key(s, f)).collect();
    found.extend(s.of_kind(FindingKind::VersionsApart).map(|finding| {
        let entity = &finding.key.entity;
        let speaks = s.about(entity).filter(|f| f.key == finding.key || is_illness(f.key.kind));
        let ill = s.about(entity).any(|f| is_illness(f.key.kind));
        let score = if ill { SCORE } else { SCORE_APART };
        let mut found = cause(entity, CauseKind::VersionMismatch, "", score, speaks);
        found.detail = found.detail.with("versions", finding.text.arg("versions").unwrap_or_default());
        found
    }));
    found.extend(s.of_kind(FindingKind::DataDamaged).map(|finding| {
        let (entity, subject) = (&finding.key.entity, &finding.key.subject);
        let speaks = s.about(entity).filter(|f| f.key == finding.key || is_illness(f.key.kind));
        let mut found = cause(entity, CauseKind::CorruptedData, subject, SCORE, speaks);
        found.detail = found.detail.with("data", subject);
        found
    }));
    found
}

fn key(s: &Situation, finding: &wellkept_model::Finding) -> Cause {
    let (entity, name) = (&finding.key.entity, &finding.key.subject);
    let ended = finding.severity == Severity::Critical;
    let speaks = s.about(entity).filter(|f| {
        f.key == finding.key
            || ended && (is_illness(f.key.kind) || f.key.kind == FindingKind::CredentialRefused)
    });
    let subject = Means::Renew(name.clone()).to_string();
    let score = if ended { SCORE } else { SCORE_SOON };
    let mut found = cause(entity, CauseKind::KeyExpired, &subject, score, speaks);
    if !ended {
        found.detail = Text::new("cause.key_expired.soon").with("name", &entity.name);
    }
    found.detail = found.detail.with("key", name);
    found
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::{EntityId, FindingKind, Severity};

    fn case(kind: FindingKind, subject: &str, severity: Severity) -> Case {
        let mut case = Case::new("app runs since 1; app unhealthy");
        Case::find(&mut case.situation, EntityId::service("app"), kind, subject);
        case.situation.findings[1].severity = severity;
        case.again()
    }

    #[test]
    fn a_key_that_has_ended_explains_what_fails_and_one_that_will_does_not() {
        let ended = case(FindingKind::KeyEnding, "api", Severity::Critical);
        assert_eq!(ended.first(), "service:app key_expired");
        assert_eq!((ended.causes[0].subject.as_str(), ended.causes[0].explains.len()), ("renew api", 2));
        let soon = case(FindingKind::KeyEnding, "api", Severity::Warning);
        assert_eq!(
            (soon.causes[0].explains.len(), soon.causes.len()),
            (1, 2),
            "what fails has another reason"
        );
    }

    #[test]
    fn a_credential_that_was_refused_has_not_ended() {
        let refused = case(FindingKind::CredentialRefused, "c", Severity::Critical);
        assert!(!refused.kinds().contains(&"key_expired".to_owned()));
    }

    #[test]
    fn damaged_data_and_versions_that_do_not_fit_are_named() {
        let damaged = case(FindingKind::DataDamaged, "orders", Severity::Critical);
        assert_eq!(
            (damaged.first().as_str(), damaged.causes[0].subject.as_str()),
            ("service:app corrupted_data", "orders")
        );
        assert_eq!(
            case(FindingKind::VersionsApart, "v", Severity::Warning).first(),
            "service:app version_mismatch"
        );
    }

    #[test]
    fn a_changed_file_is_not_a_damaged_one() {
        let case = Case::new("app runs since 101; app changed at 100; app unhealthy");
        assert!(!case.kinds().contains(&"corrupted_data".to_owned()));
    }
}
