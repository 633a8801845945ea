//! What the texts and patterns of a query say of each shape of a segment, before any line is unpacked.

use regex::bytes::Regex;

use super::needle::{Needle, Verdict};
use crate::index::{Index, Param, SegmentShape};
use crate::query::{LineQuery, Stage};
use crate::segment::write_text;

/// What the texts and patterns of a query say of each shape.
pub(crate) struct ShapeVerdicts<'a> {
    /// Each with where its texts may stand.
    patterns: Vec<(&'a Regex, bool, Vec<Verdict>)>,
    index: &'a Index,
    known: Vec<Verdict>,
    /// Which shapes the patterns have judged.
    judged: Vec<bool>,
}

impl<'a> ShapeVerdicts<'a> {
    pub(crate) fn new(query: &'a LineQuery, index: &'a Index) -> Self {
        let n = index.shapes.len();
        let mut out =
            Self { patterns: Vec::new(), index, known: vec![Verdict::All; n], judged: vec![false; n] };
        for stage in &query.stages {
            match stage {
                Stage::Contains { texts, negated } => {
                    let any = any_of(texts, index);
                    for (known, any) in out.known.iter_mut().zip(any) {
                        *known = known.and(if *negated { any.not() } else { any });
                    }
                }
                Stage::Pattern { regex, negated, required } => {
                    // Where the texts that the pattern needs cannot stand, it does not match.
                    let any =
                        if required.is_empty() { vec![Verdict::Maybe; n] } else { any_of(required, index) };
                    for (known, any) in out.known.iter_mut().zip(&any) {
                        if *any == Verdict::None {
                            *known = known.and(Verdict::from(*negated));
                        }
                    }
                    out.patterns.push((regex, *negated, any));
                }
                Stage::Json | Stage::Logfmt | Stage::Labels(_) => {}
            }
        }
        out
    }

    pub(crate) fn get(&mut self, number: u32) -> Verdict {
        let number = number as usize;
        let (Some(known), Some(judged)) = (self.known.get_mut(number), self.judged.get_mut(number)) else {
            return Verdict::None;
        };
        if !*judged && *known != Verdict::None && !self.patterns.is_empty() {
            let text = self.index.shapes.get(number).and_then(fixed_text);
            let open = self.patterns.iter().filter(|(.., may)| may.get(number) != Some(&Verdict::None));
            for (regex, negated, _) in open {
                let verdict = text.as_ref().map(|t| Verdict::from(regex.is_match(t) != *negated));
                *known = known.and(verdict.unwrap_or(Verdict::Maybe));
            }
        }
        *judged = true;
        *known
    }
}

/// For each shape which lines hold one of the texts.
fn any_of(texts: &[Vec<u8>], index: &Index) -> Vec<Verdict> {
    let mut any = vec![Verdict::None; index.shapes.len()];
    for text in texts {
        let found = Needle::new(text, &index.filter).verdicts(&index.shapes);
        any.iter_mut().zip(found).for_each(|(a, f)| *a = a.or(f));
    }
    any
}

/// The text of all lines of a shape, when they are all alike.
fn fixed_text(shape: &SegmentShape) -> Option<Vec<u8>> {
    let of_text = shape.params.iter().take(shape.shape.kinds.len());
    let is_fixed = of_text.clone().all(|p| matches!(p, Param::Constant(_)));
    is_fixed.then(|| {
        let mut text = Vec::new();
        write_text(shape, &shape.params.iter().map(|_| None).collect::<Vec<_>>(), 0, &mut text);
        text
    })
}
