//! Incidents go to the state store behind the engine's back, in order; the journal does not: it is written first.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wellkept_model::{ActionStatus, Incident, Text, TimestampMs};
use wellkept_state::{StateDb, StateError};

/// Incidents that may wait to be stored. A full queue slows the engine; it never drops.
const QUEUE_MAX: usize = 256;

/// The task that stores incidents.
#[derive(Debug)]
pub(super) struct Persister {
    queue: Option<mpsc::Sender<Incident>>,
    task: Option<JoinHandle<()>>,
}

impl Persister {
    pub(super) fn start(state: StateDb) -> Self {
        let (queue, mut inbox) = mpsc::channel::<Incident>(QUEUE_MAX);
        let task = tokio::spawn(async move {
            while let Some(incident) = inbox.recv().await {
                if let Err(error) = state.save_incident(&incident).await {
                    tracing::error!(incident = %incident.id, %error, "an incident could not be stored");
                }
            }
        });
        Self { queue: Some(queue), task: Some(task) }
    }

    pub(super) async fn save(&self, incident: Incident) {
        if let Some(queue) = &self.queue {
            // Only fails when the task has ended, and it ends after the queue.
            let _ = queue.send(incident).await;
        }
    }

    /// Waits until everything is stored.
    pub(super) async fn finish(&mut self) {
        self.queue = None;
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

/// Ends the journal of steps that ran when the last process ended: whether they were done cannot be proven.
pub(super) async fn close_interrupted(state: &StateDb, at: TimestampMs) -> Result<(), StateError> {
    for id in state.unfinished().await? {
        state.journal_end(id, ActionStatus::Unknown, &Text::new("outcome.interrupted"), at).await?;
    }
    Ok(())
}
