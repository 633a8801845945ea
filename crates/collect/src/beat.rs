//! The beat: what is looked at once a second or less often is looked at together.
//!
//! Dozens of watchers, each with a phase of its own, wake an idle processor dozens of times a second; together they wake
//! it once. A round comes shortly after the beat, so that it sees what the watchers have just found.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::clock;

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(1);
/// How long after the beat a round begins: most answers have come by then.
const ROUND_AFTER: Duration = Duration::from_millis(100);

static FIRST: LazyLock<Instant> = LazyLock::new(clock::monotonic);

/// How long to wait from now for the next look at something that is looked at this often.
pub(crate) fn pause(every: Duration) -> Duration {
    pause_after(clock::monotonic(), every)
}

/// The same when the last look began then, and may have taken some time.
pub(crate) fn pause_after(began: Instant, every: Duration) -> Duration {
    let since = |at: Instant| at.saturating_duration_since(*FIRST);
    next(since(began), since(clock::monotonic()), every)
}

/// Waits for the next look.
pub(crate) async fn wait(every: Duration) {
    tokio::time::sleep(pause(every)).await;
}

/// How long to wait from now for the next good time of a round, at most a second.
#[must_use]
pub fn until_round() -> Duration {
    let since = clock::monotonic().saturating_duration_since(*FIRST);
    BEAT - into_beat(since + BEAT - ROUND_AFTER)
}

/// The wait for the beat that is nearest to `every` after a look began, or for the next one when it took longer; what is
/// quicker than the beat has none. All times are counted from the first beat.
fn next(began: Duration, now: Duration, every: Duration) -> Duration {
    let due = began + every;
    if every < BEAT {
        return due.saturating_sub(now);
    }
    let beat = due + BEAT / 2 - into_beat(due + BEAT / 2);
    let wait = beat.saturating_sub(now);
    if wait.is_zero() { BEAT - into_beat(now) } else { wait }
}

/// How long ago the last beat was.
fn into_beat(since: Duration) -> Duration {
    Duration::from_nanos((since.as_nanos() % BEAT.as_nanos()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn looks_of_all_paces_fall_on_the_beat_about_as_long_after_each_other_as_declared() {
        for (began, now, every, wait) in [
            (0, 0, 1000, 1000),
            (0, 13, 1000, 987),
            (499, 499, 1000, 501),
            (501, 501, 1000, 1499),
            (0, 600, 1000, 400),
            (0, 1200, 1000, 800),
            (0, 1000, 1000, 1000),
            (700, 700, 2000, 2300),
            (0, 20, 2500, 2980),
        ] {
            let got = next(ms(began), ms(now), ms(every));
            assert_eq!(got, ms(wait), "{began} {now} {every}");
            assert_eq!((ms(now) + got).subsec_nanos(), 0);
        }
    }

    #[test]
    fn what_is_quicker_than_the_beat_keeps_its_own_pace() {
        assert_eq!(next(ms(100), ms(123), ms(250)), ms(227));
        assert_eq!(next(ms(100), ms(400), ms(250)), ms(0));
    }

    #[test]
    fn a_round_begins_shortly_after_the_beat() {
        let until = until_round();
        assert!(until > Duration::ZERO && until <= BEAT);
        assert_eq!(into_beat(ms(3900)), ms(900));
    }
}
