//! The part of a sender that speaks with the receiver.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::sync::watch;
use tokio::time::Instant;
use wellkept_model::TimestampMs;

use super::outgoing::{merge, samples_of};
use super::queue::{Position, Record};
use super::record;
use super::{State, told_to_stop};
use crate::client::{Answer, Ask, Budget, Client};
use crate::clock;
use crate::config::WireVersion;
use crate::seam::{Encoder, Outgoing};
use crate::url::Url;

/// Longest answer that is read, bytes.
const ANSWER_MAX: u64 = 64 << 10;
/// Characters of an answer that are kept as the reason of a refusal.
const REASON_MAX: usize = 200;
/// Longest wait that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// How often the position is written down while sending.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Sends what is in the queue until it is told to stop.
pub(super) async fn run(
    state: Arc<State>,
    url: Url,
    encoder: Box<dyn Encoder>,
    mut stopped: watch::Receiver<bool>,
) {
    let client = Client::new(Arc::default(), Budget::default());
    let saved = Instant::now();
    let mut push = Push { state, url, encoder, client, carried: None, repeats: true, saved };
    tokio::select! {
        biased;
        () = told_to_stop(&mut stopped) => {}
        () = push.forever() => {}
    }
}

struct Push {
    state: Arc<State>,
    url: Url,
    encoder: Box<dyn Encoder>,
    client: Client,
    /// A record that did not fit the request before.
    carried: Option<(Vec<Outgoing>, Position)>,
    /// Records may come a second time, because the position on disk lags: true until the receiver takes one.
    ///
    /// A receiver such as Prometheus refuses a request as a whole when one of its samples is old, so a record that may
    /// be a repetition is sent by itself: refused, it takes no other with it.
    repeats: bool,
    saved: Instant,
}

/// What became of a request.
enum Outcome {
    Taken,
    /// Not now: try again, not before this has passed.
    Later(String, Option<Duration>),
    /// Never: it is dropped.
    Refused(String),
}

impl Push {
    async fn forever(&mut self) {
        loop {
            let (series, after) = self.gather().await;
            let oldest = match self.state.config.queue.age_limit {
                Duration::ZERO => None,
                limit => Some(clock::wall() - limit),
            };
            let (series, too_old) = merge(series, oldest);
            self.state.stats().dropped_old += too_old;
            if !series.is_empty() {
                self.send(&series).await;
            }
            self.commit(after).await;
        }
    }

    /// The series of the next request: as many records as fit it, or as have come within the deadline.
    async fn gather(&mut self) -> (Vec<Outgoing>, Position) {
        let queue = self.state.config.queue;
        let max = queue.samples_per_send as u64;
        let (mut series, mut after) = match self.carried.take() {
            Some(carried) => carried,
            None => self.wait().await,
        };
        if self.repeats {
            return (series, after);
        }
        let deadline = Instant::now() + queue.deadline;
        while samples_of(&series) < max {
            let next = match self.next().await {
                Some(next) => next,
                None => {
                    let added = self.state.added.notified();
                    if tokio::time::timeout_at(deadline, added).await.is_err() {
                        break;
                    }
                    continue;
                }
            };
            if samples_of(&series) + samples_of(&next.0) > max {
                self.carried = Some(next);
                break;
            }
            series.extend(next.0);
            after = next.1;
        }
        (series, after)
    }

    /// The next record, waiting until there is one.
    async fn wait(&mut self) -> (Vec<Outgoing>, Position) {
        loop {
            if let Some(next) = self.next().await {
                return next;
            }
            self.state.added.notified().await;
        }
    }

    /// The next record that can be read.
    async fn next(&mut self) -> Option<(Vec<Outgoing>, Position)> {
        loop {
            let Record { payload, after } = match self.state.with_queue(|queue| queue.read()).await {
                Ok(record) => record?,
                Err(error) => {
                    self.state.stats().last_error = format!("queue: {error}");
                    tokio::time::sleep(self.state.config.queue.max_backoff).await;
                    continue;
                }
            };
            match record::decode(&payload) {
                Ok(series) => return Some((series, after)),
                Err(error) => {
                    let mut stats = self.state.stats();
                    stats.damaged_bytes += payload.len() as u64;
                    stats.last_error = format!("queue: {error}");
                }
            }
        }
    }

    /// Sends until it is taken or refused.
    async fn send(&mut self, series: &[Outgoing]) {
        let samples = samples_of(series);
        let version = self.state.config.version;
        let Some(body) = self.encoder.encode(version, series) else {
            let mut stats = self.state.stats();
            stats.dropped_refused += samples;
            "the samples cannot be encoded".clone_into(&mut stats.last_error);
            return;
        };
        let body = hyper::body::Bytes::from(body);
        let queue = self.state.config.queue;
        let mut backoff = queue.min_backoff;
        loop {
            let outcome = self.post(body.clone()).await;
            let wait = {
                let mut stats = self.state.stats();
                stats.backoff = Duration::ZERO;
                match outcome {
                    Outcome::Taken => {
                        self.repeats = false;
                        stats.samples_sent += samples;
                        stats.bytes_sent += body.len() as u64;
                        stats.newest_sent = stats.newest_sent.max(newest(series));
                        stats.last_error.clear();
                        return;
                    }
                    Outcome::Refused(why) => {
                        stats.dropped_refused += samples;
                        stats.last_error = why;
                        return;
                    }
                    Outcome::Later(why, asked) => {
                        stats.failures += 1;
                        stats.samples_retried += samples;
                        stats.last_error = why;
                        let wait = backoff.max(asked.unwrap_or_default().min(RETRY_AFTER_MAX));
                        stats.backoff = wait;
                        wait
                    }
                }
            };
            tokio::time::sleep(wait).await;
            backoff = (backoff * 2).min(queue.max_backoff);
        }
    }

    async fn post(&mut self, body: hyper::body::Bytes) -> Outcome {
        let config = &self.state.config;
        let (kind, version) = match config.version {
            WireVersion::V1 => ("application/x-protobuf", "0.1.0"),
            WireVersion::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
            (header::CONTENT_ENCODING, HeaderValue::from_static("snappy")),
            (HeaderName::from_static("x-prometheus-remote-write-version"), HeaderValue::from_static(version)),
        ];
        let ask = Ask {
            method: Method::POST,
            url: &self.url,
            http: &config.http,
            headers: &headers,
            own_headers: &config.headers,
            body,
            answer_max: ANSWER_MAX,
        };
        match tokio::time::timeout(config.timeout, self.client.ask(&ask)).await {
            Ok(Ok(answer)) => {
                self.state.stats().requests += 1;
                judge(&answer)
            }
            Ok(Err(error)) => Outcome::Later(error.to_string(), None),
            Err(_) => Outcome::Later(
                format!("no complete answer within {}", crate::duration::show(config.timeout)),
                None,
            ),
        }
    }

    async fn commit(&mut self, after: Position) {
        let save = self.saved.elapsed() >= SAVE_EVERY;
        let done = self.state.with_queue(move |queue| {
            queue.commit(after)?;
            if save { queue.save_position() } else { Ok(()) }
        });
        if let Err(error) = done.await {
            self.state.stats().last_error = format!("queue: {error}");
        }
        if save {
            self.saved = Instant::now();
        }
    }
}

fn judge(answer: &Answer) -> Outcome {
    let status = answer.status;
    if status.is_success() {
        return Outcome::Taken;
    }
    let words = String::from_utf8_lossy(&answer.body);
    let words: String = words.trim().chars().filter(|c| !c.is_control()).take(REASON_MAX).collect();
    let why = if words.is_empty() {
        format!("HTTP status {status}")
    } else {
        format!("HTTP status {status}: {words}")
    };
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        let seconds = answer.header(header::RETRY_AFTER).and_then(|t| t.trim().parse().ok());
        return Outcome::Later(why, seconds.map(Duration::from_secs));
    }
    Outcome::Refused(why)
}

fn newest(series: &[Outgoing]) -> Option<TimestampMs> {
    let floats = series.iter().filter_map(|s| s.samples.last()).map(|s| s.at);
    floats.chain(series.iter().filter_map(|s| s.histograms.last()).map(|s| s.at)).max()
}
