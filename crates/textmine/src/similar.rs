//! "Have we seen this before?": past incidents that share what is telling about this one.
//!
//! Causes, kinds of entities, templates and terms are compared each for itself by the cosine of their weights, then
//! put together. A trait that many past incidents have weighs less (inverse document frequency). A part that one
//! of the two lacks is left out: an incident without a diagnosis is not unlike one with. What is shared is told.
//!
//! Source: Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988.

use std::collections::{BTreeMap, BTreeSet};

use wellkept_model::TemplateId;

use crate::fingerprint::{Fingerprint, Trait};

/// From which score on two incidents are called alike.
///
/// Above what unrelated incidents reach, below what repeated ones reach; `tests/seen_before.rs` holds both sides.
pub const MATCH_MIN: f64 = 0.30;
/// Weights of causes, kinds of entities, templates and terms.
const PARTS: [f64; 4] = [0.25, 0.05, 0.35, 0.35];
/// Weight of the parts both must have before a full score is possible: a cause alone is not yet the same incident.
const PARTS_MIN: f64 = 0.4;
/// Shared traits told of each kind.
const SHARED_MAX: usize = 8;

/// A past incident that is alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Match<I> {
    /// Its name.
    pub id: I,
    /// 0 to 1.
    pub score: f64,
    /// Why.
    pub why: Shared,
}

/// What two incidents share, most telling first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shared {
    /// Words of kinds of causes.
    pub causes: Vec<String>,
    /// Words of kinds of entities.
    pub entity_kinds: Vec<String>,
    /// Templates.
    pub templates: Vec<TemplateId>,
    /// Key terms.
    pub terms: Vec<String>,
}

/// The `n` past incidents most alike, best first, from [`MATCH_MIN`] on.
#[must_use]
pub fn similar<I: Clone + Ord>(now: &Fingerprint, past: &[(I, Fingerprint)], n: usize) -> Vec<Match<I>> {
    similar_from(MATCH_MIN, now, past, n)
}

/// The `n` past incidents most alike, best first, from a score of `score_min` on.
#[must_use]
pub fn similar_from<I: Clone + Ord>(
    score_min: f64,
    now: &Fingerprint,
    past: &[(I, Fingerprint)],
    n: usize,
) -> Vec<Match<I>> {
    let rarity = Rarity::of(now, past.iter().map(|(_, print)| print));
    let own = rarity.norms(now);
    let mut found: Vec<Match<I>> = past
        .iter()
        .filter_map(|(id, then)| {
            let (score, why) = rarity.compare(now, &own, then)?;
            (score >= score_min).then(|| Match { id: id.clone(), score, why })
        })
        .collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    found.truncate(n);
    found
}

/// How rare each trait is among the incidents.
struct Rarity<'a> {
    having: BTreeMap<&'a Trait, u32>,
    incidents: f64,
}

impl<'a> Rarity<'a> {
    fn of(now: &'a Fingerprint, past: impl Iterator<Item = &'a Fingerprint>) -> Self {
        let mut having: BTreeMap<&Trait, u32> = BTreeMap::new();
        let mut incidents = 0.0;
        for print in past.chain([now]) {
            incidents += 1.0;
            for (of, _) in print.traits() {
                *having.entry(of).or_default() += 1;
            }
        }
        Self { having, incidents }
    }

    fn weight(&self, of: &Trait, weight: f64) -> f64 {
        let having = self.having.get(of).copied().unwrap_or(1);
        weight * (self.incidents / f64::from(having)).ln_1p()
    }

    fn norms(&self, print: &Fingerprint) -> [f64; 4] {
        let mut squares = [0.0; 4];
        for (of, weight) in print.traits() {
            if let Some(sum) = squares.get_mut(of.tag() as usize) {
                *sum += self.weight(of, weight).powi(2);
            }
        }
        squares.map(f64::sqrt)
    }

    /// Score and what is shared; nothing where only the kind of entity is the same.
    fn compare(&self, now: &Fingerprint, own: &[f64; 4], then: &Fingerprint) -> Option<(f64, Shared)> {
        let theirs = self.norms(then);
        let mut dots = [0.0; 4];
        let mut shared: Vec<(f64, &Trait)> = Vec::new();
        for (of, weight) in now.traits() {
            let product = self.weight(of, weight) * self.weight(of, then.weight(of));
            if product > 0.0 {
                *dots.get_mut(of.tag() as usize)? += product;
                shared.push((product, of));
            }
        }
        shared.iter().any(|(_, of)| !matches!(of, Trait::EntityKind(_))).then_some(())?;
        let (mut sum, mut of_parts) = (0.0, 0.0);
        for (((part, dot), a), b) in PARTS.iter().zip(dots).zip(own).zip(theirs) {
            if *a > 0.0 && b > 0.0 {
                sum += part * dot / (a * b);
                of_parts += part;
            }
        }
        shared.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        Some(((sum / f64::max(of_parts, PARTS_MIN)).clamp(0.0, 1.0), told(&shared)))
    }
}

fn told(shared: &[(f64, &Trait)]) -> Shared {
    fn put<T>(list: &mut Vec<T>, item: T) {
        if list.len() < SHARED_MAX {
            list.push(item);
        }
    }
    let mut out = Shared::default();
    let mut seen = BTreeSet::new();
    for (_, of) in shared {
        if !seen.insert(*of) {
            continue;
        }
        match of {
            Trait::Cause(word) => put(&mut out.causes, word.clone()),
            Trait::EntityKind(word) => put(&mut out.entity_kinds, word.clone()),
            Trait::Template(id) => put(&mut out.templates, *id),
            Trait::Term(term) => put(&mut out.terms, term.clone()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(causes: &[&str], kinds: &[&str], templates: &[u64]) -> Fingerprint {
        let templates: Vec<_> = templates.iter().map(|id| (TemplateId(*id), 3)).collect();
        Fingerprint::new(causes, kinds, &templates, &[])
    }

    #[test]
    fn the_same_again_comes_first_and_is_explained() {
        let past = [
            (1, print(&["disk_full"], &["filesystem"], &[1, 2, 3])),
            (2, print(&["process_crash"], &["service"], &[1, 9])),
        ];
        let found = similar(&print(&["disk_full"], &["filesystem"], &[1, 2, 3]), &past, 5);
        assert_eq!(found[0].id, 1);
        assert!(found[0].score > 0.99);
        assert_eq!(found[0].why.causes, ["disk_full"]);
        assert_eq!(found[0].why.templates, [TemplateId(2), TemplateId(3), TemplateId(1)], "rare ones first");
    }

    #[test]
    fn the_kind_of_entity_alone_is_no_likeness() {
        let past = [(1, print(&[], &["service"], &[1]))];
        assert!(similar_from(0.0, &print(&[], &["service"], &[2]), &past, 5).is_empty());
        assert!(similar(&Fingerprint::default(), &past, 5).is_empty());
    }

    #[test]
    fn a_missing_diagnosis_does_not_speak_against() {
        let past = [(1, print(&["disk_full"], &["filesystem"], &[1, 2]))];
        assert!(similar(&print(&["unknown"], &["filesystem"], &[1, 2]), &past, 1)[0].score > 0.6);
    }
}
