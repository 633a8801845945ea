//! Reads this host: numbers, services, facts, health, space, changes.
//!
//! The front is [`Collector`]: one [`Collector::round`] a second gives a batch of samples under node_exporter's names,
//! an observation (services, files, file systems, listeners, health) and new change records; between the rounds
//! [`ServiceEvent`]s tell when a service's main process begins or ends, at the moment it does.
//!
//! Collecting returns what it got *and* what went wrong: a source that cannot be read becomes a problem of the round
//! and takes nothing else with it. What the readings mean is left to `wellkept-detect`; nothing here acts.
#![forbid(unsafe_code)]

mod clock;
mod beat;
mod pace;
mod vantage;
mod source;
mod series;
mod proc_stat;
mod accounts;
mod host;
pub mod service;
pub mod health;
mod facts;
pub mod space;
mod change_log;
mod watch;
mod maintenance;
mod collector;
#[cfg(test)]
mod testing;

pub use beat::until_round;
pub use change_log::ChangeLogTail;
pub use collector::{Collector, JOB, Round, ServiceLook, identity};
pub use facts::kept::{KEPT_MAX, KeptContent, read_kept, sha256_hex};
pub use facts::release::{ReleaseCopy, release_copy};
pub use health::HealthChecks;
pub use host::SLOW_ROUNDS;
pub use maintenance::open_windows;
pub use service::{EVENT_QUEUE_MAX, ServiceEvent};
