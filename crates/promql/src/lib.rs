//! PromQL over a [`SeriesSource`](wellkept_model::SeriesSource), with the semantics of Prometheus 3.
//!
//! A query goes through two steps, each with its bounds:
//!
//! 1. `syntax` reads the text into a checked tree: length, nesting, operators and patterns are bounded while it is
//!    read, types and functions are checked while the tree grows. The same tree is printed and told as JSON.
//! 2. `eval` works on whole columns: each selector is loaded once for all steps, and every function, operator and
//!    aggregation takes columns and gives columns. Labels are therefore looked at once per series, not once per step.
//!
//! Native histograms (`native`) flow through the same columns as floats do. [`script`] runs test scripts in the
//! format of Prometheus' promqltest.
//!
//! No IO, no clock: the caller gives the instant, and a `cancelled` closure that is asked now and then. What this
//! crate leaves to others: the JSON of the HTTP API, reading samples, rule files.
#![forbid(unsafe_code)]

mod aggregate;
mod answer;
mod binary;
mod calendar;
mod call;
mod classic;
mod coarse;
mod column;
mod error;
mod eval;
mod info;
mod labels;
mod limits;
mod matching;
mod names;
mod native;
mod notes;
pub mod script;
mod select;
mod stats;
mod syntax;
mod top;
mod totals;
mod window;

pub use answer::{
    BucketView, Outcome, Point, PointValue, Query, Value, format_query, histogram_buckets, instant,
    parse_query, range, selector, selectors,
};
pub use error::QueryError;
pub use limits::Limits;
