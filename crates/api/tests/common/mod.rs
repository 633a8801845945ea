//! A small engine for the tests: state that they can change, and an end of the command queue that answers.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "this is test code, outside of test functions")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;
use wellkept_api::{
    Command, Limits, NoDoors, NoFleet, NoViews, Refusal, RefusalKind, Shared, StaticFile, allowed_hosts,
    router,
};
use wellkept_model::*;

pub const TOKEN: &str = "wk_right_token";
pub const HOST: &str = "127.0.0.1:7676";
pub const NOW: TimestampMs = TimestampMs(1_700_000_100_000);

/// The other ends of what the API shares.
pub struct World {
    pub shared: Shared,
    pub overview: watch::Sender<Arc<Overview>>,
    pub incidents: watch::Sender<Arc<Vec<Incident>>>,
    pub changes: watch::Sender<Arc<Vec<Change>>>,
    pub beliefs: watch::Sender<Arc<Beliefs>>,
    pub ready: watch::Sender<bool>,
    pub commands: Option<mpsc::Receiver<Command>>,
}

impl World {
    pub fn new() -> Self {
        let overview = Overview {
            host: "web-1".into(),
            last_sample_at: Some(NOW),
            mode: "act".into(),
            series: 3,
            services: vec![ServiceOverview {
                name: "app".into(),
                state: "running".into(),
                pid: Some(7),
                healthy: (2, 3),
                ..ServiceOverview::default()
            }],
            ..Overview::default()
        };
        let (overview, overview_rx) = watch::channel(Arc::new(overview));
        let (incidents, incidents_rx) = watch::channel(Arc::new(vec![incident(12)]));
        let (changes, changes_rx) = watch::channel(Arc::new(Vec::new()));
        let (beliefs, beliefs_rx) = watch::channel(Arc::default());
        let (ready, ready_rx) = watch::channel(false);
        let (commands, commands_rx) = mpsc::channel(8);
        let shared = Shared {
            overview: overview_rx,
            incidents: incidents_rx,
            changes: changes_rx,
            beliefs: beliefs_rx,
            ready: ready_rx,
            commands,
            source: Arc::new(Rows(rows())),
            views: Arc::new(NoViews),
            doors: Arc::new(NoDoors),
            logs: Arc::new(wellkept_api::NoLogs),
            fleet: Arc::new(NoFleet),
            own_metrics: Arc::new(|| "wellkept_up 1".to_owned()),
            console,
            token_sha256: Sha256::digest(TOKEN).into(),
            reading_needs_token: false,
            hosts: allowed_hosts(HOST.parse().unwrap(), &["keep.example".into()]),
            version: "0.1.0",
            limits: Limits::default(),
            clock: || NOW,
        };
        Self { shared, overview, incidents, changes, beliefs, ready, commands: Some(commands_rx) }
    }

    pub fn router(&self) -> Router {
        router(self.shared.clone())
    }

    /// Answers every command with yes, except for incident 404 and generation 1; the commands as text.
    pub fn engine(&mut self) -> Arc<Mutex<Vec<String>>> {
        let mut inbox = self.commands.take().expect("the engine starts once");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        tokio::spawn(async move {
            while let Some(command) = inbox.recv().await {
                log.lock().unwrap().push(format!("{command:?}"));
                let refusal =
                    |kind| Err(Refusal { kind, text: Text::new("test.refused").with("why", "{x}") });
                let (reply, answer) = match command {
                    Command::Approve { incident: IncidentId(404), reply, .. } => {
                        (reply, refusal(RefusalKind::NotFound))
                    }
                    Command::Approve { generation: 1, reply, .. } => (reply, refusal(RefusalKind::Conflict)),
                    Command::Approve { reply, .. }
                    | Command::Undo { reply, .. }
                    | Command::Escalate { reply, .. }
                    | Command::Freeze { reply, .. }
                    | Command::Unfreeze { reply, .. }
                    | Command::Forget { reply, .. }
                    | Command::Reload { reply, .. }
                    | Command::RecordChange { reply, .. } => (reply, Ok(())),
                };
                let _ = reply.send(answer);
            }
        });
        seen
    }
}

fn console(path: &str) -> Option<StaticFile> {
    match path {
        "index.html" => Some(StaticFile {
            mime: "text/html; charset=utf-8",
            body: b"<!doctype html>",
            etag: "\"i1\"",
            immutable: false,
        }),
        "assets/app-123.js" => Some(StaticFile {
            mime: "text/javascript; charset=utf-8",
            body: b"1",
            etag: "\"a1\"",
            immutable: true,
        }),
        _ => None,
    }
}

/// Series in memory.
pub struct Rows(pub Vec<SeriesData>);

fn rows() -> Vec<SeriesData> {
    let samples = |value: f64| {
        (0..=100).map(|i| Sample { at: TimestampMs(NOW.0 - 100_000 + i * 1000), value }).collect::<Vec<_>>()
    };
    vec![
        SeriesData::floats(Labels::metric("odd", [("x", "\u{202e}<b>")]), samples(f64::INFINITY)),
        SeriesData::floats(Labels::metric("up", [("job", "a")]), samples(1.0)),
        SeriesData::floats(Labels::metric("up", [("job", "b")]), samples(0.0)),
    ]
}

impl SeriesSource for Rows {
    fn select(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        _: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let fits = |s: &&SeriesData| matchers.iter().all(|m| m.matches(s.labels.get(m.name())));
        let cut = |s: &SeriesData| SeriesData {
            labels: s.labels.clone(),
            samples: s.samples.iter().copied().filter(|p| (from..=to).contains(&p.at)).collect(),
            ..SeriesData::default()
        };
        Ok(self.0.iter().filter(fits).map(cut).filter(|s| !s.samples.is_empty()).collect())
    }

    fn series(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        Ok(self.select(matchers, from, to, limits)?.into_iter().map(|s| s.labels).collect())
    }
}

/// An incident with a cause, an action, a plan and all else.
pub fn incident(id: u64) -> Incident {
    let entity = EntityId::service("app");
    let key = FindingKey { entity: entity.clone(), kind: FindingKind::ProcessGone, subject: String::new() };
    let old = FindingKey { kind: FindingKind::HealthFailing, ..key.clone() };
    let text = Text::new("severity.critical");
    let evidence = vec![Evidence { at: NOW, text: text.clone(), query: Some("up == 0".into()) }];
    let finding = |key: &FindingKey| Finding {
        key: key.clone(),
        severity: Severity::Critical,
        since: TimestampMs(1),
        at: NOW,
        text: text.clone(),
        evidence: evidence.clone(),
        hold_ms: 0,
    };
    let planned = PlannedAction {
        kind: ActionKind::Rollback,
        target: entity.clone(),
        subject: "/srv/x".into(),
        to_version: None,
        deadline_ms: 1000,
        verify: vec![key.clone()],
        undo: Undo::PutBack { path: "/srv/x".into(), sha256: None },
        reason: text.clone(),
    };
    Incident {
        id: IncidentId(id),
        title: text.clone(),
        status: IncidentStatus::Recovering,
        severity: Severity::Critical,
        began_at: TimestampMs(1),
        opened_at: TimestampMs(2),
        updated_at: NOW,
        resolved_at: None,
        entity: entity.clone(),
        findings: vec![finding(&old), finding(&key)],
        active: 1,
        holding: vec![key.clone()],
        causes: vec![Cause {
            entity: entity.clone(),
            kind: CauseKind::BadSetting,
            subject: "/srv/x".into(),
            detail: text.clone(),
            score: 0.93,
            evidence: evidence.clone(),
            explains: vec![key],
        }],
        plan: Some(Plan {
            incident: IncidentId(id),
            generation: 2,
            made_at: NOW,
            expires_at: NOW + Duration::from_secs(60),
            cause: CauseKind::BadSetting,
            automatic: false,
            withheld: Some(text.clone()),
            steps: vec![planned.clone()],
            verify_hold_ms: 1000,
        }),
        actions: vec![Action {
            id: ActionId { incident: IncidentId(id), number: 1 },
            planned,
            cause: Some(CauseKind::BadSetting),
            status: ActionStatus::Succeeded,
            automatic: true,
            started_at: Some(NOW),
            finished_at: None,
            outcome: None,
        }],
        timeline: vec![Moment { at: NOW, kind: MomentKind::Seen, text }],
        times: 3,
        prevention: Some(Prevention {
            kind: PreventionKind::Check,
            text: Text::new("severity.critical"),
            patch: "services:\n  app:\n    health: [{ tcp: 127.0.0.1:1 }]\n".into(),
        }),
    }
}

/// A request with our Host.
pub fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("host", HOST)
}

/// A request of someone who may act.
pub fn act(path: &str, body: &str) -> Request<Body> {
    let request = request("POST", path).header("authorization", format!("Bearer {TOKEN}"));
    let request = if body.is_empty() { request } else { request.header("content-type", "application/json") };
    request.body(Body::from(body.to_owned())).unwrap()
}

pub async fn send(router: &Router, request: Request<Body>) -> Response<Body> {
    router.clone().oneshot(request).await.unwrap()
}

pub async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 64 << 20).await.unwrap().to_vec()).unwrap()
}

/// Status and JSON of a GET.
pub async fn get(router: &Router, path: &str) -> (StatusCode, Value) {
    answer(send(router, request("GET", path).body(Body::empty()).unwrap()).await).await
}

pub async fn answer(response: Response<Body>) -> (StatusCode, Value) {
    let status = response.status();
    let body = text(response).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e} in {body:?}")))
}
