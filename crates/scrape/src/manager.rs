//! Keeps one task per target, adds and removes them as targets come and go, and tells how they are.
//!
//! A reload changes only what it has to: a target with the same labels and address goes on with its connection and its
//! memory, under the new settings. A target that has gone gets stale markers; when we stop ourselves, nothing does, so
//! that a restart leaves no hole.

mod pool;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::client::Budget;
use crate::config::{Config, ScrapeConfig};
use crate::scrape::Shared;
use crate::seam::{NewParser, Outlet};
use pool::Pool;

pub use view::{ActiveTarget, DroppedTarget, SourceError, Targets};

/// How long stopping waits for what targets have in hand.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// All jobs.
pub struct Manager {
    shared: Arc<Shared>,
    pools: Mutex<BTreeMap<String, Arc<Pool>>>,
}

impl Manager {
    /// Begins with nothing to scrape.
    #[must_use]
    pub fn new(new_parser: NewParser, outlet: Arc<dyn Outlet>) -> Self {
        let shared = Shared { new_parser, outlet, tls: Arc::default(), budget: Budget::default() };
        Self { shared: Arc::new(shared), pools: Mutex::default() }
    }

    /// Scrapes what this configuration says from now on. Must be called inside a tokio runtime.
    pub fn apply(&self, config: &Config) {
        self.apply_jobs(&config.scrapes);
    }

    fn apply_jobs(&self, jobs: &[ScrapeConfig]) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *pools);
        for job in jobs {
            let pool = match old.remove(&job.job) {
                Some(pool) => {
                    pool.change(job);
                    pool
                }
                None => Pool::begin(job, &self.shared),
            };
            pools.insert(job.job.clone(), pool);
        }
        old.into_values().for_each(|pool| pool.remove());
    }

    /// All targets as they are now, as `/api/v1/targets` shows them: jobs in the order of their names.
    #[must_use]
    pub fn targets(&self) -> Targets {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let mut targets = Targets::default();
        pools.values().for_each(|pool| pool.view(&mut targets));
        targets
    }

    /// Stops all tasks without ending any series, and waits until what they have in hand is stored (at most 10 s).
    pub async fn shutdown(&self) {
        let pools = std::mem::take(&mut *self.pools.lock().unwrap_or_else(PoisonError::into_inner));
        let mut tasks = Vec::new();
        pools.into_values().for_each(|pool| tasks.extend(pool.quit()));
        let aborts: Vec<_> = tasks.iter().map(tokio::task::JoinHandle::abort_handle).collect();
        let all = async {
            for task in tasks {
                // A task that panicked has ended, too.
                let _ = task.await;
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, all).await.is_err() {
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let pools = std::mem::take(&mut *self.pools.lock().unwrap_or_else(PoisonError::into_inner));
        pools.into_values().for_each(|pool| pool.quit().iter().for_each(|task| task.abort()));
    }
}
