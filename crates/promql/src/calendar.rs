//! The UTC calendar of seconds since the epoch, proleptic Gregorian.
//!
//! Source of the day arithmetic: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

const DAY: i64 = 86_400;

/// Year, month (1 to 12) and day (1 to 31).
fn civil(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn date(seconds: i64) -> (i64, i64, i64) {
    civil(seconds.div_euclid(DAY))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[expect(clippy::cast_precision_loss, reason = "parts of a date are small; a year stays below 2^53")]
fn number(part: i64) -> f64 {
    part as f64
}

pub(crate) fn minute(seconds: i64) -> f64 {
    number(seconds.rem_euclid(3_600) / 60)
}

pub(crate) fn hour(seconds: i64) -> f64 {
    number(seconds.rem_euclid(DAY) / 3_600)
}

/// 0 is Sunday.
pub(crate) fn day_of_week(seconds: i64) -> f64 {
    number((seconds.div_euclid(DAY) + 4).rem_euclid(7))
}

pub(crate) fn day_of_month(seconds: i64) -> f64 {
    number(date(seconds).2)
}

/// 1 is the first of January.
pub(crate) fn day_of_year(seconds: i64) -> f64 {
    let (year, month, day) = date(seconds);
    number((1..month).map(|m| month_days(year, m)).sum::<i64>() + day)
}

pub(crate) fn days_in_month(seconds: i64) -> f64 {
    let (year, month, _) = date(seconds);
    number(month_days(year, month))
}

pub(crate) fn month(seconds: i64) -> f64 {
    number(date(seconds).1)
}

pub(crate) fn year(seconds: i64) -> f64 {
    number(date(seconds).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_was_a_thursday_in_january() {
        assert_eq!((year(0), month(0), day_of_month(0), day_of_year(0)), (1970.0, 1.0, 1.0, 1.0));
        assert_eq!((day_of_week(0), hour(0), minute(0), days_in_month(0)), (4.0, 0.0, 0.0, 31.0));
    }

    #[test]
    fn the_last_second_of_a_leap_february_is_known() {
        // 2024-02-29T23:59:59Z
        let t = 1_709_251_199;
        assert_eq!((year(t), month(t), day_of_month(t)), (2024.0, 2.0, 29.0));
        assert_eq!((day_of_year(t), days_in_month(t), day_of_week(t)), (60.0, 29.0, 4.0));
        assert_eq!((hour(t), minute(t)), (23.0, 59.0));
        assert_eq!(day_of_month(t + 1), 1.0);
    }

    #[test]
    fn instants_before_the_epoch_count_backwards() {
        assert_eq!((year(-1), month(-1), day_of_month(-1), hour(-1)), (1969.0, 12.0, 31.0, 23.0));
        assert_eq!(days_in_month(-2_203_891_201), 28.0, "1900 was no leap year");
    }

    #[test]
    fn no_instant_overflows() {
        for t in [i64::MIN, i64::MAX] {
            assert!(year(t).is_finite() && (1.0..=366.0).contains(&day_of_year(t)));
        }
    }
}
