//! Situations in words, for the cases of all rules.
//!
//! `app needs cache; cache ended 0 at 100 began 10; cache gone; app unhealthy`: one statement per `;`, times in
//! seconds, `9s` is signal 9, `?` an unknown end.

mod local;

use wellkept_model::observe::{Exit, ProcessEnd, ProcessSeen, RuleUse, SpaceUse};
use wellkept_model::{
    Action, ActionId, ActionKind, ActionStatus, Cause, EntityId, FileOrigin, FileVersionChange, Finding,
    FindingKey, FindingKind, IncidentId, PlannedAction, Relation, RelationKind, Severity, Text, TimestampMs,
    Topology, Undo,
};

use crate::{SITUATION_FORMAT, Situation, diagnose};

/// A situation and what diagnosis says of it.
pub(crate) struct Case {
    pub(crate) situation: Situation,
    pub(crate) causes: Vec<Cause>,
}

/// Asserts `entity kind score` of the first cause.
#[track_caller]
pub(crate) fn check(words: &str, expected: &str) {
    let case = Case::new(words);
    let first = &case.causes[0];
    assert_eq!(format!("{} {} {:.2}", first.entity, first.kind.word(), first.score), expected);
}

impl Case {
    pub(crate) fn new(words: &str) -> Self {
        let mut situation = Situation {
            format: SITUATION_FORMAT,
            now: TimestampMs(110_000),
            host: "h".to_owned(),
            findings: Vec::new(),
            seen: wellkept_model::observe::Observation::default(),
            topology: Topology::default(),
            changes: Vec::new(),
            file_changes: Vec::new(),
            tried: Vec::new(),
            space: Vec::new(),
            suspects: Vec::new(),
        };
        for statement in words.split(';') {
            apply(&mut situation, &statement.split_whitespace().collect::<Vec<_>>());
        }
        let causes = diagnose(&situation);
        Self { situation, causes }
    }

    /// A case of findings that have no words of their own.
    pub(crate) fn of(fill: impl FnOnce(&mut Situation)) -> Self {
        let mut case = Self::new("nobody runs since 1");
        fill(&mut case.situation);
        case.again()
    }

    /// Diagnosed again, after something was added.
    pub(crate) fn again(self) -> Self {
        let causes = diagnose(&self.situation);
        Self { causes, ..self }
    }

    pub(crate) fn find(s: &mut Situation, entity: EntityId, kind: FindingKind, subject: &str) {
        find(s, entity, kind, subject, None);
    }

    pub(crate) fn lean(s: &mut Situation, service: &str, on: EntityId) {
        relate(s, service, RelationKind::DependsOn, on);
    }

    pub(crate) fn first(&self) -> String {
        format!("{} {}", self.causes[0].entity, self.causes[0].kind.word())
    }

    pub(crate) fn kinds(&self) -> Vec<String> {
        self.causes.iter().map(|c| c.kind.word().to_owned()).collect()
    }

    /// The causes after the situation was written to JSON and read back.
    pub(crate) fn replayed(&self) -> Vec<Cause> {
        let text = serde_json::to_string(&self.situation).unwrap();
        diagnose(&serde_json::from_str(&text).unwrap())
    }
}

fn apply(s: &mut Situation, words: &[&str]) {
    match words {
        [a, "needs", b] => relate(s, a, RelationKind::DependsOn, EntityId::service(*b)),
        [a, "uses", m] => relate(s, a, RelationKind::Mounts, EntityId::filesystem(*m)),
        [a, "ended", exit, "at", at, "began", began] => {
            let end = ProcessEnd { pid: 1, started_at: Some(sec(began)), at: sec(at), exit: exit_of(exit) };
            s.seen.services.entry((*a).to_owned()).or_default().last_end = Some(end);
        }
        [a, "gone"] => {
            let since = s.seen.services.entry((*a).to_owned()).or_default().last_end.as_ref().map(|e| e.at);
            find(s, EntityId::service(*a), FindingKind::ProcessGone, "", since);
        }
        [a, "unhealthy"] => find(s, EntityId::service(*a), FindingKind::HealthFailing, "http", None),
        [a, "restarting"] => find(s, EntityId::service(*a), FindingKind::RestartingOften, "", None),
        [a, "stopped"] => find(s, EntityId::service(*a), FindingKind::ProcessStopped, "", None),
        [a, "runs", "since", at] => {
            s.seen.services.entry((*a).to_owned()).or_default().processes = vec![process(sec(at))];
        }
        [a, "restarted", "at", at] => s.tried.push(restarted(a, sec(at))),
        [a, "changed", "at", at] => change(s, a, sec(at), Some("bb".to_owned())),
        [a, "lost", "its", "file", "at", at] => change(s, a, sec(at), None),
        [m, "full", "by", glob, "of", owner] => {
            find(s, EntityId::filesystem(*m), FindingKind::FilesystemFull, "", None);
            let (glob, owners) = ((*glob).to_owned(), vec![(*owner).to_owned()]);
            let rule = RuleUse { glob, files: 3, bytes: 4096, owners, ..RuleUse::default() };
            s.space.push(SpaceUse { mountpoint: (*m).to_owned(), rules: vec![rule], ..SpaceUse::default() });
        }
        _ => local::apply(s, words),
    }
}

fn relate(s: &mut Situation, from: &str, kind: RelationKind, to: EntityId) {
    let edge = Relation { from: EntityId::service(from), kind, to };
    s.topology = Topology::new(s.topology.relations().iter().cloned().chain([edge]));
}

fn find(s: &mut Situation, entity: EntityId, kind: FindingKind, subject: &str, since: Option<TimestampMs>) {
    s.findings.push(Finding {
        key: FindingKey { entity, kind, subject: subject.to_owned() },
        severity: Severity::Critical,
        since: since.unwrap_or(TimestampMs(103_000)),
        at: s.now,
        text: Text::new("x"),
        evidence: Vec::new(),
        hold_ms: 0,
    });
}

fn change(s: &mut Situation, service: &str, at: TimestampMs, now_sha256: Option<String>) {
    let path = format!("/srv/{service}/env");
    find(s, EntityId::service(service), FindingKind::FileChanged, &path, Some(at));
    s.file_changes.push(FileVersionChange {
        service: service.to_owned(),
        path,
        at,
        modified_at: now_sha256.as_ref().map(|_| at),
        good_sha256: "aa".to_owned(),
        now_sha256,
        recorded: None,
        keys_removed: vec!["KEY".to_owned()],
        keys_changed: Vec::new(),
        keys_added: Vec::new(),
        only_metadata: false,
        origin: FileOrigin::Kept,
    });
}

fn restarted(service: &str, at: TimestampMs) -> Action {
    Action {
        id: ActionId { incident: IncidentId(1), number: 1 },
        planned: PlannedAction {
            kind: ActionKind::Restart,
            target: EntityId::service(service),
            subject: String::new(),
            to_version: None,
            deadline_ms: 0,
            verify: Vec::new(),
            undo: Undo::Irreversible,
            reason: Text::new("x"),
        },
        cause: None,
        status: ActionStatus::Succeeded,
        automatic: true,
        started_at: Some(at),
        finished_at: Some(at),
        outcome: None,
    }
}

fn process(started_at: TimestampMs) -> ProcessSeen {
    ProcessSeen {
        pid: 5,
        started_at,
        state: 'S',
        state_since: started_at,
        cpu_seconds: 0.0,
        rss_bytes: 0,
        open_fds: None,
        threads: 1,
        uid: 0,
        comm: String::new(),
    }
}

fn exit_of(word: &str) -> Exit {
    match word.strip_suffix('s') {
        Some(signal) => Exit::Signal(signal.parse().unwrap()),
        None if word == "?" => Exit::Unknown,
        None => Exit::Code(word.parse().unwrap()),
    }
}

fn sec(word: &str) -> TimestampMs {
    TimestampMs(word.parse::<i64>().unwrap() * 1000)
}
