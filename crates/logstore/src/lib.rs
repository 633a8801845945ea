//! The embedded log store of Wellkept: lines by template, searched without unpacking most of them.
//!
//! A line is split by a [`wellkept_model::TemplateMiner`] into what stands still and its parameters. Lines gather in
//! memory and in a write-ahead log; some hundred thousand of them become a segment, where each parameter is a column.
//! [`LogStore::append_durable`] returns when a batch is on disk, with the notes that it carries; what it acknowledged
//! is there after a `kill -9` or a power cut, once. Damage is found by checksum, set aside with its time range named,
//! and the rest serves.
//!
//! A search reads the index of a segment first: what stands in the shapes themselves is known without unpacking a
//! line, and a filter over the parameters rules out most of the rest. [`query`] is the language.
//!
//! The store has no thread and reads no clock: the caller decides when to [`LogStore::commit`] and
//! [`LogStore::maintain`]. Limits on what one source may send are the caller's too. The files are described in
//! `docs/formats/logs.md`.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod store;
mod batch;
mod open;
mod maintain;
mod edges;
mod error;
pub mod query;
mod search;
mod tail;
mod head;
mod wal;
mod refine;
mod replay;
mod segment;
mod segment_write;
mod index;
mod charset;
mod filter;
mod group;
mod column;
mod ints;
mod clock;
mod pack;
mod strings;
mod cache;
mod codec;
mod digits;

pub use batch::{BATCH_MAX, FIELDS_MAX, LABELS_MAX, LINE_MAX, LogBatch, NOTE_KEY_MAX, NOTE_MAX};
pub use digits::DigitMiner;
pub use error::{LogStoreError, SetAside};
pub use maintain::Maintained;
pub use search::{
    BARS_MAX, Cursor, Direction, Facet, Facets, Histogram, LogEntry, LogPage, LogRange, MetricResult,
    MetricSeries, PAGE_MAX, Pattern, Patterns, SearchCost, SearchLimits, Stopped, template_word,
};
pub use store::{LogStats, LogStore, LogStoreConfig, LogTicket, RetentionRule, Seen};
pub use tail::{TAILS_MAX, Tail, Tailed, Wake};

use wellkept_tsdb as disk;
