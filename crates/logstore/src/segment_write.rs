//! Making a segment out of pieces of the head: rows by time, values by shape.

use std::io;
use std::sync::Arc;

use hashbrown::HashMap;
use wellkept_model::{Labels, ParamKind, Shape};

use crate::charset::Charset;
use crate::codec::crc32;
use crate::filter::FilterBuilder;
use crate::group;
use crate::head::{Piece, Row};
use crate::index::{Draft, Kind, Param, SegmentShape, Stretch};
use crate::pack::{PackWriter, squeeze};
use crate::refine::{self, Refined};
use crate::segment::{FOOTER_MAGIC, Header};
use crate::strings::Strings;

/// Bytes at which a pack is ended. Larger ones shrink better, smaller ones cost a search less.
const PACK_BYTES: usize = 1 << 20;

/// Longest beginning of values that is kept in the index, bytes.
const PREFIX_MAX: usize = 64;

/// How hard zstd tries with the order of kinds.
const ZSTD_LEVEL: i32 = 19;

/// A segment in the making.
struct Builder<'a> {
    rows: Vec<(&'a Piece, &'a Row)>,
    times: Vec<i64>,
    index: Draft,
    out: Vec<u8>,
    filter: FilterBuilder,
}

/// What the caller says of a new segment; see [`Header`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Birth {
    pub(crate) number: u64,
    pub(crate) covers: u64,
    pub(crate) made: i64,
    pub(crate) replaces: u64,
}

/// The bytes of a segment with all lines of `pieces`.
pub(crate) fn build(pieces: &[Arc<Piece>], birth: Birth) -> io::Result<(Header, Vec<u8>)> {
    let mut rows: Vec<(&Piece, &Row)> =
        pieces.iter().flat_map(|p| p.rows.iter().map(move |r| (p.as_ref(), r))).collect();
    // Stable: lines of one time stay in the order in which they came.
    rows.sort_by_key(|(_, row)| row.at);
    let times: Vec<i64> = rows.iter().map(|(_, row)| row.at).collect();
    let header = Header {
        number: birth.number,
        covers: birth.covers,
        made: birth.made,
        replaces: birth.replaces,
        min: times.first().copied().unwrap_or(0),
        max: times.last().copied().unwrap_or(0),
        rows: rows.len() as u64,
    };
    let mut builder = Builder {
        rows,
        times,
        index: Draft::default(),
        out: header.write(),
        filter: FilterBuilder::default(),
    };
    let (of_row, shapes) = builder.shapes();
    let order = builder.kinds(&of_row);
    builder.columns(&shapes)?;
    builder.rows_themselves(&order, header.min)?;
    builder.finish(birth.number).map(|bytes| (header, bytes))
}

/// Shape and names of fields.
type ShapeKey = (Arc<Shape>, Vec<Vec<u8>>);

/// The rows of a shape.
struct ShapeRows {
    /// For each parameter of the template whether it was taken apart.
    apart: Vec<bool>,
    rows: Vec<u32>,
}

impl Builder<'_> {
    /// Fills the table of shapes. Gives the shape of each row, and for each shape its rows and which parameters of the
    /// template were taken apart.
    fn shapes(&mut self) -> (Vec<u32>, Vec<ShapeRows>) {
        let mut known: HashMap<ShapeKey, Vec<u32>> = HashMap::new();
        for ((piece, row), number) in self.rows.iter().zip(0..) {
            let Some(shape) = piece.shape(row) else { continue };
            let keys: Vec<Vec<u8>> = piece.fields(row).map(|(k, _)| k.to_vec()).collect();
            known.entry((Arc::clone(shape), keys)).or_default().push(number);
        }
        let mut refined: Vec<(Refined, Vec<Vec<u8>>)> = Vec::new();
        for ((shape, keys), rows) in known {
            let params = |row: u32| self.rows.get(row as usize).into_iter().flat_map(|(p, r)| p.params(r));
            refined.extend(refine::refine(&shape, &rows, params).into_iter().map(|r| (r, keys.clone())));
        }
        // Alike shapes stand together, so that zstd sees them together.
        refined.sort_by(|(a, a_keys), (b, b_keys)| {
            let key = |r: &Refined| (r.shape.template, r.rows.first().copied());
            (&a.shape.literals, a_keys, key(a)).cmp(&(&b.shape.literals, b_keys, key(b)))
        });
        let mut of_row = vec![0; self.rows.len()];
        let mut rows_of = Vec::with_capacity(refined.len());
        for ((refined, keys), number) in refined.into_iter().zip(0..) {
            for &row in &refined.rows {
                if let Some(of_row) = of_row.get_mut(row as usize) {
                    *of_row = number;
                }
            }
            rows_of.push(ShapeRows { apart: refined.apart, rows: refined.rows });
            self.index.shapes.push(SegmentShape {
                shape: refined.shape,
                joined: refined.joined,
                keys: keys.into_iter().map(|k| String::from_utf8_lossy(&k).into_owned()).collect(),
                params: Vec::new(),
                pack: 0,
                place: Default::default(),
                rows: 0,
            });
        }
        (of_row, rows_of)
    }

    /// Fills the table of kinds. Gives the kind of each row.
    fn kinds(&mut self, of_row: &[u32]) -> Vec<u32> {
        let mut streams: HashMap<Labels, u32> = HashMap::new();
        let mut known: HashMap<(u32, u32, u8), u32> = HashMap::new();
        let mut kinds: Vec<Kind> = Vec::new();
        let mut order = Vec::with_capacity(of_row.len());
        for ((piece, row), &shape) in self.rows.iter().zip(of_row) {
            let Some(labels) = piece.streams.get(row.stream as usize) else { continue };
            let next = streams.len() as u32;
            let stream = *streams.entry_ref(labels).or_insert_with(|| next);
            if stream == next {
                self.index.streams.push(labels.clone());
            }
            let number = *known.entry((shape, stream, row.level)).or_insert_with(|| {
                kinds.push(Kind { shape, stream, level: row.level, rows: 0 });
                kinds.len() as u32 - 1
            });
            if let Some(kind) = kinds.get_mut(number as usize) {
                kind.rows += 1;
            }
            order.push(number);
        }
        let mut sorted: Vec<(Kind, u32)> = kinds.into_iter().zip(0..).collect();
        sorted.sort_by_key(|(k, _)| (k.shape, k.stream, k.level));
        let mut renamed = vec![0_u32; sorted.len()];
        for (new, (kind, old)) in sorted.into_iter().enumerate() {
            self.index.kinds.push(kind);
            if let Some(place) = renamed.get_mut(old as usize) {
                *place = new as u32;
            }
        }
        for number in &mut order {
            *number = renamed.get(*number as usize).copied().unwrap_or(0);
        }
        order
    }

    fn columns(&mut self, rows_of: &[ShapeRows]) -> io::Result<()> {
        let mut pack = PackWriter::default();
        for (number, rows) in rows_of.iter().enumerate() {
            let Some(mut shape) = self.index.shapes.get_mut(number).map(std::mem::take) else { continue };
            (shape.pack, shape.place) = (self.index.packs.len(), pack.place());
            self.shape_columns(&mut shape, rows, &mut pack)?;
            shape.rows = rows.rows.len();
            if let Some(place) = self.index.shapes.get_mut(number) {
                *place = shape;
            }
            if pack.size() >= PACK_BYTES {
                let bytes = pack.finish()?;
                let stretch = self.append(&bytes)?;
                self.index.packs.push(stretch);
            }
        }
        if pack.size() > 0 {
            let bytes = pack.finish()?;
            let stretch = self.append(&bytes)?;
            self.index.packs.push(stretch);
        }
        Ok(())
    }

    fn shape_columns(
        &mut self,
        shape: &mut SegmentShape,
        ShapeRows { apart, rows }: &ShapeRows,
        pack: &mut PackWriter,
    ) -> io::Result<()> {
        let n_params = shape.shape.kinds.len();
        let mut columns: Vec<Strings> = vec![Strings::default(); n_params + shape.keys.len()];
        let mut times = Vec::with_capacity(rows.len());
        for &number in rows {
            let Some((piece, row)) = self.rows.get(number as usize) else { continue };
            times.push(row.at);
            let mut columns = columns.iter_mut();
            let mut push = |value: &[u8]| {
                if let Some(column) = columns.next() {
                    column.push(value);
                }
            };
            for (value, is_apart) in piece.params(row).zip(apart) {
                if *is_apart { refine::gaps(value).for_each(&mut push) } else { push(value) }
            }
            piece.fields(row).for_each(|(_, value)| push(value));
        }
        let mut varying = Vec::new();
        for column in columns {
            let first = column.get(0);
            if column.iter().all(|v| v == first) {
                shape.params.push(Param::Constant(first.to_vec()));
                continue;
            }
            // Fields are not part of the text that is searched.
            let prefix =
                if shape.params.len() < n_params { common_prefix(&column).to_vec() } else { Vec::new() };
            let mut bytes = Charset::default();
            let mut lengths = (usize::MAX, 0);
            for rest in column.iter().map(|v| v.get(prefix.len()..).unwrap_or_default()) {
                bytes.add(rest);
                lengths = (rest.len().min(lengths.0), rest.len().max(lengths.1));
                self.filter.add(rest);
            }
            shape.params.push(Param::Column { prefix, bytes, lengths });
            varying.push(column);
        }
        if !varying.is_empty() {
            group::encode(pack, &varying, &times)?;
        }
        Ok(())
    }

    #[expect(clippy::cast_sign_loss, reason = "times are not below the earliest")]
    fn rows_themselves(&mut self, order: &[u32], min: i64) -> io::Result<()> {
        let since: Vec<u64> = self.times.iter().map(|&t| t.wrapping_sub(min) as u64).collect();
        let unit = since.iter().fold(0, |a, &b| gcd(a, b)).max(1);
        let mut times = unit.to_le_bytes().to_vec();
        times.extend(squeeze(&since.iter().map(|s| s / unit).collect::<Vec<_>>(), true)?);
        self.index.times = self.append(&times)?;
        let numbers: Vec<u64> = order.iter().map(|&k| u64::from(k)).collect();
        let mut packed = vec![0];
        packed.extend(squeeze(&numbers, false)?);
        // Streaks and repeated sequences are what zstd sees and `pco` does not.
        let wide = order.iter().any(|&k| k > u32::from(u16::MAX));
        let plain: Vec<u8> = if wide {
            order.iter().flat_map(|k| k.to_le_bytes()).collect()
        } else {
            order.iter().flat_map(|&k| (k as u16).to_le_bytes()).collect()
        };
        let mut zipped = vec![if wide { 4 } else { 2 }];
        zipped.extend(zstd::bulk::compress(&plain, ZSTD_LEVEL)?);
        let best = if zipped.len() < packed.len() { zipped } else { packed };
        self.index.order = self.append(&best)?;
        self.index.rows = order.len();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<Stretch> {
        let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let stretch = Stretch { offset: self.out.len() as u64, len, crc: crc32(&[bytes]) };
        self.out.extend_from_slice(bytes);
        Ok(stretch)
    }

    fn finish(mut self, number: u64) -> io::Result<Vec<u8>> {
        self.index.filter = std::mem::take(&mut self.filter).finish();
        let index = self.index.write()?;
        let stretch = self.append(&index)?;
        let mut footer = stretch.offset.to_le_bytes().to_vec();
        footer.extend_from_slice(&stretch.len.to_le_bytes());
        footer.extend_from_slice(&stretch.crc.to_le_bytes());
        let sum = crc32(&[&number.to_le_bytes(), &footer]);
        footer.extend_from_slice(&sum.to_le_bytes());
        footer.extend_from_slice(FOOTER_MAGIC);
        self.out.extend_from_slice(&footer);
        Ok(self.out)
    }
}

impl Default for SegmentShape {
    fn default() -> Self {
        let shape = Shape {
            template: wellkept_model::TemplateId(0),
            literals: Vec::new(),
            kinds: Vec::<ParamKind>::new(),
        };
        Self {
            shape,
            joined: Vec::new(),
            keys: Vec::new(),
            params: Vec::new(),
            pack: 0,
            place: Default::default(),
            rows: 0,
        }
    }
}

/// What all values begin with, up to a bound.
fn common_prefix(values: &Strings) -> &[u8] {
    let first = values.get(0);
    let first = first.get(..PREFIX_MAX).unwrap_or(first);
    let shared = |len: usize, v: &[u8]| first.iter().take(len).zip(v).take_while(|(a, b)| a == b).count();
    let len = values.iter().fold(first.len(), shared);
    first.get(..len).unwrap_or_default()
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
