//! What others send, decoded: every door's wire format in, calls on a [`wellkept_model::Sink`] out.
//!
//! No IO and no clock: a body is a slice of bytes, and where a format may leave out the time, `now` is an argument.
//! A pushing client sends the same label sets again and again, so every decoder first offers the sink the bytes by
//! which a series can be known again, and looks into the labels only when the sink knows nothing.
//!
//! Keys of different doors never mean different series: protobuf doors and StatsD share one form (the label fields of
//! remote write 1.0, which begin with a line feed), text begins with a printable character, Influx lines with 0x01,
//! Graphite with 0x02, OTLP with 0x03. One sink may serve them all.
//!
//! What was already given to the sink when a decoder returns an error is part of a broken body: the caller throws it
//! away. Single series or lines that are wrong in themselves do not break a body; they are left out, counted in
//! [`Tally::refused`] and named in [`Tally::first_refusal`]. Which of the decoded samples are stored is the sink's to
//! judge.
#![forbid(unsafe_code)]

mod limits;
mod error;
mod tally;
pub mod proto;
pub mod protojson;
pub mod unpack;
mod key;
mod histogram;
mod metadata;
mod number;
pub mod remote_write;
pub mod text;
pub mod otlp;
mod names;
pub mod influx;
pub mod graphite;
pub mod statsd;
pub mod expose;

pub use error::{DecodeError, Refusal};
pub use limits::Limits;
pub use names::Names;
pub use tally::Tally;

#[cfg(test)]
mod recorder;
