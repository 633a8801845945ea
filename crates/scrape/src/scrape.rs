//! One target: it is asked at its instant, again and again, and every answer becomes one [`Scraped`].
//!
//! A task never overlaps itself. Its instants are fixed by [`crate::target::Target::phase`], and a scrape that begins
//! within two milliseconds of its instant is stamped with that, so that time stamps are evenly spaced and cost the store
//! nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use hyper::header::{self, HeaderName, HeaderValue};
use tokio::sync::watch;
use tokio::sync::watch::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior};
use wellkept_model::TimestampMs;

use crate::client::{Answer, Ask, Budget, Client};
use crate::clock;
use crate::config::{HttpConfig, Protocol, ScrapeConfig};
use crate::ingest::{Cache, Counts, Report, ReportSeries, Round, Settings, empty};
use crate::seam::{NewParser, Outlet, Page, Parser, Scraped};
use crate::target::Target;
use crate::tls::Tls;

/// Longest answer of a target where the operator names no bound, bytes without compression.
const BODY_MAX: u64 = 64 << 20;
/// Longest text of an error that is kept.
const ERROR_MAX: usize = 500;
/// How far from its instant a scrape may begin and still be stamped with it.
const TOLERANCE: Duration = Duration::from_millis(2);

/// How a target was found at its last scrape.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Whether the last scrape was good; `None` before the first.
    pub up: Option<bool>,
    /// Why it was not; empty when it was.
    pub last_error: String,
    /// When it began.
    pub last_scrape: Option<TimestampMs>,
    /// How long it took.
    pub last_duration: Duration,
    /// Scrapes that the store did not take.
    pub not_stored: u64,
    /// Samples that were left out because their series had one already, in all.
    pub repeated: u64,
}

/// Everything that decides how a target is scraped, and may change while it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct How {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) settings: Settings,
    pub(crate) http: HttpConfig,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) fallback: Option<Protocol>,
    pub(crate) compression: bool,
    pub(crate) classic_histograms: bool,
    /// Why it may not be asked at all; its scrapes fail with this.
    pub(crate) refused: Option<String>,
}

impl How {
    pub(crate) fn new(config: &ScrapeConfig, target: &Target) -> Self {
        Self {
            interval: target.interval,
            timeout: target.timeout,
            settings: Settings {
                honor_labels: config.honor_labels,
                honor_timestamps: config.honor_timestamps,
                track_timestamps_staleness: config.track_timestamps_staleness,
                rules: config.metric_relabel.clone(),
                limits: config.limits,
            },
            http: config.http.clone(),
            protocols: config.protocols.clone(),
            fallback: config.fallback,
            compression: config.compression,
            classic_histograms: config.classic_histograms,
            refused: None,
        }
    }
}

/// What a target's task is told.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    /// Scrape like this.
    Run(Arc<How>),
    /// The target has gone: end its series.
    Gone,
    /// We are going: leave everything as it is.
    Quit,
}

impl Order {
    fn is_to_run(&self, how: &Arc<How>) -> bool {
        matches!(self, Self::Run(now) if Arc::ptr_eq(now, how))
    }
}

/// What all tasks share.
pub(crate) struct Shared {
    pub(crate) new_parser: NewParser,
    pub(crate) outlet: Arc<dyn Outlet>,
    pub(crate) tls: Arc<Tls>,
    pub(crate) budget: Budget,
}

/// The state of one task.
struct Task {
    shared: Arc<Shared>,
    parser: Box<dyn Parser>,
    target: Target,
    report: ReportSeries,
    health: Arc<Mutex<Health>>,
    client: Client,
    cache: Cache,
    scraped_once: bool,
}

/// Scrapes one target until it is told to end.
pub(crate) async fn run(
    shared: Arc<Shared>,
    target: Target,
    health: Arc<Mutex<Health>>,
    mut orders: watch::Receiver<Order>,
) {
    let client = Client::new(Arc::clone(&shared.tls), shared.budget.clone());
    let report = ReportSeries::new(&target.labels);
    let parser = (shared.new_parser)();
    let mut task =
        Task { shared, parser, target, report, health, client, cache: Cache::default(), scraped_once: false };
    let mut rules = None;
    loop {
        let order = orders.borrow_and_update().clone();
        match order {
            Order::Run(how) => {
                if rules.replace(how.settings.clone()).is_some_and(|old| old != how.settings) {
                    task.cache.forget_lines();
                }
                if task.repeat(&how, &mut orders).await.is_err() {
                    return;
                }
            }
            Order::Gone => {
                task.end().await;
                return;
            }
            Order::Quit => return,
        }
    }
}

impl Task {
    /// Scrapes at each instant until there is another order; an error when nobody is left to give one.
    async fn repeat(&mut self, how: &Arc<How>, orders: &mut watch::Receiver<Order>) -> Result<(), RecvError> {
        let (wait, first) = first_instant(clock::wall(), how.interval, self.target.phase());
        let mut ticks = tokio::time::interval_at(Instant::now() + wait, how.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut began: Option<Instant> = None;
        while orders.borrow().is_to_run(how) {
            let tick = tokio::select! {
                biased;
                changed = orders.changed() => {
                    changed?;
                    continue;
                }
                tick = ticks.tick() => tick,
            };
            let since_first = tick.duration_since(*began.get_or_insert(tick));
            let at = stamp(clock::wall(), first + since_first);
            // New settings wait for the scrape under way; an end does not.
            let scraped = tokio::select! {
                biased;
                ended = orders.wait_for(|order| !matches!(order, Order::Run(_))) => return ended.map(drop),
                answer = self.fetch(how) => self.digest(how, at, answer),
            };
            self.hand_over(scraped).await;
        }
        Ok(())
    }

    /// Asks the target; also gives when that began.
    async fn fetch(&mut self, how: &How) -> (Result<Answer, String>, std::time::Instant) {
        let began = clock::monotonic();
        if let Some(why) = &how.refused {
            return (Err(why.clone()), began);
        }
        let limit = match how.settings.limits.body_size {
            0 => BODY_MAX,
            size => size.min(BODY_MAX),
        };
        let headers = headers(how);
        let ask = Ask {
            method: Method::GET,
            url: &self.target.url,
            http: &how.http,
            headers: &headers,
            own_headers: &[],
            body: hyper::body::Bytes::new(),
            answer_max: limit,
        };
        let answer = match tokio::time::timeout(how.timeout, self.client.ask(&ask)).await {
            Ok(Ok(answer)) if answer.status == hyper::StatusCode::OK => Ok(answer),
            Ok(Ok(answer)) => Err(format!("server returned HTTP status {}", answer.status)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no complete answer within {}", crate::duration::show(how.timeout))),
        };
        (answer, began)
    }

    /// Turns an answer, or its absence, into what is stored.
    fn digest(
        &mut self,
        how: &How,
        at: TimestampMs,
        (answer, began): (Result<Answer, String>, std::time::Instant),
    ) -> Scraped {
        let result =
            answer.map_err(|e| (e, Counts::default())).and_then(|answer| self.read(how, at, &answer));
        let (mut scraped, counts, error) = match result {
            Ok((scraped, counts)) => (scraped, counts, String::new()),
            Err((error, counts)) => (empty(&mut self.cache, &self.target.labels, at), counts, error),
        };
        let took = began.elapsed();
        let report = Report { up: error.is_empty(), duration: took.as_secs_f64(), counts };
        self.report.add(&report, &mut scraped);
        self.scraped_once = true;
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.up = Some(error.is_empty());
        health.last_error = error.chars().take(ERROR_MAX).collect();
        health.last_scrape = Some(at);
        health.last_duration = took;
        health.repeated += counts.repeated;
        scraped
    }

    fn read(
        &mut self,
        how: &How,
        at: TimestampMs,
        answer: &Answer,
    ) -> Result<(Scraped, Counts), (String, Counts)> {
        let said = answer.header(header::CONTENT_TYPE);
        let media_type = media_type(said, how.fallback).map_err(|e| (e, Counts::default()))?;
        let mut round = Round::begin(&mut self.cache, &how.settings, &self.target.labels, at);
        let page = Page { body: &answer.body, media_type, at, classic_too: how.classic_histograms };
        let parser = &mut self.parser;
        let parsed = catch_unwind(AssertUnwindSafe(|| parser.parse(&page, &mut round)));
        match parsed {
            Ok(Ok(())) => round.finish(),
            Ok(Err(error)) => Err((error, round.abandon())),
            Err(_) => {
                // What a target sends must not end its task: nobody would scrape it any more.
                let counts = round.abandon();
                self.parser = (self.shared.new_parser)();
                Err(("the answer could not be read because of a fault of the program".to_owned(), counts))
            }
        }
    }

    async fn hand_over(&mut self, scraped: Scraped) {
        if let Err(error) = self.shared.outlet.put(scraped).await {
            let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
            health.not_stored += 1;
            if health.last_error.is_empty() {
                health.last_error = format!("not stored: {error}").chars().take(ERROR_MAX).collect();
            }
        }
    }

    /// Ends all series of the target.
    async fn end(&mut self) {
        if self.scraped_once {
            let mut scraped = empty(&mut self.cache, &self.target.labels, clock::wall());
            self.report.end(&mut scraped);
            self.hand_over(scraped).await;
        }
    }
}

/// How long to wait for the first instant, and when that is: instants are those whose distance from the epoch leaves
/// `phase` when divided by the interval.
fn first_instant(now: TimestampMs, interval: Duration, phase: Duration) -> (Duration, TimestampMs) {
    let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    let interval = ms(interval).max(1);
    let wait = (ms(phase) - now.0.rem_euclid(interval)).rem_euclid(interval);
    let wait = Duration::from_millis(wait.unsigned_abs());
    (wait, now + wait)
}

/// The planned instant when the clock is near it, else the clock.
fn stamp(now: TimestampMs, planned: TimestampMs) -> TimestampMs {
    if now.since(planned) <= TOLERANCE && planned.since(now) <= TOLERANCE { planned } else { now }
}

/// The format of an answer among those that we can read.
fn media_type(said: Option<&str>, fallback: Option<Protocol>) -> Result<&'static str, String> {
    let said = said.unwrap_or_default();
    let mut parts = said.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let version = parts.find_map(|p| p.strip_prefix("version=")).map(|v| v.trim_matches('"'));
    let protocol = match (kind.as_str(), version) {
        ("application/openmetrics-text", Some("0.0.1")) => Some(Protocol::OpenMetrics0),
        ("application/openmetrics-text", _) => Some(Protocol::OpenMetrics1),
        ("text/plain", Some("1.0.0")) => Some(Protocol::Text1),
        ("text/plain", _) => Some(Protocol::Text0),
        ("application/vnd.google.protobuf", _) => Some(Protocol::Proto),
        _ => fallback,
    };
    protocol.map(Protocol::media_type).ok_or_else(|| {
        let said: String = said.chars().take(100).collect();
        format!("the answer's Content-Type {said:?} is none that can be read; set fallback_scrape_protocol")
    })
}

fn headers(how: &How) -> Vec<(HeaderName, HeaderValue)> {
    let encoding = if how.compression { "gzip" } else { "identity" };
    let mut accept = String::new();
    for (place, protocol) in how.protocols.iter().enumerate() {
        let weight = how.protocols.len() + 1 - place;
        // Only these have a way to write names that are not ASCII words.
        let names = match protocol {
            Protocol::OpenMetrics1 | Protocol::Text1 | Protocol::Proto => ";escaping=allow-utf-8",
            Protocol::OpenMetrics0 | Protocol::Text0 => "",
        };
        accept.push_str(&format!("{}{names};q=0.{weight},", protocol.media_type()));
    }
    accept.push_str("*/*;q=0.1");
    let mut headers = vec![
        (header::ACCEPT_ENCODING, HeaderValue::from_static(encoding)),
        (
            HeaderName::from_static("x-prometheus-scrape-timeout-seconds"),
            HeaderValue::from_str(&how.timeout.as_secs_f64().to_string())
                .unwrap_or(HeaderValue::from_static("10")),
        ),
    ];
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.push((header::ACCEPT, accept));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_the_same_after_every_start() {
        let (interval, phase) = (Duration::from_secs(10), Duration::from_millis(3_500));
        for (now, wait, first) in
            [(20_000, 3_500, 23_500), (23_500, 0, 23_500), (23_501, 9_999, 33_500), (-1, 3_501, 3_500)]
        {
            let expected = (Duration::from_millis(wait), TimestampMs(first));
            assert_eq!(first_instant(TimestampMs(now), interval, phase), expected, "{now}");
        }
    }

    #[test]
    fn a_scrape_near_its_instant_is_stamped_with_it() {
        for (now, at) in [(1002, 1000), (998, 1000), (1003, 1003), (997, 997), (-9, -9)] {
            assert_eq!(stamp(TimestampMs(now), TimestampMs(1000)), TimestampMs(at));
        }
    }

    #[test]
    fn formats_are_told_apart() {
        for (said, fallback, expected) in [
            (Some("text/plain; version=0.0.4; charset=utf-8"), None, Some("text/plain;version=0.0.4")),
            (Some("text/plain"), None, Some("text/plain;version=0.0.4")),
            (
                Some("application/openmetrics-text; version=\"1.0.0\""),
                None,
                Some("application/openmetrics-text;version=1.0.0"),
            ),
            (Some("text/html"), None, None),
            (None, None, None),
            (None, Some(Protocol::Text0), Some("text/plain;version=0.0.4")),
            (
                Some("text/html"),
                Some(Protocol::OpenMetrics0),
                Some("application/openmetrics-text;version=0.0.1"),
            ),
        ] {
            assert_eq!(media_type(said, fallback).ok(), expected, "{said:?}");
        }
    }
}
