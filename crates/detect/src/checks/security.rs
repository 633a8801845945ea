//! Logins that fail or are suspicious, malware, and rights that somebody has gained.

use wellkept_model::keep::Keep;
use wellkept_model::observe::GainedWay;
use wellkept_model::{EntityId, EntityKind, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = logins(keep, round);
    let seen = &round.seen.watched.security;
    found.extend(seen.malware.iter().map(|malware| {
        let (entity, kind) = (EntityId::new(EntityKind::File, &malware.path), FindingKind::MalwareFound);
        let mut f = finding(entity, kind, "", Severity::Critical, malware.since, round.now);
        f.text = f.text.with("signature", &malware.signature);
        let text = Text::new("evidence.malware")
            .with("name", &malware.path)
            .with("signature", &malware.signature)
            .with("sha256", &malware.sha256);
        f.evidence.push(seen_at(malware.since, text));
        f
    }));
    found.extend(seen.gained.iter().map(|gained| {
        let kind = match gained.way {
            GainedWay::Account | GainedWay::Group | GainedWay::Key => EntityKind::Account,
            GainedWay::Setuid | GainedWay::Sudoers => EntityKind::File,
        };
        let (entity, subject) = (EntityId::new(kind, &gained.name), gained.way.word());
        let kind = FindingKind::PrivilegeGained;
        let mut f = finding(entity, kind, subject, Severity::Critical, gained.since, round.now);
        f.text.key = format!("{}.{subject}", f.text.key);
        f.text = f.text.with("group", &gained.what);
        let text = Text::new("evidence.privilege").with("what", &gained.what).with("at", gained.since.0);
        f.evidence.push(seen_at(gained.since, text));
        f
    }));
    found
}

fn logins(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let Some(declared) = &keep.security.logins else { return Vec::new() };
    let seen = &round.seen.watched.security;
    let mut found = Vec::new();
    for address in seen.failing.iter().filter(|f| f.failures >= declared.failures) {
        let (entity, kind) =
            (EntityId::new(EntityKind::Address, &address.address), FindingKind::LoginsFailing);
        let mut f = finding(entity, kind, "", Severity::Warning, address.first_at, round.now);
        f.text = f.text.with("count", address.failures);
        let text = Text::new("evidence.logins_failed")
            .with("count", address.failures)
            .with("address", &address.address)
            .with("accounts", address.accounts.join(", "))
            .with("at", address.last_at.0);
        f.evidence.push(seen_at(address.last_at, text));
        found.push(f);
    }
    for login in &seen.suspicious {
        let (entity, kind) =
            (EntityId::new(EntityKind::Account, &login.account), FindingKind::LoginSuspicious);
        let mut f = finding(entity, kind, &login.address, Severity::Critical, login.at, round.now);
        f.text = f.text.with("address", &login.address).with("count", login.failures);
        let text = Text::new("evidence.login_accepted")
            .with("account", &login.account)
            .with("address", &login.address)
            .with("method", &login.method)
            .with("at", login.at.0);
        f.evidence.push(seen_at(login.at, text));
        found.push(f);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::checks::testing::World;
    use wellkept_model::TimestampMs;
    use wellkept_model::keep::Logins;
    use wellkept_model::observe::{FailingSeen, GainedSeen, GainedWay, MalwareSeen, SuspiciousSeen};

    fn world(declared: bool) -> World {
        let mut w = World::new(&[]);
        w.keep.security.logins = declared.then(|| Logins {
            log: Some("/x".into()),
            failures: 10,
            within: Duration::from_secs(60),
            block_for: None,
            never_block: vec![],
        });
        w
    }

    fn found(w: &mut World) -> Vec<String> {
        w.findings().into_iter().map(|f| format!("{} {}", f.key.entity, f.text.key)).collect()
    }

    #[test]
    fn failed_logins_count_from_the_declared_number_on() {
        for (declared, failures, expected) in [(true, 10, 1), (true, 9, 0), (false, 99, 0)] {
            let mut w = world(declared);
            let address = "203.0.113.9".to_owned();
            w.seen.watched.security.failing =
                vec![FailingSeen { address, failures, ..FailingSeen::default() }];
            assert_eq!(found(&mut w).len(), expected, "{failures}");
        }
    }

    #[test]
    fn each_offence_is_about_who_or_what_it_touches() {
        let mut w = world(true);
        let security = &mut w.seen.watched.security;
        let (account, address) = ("ann".to_owned(), "203.0.113.9".to_owned());
        security.suspicious =
            vec![SuspiciousSeen { account, address, failures: 12, ..SuspiciousSeen::default() }];
        security.malware = vec![MalwareSeen { path: "/up/x".into(), ..MalwareSeen::default() }];
        let gained = |way, name: &str| GainedSeen {
            way,
            name: name.into(),
            what: "sudo".into(),
            since: TimestampMs(1),
        };
        security.gained = vec![gained(GainedWay::Group, "eve"), gained(GainedWay::Setuid, "/bin/x")];
        assert_eq!(
            found(&mut w),
            [
                "file:/bin/x finding.privilege_gained.setuid",
                "file:/up/x finding.malware_found",
                "account:ann finding.login_suspicious",
                "account:eve finding.privilege_gained.group",
            ]
        );
    }
}
