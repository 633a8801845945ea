//! The `for` state of alerts after a restart, from the series `ALERTS_FOR_STATE`.
//!
//! The time that the process was away counts neither for nor against an alert: its start is moved forward by it.

use std::collections::BTreeMap;

use wellkept_model::{Labels, METRIC_NAME, MatchOp, Matcher, Sample, SourceLimits, TimestampMs, is_stale};

use super::alerts::{ALERT_NAME, ALERTS_FOR_STATE};
use super::{RuleState, Settings};
use crate::Reader;
use crate::file::{AlertRule, Rule};

/// Gives the rule's active alerts the start that they had before. What cannot be read is left as it is: the alert
/// then waits its full time again.
pub(crate) fn restore(
    rule: &Rule,
    alert: &AlertRule,
    state: &mut RuleState,
    settings: &Settings,
    now: TimestampMs,
    reader: &Reader<'_>,
) {
    if alert.hold < settings.for_grace_period {
        return;
    }
    let Some(last) = last_samples(rule, settings, now, reader) else { return };
    for a in state.alerts.values_mut().filter(|a| a.resolved_at.is_none()) {
        if let Some(sample) = last.get(&a.labels) {
            a.active_at = began(*sample, alert, settings, now);
        }
    }
}

/// The last sample of each series of the rule, by labels without the name; series that have ended are left out.
fn last_samples(
    rule: &Rule,
    settings: &Settings,
    now: TimestampMs,
    reader: &Reader<'_>,
) -> Option<BTreeMap<Labels, Sample>> {
    let matcher = |name, value| Matcher::new(name, MatchOp::Equal, value).ok();
    let matchers = [matcher(METRIC_NAME, ALERTS_FOR_STATE)?, matcher(ALERT_NAME, &rule.name)?];
    let limits = SourceLimits {
        series: reader.limits.series,
        samples: reader.limits.samples,
        time: reader.limits.time,
    };
    let found = reader.source.select(&matchers, now - settings.outage_tolerance, now, &limits).ok()?;
    let last = found.into_iter().filter_map(|series| {
        let sample = series.samples.last().copied().filter(|s| !is_stale(s.value))?;
        Some((series.labels.filter(|n| n != METRIC_NAME), sample))
    });
    Some(last.collect())
}

fn began(sample: Sample, alert: &AlertRule, settings: &Settings, now: TimestampMs) -> TimestampMs {
    let active_at = TimestampMs((sample.value.clamp(-1e15, 1e15) * 1000.0) as i64);
    let remaining = alert.hold.saturating_sub(sample.at.since(active_at));
    if remaining.is_zero() {
        // It was firing: it fires again at the next evaluation at which it still holds.
        active_at
    } else if remaining < settings.for_grace_period {
        now + settings.for_grace_period - alert.hold
    } else {
        active_at + now.since(sample.at)
    }
}
