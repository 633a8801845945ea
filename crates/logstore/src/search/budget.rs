//! What one search may cost.

use std::ops::ControlFlow;

/// Rows between two looks at the caller's stop sign.
const LOOK_EVERY: u64 = 1024;

/// What one search may cost. What was found until a limit was met is given, and the limit is named.
#[derive(Clone, Copy)]
pub struct SearchLimits<'a> {
    /// Bytes of lines and columns that are unpacked or looked at.
    pub bytes_max: u64,
    /// Lines that are looked at one by one.
    pub lines_max: u64,
    /// Bytes of the lines that are given, and of series and counts.
    pub result_bytes_max: u64,
    /// True when the caller wants no more: a deadline has passed, or nobody waits any longer. Asked often.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

impl Default for SearchLimits<'_> {
    fn default() -> Self {
        Self { bytes_max: 64 << 30, lines_max: 1_000_000_000, result_bytes_max: 64 << 20, stop: &|| false }
    }
}

/// Why a search ended before it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// [`SearchLimits::bytes_max`].
    Bytes,
    /// [`SearchLimits::lines_max`].
    Lines,
    /// [`SearchLimits::result_bytes_max`].
    ResultBytes,
    /// [`SearchLimits::stop`].
    Caller,
}

/// What a search cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchCost {
    /// Bytes unpacked or looked at.
    pub bytes: u64,
    /// Lines looked at one by one.
    pub lines: u64,
    /// Segments whose index was read.
    pub segments: u64,
    /// Segments that were ruled out by their time.
    pub segments_skipped: u64,
}

/// What is left.
pub(crate) struct Budget<'a> {
    limits: SearchLimits<'a>,
    pub(crate) cost: SearchCost,
    result_bytes: u64,
    pub(crate) stopped: Option<Stopped>,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(limits: SearchLimits<'a>) -> Self {
        Self { limits, cost: SearchCost::default(), result_bytes: 0, stopped: None }
    }

    fn stop(&mut self, why: Stopped) -> ControlFlow<()> {
        self.stopped.get_or_insert(why);
        ControlFlow::Break(())
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Counts bytes that were unpacked.
    pub(crate) fn bytes(&mut self, bytes: usize) -> ControlFlow<()> {
        self.cost.bytes += bytes as u64;
        if self.cost.bytes > self.limits.bytes_max {
            return self.stop(Stopped::Bytes);
        }
        if (self.limits.stop)() { self.stop(Stopped::Caller) } else { ControlFlow::Continue(()) }
    }

    /// Counts one line that was looked at.
    pub(crate) fn line(&mut self, bytes: usize) -> ControlFlow<()> {
        self.cost.lines += 1;
        self.cost.bytes += bytes as u64;
        if self.cost.bytes > self.limits.bytes_max {
            return self.stop(Stopped::Bytes);
        }
        if self.cost.lines > self.limits.lines_max {
            return self.stop(Stopped::Lines);
        }
        if self.cost.lines.is_multiple_of(LOOK_EVERY) && (self.limits.stop)() {
            return self.stop(Stopped::Caller);
        }
        ControlFlow::Continue(())
    }

    /// Bytes that the caller may still get.
    pub(crate) fn result_left(&self) -> usize {
        usize::try_from(self.limits.result_bytes_max.saturating_sub(self.result_bytes)).unwrap_or(usize::MAX)
    }

    /// Counts bytes that the caller gets.
    pub(crate) fn result(&mut self, bytes: usize) -> ControlFlow<()> {
        self.result_bytes += bytes as u64;
        if self.result_bytes > self.limits.result_bytes_max {
            return self.stop(Stopped::ResultBytes);
        }
        ControlFlow::Continue(())
    }
}
