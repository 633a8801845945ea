//! What the lines that fit are made of: the most frequent values of labels.

use std::ops::ControlFlow;

use hashbrown::HashMap;

use super::budget::{Budget, SearchCost, SearchLimits, Stopped};
use super::entries::Direction;
use super::source::{Need, Wanted};
use crate::query::LineQuery;
use crate::store::LogStore;

/// Most labels that are counted at once.
const NAMES_MAX: usize = 32;

/// Most different values of one label; lines with further ones are counted together.
const VALUES_MAX: usize = 10_000;

/// Bytes of all values beyond which further ones are counted together.
const BYTES_MAX: usize = 16 << 20;

/// Values of one label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facet {
    /// The label.
    pub name: String,
    /// Values with their lines, most first. The empty value stands for lines without the label.
    pub values: Vec<(String, u64)>,
    /// Lines with values that are not among these.
    pub others: u64,
}

/// What the lines that fit are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facets {
    /// In the order asked for.
    pub facets: Vec<Facet>,
    /// Lines that fit.
    pub lines: u64,
    /// Why the search ended early; what it would have counted is missing.
    pub stopped: Option<Stopped>,
    /// What it cost.
    pub cost: SearchCost,
}

impl LogStore {
    /// The `top` most frequent values of each label in `names`. `level` and `template` count as labels.
    #[must_use]
    pub fn facets(
        &self,
        query: &LineQuery,
        (from, to): (i64, i64),
        names: &[&str],
        top: usize,
        limits: SearchLimits<'_>,
    ) -> Facets {
        let names: Vec<&str> = names.iter().copied().take(NAMES_MAX).collect();
        let mut counts: Vec<(HashMap<String, u64>, u64)> = vec![Default::default(); names.len()];
        let mut bytes = 0;
        let mut budget = Budget::new(limits);
        let mut out = Facets::default();
        let snapshot = self.snapshot();
        let need = Need { text: false, fields: true, extracted: true };
        let wanted = Wanted { query, stream: None, from, to, direction: Direction::Forward, need };
        snapshot.scan(self, &wanted, &mut budget, &mut |hit| {
            out.lines += 1;
            for (name, (values, others)) in names.iter().zip(&mut counts) {
                let value = hit.view.label(hit.extracted, name);
                let has_room = values.len() < VALUES_MAX && bytes < BYTES_MAX;
                match values.get_mut(value.as_ref()) {
                    Some(count) => *count += 1,
                    None if has_room => {
                        bytes += value.len() + 48;
                        values.insert(value.into_owned(), 1);
                    }
                    None => *others += 1,
                }
            }
            ControlFlow::Continue(())
        });
        for (name, (values, mut others)) in names.into_iter().zip(counts) {
            let mut values: Vec<(String, u64)> = values.into_iter().collect();
            values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            others += values.iter().skip(top).map(|v| v.1).sum::<u64>();
            values.truncate(top);
            out.facets.push(Facet { name: name.to_owned(), values, others });
        }
        (out.stopped, out.cost) = (budget.stopped, budget.cost);
        out
    }
}
