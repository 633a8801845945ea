//! OTLP's metrics as JSON: which key of which message is which field.

use crate::DecodeError;
use crate::otlp::values::KEY_VALUE;
use crate::protojson::{self, Kind, Message};

/// `ExportMetricsServiceRequest`.
static REQUEST: Message = Message(&[("resourceMetrics", 1, Kind::Message(&RESOURCE_METRICS))]);
static RESOURCE_METRICS: Message =
    Message(&[("resource", 1, Kind::Message(&RESOURCE)), ("scopeMetrics", 2, Kind::Message(&SCOPE_METRICS))]);
static RESOURCE: Message = Message(&[("attributes", 1, Kind::Message(&KEY_VALUE))]);
static SCOPE_METRICS: Message =
    Message(&[("scope", 1, Kind::Message(&SCOPE)), ("metrics", 2, Kind::Message(&METRIC))]);
static SCOPE: Message = Message(&[
    ("name", 1, Kind::Text),
    ("version", 2, Kind::Text),
    ("attributes", 3, Kind::Message(&KEY_VALUE)),
]);
static METRIC: Message = Message(&[
    ("name", 1, Kind::Text),
    ("description", 2, Kind::Text),
    ("unit", 3, Kind::Text),
    ("gauge", 5, Kind::Message(&NUMBERS)),
    ("sum", 7, Kind::Message(&NUMBERS)),
    ("histogram", 9, Kind::Message(&HISTOGRAMS)),
    ("exponentialHistogram", 10, Kind::Message(&EXPONENTIALS)),
    ("summary", 11, Kind::Message(&SUMMARIES)),
]);
static NUMBERS: Message = Message(&[
    ("dataPoints", 1, Kind::Message(&NUMBER)),
    ("aggregationTemporality", 2, Kind::Varint),
    ("isMonotonic", 3, Kind::Varint),
]);
static HISTOGRAMS: Message =
    Message(&[("dataPoints", 1, Kind::Message(&HISTOGRAM)), ("aggregationTemporality", 2, Kind::Varint)]);
static EXPONENTIALS: Message =
    Message(&[("dataPoints", 1, Kind::Message(&EXPONENTIAL)), ("aggregationTemporality", 2, Kind::Varint)]);
static SUMMARIES: Message = Message(&[("dataPoints", 1, Kind::Message(&SUMMARY))]);
static NUMBER: Message = Message(&[
    ("startTimeUnixNano", 2, Kind::Fixed64),
    ("timeUnixNano", 3, Kind::Fixed64),
    ("asDouble", 4, Kind::Double),
    ("exemplars", 5, Kind::Message(&EXEMPLAR)),
    ("asInt", 6, Kind::Fixed64),
    ("attributes", 7, Kind::Message(&KEY_VALUE)),
    ("flags", 8, Kind::Varint),
]);
static HISTOGRAM: Message = Message(&[
    ("startTimeUnixNano", 2, Kind::Fixed64),
    ("timeUnixNano", 3, Kind::Fixed64),
    ("count", 4, Kind::Fixed64),
    ("sum", 5, Kind::Double),
    ("bucketCounts", 6, Kind::Fixed64),
    ("explicitBounds", 7, Kind::Double),
    ("exemplars", 8, Kind::Message(&EXEMPLAR)),
    ("attributes", 9, Kind::Message(&KEY_VALUE)),
    ("flags", 10, Kind::Varint),
]);
static EXPONENTIAL: Message = Message(&[
    ("attributes", 1, Kind::Message(&KEY_VALUE)),
    ("startTimeUnixNano", 2, Kind::Fixed64),
    ("timeUnixNano", 3, Kind::Fixed64),
    ("count", 4, Kind::Fixed64),
    ("sum", 5, Kind::Double),
    ("scale", 6, Kind::Zigzag),
    ("zeroCount", 7, Kind::Fixed64),
    ("positive", 8, Kind::Message(&BUCKETS)),
    ("negative", 9, Kind::Message(&BUCKETS)),
    ("flags", 10, Kind::Varint),
    ("exemplars", 11, Kind::Message(&EXEMPLAR)),
    ("zeroThreshold", 14, Kind::Double),
]);
static BUCKETS: Message = Message(&[("offset", 1, Kind::Zigzag), ("bucketCounts", 2, Kind::Varint)]);
static SUMMARY: Message = Message(&[
    ("startTimeUnixNano", 2, Kind::Fixed64),
    ("timeUnixNano", 3, Kind::Fixed64),
    ("count", 4, Kind::Fixed64),
    ("sum", 5, Kind::Double),
    ("quantileValues", 6, Kind::Message(&QUANTILE)),
    ("attributes", 7, Kind::Message(&KEY_VALUE)),
    ("flags", 8, Kind::Varint),
]);
static QUANTILE: Message = Message(&[("quantile", 1, Kind::Double), ("value", 2, Kind::Double)]);
static EXEMPLAR: Message = Message(&[
    ("timeUnixNano", 2, Kind::Fixed64),
    ("asDouble", 3, Kind::Double),
    ("spanId", 4, Kind::Hex),
    ("traceId", 5, Kind::Hex),
    ("asInt", 6, Kind::Fixed64),
    ("filteredAttributes", 7, Kind::Message(&KEY_VALUE)),
]);

/// Rewrites a request into `out`, which is emptied first.
pub(super) fn transcode(json: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    protojson::transcode(&REQUEST, json, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_and_misshapen_json_is_an_error() {
        let value = "{\"arrayValue\":{\"values\":[".repeat(500);
        let start = "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"value\":";
        let deep = format!("{start}{value}{}}}]}}}}]}}", "]}}".repeat(500));
        let lists = format!("{{\"resourceMetrics\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        for json in [
            "",
            "[]",
            "{",
            "{} x",
            "{\"resourceMetrics\":1}",
            "{\"resourceMetrics\":\"x\"}",
            deep.as_str(),
            lists.as_str(),
            "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":{}}]}]}]}",
            "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"sum\":{\"dataPoints\":[{\"asInt\":\"x\"}]}}]}]}]}",
            "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"sum\":{\"dataPoints\":[{\"asInt\":1.5}]}}]}]}]}",
        ] {
            let error = transcode(json.as_bytes(), &mut Vec::new());
            assert!(matches!(error, Err(DecodeError::Json(_))), "{}", &json[..json.len().min(80)]);
        }
        assert_eq!(transcode(b"{\"resourceMetrics\":null,\"new\":[{\"key\":1}]}", &mut Vec::new()), Ok(()));
    }
}
