//! Where the doors put what they decoded: one series after the other, with labels that are only borrowed.
//!
//! A pushing client sends the same label sets again and again. So a sink may recognise a series by the very bytes
//! that its labels had on the wire, and the decoder need not look into them a second time.

use crate::{Histogram, Metadata, TimestampMs};

/// Takes decoded samples. What follows [`Self::known`] or [`Self::series`] belongs to that series.
///
/// A sink judges what it is given (limits, times, names) and counts what it refuses; a decoder only says what stood
/// there.
pub trait Sink {
    /// True when the sink knows a series whose labels came as exactly these bytes, through the same kind of door;
    /// it is then the current one. `wire` is only a key: the sink never looks into it.
    fn known(&mut self, wire: &[u8]) -> bool {
        let _ = wire;
        false
    }

    /// Makes a series the current one. `labels`: in any order, possibly with repeated names or empty values, as the
    /// client sent them. `wire`: the bytes under which [`Self::known`] may find it again; empty when there are none.
    fn series(&mut self, wire: &[u8], labels: &[(&str, &str)]);

    /// A float of the current series.
    fn float(&mut self, at: TimestampMs, value: f64);

    /// A native histogram of the current series.
    fn histogram(&mut self, at: TimestampMs, histogram: Histogram);

    /// An exemplar of the current series. Sinks that keep none may leave this out.
    fn exemplar(&mut self, at: TimestampMs, value: f64, labels: &[(&str, &str)]) {
        let _ = (at, value, labels);
    }

    /// When the current series began to count: its value was 0 then. Sinks that have no use for it may leave this out.
    fn created(&mut self, at: TimestampMs) {
        let _ = at;
    }

    /// Something about a metric family. Sinks that keep none may leave this out.
    fn metadata(&mut self, metadata: Metadata) {
        let _ = metadata;
    }
}
