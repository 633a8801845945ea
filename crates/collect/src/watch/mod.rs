//! Slower looks at what is declared about names, networks, databases, credentials, backups and outside services.
//!
//! Each look is a task of its own with a pace and a time limit, so that one that hangs holds up nothing. While all is
//! well they are rare; [`Watches::look_closely`] has them look again soon, at most every [`CLOSE`], because then a
//! cheap sign (a failing check, segments that are sent again) says that it is worth the effort.

mod backup;
mod baseline;
mod certificate;
mod cache;
mod clock;
mod config;
mod credential;
mod database;
mod database_care;
mod database_work;
mod data;
mod dependency;
mod job;
mod login_lines;
mod logins;
mod explain;
mod keys;
mod mysql;
mod names;
pub(crate) mod netlink;
mod network;
mod nft;
mod privileges;
mod program;
mod proxy;
mod proxy_status;
mod roads;
mod scan;
mod sql;
mod statement_text;
#[cfg(test)]
mod testing;
mod versions;
mod x509;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::beat;
use tokio::sync::watch::{Receiver, Sender};
use tokio::task::AbortHandle;
use wellkept_model::keep::Keep;
use wellkept_model::observe::{NetworkSeen, ServiceSeen, Watched};

use crate::health::HttpHead;
use crate::series::Series;

/// Shortest time between two looks of one kind.
const CLOSE: Duration = Duration::from_millis(1000);

/// How much longer than a dear look the time until the next one is.
const REST: u32 = 500;

/// All looks. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Watches {
    shared: Shared,
    tasks: Vec<AbortHandle>,
    keep: Arc<Keep>,
}

/// What the tasks share.
#[derive(Debug, Clone)]
struct Shared {
    seen: Arc<Mutex<Watched>>,
    /// Main process of each service: its network namespace can be read there.
    pids: Arc<Mutex<BTreeMap<String, u32>>>,
    closely: Arc<Sender<u64>>,
    http: HttpHead,
    /// Folder of ours for what must be known after a restart.
    memory: Option<Arc<Path>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pid_of(&self, services: &[String]) -> Option<u32> {
        let pids = self.pids.lock().unwrap_or_else(PoisonError::into_inner);
        services.iter().find_map(|s| pids.get(s).copied())
    }

    /// Two looks tell about one network, each its part.
    fn with_network(&self, name: &str, change: impl FnOnce(&mut NetworkSeen)) {
        change(self.lock().networks.entry(name.to_owned()).or_default());
    }

    fn look_closely(&self) {
        self.closely.send_modify(|n| *n = n.wrapping_add(1));
    }
}

impl Watches {
    /// Begins the looks of `keep`; must be called inside a tokio runtime.
    pub(crate) fn new(keep: &Arc<Keep>, memory: Option<&Path>) -> Self {
        let shared = Shared {
            seen: Arc::default(),
            pids: Arc::default(),
            closely: Arc::new(Sender::new(0)),
            http: HttpHead::default(),
            memory: memory.map(Arc::from),
        };
        let mut watches = Self { shared, tasks: Vec::new(), keep: Arc::clone(keep) };
        watches.begin();
        watches
    }

    /// Goes on with another keep file; what was known is looked at anew when its declaration changed.
    pub(crate) fn set_keep(&mut self, keep: &Arc<Keep>) {
        if declares_same(&self.keep, keep) {
            return;
        }
        self.end();
        *self.shared.lock() = Watched::default();
        self.keep = Arc::clone(keep);
        self.begin();
    }

    /// The latest results.
    pub(crate) fn seen(&self, services: &BTreeMap<String, ServiceSeen>) -> Watched {
        let pids = services.iter().filter_map(|(n, s)| Some((n.clone(), s.processes.first()?.pid)));
        *self.shared.pids.lock().unwrap_or_else(PoisonError::into_inner) = pids.collect();
        self.shared.lock().clone()
    }

    /// What some of them tell as numbers.
    pub(crate) fn emit(watched: &Watched, out: &mut Series) {
        for (service, seen) in &watched.proxies {
            seen.connections.iter().for_each(|told| proxy_status::emit(service, told, out));
        }
        for (service, seen) in &watched.databases {
            database_work::emit(service, &seen.work, out);
        }
    }

    /// Something is wrong: every look that is not fresh is made soon.
    pub(crate) fn look_closely(&self) {
        self.shared.look_closely();
    }

    fn begin(&mut self) {
        let (s, keep) = (&self.shared, &self.keep);
        let mut tasks = Vec::new();
        let mut start = |task: tokio::task::JoinHandle<()>| tasks.push(task.abort_handle());
        for service in keep.services.values() {
            if let Some(resolves) = &service.resolves {
                start(tokio::spawn(names::watch(s.clone(), service.name.clone(), resolves.clone())));
            }
            if let Some(clock) = &service.clock {
                start(tokio::spawn(clock::watch(s.clone(), service.name.clone(), clock.clone())));
            }
            if let Some(test) = &service.config_test {
                start(tokio::spawn(config::watch(s.clone(), service.clone(), test.clone())));
            }
        }
        let watched = &keep.watched;
        for backup in watched.backups.values() {
            start(tokio::spawn(backup::watch(s.clone(), backup.clone())));
        }
        for certificate in watched.certificates.values() {
            start(tokio::spawn(certificate::watch(s.clone(), certificate.clone())));
        }
        for cache in watched.caches.values() {
            start(tokio::spawn(cache::watch(s.clone(), cache.clone())));
        }
        for credential in watched.credentials.values() {
            start(tokio::spawn(credential::watch(s.clone(), credential.clone())));
        }
        for data in watched.data.values() {
            start(tokio::spawn(data::watch(s.clone(), data.clone())));
        }
        for key in watched.keys.values() {
            start(tokio::spawn(keys::watch(s.clone(), key.clone())));
        }
        for proxy in watched.proxies.values() {
            start(tokio::spawn(proxy::watch(s.clone(), proxy.clone())));
        }
        for versions in watched.versions.values() {
            start(tokio::spawn(versions::watch(s.clone(), versions.clone())));
        }
        for database in watched.databases.values() {
            start(tokio::spawn(database::watch(s.clone(), database.clone())));
        }
        for dependency in watched.dependencies.values() {
            start(tokio::spawn(dependency::watch(s.clone(), dependency.clone())));
        }
        if let Some(logins) = &keep.security.logins {
            start(tokio::spawn(logins::watch(s.clone(), logins.clone())));
        }
        if let Some(scan) = &keep.security.scan {
            start(tokio::spawn(scan::watch(s.clone(), scan.clone())));
        }
        if let Some(privileges) = &keep.security.privileges {
            start(tokio::spawn(privileges::watch(s.clone(), privileges.clone())));
        }
        for job in watched.jobs.values() {
            start(tokio::spawn(job::watch(s.clone(), job.clone())));
        }
        for network in watched.networks.values() {
            start(tokio::spawn(network::watch(s.clone(), network.clone())));
            start(tokio::spawn(roads::watch(s.clone(), network.clone())));
            if let Some(rules) = &network.rules {
                start(tokio::spawn(nft::watch(s.clone(), network.clone(), rules.clone())));
            }
        }
        self.tasks = tasks;
    }

    fn end(&mut self) {
        self.tasks.drain(..).for_each(|t| t.abort());
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.end();
    }
}

fn declares_same(a: &Keep, b: &Keep) -> bool {
    let of = |keep: &Keep| -> Vec<_> {
        let services = keep.services.values().map(|s| {
            let files: Vec<_> = s.files.iter().map(|f| f.path.clone()).collect();
            (s.name.clone(), s.resolves.clone(), s.clock.clone(), s.config_test.clone(), files)
        });
        services.collect()
    };
    a.watched == b.watched && a.security == b.security && of(a) == of(b)
}

/// Waits after a look that cost so much processor time: at most 0.2 % of a core goes into it, whoever asks to look closely.
async fn rest(every: Duration, cost: Duration, closely: &mut Receiver<u64>) {
    tokio::time::sleep(cost * REST).await;
    pause(every.saturating_sub(cost * REST), closely).await;
}

/// Waits for the next look: about `every` after the last one, or sooner when asked to look closely. True when asked.
async fn pause(every: Duration, closely: &mut Receiver<u64>) -> bool {
    let (began, wait) = (crate::clock::monotonic(), beat::pause(every));
    let asked = match tokio::time::timeout(wait, closely.changed()).await {
        Err(_) => false,
        Ok(changed) => {
            // Asked again and again, it still looks no more often than this; nobody left to ask is no reason to hurry.
            let least = if changed.is_ok() { CLOSE.min(wait) } else { wait };
            tokio::time::sleep_until((began + least).into()).await;
            changed.is_ok()
        }
    };
    closely.mark_unchanged();
    asked
}
