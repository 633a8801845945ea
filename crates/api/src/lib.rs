//! The HTTP door: API, Prometheus-compatible queries, server-sent events and the console's files.
//!
//! Every route stands in one table (`routes`) with its typed permission; the router is built from that table
//! only, and one gate per route decides after routing, on the permission and never on the path. Acts need a
//! grant value that only the gate can make. The engine owns the state: this crate reads it from `watch` channels
//! and sends [`Command`]s; it serialises view types of its own, never the model's.
//!
//! No clock is read here: the instant comes from [`Shared::clock`]; timers only bound how long others may take.
#![forbid(unsafe_code)]

mod shared;
mod command;
mod doors;
mod fleet;
mod permission;
mod routes;
mod gate;
mod host;
mod app;
mod error;
mod finish;
mod body;
mod promql_door;
mod prom;
mod logs;
mod handlers;
mod views;
mod patience;
mod serve;

pub use command::{Command, Refusal, RefusalKind, Reply};
pub use doors::{Door, Doors, NoDoors, Push, PushReply};
pub use fleet::{FleetViews, NoFleet, RunsAsked};
pub use host::allowed_hosts;
pub use logs::{
    Harmless, IncidentLogs, LogDoor, LogPush, LogStatus, LogViews, NoLogs, OddityView, PastIncident,
    SourceCount, StoryLine, StoryTerm, TemplateKnown,
};
pub use permission::Permission;
pub use prom::views::{ExemplarQuery, NoViews, PrometheusViews, RuleFilter, TargetState};
pub use routes::{router, routes};
pub use serve::{ServeLimits, serve, serve_with};
pub use shared::{Limits, Shared, StaticFile};
