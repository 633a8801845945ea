//! Whether a text stands in the lines of a shape, before any line is unpacked.
//!
//! A shape is fixed text with gaps. The text that is looked for may stand in the fixed text: then every line holds
//! it. It may not fit anywhere, because a gap of digits holds no letters: then none does. Only where it may begin in,
//! reach into or lie within a gap must lines be looked at.

use memchr::memmem::{Finder, find};

use crate::charset::Charset;
use crate::filter::Filter;
use crate::index::{Param, SegmentShape, ShapeHead, Shapes, set_bit};

/// Texts longer than this are not followed through gaps.
const FOLLOWED_MAX: usize = 256;

/// Which lines fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    None,
    Maybe,
    All,
}

impl Verdict {
    pub(crate) fn not(self) -> Self {
        match self {
            Self::None => Self::All,
            Self::Maybe => Self::Maybe,
            Self::All => Self::None,
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, Self::All) => Self::All,
            _ => Self::Maybe,
        }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

impl From<bool> for Verdict {
    fn from(fits: bool) -> Self {
        if fits { Self::All } else { Self::None }
    }
}

/// A text that is looked for in the shapes of one segment.
pub(crate) struct Needle<'a> {
    text: &'a [u8],
    finder: Finder<'a>,
    /// Whether the three bytes that begin here may stand in a parameter.
    triple_fits: Vec<bool>,
    /// Places in the text up to which what stands before has been matched.
    alive: Vec<bool>,
    next: Vec<bool>,
    fixed: Vec<u8>,
}

/// Texts of so many bytes have two of them in fixed text beside a gap, when gaps hold two of them at most.
const PAIRED_MIN: usize = 6;

/// Bytes at which a text can be cut by the edge of a gap.
struct Edges {
    /// Bytes with more of the text behind them.
    heads: Charset,
    /// Bytes with some of the text in front of them.
    tails: Charset,
}

impl Edges {
    fn of(text: &[u8]) -> Self {
        let mut out = Self { heads: Charset::default(), tails: Charset::default() };
        out.heads.add(text.split_last().map_or(&[][..], |(_, heads)| heads));
        out.tails.add(text.split_first().map_or(&[][..], |(_, tails)| tails));
        out
    }

    /// Whether the text can stand partly in a gap: then what is in front of it or behind it is the text's.
    fn may_meet(&self, head: &ShapeHead) -> bool {
        head.touching || self.heads.meets(&head.before) || self.tails.meets(&head.after)
    }
}

/// What the sets of bytes of a segment's gaps say of a text.
struct Sets {
    /// Gaps that hold none of the text's bytes are walls: the text stands in front of them or behind. These are the others.
    doors: u64,
    /// Gaps that hold all of them may hold the whole text.
    rooms: u64,
}

impl<'a> Needle<'a> {
    pub(crate) fn new(text: &'a [u8], filter: &Filter) -> Self {
        Self {
            text,
            finder: Finder::new(text),
            triple_fits: text.windows(3).map(|t| filter.may_hold(t)).collect(),
            alive: vec![false; text.len()],
            next: vec![false; text.len()],
            fixed: Vec::new(),
        }
    }

    /// Which lines of each shape hold the text.
    pub(crate) fn verdicts(&mut self, shapes: &Shapes) -> Vec<Verdict> {
        if self.text.is_empty() {
            return vec![Verdict::All; shapes.len()];
        }
        let sets = self.sets(shapes);
        let edges = Edges::of(self.text);
        let mut found = vec![Verdict::None; shapes.len()];
        for number in self.candidates(shapes) {
            let Some(head) = shapes.heads.get(number as usize) else { continue };
            let has_doors = head.may_vanish
                || head.sets & sets.rooms != 0
                || (head.sets & sets.doors != 0 && edges.may_meet(head));
            if has_doors {
                self.judge(shapes, number, &mut found);
            }
        }
        for number in self.near(shapes) {
            self.judge(shapes, number, &mut found);
        }
        found
    }

    fn judge(&mut self, shapes: &Shapes, number: u32, found: &mut [Verdict]) {
        if let Some(verdict) = found.get_mut(number as usize).filter(|v| **v == Verdict::None) {
            *verdict = shapes.get(number as usize).map_or(Verdict::Maybe, |shape| self.verdict(shape));
        }
    }

    fn sets(&self, shapes: &Shapes) -> Sets {
        let mut out = Sets { doors: 0, rooms: 0 };
        let fits = self.triple_fits.iter().all(|fits| *fits);
        for (number, set) in shapes.sets.iter().enumerate() {
            if self.text.iter().any(|b| set.holds(*b)) {
                out.doors |= set_bit(number);
            }
            if fits && self.text.iter().all(|b| set.holds(*b)) {
                out.rooms |= set_bit(number);
            }
        }
        out
    }

    /// Shapes in whose lines the text may stand partly in a gap.
    fn candidates(&self, shapes: &Shapes) -> Vec<u32> {
        if self.triple_fits.contains(&true) || self.text.len() < PAIRED_MIN {
            return (0..shapes.len() as u32).collect();
        }
        let mut out: Vec<u32> = self.text.windows(2).flat_map(|edge| shapes.edges.shapes(edge)).collect();
        out.extend(self.between_gaps(shapes));
        out.extend(&shapes.open);
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Shapes in which the text may lie so that what is fixed of it are single bytes, each between two gaps.
    ///
    /// A gap holds two bytes of it at most, so of three in a row that are neither its first nor its last one is such a
    /// byte: those three decide that are so in the fewest shapes.
    fn between_gaps(&self, shapes: &Shapes) -> Vec<u32> {
        let inner = self.text.get(1..self.text.len() - 1).unwrap_or_default();
        let of = |three: &[u8]| three.chunks(1).flat_map(|b| shapes.edges.shapes(b)).collect::<Vec<_>>();
        inner.windows(3).map(of).min_by_key(Vec::len).unwrap_or_default()
    }

    /// Shapes in whose fixed text, taken without its gaps, the text begins.
    fn near(&self, shapes: &Shapes) -> Vec<u32> {
        let find_from = |at: usize| shapes.texts.get(at..).and_then(|t| self.finder.find(t)).map(|n| at + n);
        let mut out = Vec::new();
        let mut next = find_from(0);
        while let Some(at) = next {
            // Shapes without fixed text begin where the next one does.
            let behind = shapes.heads.partition_point(|h| h.text as usize <= at);
            out.extend(behind.checked_sub(1).map(|number| number as u32));
            next = shapes.heads.get(behind).and_then(|h| find_from(h.text as usize));
        }
        out
    }

    /// Which lines of the shape hold the text.
    fn verdict(&mut self, shape: &SegmentShape) -> Verdict {
        let mut found = Verdict::None;
        self.alive.fill(false);
        let mut fixed = std::mem::take(&mut self.fixed);
        fixed.clear();
        let gaps = shape.params.iter().take(shape.shape.kinds.len()).map(Some).chain([None]);
        for (literal, param) in shape.shape.literals.iter().zip(gaps) {
            fixed.extend_from_slice(literal);
            match param {
                Some(Param::Constant(value)) => {
                    fixed.extend_from_slice(value);
                    continue;
                }
                Some(Param::Column { prefix, bytes, lengths }) => {
                    fixed.extend_from_slice(prefix);
                    found = found.or(self.through_fixed(&fixed));
                    if found != Verdict::All {
                        found = found.or(self.through_gap(bytes, *lengths));
                    }
                    fixed.clear();
                }
                None => found = found.or(self.through_fixed(&fixed)),
            }
            if found == Verdict::All {
                break;
            }
        }
        self.fixed = fixed;
        found
    }

    fn through_fixed(&mut self, fixed: &[u8]) -> Verdict {
        if self.text.is_empty() || self.finder.find(fixed).is_some() {
            return Verdict::All;
        }
        let mut found = Verdict::None;
        self.next.fill(false);
        for from in self.alive.iter().enumerate().filter(|(_, a)| **a).map(|(i, _)| i) {
            let left = self.text.get(from..).unwrap_or_default();
            if fixed.starts_with(left) {
                found = Verdict::Maybe;
            } else if left.starts_with(fixed)
                && let Some(next) = self.next.get_mut(from + fixed.len())
            {
                *next = true;
            }
        }
        for (len, next) in self.next.iter_mut().enumerate().skip(1).take(fixed.len()) {
            *next |= self.text.get(..len).is_some_and(|head| fixed.ends_with(head));
        }
        std::mem::swap(&mut self.alive, &mut self.next);
        found
    }

    fn through_gap(&mut self, bytes: &Charset, (shortest, longest): (usize, usize)) -> Verdict {
        if self.text.len() > FOLLOWED_MAX {
            self.alive.fill(true);
            return Verdict::Maybe;
        }
        let mut found = Verdict::None;
        self.next.fill(false);
        let starts = self.alive.iter().enumerate().filter(|(i, a)| **a && *i > 0);
        for (from, _) in starts {
            let reach = self.reach(from, bytes).min(longest);
            if from + reach >= self.text.len() {
                found = Verdict::Maybe;
            }
            for next in self.next.iter_mut().skip(from + shortest).take((reach + 1).saturating_sub(shortest))
            {
                *next = true;
            }
        }
        let reach = self.reach(0, bytes).min(longest);
        if reach >= self.text.len() {
            found = Verdict::Maybe;
        }
        for next in self.next.iter_mut().skip(1).take(reach) {
            *next = true;
        }
        std::mem::swap(&mut self.alive, &mut self.next);
        found
    }

    /// How many bytes of the text, from a place on, one value could hold.
    fn reach(&self, from: usize, bytes: &Charset) -> usize {
        let left = self.text.get(from..).unwrap_or_default();
        let mut reach = left.iter().take_while(|b| bytes.holds(**b)).count();
        let triples = self.triple_fits.get(from..).unwrap_or_default().iter();
        if let Some(bad) = triples.take(reach.saturating_sub(2)).position(|fits| !fits) {
            reach = bad + 2;
        }
        reach
    }
}

/// Whether a text holds another.
pub(crate) fn holds(text: &[u8], needle: &[u8]) -> bool {
    find(text, needle).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wellkept_model::{ParamKind, Shape, TemplateId};

    use super::*;
    use crate::filter::FilterBuilder;
    use crate::index::{Draft, Index};

    /// The shape as a segment would describe it, and the lines.
    fn segment(literals: &[&str], rows: &[Vec<String>]) -> (SegmentShape, Filter, Vec<String>) {
        let mut filter = FilterBuilder::default();
        let n = literals.len() - 1;
        let mut params = Vec::new();
        for p in 0..n {
            let values: Vec<&str> = rows.iter().map(|r| r[p].as_str()).collect();
            if values.iter().all(|v| *v == values[0]) {
                params.push(Param::Constant(values[0].as_bytes().to_vec()));
                continue;
            }
            let first = values[0];
            let same = |len: usize, v: &&str| {
                first.bytes().take(len).zip(v.bytes()).take_while(|(a, b)| a == b).count()
            };
            let prefix = values.iter().fold(first.len(), same);
            let values: Vec<&str> = values.iter().map(|v| &v[prefix..]).collect();
            let prefix = first.as_bytes()[..prefix].to_vec();
            let mut bytes = Charset::default();
            values.iter().for_each(|v| bytes.add(v.as_bytes()));
            values.iter().for_each(|v| filter.add(v.as_bytes()));
            let lengths = values.iter().map(|v| v.len());
            params.push(Param::Column {
                prefix,
                bytes,
                lengths: (lengths.clone().min().unwrap(), lengths.max().unwrap()),
            });
        }
        let shape = Shape {
            template: TemplateId(1),
            literals: literals.iter().map(|l| l.as_bytes().into()).collect(),
            kinds: vec![ParamKind::Text; n],
        };
        let lines = rows.iter().map(|row| {
            let values = row.iter().map(String::as_str).chain([""]);
            literals.iter().zip(values).flat_map(|(l, v)| [*l, v]).collect()
        });
        let lines = lines.collect();
        let shape = SegmentShape { shape, params, rows: rows.len(), ..SegmentShape::default() };
        (shape, filter.finish(), lines)
    }

    fn verdict(literals: &[&str], rows: &[&[&str]], text: &str) -> Verdict {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|r| r.iter().map(|v| (*v).to_owned()).collect()).collect();
        let (shape, filter, _) = segment(literals, &rows);
        Needle::new(text.as_bytes(), &filter).verdict(&shape)
    }

    #[test]
    fn fixed_text_and_the_bytes_of_gaps_decide_most() {
        let rows: &[&[&str]] = &[&["15"], &["220"]];
        assert_eq!(verdict(&["took ", " ms"], rows, "took"), Verdict::All);
        assert_eq!(verdict(&["took ", " ms"], rows, "error"), Verdict::None);
        assert_eq!(verdict(&["took ", " ms"], rows, "took 2"), Verdict::Maybe);
        assert_eq!(verdict(&["took ", " ms"], rows, "5 m"), Verdict::Maybe);
        assert_eq!(verdict(&["took ", " ms"], rows, "2205"), Verdict::None);
        assert_eq!(verdict(&["took ", " ms"], rows, ""), Verdict::All);
        assert_eq!(verdict(&["a", "b"], &[&["x"], &["x"]], "axb"), Verdict::All);
        assert_eq!(verdict(&["user ", ""], &[&["alice"], &["bob"]], "carol"), Verdict::None);
        assert_eq!(verdict(&["user ", ""], &[&["alice"], &["bob"]], "lice"), Verdict::Maybe);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn a_verdict_is_never_wrong(
            literals in prop::collection::vec("[ab1]{0,5}", 4),
            rows in prop::collection::vec(prop::collection::vec("[ab12]{0,3}", 3), 1..6),
            text in "[ab12]{0,11}",
        ) {
            let literals: Vec<&str> = literals.iter().map(String::as_str).collect();
            let (shape, filter, lines) = segment(&literals, &rows);
            let found = lines.iter().filter(|l| l.contains(&text)).count();
            let draft = Draft { shapes: vec![shape.clone()], ..Draft::default() };
            let index = Index::read(&draft.write().unwrap()).unwrap();
            let mut needle = Needle::new(text.as_bytes(), &filter);
            for verdict in [needle.verdict(&shape), needle.verdicts(&index.shapes)[0]] {
                match verdict {
                    Verdict::All => prop_assert_eq!(found, lines.len()),
                    Verdict::None => prop_assert_eq!(found, 0),
                    Verdict::Maybe => {}
                }
            }
        }

        #[test]
        fn a_text_that_runs_through_many_short_gaps_is_not_missed(
            literals in prop::collection::vec("[ab-]{1,2}", 9),
            rows in prop::collection::vec(prop::collection::vec("[ab1]{1,2}", 8), 2..5),
            (row, from, len) in (any::<prop::sample::Index>(), any::<prop::sample::Index>(), PAIRED_MIN..14),
        ) {
            let literals: Vec<&str> = literals.iter().map(String::as_str).collect();
            let (shape, filter, lines) = segment(&literals, &rows);
            let line = row.get(&lines);
            let from = from.index(line.len());
            let text = &line.as_bytes()[from..(from + len).min(line.len())];
            let index = Index::read(&Draft { shapes: vec![shape], ..Draft::default() }.write().unwrap()).unwrap();
            prop_assert_ne!(Needle::new(text, &filter).verdicts(&index.shapes)[0], Verdict::None);
        }
    }
}
