//! For what no rule knows: ranks entities, and within them series, by how likely they are the root of an alarm.
//!
//! A [`Scene`] holds what was measured before and after an alarm; [`rank`] answers with a [`Ranking`]. Four kinds of
//! sign are weighed: time that an entity adds itself and its callees do not explain, failures of the same kind,
//! resources that ran full, and steps of the work that are missing or new. Reading files is left to the caller, also
//! for the case folders of [`case`]; nothing here knows a clock, and equal input gives equal output.
#![forbid(unsafe_code)]

mod robust;
mod kind;
mod scene;
mod changepoint;
mod onset;
mod window;
mod change;
mod graph;
mod blame;
mod spans;
mod delay;
mod structure;
mod resource;
mod weigh;
mod rank;
pub mod case;
pub mod live;

pub use change::{Change, Confidence};
pub use changepoint::{ChangePoint, change_points};
pub use kind::{Direction, MetricKind};
pub use rank::{Candidate, Ranking, Sign, SignKind, rank};
pub use scene::{Alarm, Call, MetricSeries, Names, Scene, Span, SpanEvent, SpanSet};
