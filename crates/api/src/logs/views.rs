//! What the API needs of the logs; the binary implements it.

use axum::body::Bytes;
use serde_json::Value;
use wellkept_logstore::LogStore;
use wellkept_model::{Incident, TemplateId, Text};

use crate::doors::PushReply;
use crate::{Refusal, RefusalKind};

/// A wire format that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogDoor {
    /// Loki's push.
    Loki,
    /// OTLP logs.
    Otlp,
    /// Elasticsearch's `_bulk`, with the index of the path.
    Bulk(Option<String>),
    /// What Elasticsearch's shippers ask besides: method and path.
    Elastic(String, String),
}

/// What one client pushed.
#[derive(Debug, Clone)]
pub struct LogPush {
    /// How it is to be read.
    pub door: LogDoor,
    /// The client's address.
    pub source: String,
    /// `Content-Type`, empty when there is none.
    pub content_type: String,
    /// `Content-Encoding`, empty when there is none.
    pub content_encoding: String,
    /// The content.
    pub body: Bytes,
}

/// What is known of a template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateKnown {
    /// Time of its first line, nanoseconds since the epoch.
    pub first_ns: Option<i64>,
    /// It came after the learning period of its service.
    pub is_new: bool,
    /// Words of what is marked as harmless about it.
    pub harmless: Vec<String>,
}

/// Something odd.
#[derive(Debug, Clone, PartialEq)]
pub struct OddityView {
    /// When, nanoseconds since the epoch.
    pub at_ns: i64,
    /// Whose lines.
    pub service: String,
    /// The template.
    pub template: TemplateId,
    /// Its text.
    pub template_text: String,
    /// `new_template`, `rate`, `missing_beat`, `value`.
    pub kind: &'static str,
    /// Which parameter, for values.
    pub parameter: Option<u8>,
    /// How far from usual.
    pub score: f64,
    /// What was seen.
    pub seen: f64,
    /// What is usual.
    pub usual: f64,
    /// The value, when it is no number.
    pub value: Option<String>,
    /// One sentence.
    pub text: Text,
}

/// Something that a person marked as harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Harmless {
    /// The template.
    pub template: TemplateId,
    /// Its text when it was marked.
    pub template_text: String,
    /// As [`OddityView::kind`].
    pub kind: String,
    /// Which parameter, for values.
    pub parameter: Option<u8>,
    /// Who.
    pub by: String,
    /// When.
    pub at: wellkept_model::TimestampMs,
}

/// Lines by where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceCount {
    /// `files`, `journal`, …
    pub kind: &'static str,
    /// Lines since the start.
    pub lines: u64,
    /// Files followed now, for `files`.
    pub followed: Option<u64>,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// Templates.
    pub templates: usize,
    /// Lines that were dropped or refused because their source brought too many, by source.
    pub dropped: Vec<(String, u64)>,
    /// Where lines come from on this host.
    pub sources: Vec<SourceCount>,
    /// How long lines are kept, seconds.
    pub retention_s: u64,
    /// Bytes on disk beyond which the oldest go.
    pub bytes_max: u64,
}

/// A line that stands for many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryLine {
    /// Escaped and cut.
    pub text: String,
    /// Its template.
    pub template: TemplateId,
    /// The gravest level.
    pub level: Option<wellkept_model::Level>,
    /// Lines that it stands for.
    pub count: u64,
    /// Time of the first, nanoseconds since the epoch.
    pub first_ns: i64,
    /// Time of the last.
    pub last_ns: i64,
}

/// A word that sets the lines of an incident apart from what is usual.
#[derive(Debug, Clone, PartialEq)]
pub struct StoryTerm {
    /// One to three words.
    pub term: String,
    /// How far apart, in deviations.
    pub score: f64,
    /// Lines with it.
    pub count: u32,
}

/// A past incident that was alike.
#[derive(Debug, Clone, PartialEq)]
pub struct PastIncident {
    /// Its number.
    pub id: u64,
    /// 0 to 1.
    pub score: f64,
    /// Kinds of causes that both have.
    pub causes: Vec<String>,
    /// Templates that both have.
    pub templates: Vec<String>,
    /// Words that both have.
    pub terms: Vec<String>,
}

/// What the logs say of an incident.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IncidentLogs {
    /// Query for its lines.
    pub query: String,
    /// From when, nanoseconds since the epoch.
    pub from_ns: i64,
    /// Until when.
    pub to_ns: i64,
    /// Lines that were read.
    pub lines: usize,
    /// In short, in order of time.
    pub summary: Vec<StoryLine>,
    /// Most telling first.
    pub terms: Vec<StoryTerm>,
    /// Most alike first.
    pub past: Vec<PastIncident>,
}

/// The logs. Calls may wait for the disk: to be made from threads that may.
pub trait LogViews: Send + Sync {
    /// The store; `None` on a server without logs.
    fn store(&self) -> Option<&LogStore>;

    /// Takes lines; when it returns with 2xx they are on disk.
    fn push(&self, push: LogPush) -> PushReply;

    /// The id that stands for `id` now.
    fn resolve(&self, id: TemplateId) -> TemplateId;

    /// All ids under which lines of this template stand in the store.
    fn aliases(&self, id: TemplateId) -> Vec<TemplateId>;

    /// What is known of a template.
    fn known(&self, id: TemplateId) -> TemplateKnown;

    /// What was odd, newest first.
    fn oddities(&self) -> Vec<OddityView>;

    /// What is marked as harmless.
    fn harmless(&self) -> Vec<Harmless>;

    /// Marks something as harmless, or takes the mark back.
    ///
    /// # Errors
    /// A [`Refusal`] in words for people.
    fn mark(
        &self,
        template: TemplateId,
        kind: (&str, Option<u8>),
        harmless: bool,
        who: &str,
    ) -> Result<(), Refusal>;

    /// What the lines around an incident say. `stop`: when to end early.
    fn incident(&self, incident: &Incident, stop: &(dyn Fn() -> bool + Sync)) -> IncidentLogs;

    /// What there is besides the store's own numbers.
    fn status(&self) -> LogStatus;
}

/// A server without logs.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLogs;

impl LogViews for NoLogs {
    fn store(&self) -> Option<&LogStore> {
        None
    }

    fn push(&self, _: LogPush) -> PushReply {
        PushReply { status: 404, ..PushReply::default() }
    }

    fn resolve(&self, id: TemplateId) -> TemplateId {
        id
    }

    fn aliases(&self, id: TemplateId) -> Vec<TemplateId> {
        vec![id]
    }

    fn known(&self, _: TemplateId) -> TemplateKnown {
        TemplateKnown::default()
    }

    fn oddities(&self) -> Vec<OddityView> {
        Vec::new()
    }

    fn harmless(&self) -> Vec<Harmless> {
        Vec::new()
    }

    fn mark(&self, _: TemplateId, _: (&str, Option<u8>), _: bool, _: &str) -> Result<(), Refusal> {
        Err(Refusal { kind: RefusalKind::NotFound, text: Text::new("api.no_route") })
    }

    fn incident(&self, _: &Incident, _: &(dyn Fn() -> bool + Sync)) -> IncidentLogs {
        IncidentLogs::default()
    }

    fn status(&self) -> LogStatus {
        LogStatus::default()
    }
}

/// A result in the envelope of all answers.
pub(super) fn success(data: &Value) -> axum::Json<Value> {
    axum::Json(serde_json::json!({"status": "success", "data": data}))
}
