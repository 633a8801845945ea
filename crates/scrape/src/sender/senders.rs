//! The senders of a configuration, kept while it changes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wellkept_model::Labels;

use super::outgoing::same;
use super::stats::folder_name;
use super::{OFFERS_MAX, Offer, Queued, Sender, SenderError, SenderStats};
use crate::config::RemoteWrite;
use crate::seam::{NewEncoder, Outgoing, Scraped};

/// All receivers.
pub struct Senders {
    dir: PathBuf,
    queue_bytes: u64,
    new_encoder: NewEncoder,
    /// Held while the receivers change.
    turn: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    running: Vec<Running>,
    /// What is offered while receivers change, for those that are not back yet.
    pending: Option<Vec<Offer>>,
    /// Samples that were offered then and had no room.
    lost: u64,
}

struct Running {
    config: RemoteWrite,
    external: Labels,
    sender: Sender,
}

impl Senders {
    /// Queues lie below `dir`, each in a folder named after its receiver, with at most `queue_bytes` each.
    #[must_use]
    pub fn new(dir: &Path, queue_bytes: u64, new_encoder: NewEncoder) -> Self {
        Self {
            dir: dir.to_owned(),
            queue_bytes,
            new_encoder,
            turn: tokio::sync::Mutex::default(),
            inner: Mutex::default(),
        }
    }

    /// Sends to these receivers from now on. One that did not change goes on; one that did goes on with its queue; the
    /// queue of one that has gone stays on disk until a receiver of that name comes back.
    ///
    /// # Errors
    /// The receivers that cannot begin; all others run.
    pub async fn apply(&self, wanted: &[RemoteWrite], external: &Labels) -> Result<(), Vec<SenderError>> {
        let _turn = self.turn.lock().await;
        let (to_open, to_end) = self.part(wanted, external);
        for running in to_end {
            running.sender.shutdown().await;
        }
        let (mut opened, mut errors) = (Vec::new(), Vec::new());
        for config in to_open {
            let dir = self.dir.join(folder_name(&config.name));
            match Sender::open(&config, external, &dir, self.queue_bytes, (self.new_encoder)()) {
                Ok(sender) => opened.push(Running { config, external: external.clone(), sender }),
                Err(error) => errors.push(error),
            }
        }
        let mut inner = self.lock();
        for offer in inner.pending.take().unwrap_or_default() {
            for running in &opened {
                running.sender.take(offer.clone());
            }
        }
        inner.running.extend(opened);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Parts the receivers into those that stay, those to be opened and those to be ended.
    fn part(&self, wanted: &[RemoteWrite], external: &Labels) -> (Vec<RemoteWrite>, Vec<Running>) {
        let mut inner = self.lock();
        let mut old = std::mem::take(&mut inner.running);
        let mut to_open = Vec::new();
        for config in wanted {
            match old.iter().position(|r| same(&r.config, config) && r.external == *external) {
                Some(at) => inner.running.push(old.swap_remove(at)),
                None => to_open.push(config.clone()),
            }
        }
        inner.pending = Some(Vec::new());
        (to_open, old)
    }

    /// Whether nothing is sent anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let inner = self.lock();
        inner.running.is_empty() && inner.pending.is_none()
    }

    /// Gives what was scraped to all receivers. Never waits; what is given back tells when all have it on disk or have
    /// dropped it.
    pub fn offer(&self, scraped: &Arc<Scraped>) -> Queued {
        let (held, queued) = Queued::new();
        self.take(Offer::Scraped { scraped: Arc::clone(scraped), _held: held });
        queued
    }

    /// The same for series from elsewhere: rules, pushed samples.
    pub fn offer_series(&self, series: &Arc<Vec<Outgoing>>) {
        self.take(Offer::Series(Arc::clone(series)));
    }

    fn take(&self, offer: Offer) {
        let mut inner = self.lock();
        for running in &inner.running {
            running.sender.take(offer.clone());
        }
        let samples = offer.samples();
        match &mut inner.pending {
            Some(pending) if pending.len() < OFFERS_MAX => pending.push(offer),
            Some(_) => inner.lost += samples,
            None => {}
        }
    }

    /// How each receiver does.
    #[must_use]
    pub fn stats(&self) -> Vec<SenderStats> {
        self.lock().running.iter().map(|r| r.sender.stats()).collect()
    }

    /// Samples that were dropped because receivers changed for too long, in all.
    #[must_use]
    pub fn dropped_while_changing(&self) -> u64 {
        self.lock().lost
    }

    /// Ends all senders; what was offered is in their queues.
    pub async fn shutdown(&self) {
        let _turn = self.turn.lock().await;
        let old = std::mem::take(&mut self.lock().running);
        for running in old {
            running.sender.shutdown().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
