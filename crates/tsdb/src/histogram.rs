//! Native histograms as bytes: each by itself for the log, and many of one series as a compressed column for blocks.
//!
//! Schemas, spans and bounds of a series hardly ever change and counts change little, so a column is the histograms
//! one after the other, with counts as differences to the bucket at the same place before, under `zstd`. That is not
//! the smallest form thinkable; histograms are rare and their log and query paths matter more.

use std::sync::Arc;

use wellkept_model::{Histogram, ResetHint, Span};

use crate::codec::{Corrupt, Reader, put_value, put_varint, zigzag};

/// Most buckets, spans or bounds of one histogram: far above the few hundred that clients send.
pub(crate) const BUCKETS_MAX: usize = 1 << 16;

/// Longest column after decompression, bytes.
const COLUMN_BYTES_MAX: usize = 1 << 28;

const NO_BEFORE: Corrupt = Corrupt("a histogram builds on one that is missing");

/// Memory of one histogram, bytes.
pub(crate) fn memory(h: &Histogram) -> usize {
    let spans = h.positive_spans.len() + h.negative_spans.len();
    let floats = h.positive.len() + h.negative.len() + h.custom_values.len();
    size_of::<Histogram>() + 16 + spans * size_of::<Span>() + floats * 8
}

/// True when no list is longer than the store takes, and spans and buckets belong together.
pub(crate) fn is_sound(h: &Histogram) -> bool {
    let lists = [
        h.positive_spans.len(),
        h.negative_spans.len(),
        h.positive.len(),
        h.negative.len(),
        h.custom_values.len(),
    ];
    let covered = |spans: &[Span]| spans.iter().map(|s| u64::from(s.length)).sum::<u64>();
    lists.iter().all(|&n| n <= BUCKETS_MAX)
        && covered(&h.positive_spans) == h.positive.len() as u64
        && covered(&h.negative_spans) == h.negative.len() as u64
}

/// Appends one histogram. `before`: the one that the reader will have at hand, if any.
pub(crate) fn put(out: &mut Vec<u8>, h: &Histogram, before: Option<&Histogram>) {
    let same_shape = before.is_some_and(|b| {
        b.schema == h.schema
            && b.zero_threshold.to_bits() == h.zero_threshold.to_bits()
            && b.positive_spans == h.positive_spans
            && b.negative_spans == h.negative_spans
            && b.custom_values.iter().map(|v| v.to_bits()).eq(h.custom_values.iter().map(|v| v.to_bits()))
    });
    let base = before.filter(|b| same_shape && is_whole(b) && is_whole(h));
    out.push(hint_code(h.reset_hint) << 2 | u8::from(base.is_some()) << 1 | u8::from(same_shape));
    if !same_shape {
        put_varint(out, zigzag(i64::from(h.schema)));
        put_value(out, h.zero_threshold);
        put_spans(out, &h.positive_spans);
        put_spans(out, &h.negative_spans);
        put_varint(out, h.custom_values.len() as u64);
        h.custom_values.iter().for_each(|&v| put_value(out, v));
    }
    put_count(out, h.count, base.map(|b| b.count));
    put_count(out, h.zero_count, base.map(|b| b.zero_count));
    put_value(out, h.sum);
    put_counts(out, &h.positive, base.map(|b| b.positive.as_slice()));
    put_counts(out, &h.negative, base.map(|b| b.negative.as_slice()));
}

/// Reads one histogram back; `before` as [`put`] had it.
pub(crate) fn read(r: &mut Reader<'_>, before: Option<&Histogram>) -> Result<Histogram, Corrupt> {
    let head = r.u8()?;
    let mut h = Histogram { reset_hint: hint_of(head >> 2)?, ..Histogram::default() };
    if head & 1 == 1 {
        let base = before.ok_or(NO_BEFORE)?;
        (h.schema, h.zero_threshold) = (base.schema, base.zero_threshold);
        h.positive_spans.clone_from(&base.positive_spans);
        h.negative_spans.clone_from(&base.negative_spans);
        h.custom_values.clone_from(&base.custom_values);
    } else {
        h.schema = i32::try_from(r.signed()?).map_err(|_| Corrupt("a histogram has no such schema"))?;
        h.zero_threshold = r.value()?;
        h.positive_spans = read_spans(r)?;
        h.negative_spans = read_spans(r)?;
        let bounds = bounded(r)?;
        h.custom_values = (0..bounds).map(|_| r.value()).collect::<Result<_, _>>()?;
    }
    let base = if head & 2 == 2 { Some(before.ok_or(NO_BEFORE)?) } else { None };
    h.count = read_count(r, base.map(|b| b.count))?;
    h.zero_count = read_count(r, base.map(|b| b.zero_count))?;
    h.sum = r.value()?;
    h.positive = read_counts(r, base.map(|b| b.positive.as_slice()))?;
    h.negative = read_counts(r, base.map(|b| b.negative.as_slice()))?;
    if is_sound(&h) { Ok(h) } else { Err(Corrupt("a histogram's spans do not fit its buckets")) }
}

/// Histograms of one series as a column.
pub(crate) fn encode_column(histograms: &[Arc<Histogram>]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    let mut before: Option<&Histogram> = None;
    for h in histograms {
        put(&mut plain, h, before);
        before = Some(h);
    }
    let mut out = Vec::new();
    put_varint(&mut out, plain.len() as u64);
    out.extend_from_slice(&zstd::bulk::compress(&plain, 3)?);
    Ok(out)
}

/// Takes [`encode_column`] back.
pub(crate) fn decode_column(bytes: &[u8], n: usize) -> Result<Vec<Arc<Histogram>>, Corrupt> {
    let mut r = Reader::new(bytes);
    let plain = unpack(&mut r, COLUMN_BYTES_MAX)?;
    let mut r = Reader::new(&plain);
    let mut out: Vec<Arc<Histogram>> = Vec::new();
    for _ in 0..n {
        let next = read(&mut r, out.last().map(Arc::as_ref))?;
        out.push(Arc::new(next));
    }
    if r.is_empty() { Ok(out) } else { Err(Corrupt("a column of histograms is longer than it says")) }
}

/// Decompresses what follows its own length.
pub(crate) fn unpack(r: &mut Reader<'_>, limit: usize) -> Result<Vec<u8>, Corrupt> {
    let len = r.size()?;
    // A thousandfold is more than zstd reaches on anything but a run of zeros that we never write.
    if len > limit || len / 16_384 > r.rest().len() {
        return Err(Corrupt("compressed bytes claim to be too long"));
    }
    let plain =
        zstd::bulk::decompress(r.rest(), len).map_err(|_| Corrupt("compressed bytes do not decompress"))?;
    if plain.len() == len { Ok(plain) } else { Err(Corrupt("compressed bytes are shorter than they say")) }
}

fn hint_code(hint: ResetHint) -> u8 {
    match hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NoReset => 2,
        ResetHint::Gauge => 3,
    }
}

fn hint_of(code: u8) -> Result<ResetHint, Corrupt> {
    match code {
        0 => Ok(ResetHint::Unknown),
        1 => Ok(ResetHint::Reset),
        2 => Ok(ResetHint::NoReset),
        3 => Ok(ResetHint::Gauge),
        _ => Err(Corrupt("a histogram has an unknown kind")),
    }
}

fn put_spans(out: &mut Vec<u8>, spans: &[Span]) {
    put_varint(out, spans.len() as u64);
    for span in spans {
        put_varint(out, zigzag(i64::from(span.offset)));
        put_varint(out, u64::from(span.length));
    }
}

fn read_spans(r: &mut Reader<'_>) -> Result<Vec<Span>, Corrupt> {
    let bad = |_| Corrupt("a span of a histogram is too long");
    let n = bounded(r)?;
    (0..n)
        .map(|_| {
            let offset = i32::try_from(r.signed()?).map_err(bad)?;
            Ok(Span { offset, length: u32::try_from(r.varint()?).map_err(bad)? })
        })
        .collect()
}

fn bounded(r: &mut Reader<'_>) -> Result<usize, Corrupt> {
    let n = r.count()?;
    if n > BUCKETS_MAX { Err(Corrupt("a histogram has too many buckets")) } else { Ok(n) }
}

fn put_counts(out: &mut Vec<u8>, counts: &[f64], before: Option<&[f64]>) {
    put_varint(out, counts.len() as u64);
    for (i, &count) in counts.iter().enumerate() {
        put_count(out, count, before.and_then(|b| b.get(i)).copied());
    }
}

fn read_counts(r: &mut Reader<'_>, before: Option<&[f64]>) -> Result<Vec<f64>, Corrupt> {
    let n = bounded(r)?;
    (0..n).map(|i| read_count(r, before.and_then(|b| b.get(i)).copied())).collect()
}

fn put_count(out: &mut Vec<u8>, count: f64, before: Option<f64>) {
    // Without a number before, minus zero keeps its sign.
    put_value(out, before.map_or(count, |b| count - b));
}

fn read_count(r: &mut Reader<'_>, before: Option<f64>) -> Result<f64, Corrupt> {
    let value = r.value()?;
    Ok(before.map_or(value, |b| value + b))
}

/// True when differences of its counts to those of another such one are exact.
fn is_whole(h: &Histogram) -> bool {
    let mut counts = h.positive.iter().chain(&h.negative).chain([&h.count, &h.zero_count]);
    counts.all(|&c| crate::codec::as_decimal(c, 0).is_some_and(|i| i.abs() < 1 << 50))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(scale: f64, buckets: u32) -> Histogram {
        Histogram {
            schema: 3,
            zero_threshold: 1e-128,
            zero_count: 2.0 * scale,
            count: 100.0 * scale,
            sum: 12.5 * scale,
            positive_spans: vec![Span { offset: -2, length: buckets }],
            positive: (0..buckets).map(|i| f64::from(i) * scale).collect(),
            ..Histogram::default()
        }
    }

    fn check(all: &[Histogram]) -> usize {
        let all: Vec<Arc<Histogram>> = all.iter().cloned().map(Arc::new).collect();
        let bytes = encode_column(&all).unwrap();
        let back = decode_column(&bytes, all.len()).unwrap();
        // NaN is not equal to itself: compare what people would see.
        assert_eq!(format!("{back:?}"), format!("{all:?}"));
        bytes.len()
    }

    #[test]
    fn histograms_of_all_kinds_come_back() {
        let mut custom = histogram(1.5, 3);
        custom.schema = wellkept_model::CUSTOM_BUCKETS_SCHEMA;
        custom.custom_values = vec![0.1, 1.0, 10.0];
        custom.reset_hint = ResetHint::Gauge;
        let mut stale = Histogram { sum: wellkept_model::stale_marker(), ..Histogram::default() };
        stale.reset_hint = ResetHint::Reset;
        let mut negative = histogram(1.0, 4);
        std::mem::swap(&mut negative.positive, &mut negative.negative);
        std::mem::swap(&mut negative.positive_spans, &mut negative.negative_spans);
        let huge = histogram(1e300, 4);
        check(&[histogram(1.0, 4), histogram(2.0, 4), histogram(0.3, 4), custom, stale, negative, huge]);
        let stale = decode_column(
            &encode_column(&[Arc::new(Histogram {
                sum: wellkept_model::stale_marker(),
                ..Histogram::default()
            })])
            .unwrap(),
            1,
        )
        .unwrap();
        assert!(wellkept_model::is_stale(stale[0].sum));
    }

    #[test]
    fn a_column_of_growing_histograms_is_small() {
        let all: Vec<Histogram> = (0..100).map(|i| histogram(f64::from(i), 20)).collect();
        let bytes = check(&all);
        assert!(bytes < 100 * 40, "{bytes} bytes for 100 histograms of 20 buckets");
    }

    proptest! {
        #[test]
        fn any_counts_come_back(raw in prop::collection::vec(any::<u64>(), 1..6), other in any::<f64>()) {
            let mut a = histogram(1.0, raw.len() as u32);
            let b = a.clone();
            a.positive = raw.into_iter().map(f64::from_bits).collect();
            a.count = other;
            let c = a.clone();
            check(&[b, a, c]);
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&mut Reader::new(&bytes), None);
            let _ = read(&mut Reader::new(&bytes), Some(&histogram(1.0, 3)));
            let _ = decode_column(&bytes, 3);
        }
    }
}
