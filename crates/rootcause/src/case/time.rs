//! Times as the case folders write them.

use wellkept_model::TimestampMs;

/// `2022-08-23 14:38:28.245028644 +0000 UTC …` or `2023-01-30T13:22:07Z`; UTC is meant. Fractions are cut.
pub(super) fn parse(text: &str) -> Option<TimestampMs> {
    let date = civil(text.get(..10)?)?;
    let mut clock = text.get(11..19)?.split(':').map(str::parse::<i64>);
    let (h, m, s) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    Some(TimestampMs((date * 86_400 + h * 3600 + m * 60 + s) * 1000))
}

/// The minute that a name ends in: `…2022-08-22_03_53`.
pub(super) fn in_name(name: &str) -> Option<TimestampMs> {
    let last = name.trim_end_matches('/').rsplit('/').next()?;
    let tail = last.get(last.len().checked_sub(16)?..)?;
    let date = civil(tail.get(..10)?)?;
    let mut clock = tail.get(11..)?.split('_').map(str::parse::<i64>);
    let (h, m) = (clock.next()?.ok()?, clock.next()?.ok()?);
    Some(TimestampMs((date * 86_400 + h * 3600 + m * 60) * 1000))
}

/// Days since the epoch of `YYYY-MM-DD`, by Hinnant's `days_from_civil`.
fn civil(text: &str) -> Option<i64> {
    let mut parts = text.split('-').map(str::parse::<i64>);
    let (y, m, d) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if !(1..=12).contains(&m) || !(1..=31).contains(&d) || !(1..=9999).contains(&y) {
        return None;
    }
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((m + 9) % 12) + 2) / 5 + d - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_tables_and_of_names() {
        assert_eq!(parse("1970-01-02 00:00:01.5 +0000 UTC m=+9540.2"), Some(TimestampMs(86_401_000)));
        assert_eq!(parse("2022-08-22T03:53:54Z"), Some(TimestampMs(1_661_140_434_000)));
        assert_eq!(in_name("shop/2022-08-22_03_53"), Some(TimestampMs(1_661_140_380_000)));
        assert_eq!(in_name("issue_10"), None);
        assert_eq!(parse("yesterday"), None);
    }
}
