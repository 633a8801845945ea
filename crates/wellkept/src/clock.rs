//! The only place that reads the clock.

use wellkept_model::TimestampMs;

/// The present instant.
#[expect(clippy::disallowed_methods, reason = "the binary is the one place that may read the clock")]
pub(crate) fn now() -> TimestampMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The present instant, nanoseconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "the binary is the one place that may read the clock")]
pub(crate) fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
