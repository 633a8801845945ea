//! Every decoder under one roof, for tests and fuzz targets: bytes in, the judge's verdict out.

use wellkept_intake::otlp::{self, Deltas};
use wellkept_intake::remote_write::{self, Version};
use wellkept_intake::text::{self, Format, Options};
use wellkept_intake::unpack::{Encoding, Unpacker};
use wellkept_intake::{DecodeError, Limits, Names, Tally, graphite, influx, statsd};
use wellkept_model::TimestampMs;

use super::Judge;

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

/// A decoder to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    RemoteWrite(Version, Encoding),
    Text(Format),
    Import,
    Otlp(otlp::Format),
    Influx,
    Graphite,
    StatsD,
}

/// All of them.
pub const DOORS: [Door; 14] = [
    Door::RemoteWrite(Version::V1, Encoding::Identity),
    Door::RemoteWrite(Version::V2, Encoding::Identity),
    Door::RemoteWrite(Version::V1, Encoding::Snappy),
    Door::RemoteWrite(Version::V2, Encoding::Snappy),
    Door::RemoteWrite(Version::V1, Encoding::Zstd),
    Door::Text(Format::Prometheus),
    Door::Text(Format::OpenMetrics),
    Door::Text(Format::Protobuf),
    Door::Import,
    Door::Otlp(otlp::Format::Protobuf),
    Door::Otlp(otlp::Format::Json),
    Door::Influx,
    Door::Graphite,
    Door::StatsD,
];

/// Puts a body through a door, twice: with a sink that knows nothing, and with one that knows what it has seen.
pub fn enter(door: Door, body: &[u8]) {
    let mut judge = Judge::default();
    let first = decode(door, body, &mut judge);
    let samples = judge.samples;
    judge.recognises = true;
    judge.samples = 0;
    let second = decode(door, body, &mut judge);
    assert_eq!(judge.samples, samples, "{door:?}: what is known must give the same samples");
    match (first, second) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first, second, "{door:?}");
            if door != Door::StatsD {
                assert_eq!(first.samples + first.histograms, samples, "{door:?}");
            }
            assert_eq!(first.refused > 0, first.first_refusal.is_some(), "{door:?}");
        }
        (first, second) => assert_eq!(first, second, "{door:?}"),
    }
}

/// Puts a body through a door into a sink.
pub fn decode(door: Door, body: &[u8], sink: &mut Judge) -> Result<Tally, DecodeError> {
    let limits =
        Limits { unpacked_bytes: 16 << 20, expanded_bytes: 64 << 20, samples: 200_000, ..Limits::default() };
    match door {
        Door::RemoteWrite(version, encoding) => {
            remote_write::Decoder::new(limits).decode(version, encoding, body, sink)
        }
        Door::Text(format) => {
            let options = Options { classic_too: body.len().is_multiple_of(2), ..Options::scrape(NOW) };
            text::Decoder::new(limits).decode(format, body, &options, sink)
        }
        Door::Import => {
            let mut unpacker = Unpacker::default();
            let page = unpacker.unpack(Encoding::Gzip, body, &limits).unwrap_or(body);
            text::Decoder::new(limits).decode(Format::Prometheus, page, &Options::import(NOW), sink)
        }
        Door::Otlp(format) => {
            let options = otlp::Options {
                promote_resource_attributes: vec!["host.name".to_owned()],
                scope_labels: true,
                ..otlp::Options::default()
            };
            otlp::Decoder::new(limits, options).decode(format, body, NOW, &mut Deltas::new(100), sink)
        }
        Door::Influx => {
            let mut decoder = influx::Decoder::new(limits, Names::Classic);
            decoder.decode(body, influx::Precision::Nanoseconds, "db", NOW, sink)
        }
        Door::Graphite => Ok(graphite::Decoder::new(limits, Names::AsSent).decode(body, NOW, sink)),
        Door::StatsD => {
            let mut aggregator = statsd::Aggregator::new(limits, statsd::Options::default());
            let tally = aggregator.add(body);
            aggregator.flush(NOW, sink);
            Ok(tally)
        }
    }
}
