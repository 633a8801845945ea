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

/// Where a text can be cut by the edge of a gap.
struct Edges {
    /// Bytes with more of the text behind them.
    heads: Charset,
    /// Bytes with some of the text in front of them.
    tails: Charset,
    /// Its pairs of bytes, when it must have one of them beside a gap.
    pairs: Option<Charset>,
}

impl Edges {
    /// `in_gaps`: whether three bytes of the text in a row may stand in a gap.
    fn of(text: &[u8], in_gaps: bool) -> Self {
        let mut out = Self { heads: Charset::default(), tails: Charset::default(), pairs: None };
        out.heads.add(text.split_last().map_or(&[][..], |(_, heads)| heads));
        out.tails.add(text.split_first().map_or(&[][..], |(_, tails)| tails));
        if !in_gaps && text.len() >= PAIRED_MIN {
            let mut pairs = Charset::default();
            text.windows(2).chain(text.chunks(1)).for_each(|edge| pairs.add_edge(edge));
            out.pairs = Some(pairs);
        }
        out
    }

    /// Whether the text can stand partly in a gap: then what is in front of it or behind it is the text's.
    fn may_meet(&self, head: &ShapeHead) -> bool {
        let bytes = || self.heads.meets(&head.before) || self.tails.meets(&head.after);
        head.touching || (bytes() && self.pairs.is_none_or(|pairs| pairs.meets(&head.edges)))
    }
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
        // A gap that holds none of the text's bytes is a wall: the text stands in front of it or behind.
        let mut walls = u64::MAX;
        // A gap that holds all of them may hold the whole text.
        let mut rooms = 0;
        let fits = self.triple_fits.iter().all(|fits| *fits);
        for (number, set) in shapes.sets.iter().enumerate() {
            if self.text.iter().any(|b| set.holds(*b)) {
                walls &= !set_bit(number);
            }
            if fits && self.text.iter().all(|b| set.holds(*b)) {
                rooms |= set_bit(number);
            }
        }
        let edges = Edges::of(self.text, self.triple_fits.contains(&true));
        let mut found: Vec<Verdict> = Vec::with_capacity(shapes.len());
        let finder = self.finder.clone();
        let find_from = |at: usize| shapes.texts.get(at..).and_then(|t| finder.find(t)).map(|n| at + n);
        // The fixed text of all shapes is searched at once; this is where it holds the text next.
        let mut next = find_from(0);
        for (number, head) in shapes.heads.iter().enumerate() {
            let start = head.text as usize;
            let end = shapes.heads.get(number + 1).map_or(shapes.texts.len(), |h| h.text as usize);
            if next.is_some_and(|at| at < start) {
                next = find_from(start);
            }
            let is_near = next.is_some_and(|at| at < end);
            let has_doors = head.may_vanish
                || head.sets & rooms != 0
                || (head.sets & !walls != 0 && edges.may_meet(head));
            let verdict = if self.text.is_empty() {
                Verdict::All
            } else if is_near || has_doors {
                shapes.get(number).map_or(Verdict::Maybe, |shape| self.verdict(shape))
            } else {
                Verdict::None
            };
            found.push(verdict);
        }
        found
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
    }
}
