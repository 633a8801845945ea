//! Live tails: whoever subscribes gets the lines that fit, as they are taken.
//!
//! A tail has a queue of bounded length. A reader that is too slow loses lines and is told how many; it never slows
//! those who write.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use wellkept_model::{LogLine, TemplateId};

use crate::query::LineQuery;
use crate::search::{LineView, LogEntry, selects};

/// Most tails at one time.
pub const TAILS_MAX: usize = 64;

/// Most bytes of lines that wait for one tail.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// Is called when lines come for a tail whose queue was empty. Must not block.
pub type Wake = Box<dyn Fn() + Send + Sync>;

pub(crate) struct Shared {
    query: LineQuery,
    lines_max: usize,
    queue: Mutex<Queue>,
    came: Condvar,
    wake: Option<Wake>,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<LogEntry>,
    bytes: usize,
    dropped: u64,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading end of a tail. Dropping it ends the tail.
pub struct Tail(Arc<Shared>);

/// What a tail gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tailed {
    /// In the order in which they were taken.
    pub lines: Vec<LogEntry>,
    /// Lines that fitted but found the queue full, since the last call.
    pub dropped: u64,
}

impl Tail {
    /// What came since the last call, without waiting.
    #[must_use]
    pub fn take(&self) -> Tailed {
        Self::drain(&mut self.0.queue())
    }

    /// Waits until something came, at most `timeout`.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> Tailed {
        let queue = self.0.queue();
        let waited = self.0.came.wait_timeout_while(queue, timeout, |q| q.lines.is_empty() && q.dropped == 0);
        Self::drain(&mut waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn drain(queue: &mut Queue) -> Tailed {
        queue.bytes = 0;
        Tailed { lines: queue.lines.drain(..).collect(), dropped: std::mem::take(&mut queue.dropped) }
    }
}

/// All tails of a store.
#[derive(Default)]
pub(crate) struct Tails {
    all: Mutex<Vec<Weak<Shared>>>,
    count: AtomicUsize,
    dropped: AtomicU64,
}

impl Tails {
    /// `None` when there are too many.
    pub(crate) fn subscribe(&self, query: LineQuery, lines_max: usize, wake: Option<Wake>) -> Option<Tail> {
        let shared = Shared {
            query,
            lines_max: lines_max.max(1),
            queue: Mutex::default(),
            came: Condvar::new(),
            wake,
        };
        let tail = Tail(Arc::new(shared));
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|t| t.strong_count() > 0);
        if all.len() >= TAILS_MAX {
            return None;
        }
        all.push(Arc::downgrade(&tail.0));
        self.count.store(all.len(), Ordering::Release);
        Some(tail)
    }

    /// Tails that somebody still reads.
    pub(crate) fn active(&self) -> Vec<Arc<Shared>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|t| t.strong_count() > 0);
        self.count.store(all.len(), Ordering::Release);
        all.iter().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Gives a line to a tail, when it wants it.
    pub(crate) fn offer(&self, tail: &Shared, line: &LogLine<'_>, template: TemplateId) {
        if !selects(&tail.query, line.labels, line.level, template) {
            return;
        }
        let fields: Vec<(String, String)> =
            line.fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let view =
            LineView { text: line.text, labels: line.labels, level: line.level, template, fields: &fields };
        let mut extracted = Vec::new();
        if !view.fits(&tail.query, &mut extracted) {
            return;
        }
        let was_empty = {
            let mut queue = tail.queue();
            if queue.lines.len() >= tail.lines_max || queue.bytes + line.text.len() > WAITING_BYTES_MAX {
                queue.dropped += 1;
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            queue.bytes += line.text.len();
            queue.lines.push_back(LogEntry::of(line.at_ns, &view, &extracted));
            queue.lines.len() == 1
        };
        tail.came.notify_one();
        if was_empty && let Some(wake) = &tail.wake {
            wake();
        }
    }
}

impl crate::LogStore {
    /// Gives the lines that fit `query` as they are taken from now on. `lines_max`: how many may wait; `wake` is called
    /// when lines come for an empty queue, for those who wait elsewhere than in [`Tail::wait`]. `None` when there are
    /// [`TAILS_MAX`] tails already.
    pub fn tail(&self, query: LineQuery, lines_max: usize, wake: Option<Wake>) -> Option<Tail> {
        self.tails.subscribe(query, lines_max, wake)
    }

    /// Whether anybody reads lines as they are taken.
    #[must_use]
    pub fn is_tailed(&self) -> bool {
        !self.tails.active().is_empty()
    }
}
