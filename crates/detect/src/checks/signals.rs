//! Declared signals of a service against their own past.
//!
//! Only suffering counts: requests that take much longer than usual, or fail. What else is far from usual then (load,
//! repeated attempts, busy threads, collections) is told beside it, so that rules can tell why; without suffering it is
//! nobody's business. The past freezes meanwhile.

use std::collections::{BTreeMap, VecDeque};

use wellkept_model::keep::{Keep, Signal};
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_in};
use crate::{Round, median, robust_z};

/// Values kept for each signal.
const PAST_MAX: usize = 720;
/// Values needed before anything is judged.
const PAST_MIN: usize = 24;
/// How many times the usual latency is suffering, with at least so many robust sigmas.
const LATENCY_TIMES: f64 = 3.0;
const SIGMAS: f64 = 6.0;
/// How many times the usual load is a surge.
const LOAD_TIMES: f64 = 2.5;
/// By how much more requests fail than usual, as a share.
const ERRORS_MORE: f64 = 0.05;
/// By how much more requests are repeated attempts than usual, as a share.
const RETRIES_MORE: f64 = 0.2;
/// Share of busy threads at which requests wait.
const BUSY: f64 = 0.95;
/// Share of time in collections that is felt.
const GC: f64 = 0.2;
/// How long it must last, milliseconds.
const HOLD_MS: u64 = 15_000;

/// Remembers the past of each signal and what was found last.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    past: BTreeMap<(String, Signal), VecDeque<f64>>,
    found: Vec<Finding>,
}

impl Signals {
    pub(crate) fn check(&mut self, keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
        let declared = &keep.watched.signals;
        self.past
            .retain(|(service, signal), _| declared.get(service).is_some_and(|s| s.contains_key(signal)));
        self.found.retain(|f| declared.contains_key(&f.key.entity.name));
        for (service, queries) in declared {
            let of = |signal: Signal| {
                let named =
                    |v: &&crate::SeriesValue| v.rule == signal.rule() && v.service.as_ref() == Some(service);
                round.series.iter().find(named).map(|v| v.value)
            };
            let values: BTreeMap<Signal, f64> =
                queries.keys().filter_map(|signal| Some((*signal, of(*signal)?))).collect();
            // A round without values says nothing: what was found holds.
            if !values.is_empty() {
                self.found.retain(|f| f.key.entity.name != *service);
                let found = self.one(service, queries, &values, round);
                self.found.extend(found);
            }
        }
        self.found.clone()
    }

    fn one(
        &mut self,
        service: &str,
        queries: &BTreeMap<Signal, String>,
        values: &BTreeMap<Signal, f64>,
        round: &Round<'_>,
    ) -> Vec<Finding> {
        let mut high = Vec::new();
        for (signal, value) in values {
            let past = self.past.entry((service.to_owned(), *signal)).or_default();
            let past: &[f64] = past.make_contiguous();
            if let Some(usual) = median(past).filter(|_| past.len() >= PAST_MIN)
                && is_high(*signal, *value, usual, past)
            {
                high.push((*signal, *value, usual));
            }
        }
        if !high.iter().any(|(signal, ..)| matches!(signal, Signal::Latency | Signal::Errors)) {
            for (signal, value) in values {
                let past = self.past.entry((service.to_owned(), *signal)).or_default();
                past.push_back(*value);
                if past.len() > PAST_MAX {
                    past.pop_front();
                }
            }
            return Vec::new();
        }
        let found = high.into_iter().map(|(signal, value, usual)| {
            let (entity, kind) = (EntityId::service(service), FindingKind::SignalHigh);
            let mut f = finding(entity, kind, signal.word(), Severity::Warning, round.now, round.now);
            f.hold_ms = HOLD_MS;
            let text = |text: Text| {
                text.with("signal", signal.word())
                    .with("value", format!("{value:.4}"))
                    .with("usual", format!("{usual:.4}"))
            };
            f.text = text(f.text);
            let query = queries.get(&signal).cloned().unwrap_or_default();
            f.evidence.push(seen_in(round.now, text(Text::new("evidence.signal")), query));
            f
        });
        found.collect()
    }
}

fn is_high(signal: Signal, value: f64, usual: f64, past: &[f64]) -> bool {
    let sigmas = || robust_z(value, past, usual.abs() * 0.02).is_some_and(|z| z >= SIGMAS);
    match signal {
        Signal::Latency => value > 0.0 && value >= usual * LATENCY_TIMES && sigmas(),
        Signal::Load => value > 0.0 && value >= usual * LOAD_TIMES && sigmas(),
        Signal::Errors => value - usual >= ERRORS_MORE,
        Signal::Retries => value - usual >= RETRIES_MORE,
        Signal::Busy => value >= BUSY && usual < BUSY,
        Signal::Gc => value >= GC && usual < GC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeriesValue;
    use crate::checks::testing::World;

    fn world() -> World {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        let queries = Signal::ALL.map(|s| (s, "q".to_owned())).into();
        w.keep.watched.signals.insert("app".into(), queries);
        w
    }

    fn found(w: &mut World, latency: f64, load: f64, busy: f64) -> Vec<String> {
        w.advance(5_000);
        let of = |signal: Signal, value| SeriesValue {
            rule: signal.rule(),
            series: String::new(),
            service: Some("app".into()),
            value,
        };
        w.series = vec![of(Signal::Latency, latency), of(Signal::Load, load), of(Signal::Busy, busy)];
        w.findings().into_iter().map(|f| f.key.subject).collect()
    }

    #[test]
    fn three_times_the_load_with_the_usual_latency_is_nobodys_business() {
        let mut w = world();
        for i in 0..30 {
            assert!(found(&mut w, 0.1 + f64::from(i % 3) / 100.0, 20.0, 0.3).is_empty());
        }
        assert!(found(&mut w, 0.11, 60.0, 0.99).is_empty());
        assert_eq!(found(&mut w, 0.9, 60.0, 0.5), ["latency", "load"]);
        assert_eq!(found(&mut w, 0.9, 20.0, 0.99), ["busy", "latency"]);
        for _ in 0..100 {
            assert_eq!(found(&mut w, 0.9, 20.0, 0.3), ["latency"], "it does not become usual");
        }
        assert!(found(&mut w, 0.11, 20.0, 0.3).is_empty());
    }

    #[test]
    fn a_round_without_values_ends_nothing_and_a_service_without_a_past_is_not_judged() {
        let mut w = world();
        assert!(found(&mut w, 50.0, 20.0, 0.3).is_empty());
        let mut w = world();
        for _ in 0..30 {
            found(&mut w, 0.1, 20.0, 0.3);
        }
        assert_eq!(found(&mut w, 0.9, 20.0, 0.3), ["latency"]);
        w.series.clear();
        assert_eq!(w.findings().len(), 1);
    }
}
