//! Steps by what the keep file declares about certificates, jobs, mounts, knobs and the time.

use wellkept_model::keep::Knobs;
use wellkept_model::{
    ActionKind, Cause, EntityId, EntityKind, FindingKind, Incident, Means, PlannedAction, Text, Undo,
};

use super::{FILE_DEADLINE_MS, Facts, SIGNAL_DEADLINE_MS, command_ms, local, restart, start_again, step};

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

/// Why a person is needed.
pub(super) fn why(key: &str, cause: &Cause) -> Text {
    Text::new(key).with("name", &cause.entity.name)
}

/// Mounts it, where a command for that is declared.
pub(super) fn mount(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    Ok(vec![by_command(&Means::Mount, cause, facts, why("reason.mount", cause))?])
}

/// Starts what was killed when nothing else did; why memory ran out is for a person to find.
pub(super) fn killed(
    cause: &Cause,
    incident: &Incident,
    facts: &Facts<'_>,
) -> Result<Vec<PlannedAction>, Text> {
    let seen = facts.around.seen.services.get(&cause.entity.name);
    let is_down = seen.is_some_and(|s| s.processes.is_empty());
    if cause.entity.kind != EntityKind::Service || !is_down {
        return Err(why("reason.hand_over_memory", cause));
    }
    let mut steps = start_again(cause, incident, facts)?;
    // That it was killed stays true for a while, whatever is done.
    steps.iter_mut().for_each(|s| s.verify.retain(|key| key.kind != FindingKind::OomKilled));
    steps.push(local::hand_over(cause, "reason.hand_over_memory"));
    Ok(steps)
}

/// Widens the quota by the declared knob; without one that is only proposed in words.
pub(super) fn quota(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    turn("more_cpu", cause, facts, why("reason.more_cpu", cause)).map_err(|_| why("escalate.quota", cause))
}

/// Restarts the declared service that keeps the time.
pub(super) fn time(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let declared = facts.around.keep.time_sync.as_ref().and_then(|t| t.service.as_ref());
    let service = EntityId::service(declared.ok_or_else(|| why("escalate.time", cause))?);
    let mut step = restart(ActionKind::Restart, &service, cause, facts)?;
    step.reason = Text::new("reason.restart_time").with("name", &service.name);
    Ok(vec![step])
}

/// Puts the declared entry back when it is gone, and runs the job when it was missed and may be run.
pub(super) fn job(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let about = |key: &str| why(key, cause).with("job", &cause.subject);
    let declared = facts.around.keep.watched.jobs.get(&cause.subject).ok_or_else(|| about("escalate.job"))?;
    let seen = facts.around.seen.watched.jobs.get(&cause.subject).ok_or_else(|| about("escalate.job"))?;
    let mut steps = Vec::new();
    if let Some(place) = declared.place.as_ref().filter(|_| seen.scheduled == Some(false)) {
        let (subject, reason) =
            (Means::JobEntry(cause.subject.clone()).to_string(), about("reason.job_entry"));
        let reason = reason.with("place", place.shown());
        let (kind, undo) = (ActionKind::Restore, Undo::Irreversible);
        steps.push(step(kind, &cause.entity, &subject, FILE_DEADLINE_MS, cause, undo, reason));
    }
    let late = cause.explains.iter().any(|key| key.kind == FindingKind::JobLate);
    let may_run = declared.may.contains(&ActionKind::Reconfigure) || steps.is_empty();
    if late && declared.run.is_some() && may_run && seen.runs == 0 {
        let means = Means::RunJob(cause.subject.clone());
        steps.push(by_command(&means, cause, facts, about("reason.job_run"))?);
    } else {
        // That it is late ends with its next run, which nobody waits for here.
        steps.iter_mut().for_each(|s| s.verify.retain(|key| key.kind != FindingKind::JobLate));
    }
    if steps.is_empty() { Err(about("escalate.job")) } else { Ok(steps) }
}

/// Puts a declared route back.
pub(super) fn route(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let network = facts.around.keep.watched.networks.get(&cause.entity.name);
    let declared = network.is_some_and(|n| n.wanted.routes.iter().any(|r| r.to_string() == cause.subject));
    let reason = why("reason.route", cause).with("route", &cause.subject);
    in_network(declared, &Means::Route(cause.subject.clone()), cause, reason)
}

/// Gives a link its declared size of packets.
pub(super) fn mtu(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let network = facts.around.keep.watched.networks.get(&cause.entity.name);
    let declared = network.is_some_and(|n| n.wanted.mtu.contains_key(&cause.subject));
    let reason = why("reason.mtu", cause).with("link", &cause.subject);
    in_network(declared, &Means::Mtu(cause.subject.clone()), cause, reason)
}

fn in_network(
    declared: bool,
    means: &Means,
    cause: &Cause,
    reason: Text,
) -> Result<Vec<PlannedAction>, Text> {
    if !declared {
        return Err(why("escalate.no_means", cause));
    }
    let (kind, undo) = (ActionKind::Reconfigure, Undo::Irreversible);
    Ok(vec![step(kind, &cause.entity, &means.to_string(), SIGNAL_DEADLINE_MS, cause, undo, reason)])
}

/// Has the service write less; that it writes so much is a defect, which a person hears of.
pub(super) fn log_flood(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let turned = turn("log_less", cause, facts, why("reason.log_less", cause));
    let mut steps = turned.map_err(|_| why("escalate.log_flood", cause))?;
    steps.push(local::hand_over(cause, "reason.hand_over_defect"));
    Ok(steps)
}

/// Turns a knob; its opposite takes it back.
fn turn(word: &str, cause: &Cause, facts: &Facts<'_>, why: Text) -> Result<Vec<PlannedAction>, Text> {
    let mut step = by_command(&Means::Knob(word.to_owned()), cause, facts, why)?;
    let back = Means::Knob(Knobs::opposite(word).unwrap_or_default().to_owned());
    if facts.around.keep.command_for(&cause.entity, &back).is_some() {
        step.undo = Undo::Means { subject: back.to_string() };
    }
    Ok(vec![step])
}

/// A step by a declared command; without it, a person is needed.
fn by_command(means: &Means, cause: &Cause, facts: &Facts<'_>, why: Text) -> Result<PlannedAction, Text> {
    let declared = facts.around.keep.command_for(&cause.entity, means);
    let declared = declared.ok_or_else(|| Text::new("escalate.no_means").with("name", &cause.entity.name))?;
    let (ms, subject) = (command_ms(declared.command), means.to_string());
    Ok(step(declared.kind, &cause.entity, &subject, ms, cause, Undo::Irreversible, why))
}

#[cfg(test)]
pub(super) mod tests {
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
    pub(in crate::plan::steps) struct Given {
        pub(in crate::plan::steps) keep: Keep,
        pub(in crate::plan::steps) seen: Observation,
        pub(in crate::plan::steps) cause: Cause,
    }

    impl Given {
        pub(in crate::plan::steps) fn new(kind: CauseKind, entity: EntityId, subject: &str) -> Self {
            let mut cause = cause("a", kind, 0.95);
            (cause.entity, cause.subject) = (entity, subject.to_owned());
            Self { keep: keep(&["a"]), seen: seen_running(&["a"]), cause }
        }

        /// `run KIND SUBJECT, …`, `propose …`, or the key of why a person is called.
        pub(in crate::plan::steps) fn decision(&self) -> String {
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

    #[test]
    fn a_file_system_is_mounted_only_by_the_command_that_is_named_for_it() {
        let mut g = Given::new(CauseKind::MountMissing, EntityId::filesystem("/data"), "");
        assert_eq!(g.decision(), "escalate.no_means");
        let fs = wellkept_model::keep::Filesystem { mountpoint: "/data".into(), ..Default::default() };
        g.keep.filesystems.insert("/data".into(), fs);
        assert_eq!(g.decision(), "escalate.no_means");
        g.keep.filesystems.get_mut("/data").expect("declared").mount = Some(command());
        assert_eq!(g.decision(), "run reconfigure mount");
        g.cause.kind = CauseKind::DiskReadOnly;
        assert_eq!(g.decision(), "escalate.read_only", "what an error made read-only is not written to");
    }

    #[test]
    fn a_quota_is_widened_only_by_a_declared_knob_that_may_be_turned() {
        let mut g = Given::new(CauseKind::CpuThrottled, EntityId::service("a"), "");
        assert_eq!(g.decision(), "escalate.quota");
        let may = vec![ActionKind::Reconfigure];
        let (more_cpu, less_cpu) = (Some(command()), Some(command()));
        let knobs = Knobs { more_cpu, less_cpu, may, ..Knobs::default() };
        g.keep.knobs.insert("a".into(), knobs);
        assert_eq!(g.decision(), "run reconfigure knob more_cpu");
        g.keep.knobs.get_mut("a").expect("declared").may.clear();
        assert_eq!(g.decision(), "propose reconfigure knob more_cpu");
        g.cause.entity = EntityId::service("b");
        assert_eq!(g.decision(), "escalate.quota", "the knob is another service's");
    }

    #[test]
    fn who_keeps_the_time_is_restarted_where_that_is_declared_and_allowed() {
        let mut g = Given::new(CauseKind::TimeSyncLost, EntityId::host("h"), "");
        assert_eq!(g.decision(), "escalate.time");
        g.keep.time_sync = Some(wellkept_model::keep::TimeSync { service: Some("a".into()) });
        assert_eq!(g.decision(), "run restart ");
        g.keep.services.get_mut("a").expect("declared").may.clear();
        assert_eq!(g.decision(), "propose restart ");
    }

    #[test]
    fn what_was_killed_is_started_once_and_a_person_hears_of_it() {
        let mut g = Given::new(CauseKind::OomKill, EntityId::service("a"), "");
        assert_eq!(g.decision(), "reason.hand_over_memory", "it runs again");
        g.seen.services.get_mut("a").expect("seen").processes.clear();
        assert_eq!(g.decision(), "run restart , escalate ");
        g.cause.entity = EntityId::host("h");
        assert_eq!(g.decision(), "reason.hand_over_memory");
    }

    fn job(scheduled: bool, late: bool, run: bool, may: &[ActionKind]) -> String {
        let mut g = Given::new(CauseKind::JobMissing, EntityId::service("a"), "j");
        let kind = if late { FindingKind::JobLate } else { FindingKind::JobUnscheduled };
        let (entity, subject) = (EntityId::service("a"), "j".to_owned());
        g.cause.explains = vec![wellkept_model::FindingKey { entity, kind, subject }];
        let place = wellkept_model::keep::JobPlace::Crontab { file: "/c".into(), line: "@daily x".into() };
        let declared = wellkept_model::keep::Job {
            name: "j".into(),
            place: Some(place),
            trace: None,
            due: None,
            process: None,
            run: run.then(command),
            service: Some("a".into()),
            every: Duration::from_secs(1),
            may: may.to_vec(),
        };
        g.keep.watched.jobs.insert("j".into(), declared);
        let seen = wellkept_model::observe::JobSeen { scheduled: Some(scheduled), ..Default::default() };
        g.seen.watched.jobs.insert("j".into(), seen);
        g.decision()
    }

    #[test]
    fn an_entry_goes_back_and_a_missed_run_is_made_up_for_only_where_each_is_allowed() {
        use ActionKind::{Reconfigure, Restore};
        assert_eq!(job(false, false, true, &[Restore]), "run restore job-entry j");
        assert_eq!(job(false, false, true, &[Reconfigure]), "propose restore job-entry j");
        let both = "run restore job-entry j, reconfigure run-job j";
        assert_eq!(job(false, true, true, &[Restore, Reconfigure]), both);
        assert_eq!(job(false, true, true, &[Restore]), "run restore job-entry j", "only scheduled again");
        assert_eq!(job(true, true, true, &[Reconfigure]), "run reconfigure run-job j");
        assert_eq!(job(true, true, true, &[Restore]), "propose reconfigure run-job j");
        assert_eq!(job(true, true, false, &[Reconfigure]), "escalate.job");
    }

    #[test]
    fn a_route_and_a_size_go_back_only_as_declared_and_allowed() {
        let network = || EntityId::new(EntityKind::Network, "n");
        let to = "10.1.0.0/16 via 10.0.0.1";
        for (kind, subject, run) in [
            (CauseKind::RouteMissing, to, "reconfigure route 10.1.0.0/16 via 10.0.0.1"),
            (CauseKind::MtuMismatch, "eth0", "reconfigure mtu eth0"),
        ] {
            let mut g = Given::new(kind, network(), subject);
            assert_eq!(g.decision(), "escalate.no_means");
            let mut declared = wellkept_model::keep::Network {
                name: "n".into(),
                namespace: None,
                links: [("eth0".to_owned(), None)].into(),
                rules: None,
                carries: vec![],
                may: vec![],
                wanted: Default::default(),
            };
            declared.wanted.mtu = [("eth0".to_owned(), 1500)].into();
            declared.wanted.routes = vec![wellkept_model::keep::Route {
                to: wellkept_model::keep::AddressRange::parse("10.1.0.0/16").expect("a range"),
                via: "10.0.0.1".parse().ok(),
                dev: None,
            }];
            g.keep.watched.networks.insert("n".into(), declared);
            assert_eq!(g.decision(), format!("propose {run}"));
            g.keep.watched.networks.get_mut("n").expect("declared").may = vec![ActionKind::Reconfigure];
            assert_eq!(g.decision(), format!("run {run}"));
        }
    }

    #[test]
    fn a_flood_is_dammed_by_its_knob_and_a_person_hears_of_the_defect() {
        let mut g = Given::new(CauseKind::LogFlood, EntityId::service("a"), "/x.log");
        assert_eq!(g.decision(), "escalate.log_flood");
        let may = vec![ActionKind::Reconfigure];
        g.keep.knobs.insert("a".into(), Knobs { log_less: Some(command()), may, ..Knobs::default() });
        assert_eq!(g.decision(), "run reconfigure knob log_less, escalate ");
    }

    #[test]
    fn one_that_hangs_is_restarted_where_that_is_allowed() {
        let mut g = Given::new(CauseKind::Hang, EntityId::service("a"), "");
        assert_eq!(g.decision(), "run restart ");
        g.keep.services.get_mut("a").expect("declared").may.clear();
        assert_eq!(g.decision(), "propose restart ");
    }
}
