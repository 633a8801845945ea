//! One form of a template: its words and parameters at their places, and the shape the store gets.

use std::sync::Arc;

use wellkept_model::{ParamKind, Shape, TemplateId};

use crate::hash::Hasher;
use crate::lex::{Class, Token};

/// Units of data that stand apart from their number.
pub(crate) const UNITS: [&[u8]; 9] = [b"B", b"KB", b"MB", b"GB", b"TB", b"KiB", b"MiB", b"GiB", b"TiB"];

/// What stands at one place of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Elem {
    /// The same in all lines.
    Word(Box<[u8]>),
    /// Differs; with the type all its values share.
    Var(ParamKind),
}

/// Words and parameters of lines that look the same.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    /// The id it was born with. [`crate::miner::Miner::resolve`] tells the one it bears now.
    pub(crate) id: TemplateId,
    /// What stands at each place.
    pub(crate) elems: Vec<Elem>,
    /// What stands between the places: one more than `elems`.
    pub(crate) gaps: Vec<Box<[u8]>>,
    /// Lines seen.
    pub(crate) lines: u64,
    /// Number of the last line seen, for eviction.
    pub(crate) last: u64,
    /// Places of the parameters, and the shape: made when the first line asks.
    pub(crate) cut: Option<Cut>,
}

/// How a line of a form is cut.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// Indices of the tokens that are parameters.
    pub(crate) vars: Box<[u16]>,
    /// Number of tokens.
    pub(crate) tokens: u16,
    /// Count of renamings at which the id of the shape was right.
    pub(crate) renamings: u64,
    /// The literals and kinds.
    pub(crate) shape: Arc<Shape>,
}

impl Form {
    /// The form of one line: every value is a parameter, every word stands still.
    pub(crate) fn of(text: &[u8], tokens: &[Token], id: TemplateId) -> Self {
        let elems = tokens
            .iter()
            .map(|t| match t.class {
                Class::Value(kind) => Elem::Var(kind),
                Class::Word | Class::Mixed => Elem::Word(t.of(text).into()),
            })
            .collect();
        Self { id, elems, gaps: gaps(text, tokens).map(Into::into).collect(), lines: 0, last: 0, cut: None }
    }

    /// Bytes it holds, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let words: usize = self.elems.iter().map(|e| if let Elem::Word(w) = e { w.len() } else { 0 }).sum();
        let gaps: usize = self.gaps.iter().map(|g| g.len()).sum();
        // Literals of the shape repeat words and gaps; the rest is what vectors and boxes cost.
        2 * (words + gaps) + 64 * self.elems.len() + 256
    }

    /// Hash of the words, without those at `wild`: the sum over all places, so that one place can be exchanged.
    pub(crate) fn key(&self, wild: &Wild) -> u64 {
        let hashes = (0..self.elems.len())
            .map(|place| if wild.has(place) { var_key(place) } else { self.place_key(place) });
        hashes.fold(0, u64::wrapping_add)
    }

    /// What a place adds to the key.
    pub(crate) fn place_key(&self, place: usize) -> u64 {
        match self.elems.get(place) {
            Some(Elem::Word(word)) => {
                let mut hasher = Hasher::new();
                hasher.mark(place as u64);
                hasher.word(word);
                hasher.finish()
            }
            _ => var_key(place),
        }
    }

    /// Places of the parameters.
    pub(crate) fn wild(&self) -> Wild {
        let mut wild = Wild::none(self.elems.len());
        for (place, elem) in self.elems.iter().enumerate() {
            if matches!(elem, Elem::Var(_)) {
                wild.set(place);
            }
        }
        wild
    }

    /// Whether `other` says the same at every place that is a word here.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.elems.len() == other.elems.len()
            && self.gaps == other.gaps
            && self
                .elems
                .iter()
                .zip(&other.elems)
                .all(|(mine, theirs)| matches!(mine, Elem::Var(_)) || mine == theirs)
    }

    /// Makes every place a parameter that is one in `other`; true when a type had to widen.
    pub(crate) fn widen(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (mine, theirs) in self.elems.iter_mut().zip(&other.elems) {
            if let Elem::Var(kind) = mine {
                let joined = match theirs {
                    Elem::Var(other) => join(*kind, *other),
                    // A unit is a word in every new line; it stays one.
                    Elem::Word(word) if *kind == ParamKind::Size && UNITS.contains(&&**word) => *kind,
                    Elem::Word(_) => ParamKind::Text,
                };
                changed |= joined != *kind;
                *kind = joined;
            }
        }
        if changed {
            self.cut = None;
        }
        changed
    }

    /// Makes the cut for the name `id`.
    pub(crate) fn make_cut(&mut self, id: TemplateId, renamings: u64) -> &Cut {
        let fresh = cut(&self.elems, &self.gaps, id, renamings);
        self.cut.insert(fresh)
    }
}

fn cut(elems: &[Elem], gaps: &[Box<[u8]>], id: TemplateId, renamings: u64) -> Cut {
    let (mut vars, mut kinds, mut literals) = (Vec::new(), Vec::new(), Vec::new());
    let mut literal = gaps.first().map(|g| g.to_vec()).unwrap_or_default();
    for (place, (elem, gap)) in elems.iter().zip(gaps.iter().skip(1)).enumerate() {
        match elem {
            Elem::Word(word) => literal.extend_from_slice(word),
            Elem::Var(kind) => {
                vars.push(place as u16);
                kinds.push(*kind);
                literals.push(std::mem::take(&mut literal).into_boxed_slice());
            }
        }
        literal.extend_from_slice(gap);
    }
    literals.push(literal.into_boxed_slice());
    Cut {
        vars: vars.into(),
        tokens: elems.len() as u16,
        renamings,
        shape: Arc::new(Shape { template: id, literals, kinds }),
    }
}

/// The type that holds values of both.
fn join(a: ParamKind, b: ParamKind) -> ParamKind {
    match (a, b) {
        _ if a == b => a,
        (ParamKind::Number, ParamKind::Hex) | (ParamKind::Hex, ParamKind::Number) => ParamKind::Hex,
        (ParamKind::Id, ParamKind::Hex | ParamKind::Number)
        | (ParamKind::Hex | ParamKind::Number, ParamKind::Id) => ParamKind::Id,
        _ => ParamKind::Text,
    }
}

/// What a parameter at a place adds to the key of a form.
pub(crate) fn var_key(place: usize) -> u64 {
    let mut hasher = Hasher::new();
    hasher.mark(!(place as u64));
    hasher.finish()
}

/// What stands between the tokens of `text`, from before the first to behind the last.
pub(crate) fn gaps<'a>(text: &'a [u8], tokens: &'a [Token]) -> impl Iterator<Item = &'a [u8]> {
    (0..=tokens.len()).map(move |place| {
        let start = if place == 0 { 0 } else { tokens[place - 1].end as usize };
        let end = tokens.get(place).map_or(text.len(), |t| t.start as usize);
        text.get(start..end).unwrap_or_default()
    })
}

/// A set of places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Wild(Box<[u64]>);

impl Wild {
    pub(crate) fn none(places: usize) -> Self {
        Self(vec![0; places.div_ceil(64)].into())
    }

    pub(crate) fn set(&mut self, place: usize) {
        if let Some(bits) = self.0.get_mut(place / 64) {
            *bits |= 1 << (place % 64);
        }
    }

    pub(crate) fn has(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|bits| bits & (1 << (place % 64)) != 0)
    }
}
