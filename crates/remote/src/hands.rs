//! The one door: does a planned action on this host, or takes it back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use wellkept_model::keep::{Keep, Service};
use wellkept_model::{ActionId, ActionKind, EntityKind, PlannedAction, Text, TimestampMs, Undo};

use crate::command::{End, run};
use crate::command::{log_path, trim_logs};
use crate::evidence::Evidence;
use crate::kept_file::KeptFileHands;
use crate::means::ByMeans;
use crate::release::Switching;
use crate::service::Restarting;
use crate::{Copies, Outcome, free_space, isolate, signals, strangers};

/// What an action gets above its deadline to end in order; after that its result is `unknown`.
const GRACE: Duration = Duration::from_secs(10);

/// Hands on this host. Cheap to make again when the keep file was read again.
#[derive(Debug, Clone)]
pub struct LocalHands {
    keep: Arc<Keep>,
    copies: Copies,
    data_dir: PathBuf,
}

impl LocalHands {
    /// `data_dir`: evidence goes to `evidence/` and outputs of services to `logs/` below it.
    #[must_use]
    pub fn new(keep: Arc<Keep>, copies: Copies, data_dir: PathBuf) -> Self {
        Self { keep, copies, data_dir }
    }

    /// Does one action. Its journal record must be on disk already, and the caller sees to it that an id is
    /// never done twice. `processes`: those of the target as seen at `now`, main process first.
    ///
    /// What is missing, refused or fails is in the outcome. The future must be polled to its end.
    pub async fn execute(
        &self,
        id: ActionId,
        action: &PlannedAction,
        processes: &[u32],
        now: TimestampMs,
    ) -> Outcome {
        if action.kind == ActionKind::Escalate {
            return Outcome::succeeded(Text::new("outcome.escalated").with("target", &action.target));
        }
        let evidence = match self.evidence(&id.to_string(), action, processes) {
            Ok(evidence) => evidence,
            Err(e) => return Outcome::failed(Text::new("outcome.evidence_failed").with("error", e)),
        };
        let deadline = Instant::now() + Duration::from_millis(action.deadline_ms);
        let work = self.dispatch(action, processes, now, deadline, evidence);
        within(deadline, work).await
    }

    /// Takes an action back as `action.undo` says; put [`Outcome::undo`] of its execution there before.
    pub async fn undo(
        &self,
        id: ActionId,
        action: &PlannedAction,
        processes: &[u32],
        now: TimestampMs,
    ) -> Outcome {
        let target = action.target.to_string();
        let name = format!("{id}-undo");
        let evidence = match self.evidence(&name, action, processes) {
            Ok(evidence) => evidence,
            Err(e) => return Outcome::failed(Text::new("outcome.evidence_failed").with("error", e)),
        };
        let deadline = Instant::now() + Duration::from_millis(action.deadline_ms);
        let undone = match &action.undo {
            Undo::Irreversible => Outcome::failed(Text::new("outcome.irreversible").with("target", target)),
            Undo::Means { subject } => {
                let back = PlannedAction { subject: subject.clone(), ..action.clone() };
                match ByMeans::of(&back) {
                    Some(means) => {
                        let mut evidence = evidence;
                        self.by_means(&back, deadline).act(&means, &mut evidence).await
                    }
                    None => undeclared(action),
                }
            }
            Undo::Stop => signals::stop_again(&target, processes, now),
            Undo::Release { to } => match self.service(action) {
                Some(service) => {
                    let now_there = action.to_version.as_deref();
                    self.switching(service, processes, now, deadline).switch(to, now_there).await
                }
                None => undeclared(action),
            },
            Undo::Unblock { protocol, port } => {
                isolate::unblock(protocol, *port, &self.data_dir, deadline).await
            }
            Undo::Renice { before } => strangers::renice_back(&target, before),
            Undo::PutBack { path, sha256 } => {
                match KeptFileHands::new(&self.keep, &self.copies, &action.target, path) {
                    Ok(file) => {
                        let action_name = id.to_string();
                        let work =
                            file.put_back(action, sha256.as_deref(), &self.data_dir, &action_name, evidence);
                        within(deadline, work).await
                    }
                    Err(refused) => refused,
                }
            }
        };
        undone.into_undo()
    }

    /// Empties outputs of services that have grown above 1 MiB; to be called now and then.
    ///
    /// # Errors
    /// When one of them cannot be read or written.
    pub fn trim_logs(&self) -> std::io::Result<()> {
        trim_logs(&self.data_dir)
    }

    async fn dispatch(
        &self,
        action: &PlannedAction,
        processes: &[u32],
        now: TimestampMs,
        deadline: Instant,
        mut evidence: Evidence,
    ) -> Outcome {
        let target = action.target.to_string();
        if let Some(means) = ByMeans::of(action) {
            return self.by_means(action, deadline).act(&means, &mut evidence).await;
        }
        match action.kind {
            ActionKind::Restart | ActionKind::StartDependency => {
                let Some(service) = self.service(action) else { return undeclared(action) };
                let hands = Restarting::new(service, processes, &self.data_dir, now, deadline);
                if action.kind == ActionKind::Restart {
                    hands.restart().await
                } else {
                    hands.start_if_down().await
                }
            }
            ActionKind::Resume => signals::resume(&target, processes, now),
            ActionKind::Kill if !action.subject.is_empty() => {
                strangers::kill(&self.keep, &target, &action.subject, now, deadline).await
            }
            ActionKind::Kill => signals::kill(&self.keep, &target, processes, now, deadline).await,
            ActionKind::Rollback if self.is_release(action) => {
                let Some(service) = self.service(action) else { return undeclared(action) };
                let Some(to) = &action.to_version else { return undeclared(action) };
                let expected = match &action.undo {
                    Undo::Release { to } => Some(to.as_str()),
                    _ => None,
                };
                self.switching(service, processes, now, deadline).switch(to, expected).await
            }
            ActionKind::Reconfigure if action.target.kind == EntityKind::Host => {
                strangers::slow_down(&self.keep, &target, &action.subject)
            }
            ActionKind::Reconfigure => {
                let Some(service) = self.service(action) else { return undeclared(action) };
                let hands = Restarting::new(service, processes, &self.data_dir, now, deadline);
                if action.subject == "reload" { hands.reload().await } else { hands.reopen().await }
            }
            ActionKind::RunBackup => self.by_means(action, deadline).run_backup().await,
            ActionKind::TerminateSession => undeclared(action),
            ActionKind::Isolate => {
                isolate::block(&self.keep, &action.target.name, &self.data_dir, deadline).await
            }
            ActionKind::Restore | ActionKind::Rollback => {
                match KeptFileHands::new(&self.keep, &self.copies, &action.target, &action.subject) {
                    Ok(file) => self.put_tested(&file, action, deadline, evidence).await,
                    Err(refused) => refused,
                }
            }
            ActionKind::FreeSpace => self.free_space(action, now, deadline, evidence).await,
            ActionKind::Escalate => Outcome::succeeded(Text::new("outcome.escalated").with("target", target)),
        }
    }

    fn by_means<'a>(&'a self, action: &'a PlannedAction, deadline: Instant) -> ByMeans<'a> {
        ByMeans { keep: &self.keep, data_dir: &self.data_dir, action, deadline }
    }

    /// Puts a version in place. Where the service declares a test of its configuration, it must pass; else what was
    /// there comes back.
    async fn put_tested(
        &self,
        file: &KeptFileHands<'_>,
        action: &PlannedAction,
        deadline: Instant,
        evidence: Evidence,
    ) -> Outcome {
        let name = evidence.name().to_owned();
        let put = file.put(action, evidence).await;
        let test = self.service(action).and_then(|s| s.config_test.as_ref());
        let (Some(test), Some(Undo::PutBack { sha256, .. })) = (test, &put.undo) else { return put };
        let until = (Instant::now() + test.within).min(deadline);
        let ran = run(&test.argv, &log_path(&self.data_dir, &action.target.name), until).await;
        if matches!(&ran.end, End::Exited(status) if status.success()) {
            return put;
        }
        let failed =
            Text::new("outcome.config_test_failed").with("path", &action.subject).with("output", &ran.output);
        let back = match self.evidence(&format!("{name}-back"), action, &[]) {
            Ok(evidence) => {
                file.put_back(action, sha256.as_deref(), &self.data_dir, &name, evidence).await.status
            }
            Err(_) => wellkept_model::ActionStatus::Unknown,
        };
        if back == wellkept_model::ActionStatus::Succeeded {
            Outcome::failed(failed)
        } else {
            Outcome::unknown(failed)
        }
    }

    async fn free_space(
        &self,
        action: &PlannedAction,
        now: TimestampMs,
        deadline: Instant,
        evidence: Evidence,
    ) -> Outcome {
        let declared = self.keep.filesystems.get(&action.target.name);
        let Some(filesystem) = declared.filter(|_| action.target.kind == EntityKind::Filesystem).cloned()
        else {
            return undeclared(action);
        };
        let work = move || free_space::free_space(&filesystem, evidence, now, deadline);
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|e| Outcome::unknown(Text::new("outcome.broke_off").with("error", e)))
    }

    /// True when the subject is the release itself and not a file.
    fn is_release(&self, action: &PlannedAction) -> bool {
        action.target.kind == EntityKind::Service && action.subject == "release"
    }

    fn switching<'a>(
        &'a self,
        service: &'a Service,
        processes: &'a [u32],
        now: TimestampMs,
        deadline: Instant,
    ) -> Switching<'a> {
        Switching { service, processes, data_dir: &self.data_dir, now, deadline }
    }

    fn service(&self, action: &PlannedAction) -> Option<&Service> {
        self.keep.services.get(&action.target.name).filter(|_| action.target.kind == EntityKind::Service)
    }

    fn evidence(&self, name: &str, action: &PlannedAction, processes: &[u32]) -> std::io::Result<Evidence> {
        let mut evidence = Evidence::open(&self.data_dir, name)?;
        evidence.add_processes(processes)?;
        if action.target.kind == EntityKind::Service {
            evidence.add_log(Path::new(&log_path(&self.data_dir, &action.target.name)))?;
        }
        Ok(evidence)
    }
}

/// A last net below the deadlines of the parts: a hung file system must not hold the caller for ever.
async fn within(deadline: Instant, work: impl Future<Output = Outcome>) -> Outcome {
    timeout_at(deadline + GRACE, work).await.unwrap_or_else(|_| {
        let text = Text::new("outcome.no_answer");
        Outcome::unknown(text)
    })
}

fn undeclared(action: &PlannedAction) -> Outcome {
    let text = Text::new("outcome.not_declared").with("target", &action.target);
    Outcome::failed(text)
}
