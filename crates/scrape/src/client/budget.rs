//! What all connections share: memory for long answers, and threads for looking up names.
//!
//! Each answer has a bound of its own, but many targets can flood at the same time. So what an answer takes beyond its
//! first mebibyte comes out of one budget for all; who finds it empty fails, and the others go on.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What an answer may take without asking.
const FREE: usize = 1 << 20;
/// Size of one permit.
const UNIT: usize = 1 << 20;
/// All permits: 256 MiB.
const UNITS: usize = 256;

/// Names that are looked up at the same time. A resolver that hangs holds a thread for each of them, and threads are
/// needed for other things, too.
const LOOK_UPS: usize = 32;

/// The budget; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    memory: Arc<Semaphore>,
    look_ups: Arc<Semaphore>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { memory: Arc::new(Semaphore::new(UNITS)), look_ups: Arc::new(Semaphore::new(LOOK_UPS)) }
    }
}

impl Budget {
    /// An empty share for a new answer.
    pub(super) fn share(&self) -> Share {
        Share { budget: Arc::clone(&self.memory), used: 0, paid: FREE, permits: None }
    }

    /// Asks the system's resolver for the addresses of a host.
    pub(crate) async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let permit = Arc::clone(&self.look_ups).acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let found = tokio::task::spawn_blocking(move || {
            // Whoever asked may be gone by now, but the thread is held until the resolver answers.
            let _permit = permit;
            (host.as_str(), port).to_socket_addrs().map(Iterator::collect)
        });
        found.await.map_err(io::Error::other)?
    }
}

/// The part of the budget that one answer has; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Semaphore>,
    used: usize,
    paid: usize,
    permits: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Takes so many more bytes; false when they are not there.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        self.used = self.used.saturating_add(bytes);
        let Some(missing) = self.used.checked_sub(self.paid).filter(|m| *m > 0) else { return true };
        let units = missing.div_ceil(UNIT);
        let count = u32::try_from(units).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.budget).try_acquire_many_owned(count) else { return false };
        self.paid += units * UNIT;
        match &mut self.permits {
            Some(permits) => permits.merge(more),
            None => self.permits = Some(more),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_answers_need_nothing_and_long_ones_share() {
        let budget = Budget::default();
        let mut short: Vec<Share> = (0..1000).map(|_| budget.share()).collect();
        assert!(short.iter_mut().all(|s| s.take(FREE)));
        let mut long = budget.share();
        assert!((0..=UNITS).all(|_| long.take(UNIT)), "the first unit is free");
        assert!(!long.take(1));
        assert!(!short[0].take(1));
        drop(long);
        assert!(short[0].take(1));
    }
}
