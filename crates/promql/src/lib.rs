//! PromQL over a [`SeriesSource`](wellkept_model::SeriesSource), with the semantics of Prometheus 3.
//!
//! A query goes through four steps, each with its bound:
//!
//! 1. `guard` looks at the text only: length, operators, nesting, patterns. Nothing recurses before this.
//! 2. `promql-parser` makes a syntax tree of it.
//! 3. `lower` turns that tree into our own [`Query`], checks every type, and refuses by name what we do not have.
//! 4. `eval` works on whole columns: each selector is loaded once for all steps, and every function, operator and
//!    aggregation takes columns and gives columns. Labels are therefore computed once per series, not once per step.
//!
//! No IO, no clock: the caller gives the instant, and a `cancelled` closure that is asked now and then. What this
//! crate leaves to others: the JSON of the HTTP API, reading samples, rule files.
#![forbid(unsafe_code)]

mod aggregate;
mod binary;
mod calendar;
mod call;
mod column;
mod error;
mod eval;
mod expr;
mod functions;
mod guard;
mod histogram;
mod limits;
mod lower;
mod matching;
mod select;
mod stats;
mod tokens;
mod window;

pub use error::QueryError;
pub use eval::{Outcome, Value, instant, range};
pub use limits::Limits;
pub use lower::{Query, selector};
