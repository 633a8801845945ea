//! Incidents go to the state store behind the engine's back, in order; the journal does not: it is written first.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wellkept_model::{Action, ActionStatus, Incident, Text, TimestampMs};
use wellkept_recover::Book;
use wellkept_state::{BegunAction, StateDb, StateError};

/// Incidents that may wait to be stored. A full queue slows the engine; it never drops.
const QUEUE_MAX: usize = 256;
/// Incidents that are taken up again.
const INCIDENTS_MAX: usize = 1000;
/// Actions of the journal that are looked at: as many as the book remembers attempts.
const BEGUN_MAX: usize = 4096;

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

/// A book over what is stored. The journal is written before a step and an incident behind it, so the journal may know of
/// actions that the incident does not: they are put into it, as cut off or ended, and those of incidents that were never
/// stored count as attempts. A number that the journal knows is never given again.
pub(super) async fn restore(state: &StateDb, at: TimestampMs) -> Result<Book, StateError> {
    let mut incidents = state.load_incidents(INCIDENTS_MAX).await?.incidents;
    let mut lost = Vec::new();
    for begun in state.begun(BEGUN_MAX).await? {
        match incidents.iter_mut().find(|i| i.id == begun.id.incident) {
            Some(incident) => put_in(incident, begun),
            None if begun.automatic => lost.push((begun.at, begun.planned.target)),
            None => {}
        }
    }
    close_interrupted(state, at).await?;
    let mut book = Book::restore(incidents, state.highest_begun().await?, at);
    book.count_attempts(lost);
    Ok(book)
}

/// An action that the incident does not know yet. Cut off, it is running, which the book takes as unknown.
fn put_in(incident: &mut Incident, begun: BegunAction) {
    if incident.actions.iter().any(|a| a.id == begun.id && a.started_at.is_some()) {
        return;
    }
    incident.actions.retain(|a| a.id != begun.id);
    incident.actions.push(Action {
        id: begun.id,
        planned: begun.planned,
        cause: incident.causes.first().map(|c| c.kind),
        status: begun.ended.unwrap_or(ActionStatus::Running),
        automatic: begun.automatic,
        started_at: Some(begun.at),
        finished_at: None,
        outcome: None,
    });
    incident.actions.sort_by_key(|a| a.id);
}

/// Ends the journal of steps that ran when the last process ended: whether they were done cannot be proven.
async fn close_interrupted(state: &StateDb, at: TimestampMs) -> Result<(), StateError> {
    for id in state.unfinished().await? {
        state.journal_end(id, ActionStatus::Unknown, &Text::new("outcome.interrupted"), at).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use wellkept_model::keep::Budget;
    use wellkept_model::{
        ActionId, ActionKind, EntityId, Finding, FindingKey, FindingKind, IncidentId, IncidentStatus,
        PlannedAction, Severity, Undo,
    };

    const BUDGET: Budget = Budget { count: 3, per: Duration::from_secs(3600) };

    fn restart(target: &str) -> PlannedAction {
        PlannedAction {
            kind: ActionKind::Restart,
            target: EntityId::service(target),
            subject: String::new(),
            to_version: None,
            deadline_ms: 1000,
            verify: vec![],
            undo: Undo::Irreversible,
            reason: Text::new("reason.restart"),
        }
    }

    fn id(incident: u64) -> ActionId {
        ActionId { incident: IncidentId(incident), number: 1 }
    }

    /// A book with one incident, as it is stored before its action begins.
    fn stored() -> Incident {
        let mut book = Book::default();
        let (entity, now) = (EntityId::service("app"), TimestampMs(1_000));
        let finding = Finding {
            key: FindingKey { entity, kind: FindingKind::ProcessGone, subject: String::new() },
            severity: Severity::Critical,
            since: now,
            at: now,
            text: Text::new("finding.process_gone"),
            evidence: vec![],
            hold_ms: 0,
        };
        let (seen, topology) = (Default::default(), Default::default());
        book.handle_round(now, vec![finding], &seen, &topology, &Default::default());
        book.incidents().next().cloned().unwrap()
    }

    async fn book(ended: Option<ActionStatus>) -> Book {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDb::open(dir.path()).await.unwrap();
        let incident = stored();
        state.save_incident(&incident).await.unwrap();
        for (number, target) in [(incident.id.0, "app"), (7, "db")] {
            let begun = state.journal_begin(id(number), 1, &restart(target), true, TimestampMs(2_000)).await;
            begun.unwrap();
        }
        if let Some(status) = ended {
            let end = state.journal_end(id(incident.id.0), status, &Text::new("x"), TimestampMs(3_000)).await;
            end.unwrap();
        }
        let book = restore(&state, TimestampMs(4_000)).await.unwrap();
        assert!(state.unfinished().await.unwrap().is_empty());
        state.close().await;
        book
    }

    #[tokio::test]
    async fn an_action_that_only_the_journal_knows_is_unknown_waits_for_a_person_and_counts() {
        let book = book(None).await;
        let incident = book.incidents().next().unwrap();
        assert_eq!(incident.status, IncidentStatus::Escalated);
        assert_eq!(incident.actions.iter().map(|a| a.status).collect::<Vec<_>>(), [ActionStatus::Unknown]);
        let spent = |name: &str| book.ledger().spent(TimestampMs(5_000), &EntityId::service(name), BUDGET);
        assert_eq!((spent("app"), spent("db")), (1, 1), "also of an incident that was never stored");
    }

    #[tokio::test]
    async fn one_that_ended_before_its_incident_was_stored_has_its_end() {
        let book = book(Some(ActionStatus::Failed)).await;
        let incident = book.incidents().next().unwrap();
        assert_eq!(incident.actions.iter().map(|a| a.status).collect::<Vec<_>>(), [ActionStatus::Failed]);
        assert_ne!(incident.status, IncidentStatus::Escalated);
    }

    #[tokio::test]
    async fn a_number_that_the_journal_knows_is_never_given_again() {
        let mut book = book(None).await;
        let mut other = stored().findings;
        for finding in &mut other {
            finding.key.entity = EntityId::service("web");
        }
        let (seen, topology) = (Default::default(), Default::default());
        book.handle_round(TimestampMs(9_000), other, &seen, &topology, &Default::default());
        assert_eq!(book.incidents().map(|i| i.id.0).max(), Some(8));
    }
}
