//! A chosen series is far from its own past.
//!
//! The past freezes while the series is unusual or its service is in trouble, so that a long fault does not become the
//! new normal. What is about no service freezes while anything is in trouble.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use wellkept_model::keep::{Keep, UnusualRule};
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_in};
use crate::{Round, SeriesValue, median, robust_z};

/// Values kept per series.
const PAST_MAX: usize = 240;
/// Values needed before anything is unusual.
const PAST_MIN: usize = 60;
/// Smallest sigma that is believed, as a share of the median's size.
const SIGMA_FLOOR: f64 = 0.02;
/// Series remembered in all; further ones are ignored.
const SERIES_MAX: usize = 1000;

/// Remembers the past of each chosen series.
#[derive(Debug, Default)]
pub(crate) struct Unusual {
    past: BTreeMap<(String, String), VecDeque<f64>>,
}

impl Unusual {
    pub(crate) fn check(
        &mut self,
        keep: &Keep,
        round: &Round<'_>,
        troubled: &BTreeSet<EntityId>,
    ) -> Vec<Finding> {
        let known = |rule: &str| keep.unusual.iter().find(|r| r.name == rule);
        self.past.retain(|(rule, _), _| known(rule).is_some());
        let values = round.series.iter();
        let frozen = |v: &SeriesValue| match &v.service {
            Some(service) => troubled.contains(&EntityId::service(service)),
            None => !troubled.is_empty(),
        };
        values.filter_map(|v| known(&v.rule).and_then(|rule| self.one(rule, v, round, frozen(v)))).collect()
    }

    fn one(
        &mut self,
        rule: &UnusualRule,
        value: &SeriesValue,
        round: &Round<'_>,
        frozen: bool,
    ) -> Option<Finding> {
        let key = (value.rule.clone(), value.series.clone());
        if self.past.len() >= SERIES_MAX && !self.past.contains_key(&key) {
            return None;
        }
        let past = self.past.entry(key).or_default();
        let values: &[f64] = past.make_contiguous();
        let usual = median(values);
        let floor = usual.map_or(0.0, |m| m.abs() * SIGMA_FLOOR);
        let score = if values.len() < PAST_MIN { None } else { robust_z(value.value, values, floor) };
        let far = score.is_some_and(|z| z.abs() >= rule.score);
        if !far && frozen {
            return None;
        }
        if !far {
            past.push_back(value.value);
            if past.len() > PAST_MAX {
                past.pop_front();
            }
            return None;
        }
        Some(state(rule, value, score?, usual?, round))
    }
}

fn state(rule: &UnusualRule, value: &SeriesValue, score: f64, usual: f64, round: &Round<'_>) -> Finding {
    let entity = value.service.as_ref().map_or_else(|| EntityId::host(round.host), EntityId::service);
    let subject = format!("{} {}", rule.name, value.series);
    let mut f = finding(entity, FindingKind::Unusual, &subject, Severity::Warning, round.now, round.now);
    f.text = f.text.with("rule", &rule.name).with("series", &value.series);
    f.hold_ms = rule.hold.as_millis().try_into().unwrap_or(u64::MAX);
    f.evidence.push(seen_in(
        round.now,
        Text::new("evidence.unusual")
            .with("value", format!("{:.4}", value.value))
            .with("usual", format!("{usual:.4}"))
            .with("score", format!("{score:.1}")),
        rule.query.clone(),
    ));
    f
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::World;
    use std::time::Duration;

    /// What a series of a service stands at after an incident about `troubled` was open while it crept up.
    fn after_trouble(service: Option<&str>, troubled: &str) -> Vec<FindingKind> {
        let mut w = World::new(&["app", "web"]);
        let rule = UnusualRule { name: "t".into(), query: "t".into(), score: 6.0, hold: Duration::ZERO };
        w.keep.unusual.push(rule);
        ["app", "web"].iter().for_each(|name| w.up(name, 1));
        let mut kinds = Vec::new();
        for i in 0..400_i32 {
            // It creeps: each value is usual beside those just before it.
            let value =
                if i < 100 { 10.0 + f64::from(i % 7) / 10.0 } else { 10.0 + f64::from(i - 100) / 50.0 };
            if i == 100 {
                w.hold_baselines(&[troubled]);
            }
            let service = service.map(str::to_owned);
            w.series = vec![SeriesValue { rule: "t".into(), series: "s".into(), service, value }];
            kinds = w.kinds();
            w.advance(1000);
        }
        kinds
    }

    #[test]
    fn what_creeps_up_while_an_incident_is_open_is_not_learned_as_usual() {
        let unusual = vec![FindingKind::Unusual];
        assert_eq!(after_trouble(Some("app"), "app"), unusual, "it was not fed");
        assert!(after_trouble(Some("app"), "web").is_empty(), "somebody else's trouble");
        assert_eq!(after_trouble(None, "web"), unusual, "a series of nobody's freezes with any");
    }

    #[test]
    fn a_jump_is_unusual_for_as_long_as_it_lasts_and_a_wobble_never() {
        let mut w = World::new(&[]);
        let rule =
            UnusualRule { name: "load".into(), query: "node_load1".into(), score: 6.0, hold: Duration::ZERO };
        w.keep.unusual.push(rule);
        let mut seen = Vec::new();
        for i in 0..400_i32 {
            let value = if i >= 100 { 50.0 } else { 1.0 + f64::from(i % 7) / 20.0 };
            w.series = vec![SeriesValue { rule: "load".into(), series: "h".into(), service: None, value }];
            seen.push(w.kinds() == [FindingKind::Unusual]);
            w.advance(1000);
        }
        assert!(seen[..100].iter().all(|u| !u) && seen[100..].iter().all(|u| *u));
    }
}
