//! Compares the `Date` of a service's HTTP answers with the host's clock.

use std::time::Duration;

use wellkept_model::keep::ClockShown;
use wellkept_model::observe::ClockSeen;

use super::{Shared, pause};
use crate::clock;

/// Longest time to wait for an answer.
const WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn watch(shared: Shared, service: String, declared: ClockShown) {
    let mut closely = shared.closely.subscribe();
    let mut off_in_a_row = 0u32;
    loop {
        let asked = clock::wall();
        let result = match tokio::time::timeout(WITHIN, shared.http.ask(&declared.http)).await {
            Ok(Ok(head)) => head.date.ok_or_else(|| "the answer has no Date".to_owned()),
            Ok(Err(reason)) => Err(reason),
            Err(_) => Err("no answer".to_owned()),
        };
        let at = clock::wall();
        let seen =
            match result.and_then(|date| offset_ms(&date, asked.0, at.0).ok_or(format!("no date: {date}"))) {
                Ok(offset_ms) => {
                    let off = u128::from(offset_ms.unsigned_abs()) > declared.off_by.as_millis();
                    off_in_a_row = if off { off_in_a_row.saturating_add(1) } else { 0 };
                    ClockSeen { at, offset_ms, off_in_a_row, problem: None }
                }
                // A service that does not answer says nothing about its clock.
                Err(problem) => {
                    off_in_a_row = 0;
                    ClockSeen { at, problem: Some(problem), ..ClockSeen::default() }
                }
            };
        shared.lock().clocks.insert(service.clone(), seen);
        let every = if off_in_a_row > 0 { super::CLOSE } else { declared.every };
        pause(every, &mut closely).await;
    }
}

/// How far the date lies outside the time between question and answer, so that nobody's slowness, our own included,
/// counts as a wrong clock. The date has whole seconds: half of one is taken as its middle.
fn offset_ms(date: &str, asked_ms: i64, answered_ms: i64) -> Option<i64> {
    let told = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_millisecond().checked_add(500)?;
    told.checked_sub(told.clamp(asked_ms.min(answered_ms), answered_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_http_is_read_and_compared() {
        let at = 1_700_000_000_000;
        assert_eq!(offset_ms("Tue, 14 Nov 2023 22:13:20 GMT", at, at), Some(500));
        assert_eq!(offset_ms("Tue, 14 Nov 2023 22:23:20 GMT", at, at + 3), Some(600_497));
        assert_eq!(offset_ms("Tue, 14 Nov 2023 22:03:20 GMT", at, at + 3), Some(-599_500));
        assert_eq!(offset_ms("yesterday", at, at), None);
    }

    #[test]
    fn a_late_answer_says_nothing_against_a_clock() {
        let at = 1_700_000_000_000;
        let told = "Tue, 14 Nov 2023 22:13:20 GMT";
        assert_eq!(offset_ms(told, at, at + 30_000), Some(0));
        assert_eq!(offset_ms(told, at + 2_000, at + 30_000), Some(-1_500));
        // The host's clock was set back meanwhile.
        assert_eq!(offset_ms(told, at + 9_000, at), Some(500));
    }
}
