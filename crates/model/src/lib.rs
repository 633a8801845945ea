//! The words of Wellkept as types. No IO, no clock, no randomness.
//!
//! Everything that crosses a crate border is defined here, so that `detect`, `diagnose` and `recover` can stay
//! pure and `collect`, `remote` and `state` need not know each other. The types derive `serde` only for the
//! journal and the stored situation (see `docs/adr/0001`); every API answer has a view type of its own.
#![forbid(unsafe_code)]

mod action;
pub mod belief;
mod cause;
mod change;
mod entity;
mod finding;
mod histogram;
mod incident;
pub mod keep;
mod labels;
pub mod local;
mod log;
pub mod maintenance;
mod matcher;
mod means;
pub mod observe;
mod metadata;
mod overview;
mod prevention;
mod sample;
mod sink;
mod source;
mod text;
mod time;
mod topology;

pub use action::{Action, ActionId, ActionKind, ActionStatus, Plan, PlannedAction, Undo};
pub use belief::{Belief, Beliefs, Outcome};
pub use cause::{Cause, CauseKind};
pub use change::{Change, ChangeId, ChangeKind, FileOrigin, FileVersionChange};
pub use entity::{EntityId, EntityKind, ParseEntityError};
pub use finding::{Evidence, Finding, FindingKey, FindingKind, Severity};
pub use histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, HistogramSample, ResetHint, Span};
pub use incident::{Incident, IncidentId, IncidentStatus, Moment, MomentKind};
pub use labels::{Labels, METRIC_NAME};
pub use local::{ParseProcessSetError, ProcessRef, ProcessSet};
pub use log::{Level, LogLine, LogSink, ParamKind, Shape, TemplateId, TemplateMiner};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use means::{Means, ParseMeansError};
pub use metadata::{Exemplar, Metadata, MetricKind};
pub use overview::{FilesystemOverview, Overview, ServiceOverview};
pub use prevention::{Prevention, PreventionKind};
pub use sample::{Batch, STALE_NAN_BITS, Sample, is_stale, stale_marker};
pub use sink::Sink;
pub use source::{Aggregate, Hints, Selected, SeriesData, SeriesSource, SourceError, SourceLimits};
pub use text::Text;
pub use time::TimestampMs;
pub use topology::{Relation, RelationKind, Topology};
