//! The server as a `SeriesSource`.

use std::time::Duration;

use serde::de::DeserializeOwned;
use wellkept_model::{Labels, Matcher, SeriesData, SeriesSource, SourceError, SourceLimits, TimestampMs};

use crate::answer::{Answer, Matrix, Metric};
use crate::selector;
use crate::transport::{Reply, Transport, TransportError};

/// Room for one sample in JSON: `[1700000000.123,"123456.789012345"],` and its share of the labels.
const SAMPLE_BYTES: usize = 64;
/// Room for the labels of one series.
const SERIES_BYTES: usize = 1024;
/// Longest answer, whatever the limits say.
const ANSWER_MAX: usize = 512 << 20;
/// Earliest and latest instant that servers take, milliseconds: the years 0 and 9999, with a margin.
const TIME_RANGE: (i64, i64) = (-60_000_000_000_000, 250_000_000_000_000);
/// Longest range of one selector, milliseconds: what fits Go's durations, about 290 years.
const RANGE_MAX: i64 = 9_000_000_000_000;

/// Series of one Prometheus-compatible server.
pub struct Upstream {
    name: String,
    transport: Box<dyn Transport>,
}

impl Upstream {
    /// `name`: what errors call the server; no credentials in it.
    #[must_use]
    pub fn new(name: impl Into<String>, transport: Box<dyn Transport>) -> Self {
        Self { name: name.into(), transport }
    }

    fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        form: &[(&str, String)],
        max: usize,
        time: Duration,
    ) -> Result<T, SourceError> {
        let reply =
            self.transport.post(path, form, max.min(ANSWER_MAX), time).map_err(|e| self.failed(e, time))?;
        self.read(&reply)
    }

    fn read<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, SourceError> {
        let answer: Answer<T> = serde_json::from_slice(&reply.body)
            .map_err(|e| self.broken(format!("status {}, no answer of this API: {e}", reply.status)))?;
        match answer.data {
            Some(data) if answer.status == "success" => Ok(data),
            _ => Err(self.broken(format!("status {}: {}", reply.status, answer.error))),
        }
    }

    fn failed(&self, error: TransportError, time: Duration) -> SourceError {
        match error {
            TransportError::TooLong { max } => SourceError::TooMuch { what: "bytes", limit: max },
            TransportError::Timeout(_) => SourceError::TooMuch {
                what: "milliseconds",
                limit: usize::try_from(time.as_millis()).unwrap_or(usize::MAX),
            },
            error @ TransportError::Broken(_) => {
                SourceError::Read { what: self.name.clone(), source: Box::new(error) }
            }
        }
    }

    fn broken(&self, why: String) -> SourceError {
        SourceError::Read { what: self.name.clone(), source: Box::new(TransportError::Broken(why)) }
    }
}

impl SeriesSource for Upstream {
    fn select(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let Some((from, to)) = clamped(from, to) else { return Ok(Vec::new()) };
        // The window of a selector is open at its early end in Prometheus 3 and closed before: ask for one
        // millisecond more and leave out what is too early.
        let window = to.0.saturating_sub(from.0).saturating_add(1).min(RANGE_MAX);
        let form = [
            ("query", format!("{}[{window}ms]", selector::write(matchers))),
            ("time", seconds(to)),
            ("timeout", format!("{}ms", limits.time.as_millis().max(1))),
            // VictoriaMetrics: not from its cache, which leaves out the newest samples.
            ("nocache", "1".to_owned()),
        ];
        let max = limits.samples.saturating_mul(SAMPLE_BYTES).saturating_add(SERIES_BYTES);
        let matrix: Matrix = self.ask("/api/v1/query", &form, max, limits.time)?;
        if matrix.result_type != "matrix" {
            return Err(self.broken(format!("a {} instead of a matrix", matrix.result_type)));
        }
        let histograms: usize = matrix.result.iter().map(crate::answer::Row::histograms).sum();
        if histograms > 0 {
            let why = "native histograms cannot be read through this API; leave these series out";
            return Err(self.broken(why.to_owned()));
        }
        let mut out: Vec<SeriesData> = matrix.result.into_iter().map(|r| r.into_series(from, to)).collect();
        out.retain(|s| !s.samples.is_empty());
        check(out.len(), out.iter().map(|s| s.samples.len()).sum(), limits)?;
        out.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(out)
    }

    fn series(
        &self,
        matchers: &[Matcher],
        from: TimestampMs,
        to: TimestampMs,
        limits: &SourceLimits,
    ) -> Result<Vec<Labels>, SourceError> {
        let Some((from, to)) = clamped(from, to) else { return Ok(Vec::new()) };
        let form = [
            ("match[]", selector::write(matchers)),
            ("start", seconds(from)),
            ("end", seconds(to)),
            ("timeout", format!("{}ms", limits.time.as_millis().max(1))),
        ];
        let max = limits.series.saturating_add(1).saturating_mul(SERIES_BYTES);
        let metrics: Vec<Metric> = self.ask("/api/v1/series", &form, max, limits.time)?;
        check(metrics.len(), 0, limits)?;
        let mut out: Vec<Labels> = metrics.into_iter().map(|m| m.0).collect();
        out.sort();
        out.dedup();
        Ok(out)
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

fn clamped(from: TimestampMs, to: TimestampMs) -> Option<(TimestampMs, TimestampMs)> {
    let (first, last) = TIME_RANGE;
    let (from, to) = (from.0.clamp(first, last), to.0.clamp(first, last));
    (from <= to).then_some((TimestampMs(from), TimestampMs(to)))
}

fn seconds(at: TimestampMs) -> String {
    let (sign, ms) = (if at.0 < 0 { "-" } else { "" }, at.0.unsigned_abs());
    format!("{sign}{}.{:03}", ms / 1000, ms % 1000)
}

fn check(series: usize, samples: usize, limits: &SourceLimits) -> Result<(), SourceError> {
    if series > limits.series {
        return Err(SourceError::TooMuch { what: "series", limit: limits.series });
    }
    if samples > limits.samples {
        return Err(SourceError::TooMuch { what: "samples", limit: limits.samples });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use wellkept_model::MatchOp;

    use super::*;

    /// Answers with one body and remembers what it was asked.
    struct Canned(u16, &'static str, Arc<Mutex<Vec<String>>>);

    impl Transport for Canned {
        fn post(
            &self,
            path: &str,
            form: &[(&str, String)],
            _: usize,
            _: Duration,
        ) -> Result<Reply, TransportError> {
            let asked = form.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ");
            self.2.lock().unwrap().push(format!("{path} {asked}"));
            Ok(Reply { status: self.0, body: self.1.as_bytes().to_vec() })
        }
    }

    fn upstream(status: u16, body: &'static str) -> (Upstream, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::default();
        (Upstream::new("prometheus", Box::new(Canned(status, body, Arc::clone(&asked)))), asked)
    }

    fn up() -> [Matcher; 1] {
        [Matcher::new("__name__", MatchOp::Equal, "up").unwrap()]
    }

    #[test]
    fn both_ends_of_the_range_are_asked_for() {
        let (upstream, asked) =
            upstream(200, r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#);
        let got = upstream.select(&up(), TimestampMs(1000), TimestampMs(2500), &SourceLimits::default());
        assert!(got.unwrap().is_empty());
        assert_eq!(
            asked.lock().unwrap()[0],
            r#"/api/v1/query query={__name__="up"}[1501ms] time=2.500 timeout=30000ms nocache=1"#
        );
    }

    #[test]
    fn an_endless_range_stays_within_what_servers_take() {
        let (upstream, asked) =
            upstream(200, r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#);
        upstream
            .select(&up(), TimestampMs(i64::MIN), TimestampMs(i64::MAX), &SourceLimits::default())
            .unwrap();
        assert!(asked.lock().unwrap()[0].contains("[9000000000000ms] time=250000000000.000"));
    }

    #[test]
    fn what_the_server_says_against_it_reaches_the_reader() {
        let (upstream, _) =
            upstream(422, r#"{"status":"error","errorType":"execution","error":"too many samples"}"#);
        let error =
            upstream.select(&up(), TimestampMs(0), TimestampMs(1), &SourceLimits::default()).unwrap_err();
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(why, "status 422: too many samples");
    }

    #[test]
    fn a_page_that_is_no_prometheus_is_an_error() {
        let (upstream, _) = upstream(200, "<html>");
        assert!(upstream.series(&up(), TimestampMs(0), TimestampMs(1), &SourceLimits::default()).is_err());
    }

    #[test]
    fn a_native_histogram_is_refused_in_words() {
        let (upstream, _) = upstream(
            200,
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"histograms":[[1,{}]]}]}}"#,
        );
        let error =
            upstream.select(&up(), TimestampMs(0), TimestampMs(1), &SourceLimits::default()).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("native histograms"));
    }

    #[test]
    fn too_many_series_are_refused() {
        let (upstream, _) = upstream(200, r#"{"status":"success","data":[{"a":"1"},{"a":"2"}]}"#);
        let limits = SourceLimits { series: 1, ..SourceLimits::default() };
        let error = upstream.series(&up(), TimestampMs(0), TimestampMs(1), &limits).unwrap_err();
        assert!(matches!(error, SourceError::TooMuch { what: "series", limit: 1 }));
    }
}
