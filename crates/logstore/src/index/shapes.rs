//! The shapes of a segment: of each only what most searches need is read at once, all else when it is asked for.

use std::sync::OnceLock;

use wellkept_model::TemplateId;

use super::SegmentShape;
use super::walk::{Gaps, Whole, walk};
use crate::charset::Charset;
use crate::codec::{Corrupt, Reader};
use crate::edges::EdgeTable;
use crate::pack::PackPlace;

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

impl Shapes {
    pub(super) fn read(
        ids: &mut Reader<'_>,
        texts: Vec<u8>,
        names: Vec<u8>,
        numbers: Vec<u8>,
    ) -> Result<Self, Corrupt> {
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

    /// Memory, bytes, roughly.
    pub(super) fn memory(&self) -> usize {
        let text = self.texts.len() + self.names.len() + self.numbers.len();
        text + self.edges.memory() + self.heads.len() * 224
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
