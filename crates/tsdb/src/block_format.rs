//! Bytes of a block's frame and index: names once, series by reference, small columns inside the index.
//!
//! A block is a header, the columns, the index and a footer. Times and values are in `column` and `cells` form.
//! Every column's checksum covers the block's number and the column's place, so that a column that was copied or
//! swapped within or between files is noticed.

use std::collections::BTreeMap;

use wellkept_model::Labels;

use crate::codec::{Corrupt, Reader, crc32, put_text, put_varint};
use crate::column::COLUMN_MAX;

const MAGIC: &[u8; 6] = b"WKBLK\n";
const END: &[u8; 4] = b"KWB\n";

/// Version of the block format.
pub(crate) const VERSION: u16 = 2;

/// Magic, version, number, earliest and latest time, last covered log segment, checksum.
const HEADER_1: usize = 6 + 2 + 8 + 8 + 8 + 8 + 4;

/// As version 1, with precedence and resolution before the checksum.
pub(crate) const HEADER: usize = HEADER_1 + 8 + 8;

/// Place and length of the index, its checksum, the footer's own, end mark.
pub(crate) const FOOTER: usize = 8 + 4 + 4 + 4 + 4;

/// Columns up to this many bytes stand in the index: a place and a checksum would cost as much.
pub(crate) const INLINE_MAX: usize = 8;

/// Longest index that is read, bytes.
pub(crate) const INDEX_MAX: u32 = 1 << 30;

/// What the header says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) min: i64,
    pub(crate) max: i64,
    /// All log segments up to this one are in blocks up to this one.
    pub(crate) covers: u64,
    /// Where two blocks have the same time, the one with the larger precedence holds. A merged block has the largest of
    /// those that it was made of, a block of the head its own number.
    pub(crate) precedence: u64,
    /// 0: samples as they came; else the length of time that one row stands for, milliseconds.
    pub(crate) resolution: i64,
}

impl Header {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.min.to_le_bytes());
        out.extend_from_slice(&self.max.to_le_bytes());
        out.extend_from_slice(&self.covers.to_le_bytes());
        out.extend_from_slice(&self.precedence.to_le_bytes());
        out.extend_from_slice(&self.resolution.to_le_bytes());
        let sum = crc32(&[&out]);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// The format version and what it says. Of a newer version only that is known.
    pub(crate) fn read(bytes: &[u8]) -> Result<(u16, Self), Corrupt> {
        let mut r = Reader::new(bytes);
        if r.take(MAGIC.len())? != MAGIC {
            return Err(Corrupt("the first bytes are not those of a block"));
        }
        let version = r.u16()?;
        let mut header =
            Self { number: r.u64()?, min: r.i64()?, max: r.i64()?, covers: r.u64()?, ..Self::default() };
        header.precedence = header.number;
        if version != 1 {
            (header.precedence, header.resolution) = (r.u64()?, r.i64()?);
        }
        let sum = crc32(&[bytes.get(..header_len(version) - 4).unwrap_or_default()]);
        if r.u32()? == sum {
            Ok((version, header))
        } else {
            Err(Corrupt("the header's checksum does not fit"))
        }
    }
}

/// Where the first column stands.
pub(crate) fn header_len(version: u16) -> usize {
    if version == 1 { HEADER_1 } else { HEADER }
}

/// Path of a block. The time range stands in the name, so it is known even of a block that cannot be read.
pub(crate) fn block_name(header: &Header) -> String {
    format!("{}/{:010}_{}_{}.blk", crate::block::DIR, header.number, header.min, header.max)
}

/// Number and time range from a block's file name without the folder.
pub(crate) fn parse_name(file: &str) -> Option<(u64, i64, i64)> {
    let mut parts = file.strip_suffix(".blk")?.splitn(3, '_');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Checksum of a column at its place.
pub(crate) fn column_sum(number: u64, offset: u64, bytes: &[u8]) -> u32 {
    crc32(&[&number.to_le_bytes(), &offset.to_le_bytes(), bytes])
}

/// A stretch of the block's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) sum: u32,
}

/// Where a column's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Inline(Box<[u8]>),
    At(Stretch),
}

/// One series as the index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexSeries {
    pub(crate) labels: Labels,
    pub(crate) count: u32,
    pub(crate) place: Place,
}

/// One group as the index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexGroup {
    pub(crate) target: Labels,
    pub(crate) rows: u32,
    pub(crate) times: Stretch,
    pub(crate) series: Vec<IndexSeries>,
}

/// What an index says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// Groups of floats, or of consolidated rows.
    pub(crate) floats: Vec<IndexGroup>,
    /// Groups of native histograms.
    pub(crate) histograms: Vec<IndexGroup>,
    /// Numbers of the blocks that this one stands for: they are removed wherever this one is.
    pub(crate) replaces: Vec<u64>,
}

/// Longest index before compression, bytes.
const INDEX_PLAIN_MAX: usize = 1 << 30;

/// Writes the index. Columns must stand in the file in the order in which the groups name them.
pub(crate) fn write_index(index: &Index) -> std::io::Result<Vec<u8>> {
    let texts = Texts::of(index.floats.iter().chain(&index.histograms));
    let mut plain = Vec::new();
    texts.write(&mut plain);
    for groups in [&index.floats, &index.histograms] {
        put_varint(&mut plain, groups.len() as u64);
        groups.iter().for_each(|g| put_group(&mut plain, &texts, g));
    }
    put_varint(&mut plain, index.replaces.len() as u64);
    index.replaces.iter().for_each(|&n| put_varint(&mut plain, n));
    let mut out = Vec::new();
    put_varint(&mut out, plain.len() as u64);
    out.extend_from_slice(&zstd::bulk::compress(&plain, 6)?);
    Ok(out)
}

fn put_group(out: &mut Vec<u8>, texts: &Texts<'_>, group: &IndexGroup) {
    put_varint(out, group.target.len() as u64);
    texts.put_pairs(out, group.target.iter());
    put_varint(out, u64::from(group.rows));
    put_stretch(out, group.times);
    put_varint(out, group.series.len() as u64);
    for series in &group.series {
        texts.put_series(out, &group.target, series, group.rows);
    }
}

/// Reads the index of a block of a version back.
pub(crate) fn read_index(bytes: &[u8], version: u16) -> Result<Index, Corrupt> {
    let mut at = header_len(version) as u64;
    if version == 1 {
        let mut r = Reader::new(bytes);
        let texts = read_texts(&mut r)?;
        let floats = read_groups(&mut r, &texts, &mut at)?;
        let index = Index { floats, ..Index::default() };
        return if r.is_empty() { Ok(index) } else { Err(TOO_LONG) };
    }
    let plain = crate::histogram::unpack(&mut Reader::new(bytes), INDEX_PLAIN_MAX)?;
    let mut r = Reader::new(&plain);
    let texts = read_texts(&mut r)?;
    let floats = read_groups(&mut r, &texts, &mut at)?;
    let histograms = read_groups(&mut r, &texts, &mut at)?;
    let n = r.count()?;
    let replaces = (0..n).map(|_| r.varint()).collect::<Result<_, _>>()?;
    if r.is_empty() { Ok(Index { floats, histograms, replaces }) } else { Err(TOO_LONG) }
}

const TOO_LONG: Corrupt = Corrupt("the index is longer than it says");

fn read_groups(r: &mut Reader<'_>, texts: &[String], at: &mut u64) -> Result<Vec<IndexGroup>, Corrupt> {
    let count = r.count()?;
    let mut groups = Vec::new();
    for _ in 0..count {
        let pairs = r.count()?;
        let target = read_pairs(r, texts, pairs)?;
        let rows = r.varint()?;
        if rows == 0 || rows > COLUMN_MAX as u64 {
            return Err(Corrupt("a group has no or too many rows"));
        }
        let rows = rows as u32;
        let times = read_stretch(r, at)?;
        let n = r.count()?;
        let series = (0..n).map(|_| read_series(r, texts, &target, rows, at));
        let series = series.collect::<Result<Vec<_>, Corrupt>>()?;
        groups.push(IndexGroup { target: labels_of(target), rows, times, series });
    }
    Ok(groups)
}

/// A set from pairs that stand in order as a rule.
fn labels_of(mut pairs: Vec<(&str, &str)>) -> Labels {
    if pairs.is_sorted_by(|a, b| a.0 < b.0) {
        return Labels::from_sorted(pairs);
    }
    pairs.sort_by_key(|p| p.0);
    if pairs.is_sorted_by(|a, b| a.0 < b.0) { Labels::from_sorted(pairs) } else { Labels::new(pairs) }
}

fn put_stretch(out: &mut Vec<u8>, stretch: Stretch) {
    put_varint(out, u64::from(stretch.len));
    out.extend_from_slice(&stretch.sum.to_le_bytes());
}

/// Columns stand one after the other, so only lengths are written.
fn read_stretch(r: &mut Reader<'_>, at: &mut u64) -> Result<Stretch, Corrupt> {
    let len = u32::try_from(r.varint()?).map_err(|_| Corrupt("a column is too long"))?;
    let stretch = Stretch { offset: *at, len, sum: r.u32()? };
    *at += u64::from(len);
    Ok(stretch)
}

/// All names and values of labels, each once, sorted.
struct Texts<'a>(BTreeMap<&'a str, u64>);

impl<'a> Texts<'a> {
    fn of(groups: impl Iterator<Item = &'a IndexGroup>) -> Self {
        let all = groups.flat_map(|g| g.series.iter().map(|s| &s.labels).chain([&g.target]));
        let mut texts: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, value) in all.flat_map(Labels::iter) {
            texts.insert(name, 0);
            texts.insert(value, 0);
        }
        for (number, place) in (0..).zip(texts.values_mut()) {
            *place = number;
        }
        Self(texts)
    }

    /// Each text as the length that it shares with the one before, and the rest.
    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        let mut before = "";
        for &text in self.0.keys() {
            let mut shared = before.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
            while !text.is_char_boundary(shared) {
                shared -= 1;
            }
            put_varint(out, shared as u64);
            put_text(out, text.get(shared..).unwrap_or_default());
            before = text;
        }
    }

    fn put_pairs<'b>(&self, out: &mut Vec<u8>, pairs: impl Iterator<Item = (&'b str, &'b str)>) {
        for (name, value) in pairs {
            put_varint(out, self.0.get(name).copied().unwrap_or_default());
            put_varint(out, self.0.get(value).copied().unwrap_or_default());
        }
    }

    fn put_series(&self, out: &mut Vec<u8>, target: &Labels, series: &IndexSeries, rows: u32) {
        let whole = target.iter().all(|(name, value)| series.labels.get(name) == value);
        let own: Vec<_> =
            series.labels.iter().filter(|(name, _)| !whole || target.get(name).is_empty()).collect();
        put_varint(out, (own.len() as u64) << 1 | u64::from(whole));
        self.put_pairs(out, own.into_iter());
        put_varint(out, u64::from(rows - series.count));
        match &series.place {
            Place::Inline(bytes) => {
                put_varint(out, (bytes.len() as u64) << 1 | 1);
                out.extend_from_slice(bytes);
            }
            Place::At(stretch) => {
                put_varint(out, u64::from(stretch.len) << 1);
                out.extend_from_slice(&stretch.sum.to_le_bytes());
            }
        }
    }
}

/// Most bytes that all texts of one index may take: front coding could otherwise blow a few bytes up.
const TEXTS_MAX: usize = 1 << 28;

fn read_texts(r: &mut Reader<'_>) -> Result<Vec<String>, Corrupt> {
    let count = r.count()?;
    let mut texts: Vec<String> = Vec::new();
    let mut total = 0;
    for _ in 0..count {
        let shared = r.size()?;
        let before = texts.last().map(String::as_str).unwrap_or_default();
        let mut text = before.get(..shared).ok_or(Corrupt("a text shares more than there is"))?.to_owned();
        text.push_str(r.text()?);
        total += text.len();
        if total > TEXTS_MAX {
            return Err(Corrupt("the texts of an index are too long"));
        }
        texts.push(text);
    }
    Ok(texts)
}

fn read_pairs<'a>(
    r: &mut Reader<'_>,
    texts: &'a [String],
    count: usize,
) -> Result<Vec<(&'a str, &'a str)>, Corrupt> {
    let mut text = || {
        let number = r.size()?;
        texts.get(number).map(String::as_str).ok_or(Corrupt("the index names a text that it does not have"))
    };
    (0..count).map(|_| Ok((text()?, text()?))).collect()
}

fn read_series(
    r: &mut Reader<'_>,
    texts: &[String],
    target: &[(&str, &str)],
    rows: u32,
    at: &mut u64,
) -> Result<IndexSeries, Corrupt> {
    let head = r.size()?;
    let mut pairs = read_pairs(r, texts, head >> 1)?;
    if head & 1 == 1 {
        pairs.extend_from_slice(target);
    }
    let absent = r.varint()?;
    let count = u64::from(rows).checked_sub(absent).filter(|&c| c > 0);
    let count = count.ok_or(Corrupt("a series has more rows than its group"))? as u32;
    let size = r.varint()?;
    let place = if size & 1 == 1 {
        Place::Inline(r.take(usize::try_from(size >> 1).unwrap_or(usize::MAX))?.into())
    } else {
        let len = u32::try_from(size >> 1).map_err(|_| Corrupt("a column is too long"))?;
        let stretch = Stretch { offset: *at, len, sum: r.u32()? };
        *at += u64::from(len);
        Place::At(stretch)
    };
    Ok(IndexSeries { labels: labels_of(pairs), count, place })
}

/// Place, length and checksum of the index, with the footer's own checksum and end mark.
pub(crate) fn write_footer(number: u64, index: Stretch) -> Vec<u8> {
    let mut out = Vec::with_capacity(FOOTER);
    out.extend_from_slice(&index.offset.to_le_bytes());
    out.extend_from_slice(&index.len.to_le_bytes());
    out.extend_from_slice(&index.sum.to_le_bytes());
    let sum = crc32(&[&number.to_le_bytes(), &out]);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(END);
    out
}

/// Where the index of block `number` is.
pub(crate) fn read_footer(bytes: &[u8], number: u64) -> Result<Stretch, Corrupt> {
    let mut r = Reader::new(bytes);
    let index = Stretch { offset: r.u64()?, len: r.u32()?, sum: r.u32()? };
    let sum = crc32(&[&number.to_le_bytes(), bytes.get(..FOOTER - 8).unwrap_or_default()]);
    if r.u32()? != sum || r.take(END.len())? != END {
        return Err(Corrupt("the footer's checksum does not fit"));
    }
    if index.len > INDEX_MAX { Err(Corrupt("the index is too long")) } else { Ok(index) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels() -> impl Strategy<Value = Labels> {
        prop::collection::vec(("[a-c]{1,2}", "[a-e\u{e9}\u{4e2d}]{1,3}"), 0..4).prop_map(Labels::new)
    }

    proptest! {
        #[test]
        fn any_index_comes_back(
            raw in prop::collection::vec(
                (labels(), 5..100_u32, prop::collection::vec((labels(), 1..5_u32, 0..20_u32), 0..6)),
                0..4,
            ),
        ) {
            let mut at = HEADER as u64;
            let mut stretch = |len: u32| { let s = Stretch { offset: at, len, sum: len * 3 }; at += u64::from(len); s };
            let mut groups = Vec::new();
            for (target, rows, series) in raw {
                let times = stretch(rows);
                let series = series.into_iter().map(|(labels, count, len)| IndexSeries {
                    labels,
                    count,
                    place: if len < 8 { Place::Inline(vec![7; len as usize].into()) } else { Place::At(stretch(len)) },
                });
                groups.push(IndexGroup { series: series.collect(), target, rows, times });
            }
            let half = groups.split_off(groups.len() / 2);
            let index = Index { floats: groups, histograms: half, replaces: vec![3, 700] };
            prop_assert_eq!(read_index(&write_index(&index).unwrap(), VERSION).unwrap(), index);
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read_index(&bytes, 1);
            let _ = read_index(&bytes, VERSION);
            let _ = read_footer(&bytes, 1);
            let _ = Header::read(&bytes);
        }
    }

    #[test]
    fn the_time_range_can_be_read_from_the_name() {
        let header = Header { number: 12, min: -5, max: 7000, covers: 3, precedence: 9, resolution: 300_000 };
        let name = block_name(&header);
        assert_eq!(parse_name(name.rsplit('/').next().unwrap()), Some((12, -5, 7000)));
        assert_eq!(Header::read(&header.write()).unwrap(), (VERSION, header));
    }
}
