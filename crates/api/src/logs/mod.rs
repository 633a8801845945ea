//! Logs over HTTP: the doors, searching, live tails, what is odd, and what Loki's clients ask.

mod answer;
mod loki;
mod params;
mod push;
mod read;
mod tail;
mod known;
mod views;

pub(crate) use known::{harmless, incident, mark, oddities, status};
pub(crate) use loki::{
    labels as loki_labels, query as loki_query, query_range as loki_query_range, series as loki_series,
    values as loki_values,
};
pub(crate) use push::{bulk, elastic, elastic_root, elastic_write, loki as loki_push, otlp};
pub(crate) use read::{context, count, facets, histogram, labels, patterns, search, values};
pub(crate) use tail::tail;
pub use views::{
    Harmless, IncidentLogs, LogDoor, LogPush, LogStatus, LogViews, NoLogs, OddityView, PastIncident,
    SourceCount, StoryLine, StoryTerm, TemplateKnown,
};
