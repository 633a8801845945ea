//! Values of the chosen series, for the comparison with their own past.

use std::sync::Arc;
use std::time::Duration;

use wellkept_detect::SeriesValue;
use wellkept_model::keep::Keep;
use wellkept_model::{Labels, SeriesSource, TimestampMs};
use wellkept_promql::{Limits, Query, Value, instant};

use super::Engine;

/// Time between two evaluations, seconds. Five seconds keep a handful of rules far below a percent of a core.
const EVERY_S: i64 = 5;
/// Values taken from one rule.
const VALUES_MAX: usize = 200;

impl Engine {
    /// One value per series of each rule; empty in rounds between two evaluations, and without rules.
    pub(super) async fn unusual_values(&self, at: TimestampMs) -> Vec<SeriesValue> {
        let nothing = self.keep.unusual.is_empty() && self.keep.watched.signals.is_empty();
        if nothing || at.0.div_euclid(1000) % EVERY_S != 0 {
            return Vec::new();
        }
        let (keep, source) = (Arc::clone(&self.keep), Arc::clone(&self.source));
        let work = tokio::task::spawn_blocking(move || {
            let rules = keep.unusual.iter();
            let mut found: Vec<_> =
                rules.flat_map(|rule| values(&rule.name, &rule.query, source.as_ref(), at)).collect();
            found.extend(signals(&keep, source.as_ref(), at));
            found
        });
        work.await.unwrap_or_default()
    }
}

/// One value for each declared signal; of several series the sum of what they say is for the query to build.
fn signals(keep: &Keep, source: &dyn SeriesSource, at: TimestampMs) -> Vec<SeriesValue> {
    let declared = keep.watched.signals.iter().flat_map(|(service, s)| s.iter().map(move |s| (service, s)));
    let found = declared.filter_map(|(service, (signal, query))| {
        let value = values(&signal.rule(), query, source, at).into_iter().next()?;
        Some(SeriesValue { service: Some(service.clone()), series: String::new(), ..value })
    });
    found.collect()
}

fn values(rule: &str, query: &str, source: &dyn SeriesSource, at: TimestampMs) -> Vec<SeriesValue> {
    let limits = Limits { time: Duration::from_secs(2), ..Limits::default() };
    let outcome = Query::parse(query, &limits).and_then(|q| instant(&q, source, at, &limits, &|| false));
    let vector = match outcome.map(|o| o.value) {
        // A histogram is no value that could be unusual by itself.
        Ok(Value::Vector(vector)) => {
            vector.into_iter().filter_map(|(labels, point)| Some((labels, point.float()?))).collect()
        }
        Ok(Value::Scalar { value, .. }) => vec![(Labels::default(), value)],
        Ok(_) => Vec::new(),
        Err(error) => {
            tracing::warn!(%rule, %error, "a rule for unusual series could not be evaluated");
            Vec::new()
        }
    };
    let named = vector.into_iter().take(VALUES_MAX).filter(|(_, v)| v.is_finite()).map(|(labels, value)| {
        let service = Some(labels.get("service").to_owned()).filter(|s| !s.is_empty());
        SeriesValue { rule: rule.to_owned(), series: labels.to_string(), service, value }
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wellkept_model::keep::Signal;
    use wellkept_model::{Matcher, Sample, SeriesData, SourceError, SourceLimits};

    /// Two series, whatever is asked for.
    struct Shop;

    impl SeriesSource for Shop {
        fn select(
            &self,
            matchers: &[Matcher],
            _: TimestampMs,
            to: TimestampMs,
            _: &SourceLimits,
        ) -> Result<Vec<SeriesData>, SourceError> {
            let named = |name: &str| matchers.iter().all(|m| m.name() != "__name__" || m.matches(name));
            let of = |zone: &str, value| {
                let labels = Labels::metric("shop_errors", [("service", "other"), ("zone", zone)]);
                SeriesData::floats(labels, vec![Sample { at: to, value }])
            };
            Ok(if named("shop_errors") { vec![of("a", 0.1), of("b", 0.3)] } else { Vec::new() })
        }

        fn series(
            &self,
            _: &[Matcher],
            _: TimestampMs,
            _: TimestampMs,
            _: &SourceLimits,
        ) -> Result<Vec<Labels>, SourceError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_declared_signal_is_one_value_of_its_service_whatever_its_labels_say() {
        let mut keep = Keep::default();
        let queries = [
            (Signal::Errors, "sum(shop_errors)".to_owned()),
            (Signal::Latency, "shop_absent".to_owned()),
            (Signal::Load, "not a query (".to_owned()),
        ];
        keep.watched.signals.insert("app".to_owned(), queries.into());
        let found = signals(&keep, &Shop, TimestampMs(60_000));
        let told: Vec<_> = found.iter().map(|v| (v.rule.as_str(), v.service.as_deref(), v.value)).collect();
        assert_eq!(told, [("signal errors", Some("app"), 0.4)]);
    }
}
