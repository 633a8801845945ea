//! A turn, and turns for ever.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Files;
use crate::batch::Outlet;
use crate::source::GATHER;

/// How long a batch that was not taken waits before it is offered again.
const RETRY_NS: i64 = 250_000_000;
/// Shortest time between two looks at all files, and what each file adds to it: a look costs some microseconds a file.
const SCAN_PAUSE_NS: i64 = 100_000_000;
const SCAN_PAUSE_FILE_NS: i64 = 100_000;
/// Longest waiting, so that a clock that is set does not stop us.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// There is more to read at once.
    pub more: bool,
    /// Something was committed.
    pub committed: bool,
    /// When the next turn is due even if nothing changes, nanoseconds since the epoch.
    pub until_ns: i64,
}

impl Files {
    /// Looks what changed, reads a share of it, and commits it. `now_ns`: nanoseconds since the epoch.
    pub fn turn(&mut self, now_ns: i64, outlet: &dyn Outlet) -> Turn {
        if self.refused && !self.commit(outlet) {
            return Turn { more: false, committed: false, until_ns: now_ns.saturating_add(RETRY_NS) };
        }
        let changes = self.watch.changes();
        for path in changes.written {
            if let Some(key) = self.real_paths.get(&path).copied() {
                self.enqueue(key);
            }
        }
        if changes.scan {
            let pause = SCAN_PAUSE_NS + SCAN_PAUSE_FILE_NS * self.followed.len() as i64;
            self.next_scan_ns = self.next_scan_ns.min(self.last_scan_ns.saturating_add(pause));
        }
        // A clock that was set back must not put the next look off.
        if now_ns >= self.next_scan_ns || now_ns < self.last_scan_ns {
            self.scan(now_ns);
            let every =
                if self.watch.is_complete() { self.options.scan_every } else { self.options.poll_every };
            let next_ns = now_ns.saturating_add(i64::try_from(every.as_nanos()).unwrap_or(i64::MAX));
            self.next_scan_ns = next_ns.min(self.rest_ns);
            self.last_scan_ns = now_ns;
        }
        self.read_queued(now_ns);
        self.flush_waiting(now_ns);
        self.note_touched(now_ns);
        let something = !self.batch.is_empty();
        let taken = self.commit(outlet);
        self.close_resting();
        let due = self.waiting.iter().filter_map(|key| self.followed.get(key)?.pipe.due_ns()).min();
        let retry = if taken { i64::MAX } else { now_ns.saturating_add(RETRY_NS) };
        let until_ns = self.next_scan_ns.min(due.unwrap_or(i64::MAX)).min(retry);
        Turn { more: taken && !self.queue.is_empty(), committed: taken && something, until_ns }
    }

    /// Waits until something changes, the time is over, or [`super::Waker::wake`] is called.
    pub fn wait(&self, now_ns: i64, until_ns: i64) {
        let left = u64::try_from(until_ns.saturating_sub(now_ns)).unwrap_or(0);
        if left > 0 {
            // A store that refuses is not asked again because files change meanwhile.
            self.watch.wait(Duration::from_nanos(left).min(WAIT_MAX), !self.refused);
        }
    }

    /// Takes turns until `stop` is set and the waker was called. Blocks: to be given a thread of its own.
    ///
    /// `clock`: nanoseconds since the epoch. `each`: called after each turn, with its time. What waits for its continuation when it stops is read again after the
    /// next start.
    pub fn run(
        &mut self,
        outlet: &dyn Outlet,
        clock: &dyn Fn() -> i64,
        stop: &AtomicBool,
        mut each: impl FnMut(&mut Self, i64),
    ) {
        while !stop.load(Ordering::Acquire) {
            let now_ns = clock();
            let turn = self.turn(now_ns, outlet);
            each(self, now_ns);
            let gathers = turn.committed && !turn.more && !outlet.hurries();
            let woken = gathers && self.watch.wait(GATHER, false);
            if !turn.more && !woken {
                self.wait(clock(), turn.until_ns);
            }
        }
    }

    /// Closes the files that rest longest when too many are open.
    fn close_resting(&mut self) {
        if self.followed.len() <= self.options.open_max {
            return;
        }
        let open = self.followed.values().filter(|f| f.is_open()).count();
        let Some(excess) = open.checked_sub(self.options.open_max).filter(|n| *n > 0) else { return };
        // A replaced file may have no name to be opened by again.
        let resting =
            self.followed.iter().filter(|(key, f)| f.is_open() && !f.replaced && !self.queued.contains(*key));
        let mut resting: Vec<_> = resting.map(|(key, f)| (f.active_ns, *key)).collect();
        resting.sort_unstable();
        for (_, key) in resting.into_iter().take(excess) {
            if let Some(file) = self.followed.get_mut(&key) {
                file.close();
            }
        }
    }
}
