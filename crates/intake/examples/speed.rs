//! CPU time of the decoders, with a sink that knows every series: `cargo run --release -p wellkept-intake --example speed`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement, not part of the product")]

use std::fmt::Write as _;

use wellkept_intake::Limits;
use wellkept_intake::proto::Writer;
use wellkept_intake::remote_write::{Decoder, Encoder, OutgoingSeries, Version};
use wellkept_intake::text::{self, Format, Options};
use wellkept_intake::unpack::{Encoding, Unpacker};
use wellkept_intake::{influx, otlp};
use wellkept_model::{Histogram, Labels, Sample, Sink, TimestampMs};

const SERIES: usize = 2000;
const ROUNDS: usize = 500;

/// Knows everything and only adds up, so that nothing is optimised away.
#[derive(Default)]
struct KnowsAll(u64);

/// Has every series decoded.
struct KnowsNothing<'a>(&'a mut KnowsAll);

impl Sink for KnowsNothing<'_> {
    fn series(&mut self, wire: &[u8], labels: &[(&str, &str)]) {
        self.0.series(wire, labels);
    }
    fn float(&mut self, at: TimestampMs, value: f64) {
        self.0.float(at, value);
    }
    fn histogram(&mut self, at: TimestampMs, histogram: Histogram) {
        self.0.histogram(at, histogram);
    }
}

impl Sink for KnowsAll {
    fn known(&mut self, wire: &[u8]) -> bool {
        self.0 += wire.len() as u64;
        true
    }
    fn series(&mut self, _: &[u8], labels: &[(&str, &str)]) {
        self.0 += labels.len() as u64;
    }
    fn float(&mut self, at: TimestampMs, value: f64) {
        self.0 = self.0.wrapping_add(at.0.cast_unsigned() ^ value.to_bits());
    }
    fn histogram(&mut self, _: TimestampMs, histogram: Histogram) {
        self.0 += histogram.count as u64;
    }
}

/// Nanoseconds this thread has spent on a processor.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn measure(what: &str, units: usize, mut work: impl FnMut()) {
    work();
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = cpu_ns();
        (0..ROUNDS).for_each(|_| work());
        best = best.min((cpu_ns() - start) as f64 / 1e9);
    }
    let per_million = best * 1e6 / (units * ROUNDS) as f64;
    println!("{what}: {per_million:.3} s CPU per million");
}

/// Ten labels, about 144 bytes per series on the wire.
fn fleet() -> Vec<Labels> {
    (0..SERIES)
        .map(|i| {
            let host = format!("h{:03}", i / 20);
            let device = format!("d{}", i % 20);
            Labels::new([
                ("__name__", "node_disk_io_time"),
                ("instance", &host),
                ("job", "node"),
                ("device", &device),
                ("dc", "eu1"),
                ("rack", "r12"),
                ("env", "prod"),
                ("team", "infra"),
                ("os", "linux"),
                ("zone", "a"),
            ])
        })
        .collect()
}

fn text(fleet: &[Labels], samples: &[Sample], sink: &mut KnowsAll) {
    let import: String =
        fleet.iter().zip(samples).map(|(l, s)| format!("{l} {} {}\n", s.value, s.at)).collect();
    println!("text: {} bytes per line", import.len() / SERIES);
    let mut decoder = text::Decoder::default();
    let options = Options::import(TimestampMs(0));
    measure("  import, known series", SERIES, || {
        let tally = decoder.decode(Format::Prometheus, import.as_bytes(), &options, sink).unwrap();
        assert_eq!(tally.refused, 0);
    });
    measure("  import, new series", SERIES, || {
        let mut sink = KnowsNothing(&mut *sink);
        decoder.decode(Format::Prometheus, import.as_bytes(), &options, &mut sink).unwrap();
    });
}

/// Every series as a point of one gauge, the labels as attributes.
fn otlp(fleet: &[Labels], samples: &[Sample], sink: &mut KnowsAll) {
    let mut body = Vec::new();
    Writer::new(&mut body).message(1, |w| {
        w.message(2, |w| {
            w.message(2, |w| {
                w.bytes(1, b"disk.io.time");
                w.message(5, |w| {
                    fleet.iter().zip(samples).for_each(|(l, s)| w.message(1, |w| point(w, l, s)))
                });
            });
        });
    });
    println!("OTLP: {} bytes per point", body.len() / SERIES);
    let mut decoder = otlp::Decoder::default();
    let mut deltas = otlp::Deltas::default();
    measure("  decode", SERIES, || {
        let tally = decoder.decode(otlp::Format::Protobuf, &body, TimestampMs(0), &mut deltas, sink).unwrap();
        assert_eq!(tally.samples as usize, SERIES);
    });
}

fn point(w: &mut Writer<'_>, labels: &Labels, sample: &Sample) {
    for (name, value) in labels.iter().filter(|(name, _)| *name != "__name__") {
        w.message(7, |w| {
            w.bytes(1, name.as_bytes());
            w.message(2, |w| w.bytes(1, value.as_bytes()));
        });
    }
    w.fixed64(3, sample.at.0.cast_unsigned() * 1_000_000);
    w.double(4, sample.value);
}

fn lines(fleet: &[Labels], samples: &[Sample], sink: &mut KnowsAll) {
    let mut body = String::new();
    for (labels, sample) in fleet.iter().zip(samples) {
        let tags: String = labels.iter().skip(1).map(|(n, v)| format!(",{n}={v}")).collect();
        writeln!(
            body,
            "disk{tags} a={},b={},c={} {}000000",
            sample.value, sample.value, sample.value, sample.at
        )
        .unwrap();
    }
    println!("Influx: {} bytes per line of three fields", body.len() / SERIES);
    let mut decoder = influx::Decoder::default();
    measure("  fields", 3 * SERIES, || {
        decoder.decode(body.as_bytes(), influx::Precision::Nanoseconds, "", TimestampMs(0), sink).unwrap();
    });
}

fn main() {
    let fleet = fleet();
    let samples: Vec<Sample> = (0..SERIES)
        .map(|i| Sample { at: TimestampMs(1_700_000_000_000 + i as i64), value: (i * i) as f64 / 7.0 })
        .collect();
    let mut sink = KnowsAll::default();
    for version in [Version::V1, Version::V2] {
        let series = fleet.iter().zip(&samples).map(|(labels, sample)| OutgoingSeries {
            labels: Some(labels),
            samples: std::slice::from_ref(sample),
            ..OutgoingSeries::default()
        });
        let mut encoder = Encoder::default();
        let body = encoder.encode(version, series).unwrap().to_vec();
        let raw = encoder.message().to_vec();
        println!("{version:?}: {} raw bytes per sample, {} packed", raw.len() / SERIES, body.len() / SERIES);
        let limits = Limits::default();
        let mut unpacker = Unpacker::default();
        measure("  snappy alone", SERIES, || {
            sink.0 += unpacker.unpack(Encoding::Snappy, &body, &limits).unwrap().len() as u64;
        });
        let mut decoder = Decoder::default();
        measure("  decode alone", SERIES, || {
            decoder.decode(version, Encoding::Identity, &raw, &mut sink).unwrap();
        });
        measure("  snappy and decode", SERIES, || {
            decoder.decode(version, Encoding::Snappy, &body, &mut sink).unwrap();
        });
        let zstd = zstd::bulk::compress(&raw, 1).unwrap();
        measure("  zstd and decode", SERIES, || {
            decoder.decode(version, Encoding::Zstd, &zstd, &mut sink).unwrap();
        });
    }
    text(&fleet, &samples, &mut sink);
    otlp(&fleet, &samples, &mut sink);
    lines(&fleet, &samples, &mut sink);
    println!("(checksum {})", sink.0);
}
