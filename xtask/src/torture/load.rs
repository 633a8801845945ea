//! Clients that push numbered samples and remember what was acknowledged.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::http;

/// Series of one client; each request has one sample of each.
pub(super) const SERIES: u64 = 200;
/// Clients at once.
pub(super) const CLIENTS: u64 = 4;
/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Distance of two requests of one client in the samples' own time, milliseconds.
const STEP_MS: i64 = 10;

/// What the clients have done so far. Numbers of requests, which are also the values that they send.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    /// Time of request 0, milliseconds.
    pub(super) begin: i64,
    /// By client.
    pub(super) clients: Vec<Client>,
}

/// What one client has done.
#[derive(Debug, Clone, Default)]
pub(super) struct Client {
    /// Number of the next request.
    pub(super) next: u64,
    /// Those that were answered with 2xx.
    pub(super) acknowledged: Vec<u64>,
    /// Those that were answered with another status, by status.
    pub(super) refused: Vec<u16>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_millis() as i64);
        Self { begin: now - 3_600_000, clients: vec![Client::default(); CLIENTS as usize] }
    }

    /// Time of a request.
    pub(super) fn at(&self, number: u64) -> i64 {
        self.begin + number as i64 * STEP_MS
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.clients.iter().map(|c| c.acknowledged.len() as u64 * SERIES).sum()
    }

    /// All clients push at once until `stop` says so, a request gets no answer, or each has sent `most`.
    pub(super) fn push(&mut self, port: u16, stop: &AtomicBool, most: u64) {
        let begin = self.begin;
        std::thread::scope(|scope| {
            for (id, client) in self.clients.iter_mut().enumerate() {
                scope.spawn(move || client.push(id, begin, port, stop, most));
            }
        });
    }

    /// One request of the first client; its status, 0 without answer.
    pub(super) fn push_one(&mut self, port: u16) -> u16 {
        let begin = self.begin;
        self.clients.first_mut().map_or(0, |c| c.push_next(0, begin, port))
    }
}

impl Client {
    fn push(&mut self, id: usize, begin: i64, port: u16, stop: &AtomicBool, most: u64) {
        for _ in 0..most {
            if stop.load(Ordering::Relaxed) || self.push_next(id, begin, port) == 0 {
                return;
            }
        }
    }

    fn push_next(&mut self, id: usize, begin: i64, port: u16) -> u16 {
        let number = self.next;
        self.next += 1;
        let body = request(id, number, begin + number as i64 * STEP_MS);
        let status = http::post(port, "/api/v1/import/prometheus", &body, ANSWER_MAX).unwrap_or(0);
        match status {
            200..=299 => self.acknowledged.push(number),
            0 => {}
            refused => self.refused.push(refused),
        }
        status
    }
}

/// One sample of each series; the value tells request and series.
fn request(client: usize, number: u64, at: i64) -> String {
    let mut text = String::new();
    for series in 0..SERIES {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "torture{{instance=\"client{client}\",series=\"s{series}\"}} {} {at}",
            value(number, series)
        );
    }
    text
}

/// What a series has at a request.
pub(super) fn value(number: u64, series: u64) -> u64 {
    number * SERIES + series
}
