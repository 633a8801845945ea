//! Declared states of hosts (`apply` in the keep file): each is looked at by its playbook in check mode, on a schedule
//! and when its files change. What differs is told as findings; it is put right only where the keep file says so.
//!
//! A look is a run of this very program as a child: a playbook that needs much memory or hangs harms nobody else, and
//! it can be ended. A look that fails leaves what was found before: silence is not health.

mod files;
mod findings;
mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use wellkept_model::keep::{DesiredState, Keep, Mode, StateMode};
use wellkept_model::{Change, ChangeId, ChangeKind, Finding, TimestampMs};

use crate::clock::now;
use crate::commands::apply::Report;
use findings::Found;
use run::Run;

/// Time between two looks at the files of a playbook, and at the stop switch.
const POLL: Duration = Duration::from_secs(2);

/// All declared states. When it is dropped, no further look begins and those under way are ended.
#[derive(Debug)]
pub(crate) struct States {
    shared: Arc<Shared>,
    tasks: Mutex<BTreeMap<String, (Declared, AbortHandle)>>,
}

/// What a task is started with; another one is started when it differs.
#[derive(Debug, Clone, PartialEq)]
struct Declared {
    state: DesiredState,
    /// Automation may act at all.
    acts: bool,
    maintenance: Vec<PathBuf>,
}

#[derive(Debug)]
struct Shared {
    host: String,
    exe: PathBuf,
    data_dir: PathBuf,
    /// Where it says whose bundles are believed.
    keep_file: Option<PathBuf>,
    /// On until the engine says otherwise.
    frozen: AtomicBool,
    found: Mutex<BTreeMap<String, Found>>,
    changes: Mutex<Vec<Change>>,
}

impl States {
    /// Begins to look. Must be called within a runtime.
    pub(crate) fn start(
        keep: &Keep,
        keep_file: Option<&Path>,
        host: &str,
        data_dir: &Path,
    ) -> std::io::Result<Self> {
        let shared = Shared {
            host: host.to_owned(),
            exe: std::env::current_exe()?,
            data_dir: data_dir.to_owned(),
            keep_file: keep_file.map(Path::to_owned),
            frozen: AtomicBool::new(true),
            found: Mutex::default(),
            changes: Mutex::default(),
        };
        let states = Self { shared: Arc::new(shared), tasks: Mutex::default() };
        states.set_keep(keep);
        Ok(states)
    }

    /// Takes another keep file: what is no longer declared is forgotten, what is declared otherwise begins anew.
    pub(crate) fn set_keep(&self, keep: &Keep) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|name, (_, task)| {
            let stays = keep.apply.contains_key(name);
            if !stays {
                task.abort();
            }
            stays
        });
        locked(&self.shared.found).retain(|name, _| keep.apply.contains_key(name));
        for (name, state) in &keep.apply {
            let declared = Declared {
                state: state.clone(),
                acts: keep.automation.mode == Mode::Act,
                maintenance: keep.maintenance.clone(),
            };
            if tasks.get(name).is_some_and(|(old, _)| *old == declared) {
                continue;
            }
            let task = tokio::spawn(look_on(Arc::clone(&self.shared), declared.clone())).abort_handle();
            if let Some((_, old)) = tasks.insert(name.clone(), (declared, task)) {
                old.abort();
            }
        }
    }

    /// What the stop switch says.
    pub(crate) fn set_frozen(&self, frozen: bool) {
        self.shared.frozen.store(frozen, Ordering::SeqCst);
    }

    /// The findings that hold now.
    pub(crate) fn findings(&self, at: TimestampMs) -> Vec<Finding> {
        let found = locked(&self.shared.found);
        findings::all(&found, &self.shared.host, at)
    }

    /// What was put right since the last time, for the record of changes.
    pub(crate) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut *locked(&self.shared.changes))
    }
}

impl Drop for States {
    fn drop(&mut self) {
        for (_, task) in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).values() {
            task.abort();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at one state again and again.
async fn look_on(shared: Arc<Shared>, declared: Declared) {
    loop {
        let stamp = stamp(&declared.state).await;
        look(&shared, &declared).await;
        let mut waited = Duration::ZERO;
        while waited < declared.state.every {
            let rest = declared.state.every.saturating_sub(waited).min(POLL);
            tokio::time::sleep(rest).await;
            waited += rest;
            if declared.state.on_change && self::stamp(&declared.state).await != stamp {
                break;
            }
        }
    }
}

async fn stamp(state: &DesiredState) -> u64 {
    if !state.on_change {
        return 0;
    }
    let (playbook, inventory) = (state.playbook.clone(), state.inventory.clone());
    let stamp = tokio::task::spawn_blocking(move || files::stamp(&playbook, &inventory)).await;
    stamp.unwrap_or(0)
}

async fn look(shared: &Shared, declared: &Declared) {
    let state = &declared.state;
    let report = once(shared, declared, true).await;
    let differs = report.as_ref().is_ok_and(|report| report.hosts.values().any(|host| host.changed > 0));
    take(shared, &state.name, report);
    if !(differs && state.mode == StateMode::Enforce && declared.acts && may(shared, declared)) {
        return;
    }
    tracing::info!(state = %state.name, "hosts are put right");
    let done = once(shared, declared, false).await;
    if let Err(why) = &done {
        tracing::warn!(state = %state.name, %why, "hosts are not put right");
    }
    if let Ok(report) = done {
        locked(&shared.found).entry(state.name.clone()).or_default().take_doubt(now(), &report);
        let hosts: Vec<&str> =
            report.hosts.iter().filter(|(_, host)| host.changed > 0).map(|(name, _)| name.as_str()).collect();
        let at = now();
        let change = Change {
            id: ChangeId(format!("apply-{}-{at}", state.name)),
            at,
            who: "wellkept".to_owned(),
            kind: ChangeKind::Config,
            what: state.playbook.display().to_string(),
            before: String::new(),
            after: hosts.join(", ").chars().take(1000).collect(),
        };
        locked(&shared.changes).push(change);
    }
    take(shared, &state.name, once(shared, declared, true).await);
}

fn take(shared: &Shared, name: &str, report: Result<Report, String>) {
    if let Err(why) = &report {
        tracing::warn!(state = %name, %why, "whether hosts are as described cannot be seen");
    }
    locked(&shared.found).entry(name.to_owned()).or_default().take(now(), report);
}

/// Whether hosts may be changed now: not while the stop switch is on, and not in a maintenance window for the host or
/// for this state.
fn may(shared: &Shared, declared: &Declared) -> bool {
    let announced = wellkept_collect::open_windows(&declared.maintenance, now());
    let covers = |name: &String| name == "host" || *name == declared.state.name;
    let closed = announced.iter().any(|window| !window.drill && window.components.iter().any(covers));
    !shared.frozen.load(Ordering::SeqCst) && !closed
}

async fn once(shared: &Shared, declared: &Declared, check: bool) -> Result<Report, String> {
    // A look leaves no record of a run and no journal; what changes hosts does.
    let data_dir = if check { shared.data_dir.join("none") } else { shared.data_dir.clone() };
    let run = Run {
        exe: &shared.exe,
        state: &declared.state,
        data_dir: &data_dir,
        keep_file: shared.keep_file.as_deref(),
        check,
    };
    let stop = async {
        while check || may(shared, declared) {
            tokio::time::sleep(POLL).await;
        }
    };
    run.to_end(stop).await
}
