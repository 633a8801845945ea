//! Asks a proxy for its connections, as nginx's `stub_status` tells of them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wellkept_model::observe::ProxyConnections;

use crate::series::Series;

/// Longest time to wait for an answer.
pub(super) const WITHIN: Duration = Duration::from_secs(2);
/// In which time drops are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// What was told before.
#[derive(Debug, Default)]
pub(super) struct Drops {
    /// When, and how many were dropped since the proxy was started.
    past: VecDeque<(Instant, u64)>,
}

impl Drops {
    /// Fills in how many were dropped in the last minute.
    pub(super) fn count(&mut self, mut told: ProxyConnections, now: Instant) -> ProxyConnections {
        let all = told.accepted.saturating_sub(told.handled);
        if self.past.back().is_some_and(|(_, before)| *before > all) {
            // It was started anew.
            self.past.clear();
        }
        self.past.push_back((now, all));
        while self.past.len() > 1
            && self.past.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW)
        {
            self.past.pop_front();
        }
        told.dropped = self.past.front().map_or(0, |(_, before)| all - before);
        told
    }
}

/// `Active connections: 2`, then three counters in a line below their names, then `Reading: 0 Writing: 1 Waiting: 1`.
pub(super) fn parse(text: &str) -> Option<ProxyConnections> {
    let mut lines = text.lines().map(str::trim);
    let active = lines.next()?.strip_prefix("Active connections:")?.trim().parse().ok()?;
    lines.next()?.starts_with("server accepts handled requests").then_some(())?;
    let mut counters = lines.next()?.split_ascii_whitespace().map(|n| n.parse::<u64>().ok());
    let mut next = || counters.next().flatten();
    let (accepted, handled, requests) = (next()?, next()?, next()?);
    let words: Vec<&str> = lines.next()?.split_ascii_whitespace().collect();
    let of = |name: &str| {
        let at = words.iter().position(|w| *w == name)?;
        words.get(at + 1)?.parse().ok()
    };
    let (reading, writing, waiting) = (of("Reading:")?, of("Writing:")?, of("Waiting:")?);
    Some(ProxyConnections { active, accepted, handled, requests, reading, writing, waiting, dropped: 0 })
}

/// The names of nginx's own exporter, with the service.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn emit(service: &str, told: &ProxyConnections, out: &mut Series) {
    for (metric, value) in [
        ("nginx_connections_active", told.active),
        ("nginx_connections_reading", told.reading),
        ("nginx_connections_writing", told.writing),
        ("nginx_connections_waiting", told.waiting),
        ("nginx_connections_accepted", told.accepted),
        ("nginx_connections_handled", told.handled),
        ("nginx_http_requests_total", told.requests),
    ] {
        out.put(metric, &[("service", service)], value as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const TEXT: &str = "Active connections: 291 \nserver accepts handled requests\n 16630948 16630940 31070465 \n\
                        Reading: 6 Writing: 179 Waiting: 106 \n";

    #[test]
    fn what_nginx_writes_is_read_and_nothing_else() {
        let told = parse(TEXT).expect("it is such a page");
        assert_eq!(
            (told.active, told.accepted, told.handled, told.requests),
            (291, 16_630_948, 16_630_940, 31_070_465)
        );
        assert_eq!((told.reading, told.writing, told.waiting), (6, 179, 106));
        for bad in ["", "Active connections: x", "<html>", &TEXT.replace("handled", "dropped")] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn drops_are_those_of_the_last_minute_and_a_new_start_forgets_them() {
        let (mut drops, began) = (Drops::default(), clock::monotonic());
        let mut at = |seconds, accepted, handled| {
            let told = ProxyConnections { accepted, handled, ..ProxyConnections::default() };
            drops.count(told, began + Duration::from_secs(seconds)).dropped
        };
        assert_eq!(at(0, 100, 90), 0, "what was before us");
        assert_eq!(at(5, 120, 105), 5);
        assert_eq!(at(60, 130, 115), 5);
        assert_eq!(at(66, 130, 115), 0, "more than a minute ago");
        assert_eq!(at(70, 3, 3), 0);
        assert_eq!(at(75, 9, 7), 2);
    }
}
