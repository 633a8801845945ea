//! Lines of logs as others send or write them, decoded: bytes in, [`wellkept_model::LogLine`]s into a
//! [`wellkept_model::LogSink`] out.
#![forbid(unsafe_code)]

mod limits;
mod tally;
mod zone;
mod keys;
pub mod stamp;

pub use limits::Limits;
pub use tally::{DecodeError, REASONS_MAX, Refusal, Refused, Tally};
pub use zone::Zone;
