//! The logs, as the API wants them.

use std::sync::Arc;

use wellkept_api::{
    Harmless, IncidentLogs, LogDoor, LogPush, LogStatus, LogViews, OddityView, PushReply, Refusal,
    RefusalKind, SourceCount, TemplateKnown,
};
use wellkept_logmine::anomaly::stream::Kind;
use wellkept_logs::{LogBody, LogFormat, Logs, MarkError, Told, parameter_of, word_of};
use wellkept_logstore::LogStore;
use wellkept_model::{Incident, TemplateId, Text};

use super::{Sources, Stories};
use crate::clock::{now, now_ns};
use crate::exit::Failure;

/// Most bytes of a value that are shown.
const VALUE_MAX: usize = 64;

/// The house behind HTTP.
pub(crate) struct LogHouse {
    pub(crate) logs: Arc<Logs>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) stories: Arc<Stories>,
    /// How long lines are kept, seconds, and bytes beyond which the oldest go.
    pub(crate) kept: (u64, u64),
}

impl LogViews for LogHouse {
    fn store(&self) -> Option<&LogStore> {
        Some(self.logs.store())
    }

    fn push(&self, push: LogPush) -> PushReply {
        let format = match push.door {
            LogDoor::Loki => LogFormat::Loki,
            LogDoor::Otlp => LogFormat::Otlp,
            LogDoor::Bulk(index) => LogFormat::Bulk(index),
            LogDoor::Elastic(method, path) => LogFormat::Handshake(method, path),
        };
        let reply = self.logs.push(&LogBody {
            format,
            content_type: &push.content_type,
            content_encoding: &push.content_encoding,
            source: &push.source,
            bytes: &push.body,
            now_ns: now_ns(),
        });
        PushReply {
            status: reply.status,
            headers: reply.headers,
            content_type: reply.content_type,
            body: reply.body,
        }
    }

    fn resolve(&self, id: TemplateId) -> TemplateId {
        self.logs.resolve(id)
    }

    fn aliases(&self, id: TemplateId) -> Vec<TemplateId> {
        self.logs.aliases(id)
    }

    fn known(&self, id: TemplateId) -> TemplateKnown {
        let seen = self.logs.seen(id);
        let marks = self.logs.marks().into_iter().filter(|m| m.template == id);
        TemplateKnown {
            first_ns: seen.map(|s| s.first_ns),
            is_new: seen.is_some_and(|s| s.is_new),
            harmless: marks.map(|m| m.kind).collect(),
        }
    }

    fn oddities(&self) -> Vec<OddityView> {
        self.logs.oddities().into_iter().map(|told| self.oddity(told)).collect()
    }

    fn harmless(&self) -> Vec<Harmless> {
        let marks = self.logs.marks().into_iter();
        let told = marks.map(|m| Harmless {
            template: m.template,
            template_text: m.text,
            kind: m.kind,
            parameter: m.parameter,
            by: m.by,
            at: m.at,
        });
        told.collect()
    }

    fn mark(
        &self,
        template: TemplateId,
        kind: (&str, Option<u8>),
        harmless: bool,
        who: &str,
    ) -> Result<(), Refusal> {
        self.logs.mark(template, kind, harmless, (who, now())).map_err(|error| {
            let kind = match &error {
                MarkError::Kind(_) => RefusalKind::BadData,
                MarkError::Template(_) => RefusalKind::NotFound,
                MarkError::TooMany => RefusalKind::Conflict,
                MarkError::Io(_) => RefusalKind::Unavailable,
            };
            Refusal {
                kind,
                text: Text::new("refused.log_mark").with("error", Failure::of(0, &error).message),
            }
        })
    }

    fn incident(&self, incident: &Incident, stop: &(dyn Fn() -> bool + Sync)) -> IncidentLogs {
        self.stories.tell(incident, stop)
    }

    fn status(&self) -> LogStatus {
        let (status, files) = (self.logs.status(), self.sources.files());
        let sources = vec![
            SourceCount { kind: "files", lines: files.lines, followed: Some(files.followed) },
            SourceCount { kind: "journal", lines: self.sources.journal_lines(), followed: None },
        ];
        LogStatus {
            templates: status.templates,
            dropped: status.dropped,
            sources,
            retention_s: self.kept.0,
            bytes_max: self.kept.1,
        }
    }
}

impl LogHouse {
    fn oddity(&self, told: Told) -> OddityView {
        let (oddity, service) = (told.oddity, told.service);
        let template_text = self.logs.text(oddity.template).unwrap_or_default();
        let value = oddity.value.as_deref().map(shown);
        let number = |n: f64| if n.fract() == 0.0 { format!("{n:.0}") } else { format!("{n:.2}") };
        let text = match oddity.kind {
            Kind::NewTemplate => Text::new("oddity.new_template"),
            Kind::Rate if oddity.seen > oddity.usual => Text::new("oddity.rate_high"),
            Kind::Rate => Text::new("oddity.rate_low"),
            Kind::MissingBeat => Text::new("oddity.missing_beat")
                .with("ms", (oddity.seen / 1e6).round())
                .with("usual_ms", (oddity.usual / 1e6).round()),
            Kind::Session => Text::new("oddity.session").with("session", value.clone().unwrap_or_default()),
            Kind::Value(place) => Text::new("oddity.value")
                .with("value", value.clone().unwrap_or_else(|| number(oddity.seen)))
                .with("place", place + 1),
        };
        let name = if service.is_empty() { "?" } else { &service };
        let text =
            text.with("name", name).with("seen", number(oddity.seen)).with("usual", number(oddity.usual));
        OddityView {
            at_ns: oddity.at_ns,
            template: oddity.template,
            template_text,
            kind: word_of(oddity.kind),
            parameter: parameter_of(oddity.kind),
            score: oddity.score,
            seen: oddity.seen,
            usual: oddity.usual,
            value,
            text,
            service,
        }
    }
}

/// A value for people: no control characters, cut.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..VALUE_MAX).unwrap_or(bytes));
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
