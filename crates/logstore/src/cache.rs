//! Parts of segments that were read lately, so that the next search need not unpack them again.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

/// What is kept of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Index,
    Rows,
    Pack(usize),
}

type Key = (u64, Part);

struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    bytes: usize,
    used: u64,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Key, Entry>,
    bytes: usize,
    clock: u64,
}

/// Keeps up to so many bytes; what was not used for longest goes first.
pub(crate) struct Cache {
    limit: usize,
    inner: Mutex<Inner>,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, inner: Mutex::default() }
    }

    /// The part, from memory or by `make`, which also says how large it is.
    pub(crate) fn get<T: Send + Sync + 'static, E>(
        &self,
        segment: u64,
        part: Part,
        make: impl FnOnce() -> Result<(T, usize), E>,
    ) -> Result<Arc<T>, E> {
        if let Some(found) = self.find((segment, part)) {
            return Ok(found);
        }
        let (value, bytes) = make()?;
        let value = Arc::new(value);
        if bytes <= self.limit / 4 {
            self.put((segment, part), Arc::clone(&value) as Arc<dyn Any + Send + Sync>, bytes);
        }
        Ok(value)
    }

    /// Forgets everything of a segment.
    pub(crate) fn forget(&self, segment: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<Key> = inner.entries.keys().filter(|k| k.0 == segment).copied().collect();
        for key in gone {
            let bytes = inner.entries.remove(&key).map_or(0, |e| e.bytes);
            inner.bytes -= bytes;
        }
    }

    fn find<T: Send + Sync + 'static>(&self, key: Key) -> Option<Arc<T>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let clock = inner.clock;
        let entry = inner.entries.get_mut(&key)?;
        entry.used = clock;
        Arc::clone(&entry.value).downcast().ok()
    }

    fn put(&self, key: Key, value: Arc<dyn Any + Send + Sync>, bytes: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let used = inner.clock;
        if let Some(old) = inner.entries.insert(key, Entry { value, bytes, used }) {
            inner.bytes -= old.bytes;
        }
        inner.bytes += bytes;
        while inner.bytes > self.limit {
            let Some(oldest) = inner.entries.iter().min_by_key(|(_, e)| e.used).map(|(k, _)| *k) else {
                break;
            };
            let bytes = inner.entries.remove(&oldest).map_or(0, |e| e.bytes);
            inner.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let cache = Cache::new(100);
        let made = |n: u64, part| {
            let mut called = false;
            let _ = cache.get(n, part, || {
                called = true;
                Ok::<_, ()>((n, 25))
            });
            called
        };
        assert!((0..4).all(|n| made(n, Part::Index)));
        assert!(!made(0, Part::Index));
        assert!(made(9, Part::Pack(1)));
        assert!(!made(0, Part::Index) && made(1, Part::Index));
        cache.forget(0);
        assert!(made(0, Part::Index));
    }
}
