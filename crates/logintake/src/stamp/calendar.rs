//! Days since the epoch, and the nearest fitting year or day for what has none.

use super::Reference;

pub(super) const NS: i64 = 1_000_000_000;
const DAY_NS: i64 = 86_400 * NS;
/// Years whose stamps fit into 64 bits of nanoseconds with room to spare.
pub(super) const YEARS: std::ops::RangeInclusive<u32> = 1970..=2200;

/// A date of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: u32,
    pub(super) month: u32,
    pub(super) day: u32,
}

impl Date {
    /// A date that exists and lies in [`YEARS`].
    pub(super) fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        let fits = YEARS.contains(&year) && day >= 1 && day <= days_in(year, month)?;
        fits.then_some(Self { year, month, day })
    }

    /// Days since 1970-01-01. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    fn days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }
}

fn days_in(year: u32, month: u32) -> Option<u32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Nanoseconds since the epoch; `offset_s` is the stamp's own zone, and without one the reference's counts.
pub(super) fn instant(date: Date, in_day_ns: i64, offset_s: Option<i32>, reference: &Reference<'_>) -> i64 {
    let local = date.days() * DAY_NS + in_day_ns;
    match offset_s {
        Some(offset) => local - i64::from(offset) * NS,
        None => reference.zone.instant(local),
    }
}

/// The year of `now` on the wall.
fn year_now(reference: &Reference<'_>) -> u32 {
    let days = reference.zone.local(reference.now_ns).div_euclid(DAY_NS);
    // The average year is exact enough, since the neighbours are tried as well.
    u32::try_from(1970 + days * 400 / 146_097).unwrap_or(1970)
}

/// The latest instant with this month, day and time that is not more than a day ahead of now.
pub(super) fn without_year(
    month: u32,
    day: u32,
    in_day_ns: i64,
    offset_s: Option<i32>,
    reference: &Reference<'_>,
) -> Option<i64> {
    let now = year_now(reference);
    // Nine years back is enough for the 29th of February.
    (now.saturating_sub(9)..=now + 1)
        .rev()
        .filter_map(|year| Date::new(year, month, day))
        .map(|date| instant(date, in_day_ns, offset_s, reference))
        .find(|at| *at <= reference.now_ns.saturating_add(DAY_NS))
}

/// The latest instant with this time of day that is not more than an hour ahead of now.
pub(super) fn without_date(in_day_ns: i64, offset_s: Option<i32>, reference: &Reference<'_>) -> i64 {
    let offset_ns = offset_s.map(|s| i64::from(s) * NS);
    let local_now =
        offset_ns.map_or_else(|| reference.zone.local(reference.now_ns), |o| reference.now_ns + o);
    let mut local = local_now.div_euclid(DAY_NS) * DAY_NS + in_day_ns;
    if local > local_now + DAY_NS / 24 {
        local -= DAY_NS;
    } else if local + DAY_NS <= local_now + DAY_NS / 24 {
        local += DAY_NS;
    }
    offset_ns.map_or_else(|| reference.zone.instant(local), |o| local - o)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Zone;

    #[test]
    fn days_are_those_of_the_calendar() {
        let days = |y, m, d| Date::new(y, m, d).map(Date::days);
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 2, 29), Some(11_016));
        assert_eq!(days(2000, 3, 1), Some(11_017));
        assert_eq!(days(2023, 2, 29), None);
        assert_eq!(days(2024, 13, 1), None);
        assert_eq!(days(2024, 4, 31), None);
    }

    #[test]
    fn a_stamp_of_december_read_in_january_is_last_years() {
        let zone = Zone::utc();
        // 2024-01-02T00:00:00Z
        let reference = Reference { now_ns: 1_704_153_600 * NS, zone: &zone };
        let at = |month, day| without_year(month, day, 0, None, &reference).map(|at| at / NS);
        assert_eq!(at(12, 31), Some(1_703_980_800));
        assert_eq!(at(1, 3), Some(1_704_240_000), "a day ahead is a clock that goes fast");
        assert_eq!(at(1, 4), Some(1_672_790_400), "two days ahead was a year ago");
        assert_eq!(at(2, 29), Some(1_582_934_400));
    }

    #[test]
    fn a_time_of_day_is_todays_or_yesterdays() {
        let zone = Zone::utc();
        // 2024-01-02T00:10:00Z
        let reference = Reference { now_ns: 1_704_154_200 * NS, zone: &zone };
        let at = |hour: i64| without_date(hour * 3600 * NS, None, &reference) / NS;
        assert_eq!(at(0), 1_704_153_600);
        assert_eq!(at(1), 1_704_157_200);
        assert_eq!(at(23), 1_704_150_000);
    }
}
