//! Lines of logs as others send or write them, decoded: bytes in, [`wellkept_model::LogLine`]s into a
//! [`wellkept_model::LogSink`] out.
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
