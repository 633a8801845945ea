//! How many lines, and when.

use std::ops::ControlFlow;

use super::budget::{Budget, SearchCost, SearchLimits, Stopped};
use super::entries::Direction;
use super::segment_view::SegmentView;
use super::source::{Need, Wanted, scan_memory};
use crate::head::level_number;
use crate::query::LineQuery;
use crate::store::LogStore;
use wellkept_model::Level;

/// Most bars of a histogram, and most steps of numbers over time.
pub const BARS_MAX: usize = 11_000;

/// Lines over time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Begin of the first bar, nanoseconds since the epoch.
    pub from_ns: i64,
    /// Width of a bar, nanoseconds.
    pub step_ns: i64,
    /// Lines of each bar: first those without a level, then by level, mildest first.
    pub bars: Vec<[u64; Level::ALL.len() + 1]>,
    /// Why the search ended early; what it would have counted is missing.
    pub stopped: Option<Stopped>,
    /// What it cost.
    pub cost: SearchCost,
}

impl LogStore {
    /// Number of lines that fit, from `from_ns` to before `to_ns`, and why the search ended early if it did.
    #[must_use]
    pub fn count(
        &self,
        query: &LineQuery,
        from_ns: i64,
        to_ns: i64,
        limits: SearchLimits<'_>,
    ) -> (u64, Option<Stopped>, SearchCost) {
        let mut budget = Budget::new(limits);
        let wanted = wanted(query, from_ns, to_ns);
        let snapshot = self.snapshot();
        let mut sum = 0;
        let _ = scan_memory(&snapshot.memory, &wanted, &mut budget, &mut |_| {
            sum += 1;
            ControlFlow::Continue(())
        });
        snapshot.warm(self, &wanted);
        for segment in &snapshot.segments {
            if budget.is_stopped() {
                break;
            }
            if segment.header.max < from_ns || segment.header.min >= to_ns {
                budget.cost.segments_skipped += 1;
                continue;
            }
            let Some(mut view) = SegmentView::open(self, segment, &mut budget) else { continue };
            if let Some(count) = view.count(&wanted, &mut budget) {
                sum += count;
                continue;
            }
            let _ = view.scan(&wanted, &mut budget, &mut |_| {
                sum += 1;
                ControlFlow::Continue(())
            });
        }
        (sum, budget.stopped, budget.cost)
    }

    /// Lines that fit, by time and level. At most [`BARS_MAX`] bars; a smaller step is widened.
    #[must_use]
    pub fn histogram(
        &self,
        query: &LineQuery,
        from_ns: i64,
        to_ns: i64,
        step_ns: i64,
        limits: SearchLimits<'_>,
    ) -> Histogram {
        let span = to_ns.saturating_sub(from_ns).max(0);
        let step_ns = step_ns.max(span / BARS_MAX as i64 + 1);
        let bars = usize::try_from(span / step_ns + i64::from(span % step_ns != 0)).unwrap_or(0);
        let mut out =
            Histogram { from_ns, step_ns, bars: vec![Default::default(); bars], ..Histogram::default() };
        let mut budget = Budget::new(limits);
        self.snapshot().scan(self, &wanted(query, from_ns, to_ns), &mut budget, &mut |hit| {
            let bar = usize::try_from(hit.at.saturating_sub(from_ns) / step_ns).unwrap_or(usize::MAX);
            let level = usize::from(level_number(hit.view.level));
            if let Some(cell) = out.bars.get_mut(bar).and_then(|b| b.get_mut(level)) {
                *cell += 1;
            }
            ControlFlow::Continue(())
        });
        (out.stopped, out.cost) = (budget.stopped, budget.cost);
        out
    }
}

fn wanted(query: &LineQuery, from: i64, to: i64) -> Wanted<'_> {
    Wanted { query, stream: None, from, to, direction: Direction::Forward, need: Need::default() }
}
