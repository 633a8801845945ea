//! The embedded time-series store of Wellkept: batches in, series out.
//!
//! A batch is all samples that one source gave at one instant. The store keeps a batch's time once for all its
//! series, so that five hosts sampled every second cost hardly more per sample than one. [`Store::append_durable`]
//! returns when the batch is on disk; what it acknowledged is there after a `kill -9` or a power cut. Damage is
//! found by checksum at start and at read, set aside with its time range named, and the rest serves.
//!
//! The store has no thread and reads no clock: the caller decides when to [`Store::commit`] and
//! [`Store::maintain`]. Queries come through `wellkept_model::SeriesSource`. The files are described in
//! `docs/formats/tsdb.md`.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss))]

mod store;
mod config;
mod open;
mod appender;
mod limits;
mod maintain;
mod merge;
mod rollup;
mod retention;
mod snapshot;
mod inspect;
mod cardinality;
mod select;
mod reading;
mod gathered;
mod error;
mod head;
mod frozen;
mod row;
mod chunk;
mod pack;
mod wire;
mod fingerprint;
mod wal;
mod wal_record;
mod wal_decode;
mod replay;
mod block;
mod block_format;
mod block_write;
mod registry;
mod cells;
mod column;
mod histogram;
mod codec;
mod disk;
pub mod sim;

pub use appender::{Accepted, Appender, LABELS_MAX, Refusals};
pub use cardinality::{LabelCount, MetricCount, MetricGrowth, PairCount, SeriesCount};
pub use config::{Stats, StoreConfig};
pub use disk::{Disk, DiskFile, DiskLock, DiskReader, OsDisk};
pub use error::{Quarantined, StoreError};
pub use inspect::{BlockInfo, ExportError};
pub use maintain::Maintained;
pub use retention::{Consolidation, RetentionRule};
pub use snapshot::Snapshot;
pub use store::{AppendTicket, Store};
