//! Lines of logs as others send or write them, decoded: bytes in, [`wellkept_model::LogLine`]s into a
//! [`wellkept_model::LogSink`] out.
//!
//! No IO and no clock: a body is a slice of bytes, and the time of arrival comes with it ([`Arrival`]). Two kinds of
//! parts: doors, which decode what shippers send (`syslog`, `otlp`, `loki`, `elastic`, `journal`, `plain`), and readers of
//! what stands inside a line (`stamp`, `level`, [`Fields`], `wrap`, `join`). `rate` and `mapping` are for whoever joins the
//! two: how much a source may bring, and whose lines they are.
//!
//! What was given to the sink when a decoder returns an error is part of a broken body: the caller throws it away.
//! Single lines that cannot be taken do not break a body; they are left out and counted in [`Tally::refused`], the first
//! with their place and reason. A line that is longer than allowed is handed on in pieces; one from the future gets the
//! time of its arrival. All bounds stand in [`Limits`].
#![forbid(unsafe_code)]

mod limits;
mod tally;
mod zone;
mod keys;
pub mod stamp;
pub mod level;
mod json;
mod fields;
mod reading;
mod emit;
pub mod plain;
pub mod syslog;
pub mod otlp;
pub mod loki;
pub mod elastic;
pub mod journal;
pub mod wrap;
pub mod join;
pub mod rate;
pub mod mapping;
#[cfg(test)]
mod testing;

pub use emit::{Arrival, border, pieces_of};
pub use fields::{Field, Fields};
pub use limits::Limits;
pub use reading::{Reading, level_of, read};
pub use tally::{DecodeError, REASONS_MAX, Refusal, Refused, Tally};
pub use zone::Zone;
