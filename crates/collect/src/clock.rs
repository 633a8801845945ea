//! The clocks that collectors need themselves.
//!
//! A round is given its `now`. What happens between rounds (a process ends, a health check answers) has no caller
//! that could give a time, so these two functions are the only places of this crate that read a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wellkept_model::TimestampMs;

/// Wall-clock time of an event that nobody else saw.
#[expect(clippy::disallowed_methods, reason = "events between rounds are stamped where they are seen")]
pub(crate) fn wall() -> TimestampMs {
    let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    TimestampMs(ms)
}

/// A clock that only goes forward, for durations and time limits.
#[expect(clippy::disallowed_methods, reason = "durations are measured where they pass")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// Time since the host was started, including sleep: what `/proc/<pid>/stat` counts start times from.
pub(crate) fn since_boot() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

/// Processor time that this thread has used: what a reading really costs, however busy the host is.
pub(crate) fn thread_cpu() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), u32::try_from(used.tv_nsec).unwrap_or(0))
}
