//! One decision with everything that it was made from, so that it can be made again later: the same record gives the
//! same causes and the same plan, byte for byte. The engine decides by this very code.
//!
//! A record is one file of JSON that needs no other: the situation, what the planner looked at besides, the keep file's
//! text, and the answer as it was given. See `docs/formats/decisions.md`.

use serde::{Deserialize, Serialize};
use wellkept_diagnose::{SITUATION_FORMAT, Situation, diagnose};
use wellkept_model::keep::Keep;
use wellkept_model::{Cause, CauseKind, EntityId, Finding, Incident, Text};
use wellkept_recover::{Decision, Facts, Ledger, Surroundings, decide};

/// What every record begins with.
const WHAT: &str = "wellkept decision";
/// Version of the stored form.
pub(crate) const FORMAT: u32 = 2;

/// Everything behind one decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    what: String,
    format: u32,
    /// Version of the program that decided.
    version: String,
    pub(crate) situation: Situation,
    /// The incident before the decision.
    pub(crate) incident: Incident,
    /// All findings that held, of all incidents.
    pub(crate) active: Vec<Finding>,
    pub(crate) frozen: bool,
    pub(crate) ledger: Ledger,
    pub(crate) failed: Vec<(EntityId, CauseKind)>,
    pub(crate) generation: u32,
    /// Text of the keep file; `None` when there was none.
    pub(crate) keep: Option<String>,
    /// The answer, as [`Answer::text`] wrote it then. Empty while it is not decided.
    pub(crate) answer: String,
}

/// Causes and decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) causes: Vec<Cause>,
    pub(crate) decision: Decision,
}

impl Answer {
    /// One line of JSON, the same for the same answer.
    pub(crate) fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// What a decision is made from, borrowed from the engine.
#[derive(Debug)]
pub(crate) struct Given<'a> {
    pub(crate) situation: Situation,
    pub(crate) incident: &'a Incident,
    pub(crate) active: &'a [Finding],
    pub(crate) frozen: bool,
    pub(crate) ledger: &'a Ledger,
    pub(crate) failed: Vec<(EntityId, CauseKind)>,
    pub(crate) generation: u32,
    pub(crate) keep: Option<&'a str>,
}

fn other(why: impl ToString) -> Text {
    Text::new("cli.replay.other").with("why", why)
}

fn older(found: u64, version: &str) -> Text {
    let text = Text::new("cli.replay.format").with("found", found).with("version", version);
    text.with("format", FORMAT)
}

impl Record {
    /// A record without an answer yet.
    pub(crate) fn new(given: Given<'_>) -> Self {
        Self {
            what: WHAT.to_owned(),
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            situation: given.situation,
            incident: given.incident.clone(),
            active: given.active.to_vec(),
            frozen: given.frozen,
            ledger: given.ledger.clone(),
            failed: given.failed,
            generation: given.generation,
            keep: given.keep.map(str::to_owned),
            answer: String::new(),
        }
    }

    /// Diagnoses and decides. `keep`: what its text says, already read.
    pub(crate) fn judge(&self, keep: &Keep) -> Answer {
        let causes = diagnose(&self.situation);
        let incident = Incident { causes: causes.clone(), ..self.incident.clone() };
        let around = Surroundings {
            now: self.situation.now,
            keep,
            frozen: self.frozen,
            active: &self.active,
            seen: &self.situation.seen,
            ledger: &self.ledger,
        };
        let facts = Facts {
            around,
            file_changes: &self.situation.file_changes,
            space: &self.situation.space,
            failed: &self.failed,
            generation: self.generation,
        };
        Answer { causes, decision: decide(&incident, &facts) }
    }

    /// Reads a record, or says why it is none that this version can replay. What it says first is looked at first, so
    /// that an older file is refused in words and not by the first field that it lacks.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Text> {
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(other)?;
        let (what, found) = (value["what"].as_str(), value["format"].as_u64());
        let version = value["version"].as_str().unwrap_or("?");
        match (what, found) {
            (Some(WHAT), Some(found)) if found == u64::from(FORMAT) => {}
            (Some(WHAT), Some(found)) => return Err(older(found, version)),
            // Before there were records, a situation was kept alone.
            (None, Some(found)) if value.get("findings").is_some() => return Err(older(found, "0.1.0")),
            _ => return Err(Text::new("cli.replay.not_ours")),
        }
        let inner = value["situation"]["format"].as_u64().unwrap_or(0);
        if inner != u64::from(SITUATION_FORMAT) {
            return Err(older(inner, version));
        }
        serde_json::from_slice(bytes).map_err(other)
    }

    /// The keep file of then.
    pub(crate) fn keep(&self) -> Result<Keep, Text> {
        let Some(text) = &self.keep else { return Ok(Keep::default()) };
        let parsed = wellkept_keep::parse("wellkept.yml", text);
        parsed.map_err(|e| Text::new("cli.replay.keep").with("why", e))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;
    use wellkept_model::observe::{Exit, Observation, ProcessEnd, ServiceSeen};
    use wellkept_model::{
        ActionKind, FindingKey, FindingKind, IncidentId, IncidentStatus, Severity, TimestampMs, Topology,
    };

    const KEEP: &str = "
services:
  a: { pidfile: /run/a.pid, start: /bin/a, may: [restart] }
automation: { mode: act }
";

    /// A service that was killed, and may be restarted.
    pub(crate) fn crash() -> Record {
        let entity = EntityId::service("a");
        let at = TimestampMs(1_700_000_000_000);
        let key =
            FindingKey { entity: entity.clone(), kind: FindingKind::ProcessGone, subject: String::new() };
        let text = Text::new("finding.process_gone").with("name", "a");
        let finding = Finding {
            key,
            severity: Severity::Critical,
            since: at,
            at,
            text,
            evidence: Vec::new(),
            hold_ms: 0,
        };
        let end =
            ProcessEnd { pid: 7, started_at: Some(TimestampMs(at.0 - 9000)), at, exit: Exit::Signal(9) };
        let ended = ServiceSeen {
            down_since: Some(at),
            last_end: Some(end),
            ever_seen: true,
            ..ServiceSeen::default()
        };
        let seen = Observation { at, services: [("a".to_owned(), ended)].into(), ..Observation::default() };
        let situation = Situation {
            format: SITUATION_FORMAT,
            now: TimestampMs(at.0 + 1000),
            host: "h".to_owned(),
            findings: vec![finding.clone()],
            seen,
            topology: Topology::default(),
            changes: Vec::new(),
            file_changes: Vec::new(),
            tried: Vec::new(),
            space: Vec::new(),
            suspects: Vec::new(),
        };
        let incident = Incident {
            id: IncidentId(3),
            title: finding.text.clone(),
            status: IncidentStatus::Diagnosing,
            severity: Severity::Critical,
            began_at: at,
            opened_at: at,
            updated_at: at,
            resolved_at: None,
            entity,
            findings: vec![finding.clone()],
            active: 1,
            holding: vec![finding.key.clone()],
            causes: Vec::new(),
            plan: None,
            actions: Vec::new(),
            timeline: Vec::new(),
            times: 1,
            prevention: None,
        };
        Record::new(Given {
            situation,
            incident: &incident,
            active: &[finding],
            frozen: false,
            ledger: &Ledger::default(),
            failed: Vec::new(),
            generation: 1,
            keep: Some(KEEP),
        })
    }

    #[test]
    fn a_record_holds_all_that_the_decision_needs() {
        let record = crash();
        let answer = record.judge(&record.keep().unwrap());
        let Decision::Run(plan) = &answer.decision else { panic!("{:?}", answer.decision) };
        assert_eq!(plan.steps[0].kind, ActionKind::Restart);
        let read: Record = Record::read(&serde_json::to_vec(&record).unwrap()).unwrap();
        assert_eq!(read.judge(&read.keep().unwrap()).text().unwrap(), answer.text().unwrap());
        let without = Record { keep: None, ..record };
        assert!(!matches!(without.judge(&without.keep().unwrap()).decision, Decision::Run(_)));
    }

    #[test]
    fn what_is_no_record_of_this_version_is_refused_in_words() {
        let good = serde_json::to_value(crash()).unwrap();
        let with = |key: &str, value: serde_json::Value| {
            let mut changed = good.clone();
            changed[key] = value;
            changed.to_string()
        };
        let mut inner = good.clone();
        inner["situation"]["format"] = json!(9);
        let mut lacking = good.clone();
        lacking.as_object_mut().unwrap().remove("incident");
        for (text, key) in [
            (with("format", json!(1)), "cli.replay.format"),
            (with("format", json!(99)), "cli.replay.format"),
            (inner.to_string(), "cli.replay.format"),
            (good["situation"].to_string(), "cli.replay.format"),
            (with("what", json!("something else")), "cli.replay.not_ours"),
            ("{}".to_owned(), "cli.replay.not_ours"),
            ("[1]".to_owned(), "cli.replay.not_ours"),
            (lacking.to_string(), "cli.replay.other"),
            ("not JSON".to_owned(), "cli.replay.other"),
            (String::new(), "cli.replay.other"),
        ] {
            assert_eq!(Record::read(text.as_bytes()).unwrap_err().key, key, "{text:.60}");
        }
        let mut bad_keep = crash();
        bad_keep.keep = Some("services: 3".to_owned());
        assert_eq!(bad_keep.keep().unwrap_err().key, "cli.replay.keep");
    }
}
