//! The index of a segment: its streams, its shapes with what is known of their parameters, and how many lines there
//! are of each kind. A search reads it first and often needs nothing else.

use std::io;

use hashbrown::HashMap;
use wellkept_model::{Labels, ParamKind, Shape, TemplateId};

use crate::charset::Charset;
use crate::codec::{Corrupt, Reader, put_bytes, put_signed, put_squeezed, put_varint, read_squeezed};
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
        /// The bytes that occur.
        bytes: Charset,
        /// Shortest and longest value.
        lengths: (usize, usize),
    },
}

/// A shape, with the names of the fields that its lines carry beside their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentShape {
    pub(crate) shape: Shape,
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

/// The index of one segment.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) streams: Vec<Labels>,
    pub(crate) shapes: Vec<SegmentShape>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) filter: Filter,
    pub(crate) packs: Vec<Stretch>,
    pub(crate) times: Stretch,
    pub(crate) order: Stretch,
    pub(crate) rows: usize,
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

impl Index {
    /// The index as bytes.
    pub(crate) fn write(&self) -> io::Result<Vec<u8>> {
        let (mut ids, mut texts, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        put_varint(&mut numbers, self.rows as u64);
        put_varint(&mut numbers, self.streams.len() as u64);
        for labels in &self.streams {
            put_varint(&mut numbers, labels.len() as u64);
            for (name, value) in labels.iter() {
                put_bytes(&mut texts, name.as_bytes());
                put_bytes(&mut texts, value.as_bytes());
            }
        }
        self.write_shapes(&mut ids, &mut texts, &mut numbers);
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
        for part in [&ids, &texts, &numbers] {
            put_squeezed(&mut out, part, ZSTD_LEVEL)?;
        }
        self.filter.write(&mut out);
        Ok(out)
    }

    fn write_shapes(&self, ids: &mut Vec<u8>, texts: &mut Vec<u8>, numbers: &mut Vec<u8>) {
        let mut sets: Vec<Charset> = Vec::new();
        let mut known: HashMap<Charset, usize> = HashMap::new();
        let columns = self.shapes.iter().flat_map(|s| &s.params);
        for bytes in
            columns.filter_map(|p| if let Param::Column { bytes, .. } = p { Some(*bytes) } else { None })
        {
            known.entry(bytes).or_insert_with(|| {
                sets.push(bytes);
                sets.len() - 1
            });
        }
        put_varint(numbers, sets.len() as u64);
        sets.iter().flat_map(|s| s.0).for_each(|w| numbers.extend_from_slice(&w.to_le_bytes()));
        put_varint(numbers, self.shapes.len() as u64);
        let mut place = PackPlace::default();
        let mut pack = 0;
        for shape in &self.shapes {
            ids.extend_from_slice(&shape.shape.template.0.to_le_bytes());
            put_varint(numbers, shape.shape.kinds.len() as u64);
            for literal in &shape.shape.literals {
                put_bytes(texts, literal);
            }
            for kind in &shape.shape.kinds {
                numbers.push(KINDS.iter().position(|k| k == kind).unwrap_or(0) as u8);
            }
            put_varint(numbers, shape.keys.len() as u64);
            for key in &shape.keys {
                put_bytes(texts, key.as_bytes());
            }
            for param in &shape.params {
                match param {
                    Param::Constant(value) => {
                        numbers.push(0);
                        put_bytes(texts, value);
                    }
                    Param::Column { bytes, lengths } => {
                        put_varint(numbers, known.get(bytes).map_or(1, |&i| i as u64 + 1));
                        put_varint(numbers, lengths.0 as u64);
                        put_varint(numbers, (lengths.1 - lengths.0) as u64);
                    }
                }
            }
            // Places rise within a pack and begin at 0 in the next.
            if shape.pack != pack {
                place = PackPlace::default();
            }
            put_varint(numbers, (shape.pack - pack) as u64);
            put_varint(numbers, (shape.place.text - place.text) as u64);
            put_varint(numbers, (shape.place.numbers - place.numbers) as u64);
            (pack, place) = (shape.pack, shape.place);
        }
    }

    /// Reads what [`Self::write`] wrote.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut r = Reader::new(bytes);
        let ids = read_squeezed(&mut r, PART_MAX)?;
        let texts = read_squeezed(&mut r, PART_MAX)?;
        let numbers = read_squeezed(&mut r, PART_MAX)?;
        let filter = Filter::read(&mut r)?;
        let (mut ids, mut texts, mut numbers) =
            (Reader::new(&ids), Reader::new(&texts), Reader::new(&numbers));
        let mut out = Self { filter, rows: numbers.size()?, ..Self::default() };
        for _ in 0..numbers.count()? {
            let mut pairs = Vec::new();
            for _ in 0..numbers.size()?.min(texts.rest().len()) {
                pairs.push((texts.text()?, texts.text()?));
            }
            out.streams.push(Labels::new(pairs));
        }
        out.shapes = read_shapes(&mut ids, &mut texts, &mut numbers)?;
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
            let of = out.shapes.get_mut(shape as usize).ok_or(Corrupt("a kind names no shape"))?;
            of.rows = of.rows.saturating_add(kind.rows as usize);
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
        let shape = |s: &SegmentShape| {
            let literals: usize = s.shape.literals.iter().map(|l| l.len() + 24).sum();
            literals + s.params.len() * size_of::<Param>() + size_of::<SegmentShape>()
        };
        self.shapes.iter().map(shape).sum::<usize>() + self.kinds.len() * size_of::<Kind>()
    }
}

fn read_shapes(
    ids: &mut Reader<'_>,
    texts: &mut Reader<'_>,
    numbers: &mut Reader<'_>,
) -> Result<Vec<SegmentShape>, Corrupt> {
    let mut sets = Vec::new();
    for _ in 0..numbers.count()? {
        sets.push(Charset([numbers.u64()?, numbers.u64()?, numbers.u64()?, numbers.u64()?]));
    }
    let count = numbers.count()?;
    let mut shapes = Vec::with_capacity(count);
    let mut place = PackPlace::default();
    let mut pack = 0_usize;
    for _ in 0..count {
        let template = TemplateId(ids.u64()?);
        let n = numbers.count()?;
        let mut literals: Vec<Box<[u8]>> = Vec::with_capacity(n + 1);
        for _ in 0..=n {
            literals.push(texts.bytes()?.into());
        }
        let mut kinds = Vec::with_capacity(n);
        for _ in 0..n {
            let kind = KINDS.get(usize::from(numbers.u8()?));
            kinds.push(*kind.ok_or(Corrupt("a parameter has an unknown type"))?);
        }
        let mut keys = Vec::new();
        for _ in 0..numbers.count()? {
            keys.push(texts.text()?.to_owned());
        }
        let mut params = Vec::with_capacity(n + keys.len());
        for _ in 0..n + keys.len() {
            params.push(match numbers.size()? {
                0 => Param::Constant(texts.bytes()?.to_vec()),
                set => {
                    let bytes =
                        *sets.get(set - 1).ok_or(Corrupt("a column names an unknown set of bytes"))?;
                    let shortest = numbers.size()?;
                    let longest = shortest.saturating_add(numbers.size()?);
                    Param::Column { bytes, lengths: (shortest, longest) }
                }
            });
        }
        let skipped = numbers.size()?;
        if skipped > 0 {
            place = PackPlace::default();
        }
        pack = pack.saturating_add(skipped);
        place = PackPlace {
            text: place.text.saturating_add(numbers.size()?),
            numbers: place.numbers.saturating_add(numbers.size()?),
        };
        let shape = Shape { template, literals, kinds };
        shapes.push(SegmentShape { shape, keys, params, pack, place, rows: 0 });
    }
    Ok(shapes)
}
