//! Takes the time of somebody else's answer, and of our own lateness meanwhile.
//!
//! On a starved host (no processor free for us, our round stuck behind a disk) everybody looks slow, the quick ones as
//! well. So while an answer is waited for, a timer of our own is watched: by as much as it comes late, the time that was
//! taken says something about us and nothing about the other. What such a measurement is worth is said here; to leave
//! it out is up to the callers. That the host is crowded is found from the process table, which needs no timing.

use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::clock;

/// How often our own timer should fire.
const TICK: Duration = Duration::from_millis(50);
/// Timers are this coarse.
const COARSE: Duration = Duration::from_millis(3);
/// From this share of the time on, a long time says nothing: one part in so many.
const WORTHLESS: u32 = 4;

/// An answer with the time that it took.
#[derive(Debug)]
pub(crate) struct Timed<T> {
    /// `None`: none came within the limit.
    pub(crate) answer: Option<T>,
    /// How long it took, or was waited for.
    pub(crate) took: Duration,
    /// How late we were ourselves meanwhile.
    late: Duration,
}

impl<T> Timed<T> {
    /// True when a long time must not be laid at the other's door.
    pub(crate) fn is_worthless(&self) -> bool {
        self.late.saturating_mul(WORTHLESS) >= self.took
    }
}

/// Waits for an answer, at most for `limit`.
pub(crate) async fn timed<T>(limit: Duration, work: impl Future<Output = T>) -> Timed<T> {
    let began = clock::monotonic();
    let end = began + limit;
    let (mut late, mut due) = (Duration::ZERO, (began + TICK).min(end));
    tokio::pin!(work);
    loop {
        let answer = tokio::select! {
            biased;
            answer = &mut work => Some(answer),
            () = sleep_until(due.into()) => None,
        };
        let now = clock::monotonic();
        late += lateness(now, due);
        if answer.is_some() || now >= end {
            return Timed { answer, took: now - began, late };
        }
        due = (now + TICK).min(end);
    }
}

/// How much later than due it is, beyond what timers are coarse.
fn lateness(now: Instant, due: Instant) -> Duration {
    now.saturating_duration_since(due).saturating_sub(COARSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the only thread away from everybody for a while.
    fn starve(times: u32) {
        tokio::spawn(async move {
            for _ in 0..times {
                tokio::time::sleep(Duration::from_millis(10)).await;
                std::thread::sleep(Duration::from_millis(200));
            }
        });
    }

    #[tokio::test]
    async fn an_answer_that_we_were_too_late_to_take_is_no_slow_answer() {
        let (asked, is_asked) = tokio::sync::oneshot::channel::<()>();
        // The only thread is taken away as soon as the question is on its way, however busy this host is.
        tokio::spawn(async {
            let _ = is_asked.await;
            std::thread::sleep(Duration::from_millis(200));
        });
        let quick = async {
            let _ = asked.send(());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let timed = timed(Duration::from_secs(20), quick).await;
        assert!(timed.answer.is_some() && timed.took >= Duration::from_millis(200), "{timed:?}");
        assert!(timed.is_worthless(), "{timed:?}");
    }

    #[tokio::test]
    async fn a_silence_during_which_we_were_starved_says_nothing() {
        starve(5);
        let timed = timed(Duration::from_secs(1), std::future::pending::<()>()).await;
        assert!(timed.answer.is_none() && timed.is_worthless(), "{timed:?}");
    }

    #[tokio::test]
    async fn a_slow_answer_and_a_silence_at_a_host_with_time_are_what_they_seem() {
        // This host may be starved itself just now; then it is asked again.
        for _ in 0..50 {
            let slow = timed(Duration::from_secs(20), tokio::time::sleep(Duration::from_millis(200))).await;
            let silent = timed(Duration::from_millis(200), std::future::pending::<()>()).await;
            assert!(slow.answer.is_some() && slow.took >= Duration::from_millis(200));
            assert!(silent.answer.is_none() && silent.took >= Duration::from_millis(200));
            if !slow.is_worthless() && !silent.is_worthless() {
                return;
            }
        }
        panic!("never worth anything");
    }
}
