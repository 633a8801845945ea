//! The index of a segment: its streams, its shapes with what is known of their parameters, and how many lines there
//! are of each kind. A search reads it first and often needs nothing else.
//!
//! Reading it must be cheap: the fixed text of all shapes stays one piece of memory that is searched at once, and what
//! else there is to a shape is only read for those that are looked at.

use std::io;
use std::sync::OnceLock;

use hashbrown::HashMap;
use wellkept_model::{Labels, ParamKind, Shape, TemplateId};

use crate::charset::Charset;
use crate::codec::{
    Corrupt, Reader, decompressor, put_bytes, put_signed, put_squeezed, put_varint, read_squeezed_with,
};
use crate::edges::EdgeTable;
use crate::filter::Filter;
use crate::pack::PackPlace;

/// Largest part of an index, unpacked, bytes.
const PART_MAX: usize = 1 << 30;

/// How hard zstd tries.
const ZSTD_LEVEL: i32 = 19;

/// What is known of a parameter in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Param {
    /// Every line has this value.
    Constant(Vec<u8>),
    /// A column holds the values.
    Column {
        /// All values begin with it.
        prefix: Vec<u8>,
        /// The bytes that occur behind it.
        bytes: Charset,
        /// Shortest and longest value, without it.
        lengths: (usize, usize),
    },
}

/// A shape, with the names of the fields that its lines carry beside their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentShape {
    pub(crate) shape: Shape,
    /// For each gap whether it belongs to the same parameter of the template as the one before; see [`crate::refine`].
    pub(crate) joined: Vec<bool>,
    /// Names of fields; their values are further parameters, behind those of the text.
    pub(crate) keys: Vec<String>,
    pub(crate) params: Vec<Param>,
    /// Pack and place of its columns.
    pub(crate) pack: usize,
    pub(crate) place: PackPlace,
    /// Lines.
    pub(crate) rows: usize,
}

/// Lines that share shape, stream and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub(crate) shape: u32,
    pub(crate) stream: u32,
    /// As `head::level_number` gives it.
    pub(crate) level: u8,
    pub(crate) rows: u32,
}

/// A stretch of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) crc: u32,
}

/// What a segment's writer knows of it.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) streams: Vec<Labels>,
    pub(crate) shapes: Vec<SegmentShape>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) filter: Filter,
    pub(crate) packs: Vec<Stretch>,
    pub(crate) times: Stretch,
    pub(crate) order: Stretch,
    pub(crate) rows: usize,
}

/// The index of one segment.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) streams: Vec<Labels>,
    pub(crate) shapes: Shapes,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) filter: Filter,
    pub(crate) packs: Vec<Stretch>,
    pub(crate) times: Stretch,
    pub(crate) order: Stretch,
    pub(crate) rows: usize,
}

/// What is read of every shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShapeHead {
    pub(crate) template: TemplateId,
    /// Lines.
    pub(crate) rows: u32,
    /// Where its fixed text begins.
    pub(crate) text: u32,
    names: u32,
    numbers: u32,
    /// Sets of bytes of its gaps, one bit each; the last bit stands for all further ones.
    pub(crate) sets: u64,
    /// Whether a gap may be empty.
    pub(crate) may_vanish: bool,
    /// The bytes in front of gaps and behind them.
    pub(crate) before: Charset,
    pub(crate) after: Charset,
    /// Whether nothing stands between two gaps.
    pub(crate) touching: bool,
    /// Whether its lines carry fields.
    pub(crate) has_fields: bool,
    pack: u32,
    place: PackPlace,
}

/// The shapes of a segment.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    /// Literals, constant parameters and what others begin with, of all shapes, without anything between them.
    pub(crate) texts: Vec<u8>,
    names: Vec<u8>,
    numbers: Vec<u8>,
    pub(crate) sets: Vec<Charset>,
    pub(crate) heads: Vec<ShapeHead>,
    /// Shapes with a gap that may be empty, or with two that touch: what stands beside their gaps says little.
    pub(crate) open: Vec<u32>,
    pub(crate) edges: EdgeTable,
    full: Vec<OnceLock<Option<Box<SegmentShape>>>>,
}

/// Bit of a set of bytes in [`ShapeHead::sets`].
pub(crate) fn set_bit(set: usize) -> u64 {
    1 << set.min(63)
}

const KINDS: [ParamKind; 9] = [
    ParamKind::Number,
    ParamKind::Hex,
    ParamKind::Address,
    ParamKind::Path,
    ParamKind::Id,
    ParamKind::Duration,
    ParamKind::Size,
    ParamKind::Time,
    ParamKind::Text,
];

/// Bit of a type: the gap belongs to the same parameter as the one before.
const JOINED: u8 = 0x80;

impl Draft {
    /// The index as bytes.
    pub(crate) fn write(&self) -> io::Result<Vec<u8>> {
        let (mut ids, mut texts, mut names, mut numbers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut shapes = Vec::new();
        put_varint(&mut numbers, self.rows as u64);
        put_varint(&mut numbers, self.streams.len() as u64);
        for labels in &self.streams {
            put_varint(&mut numbers, labels.len() as u64);
            for (name, value) in labels.iter() {
                put_bytes(&mut names, name.as_bytes());
                put_bytes(&mut names, value.as_bytes());
            }
        }
        self.write_shapes(&mut ids, &mut texts, &mut names, &mut shapes);
        put_varint(&mut numbers, self.kinds.len() as u64);
        let mut before = 0;
        for kind in &self.kinds {
            put_signed(&mut numbers, i64::from(kind.shape) - before);
            before = i64::from(kind.shape);
            put_varint(&mut numbers, u64::from(kind.stream));
            numbers.push(kind.level);
            put_varint(&mut numbers, u64::from(kind.rows));
        }
        put_varint(&mut numbers, self.packs.len() as u64);
        for stretch in self.packs.iter().chain([&self.times, &self.order]) {
            put_varint(&mut numbers, stretch.offset);
            put_varint(&mut numbers, u64::from(stretch.len));
            ids.extend_from_slice(&stretch.crc.to_le_bytes());
        }
        let mut out = Vec::new();
        for part in [&ids, &numbers, &names, &shapes, &texts] {
            put_squeezed(&mut out, part, ZSTD_LEVEL)?;
        }
        self.filter.write(&mut out);
        Ok(out)
    }

    fn write_shapes(
        &self,
        ids: &mut Vec<u8>,
        texts: &mut Vec<u8>,
        names: &mut Vec<u8>,
        numbers: &mut Vec<u8>,
    ) {
        let mut sets: Vec<Charset> = Vec::new();
        let mut known: HashMap<Charset, usize> = HashMap::new();
        for param in self.shapes.iter().flat_map(|s| &s.params) {
            if let Param::Column { bytes, .. } = param {
                known.entry(*bytes).or_insert_with(|| {
                    sets.push(*bytes);
                    sets.len() - 1
                });
            }
        }
        put_varint(numbers, sets.len() as u64);
        sets.iter().flat_map(|s| s.0).for_each(|w| numbers.extend_from_slice(&w.to_le_bytes()));
        put_varint(numbers, self.shapes.len() as u64);
        let mut place = PackPlace::default();
        let mut pack = 0;
        for shape in &self.shapes {
            ids.extend_from_slice(&shape.shape.template.0.to_le_bytes());
            // Places rise within a pack and begin at 0 in the next.
            if shape.pack != pack {
                place = PackPlace::default();
            }
            put_varint(numbers, (shape.pack - pack) as u64);
            put_varint(numbers, (shape.place.text - place.text) as u64);
            put_varint(numbers, (shape.place.numbers - place.numbers) as u64);
            (pack, place) = (shape.pack, shape.place);
            write_shape(shape, &known, texts, names, numbers);
        }
    }
}

fn write_shape(
    shape: &SegmentShape,
    sets: &HashMap<Charset, usize>,
    texts: &mut Vec<u8>,
    names: &mut Vec<u8>,
    numbers: &mut Vec<u8>,
) {
    let n = shape.shape.kinds.len();
    put_varint(numbers, n as u64);
    put_varint(numbers, shape.keys.len() as u64);
    for (i, kind) in shape.shape.kinds.iter().enumerate() {
        let kind = KINDS.iter().position(|k| k == kind).unwrap_or(0) as u8;
        numbers.push(if shape.joined.get(i) == Some(&true) { kind | JOINED } else { kind });
    }
    for key in &shape.keys {
        put_bytes(names, key.as_bytes());
    }
    let mut literals = shape.shape.literals.iter();
    let mut put_literal = |texts: &mut Vec<u8>, numbers: &mut Vec<u8>| {
        let literal = literals.next().map_or(&[][..], AsRef::as_ref);
        put_varint(numbers, literal.len() as u64);
        texts.extend_from_slice(literal);
    };
    put_literal(texts, numbers);
    for (i, param) in shape.params.iter().enumerate() {
        match param {
            Param::Constant(value) => {
                numbers.push(0);
                if i < n {
                    put_varint(numbers, value.len() as u64);
                    texts.extend_from_slice(value);
                } else {
                    put_bytes(names, value);
                }
            }
            Param::Column { prefix, bytes, lengths } => {
                put_varint(numbers, sets.get(bytes).map_or(1, |&i| i as u64 + 1));
                put_varint(numbers, lengths.0 as u64);
                put_varint(numbers, (lengths.1 - lengths.0) as u64);
                if i < n {
                    put_varint(numbers, prefix.len() as u64);
                    texts.extend_from_slice(prefix);
                }
            }
        }
        if i < n {
            put_literal(texts, numbers);
        }
    }
}

impl SegmentShape {
    /// The shape as the miner gave it, as far as its parameters are columns.
    pub(crate) fn unrefined(&self) -> Shape {
        let mut out = Shape { template: self.shape.template, literals: Vec::new(), kinds: Vec::new() };
        let gaps = self.shape.kinds.iter().zip(&self.joined);
        let mut literals = self.shape.literals.iter().cloned();
        out.literals.extend(literals.next());
        for ((kind, joined), literal) in gaps.zip(literals) {
            // What stood between two gaps of one parameter is part of it.
            if *joined {
                out.literals.pop();
            } else {
                out.kinds.push(*kind);
            }
            out.literals.push(literal);
        }
        out
    }
}

impl Index {
    /// Reads what [`Self::write`] wrote.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut r = Reader::new(bytes);
        let mut unpack = decompressor()?;
        let mut part = || read_squeezed_with(&mut unpack, &mut r, PART_MAX);
        let (ids, numbers, names, shapes, texts) = (part()?, part()?, part()?, part()?, part()?);
        let filter = Filter::read(&mut r)?;
        let (mut ids, mut numbers, mut pairs) =
            (Reader::new(&ids), Reader::new(&numbers), Reader::new(&names));
        let mut out = Self { filter, rows: numbers.size()?, ..Self::default() };
        for _ in 0..numbers.count()? {
            let mut labels = Vec::new();
            for _ in 0..numbers.size()?.min(pairs.rest().len()) {
                labels.push((pairs.text()?, pairs.text()?));
            }
            out.streams.push(Labels::new(labels));
        }
        let names = pairs.rest().to_vec();
        out.shapes = Shapes::read(&mut ids, texts, names, shapes)?;
        let mut before = 0_i64;
        for _ in 0..numbers.count()? {
            before = before.saturating_add(numbers.signed()?);
            let shape = u32::try_from(before).map_err(|_| Corrupt("a kind names no shape"))?;
            let kind = Kind {
                shape,
                stream: numbers.varint()? as u32,
                level: numbers.u8()?,
                rows: numbers.varint()? as u32,
            };
            let of = out.shapes.heads.get_mut(shape as usize).ok_or(Corrupt("a kind names no shape"))?;
            of.rows = of.rows.saturating_add(kind.rows);
            if kind.stream as usize >= out.streams.len() {
                return Err(Corrupt("a kind names no stream"));
            }
            out.kinds.push(kind);
        }
        let count = numbers.count()?;
        let mut stretches = Vec::with_capacity(count);
        for _ in 0..count.saturating_add(2) {
            stretches.push(Stretch {
                offset: numbers.varint()?,
                len: numbers.varint()? as u32,
                crc: ids.u32()?,
            });
        }
        out.order = stretches.pop().unwrap_or_default();
        out.times = stretches.pop().unwrap_or_default();
        out.packs = stretches;
        let sum: usize = out.kinds.iter().map(|k| k.rows as usize).sum();
        if sum == out.rows { Ok(out) } else { Err(Corrupt("the kinds of an index do not add up")) }
    }

    /// Memory, bytes, roughly.
    pub(crate) fn memory(&self) -> usize {
        let shapes = self.shapes.texts.len() + self.shapes.names.len() + self.shapes.numbers.len();
        let edges = self.shapes.edges.memory();
        shapes + edges + self.shapes.heads.len() * 224 + self.kinds.len() * size_of::<Kind>()
    }
}

impl Shapes {
    fn read(ids: &mut Reader<'_>, texts: Vec<u8>, names: Vec<u8>, numbers: Vec<u8>) -> Result<Self, Corrupt> {
        let mut out = Self::default();
        let mut r = Reader::new(&numbers);
        for _ in 0..r.count()? {
            out.sets.push(Charset([r.u64()?, r.u64()?, r.u64()?, r.u64()?]));
        }
        let count = r.count()?;
        let (mut text, mut name) = (Reader::new(&texts), Reader::new(&names));
        let mut place = PackPlace::default();
        let mut pack = 0_usize;
        for _ in 0..count {
            let template = TemplateId(ids.u64()?);
            let skipped = r.size()?;
            if skipped > 0 {
                place = PackPlace::default();
            }
            pack = pack.saturating_add(skipped);
            place = PackPlace {
                text: place.text.saturating_add(r.size()?),
                numbers: place.numbers.saturating_add(r.size()?),
            };
            let mut head = ShapeHead {
                template,
                rows: 0,
                text: (texts.len() - text.rest().len()) as u32,
                names: (names.len() - name.rest().len()) as u32,
                numbers: (numbers.len() - r.rest().len()) as u32,
                sets: 0,
                may_vanish: false,
                before: Charset::default(),
                after: Charset::default(),
                touching: false,
                has_fields: false,
                pack: pack as u32,
                place,
            };
            let number = out.heads.len() as u32;
            let mut gaps = Gaps::new(&mut head, number, &mut out.edges, out.sets.len());
            walk(&mut r, &mut text, &mut name, &mut gaps)?;
            if head.may_vanish || head.touching {
                out.open.push(number);
            }
            out.heads.push(head);
        }
        out.edges.finish();
        out.full = (0..count).map(|_| OnceLock::new()).collect();
        (out.texts, out.names, out.numbers) = (texts, names, numbers);
        Ok(out)
    }

    /// All that is known of a shape; none when there is no such shape.
    pub(crate) fn get(&self, number: usize) -> Option<&SegmentShape> {
        let head = self.heads.get(number)?;
        let read = || {
            let mut out = SegmentShape {
                pack: head.pack as usize,
                place: head.place,
                rows: head.rows as usize,
                ..SegmentShape::default()
            };
            out.shape.template = head.template;
            let mut whole = Whole { out, sets: &self.sets };
            let mut text = Reader::new(self.texts.get(head.text as usize..)?);
            let mut name = Reader::new(self.names.get(head.names as usize..)?);
            let mut numbers = Reader::new(self.numbers.get(head.numbers as usize..)?);
            walk(&mut numbers, &mut text, &mut name, &mut whole).ok()?;
            Some(Box::new(whole.out))
        };
        self.full.get(number)?.get_or_init(read).as_deref()
    }

    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    /// All shapes in full.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SegmentShape> {
        (0..self.len()).filter_map(|i| self.get(i))
    }
}

/// Takes what stands in the index about one shape, piece by piece.
trait TakeShape {
    fn kind(&mut self, kind: ParamKind, joined: bool);
    fn key(&mut self, key: &str);
    fn literal(&mut self, literal: &[u8]);
    fn constant(&mut self, value: &[u8], of_text: bool);
    /// `prefix`: none for fields.
    fn column(&mut self, set: usize, lengths: (usize, usize), prefix: Option<&[u8]>) -> Result<(), Corrupt>;
}

/// Reads one shape as [`write_shape`] wrote it.
fn walk(
    numbers: &mut Reader<'_>,
    texts: &mut Reader<'_>,
    names: &mut Reader<'_>,
    out: &mut impl TakeShape,
) -> Result<(), Corrupt> {
    let n = numbers.count()?;
    let keys = numbers.count()?;
    for _ in 0..n {
        let byte = numbers.u8()?;
        let kind = KINDS.get(usize::from(byte & !JOINED));
        out.kind(*kind.ok_or(Corrupt("a parameter has an unknown type"))?, byte & JOINED != 0);
    }
    for _ in 0..keys {
        out.key(names.text()?);
    }
    let len = numbers.size()?;
    out.literal(texts.take(len)?);
    for i in 0..n + keys {
        match numbers.size()? {
            0 if i < n => {
                let len = numbers.size()?;
                out.constant(texts.take(len)?, true);
            }
            0 => out.constant(names.bytes()?, false),
            set => {
                let shortest = numbers.size()?;
                let longest = shortest.saturating_add(numbers.size()?);
                let prefix = if i < n {
                    let len = numbers.size()?;
                    Some(texts.take(len)?)
                } else {
                    None
                };
                out.column(set - 1, (shortest, longest), prefix)?;
            }
        }
        if i < n {
            let len = numbers.size()?;
            out.literal(texts.take(len)?);
        }
    }
    Ok(())
}

/// Takes what a head keeps.
struct Gaps<'a> {
    head: &'a mut ShapeHead,
    number: u32,
    edges: &'a mut EdgeTable,
    sets: usize,
    /// The bytes since the last gap: the first two, the last two, and how many there are.
    first: [u8; 2],
    last: [u8; 2],
    fixed: usize,
    /// Whether there was a gap.
    is_behind: bool,
}

impl<'a> Gaps<'a> {
    fn new(head: &'a mut ShapeHead, number: u32, edges: &'a mut EdgeTable, sets: usize) -> Self {
        Self { head, number, edges, sets, first: [0; 2], last: [0; 2], fixed: 0, is_behind: false }
    }

    fn fixed(&mut self, text: &[u8]) {
        for &byte in text.iter().take(2) {
            if let Some(place) = self.first.get_mut(self.fixed) {
                *place = byte;
            }
            self.fixed += 1;
        }
        self.fixed += text.len().saturating_sub(2);
        for &byte in text.iter().skip(text.len().saturating_sub(2)) {
            self.last = [self.last[1], byte];
        }
        if self.is_behind && self.fixed > 0 {
            self.head.after.add(&self.first[..1]);
            self.edge(self.first);
        }
    }

    fn gap(&mut self) {
        self.head.touching |= self.is_behind && self.fixed == 0;
        if self.fixed > 0 {
            self.head.before.add(&self.last[1..]);
            self.edge(self.last);
        }
        (self.fixed, self.is_behind) = (0, true);
    }

    fn edge(&mut self, two: [u8; 2]) {
        match self.fixed {
            1 => self.edges.add(&self.last[1..], self.number),
            _ => self.edges.add(&two, self.number),
        }
    }
}

impl TakeShape for Gaps<'_> {
    fn kind(&mut self, _: ParamKind, _: bool) {}

    fn key(&mut self, _: &str) {
        self.head.has_fields = true;
    }

    fn literal(&mut self, literal: &[u8]) {
        self.fixed(literal);
    }

    fn constant(&mut self, value: &[u8], of_text: bool) {
        if of_text {
            self.fixed(value);
        }
    }

    fn column(&mut self, set: usize, lengths: (usize, usize), prefix: Option<&[u8]>) -> Result<(), Corrupt> {
        if set >= self.sets {
            return Err(Corrupt("a column names an unknown set of bytes"));
        }
        if let Some(prefix) = prefix {
            self.fixed(prefix);
            self.gap();
            self.head.sets |= set_bit(set);
            self.head.may_vanish |= lengths.0 == 0;
        }
        Ok(())
    }
}

/// Takes everything.
struct Whole<'a> {
    out: SegmentShape,
    sets: &'a [Charset],
}

impl TakeShape for Whole<'_> {
    fn kind(&mut self, kind: ParamKind, joined: bool) {
        self.out.shape.kinds.push(kind);
        self.out.joined.push(joined);
    }

    fn key(&mut self, key: &str) {
        self.out.keys.push(key.to_owned());
    }

    fn literal(&mut self, literal: &[u8]) {
        self.out.shape.literals.push(literal.into());
    }

    fn constant(&mut self, value: &[u8], _: bool) {
        self.out.params.push(Param::Constant(value.to_vec()));
    }

    fn column(&mut self, set: usize, lengths: (usize, usize), prefix: Option<&[u8]>) -> Result<(), Corrupt> {
        let bytes = *self.sets.get(set).ok_or(Corrupt("a column names an unknown set of bytes"))?;
        let prefix = prefix.unwrap_or_default().to_vec();
        self.out.params.push(Param::Column { prefix, bytes, lengths });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::read_squeezed;
    use crate::search::Needle;

    fn draft() -> Draft {
        let column = |prefix: &str, bytes: &str| {
            let mut set = Charset::default();
            set.add(bytes.as_bytes());
            Param::Column { prefix: prefix.into(), bytes: set, lengths: (1, 9) }
        };
        let shape = |literals: &[&str], joined: &[bool], keys: &[&str], params: Vec<Param>| SegmentShape {
            shape: Shape {
                template: TemplateId(7),
                literals: literals.iter().map(|l| l.as_bytes().into()).collect(),
                kinds: vec![ParamKind::Id; joined.len()],
            },
            joined: joined.to_vec(),
            keys: keys.iter().map(|&k| k.to_owned()).collect(),
            params,
            ..SegmentShape::default()
        };
        Draft {
            streams: vec![Labels::new([("service", "app")])],
            shapes: vec![
                shape(&["only fixed"], &[], &["trace"], vec![column("", "ab")]),
                shape(
                    &["took ", ".", " ms"],
                    &[false, true],
                    &[],
                    vec![column("1", "0123"), Param::Constant(b"5".to_vec())],
                ),
            ],
            kinds: vec![
                Kind { shape: 0, stream: 0, level: 0, rows: 3 },
                Kind { shape: 1, stream: 0, level: 4, rows: 5 },
            ],
            packs: vec![Stretch { offset: 70, len: 9, crc: 3 }],
            rows: 8,
            ..Draft::default()
        }
    }

    /// What is in the index can be had.
    fn look(index: &Index) {
        for shape in index.shapes.iter() {
            let _ = shape.unrefined();
        }
        let verdicts = Needle::new(b"took", &index.filter).verdicts(&index.shapes);
        assert_eq!(verdicts.len(), index.shapes.len());
    }

    #[test]
    fn an_index_is_read_as_it_was_written() {
        let draft = draft();
        let index = Index::read(&draft.write().unwrap()).unwrap();
        assert_eq!(index.kinds, draft.kinds);
        let shapes: Vec<SegmentShape> = index.shapes.iter().cloned().collect();
        let rows = |(mut shape, rows): (SegmentShape, usize)| {
            shape.rows = rows;
            shape
        };
        assert_eq!(shapes, draft.shapes.into_iter().zip([3, 5]).map(rows).collect::<Vec<_>>());
        assert_eq!(
            index.shapes.get(1).unwrap().unrefined().literals,
            [b"took ".as_slice().into(), b" ms".as_slice().into()]
        );
        look(&index);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The checksum would refuse it; this is about what stands behind a checksum that fits.
        #[test]
        fn an_index_that_says_anything_is_read_or_refused_without_a_panic(
            changes in prop::collection::vec((0..5_usize, any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in prop::option::of((0..5_usize, any::<prop::sample::Index>())),
        ) {
            let bytes = draft().write().unwrap();
            let mut r = Reader::new(&bytes);
            let mut parts: Vec<Vec<u8>> = (0..5).map(|_| read_squeezed(&mut r, PART_MAX).unwrap()).collect();
            let rest = r.rest().to_vec();
            for (part, at, byte) in changes {
                if !parts[part].is_empty() {
                    let at = at.index(parts[part].len());
                    parts[part][at] = byte;
                }
            }
            if let Some((part, at)) = cut {
                let len = at.index(parts[part].len() + 1);
                parts[part].truncate(len);
            }
            let mut out = Vec::new();
            parts.iter().for_each(|p| put_squeezed(&mut out, p, 1).unwrap());
            out.extend(rest);
            if let Ok(index) = Index::read(&out) {
                look(&index);
            }
        }
    }
}
