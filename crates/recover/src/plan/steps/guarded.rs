//! Steps by what the keep file declares about certificates.

use wellkept_model::{Cause, Means, PlannedAction, Text, Undo};

use super::{Facts, command_ms, step};

/// The service loads the certificate again, when a good one lies on disk and another one is served.
pub(super) fn certificate(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let escalate = || Text::new("escalate.certificate").with("name", &cause.entity.name);
    let seen = facts.around.seen.watched.certificates.get(&cause.subject).ok_or_else(escalate)?;
    let (Some(served), Some(disk)) = (&seen.served, &seen.on_disk) else { return Err(escalate()) };
    let is_newer = disk.sha256 != served.sha256 && disk.not_after > served.not_after;
    let is_right = disk.sha256 != served.sha256 && disk.names_match && !served.names_match;
    if !disk.is_good(facts.around.now) || !(is_newer || is_right) {
        return Err(escalate());
    }
    let path = cause.detail.arg("path").unwrap_or_default();
    let why = Text::new("reason.reload_certificate").with("name", &cause.entity.name).with("path", path);
    Ok(vec![by_command(&Means::Reload(cause.subject.clone()), cause, facts, why)?])
}

/// A step by a declared command; without it, a person is needed.
fn by_command(means: &Means, cause: &Cause, facts: &Facts<'_>, why: Text) -> Result<PlannedAction, Text> {
    let declared = facts.around.keep.command_for(&cause.entity, means);
    let declared = declared.ok_or_else(|| Text::new("escalate.no_means").with("name", &cause.entity.name))?;
    let (ms, subject) = (command_ms(declared.command), means.to_string());
    Ok(step(declared.kind, &cause.entity, &subject, ms, cause, Undo::Irreversible, why))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Ledger;
    use crate::guard::Surroundings;
    use crate::plan::{Decision, decide};
    use crate::testing::{cause, finding, incident, keep, seen_running};
    use wellkept_model::keep::{Certificate, Command, Keep};
    use wellkept_model::observe::{CertSeen, CertificateSeen, Observation};
    use wellkept_model::{ActionKind, CauseKind, EntityId, FindingKind, TimestampMs};

    /// A keep file with the service `a`, what is seen, and a cause.
    pub(super) struct Given {
        pub(super) keep: Keep,
        pub(super) seen: Observation,
        pub(super) cause: Cause,
    }

    impl Given {
        pub(super) fn new(kind: CauseKind, entity: EntityId, subject: &str) -> Self {
            let mut cause = cause("a", kind, 0.95);
            (cause.entity, cause.subject) = (entity, subject.to_owned());
            Self { keep: keep(&["a"]), seen: seen_running(&["a"]), cause }
        }

        /// `run KIND SUBJECT, …`, `propose …`, or the key of why a person is called.
        pub(super) fn decision(&self) -> String {
            let mut incident = incident(vec![finding("a", FindingKind::HealthFailing)]);
            incident.causes = vec![self.cause.clone()];
            let ledger = Ledger::default();
            let around = Surroundings {
                now: TimestampMs(1_000_000),
                keep: &self.keep,
                frozen: false,
                active: &[],
                seen: &self.seen,
                ledger: &ledger,
            };
            let facts = crate::Facts { around, file_changes: &[], space: &[], failed: &[], generation: 1 };
            let steps = |word: &str, plan: wellkept_model::Plan| {
                let steps = plan.steps.iter().map(|s| format!("{} {}", s.kind.word(), s.subject));
                format!("{word} {}", steps.collect::<Vec<_>>().join(", "))
            };
            match decide(&incident, &facts) {
                Decision::Run(plan) => steps("run", plan),
                Decision::Propose(plan) => steps("propose", plan),
                Decision::Escalate(why) => why.key,
                other => format!("{other:?}"),
            }
        }
    }

    pub(super) fn command() -> Command {
        Command { argv: vec!["/bin/x".to_owned()], within: Duration::from_secs(9) }
    }

    fn cert(sha256: &str, until: i64) -> CertSeen {
        let not_after = TimestampMs(until);
        CertSeen { sha256: sha256.into(), not_after, names_match: true, ..CertSeen::default() }
    }

    fn certificate(on_disk: Option<CertSeen>, reload: bool, may: bool) -> String {
        let mut g = Given::new(CauseKind::TlsCertificateExpired, EntityId::service("a"), "www");
        let service = g.keep.services.get_mut("a").expect("declared");
        service.reload = reload.then(command);
        service.may = if may { vec![ActionKind::Reconfigure] } else { vec![ActionKind::Restart] };
        let declared = Certificate {
            name: "www".into(),
            service: "a".into(),
            connect: "x:1".into(),
            server_name: "x".into(),
            file: Some("/x".into()),
            ca: None,
            warn_before: Duration::ZERO,
            every: Duration::from_secs(1),
        };
        g.keep.watched.certificates.insert("www".into(), declared);
        let served = Some(cert("aa", 5));
        let seen = CertificateSeen { served, on_disk, ..CertificateSeen::default() };
        g.seen.watched.certificates.insert("www".into(), seen);
        g.decision()
    }

    #[test]
    fn a_certificate_is_loaded_only_when_a_good_and_newer_one_lies_ready() {
        let good = || Some(cert("bb", 2_000_000));
        assert_eq!(certificate(good(), true, true), "run reconfigure reload www");
        assert_eq!(
            certificate(good(), true, false),
            "propose reconfigure reload www",
            "`may` does not allow it"
        );
        assert_eq!(certificate(good(), false, true), "escalate.no_means");
        assert_eq!(certificate(None, true, true), "escalate.certificate");
        assert_eq!(certificate(Some(cert("aa", 5)), true, true), "escalate.certificate", "it is the same");
        assert_eq!(
            certificate(Some(cert("bb", 6)), true, true),
            "escalate.certificate",
            "it ran out as well"
        );
        let other = CertSeen { names_match: false, ..cert("bb", 2_000_000) };
        assert_eq!(certificate(Some(other), true, true), "escalate.certificate", "it is for another name");
    }
}
