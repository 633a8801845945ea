//! One job: its sources, its targets, their tasks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use wellkept_model::Labels;

use super::view::{ActiveTarget, DroppedTarget, SourceError, Targets};
use crate::client::Client;
use crate::config::{Discovery, Group, ScrapeConfig};
use crate::discovery::{self, News};
use crate::scrape::{self, Health, How, Order, Shared};
use crate::target::{Found, Target, build};

/// Most targets of one job, whatever the configuration says.
const TARGETS_MAX: usize = 100_000;
/// Dropped targets that are remembered where nothing else is said.
const DROPPED_MAX: usize = 10_000;

/// One job.
pub(super) struct Pool {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

struct State {
    config: ScrapeConfig,
    sources: Vec<Source>,
    /// By labels and address.
    running: BTreeMap<(Labels, String), Running>,
    dropped: Vec<(Labels, String)>,
    dropped_count: usize,
    /// The job breaks its `target_limit`: all its scrapes fail.
    over_limit: Option<String>,
    /// Tasks of targets that have gone, until they have ended.
    ending: Vec<JoinHandle<()>>,
    /// The job has been removed.
    closed: bool,
}

/// A source with what it told last.
struct Source {
    id: u64,
    from: Discovery,
    groups: Vec<Group>,
    error: Option<String>,
    /// It has been looked at.
    heard: bool,
    task: Option<AbortHandle>,
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Running {
    target: Target,
    how: Arc<How>,
    orders: watch::Sender<Order>,
    health: Arc<Mutex<Health>>,
    task: JoinHandle<()>,
}

impl Pool {
    pub(super) fn begin(config: &ScrapeConfig, shared: &Arc<Shared>) -> Arc<Self> {
        let state = State {
            config: config.clone(),
            sources: Vec::new(),
            running: BTreeMap::new(),
            dropped: Vec::new(),
            dropped_count: 0,
            over_limit: None,
            ending: Vec::new(),
            closed: false,
        };
        let pool = Arc::new(Self { shared: Arc::clone(shared), state: Mutex::new(state) });
        pool.change(config);
        pool
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on under another configuration of the same job.
    pub(super) fn change(self: &Arc<Self>, config: &ScrapeConfig) {
        let mut state = self.lock();
        let mut old = std::mem::take(&mut state.sources);
        let mut next = old.iter().map(|s| s.id + 1).max().unwrap_or(0);
        for from in &config.discovery {
            // A source that stays goes on with what it knows.
            let kept = old.iter().position(|s| s.from == *from).map(|at| old.swap_remove(at));
            let source = kept.unwrap_or_else(|| {
                next += 1;
                self.source(next, from)
            });
            state.sources.push(source);
        }
        state.config = config.clone();
        self.sync(&mut state);
    }

    /// Begins to watch a source. What stands in the configuration is known at once.
    fn source(self: &Arc<Self>, id: u64, from: &Discovery) -> Source {
        let mut source =
            Source { id, from: from.clone(), groups: Vec::new(), error: None, heard: false, task: None };
        if let Discovery::Static(groups) = from {
            source.groups.clone_from(groups);
            source.heard = true;
            return source;
        }
        let pool: Weak<Self> = Arc::downgrade(self);
        let tell = move |news| {
            if let Some(pool) = pool.upgrade() {
                pool.hear(id, news);
            }
        };
        let client = Client::new(Arc::clone(&self.shared.tls), self.shared.budget.clone());
        let task = tokio::spawn(discovery::watch(from.clone(), client, tell));
        source.task = Some(task.abort_handle());
        source
    }

    fn hear(&self, id: u64, news: News) {
        let mut state = self.lock();
        let Some(source) = state.sources.iter_mut().find(|s| s.id == id) else { return };
        source.heard = true;
        source.error = news.error;
        if let Some(groups) = news.groups {
            source.groups = groups;
        }
        self.sync(&mut state);
    }

    /// Makes the tasks be those of the targets that are known now.
    fn sync(&self, state: &mut State) {
        if state.closed {
            return;
        }
        let wanted = state.wanted();
        state.ending.retain(|task| !task.is_finished());
        // Until every source has spoken, a target may only seem to have gone.
        if state.sources.iter().all(|s| s.heard) {
            let gone: Vec<_> =
                state.running.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
            for running in gone.iter().filter_map(|key| state.running.remove(key)) {
                running.orders.send_replace(Order::Gone);
                state.ending.push(running.task);
            }
        }
        for (key, target) in wanted {
            let how = How { refused: state.over_limit.clone(), ..How::new(&state.config, &target) };
            match state.running.get_mut(&key) {
                Some(running) => running.change(target, how),
                None => {
                    state.running.insert(key, Running::begin(&self.shared, target, how));
                }
            }
        }
    }

    /// Ends the job with all its series.
    pub(super) fn remove(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.sources.clear();
        for running in std::mem::take(&mut state.running).into_values() {
            // The task ends by itself once it has written its stale markers.
            running.orders.send_replace(Order::Gone);
        }
    }

    /// Ends all tasks without ending series; gives those that still run.
    pub(super) fn quit(&self) -> Vec<JoinHandle<()>> {
        let mut state = self.lock();
        state.closed = true;
        state.sources.clear();
        let mut tasks = std::mem::take(&mut state.ending);
        for running in std::mem::take(&mut state.running).into_values() {
            running.orders.send_replace(Order::Quit);
            tasks.push(running.task);
        }
        tasks
    }

    pub(super) fn view(&self, out: &mut Targets) {
        let state = self.lock();
        let name = &state.config.job;
        for running in state.running.values() {
            let health = running.health.lock().unwrap_or_else(PoisonError::into_inner);
            let mut view = ActiveTarget::new(name, &running.target, &health);
            if running.task.is_finished() {
                view.health = "down";
                "its task has ended because of a fault of the program".clone_into(&mut view.last_error);
            }
            out.active.push(view);
        }
        let dropped = state.dropped.iter().map(|(labels, reason)| DroppedTarget {
            discovered_labels: labels.clone(),
            scrape_pool: name.clone(),
            reason: reason.clone(),
        });
        out.dropped.extend(dropped);
        out.dropped_counts.push((name.clone(), state.dropped_count));
        let errors = state.sources.iter().filter_map(|s| s.error.clone()).chain(state.over_limit.clone());
        out.source_errors.extend(errors.map(|error| SourceError { scrape_pool: name.clone(), error }));
    }
}

impl State {
    /// The targets of all sources; those that are dropped are noted.
    fn wanted(&mut self) -> BTreeMap<(Labels, String), Target> {
        let remembered = match self.config.limits.keep_dropped {
            0 => DROPPED_MAX,
            limit => usize::try_from(limit).unwrap_or(DROPPED_MAX).min(DROPPED_MAX),
        };
        self.dropped.clear();
        self.dropped_count = 0;
        self.over_limit = None;
        let mut wanted = BTreeMap::new();
        let groups = self.sources.iter().flat_map(|s| &s.groups);
        let addresses = groups.flat_map(|g| g.targets.iter().map(move |t| (t, &g.labels)));
        for (address, labels) in addresses.take(TARGETS_MAX) {
            let (labels, reason) = match build(&self.config, address, labels) {
                Found::Target(target) => {
                    // Of two that become the same target the first is shown.
                    wanted.entry(target.key()).or_insert(*target);
                    continue;
                }
                Found::Dropped(labels) => (labels, String::new()),
                Found::Refused(labels, reason) => (labels, reason),
            };
            self.dropped_count += 1;
            if self.dropped.len() < remembered {
                self.dropped.push((labels, reason));
            }
        }
        let (count, limit) = (wanted.len() as u64, self.config.limits.targets);
        if limit > 0 && count > limit {
            self.over_limit = Some(format!("target_limit exceeded (targets: {count}, limit: {limit})"));
        }
        wanted
    }
}

impl Running {
    fn begin(shared: &Arc<Shared>, target: Target, how: How) -> Self {
        let how = Arc::new(how);
        let (orders, inbox) = watch::channel(Order::Run(Arc::clone(&how)));
        let health = Arc::new(Mutex::new(Health::default()));
        let task = tokio::spawn(scrape::run(Arc::clone(shared), target.clone(), Arc::clone(&health), inbox));
        Self { target, how, orders, health, task }
    }

    fn change(&mut self, target: Target, how: How) {
        self.target = target;
        if *self.how != how {
            self.how = Arc::new(how);
            self.orders.send_replace(Order::Run(Arc::clone(&self.how)));
        }
    }
}
