//! The answer in the form that a scorer of rankings reads.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::rank::Ranking;

/// `{case: [[candidate, score], …]}`, likeliest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Answer(BTreeMap<String, Vec<(String, f64)>>);

impl Answer {
    /// Adds the ranking of one case.
    pub fn add(&mut self, case: &str, ranking: &Ranking) {
        let list = ranking.candidates.iter().map(|c| (c.entity.clone(), c.score)).collect();
        self.0.insert(case.to_owned(), list);
    }

    /// The candidates of one case, likeliest first.
    #[must_use]
    pub fn of(&self, case: &str) -> &[(String, f64)] {
        self.0.get(case).map_or(&[], Vec::as_slice)
    }
}
