//! The clocks of this crate: when a target was read, and how long that took.
//!
//! A target's task wakes up by itself, so no caller could give it a time; these are the only places that read one.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wellkept_model::TimestampMs;

/// Wall-clock time: what samples are stamped with.
#[expect(clippy::disallowed_methods, reason = "a scrape is stamped where it happens")]
pub(crate) fn wall() -> TimestampMs {
    let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    TimestampMs(ms)
}

/// A clock that only goes forward, for durations.
#[expect(clippy::disallowed_methods, reason = "durations are measured where they pass")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
