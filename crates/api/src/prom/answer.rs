//! Results in Prometheus' JSON: instants as seconds, values as text (JSON has no NaN and no infinity).

use serde::ser::{SerializeMap as _, SerializeSeq as _, SerializeTuple as _};
use serde::{Serialize, Serializer};
use wellkept_model::{Histogram, HistogramSample, Labels, Sample, TimestampMs};

use crate::promql_door::{Outcome, PointValue, Value, histogram_buckets};

/// An answer that went well.
#[derive(Serialize)]
pub(super) struct Success<T> {
    status: &'static str,
    data: T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    infos: Vec<String>,
}

impl<T: Serialize> Success<T> {
    pub(super) fn new(data: T, warnings: Vec<String>) -> Self {
        Self { status: "success", data, warnings, infos: Vec::new() }
    }
}

/// `{"resultType":"vector","result":[…]}`.
#[derive(Serialize)]
struct Data<'a> {
    #[serde(rename = "resultType")]
    result_type: &'static str,
    result: Result<'a>,
}

/// The body of a query's answer.
pub(super) fn body(outcome: Outcome) -> serde_json::Result<Vec<u8>> {
    let result_type = match outcome.value {
        Value::Scalar { .. } => "scalar",
        Value::String { .. } => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    let data = Data { result_type, result: Result(&outcome.value) };
    serde_json::to_vec(&Success { infos: outcome.infos, ..Success::new(data, outcome.warnings) })
}

struct Result<'a>(&'a Value);

impl Serialize for Result<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            Value::Scalar { at, value } => (At(*at), Number(*value)).serialize(serializer),
            Value::String { at, value } => (At(*at), value).serialize(serializer),
            Value::Vector(series) => {
                let mut seq = serializer.serialize_seq(Some(series.len()))?;
                for (labels, point) in series {
                    let metric = Metric(labels);
                    match &point.value {
                        PointValue::Float(value) => {
                            let sample = Sample { at: point.at, value: *value };
                            seq.serialize_element(&VectorItem { metric, value: Point(&sample) })?;
                        }
                        PointValue::Histogram(histogram) => {
                            let histogram = (At(point.at), Buckets(histogram));
                            seq.serialize_element(&VectorHistogram { metric, histogram })?;
                        }
                    }
                }
                seq.end()
            }
            Value::Matrix(series) => {
                let mut seq = serializer.serialize_seq(Some(series.len()))?;
                for one in series {
                    seq.serialize_element(&MatrixItem {
                        metric: Metric(&one.labels),
                        values: Points(&one.samples),
                        histograms: HistogramPoints(&one.histograms),
                    })?;
                }
                seq.end()
            }
        }
    }
}

#[derive(Serialize)]
struct VectorItem<'a> {
    metric: Metric<'a>,
    value: Point<'a>,
}

#[derive(Serialize)]
struct VectorHistogram<'a> {
    metric: Metric<'a>,
    histogram: (At, Buckets<'a>),
}

#[derive(Serialize)]
struct MatrixItem<'a> {
    metric: Metric<'a>,
    #[serde(skip_serializing_if = "Points::is_empty")]
    values: Points<'a>,
    #[serde(skip_serializing_if = "HistogramPoints::is_empty")]
    histograms: HistogramPoints<'a>,
}

struct HistogramPoints<'a>(&'a [HistogramSample]);

impl HistogramPoints<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for HistogramPoints<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|h| (At(h.at), Buckets(&h.histogram))))
    }
}

/// `{"count":"4","sum":"5","buckets":[[0,"1","2","4"]]}`
struct Buckets<'a>(&'a Histogram);

impl Serialize for Buckets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let buckets: Vec<_> = histogram_buckets(self.0)
            .into_iter()
            .map(|b| (b.boundaries, Number(b.lower), Number(b.upper), Number(b.count)))
            .collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("count", &Number(self.0.count))?;
        map.serialize_entry("sum", &Number(self.0.sum))?;
        if !buckets.is_empty() {
            map.serialize_entry("buckets", &buckets)?;
        }
        map.end()
    }
}

/// A label set as an object.
pub(super) struct Metric<'a>(pub(super) &'a Labels);

impl Serialize for Metric<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

struct Points<'a>(&'a [Sample]);

impl Points<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Point))
    }
}

struct Point<'a>(&'a Sample);

impl Serialize for Point<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&At(self.0.at))?;
        tuple.serialize_element(&Number(self.0.value))?;
        tuple.end()
    }
}

/// Seconds: whole ones without a fraction.
struct At(TimestampMs);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.0.0 % 1000 == 0 {
            serializer.serialize_i64(self.0.0 / 1000)
        } else {
            serializer.serialize_f64(self.0.as_seconds())
        }
    }
}

struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            v if v.is_nan() => serializer.serialize_str("NaN"),
            f64::INFINITY => serializer.serialize_str("+Inf"),
            f64::NEG_INFINITY => serializer.serialize_str("-Inf"),
            v => serializer.collect_str(&v),
        }
    }
}

#[cfg(test)]
mod tests {
    use wellkept_model::SeriesData;

    use super::*;

    fn check(value: Value, json: &str) {
        let body = body(Outcome { value, warnings: Vec::new(), infos: Vec::new() }).unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), format!(r#"{{"status":"success","data":{json}}}"#));
    }

    fn sample(ms: i64, value: f64) -> Sample {
        Sample { at: TimestampMs(ms), value }
    }

    fn point(ms: i64, value: PointValue) -> wellkept_promql::Point {
        wellkept_promql::Point { at: TimestampMs(ms), value }
    }

    #[test]
    fn a_histogram_is_written_with_its_buckets() {
        let histogram = std::sync::Arc::new(Histogram {
            count: 5.0,
            sum: 6.5,
            zero_count: 1.0,
            zero_threshold: 0.5,
            positive_spans: vec![wellkept_model::Span { offset: 1, length: 1 }],
            positive: vec![4.0],
            ..Histogram::default()
        });
        let json = r#"{"count":"5","sum":"6.5","buckets":[[3,"-0.5","0.5","1"],[0,"1","2","4"]]}"#;
        check(
            Value::Vector(vec![(Labels::default(), point(1000, PointValue::Histogram(histogram.clone())))]),
            &format!(r#"{{"resultType":"vector","result":[{{"metric":{{}},"histogram":[1,{json}]}}]}}"#),
        );
        let histograms = vec![HistogramSample { at: TimestampMs(2000), histogram }];
        check(
            Value::Matrix(vec![SeriesData { histograms, ..SeriesData::default() }]),
            &format!(r#"{{"resultType":"matrix","result":[{{"metric":{{}},"histograms":[[2,{json}]]}}]}}"#),
        );
    }

    #[test]
    fn results_are_written_as_prometheus_writes_them() {
        check(
            Value::Scalar { at: TimestampMs(1_435_781_451_781), value: 1.0 },
            r#"{"resultType":"scalar","result":[1435781451.781,"1"]}"#,
        );
        check(
            Value::String { at: TimestampMs(1000), value: "a\"b".into() },
            r#"{"resultType":"string","result":[1,"a\"b"]}"#,
        );
        check(
            Value::Vector(vec![(Labels::metric("up", [("job", "n")]), point(1500, PointValue::Float(0.1)))]),
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"n"},"value":[1.5,"0.1"]}]}"#,
        );
        let samples = vec![sample(0, f64::NAN), sample(1000, f64::INFINITY), sample(2000, f64::NEG_INFINITY)];
        check(
            Value::Matrix(vec![SeriesData::floats(Labels::default(), samples)]),
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0,"NaN"],[1,"+Inf"],[2,"-Inf"]]}]}"#,
        );
    }

    #[test]
    fn extreme_numbers_stay_numbers() {
        for value in [f64::MAX, f64::MIN_POSITIVE, -0.0, 1e21] {
            let json = serde_json::to_string(&Number(value)).unwrap();
            assert_eq!(json.trim_matches('"').parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }

    #[test]
    fn warnings_are_given_when_there_are_some() {
        let outcome = Outcome {
            value: Value::Vector(Vec::new()),
            warnings: vec!["careful".into()],
            infos: vec!["look".into()],
        };
        let json = String::from_utf8(body(outcome).unwrap()).unwrap();
        assert!(json.ends_with(r#","warnings":["careful"],"infos":["look"]}"#), "{json}");
    }
}
