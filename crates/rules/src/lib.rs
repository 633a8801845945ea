//! Prometheus rule files, unmodified: read, checked, evaluated, unit-tested.
//!
//! 1. [`RuleFile`] is a checked file; every expression and template in it has been parsed.
//! 2. [`mod@template`] expands labels and annotations of alerts.
//! 3. [`GroupState`] evaluates a group, instant by instant; [`Ruleset`] knows which groups are due.
//! 4. [`mod@view`] shows rules and alerts as Prometheus' API does; [`mod@finding`] turns firing alerts into findings.
//! 5. [`check()`] and [`mod@unit`] do what `promtool check rules` and `promtool test rules` do.
//!
//! No IO and no clock: files come as text, instants as arguments, series from any
//! [`SeriesSource`](wellkept_model::SeriesSource).
#![forbid(unsafe_code)]

mod time;
mod problem;
mod yaml;
mod ask;
pub mod template;
mod file;
pub mod eval;
mod ruleset;
mod memory;
pub mod view;
mod check;
pub mod unit;
pub mod finding;

pub use ask::Reader;
pub use check::{Checked, check};
pub use eval::{Alert, AlertState, Evaluation, GroupState, Health, RuleState, Settings};
pub use file::{AlertRule, Group, RULES_MAX, Rule, RuleFile, RuleKind};
pub use problem::{FileErrors, PROBLEMS_MAX, Place, Problem};
pub use ruleset::Ruleset;
pub use yaml::FILE_MAX;
