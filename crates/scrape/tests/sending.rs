//! Samples are sent on: real receivers, real files.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::*;
use hyper::Response;
use wellkept_model::{Labels, Sample, TimestampMs};
use wellkept_scrape::config::{RemoteWrite, WireVersion};
use wellkept_scrape::sender::{Sender, SenderStats, Senders};
use wellkept_scrape::{Encoder, Outgoing};

/// Writes `labels value@time` lines, so that a test can read what was sent.
struct Plain;

impl Encoder for Plain {
    fn encode(&mut self, _: WireVersion, series: &[Outgoing]) -> Option<Vec<u8>> {
        let mut out = String::new();
        for one in series {
            for sample in &one.samples {
                out.push_str(&format!("{} {}@{}\n", one.labels, sample.value, sample.at));
            }
        }
        Some(out.into_bytes())
    }
}

fn remote_write(server: &Server, keys: &str) -> RemoteWrite {
    let text = format!(
        "remote_write:\n  - url: http://{}/write\n    name: far\n    queue_config: {{ batch_send_deadline: 50ms, \
         min_backoff: 5ms, max_backoff: 20ms, max_samples_per_send: 100 }}\n{keys}",
        server.address
    );
    config(&text).remote_writes.remove(0)
}

fn open(config: &RemoteWrite, dir: &Path) -> Sender {
    let external = Labels::new([("dc", "near")]);
    Sender::open(config, &external, dir, 1 << 20, Box::new(Plain)).expect("the queue can be opened")
}

fn series(name: &str, ats: std::ops::Range<i64>) -> Arc<Vec<Outgoing>> {
    let samples = ats.map(|at| Sample { at: TimestampMs(at), value: 1.0 }).collect();
    Arc::new(vec![Outgoing { labels: Labels::metric(name, []), samples, histograms: Vec::new() }])
}

/// All lines that the server was sent and answered with 200, in order.
fn lines(seen: &[Seen]) -> Vec<String> {
    seen.iter()
        .flat_map(|s| String::from_utf8_lossy(&s.body).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// Waits until the sender's figures are as wanted.
async fn until(sender: &Sender, what: &str, wanted: impl Fn(&SenderStats) -> bool) -> SenderStats {
    let all = async {
        loop {
            let stats = sender.stats();
            if wanted(&stats) {
                return stats;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, all).await {
        Ok(stats) => stats,
        Err(_) => panic!("{what}: not in time: {:#?}", sender.stats()),
    }
}

#[tokio::test]
async fn samples_are_relabeled_and_sent_in_order() {
    let server = Server::start(|_| Some(status(204))).await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let keys = "    headers: { X-Scope: '7' }\n    basic_auth: { username: u, password: p }\n    \
                write_relabel_configs: [{ source_labels: [__name__], regex: secret, action: drop }]\n";
    let sender = open(&remote_write(&server, keys), dir.path());
    assert!(sender.offer_series(&series("secret", 0..3)));
    for n in 0..5 {
        assert!(sender.offer_series(&series("a", n * 50..(n + 1) * 50)));
    }
    let stats = until(&sender, "all sent", |s| s.samples_sent == 250).await;
    assert_eq!((stats.samples_offered, stats.samples_queued, stats.dropped_relabel), (253, 250, 3));
    assert_eq!((stats.queue_samples, stats.newest_sent), (0, Some(TimestampMs(249))));
    let seen = server.seen();
    let expected: Vec<String> = (0..250).map(|at| format!("a{{dc=\"near\"}} 1@{at}")).collect();
    assert_eq!(lines(&seen), expected);
    assert!(seen.iter().all(|s| s.body.len() < 100 * 24 && s.connection == 0));
    let first = &seen[0];
    assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/write"));
    assert_eq!(first.header("content-encoding"), "snappy");
    assert_eq!(first.header("content-type"), "application/x-protobuf");
    assert_eq!(first.header("x-prometheus-remote-write-version"), "0.1.0");
    assert_eq!((first.header("x-scope"), first.header("authorization")), ("7", "Basic dTpw"));
    sender.shutdown().await;
}

#[tokio::test]
async fn a_receiver_that_fails_is_asked_again_and_one_that_refuses_is_not() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Some(status(500)),
        1 => Response::builder().status(429).header("retry-after", "1").body("".into()).ok(),
        2 => Some(status(200)),
        3 => Response::builder().status(400).body("out of order\u{7}".into()).ok(),
        _ => Some(status(200)),
    })
    .await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let sender = open(&remote_write(&server, ""), dir.path());
    let began = tokio::time::Instant::now();
    sender.offer_series(&series("a", 0..100));
    until(&sender, "sent at last", |s| s.samples_sent == 100).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "Retry-After is kept");
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|s| s.body == seen[0].body));
    sender.offer_series(&series("b", 0..100));
    let stats = until(&sender, "refused", |s| s.dropped_refused == 100).await;
    assert_eq!(stats.last_error, "HTTP status 400 Bad Request: out of order");
    assert_eq!((stats.failures, stats.samples_retried), (2, 200));
    sender.offer_series(&series("c", 0..100));
    until(&sender, "goes on", |s| s.samples_sent == 200).await;
}

#[tokio::test]
async fn nothing_is_lost_over_a_restart() {
    let gone = Server::start(|_| None).await;
    let address = gone.address;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = remote_write(&gone, "    remote_timeout: 50ms\n");
    drop(gone);
    let sender = open(&config, dir.path());
    for n in 0..20 {
        sender.offer_series(&series("a", n * 10..(n + 1) * 10));
    }
    until(&sender, "all queued", |s| s.samples_queued == 200 && s.failures > 0).await;
    // As if the process were killed: nothing is written down.
    drop(sender);
    let server = Server::start_at(&address.to_string(), None, |_| Some(status(200))).await;
    let sender = open(&config, dir.path());
    sender.offer_series(&series("a", 200..210));
    until(&sender, "all sent", |s| s.samples_sent == 210).await;
    sender.shutdown().await;
    let expected: Vec<String> = (0..210).map(|at| format!("a{{dc=\"near\"}} 1@{at}")).collect();
    assert_eq!(lines(&server.seen()), expected);
    // After an orderly end nothing is sent twice.
    let requests = server.seen().len();
    let sender = open(&config, dir.path());
    sender.offer_series(&series("b", 0..1));
    until(&sender, "the new one is sent", |s| s.samples_sent == 1).await;
    assert_eq!(server.seen().len(), requests + 1);
}

#[tokio::test]
async fn what_is_sent_twice_after_a_crash_takes_nothing_new_with_it() {
    // As Prometheus does: a request with a sample that is not newer than the newest is refused as a whole.
    let (away, newest) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let is_away = Arc::clone(&away);
    let server = Server::start(move |seen| {
        if is_away.load(Ordering::SeqCst) == 1 {
            return Some(status(503));
        }
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        let times = text.lines().filter_map(|l| l.rsplit_once('@')?.1.parse::<usize>().ok());
        let (first, last) = times.fold((usize::MAX, 0), |(a, b), t| (a.min(t), b.max(t)));
        if first <= newest.load(Ordering::SeqCst) {
            return Some(status(400));
        }
        newest.store(last, Ordering::SeqCst);
        Some(status(204))
    })
    .await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = remote_write(&server, "");
    let sender = open(&config, dir.path());
    for at in 1..4 {
        sender.offer_series(&series("m", at..at + 1));
        until(&sender, "it is sent", |s| s.samples_sent == u64::try_from(at).unwrap_or_default()).await;
    }
    away.store(1, Ordering::SeqCst);
    for at in 4..9 {
        sender.offer_series(&series("m", at..at + 1));
        until(&sender, "it is queued", |s| s.samples_queued == u64::try_from(at).unwrap_or_default()).await;
    }
    // No good end: how far it got is not written down.
    drop(sender);
    away.store(0, Ordering::SeqCst);
    let sender = open(&config, dir.path());
    let stats = until(&sender, "all is sent", |s| s.samples_sent + s.dropped_refused >= 8).await;
    assert_eq!((stats.samples_sent, stats.dropped_refused), (5, 3));
}

#[tokio::test]
async fn a_receiver_that_stays_away_costs_a_bounded_disk_and_the_oldest_samples() {
    let away = Server::start(|_| Some(status(503))).await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let external = Labels::default();
    let sender = Sender::open(&remote_write(&away, ""), &external, dir.path(), 1 << 16, Box::new(Plain))
        .expect("the queue can be opened");
    let mut offered = 0;
    while sender.stats().dropped_full == 0 {
        let name = format!("a{offered}");
        let many: Vec<Outgoing> = (0..200)
            .map(|n| Outgoing {
                labels: Labels::metric(&format!("{name}_{n}"), []),
                ..series("", 0..1)[0].clone()
            })
            .collect();
        assert!(sender.offer_series(&Arc::new(many)) && offered < 2_000_000);
        offered += 200;
        until(&sender, "queued", |s| s.samples_queued == offered).await;
    }
    let stats = sender.stats();
    assert!(stats.queue_bytes <= 1 << 16, "{stats:?}");
    // What is in hand (a request and the record behind it) is neither on disk nor lost.
    let known = stats.dropped_full + stats.queue_samples;
    assert!((offered - 300..=offered).contains(&known), "{stats:?}");
}

#[tokio::test]
async fn samples_that_have_become_too_old_are_not_sent() {
    let server = Server::start(|_| Some(status(200))).await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut config = remote_write(&server, "");
    config.queue.age_limit = Duration::from_secs(3600);
    let sender = open(&config, dir.path());
    sender.offer_series(&series("a", 0..10));
    until(&sender, "too old", |s| s.dropped_old == 10).await;
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn senders_follow_the_configuration() {
    let (a, b) = (Server::start(|_| Some(status(200))).await, Server::start(|_| Some(status(200))).await);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let senders = Senders::new(dir.path(), 1 << 20, Arc::new(|| Box::new(Plain)));
    let (to_a, mut to_b) = (remote_write(&a, ""), remote_write(&b, ""));
    to_b.name = "near".into();
    let external = Labels::default();
    senders.apply(&[to_a.clone(), to_b.clone()], &external).await.expect("both begin");
    senders.offer_series(&series("x", 0..100));
    a.wait(1).await;
    b.wait(1).await;
    senders.apply(std::slice::from_ref(&to_b), &external).await.expect("it goes on");
    senders.offer_series(&series("y", 0..100));
    b.wait(2).await;
    assert_eq!(
        senders.stats().iter().map(|s| (s.name.as_str(), s.samples_offered)).collect::<Vec<_>>(),
        [("near", 200)]
    );
    senders.shutdown().await;
    assert_eq!(a.seen().len(), 1);
    to_b.url = "nonsense".into();
    assert_eq!(senders.apply(&[to_b, to_a], &external).await.expect_err("one is wrong").len(), 1);
    assert_eq!(senders.stats().len(), 1);
}

#[tokio::test]
async fn nothing_is_lost_while_a_receiver_changes() {
    let server = Server::start(|_| Some(status(200))).await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let senders = Arc::new(Senders::new(dir.path(), 1 << 20, Arc::new(|| Box::new(Plain))));
    let config = remote_write(&server, "");
    let external = Labels::default();
    senders.apply(std::slice::from_ref(&config), &external).await.expect("it begins");
    let offering = tokio::spawn({
        let senders = Arc::clone(&senders);
        async move {
            for n in 0..200 {
                senders.offer_series(&series("a", n..n + 1));
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
        }
    });
    for n in 1..6 {
        let config = RemoteWrite { timeout: Duration::from_secs(n), ..config.clone() };
        senders.apply(std::slice::from_ref(&config), &external).await.expect("it goes on");
    }
    offering.await.expect("all are offered");
    let all_there = || {
        let there: std::collections::BTreeSet<String> = lines(&server.seen()).into_iter().collect();
        there.len() == 200
    };
    let waiting = async {
        while !all_there() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("all are sent");
    assert_eq!(senders.dropped_while_changing(), 0);
}
