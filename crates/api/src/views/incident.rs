//! Incidents: the summary that lists, streams and the drill read, and the detail that a person reads.

use serde::Serialize;
use wellkept_catalogue::{Language, render};
use wellkept_model::{
    Action, Cause, Evidence, Finding, Incident, IncidentStatus, Moment, MomentKind, Plan, PlannedAction,
    Prevention, Text, TimestampMs, Undo,
};

/// Most incidents in one answer.
pub(crate) const INCIDENTS_MAX: usize = 1000;
/// Key of the moment with which a resolved incident begins again.
const REOPENED: &str = "moment.reopened";
/// Key of the moment of a verification that failed.
const DID_NOT_HELP: &str = "moment.did_not_help";

#[derive(Serialize)]
pub(crate) struct IncidentsView<'a> {
    incidents: Vec<IncidentSummary<'a>>,
}

impl<'a> IncidentsView<'a> {
    pub(crate) fn new(language: Language, incidents: &'a [Incident]) -> Self {
        let shown = incidents.iter().take(INCIDENTS_MAX);
        Self { incidents: shown.map(|i| IncidentSummary::new(language, i)).collect() }
    }
}

#[derive(Serialize)]
pub(crate) struct IncidentSummary<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    causes: Vec<CauseView<'a>>,
    actions: Vec<ActionView<'a>>,
}

impl<'a> IncidentSummary<'a> {
    pub(crate) fn new(language: Language, incident: &'a Incident) -> Self {
        Self {
            head: Head::new(language, incident),
            causes: incident.causes.iter().map(|c| CauseView::new(language, c)).collect(),
            actions: incident.actions.iter().map(|a| ActionView::new(language, a)).collect(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct IncidentDetail<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    findings: Vec<FindingView<'a>>,
    causes: Vec<CauseDetail<'a>>,
    actions: Vec<ActionDetail<'a>>,
    plan: Option<PlanView<'a>>,
    timeline: Vec<MomentView>,
    prevention: Option<PreventionView<'a>>,
}

impl<'a> IncidentDetail<'a> {
    pub(crate) fn new(language: Language, incident: &'a Incident) -> Self {
        Self {
            head: Head::new(language, incident),
            findings: incident.findings.iter().map(|f| FindingView::new(language, incident, f)).collect(),
            causes: incident.causes.iter().map(|c| CauseDetail::new(language, c)).collect(),
            actions: incident.actions.iter().map(|a| ActionDetail::new(language, a)).collect(),
            plan: incident.plan.as_ref().map(|p| PlanView::new(language, p)),
            timeline: incident.timeline.iter().map(|m| MomentView::new(language, m)).collect(),
            prevention: incident.prevention.as_ref().map(|p| PreventionView::new(language, p)),
        }
    }
}

/// What summary and detail share.
#[derive(Serialize)]
struct Head<'a> {
    id: String,
    title: String,
    status: &'static str,
    severity: &'static str,
    began_at: i64,
    opened_at: i64,
    updated_at: i64,
    resolved_at: Option<i64>,
    component: &'a str,
    entity: String,
    active: usize,
    /// A plan waits for a person.
    plan_waiting: bool,
    /// Incidents with this root within a week, this one included.
    times: u32,
}

impl<'a> Head<'a> {
    fn new(language: Language, incident: &'a Incident) -> Self {
        Self {
            id: incident.id.to_string(),
            title: render(language, &incident.title),
            status: incident.status.word(),
            severity: incident.severity.word(),
            began_at: incident.began_at.0,
            opened_at: incident.opened_at.0,
            updated_at: incident.updated_at.0,
            resolved_at: incident.resolved_at.map(|at| at.0),
            component: incident.entity.component(),
            entity: incident.entity.to_string(),
            active: incident.active,
            plan_waiting: plan_waits(incident),
            times: incident.times,
        }
    }
}

/// True when approving would be followed now. Expired plans are dropped by the engine, each round.
fn plan_waits(incident: &Incident) -> bool {
    let approvable = matches!(incident.status, IncidentStatus::Diagnosing | IncidentStatus::Escalated);
    approvable && incident.plan.as_ref().is_some_and(|plan| !plan.automatic && !plan.steps.is_empty())
}

#[derive(Serialize)]
struct CauseView<'a> {
    component: &'a str,
    entity: String,
    kind: &'static str,
    kind_text: String,
    detail: String,
    score: f64,
}

impl<'a> CauseView<'a> {
    fn new(language: Language, cause: &'a Cause) -> Self {
        Self {
            component: cause.entity.component(),
            entity: cause.entity.to_string(),
            kind: cause.kind.word(),
            kind_text: word(language, "kind.cause", cause.kind.word()),
            detail: render(language, &cause.detail),
            score: cause.score,
        }
    }
}

#[derive(Serialize)]
struct CauseDetail<'a> {
    #[serde(flatten)]
    cause: CauseView<'a>,
    evidence: Vec<EvidenceView<'a>>,
}

impl<'a> CauseDetail<'a> {
    fn new(language: Language, cause: &'a Cause) -> Self {
        Self { cause: CauseView::new(language, cause), evidence: evidence(language, &cause.evidence) }
    }
}

#[derive(Serialize)]
struct ActionView<'a> {
    id: String,
    kind: &'static str,
    kind_text: String,
    target: &'a str,
    entity: String,
    subject: &'a str,
    status: &'static str,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    automatic: bool,
}

impl<'a> ActionView<'a> {
    fn new(language: Language, action: &'a Action) -> Self {
        let planned = &action.planned;
        Self {
            id: action.id.to_string(),
            kind: planned.kind.word(),
            kind_text: word(language, "kind.action", planned.kind.word()),
            target: &planned.target.name,
            entity: planned.target.to_string(),
            subject: &planned.subject,
            status: action.status.word(),
            started_at: action.started_at.map(|at| at.0),
            finished_at: action.finished_at.map(|at| at.0),
            automatic: action.automatic,
        }
    }
}

#[derive(Serialize)]
struct ActionDetail<'a> {
    #[serde(flatten)]
    action: ActionView<'a>,
    reason: String,
    outcome: Option<String>,
    undo: &'static str,
    undoable: bool,
}

impl<'a> ActionDetail<'a> {
    fn new(language: Language, action: &'a Action) -> Self {
        Self {
            action: ActionView::new(language, action),
            reason: render(language, &action.planned.reason),
            outcome: action.outcome.as_ref().map(|text| render(language, text)),
            undo: undo_word(&action.planned.undo),
            undoable: action.can_be_taken_back(),
        }
    }
}

#[derive(Serialize)]
struct FindingView<'a> {
    entity: String,
    component: &'a str,
    kind: &'static str,
    kind_text: String,
    subject: &'a str,
    severity: &'static str,
    text: String,
    since: i64,
    at: i64,
    active: bool,
    evidence: Vec<EvidenceView<'a>>,
}

impl<'a> FindingView<'a> {
    fn new(language: Language, incident: &Incident, finding: &'a Finding) -> Self {
        Self {
            entity: finding.key.entity.to_string(),
            component: finding.key.entity.component(),
            kind: finding.key.kind.word(),
            kind_text: word(language, "kind.finding", finding.key.kind.word()),
            subject: &finding.key.subject,
            severity: finding.severity.word(),
            text: render(language, &finding.text),
            since: finding.since.0,
            at: finding.at.0,
            active: incident.holding.contains(&finding.key),
            evidence: evidence(language, &finding.evidence),
        }
    }
}

#[derive(Serialize)]
struct EvidenceView<'a> {
    at: i64,
    text: String,
    query: Option<&'a str>,
}

fn evidence(language: Language, list: &[Evidence]) -> Vec<EvidenceView<'_>> {
    list.iter()
        .map(|e| EvidenceView { at: e.at.0, text: render(language, &e.text), query: e.query.as_deref() })
        .collect()
}

#[derive(Serialize)]
struct PlanView<'a> {
    generation: u32,
    made_at: i64,
    expires_at: i64,
    automatic: bool,
    withheld: Option<String>,
    steps: Vec<StepView<'a>>,
}

impl<'a> PlanView<'a> {
    fn new(language: Language, plan: &'a Plan) -> Self {
        Self {
            generation: plan.generation,
            made_at: plan.made_at.0,
            expires_at: plan.expires_at.0,
            automatic: plan.automatic,
            withheld: plan.withheld.as_ref().map(|text| render(language, text)),
            steps: plan.steps.iter().map(|s| StepView::new(language, s)).collect(),
        }
    }
}

#[derive(Serialize)]
struct StepView<'a> {
    kind: &'static str,
    kind_text: String,
    target: &'a str,
    subject: &'a str,
    reason: String,
    undo: &'static str,
}

impl<'a> StepView<'a> {
    fn new(language: Language, step: &'a PlannedAction) -> Self {
        Self {
            kind: step.kind.word(),
            kind_text: word(language, "kind.action", step.kind.word()),
            target: &step.target.name,
            subject: &step.subject,
            reason: render(language, &step.reason),
            undo: undo_word(&step.undo),
        }
    }
}

#[derive(Serialize)]
struct PreventionView<'a> {
    kind: &'static str,
    kind_text: String,
    text: String,
    /// YAML for the keep file.
    patch: &'a str,
}

impl<'a> PreventionView<'a> {
    fn new(language: Language, prevention: &'a Prevention) -> Self {
        Self {
            kind: prevention.kind.word(),
            kind_text: word(language, "kind.prevention", prevention.kind.word()),
            text: render(language, &prevention.text),
            patch: &prevention.patch,
        }
    }
}

#[derive(Serialize)]
struct MomentView {
    at: i64,
    kind: &'static str,
    text: String,
    /// Whether it is good news; `None` where it is neither.
    good: Option<bool>,
    /// The incident was resolved before and begins again here.
    reopened: bool,
}

impl MomentView {
    fn new(language: Language, moment: &Moment) -> Self {
        Self {
            at: moment.at.0,
            kind: moment.kind.word(),
            text: render(language, &moment.text),
            good: is_good(moment),
            reopened: moment.text.key == REOPENED,
        }
    }
}

/// A finding that ended is as good as a verification that passed.
fn is_good(moment: &Moment) -> Option<bool> {
    match moment.kind {
        MomentKind::Seen => Some(moment.text.key.ends_with(".over")),
        MomentKind::Verified => Some(moment.text.key != DID_NOT_HELP),
        _ => None,
    }
}

fn undo_word(undo: &Undo) -> &'static str {
    match undo {
        Undo::Irreversible => "irreversible",
        Undo::PutBack { .. } => "put_back",
        Undo::Stop => "stop",
        Undo::Means { .. } => "means",
        Undo::Release { .. } => "release",
        Undo::Unblock { .. } => "unblock",
        Undo::Renice { .. } => "renice",
    }
}

fn word(language: Language, area: &str, word: &str) -> String {
    render(language, &Text::new(&format!("{area}.{word}")))
}

/// What a stream compares to see that an incident has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(TimestampMs, &'static str, usize, usize, usize, bool);

impl Fingerprint {
    pub(crate) fn of(i: &Incident) -> Self {
        let (moments, actions) = (i.timeline.len(), i.actions.len());
        Self(i.updated_at, i.status.word(), i.active, moments, actions, plan_waits(i))
    }
}
