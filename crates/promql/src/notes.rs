//! What looks wrong with the data or the query although there is an answer: Prometheus' warnings and infos, in its
//! words.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::native::Native;
use crate::syntax::token::{Span, place};

/// Most different notes of one kind that are kept; the answer shows [`SHOWN_MAX`] of them.
const KEPT_MAX: usize = 100;

/// Most notes of one kind in an answer, as in Prometheus.
const SHOWN_MAX: usize = 10;

/// Notes by their text, with the place of the first one.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    warnings: RefCell<BTreeMap<String, Span>>,
    infos: RefCell<BTreeMap<String, Span>>,
}

fn add(to: &RefCell<BTreeMap<String, Span>>, text: String, span: Span) {
    let mut notes = to.borrow_mut();
    if notes.len() < KEPT_MAX {
        notes.entry(text).or_insert(span);
    }
}

impl Notes {
    pub(crate) fn warn(&self, span: Span, text: &str) {
        add(&self.warnings, format!("PromQL warning: {text}"), span);
    }

    pub(crate) fn info(&self, span: Span, text: &str) {
        add(&self.infos, format!("PromQL info: {text}"), span);
    }

    pub(crate) fn bad_quantile(&self, q: f64, span: Span) {
        let q = crate::syntax::number::format_general(q);
        self.warn(span, &format!("quantile value should be between 0 and 1, got {q}"));
    }

    pub(crate) fn mixed_samples(&self, metric: &str, span: Span) {
        self.warn(span, &format!("encountered a mix of histograms and floats for metric name {metric:?}"));
    }

    pub(crate) fn ignored_in_range(&self, metric: &str, span: Span) {
        self.info(
            span,
            &format!(
                "ignored histograms in a range containing both floats and histograms for metric name {metric:?}"
            ),
        );
    }

    pub(crate) fn ignored_in_aggregation(&self, aggregation: &str, span: Span) {
        self.info(span, &format!("ignored histogram in {aggregation} aggregation"));
    }

    /// Histograms that cannot be put together.
    pub(crate) fn mismatch(&self, metric: &str, span: Span) {
        self.warn(
            span,
            &format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name \
                 {metric:?}"
            ),
        );
    }

    /// Histograms that are put together with fewer buckets than they have.
    pub(crate) fn reconciled(&self, a: &Native, b: &Native, operation: &str, span: Span) {
        if a.bounds_differ(b) {
            self.info(span, &format!("mismatched custom buckets were reconciled during {operation}"));
        }
    }

    /// Histograms of which one says that it was reset and another that it was not.
    pub(crate) fn collision(&self, operation: &str, span: Span) {
        self.warn(span, &format!("conflicting counter resets during histogram {operation}"));
    }

    /// Warnings and infos without their places.
    pub(crate) fn plain(&self) -> (Vec<String>, Vec<String>) {
        let texts = |from: &RefCell<BTreeMap<String, Span>>| from.borrow().keys().cloned().collect();
        (texts(&self.warnings), texts(&self.infos))
    }

    /// Warnings and infos with their places in the query; at most [`SHOWN_MAX`] of each.
    pub(crate) fn placed(&self, query: &str) -> (Vec<String>, Vec<String>) {
        let texts = |from: &RefCell<BTreeMap<String, Span>>, word: &str| {
            let notes = from.borrow();
            let mut shown: Vec<String> = notes
                .iter()
                .take(SHOWN_MAX)
                .map(|(text, span)| format!("{text} ({})", place(query, span.start)))
                .collect();
            if notes.len() > SHOWN_MAX {
                shown.push(format!("{} more {word} annotations omitted", notes.len() - SHOWN_MAX));
            }
            shown
        };
        (texts(&self.warnings, "warning"), texts(&self.infos, "info"))
    }
}
