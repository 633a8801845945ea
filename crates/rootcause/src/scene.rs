//! What is known around one alarm: the input of [`crate::rank`].

use std::collections::HashMap;

use wellkept_model::{Sample, TimestampMs};

use crate::MetricKind;

/// What was raised.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alarm {
    /// When; `None` when nobody saw the beginning: it is then looked for in the series.
    pub at: Option<TimestampMs>,
    /// The entity whose series rang.
    pub entity: Option<String>,
    /// What kind of series rang.
    pub kind: Option<MetricKind>,
}

/// One series of one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSeries {
    /// Whom it measures.
    pub entity: String,
    /// Its name, with the statistic when there is one (`latency p90`).
    pub metric: String,
    /// What it measures.
    pub kind: MetricKind,
    /// Values of normal operation from another time, when there are any; order does not matter.
    pub reference: Vec<f64>,
    /// Around the alarm, oldest first.
    pub samples: Vec<Sample>,
}

/// `from` calls `to` and waits for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The one that waits.
    pub from: String,
    /// The one that answers.
    pub to: String,
}

/// Names as small numbers, in order of first sight.
#[derive(Debug, Clone, Default)]
pub struct Names {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    /// The number of a name; a new name gets the next one.
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// The name of a number; empty for a number that was never given.
    #[must_use]
    pub fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", String::as_str)
    }
}

/// One step of a request in one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Unique within its set.
    pub id: u32,
    /// The step that it is part of; `None` for the first one of a request.
    pub parent: Option<u32>,
    /// Number of the entity's name in [`Scene::names`].
    pub entity: u32,
    /// Number of the operation's name.
    pub operation: u32,
    /// Begin, nanoseconds since the Unix epoch.
    pub start_ns: i64,
    /// End, nanoseconds since the Unix epoch.
    pub end_ns: i64,
}

/// Something noted during a step, as a line of a log with its variable parts taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanEvent {
    /// The step.
    pub span: u32,
    /// When, nanoseconds since the Unix epoch.
    pub at_ns: i64,
    /// Number of the template's name.
    pub what: u32,
}

/// Steps and events of one stretch of time.
#[derive(Debug, Clone, Default)]
pub struct SpanSet {
    /// Steps, in any order.
    pub spans: Vec<Span>,
    /// Events, in any order; those of unknown steps are passed over.
    pub events: Vec<SpanEvent>,
}

/// Everything known around one alarm. Every part may be empty.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// What was raised.
    pub alarm: Alarm,
    /// Measured series.
    pub series: Vec<MetricSeries>,
    /// Who calls whom; calls seen in the spans are added to it.
    pub calls: Vec<Call>,
    /// Names of entities, operations and templates of the spans.
    pub names: Names,
    /// Steps in stretches of normal operation; each stretch is an opinion of its own of what is normal.
    pub normal: Vec<SpanSet>,
    /// Steps since the alarm.
    pub since: SpanSet,
}
