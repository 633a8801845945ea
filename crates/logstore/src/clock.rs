//! Numbers in a line that only repeat its time: they are not stored, but worked out again.
//!
//! A line that begins `2026-11-21 09:06:18,123` has seven numbers that follow from its time stamp. Wherever a
//! column of numbers is such a part of the time for every row, the column is two bytes.

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// A part of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    EpochSecond,
    EpochMilli,
    EpochMicro,
    EpochNano,
    Milli,
    Micro,
    Nano,
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Year,
    YearOfCentury,
    Centi,
    Deci,
}

impl Part {
    /// In the order of their numbers on disk.
    pub(crate) const ALL: [Self; 16] = [
        Self::EpochSecond,
        Self::EpochMilli,
        Self::EpochMicro,
        Self::EpochNano,
        Self::Milli,
        Self::Micro,
        Self::Nano,
        Self::Second,
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Month,
        Self::Year,
        Self::YearOfCentury,
        Self::Centi,
        Self::Deci,
    ];

    /// Whether the part depends on the time zone.
    fn is_civil(self) -> bool {
        matches!(self, Self::Minute | Self::Hour | Self::Day | Self::Month | Self::Year | Self::YearOfCentury)
    }

    /// This part of a time, in a zone that many seconds ahead of UTC. Times before 1970 have no epoch numbers.
    pub(crate) fn of(self, at_ns: i64, zone_s: i64) -> Option<u64> {
        let local = at_ns.div_euclid(SECOND).checked_add(zone_s)?;
        let part = match self {
            Self::EpochSecond => at_ns.div_euclid(SECOND),
            Self::EpochMilli => at_ns.div_euclid(1_000_000),
            Self::EpochMicro => at_ns.div_euclid(1000),
            Self::EpochNano => at_ns,
            Self::Deci => at_ns.rem_euclid(SECOND) / 100_000_000,
            Self::Centi => at_ns.rem_euclid(SECOND) / 10_000_000,
            Self::Milli => at_ns.rem_euclid(SECOND) / 1_000_000,
            Self::Micro => at_ns.rem_euclid(SECOND) / 1000,
            Self::Nano => at_ns.rem_euclid(SECOND),
            Self::Second => local.rem_euclid(60),
            Self::Minute => local.div_euclid(60).rem_euclid(60),
            Self::Hour => local.div_euclid(3600).rem_euclid(24),
            Self::Day => date(local.div_euclid(86_400)).2,
            Self::Month => date(local.div_euclid(86_400)).1,
            Self::Year => date(local.div_euclid(86_400)).0,
            Self::YearOfCentury => date(local.div_euclid(86_400)).0.rem_euclid(100),
        };
        u64::try_from(part).ok()
    }

    /// The part and zone that give every value, if there are any.
    pub(crate) fn find(values: &[u64], times: &[i64]) -> Option<(Self, i64)> {
        let (&first, &at) = (values.first()?, times.first()?);
        let fits = |part: Self, zone: i64| {
            part.of(at, zone) == Some(first)
                && values.iter().zip(times).all(|(&v, &t)| part.of(t, zone) == Some(v))
        };
        for part in Self::ALL {
            if fits(part, 0) {
                return Some((part, 0));
            }
        }
        // Zones differ by quarters of an hour; a column of few rows would fit some zone by chance and gain nothing.
        if values.len() < 16 || first > 9999 {
            return None;
        }
        let zones = (-56..=56_i64).map(|quarter| quarter * 900);
        zones
            .flat_map(|z| Self::ALL.map(|p| (p, z)))
            .find(|&(part, zone)| part.is_civil() && fits(part, zone))
    }
}

/// Year, month and day of a day since 1970 (proleptic Gregorian calendar).
fn date(day: i64) -> (i64, i64, i64) {
    // Days since 1 March of year 0, so that the leap day is the last of its year.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 09:06:18.123456789 UTC.
    const AT: i64 = 1_795_251_978_123_456_789;

    #[test]
    fn parts_are_those_of_the_calendar() {
        let parts = [Part::Year, Part::Month, Part::Day, Part::Hour, Part::Minute, Part::Second, Part::Milli];
        assert_eq!(parts.map(|p| p.of(AT, 0).unwrap()), [2026, 11, 21, 9, 6, 18, 123]);
        assert_eq!(Part::Hour.of(AT, 3600 * 8), Some(17));
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(19_782), (2024, 2, 29));
        assert_eq!(date(-1), (1969, 12, 31));
        assert_eq!(Part::EpochNano.of(-1, 0), None);
        assert_eq!(Part::Hour.of(i64::MIN, 0).map(|h| h < 24), Some(true));
    }

    #[test]
    fn a_column_of_local_hours_is_found_with_its_zone() {
        let times: Vec<i64> = (0..200).map(|i| AT + i * 997 * SECOND).collect();
        let hours: Vec<u64> = times.iter().map(|&t| Part::Hour.of(t, 19_800).unwrap()).collect();
        let (part, zone) = Part::find(&hours, &times).unwrap();
        assert_eq!(part, Part::Hour);
        assert!(times.iter().zip(&hours).all(|(&t, &h)| part.of(t, zone) == Some(h)));
        assert_eq!(Part::find(&[7, 3, 9], &times), None);
    }
}
