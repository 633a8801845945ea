//! The loop: one owner of all state, fed by rounds, service events, results and people.
//!
//! Everything that decides is pure and lives in other crates; here the clock is read, the journal is written
//! before a step is done, and tasks are started. A round is one pass of collect → detect → group → diagnose →
//! plan → act; a service's end triggers the same pass at once, for that service only.

mod acts;
mod files;
mod hands;
mod own_metrics;
mod persist;
mod publish;
mod situations;
mod steps;
mod suspects;
mod think;
mod unusual;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use wellkept_api::Command;
use wellkept_collect::{Collector, ServiceEvent};
use wellkept_detect::Detectors;
use wellkept_logs::Logs;
use wellkept_model::keep::Keep;
use wellkept_model::maintenance::Window;
use wellkept_model::observe::Observation;
use wellkept_model::{Batch, Change, SeriesSource, TimestampMs, Topology};
use wellkept_recover::{Book, Step, StepResult};
use wellkept_remote::LocalHands;
use wellkept_state::{FileVersions, StateDb};

use crate::agents::AgentsRunning;
use crate::clock::now;
use crate::logs::Sources;
use crate::metrics::Intake;
use crate::states::States;
use files::FileKeeper;
pub(crate) use own_metrics::OwnMetrics;
use persist::Persister;
pub(crate) use publish::{Published, channel};
use publish::{Publisher, View, cpu_shares, overview};
pub(crate) use writer::{Writer, open_store};

/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// Time between two looks at what grows in the data directory, seconds.
const TIDY_EVERY_S: i64 = 60;
/// Changes kept in memory, newest first.
const CHANGES_MAX: usize = 1000;
/// Results of steps that may wait; more than steps can run at once.
const RESULTS_MAX: usize = 64;

/// A step with what came out of it.
type Done = (Step, StepResult);

/// What the engine is started with.
pub(crate) struct Parts {
    pub(crate) host: String,
    pub(crate) keep_file: Option<PathBuf>,
    pub(crate) keep: Keep,
    /// What it was read from; `None` without a file.
    pub(crate) keep_text: Option<Arc<str>>,
    /// Whether this host is looked at.
    pub(crate) collect: bool,
    /// Alerts that fire are findings.
    pub(crate) intake: Arc<Intake>,
    /// Lines that are odd, grave and go on are findings.
    pub(crate) logs: (Arc<Logs>, Arc<Sources>),
    /// Hosts that are not as a playbook says are findings.
    pub(crate) states: States,
    /// Agents that are silent, and what the others tell, are findings.
    pub(crate) agents: Option<Arc<AgentsRunning>>,
    pub(crate) data_dir: PathBuf,
    pub(crate) state: StateDb,
    pub(crate) versions: FileVersions,
    pub(crate) source: Arc<dyn SeriesSource>,
    pub(crate) writer: Writer,
    pub(crate) publisher: Publisher,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) metrics: Arc<OwnMetrics>,
}

/// The running system of one host.
pub(crate) struct Engine {
    host: String,
    started_at: TimestampMs,
    keep_file: Option<PathBuf>,
    keep: Arc<Keep>,
    keep_text: Option<Arc<str>>,
    topology: Topology,
    data_dir: PathBuf,
    state: StateDb,
    versions: FileVersions,
    hands: Arc<LocalHands>,
    source: Arc<dyn SeriesSource>,
    writer: Writer,
    collector: Collector,
    collect: bool,
    intake: Arc<Intake>,
    logs: (Arc<Logs>, Arc<Sources>),
    states: States,
    agents: Option<Arc<AgentsRunning>>,
    events: mpsc::Receiver<ServiceEvent>,
    detectors: Detectors,
    book: Book,
    files: FileKeeper,
    seen: Observation,
    /// What deployments had in hand when we looked last.
    deploying: Vec<Window>,
    cpu: BTreeMap<String, f64>,
    series: usize,
    changes: Vec<Change>,
    suspects: suspects::Suspects,
    frozen: Option<String>,
    publisher: Publisher,
    persister: Persister,
    commands: mpsc::Receiver<Command>,
    results: (mpsc::Sender<Done>, mpsc::Receiver<Done>),
    metrics: Arc<OwnMetrics>,
}

impl Engine {
    /// Loads what is stored and takes up the work. Steps that ran when the last process ended become `unknown`.
    pub(crate) async fn new(parts: Parts) -> anyhow::Result<Self> {
        let keep = Arc::new(parts.keep);
        let mut book = persist::restore(&parts.state, now()).await?;
        let beliefs = parts.state.beliefs().await?;
        parts.publisher.beliefs.send_replace(Arc::new(beliefs.clone()));
        book.set_beliefs(beliefs);
        let frozen = parts.state.frozen().await?.map(|f| f.reason);
        let changes = parts.state.changes(CHANGES_MAX).await?;
        let mut collector = {
            let memory = parts.data_dir.join("baselines");
            Collector::with_memory(Arc::clone(&keep), &parts.host, Some(&memory))
        };
        let events =
            collector.events().ok_or_else(|| anyhow::anyhow!("the collector's events are taken already"))?;
        let hands = hands::new(&keep, &parts.versions, &parts.data_dir);
        Ok(Self {
            topology: Topology::from_keep(&keep, &parts.host),
            host: parts.host,
            started_at: now(),
            keep_file: parts.keep_file,
            keep,
            keep_text: parts.keep_text,
            data_dir: parts.data_dir,
            persister: Persister::start(parts.state.clone()),
            state: parts.state,
            files: FileKeeper::new(parts.versions.clone()),
            versions: parts.versions,
            hands,
            source: parts.source,
            writer: parts.writer,
            collector,
            collect: parts.collect,
            intake: parts.intake,
            logs: parts.logs,
            states: parts.states,
            agents: parts.agents,
            events,
            detectors: Detectors::new(),
            book,
            seen: Observation::default(),
            deploying: Vec::new(),
            cpu: BTreeMap::new(),
            series: 0,
            changes,
            suspects: suspects::Suspects::new(),
            frozen,
            publisher: parts.publisher,
            commands: parts.commands,
            results: mpsc::channel(RESULTS_MAX),
            metrics: parts.metrics,
        })
    }

    /// Runs until `stop` completes; then the store is committed and everything is closed.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) {
        self.round().await;
        let mut ticks = interval_at(Instant::now() + wellkept_collect::until_round(), ROUND);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some((step, result)) = self.results.1.recv() => self.finish_step(step, result).await,
                Some(event) = self.events.recv() => self.handle_event(event).await,
                Some(command) = self.commands.recv() => self.handle_command(command).await,
                _ = ticks.tick() => self.round().await,
            }
        }
        self.publish_incidents().await;
        self.persister.finish().await;
        self.writer.finish().await;
        self.state.close().await;
    }

    /// One round of everything.
    async fn round(&mut self) {
        let at = now();
        if !self.collect {
            return self.idle_round(at).await;
        }
        let round = self.collector.round(at);
        self.cpu = cpu_shares(&self.seen, &round.observation);
        self.seen = round.observation;
        self.series = round.batch.samples.len();
        self.take_changes(round.changes).await;
        self.writer.write(round.batch);
        self.think(at).await;
        OwnMetrics::add(&self.metrics.rounds, 1);
        self.tidy(at);
        let took = now().since(at).as_micros().try_into().unwrap_or(usize::MAX);
        OwnMetrics::add(&self.metrics.round_micros, took);
        self.publish_overview();
        self.publisher.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
    }

    /// A round that does not look at this host. The empty batch keeps the store's upkeep going.
    async fn idle_round(&mut self, at: TimestampMs) {
        self.seen = Observation { at, ..Observation::default() };
        self.writer.write(Batch { at, ..Batch::default() });
        self.think(at).await;
        OwnMetrics::add(&self.metrics.rounds, 1);
        self.publish_overview();
        self.publisher.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
    }

    /// Once a minute: outputs of services that we started must not fill the data directory.
    fn tidy(&self, at: TimestampMs) {
        if at.0.div_euclid(1000) % TIDY_EVERY_S == 0 {
            let hands = Arc::clone(&self.hands);
            tokio::task::spawn_blocking(move || {
                if let Err(error) = hands.trim_logs() {
                    tracing::warn!(%error, "the outputs of services could not be trimmed");
                }
            });
        }
    }

    /// A service's process ended or began: look at that service now and think at once.
    async fn handle_event(&mut self, event: ServiceEvent) {
        let at = now();
        let (ServiceEvent::Started { service, .. } | ServiceEvent::Ended { service, .. }) = event;
        self.look_at_service(&service, at);
        self.think(at).await;
        self.publish_overview();
    }

    /// Looks at one service and its kept files now, outside the rounds.
    fn look_at_service(&mut self, name: &str, at: TimestampMs) {
        if let Some(look) = self.collector.observe_service(name, at) {
            look.merge_into(&mut self.seen);
        }
    }

    async fn take_changes(&mut self, changes: Vec<Change>) {
        for change in changes {
            match self.state.record_change(&change).await {
                Ok(true) => self.changes.insert(0, change),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "a change could not be recorded"),
            }
        }
        self.changes.truncate(CHANGES_MAX);
        let shown = Arc::new(self.changes.clone());
        self.publisher.changes.send_if_modified(|old| {
            let differs = old.len() != shown.len() || old.first() != shown.first();
            if differs {
                *old = shown;
            }
            differs
        });
    }

    /// Whether the stop switch is on: in the state, or as a file that works also when the state does not.
    fn is_frozen(&self) -> bool {
        self.frozen.is_some() || wellkept_state::freeze_file::is_set(&self.data_dir)
    }

    fn publish_overview(&self) {
        let frozen = self.frozen.clone().or_else(|| {
            let set = wellkept_state::freeze_file::is_set(&self.data_dir);
            set.then(|| wellkept_state::freeze_file::note(&self.data_dir))
        });
        let view = View {
            host: &self.host,
            started_at: self.started_at,
            keep: &self.keep,
            keep_file: self.keep_file.as_ref().map(|p| p.display().to_string()),
            frozen,
            seen: &self.seen,
            series: self.series,
            worst: self.book.active().iter().map(|f| f.severity).max(),
            full_in: self.detectors.full_in_seconds(),
            cpu: &self.cpu,
        };
        self.publisher.overview.send_replace(Arc::new(overview(&view)));
    }

    /// Stores and shows what was learned.
    async fn publish_beliefs(&mut self) {
        let learned = self.book.take_learned();
        for row in &learned {
            if let Err(error) = self.state.believe(row).await {
                tracing::warn!(%error, "what was learned could not be stored");
            }
        }
        if !learned.is_empty() {
            self.show_beliefs();
        }
    }

    fn show_beliefs(&self) {
        self.publisher.beliefs.send_replace(Arc::new(self.book.ledger().beliefs().clone()));
    }

    /// Stores and shows the incidents that changed.
    async fn publish_incidents(&mut self) {
        let changed = self.book.take_changed();
        self.publish_beliefs().await;
        if changed.is_empty() {
            return;
        }
        for incident in changed {
            self.persister.save(incident).await;
        }
        let all: Vec<_> = self.book.incidents().cloned().collect();
        let open = all.iter().filter(|i| i.resolved_at.is_none()).count();
        OwnMetrics::set(&self.metrics.incidents_open, open);
        self.publisher.incidents.send_replace(Arc::new(all));
    }
}
