//! Results in Prometheus' JSON: instants as seconds, values as text (JSON has no NaN and no infinity).

use serde::ser::{SerializeMap as _, SerializeSeq as _, SerializeTuple as _};
use serde::{Serialize, Serializer};
use wellkept_model::{Labels, Sample, TimestampMs};

use crate::promql_door::{Outcome, Value};

/// An answer that went well.
#[derive(Serialize)]
pub(super) struct Success<T> {
    status: &'static str,
    data: T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl<T: Serialize> Success<T> {
    pub(super) fn new(data: T, warnings: Vec<String>) -> Self {
        Self { status: "success", data, warnings }
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
    serde_json::to_vec(&Success::new(data, outcome.warnings))
}

struct Result<'a>(&'a Value);

impl Serialize for Result<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            Value::Scalar { at, value } => (At(*at), Number(*value)).serialize(serializer),
            Value::String { at, value } => (At(*at), value).serialize(serializer),
            Value::Vector(series) => {
                let mut seq = serializer.serialize_seq(Some(series.len()))?;
                for (labels, sample) in series {
                    seq.serialize_element(&VectorItem { metric: Metric(labels), value: Point(sample) })?;
                }
                seq.end()
            }
            Value::Matrix(series) => {
                let mut seq = serializer.serialize_seq(Some(series.len()))?;
                for one in series {
                    seq.serialize_element(&MatrixItem {
                        metric: Metric(&one.labels),
                        values: Points(&one.samples),
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
struct MatrixItem<'a> {
    metric: Metric<'a>,
    values: Points<'a>,
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
        let body = body(Outcome { value, warnings: Vec::new() }).unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), format!(r#"{{"status":"success","data":{json}}}"#));
    }

    fn sample(ms: i64, value: f64) -> Sample {
        Sample { at: TimestampMs(ms), value }
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
            Value::Vector(vec![(Labels::metric("up", [("job", "n")]), sample(1500, 0.1))]),
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
        let outcome = Outcome { value: Value::Vector(Vec::new()), warnings: vec!["careful".into()] };
        let json = String::from_utf8(body(outcome).unwrap()).unwrap();
        assert!(json.ends_with(r#","warnings":["careful"]}"#), "{json}");
    }
}
