//! Reads everything back and compares it with what was acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::load::{Ledger, SERIES, value};
use crate::http;

/// Longest wait for one client's samples.
const QUERY_MAX: Duration = Duration::from_secs(60);

/// Every promise about these samples that is broken, in words. `from`: first request to look at, by client.
pub(super) fn broken(ledger: &Ledger, from: &[u64], port: u16) -> Vec<String> {
    let mut out = Vec::new();
    for (id, client) in ledger.clients.iter().enumerate() {
        let first = from.get(id).copied().unwrap_or(0);
        match stored(ledger, id, first, client.next, port) {
            Ok(stored) => {
                let acknowledged: Vec<u64> =
                    client.acknowledged.iter().copied().filter(|n| *n >= first).collect();
                out.extend(compare(ledger, id, first..client.next, &acknowledged, &stored));
            }
            Err(error) => out.push(format!("client {id} cannot be read back: {error:#}")),
        }
    }
    out
}

/// Samples by series: time → value.
type Stored = BTreeMap<u64, Vec<(i64, f64)>>;

fn stored(ledger: &Ledger, id: usize, first: u64, next: u64, port: u16) -> Result<Stored> {
    let mut stored = Stored::new();
    // In slices, so that no answer is too long.
    let mut from = first;
    while from < next {
        let to = (from + 500).min(next);
        let window = ledger.at(to) - ledger.at(from);
        let query = format!("torture{{instance=\"client{id}\"}}[{window}ms]");
        let time = (ledger.at(to) - 1) as f64 / 1000.0;
        let path = format!("/api/v1/query?query={}&time={time:.3}", encoded(&query));
        let (status, body) = http::get(port, &path, QUERY_MAX)?;
        ensure!(status == 200, "status {status}: {}", body.chars().take(300).collect::<String>());
        take(&serde_json::from_str(&body)?, &mut stored)?;
        from = to;
    }
    Ok(stored)
}

fn take(answer: &Value, stored: &mut Stored) -> Result<()> {
    for row in answer["data"]["result"].as_array().context("no result")? {
        let name = row["metric"]["series"].as_str().context("no series")?;
        let series = name.trim_start_matches('s').parse().context("an odd series")?;
        let samples = stored.entry(series).or_default();
        for pair in row["values"].as_array().context("no values")? {
            let at = (pair[0].as_f64().context("no time")? * 1000.0).round() as i64;
            samples.push((at, pair[1].as_str().context("no value")?.parse()?));
        }
    }
    Ok(())
}

fn compare(
    ledger: &Ledger,
    id: usize,
    sent: std::ops::Range<u64>,
    acknowledged: &[u64],
    stored: &Stored,
) -> Vec<String> {
    let (mut lost, mut wrong, mut doubled, mut unknown) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut first_lost = None;
    for series in 0..SERIES {
        let samples = stored.get(&series).map(Vec::as_slice).unwrap_or_default();
        let by_time: BTreeMap<i64, f64> = samples.iter().copied().collect();
        doubled += (samples.len() - by_time.len()) as u64;
        for number in acknowledged {
            match by_time.get(&ledger.at(*number)) {
                None => {
                    lost += 1;
                    first_lost.get_or_insert(*number);
                }
                Some(v) if *v == value(*number, series) as f64 => {}
                Some(_) => wrong += 1,
            }
        }
        let times: std::collections::BTreeSet<i64> = sent.clone().map(|n| ledger.at(n)).collect();
        unknown += by_time.keys().filter(|at| !times.contains(at)).count() as u64;
    }
    let mut out = Vec::new();
    for (count, what) in [(lost, "lost"), (wrong, "wrong"), (doubled, "doubled"), (unknown, "never sent")] {
        if count > 0 {
            out.push(format!(
                "client {id}: {count} samples {what} (requests {}..{}, first lost {first_lost:?})",
                sent.start, sent.end
            ));
        }
    }
    out
}

/// Percent-encoded for a query string.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() {
            out.push(char::from(b));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger { begin: 1_000_000, ..Ledger::default() }
    }

    fn all(ledger: &Ledger, numbers: std::ops::Range<u64>) -> Stored {
        let row = |s| numbers.clone().map(|n| (ledger.at(n), value(n, s) as f64)).collect();
        (0..SERIES).map(|s| (s, row(s))).collect()
    }

    #[test]
    fn what_was_sent_and_not_acknowledged_may_be_there_or_not() {
        let ledger = ledger();
        for numbers in [0..2, 0..3] {
            assert!(compare(&ledger, 0, 0..3, &[0, 1], &all(&ledger, numbers)).is_empty());
        }
    }

    #[test]
    fn loss_wrong_values_doubles_and_inventions_are_found() {
        let ledger = ledger();
        let verdict = |stored: &Stored| compare(&ledger, 0, 0..3, &[0, 1, 2], stored).join("; ");
        assert!(verdict(&all(&ledger, 0..2)).contains("200 samples lost"));
        let mut stored = all(&ledger, 0..3);
        stored.get_mut(&7).unwrap()[1].1 = 0.5;
        assert!(verdict(&stored).contains("1 samples wrong"));
        let mut stored = all(&ledger, 0..3);
        let twice = stored[&7][1];
        stored.get_mut(&7).unwrap().push(twice);
        assert!(verdict(&stored).contains("1 samples doubled"));
        assert!(verdict(&all(&ledger, 0..4)).contains("200 samples never sent"));
    }
}
