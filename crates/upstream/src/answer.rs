//! Reads the servers' JSON, straight into what we need.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use wellkept_model::{Labels, Sample, SeriesData, TimestampMs};

/// What every answer is wrapped in.
#[derive(Deserialize)]
pub(crate) struct Answer<T> {
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) error: String,
    pub(crate) data: Option<T>,
}

/// Data of an instant query of a range selector.
#[derive(Deserialize)]
pub(crate) struct Matrix {
    #[serde(rename = "resultType")]
    pub(crate) result_type: String,
    pub(crate) result: Vec<Row>,
}

/// One series.
#[derive(Deserialize)]
pub(crate) struct Row {
    metric: Metric,
    #[serde(default)]
    values: Vec<Point>,
    /// Native histograms, only counted.
    #[serde(default)]
    histograms: Vec<serde::de::IgnoredAny>,
}

impl Row {
    pub(crate) fn histograms(&self) -> usize {
        self.histograms.len()
    }

    /// The series with what lies in `from..=to`.
    pub(crate) fn into_series(self, from: TimestampMs, to: TimestampMs) -> SeriesData {
        let mut samples: Vec<Sample> =
            self.values.into_iter().map(|p| p.0).filter(|s| (from..=to).contains(&s.at)).collect();
        // VictoriaMetrics may give two samples for one instant when it got two.
        samples.dedup_by_key(|s| s.at);
        SeriesData::floats(self.metric.0, samples)
    }
}

/// A label set as an object.
pub(crate) struct Metric(pub(crate) Labels);

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(Self(Labels::new(pairs)))
    }
}

/// `[1700000000.123, "1.5"]`.
struct Point(Sample);

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (seconds, text) = <(f64, std::borrow::Cow<'de, str>)>::deserialize(deserializer)?;
        let value = text.parse().map_err(|_| D::Error::custom(format!("`{text}` is no number")))?;
        let ms = (seconds * 1000.0).round();
        if !ms.is_finite() || ms.abs() > 1e17 {
            return Err(D::Error::custom(format!("`{seconds}` is no time")));
        }
        Ok(Self(Sample { at: TimestampMs(ms as i64), value }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Matrix {
        serde_json::from_str::<Answer<Matrix>>(json).unwrap().data.unwrap()
    }

    #[test]
    fn values_keep_their_milliseconds_and_their_infinities() {
        let json = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"a","b":"c"},"values":[[1700000000.123,"1.5"],[1700000001,"+Inf"],[1700000002,"NaN"]]}]}}"#;
        let row = read(json).result.remove(0);
        let series = row.into_series(TimestampMs(1_700_000_000_123), TimestampMs(1_700_000_002_000));
        assert_eq!(series.labels, Labels::metric("a", [("b", "c")]));
        let at: Vec<i64> = series.samples.iter().map(|s| s.at.0).collect();
        assert_eq!(at, [1_700_000_000_123, 1_700_000_001_000, 1_700_000_002_000]);
        assert_eq!(series.samples[0].value, 1.5);
        assert!(series.samples[1].value.is_infinite() && series.samples[2].value.is_nan());
    }

    #[test]
    fn samples_outside_the_range_and_repeated_instants_are_left_out() {
        let json = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{},"values":[[1,"1"],[2,"2"],[2,"2"],[3,"3"]]}]}}"#;
        let series = read(json).result.remove(0).into_series(TimestampMs(2000), TimestampMs(2999));
        assert_eq!(series.samples, [Sample { at: TimestampMs(2000), value: 2.0 }]);
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        let json = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"x"]]}]}}"#;
        assert!(serde_json::from_str::<Answer<Matrix>>(json).is_err());
    }
}
