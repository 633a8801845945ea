//! How often something dear is read: the more a reading costs, the longer until the next one.
//!
//! The cost is processor time, not time that passed: on a busy host readings take long without costing more, and just
//! then they matter.

use std::time::Duration;

use crate::clock;

/// Decides in which rounds a reading is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Fewest and most rounds between two readings.
    rounds: (u64, u64),
    /// What readings may cost, spread over the rounds.
    cost_a_round: Duration,
    left: u64,
}

impl Pace {
    pub(crate) const fn new(rounds: (u64, u64), cost_a_round: Duration) -> Self {
        Self { rounds, cost_a_round, left: 0 }
    }

    /// Counts one round; true when it is time to read. `now`: read in any case.
    pub(crate) fn is_due(&mut self, now: bool) -> bool {
        if self.left == 0 || now {
            return true;
        }
        self.left -= 1;
        false
    }

    /// Something makes the next reading matter: it comes in the second round from now at the latest.
    pub(crate) fn hurry(&mut self) {
        self.left = self.left.min(1);
    }

    /// Makes a reading and sets the time of the next one by what it cost.
    pub(crate) fn measure<T>(&mut self, read: impl FnOnce() -> T) -> T {
        let before = clock::thread_cpu();
        let result = read();
        self.left = self.rounds_after(clock::thread_cpu().saturating_sub(before)) - 1;
        result
    }

    fn rounds_after(&self, cost: Duration) -> u64 {
        let (min, max) = self.rounds;
        let rounds = cost.as_micros().div_ceil(self.cost_a_round.as_micros().max(1));
        u64::try_from(rounds).unwrap_or(max).clamp(min.max(1), max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_much_is_read_seldom() {
        let pace = Pace::new((5, 300), Duration::from_micros(200));
        assert_eq!(pace.rounds_after(Duration::ZERO), 5);
        assert_eq!(pace.rounds_after(Duration::from_millis(3)), 15);
        assert_eq!(pace.rounds_after(Duration::from_secs(9)), 300);
    }

    #[test]
    fn the_first_round_reads_and_the_next_ones_wait() {
        let mut pace = Pace::new((3, 3), Duration::from_secs(1));
        let mut reads = |now: bool| {
            let due = pace.is_due(now);
            if due {
                pace.measure(|| ());
            }
            due
        };
        assert_eq!([reads(false), reads(false), reads(false), reads(false)], [true, false, false, true]);
        assert!(reads(true), "asked for out of turn");
    }
}
