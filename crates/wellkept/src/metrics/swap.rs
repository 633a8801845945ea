//! A source of series that can be exchanged while others use it.

use std::sync::{Arc, PoisonError, RwLock};

use wellkept_model::{
    Hints, Labels, Matcher, Selected, SeriesData, SeriesSource, SourceError, SourceLimits, TimestampMs,
};

/// Stands for the source of the keep file in force. A query that runs keeps the one that it began with.
pub(crate) struct Swap(RwLock<Arc<dyn SeriesSource>>);

impl Swap {
    pub(crate) fn new(source: Arc<dyn SeriesSource>) -> Self {
        Self(RwLock::new(source))
    }

    pub(crate) fn set(&self, source: Arc<dyn SeriesSource>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = source;
    }

    fn get(&self) -> Arc<dyn SeriesSource> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SeriesSource for Swap {
    fn select(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        self.get().select(matchers, from, to, limits)
    }

    fn select_hinted(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        hints: &Hints,
        limits: &SourceLimits,
    ) -> Result<Selected, SourceError> {
        self.get().select_hinted(matchers, from, to, hints, limits)
    }

    fn series(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        self.get().series(matchers, from, to, limits)
    }
}
