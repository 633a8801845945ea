//! Searching: lines, counts, facets, patterns, numbers over time.
//!
//! A search takes a snapshot of what there is and holds no lock while it reads. Of a segment it first reads the
//! index; for each kind of line that says all, none or maybe, and only what may fit is unpacked. Damage met on the
//! way is named and set aside; the rest is served.

mod budget;
mod line;
mod needle;
mod source;
mod streams;
mod segment_view;
mod verdicts;
mod rows;
mod entries;
mod counts;
mod facets;
mod patterns;
mod metric;

pub use budget::{SearchCost, SearchLimits, Stopped};
pub use counts::{BARS_MAX, Histogram};
pub use entries::{Cursor, Direction, LogEntry, LogPage, LogRange, PAGE_MAX};
pub use facets::{Facet, Facets};
pub use metric::{MetricResult, MetricSeries};
pub use patterns::{Pattern, Patterns};

pub use line::template_word;

pub(crate) use line::LineView;
#[cfg(test)]
pub(crate) use needle::Needle;
pub(crate) use source::selects;
