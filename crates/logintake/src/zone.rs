//! Which time zone a time stamp without one is read in.
//!
//! A table of offsets instead of a library with the world's zones: the caller knows the host's zone and gives the few
//! transitions that matter, so that this crate reads no file and a lookup is a short search.

use serde::{Deserialize, Serialize};

const NS: i64 = 1_000_000_000;

/// Offsets from UTC, each from an instant on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Offset before the first transition, seconds east of Greenwich.
    first_s: i32,
    /// Instant (seconds since the epoch) and the offset from then on, rising.
    transitions: Vec<(i64, i32)>,
}

impl Zone {
    /// Greenwich.
    #[must_use]
    pub const fn utc() -> Self {
        Self::fixed(0)
    }

    /// The same offset at all times, in seconds east of Greenwich.
    #[must_use]
    pub const fn fixed(offset_s: i32) -> Self {
        Self { first_s: offset_s, transitions: Vec::new() }
    }

    /// `first_s` until the first transition; then each offset from its instant (seconds since the epoch) on.
    #[must_use]
    pub fn from_transitions(first_s: i32, mut transitions: Vec<(i64, i32)>) -> Self {
        transitions.sort_unstable();
        Self { first_s, transitions }
    }

    /// The instant at which a clock on the wall shows `local_ns` (as if it were UTC). Of two, the earlier one; a time
    /// that the wall clock skips is read with the offset before the skip.
    pub(crate) fn instant(&self, local_ns: i64) -> i64 {
        let mut offset = self.first_s;
        for &(from_s, next) in &self.transitions {
            if local_ns.div_euclid(NS).saturating_sub(i64::from(offset)) < from_s {
                break;
            }
            offset = next;
        }
        local_ns.saturating_sub(i64::from(offset) * NS)
    }

    /// What a clock on the wall shows at an instant.
    pub(crate) fn local(&self, at_ns: i64) -> i64 {
        let at_s = at_ns.div_euclid(NS);
        let offset = self.transitions.iter().take_while(|(from, _)| *from <= at_s).last();
        at_ns.saturating_add(i64::from(offset.map_or(self.first_s, |t| t.1)) * NS)
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Summer time begins at 1 000 000 s and ends at 2 000 000 s.
    fn zone() -> Zone {
        Zone::from_transitions(3600, vec![(1_000_000, 7200), (2_000_000, 3600)])
    }

    #[test]
    fn a_wall_clock_is_read_with_the_offset_of_its_day() {
        for (local_s, instant_s) in [
            (500_000, 496_400),
            (1_003_599, 999_999),
            (1_007_200, 1_000_000),
            (1_500_000, 1_492_800),
            (2_003_600, 1_996_400),
            (2_007_200, 2_003_600),
        ] {
            assert_eq!(zone().instant(local_s * NS), instant_s * NS, "{local_s}");
        }
        assert_eq!(Zone::fixed(-3600).instant(0), 3600 * NS);
    }

    #[test]
    fn what_the_wall_shows_leads_back_to_the_instant() {
        for at_s in [0, 999_999, 1_000_000, 1_999_999 - 3600, 2_003_600, 3_000_000] {
            assert_eq!(zone().instant(zone().local(at_s * NS)), at_s * NS, "{at_s}");
        }
    }
}
