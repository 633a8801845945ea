//! What one query may cost, and how it is read.

use std::time::Duration;

/// Bounds of one query. The defaults suit a console beside the store on one small machine.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest text, bytes. A dashboard's longest query is near 4 KiB.
    pub query_bytes: usize,
    /// Most operators in one text. A flat chain is as deep in the tree as it is long; 500 levels fit half of a
    /// thread's usual stack.
    pub operators: usize,
    /// Deepest nesting of brackets; calls, signs and operands add at most as much again. 64 levels fit half of a
    /// thread's usual 2 MiB stack, even unoptimised.
    pub depth: usize,
    /// Most `=~`, `!~` matchers: each compiled pattern may hold up to 1 MiB.
    pub patterns: usize,
    /// Most steps of a range evaluation, as in Prometheus.
    pub steps: usize,
    /// Most samples: loaded from the source and computed on the way, together; as many as in Prometheus. One takes 8 to 16 bytes; a native
    /// histogram counts as many as its size.
    pub samples: usize,
    /// Most series of one selection. A fleet of a thousand hosts has about half a million.
    pub series: usize,
    /// Longest time that one selection may take in the source. The time of the whole query is watched by the
    /// `cancelled` closure, because this crate has no clock.
    pub time: Duration,
    /// How far back an instant selector looks for the newest sample: five minutes in Prometheus.
    pub lookback: Duration,
    /// Step of a subquery that names none: Prometheus' evaluation interval.
    pub subquery_step: Duration,
    /// Keep metric names until the query is answered, so that `label_replace` can still see them: Prometheus' feature
    /// flag `promql-delayed-name-removal`, off there and here.
    pub delayed_name_removal: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query_bytes: 64 << 10,
            operators: 500,
            depth: 64,
            patterns: 50,
            steps: 11_000,
            samples: 50_000_000,
            series: 1_000_000,
            time: Duration::from_secs(30),
            lookback: Duration::from_secs(300),
            subquery_step: Duration::from_secs(60),
            delayed_name_removal: false,
        }
    }
}
