//! The index of a segment: its streams, its shapes with what is known of their parameters, and how many lines there
//! are of each kind. A search reads it first and often needs nothing else.
//!
//! Reading it must be cheap: the fixed text of all shapes stays one piece of memory that is searched at once, and what
//! else there is to a shape is only read for those that are looked at.

mod shapes;
mod walk;
mod write;

use wellkept_model::{Labels, Shape};

pub(crate) use self::shapes::{ShapeHead, Shapes, set_bit};
use crate::charset::Charset;
use crate::codec::{Corrupt, Reader, decompressor, read_squeezed_with};
use crate::filter::Filter;
use crate::pack::PackPlace;

/// Largest part of an index, unpacked, bytes.
const PART_MAX: usize = 1 << 30;

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
        self.shapes.memory() + self.kinds.len() * size_of::<Kind>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wellkept_model::{ParamKind, TemplateId};

    use super::*;
    use crate::codec::{put_squeezed, read_squeezed};
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
