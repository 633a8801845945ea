//! How many new series each sender may make, so that a flood of labels is stopped where it comes from.

use std::collections::HashMap;

use crate::config::StoreConfig;

/// Most sources that are told apart; further ones share one allowance.
const SOURCES_MAX: usize = 4096;

/// New series by source since the last block.
#[derive(Debug, Default)]
pub(crate) struct SeriesLimits {
    made: HashMap<String, usize>,
    refused: HashMap<String, u64>,
}

impl SeriesLimits {
    /// Whether `source` may make one more series; counts it either way.
    pub(crate) fn may_add(
        &mut self,
        source: &str,
        in_target: usize,
        in_store: usize,
        config: &StoreConfig,
    ) -> bool {
        let known = self.made.contains_key(source) || self.made.len() < SOURCES_MAX;
        let source = if known { source } else { "" };
        let made = self.made.get(source).copied().unwrap_or(0);
        let may = made < config.source_series_max
            && in_target < config.target_series_max
            && in_store < config.series_max;
        if may {
            self.made.insert(source.to_owned(), made + 1);
        } else {
            *self.refused.entry(source.to_owned()).or_default() += 1;
        }
        may
    }

    /// A new block begins: allowances are full again; what was refused stays counted.
    pub(crate) fn renew(&mut self) {
        self.made.clear();
        if self.refused.len() > SOURCES_MAX {
            self.refused.clear();
        }
    }

    /// Sources that met a limit, with the number of series refused to each, most first.
    pub(crate) fn limited(&self) -> Vec<(String, u64)> {
        let mut all: Vec<(String, u64)> = self.refused.iter().map(|(s, n)| (s.clone(), *n)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_that_floods_leaves_the_others_their_allowance() {
        let config = StoreConfig { source_series_max: 2, ..StoreConfig::default() };
        let mut limits = SeriesLimits::default();
        let made = (0..10).filter(|_| limits.may_add("bad", 0, 0, &config)).count();
        assert_eq!(made, 2);
        assert!(limits.may_add("good", 0, 0, &config));
        assert_eq!(limits.limited(), [("bad".to_owned(), 8)]);
        limits.renew();
        assert!(limits.may_add("bad", 0, 0, &config));
    }

    #[test]
    fn targets_and_the_store_have_limits_too() {
        let config = StoreConfig { target_series_max: 5, series_max: 50, ..StoreConfig::default() };
        let mut limits = SeriesLimits::default();
        assert!(limits.may_add("a", 4, 49, &config));
        assert!(!limits.may_add("a", 5, 49, &config));
        assert!(!limits.may_add("a", 4, 50, &config));
    }
}
