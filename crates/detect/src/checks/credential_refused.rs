//! Logins with a declared credential are refused.
//!
//! A copy that differs from the store is no finding by itself: while a password is being rotated that is so for a
//! moment. It becomes one where no log tells of refusals and a service that uses it fails its checks.

use std::time::Duration;

use wellkept_model::keep::Keep;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// Refusals that make a finding: one may be somebody's typing error.
const REFUSALS_MIN: u32 = 2;
/// How long a refusal counts when the copies are what the store holds.
const FRESH: Duration = Duration::from_secs(5);

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let declared = keep.watched.credentials.values();
    let found = declared.filter_map(|credential| {
        let seen = round.seen.watched.credentials.get(&credential.name)?;
        let user = credential.used_by.first()?;
        let fails = |h: &&wellkept_model::observe::HealthSeen| {
            h.failure.is_some() && h.in_a_row > 1 && credential.used_by.contains(&h.service)
        };
        let untold = credential.log.is_none() && seen.differs.is_some();
        // Once the copies are right, the last refusal is soon history.
        let fresh = seen.refused_at.is_some_and(|at| round.now.since(at) <= FRESH);
        let refused = seen.refusals >= REFUSALS_MIN && (fresh || seen.differs.is_some());
        if !(refused || untold && round.seen.health.iter().any(|h| fails(&h))) {
            return None;
        }
        let (entity, since) = (EntityId::service(user), seen.refused_at.unwrap_or(seen.at));
        let kind = FindingKind::CredentialRefused;
        let mut f = finding(entity, kind, &credential.name, Severity::Critical, since, round.now);
        f.text = f.text.with("credential", &credential.name).with("user", &credential.user);
        let text =
            Text::new("evidence.logins_refused").with("user", &credential.user).with("count", seen.refusals);
        f.evidence.push(seen_at(since, text));
        if let Some(copy) = &seen.differs {
            f.evidence.push(seen_at(seen.at, Text::new("evidence.copy_differs").with("path", copy)));
        }
        Some(f)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{World, credential};
    use wellkept_model::FindingKind;
    use wellkept_model::observe::CredentialSeen;

    #[test]
    fn refused_logins_are_a_finding_and_a_rotation_under_way_is_none() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        w.keep.watched.credentials.insert("db".into(), credential("db", "app"));
        let differs = Some("/x".to_owned());
        for (refusals, kinds) in [(0, vec![]), (1, vec![]), (2, vec![FindingKind::CredentialRefused])] {
            let seen = CredentialSeen { refusals, differs: differs.clone(), ..CredentialSeen::default() };
            w.seen.watched.credentials.insert("db".into(), seen);
            assert_eq!(w.kinds(), kinds, "{refusals}");
        }
    }

    #[test]
    fn after_the_copies_are_right_it_ends_soon() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        w.keep.watched.credentials.insert("db".into(), credential("db", "app"));
        let refused_at = Some(wellkept_model::TimestampMs(1_000_000));
        let seen = CredentialSeen { refusals: 50, refused_at, ..CredentialSeen::default() };
        w.seen.watched.credentials.insert("db".into(), seen);
        assert_eq!(w.kinds(), [FindingKind::CredentialRefused]);
        w.advance(5001);
        assert!(w.kinds().is_empty());
    }
}
