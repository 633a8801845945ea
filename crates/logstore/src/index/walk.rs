//! Reads what stands in an index about one shape, for those who want all of it and those who want little.

use wellkept_model::ParamKind;

use super::shapes::{ShapeHead, set_bit};
use super::{Param, SegmentShape};
use crate::charset::Charset;
use crate::codec::{Corrupt, Reader};
use crate::edges::EdgeTable;

pub(super) const KINDS: [ParamKind; 9] = [
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
pub(super) const JOINED: u8 = 0x80;

/// Takes what stands in the index about one shape, piece by piece.
pub(super) trait TakeShape {
    fn kind(&mut self, kind: ParamKind, joined: bool);
    fn key(&mut self, key: &str);
    fn literal(&mut self, literal: &[u8]);
    fn constant(&mut self, value: &[u8], of_text: bool);
    /// `prefix`: none for fields.
    fn column(&mut self, set: usize, lengths: (usize, usize), prefix: Option<&[u8]>) -> Result<(), Corrupt>;
}

/// Reads one shape as [`write_shape`] wrote it.
pub(super) fn walk(
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
pub(super) struct Gaps<'a> {
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
    pub(super) fn new(head: &'a mut ShapeHead, number: u32, edges: &'a mut EdgeTable, sets: usize) -> Self {
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
pub(super) struct Whole<'a> {
    pub(super) out: SegmentShape,
    pub(super) sets: &'a [Charset],
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
