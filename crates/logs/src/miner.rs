//! The one miner of this host, shared between the store that has lines split and those who ask for templates.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wellkept_logmine::Miner;
use wellkept_model::{Shape, TemplateMiner};

/// A miner behind a lock. The store holds one end, [`crate::Logs`] the other.
#[derive(Debug, Clone)]
pub(crate) struct SharedMiner(Arc<Mutex<Miner>>);

impl SharedMiner {
    pub(crate) fn new(miner: Miner) -> Self {
        Self(Arc::new(Mutex::new(miner)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Miner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TemplateMiner for SharedMiner {
    fn split(&mut self, text: &[u8], params: &mut Vec<Range<u32>>) -> Arc<Shape> {
        self.lock().split(text, params)
    }
}
