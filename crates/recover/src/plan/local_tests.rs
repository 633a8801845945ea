//! Which plans answer the faults of this host, and where there must be none.

use wellkept_model::keep::{Keep, Listeners, Release};
use wellkept_model::local::{ConsumerSeen, CrowdSeen, ProcessTableSeen, ReleaseSeen};
use wellkept_model::observe::{HolderSeen, ListenerSeen, Observation};
use wellkept_model::{
    ActionKind, Cause, CauseKind, EntityId, EntityKind, FileOrigin, FileVersionChange, FindingKind, Plan,
    ProcessRef, Text, TimestampMs, Undo,
};

use super::{Decision, Facts, decide};
use crate::Ledger;
use crate::guard::Surroundings;
use crate::testing::{cause, change, finding, incident, keep};

struct Given {
    keep: Keep,
    seen: Observation,
    changes: Vec<FileVersionChange>,
    cause: Cause,
    found: FindingKind,
}

fn given(kind: CauseKind) -> Given {
    let (keep, seen, changes) = (keep(&["a", "b"]), Observation::default(), Vec::new());
    Given { keep, seen, changes, cause: cause("a", kind, 0.95), found: FindingKind::HealthFailing }
}

fn decision(g: &Given) -> Decision {
    let mut incident = incident(vec![finding("a", g.found)]);
    incident.causes = vec![g.cause.clone()];
    let ledger = Ledger::default();
    let around = Surroundings {
        now: TimestampMs(100_000),
        keep: &g.keep,
        frozen: false,
        active: &incident.findings,
        seen: &g.seen,
        ledger: &ledger,
    };
    let facts = Facts { around, file_changes: &g.changes, space: &[], failed: &[], generation: 1 };
    decide(&incident, &facts)
}

#[track_caller]
fn runs(g: &Given) -> Plan {
    match decision(g) {
        Decision::Run(plan) => plan,
        other => panic!("not run: {other:?}"),
    }
}

fn kinds(plan: &Plan) -> Vec<ActionKind> {
    plan.steps.iter().map(|s| s.kind).collect()
}

fn of_release(path: &str, now: Option<&str>) -> FileVersionChange {
    FileVersionChange { origin: FileOrigin::Release, now_sha256: now.map(str::to_owned), ..change("a", path) }
}

#[test]
fn all_altered_files_of_a_release_come_back_at_once_and_a_person_hears_of_it() {
    let mut g = given(CauseKind::UnauthorisedFileChange);
    (g.cause.entity, g.cause.subject) = (EntityId::new(EntityKind::File, "/r/1/x"), "/r/1/x".to_owned());
    g.changes = vec![of_release("/r/1/x", Some("evil")), of_release("/r/1/y", Some("evil"))];
    let plan = runs(&g);
    assert_eq!(kinds(&plan), [ActionKind::Restore, ActionKind::Restore, ActionKind::Escalate]);
    assert!(plan.steps.iter().all(|s| s.undo == Undo::Irreversible), "what was evil is not put back");
}

#[test]
fn where_the_process_is_gone_as_well_the_files_come_first_and_then_the_start() {
    let mut g = given(CauseKind::UnauthorisedFileChange);
    (g.cause.entity, g.cause.subject) = (EntityId::new(EntityKind::File, "/r/1/x"), "/r/1/x".to_owned());
    g.changes = vec![of_release("/r/1/x", Some("evil")), of_release("/r/1/y", Some("evil"))];
    g.found = FindingKind::ProcessGone;
    let plan = runs(&g);
    use ActionKind::{Escalate, Restart, Restore};
    assert_eq!(kinds(&plan), [Restore, Restore, Restart, Escalate]);
    assert_eq!(plan.steps[2].target, EntityId::service("a"));
    let service = g.keep.services.get_mut("a").unwrap();
    service.starts_itself_within = Some(std::time::Duration::from_secs(5));
    assert_eq!(kinds(&runs(&g)), [Restore, Restore, Escalate], "something else starts it");
    let service = g.keep.services.get_mut("a").unwrap();
    (service.starts_itself_within, service.may) = (None, vec![Restore]);
    assert_eq!(kinds(&runs(&g)), [Restore, Restore, Escalate], "the files go back without that permission");
}

#[test]
fn a_release_that_differs_all_over_is_not_mended_file_by_file() {
    let mut g = given(CauseKind::MissingFile);
    g.cause.subject = "/r/1/0".to_owned();
    g.changes = (0..40).map(|n| of_release(&format!("/r/1/{n}"), None)).collect();
    assert!(matches!(decision(&g), Decision::Escalate(_)));
}

#[test]
fn files_whose_change_was_recorded_stay() {
    let mut g = given(CauseKind::MissingFile);
    g.cause.subject = "/r/1/x".to_owned();
    let recorded = Some(wellkept_model::ChangeId("7".to_owned()));
    let patched = FileVersionChange { recorded, ..of_release("/r/1/patched", Some("new")) };
    g.changes = vec![of_release("/r/1/x", None), patched];
    assert_eq!(runs(&g).steps.len(), 1);
}

fn released(g: &mut Given) {
    let release = Release {
        current: "/srv/current".into(),
        from: "/srv/releases".into(),
        manifest: None,
        artefact: None,
        rollback: None,
    };
    g.keep.services.get_mut("a").unwrap().release = Some(release);
    let (target, since) = ("releases/2".to_owned(), TimestampMs(90_000));
    g.seen.local.releases.insert("a".to_owned(), ReleaseSeen { target, since, before: None });
}

#[test]
fn a_bad_release_goes_back_to_the_one_before_and_can_come_forward_again() {
    let mut g = given(CauseKind::BadRelease);
    g.cause.subject = "releases/1".to_owned();
    assert!(matches!(decision(&g), Decision::Escalate(_)), "no release is declared");
    released(&mut g);
    let plan = runs(&g);
    assert_eq!(kinds(&plan), [ActionKind::Rollback]);
    assert_eq!(plan.steps[0].to_version.as_deref(), Some("releases/1"));
    assert_eq!(plan.steps[0].undo, Undo::Release { to: "releases/2".to_owned() });
    g.keep.services.get_mut("a").unwrap().may = vec![ActionKind::Restart];
    assert!(matches!(decision(&g), Decision::Propose(_)), "not without the word");
    g.cause.subject = "releases/2".to_owned();
    assert!(matches!(decision(&g), Decision::Escalate(_)), "it is current already");
}

#[test]
fn a_leak_is_put_off_by_a_restart_and_told_as_a_defect() {
    for kind in [CauseKind::FdLeak, CauseKind::MemoryLeak, CauseKind::ChildrenNotReaped] {
        assert_eq!(kinds(&runs(&given(kind))), [ActionKind::Restart, ActionKind::Escalate]);
        let mut g = given(kind);
        g.cause.entity = EntityId::new(EntityKind::Process, "x [7]");
        assert!(matches!(decision(&g), Decision::Escalate(_)), "not ours");
    }
}

#[test]
fn a_deleted_log_is_reopened_where_that_is_declared() {
    let mut g = given(CauseKind::DeletedOpenFile);
    assert_eq!(kinds(&runs(&g)), [ActionKind::Restart]);
    let service = g.keep.services.get_mut("a").unwrap();
    service.reopen = service.start.clone();
    assert!(matches!(decision(&g), Decision::Propose(_)), "not without the word");
    g.keep.services.get_mut("a").unwrap().may.push(ActionKind::Reconfigure);
    assert_eq!(kinds(&runs(&g)), [ActionKind::Reconfigure]);
}

fn holds_a_port(user: &str) -> ListenerSeen {
    let process = ProcessRef { pid: 77, start_ticks: 5 };
    let holder = HolderSeen { process, comm: "python3".to_owned(), user: user.to_owned() };
    let (protocol, address) = ("tcp".to_owned(), "127.0.0.1:9000".to_owned());
    ListenerSeen { protocol, address, uid: 1, pid: Some(77), holder: Some(holder) }
}

#[test]
fn the_holder_of_a_port_is_ended_only_when_it_belongs_to_a_named_user() {
    let mut g = given(CauseKind::PortConflict);
    g.cause.subject = "pids 77@5".to_owned();
    g.cause.detail = Text::new("x").with("comm", "python3").with("pid", 77);
    g.seen.listeners = vec![holds_a_port("ann")];
    g.keep.strangers.kill = vec!["batch".to_owned()];
    assert!(matches!(decision(&g), Decision::Propose(_)));
    g.seen.listeners = vec![holds_a_port("batch")];
    assert_eq!(kinds(&runs(&g)), [ActionKind::Kill, ActionKind::StartDependency]);
    let service = g.keep.services.get_mut("a").unwrap();
    service.starts_itself_within = Some(std::time::Duration::from_secs(5));
    assert_eq!(kinds(&runs(&g)), [ActionKind::Kill], "its supervisor starts it");
}

#[test]
fn a_runaway_session_is_ended_as_a_whole() {
    let mut g = given(CauseKind::RunawayFork);
    g.cause.entity = EntityId::new(EntityKind::Process, "report [session 42]");
    g.cause.subject = "session 42 uid 1001".to_owned();
    g.keep.strangers.kill = vec!["batch".to_owned()];
    assert!(matches!(decision(&g), Decision::Propose(_)), "it is not seen any more");
    let crowd = CrowdSeen {
        session: 42,
        uid: 1001,
        user: "batch".to_owned(),
        comm: "report".to_owned(),
        count: 290,
        of_service: false,
        group: "/".to_owned(),
    };
    g.seen.local.table = Some(ProcessTableSeen { crowds: vec![crowd], ..ProcessTableSeen::default() });
    assert_eq!(kinds(&runs(&g)), [ActionKind::Kill]);
}

#[test]
fn a_stranger_on_a_port_is_blocked_where_declared_and_handed_over_in_any_case() {
    let mut g = given(CauseKind::UnexpectedListener);
    let named = |name: &str| EntityId::new(EntityKind::Listener, name);
    g.cause.entity = named("tcp 0.0.0.0:31337");
    assert!(matches!(decision(&g), Decision::Escalate(_)));
    g.keep.listeners = Some(Listeners { allow: Vec::new(), isolate: true });
    let plan = runs(&g);
    assert_eq!(kinds(&plan), [ActionKind::Isolate, ActionKind::Escalate]);
    assert_eq!(plan.steps[0].undo, Undo::Unblock { protocol: "tcp".to_owned(), port: 31337 });
    g.seen = crate::testing::seen_running(&["b"]);
    let mut listener = holds_a_port("batch");
    (listener.address, listener.pid) = ("0.0.0.0:31337".to_owned(), Some(1));
    g.seen.listeners = vec![listener];
    assert!(matches!(decision(&g), Decision::Escalate(_)), "a service opened it");
    g.seen = Observation::default();
    g.keep.services.get_mut("b").unwrap().listens = vec!["127.0.0.1:31337".parse().unwrap()];
    assert!(matches!(decision(&g), Decision::Escalate(_)), "the block would hit a service");
    g.cause.entity = named("tcp 127.0.0.1:4444");
    assert!(matches!(decision(&g), Decision::Escalate(_)), "nobody outside reaches it");
}

#[test]
fn a_hog_is_made_nice_only_when_its_user_is_named() {
    let mut g = given(CauseKind::CpuContention);
    g.cause.entity = EntityId::host("h");
    g.cause.subject = "pids 7@5".to_owned();
    let consumer = ConsumerSeen {
        process: ProcessRef { pid: 7, start_ticks: 5 },
        comm: "report".to_owned(),
        user: "batch".to_owned(),
        nice: -2,
        service: None,
        cores: 0.9,
    };
    g.seen.local.table = Some(ProcessTableSeen { consumers: vec![consumer], ..ProcessTableSeen::default() });
    assert!(matches!(decision(&g), Decision::Propose(_)));
    g.keep.strangers.slow_down = vec!["batch".to_owned()];
    let plan = runs(&g);
    assert_eq!(kinds(&plan), [ActionKind::Reconfigure]);
    assert_eq!(plan.steps[0].undo, Undo::Renice { before: vec![("7@5".to_owned(), -2)] });
}

#[test]
fn of_services_that_wait_for_each_other_one_is_started_anew_and_never_two() {
    let mut g = given(CauseKind::DependencyLoop);
    g.cause.subject = "a,b".to_owned();
    let targets = |g: &Given| runs(g).steps.iter().map(|s| s.target.name.clone()).collect::<Vec<_>>();
    assert_eq!(targets(&g), ["a"]);
    g.keep.services.get_mut("a").unwrap().may.clear();
    assert_eq!(targets(&g), ["b"], "the one that may be");
    g.keep.services.get_mut("b").unwrap().may.clear();
    let Decision::Propose(plan) = decision(&g) else { panic!("nobody allowed it") };
    assert_eq!((plan.steps.len(), plan.steps[0].target.name.as_str()), (1, "a"));
}
