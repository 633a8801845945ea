//! Writes an index.

use std::io;

use hashbrown::HashMap;

use super::walk::{JOINED, KINDS};
use super::{Draft, Param, SegmentShape};
use crate::charset::Charset;
use crate::codec::{put_bytes, put_signed, put_squeezed, put_varint};
use crate::pack::PackPlace;

/// How hard zstd tries.
const ZSTD_LEVEL: i32 = 19;

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
