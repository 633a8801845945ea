//! Offences: passwords that are tried, an account that was most likely taken over, malware, rights that were gained.
//!
//! Discriminating tests: many failures from one address are an attempt, and with a login after them most likely a success,
//! of which the attempt is then a part. Rights that somebody recorded were meant.

use wellkept_model::{Cause, CauseKind, EntityKind, Finding, FindingKind};

use super::cause;
use crate::Situation;

const SCORE: f64 = 0.93;
/// The login succeeded: the attempt is told with it.
const SCORE_PART: f64 = 0.5;
/// Somebody recorded the change.
const SCORE_MEANT: f64 = 0.4;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let mut found: Vec<Cause> = s.of_kind(FindingKind::LoginsFailing).map(|f| bruteforce(s, f)).collect();
    found.extend(s.of_kind(FindingKind::LoginSuspicious).map(|f| compromised(s, f)));
    found.extend(s.of_kind(FindingKind::MalwareFound).map(|f| malware(s, f)));
    found.extend(s.of_kind(FindingKind::PrivilegeGained).map(|f| {
        let entity = &f.key.entity;
        let meant = s.changes.iter().any(|c| c.what == entity.name);
        let score = if meant { SCORE_MEANT } else { SCORE };
        cause(entity, CauseKind::PrivilegeEscalation, &f.key.subject, score, [f])
    }));
    found
}

fn bruteforce(s: &Situation, finding: &Finding) -> Cause {
    let entity = &finding.key.entity;
    let succeeded = s.of_kind(FindingKind::LoginSuspicious).any(|f| f.key.subject == entity.name);
    let score = if succeeded { SCORE_PART } else { SCORE };
    let mut found = cause(entity, CauseKind::SshBruteforce, &entity.name, score, [finding]);
    found.detail = found.detail.with("count", finding.text.arg("count").unwrap_or_default());
    found
}

fn compromised(s: &Situation, finding: &Finding) -> Cause {
    let address = &finding.key.subject;
    let attempts = s.of_kind(FindingKind::LoginsFailing);
    let attempts =
        attempts.filter(|f| f.key.entity.kind == EntityKind::Address && f.key.entity.name == *address);
    let speaks = std::iter::once(finding).chain(attempts);
    let mut found = cause(&finding.key.entity, CauseKind::SshCompromisedAccount, address, SCORE, speaks);
    found.detail = found.detail.with("address", address);
    found
}

fn malware(s: &Situation, finding: &Finding) -> Cause {
    let path = &finding.key.entity.name;
    let seen = s.seen.watched.security.malware.iter().find(|m| m.path == *path);
    let is_test = seen.is_some_and(|m| m.is_test);
    let kind = if is_test { CauseKind::MalwareTestFile } else { CauseKind::Malware };
    let mut found = cause(&finding.key.entity, kind, path, SCORE, [finding]);
    found.detail = found.detail.with("signature", finding.text.arg("signature").unwrap_or_default());
    found
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::MalwareSeen;
    use wellkept_model::{EntityId, EntityKind, FindingKind};

    fn address() -> EntityId {
        EntityId::new(EntityKind::Address, "203.0.113.9")
    }

    #[test]
    fn attempts_alone_are_brute_force_and_with_a_login_after_them_the_account_is_the_matter() {
        let tries = Case::of(|s| Case::find(s, address(), FindingKind::LoginsFailing, ""));
        assert_eq!(tries.first(), "address:203.0.113.9 ssh_bruteforce");
        assert_eq!(tries.causes[0].entity.component(), "security");
        let both = Case::of(|s| {
            Case::find(s, address(), FindingKind::LoginsFailing, "");
            let ann = EntityId::new(EntityKind::Account, "ann");
            Case::find(s, ann, FindingKind::LoginSuspicious, "203.0.113.9");
        });
        assert_eq!(both.first(), "account:ann ssh_compromised_account");
        assert_eq!(both.causes[0].explains.len(), 2);
        assert!(both.causes[1].score < 0.6);
    }

    #[test]
    fn the_test_file_is_told_apart_from_malware() {
        for (is_test, expected) in [(true, "file:/up/x malware_test_file"), (false, "file:/up/x malware")] {
            let case = Case::of(|s| {
                Case::find(s, EntityId::new(EntityKind::File, "/up/x"), FindingKind::MalwareFound, "");
                let malware = MalwareSeen { path: "/up/x".into(), is_test, ..MalwareSeen::default() };
                s.seen.watched.security.malware = vec![malware];
            });
            assert_eq!(case.first(), expected);
        }
    }

    #[test]
    fn a_changed_file_of_a_service_is_no_gain_of_rights() {
        let case = Case::new("app runs since 1; app changed at 100");
        assert!(!case.kinds().contains(&"privilege_escalation".to_owned()));
        let case = Case::of(|s| {
            let eve = EntityId::new(EntityKind::Account, "eve");
            Case::find(s, eve, FindingKind::PrivilegeGained, "group");
        });
        assert_eq!(case.first(), "account:eve privilege_escalation");
    }
}
