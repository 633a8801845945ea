//! Reading a segment: header, index, order of the rows, columns of one shape.

use std::io;

use crate::codec::{Corrupt, Reader, crc32};
use crate::column::Column;
use crate::disk::{Disk, DiskReader};
use crate::group;
use crate::index::{Index, Param, SegmentShape, Stretch};
use crate::pack::{Pack, expand};

/// Folder of the segments.
pub(crate) const DIR: &str = "segments";

const MAGIC: &[u8; 6] = b"WKLGS\n";
pub(crate) const FOOTER_MAGIC: &[u8; 4] = b"SGL\n";

/// Version of the segment format.
///
/// In version 1 no gap belonged to the one before it; everything else was the same.
pub(crate) const VERSION: u16 = 2;

const HEADER: usize = 6 + 2 + 8 * 7 + 4;
const FOOTER: usize = 8 + 4 + 4 + 4 + 4;

/// What stands at the begin of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    /// Last file of the write-ahead log whose lines are in segments up to this one.
    pub(crate) covers: u64,
    /// Earliest and latest time.
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) rows: u64,
    /// When it was made, by the caller's clock. Lines may claim any time, this does not.
    pub(crate) made: i64,
    /// Number of the segment that this one stands for; 0 for none.
    pub(crate) replaces: u64,
}

impl Header {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.covers.to_le_bytes());
        out.extend_from_slice(&self.min.to_le_bytes());
        out.extend_from_slice(&self.max.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.made.to_le_bytes());
        out.extend_from_slice(&self.replaces.to_le_bytes());
        let sum = crc32(&[&out]);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// Format version and header.
    fn read(bytes: &[u8]) -> Result<(u16, Self), Corrupt> {
        let mut r = Reader::new(bytes);
        if r.take(MAGIC.len())? != MAGIC {
            return Err(Corrupt("the first bytes are not those of a segment"));
        }
        let version = r.u16()?;
        let header = Self {
            number: r.u64()?,
            covers: r.u64()?,
            min: r.i64()?,
            max: r.i64()?,
            rows: r.u64()?,
            made: r.i64()?,
            replaces: r.u64()?,
        };
        let sum = crc32(&[bytes.get(..HEADER - 4).unwrap_or_default()]);
        if r.u32()? == sum {
            Ok((version, header))
        } else {
            Err(Corrupt("the header's checksum does not fit"))
        }
    }
}

/// Path of a segment. The times stand in the name so that they survive the content.
pub(crate) fn segment_name(header: &Header) -> String {
    format!("{DIR}/{:010}_{}_{}.seg", header.number, header.min, header.max)
}

/// Number, earliest and latest time from a file name without the folder.
pub(crate) fn parse_name(file: &str) -> Option<(u64, i64, i64)> {
    let mut parts = file.strip_suffix(".seg")?.split('_');
    let found = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(found)
}

/// Why a segment, or a part of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{0}")]
    Damaged(#[from] Corrupt),
    #[error("failed to read it")]
    Io(#[from] io::Error),
    #[error("format version {0} is newer than this program")]
    Newer(u16),
}

/// A segment that can be read.
pub(crate) struct Segment {
    pub(crate) header: Header,
    pub(crate) name: String,
    pub(crate) bytes: u64,
    index: Stretch,
    file: Box<dyn DiskReader>,
}

impl Segment {
    /// Reads header and footer.
    pub(crate) fn open(disk: &dyn Disk, name: &str, number: u64) -> Result<Self, ReadError> {
        let file = disk.open(name)?;
        let bytes = disk.len(name)?;
        let (version, header) = Header::read(&file.read(0, HEADER)?)?;
        if version > VERSION {
            return Err(ReadError::Newer(version));
        }
        if header.number != number {
            return Err(Corrupt("the header is that of another segment").into());
        }
        let start = bytes.checked_sub(FOOTER as u64).ok_or(Corrupt("it is too short"))?;
        let footer = file.read(start, FOOTER)?;
        let mut r = Reader::new(&footer);
        let index = Stretch { offset: r.u64()?, len: r.u32()?, crc: r.u32()? };
        let sum = crc32(&[&number.to_le_bytes(), footer.get(..16).unwrap_or_default()]);
        if r.u32()? != sum || r.rest() != FOOTER_MAGIC {
            return Err(Corrupt("the footer's checksum does not fit").into());
        }
        Ok(Self { header, name: name.to_owned(), bytes, index, file })
    }

    /// The bytes of a stretch, checked.
    fn stretch(&self, stretch: Stretch) -> Result<Vec<u8>, ReadError> {
        if stretch.offset.saturating_add(u64::from(stretch.len)) > self.bytes {
            return Err(Corrupt("a part lies beyond the end").into());
        }
        let bytes = self.file.read(stretch.offset, stretch.len as usize)?;
        if crc32(&[&bytes]) == stretch.crc {
            Ok(bytes)
        } else {
            Err(Corrupt("a checksum does not fit").into())
        }
    }

    pub(crate) fn index(&self) -> Result<Index, ReadError> {
        let index = Index::read(&self.stretch(self.index)?)?;
        if index.rows as u64 == self.header.rows {
            Ok(index)
        } else {
            Err(Corrupt("the index counts other rows").into())
        }
    }

    /// Time of each row, rising.
    #[expect(clippy::cast_possible_wrap, reason = "wraps back to what it was")]
    pub(crate) fn times(&self, index: &Index) -> Result<Vec<i64>, ReadError> {
        let bytes = self.stretch(index.times)?;
        let mut r = Reader::new(&bytes);
        let unit = r.u64()?;
        let since = expand(r.rest(), index.rows)?;
        let times: Vec<i64> =
            since.into_iter().map(|s| self.header.min.wrapping_add(s.wrapping_mul(unit) as i64)).collect();
        if times.is_sorted() { Ok(times) } else { Err(Corrupt("times do not rise").into()) }
    }

    /// Kind of each row.
    pub(crate) fn order(&self, index: &Index) -> Result<Vec<u32>, ReadError> {
        let bytes = self.stretch(index.order)?;
        let mut r = Reader::new(&bytes);
        let width = usize::from(r.u8()?);
        let order: Vec<u32> = if width == 0 {
            expand(r.rest(), index.rows)?.into_iter().map(|k| k as u32).collect()
        } else {
            let plain = zstd::bulk::decompress(r.rest(), index.rows.saturating_mul(width));
            let plain = plain.map_err(|_| Corrupt("the order of rows does not decompress"))?;
            plain.chunks_exact(width).map(|c| c.iter().rev().fold(0, |n, &b| n << 8 | u32::from(b))).collect()
        };
        let mut left: Vec<u32> = index.kinds.iter().map(|k| k.rows).collect();
        for &kind in &order {
            let left = left.get_mut(kind as usize).ok_or(Corrupt("a row is of no kind"))?;
            *left = left.checked_sub(1).ok_or(Corrupt("a kind has another count of rows"))?;
        }
        if order.len() == index.rows {
            Ok(order)
        } else {
            Err(Corrupt("the order has another count of rows").into())
        }
    }

    pub(crate) fn pack(&self, index: &Index, number: usize) -> Result<Pack, ReadError> {
        let stretch = index.packs.get(number).ok_or(Corrupt("a shape names an unknown pack"))?;
        Ok(Pack::read(&self.stretch(*stretch)?)?)
    }
}

/// The parameters of one shape that are columns; `None` where the value is constant.
pub(crate) fn columns(
    shape: &SegmentShape,
    pack: &Pack,
    times: &[i64],
) -> Result<Vec<Option<Column>>, Corrupt> {
    let mut cursor = pack.cursor(shape.place)?;
    group::decode(&mut cursor, shape.params.iter().map(|p| matches!(p, Param::Column { .. })), times)
}

/// Appends the text of one row of a shape.
pub(crate) fn write_text(shape: &SegmentShape, columns: &[Option<Column>], row: usize, out: &mut Vec<u8>) {
    let mut literals = shape.shape.literals.iter();
    if let Some(first) = literals.next() {
        out.extend_from_slice(first);
    }
    for ((literal, param), column) in literals.zip(&shape.params).zip(columns) {
        write_param(param, column.as_ref(), row, out);
        out.extend_from_slice(literal);
    }
}

/// Appends a parameter of one row.
pub(crate) fn write_param(param: &Param, column: Option<&Column>, row: usize, out: &mut Vec<u8>) {
    match (param, column) {
        (Param::Constant(value), _) => out.extend_from_slice(value),
        (Param::Column { .. }, Some(column)) => column.write(row, out),
        (Param::Column { .. }, None) => {}
    }
}
