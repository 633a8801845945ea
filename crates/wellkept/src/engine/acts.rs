//! What people ask for: each act is audited before it takes effect; the stop switch works even when that fails.

use wellkept_api::{Command, Refusal, RefusalKind};
use wellkept_model::{ActionKind, CauseKind, Change, Text, Topology};
use wellkept_recover::Refused;
use wellkept_state::{StateError, freeze_file};

use std::sync::Arc;

use super::Engine;
use crate::clock::now;

type Answer = Result<(), Refusal>;

impl Engine {
    /// Does what was asked, and answers when the effect can be seen: who reads the overview next, sees it.
    pub(super) async fn handle_command(&mut self, command: Command) {
        let (answer, reply) = match command {
            Command::Approve { incident, generation, who, reply } => {
                let detail = format!("incident {incident} plan {generation}");
                let answer = match self.audit(&who, "approve", &detail).await {
                    Ok(()) => self.book.approve(now(), incident, generation).map_err(refusal),
                    Err(refusal) => Err(refusal),
                };
                (answer, reply)
            }
            Command::Undo { action, who, reply } => {
                let answer = match self.audit(&who, "undo", &action.to_string()).await {
                    Ok(()) => self.book.undo(now(), action).map_err(refusal),
                    Err(refusal) => Err(refusal),
                };
                (answer, reply)
            }
            Command::Escalate { incident, who, reply } => {
                let answer = match self.audit(&who, "take over", &format!("incident {incident}")).await {
                    Ok(()) => self.book.take_over(now(), incident).map_err(refusal),
                    Err(refusal) => Err(refusal),
                };
                (answer, reply)
            }
            Command::Freeze { reason, who, reply } => (self.freeze(&who, &reason).await, reply),
            Command::Unfreeze { who, reply } => (self.unfreeze(&who).await, reply),
            Command::Forget { cause, action, who, reply } => (self.forget(cause, action, &who).await, reply),
            Command::Reload { who, reply } => (self.reload(&who).await, reply),
            Command::RecordChange { change, who, reply } => (self.record_change(change, &who).await, reply),
        };
        self.start_steps(now()).await;
        self.publish_incidents().await;
        self.publish_overview();
        // A person who no longer waits for the answer still got the act.
        let _ = reply.send(answer);
    }

    async fn audit(&self, who: &str, what: &str, detail: &str) -> Answer {
        self.state.audit(now(), who, what, detail).await.map(drop).map_err(|e| unavailable(&e))
    }

    /// The file comes first: it needs neither the database nor room on the disk.
    async fn freeze(&mut self, who: &str, reason: &str) -> Answer {
        let note = format!("{reason} ({who})");
        let file = freeze_file::set(&self.data_dir, &note);
        self.frozen = Some(note);
        let stored = self.state.freeze(now(), who, reason).await;
        match (file, stored) {
            (Err(error), Err(_)) => {
                tracing::error!(%error, "the stop switch is on, but only until this process ends");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn unfreeze(&mut self, who: &str) -> Answer {
        self.state.unfreeze(now(), who).await.map_err(|e| unavailable(&e))?;
        freeze_file::clear(&self.data_dir).map_err(|e| Refusal {
            kind: RefusalKind::Unavailable,
            text: Text::new("refused.store").with("error", e),
        })?;
        self.frozen = None;
        self.book.reconsider();
        Ok(())
    }

    async fn forget(&mut self, cause: Option<CauseKind>, action: Option<ActionKind>, who: &str) -> Answer {
        let (of, by) = (cause.map_or("*", CauseKind::word), action.map_or("*", ActionKind::word));
        self.audit(who, "forget what was learned", &format!("{of}/{by}")).await?;
        self.state.forget_beliefs(cause, action).await.map_err(|e| unavailable(&e))?;
        self.book.forget(cause, action);
        self.show_beliefs();
        self.book.reconsider();
        Ok(())
    }

    async fn record_change(&mut self, change: Change, who: &str) -> Answer {
        let stored = async {
            self.state.audit(now(), who, "record change", &change.what).await?;
            self.state.record_change(&change).await
        };
        stored.await.map_err(|e| unavailable(&e))?;
        self.changes.insert(0, change);
        self.take_changes(Vec::new()).await;
        Ok(())
    }

    /// Reads the keep file again; one with mistakes is refused and the old one stays.
    pub(crate) async fn reload(&mut self, who: &str) -> Answer {
        self.audit(who, "reload", "").await?;
        let Some(path) = self.keep_file.clone() else {
            return Err(Refusal { kind: RefusalKind::BadData, text: Text::new("refused.no_keep_file") });
        };
        let (keep, text) = crate::commands::check::load_briefly(&path).map_err(|e| Refusal {
            kind: RefusalKind::BadData,
            text: Text::new("refused.bad_keep_file").with("problems", e.message),
        })?;
        let looks = !keep.services.is_empty() || !keep.filesystems.is_empty();
        if looks && !self.collect {
            return Err(Refusal { kind: RefusalKind::BadData, text: Text::new("cli.error.no_collect") });
        }
        // The files that it names are read before anything changes.
        let prepared = self.intake.prepare(&keep).map_err(|e| Refusal {
            kind: RefusalKind::BadData,
            text: Text::new("refused.bad_keep_file").with("problems", format!("{e:#}")),
        })?;
        let prepared_logs = self.logs.1.prepare(&keep).map_err(|e| Refusal {
            kind: RefusalKind::BadData,
            text: Text::new("refused.bad_keep_file").with("problems", format!("{e:#}")),
        })?;
        let (old, new) = (&self.keep.logs, &keep.logs);
        if (old.retention, old.size, &old.streams) != (new.retention, new.size, &new.streams) {
            tracing::warn!(
                "`logs.retention`, `size` and `streams` of the keep file take effect at the next start"
            );
        }
        let (old, new) = (&self.keep.metrics, &keep.metrics);
        if (&old.retention, old.out_of_order, old.limits) != (&new.retention, new.out_of_order, new.limits) {
            tracing::warn!(
                "`retention`, `out_of_order` and `limits` of the keep file take effect at the next start"
            );
        }
        self.intake.apply(&keep, prepared).await;
        self.logs.1.apply(&keep, prepared_logs).await;
        let keep = Arc::new(keep);
        self.topology = Topology::from_keep(&keep, &self.host);
        self.collector.set_keep(Arc::clone(&keep));
        self.states.set_keep(&keep);
        self.hands = super::hands::new(&keep, &self.versions, &self.data_dir);
        (self.keep, self.keep_text) = (keep, Some(text));
        self.book.reconsider();
        tracing::info!(keep_file = %path.display(), "the keep file was read again");
        Ok(())
    }
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::NotFound => Refusal { kind: RefusalKind::NotFound, text: Text::new("refused.not_found") },
        Refused::Conflict(text) => Refusal { kind: RefusalKind::Conflict, text },
    }
}

fn unavailable(error: &StateError) -> Refusal {
    tracing::error!(%error, "an act was refused: the state store cannot be written");
    Refusal { kind: RefusalKind::Unavailable, text: Text::new("refused.store").with("error", error) }
}
