//! The names under which programs write the time and the gravity of a line.

/// Names of the time of a line, in JSON, logfmt and documents.
pub(crate) fn is_time(key: &[u8]) -> bool {
    matches!(
        key,
        b"ts"
            | b"time"
            | b"timestamp"
            | b"@timestamp"
            | b"t"
            | b"@t"
            | b"datetime"
            | b"date"
            | b"asctime"
            | b"eventTime"
            | b"event_time"
            | b"Timestamp"
            | b"Time"
            | b"timeMillis"
            | b"_time"
            | b"startTime"
    )
}

/// Names of the gravity of a line.
pub(crate) fn is_level(key: &[u8]) -> bool {
    matches!(
        key,
        b"level"
            | b"lvl"
            | b"severity"
            | b"severity_text"
            | b"severityText"
            | b"severity_number"
            | b"log.level"
            | b"log_level"
            | b"loglevel"
            | b"logLevel"
            | b"levelname"
            | b"level_name"
            | b"levelno"
            | b"detected_level"
            | b"@level"
            | b"@l"
            | b"Level"
            | b"LEVEL"
            | b"Severity"
            | b"SEVERITY"
            | b"s"
            | b"l"
            | b"PRIORITY"
            | b"priority"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_programs_use() {
        assert!(is_time(b"ts") && is_time(b"@timestamp") && !is_time(b"uptime"));
        assert!(is_level(b"severity") && is_level(b"log.level") && !is_level(b"sealevel"));
    }
}
