//! The same work on many hosts: so many at once, in batches, until too many fail.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

/// How work is spread over hosts.
#[derive(Debug, Clone)]
pub struct Spread {
    /// How many hosts at once; at least 1.
    pub forks: usize,
    /// Sizes of batches, the last one again and again. Empty: all hosts are one batch.
    pub serial: Vec<Size>,
    /// When more than this share of a batch has failed, in percent, no further host is begun.
    pub max_fail_percent: Option<u8>,
    /// Once it is set, no further host is begun; those that run go on to their end.
    pub stop: Arc<AtomicBool>,
}

/// A size of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many hosts.
    Hosts(usize),
    /// A share of all hosts.
    Percent(u8),
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no size of a batch; accepted: 1, 5, 30%");
        let size = match text.trim().strip_suffix('%') {
            Some(share) => share.parse().ok().filter(|share| (1..=100).contains(share)).map(Self::Percent),
            None => text.trim().parse().ok().filter(|hosts| *hosts > 0).map(Self::Hosts),
        };
        size.ok_or_else(wrong)
    }
}

impl Spread {
    fn batches(&self, hosts: usize) -> Vec<std::ops::Range<usize>> {
        let mut batches = Vec::new();
        let mut sizes = self.serial.iter();
        let (mut at, mut size) = (0, hosts);
        while at < hosts {
            size = match sizes.next() {
                None => size,
                Some(Size::Hosts(size)) => *size,
                Some(Size::Percent(share)) => hosts * usize::from(*share) / 100,
            };
            let end = (at + size.max(1)).min(hosts);
            batches.push(at..end);
            at = end;
        }
        batches
    }

    fn too_many(&self, failed: usize, of: usize) -> bool {
        self.max_fail_percent.is_some_and(|max| failed * 100 > usize::from(max) * of)
    }

    /// Does it on each host, in order. `work` says how it went, and whether that counts as failed. A host that was not
    /// begun has `None`.
    pub async fn over<H, T, F>(&self, hosts: &[H], work: impl Fn(H) -> F) -> Vec<Option<T>>
    where
        H: Clone,
        T: Send + 'static,
        F: Future<Output = (T, bool)> + Send + 'static,
    {
        let mut done: Vec<Option<T>> = hosts.iter().map(|_| None).collect();
        for batch in self.batches(hosts.len()) {
            let of = batch.len();
            let mut running: JoinSet<(usize, (T, bool))> = JoinSet::new();
            let mut failed = 0;
            for index in batch {
                while running.len() >= self.forks.max(1) {
                    note(running.join_next().await, &mut done, &mut failed);
                }
                while let Some(ended) = running.try_join_next() {
                    note(Some(ended), &mut done, &mut failed);
                }
                if self.too_many(failed, of) || self.stop.load(Ordering::SeqCst) {
                    break;
                }
                let Some(host) = hosts.get(index) else { break };
                let one = work(host.clone());
                running.spawn(async move { (index, one.await) });
            }
            while let Some(ended) = running.join_next().await {
                note(Some(ended), &mut done, &mut failed);
            }
            if self.too_many(failed, of) || self.stop.load(Ordering::SeqCst) {
                break;
            }
        }
        done
    }
}

type Ended<T> = Result<(usize, (T, bool)), tokio::task::JoinError>;

fn note<T>(ended: Option<Ended<T>>, done: &mut [Option<T>], failed: &mut usize) {
    if let Some(Ok((index, (result, bad)))) = ended {
        *failed += usize::from(bad);
        if let Some(place) = done.get_mut(index) {
            *place = Some(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(forks: usize, serial: &[&str], max: Option<u8>) -> Spread {
        let serial = serial.iter().map(|size| size.parse().expect("a size")).collect();
        Spread { forks, serial, max_fail_percent: max, stop: Arc::default() }
    }

    #[test]
    fn batches_grow_as_they_are_written() {
        assert_eq!(spread(1, &["1", "25%", "100%"], None).batches(10), [0..1, 1..3, 3..10]);
        assert_eq!(spread(1, &["4"], None).batches(10), [0..4, 4..8, 8..10]);
        assert_eq!(spread(1, &["1%"], None).batches(2), [0..1, 1..2]);
        assert!("0".parse::<Size>().is_err() && "101%".parse::<Size>().is_err());
    }

    #[tokio::test]
    async fn no_host_is_begun_after_too_many_have_failed() {
        let hosts: Vec<usize> = (0..6).collect();
        let done = spread(2, &["2"], Some(49)).over(&hosts, |host| async move { (host, host >= 2) }).await;
        assert_eq!(done, [Some(0), Some(1), Some(2), Some(3), None, None]);
    }

    #[tokio::test]
    async fn no_more_than_forks_run_at_once() {
        use std::sync::atomic::AtomicUsize;
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let hosts: Vec<usize> = (0..20).collect();
        spread(3, &[], None)
            .over(&hosts, |_| {
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    ((), false)
                }
            })
            .await;
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }
}
