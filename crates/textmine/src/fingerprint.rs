//! What an incident was like, small enough to be kept with it for years.

use std::collections::BTreeMap;

use wellkept_model::TemplateId;

use crate::codec::{BytesError, Kind, Reader, Writer};
use crate::keyterms::KeyTerm;
use crate::shown::boundary;

const KIND: Kind = Kind { magic: *b"WKTF", version: 1, what: "fingerprint of an incident" };
/// Traits of one kind; of more, the heaviest stay.
const TRAITS_MAX: usize = 256;
/// Terms that stand out less than chance would have it are no trait.
const TERM_SCORE_MIN: f64 = 2.0;
/// Longest word of a trait, bytes.
const WORD_BYTES_MAX: usize = 128;

/// One thing that two incidents may share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trait {
    /// Word of a kind of cause.
    Cause(String),
    /// Word of a kind of entity.
    EntityKind(String),
    /// A template of its lines.
    Template(TemplateId),
    /// A key term.
    Term(String),
}

impl Trait {
    pub(crate) fn tag(&self) -> u64 {
        match self {
            Self::Cause(_) => 0,
            Self::EntityKind(_) => 1,
            Self::Template(_) => 2,
            Self::Term(_) => 3,
        }
    }
}

/// Traits of an incident with their weights (above 0).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fingerprint {
    traits: BTreeMap<Trait, f64>,
}

impl Fingerprint {
    /// `causes` and `entity_kinds`: words; the cause `unknown` is left out, for it says nothing. `templates`: with
    /// the lines of each; they weigh by the logarithm. `terms`: of
    /// [`key_terms`](crate::key_terms); phrases count as such and by their words, for a fault is seldom told twice
    /// in the very same phrase.
    #[must_use]
    pub fn new(
        causes: &[&str],
        entity_kinds: &[&str],
        templates: &[(TemplateId, u64)],
        terms: &[KeyTerm],
    ) -> Self {
        let word = |w: &str| w.get(..boundary(w, WORD_BYTES_MAX)).unwrap_or("").to_owned();
        let causes = causes.iter().filter(|c| **c != "unknown").map(|c| (Trait::Cause(word(c)), 1.0));
        let kinds = entity_kinds.iter().map(|k| (Trait::EntityKind(word(k)), 1.0));
        let templates = templates.iter().map(|(id, lines)| (Trait::Template(*id), (*lines as f64).ln_1p()));
        let terms = terms.iter().filter(|t| t.score >= TERM_SCORE_MIN).flat_map(|t| {
            let phrase = (t.words.len() > 1).then_some(&t.term);
            t.words.iter().chain(phrase).map(|w| (Trait::Term(word(w)), t.score.ln_1p()))
        });
        let mut traits = BTreeMap::new();
        for part in [heaviest(causes), heaviest(kinds), heaviest(templates), heaviest(terms)] {
            for (of, weight) in part {
                let kept: &mut f64 = traits.entry(of).or_insert(0.0);
                *kept = kept.max(weight);
            }
        }
        Self { traits }
    }

    /// Traits with their weights, in a fixed order.
    pub fn traits(&self) -> impl Iterator<Item = (&Trait, f64)> {
        self.traits.iter().map(|(of, weight)| (of, *weight))
    }

    /// Weight of a trait, 0 if it has it not.
    #[must_use]
    pub fn weight(&self, of: &Trait) -> f64 {
        self.traits.get(of).copied().unwrap_or(0.0)
    }

    /// As bytes, the same for the same traits.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new(KIND);
        out.u64(self.traits.len() as u64);
        for (of, weight) in &self.traits {
            out.u64(of.tag());
            out.u64(weight.to_bits());
            match of {
                Trait::Template(id) => out.u64(id.0),
                Trait::Cause(word) | Trait::EntityKind(word) | Trait::Term(word) => out.text(word),
            }
        }
        out.finish()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`BytesError`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BytesError> {
        let mut from = Reader::new(KIND, bytes)?;
        let n = from.count(18)?;
        if n > 4 * TRAITS_MAX {
            return Err(KIND.damaged());
        }
        let mut traits = BTreeMap::new();
        for _ in 0..n {
            let tag = from.u64()?;
            let weight = f64::from_bits(from.u64()?);
            let of = match tag {
                0 => Trait::Cause(from.text()?.to_owned()),
                1 => Trait::EntityKind(from.text()?.to_owned()),
                2 => Trait::Template(TemplateId(from.u64()?)),
                3 => Trait::Term(from.text()?.to_owned()),
                _ => return Err(KIND.damaged()),
            };
            if !is_weight(weight) {
                return Err(KIND.damaged());
            }
            traits.insert(of, weight);
        }
        from.finish()?;
        Ok(Self { traits })
    }
}

fn is_weight(weight: f64) -> bool {
    weight.is_finite() && weight > 0.0
}

fn heaviest(traits: impl Iterator<Item = (Trait, f64)>) -> Vec<(Trait, f64)> {
    let mut traits: Vec<_> = traits.filter(|(_, weight)| is_weight(*weight)).collect();
    traits.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    traits.truncate(TRAITS_MAX);
    traits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_read_back_as_it_was_written_and_damage_is_noticed() {
        let term = KeyTerm {
            term: "磁盘已满".into(),
            words: vec!["磁盘".into(), "已满".into()],
            score: 3.5,
            count: 2,
            lines: vec![0],
        };
        let print =
            Fingerprint::new(&["disk_full", "unknown"], &["filesystem"], &[(TemplateId(7), 4)], &[term]);
        assert_eq!(print.traits().count(), 6);
        let bytes = print.to_bytes();
        assert_eq!(Fingerprint::from_bytes(&bytes), Ok(print));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x40;
            assert!(Fingerprint::from_bytes(&bad).is_err());
        }
    }

    proptest! {
        #[test]
        fn it_is_bounded_whatever_comes(
            ids in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..600), word in ".{0,300}",
        ) {
            let templates: Vec<_> = ids.into_iter().map(|(id, n)| (TemplateId(id), n)).collect();
            let print = Fingerprint::new(&[&word], &[&word], &templates, &[]);
            prop_assert!(print.traits().count() <= TRAITS_MAX + 2);
            prop_assert_eq!(Fingerprint::from_bytes(&print.to_bytes()), Ok(print));
        }
    }
}
