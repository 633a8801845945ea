//! Agents of other hosts, wired: where they are listened to, where what they bring goes, what of it is a finding.

mod findings;
mod house;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wellkept_agent::server::{HeardView, Server};
use wellkept_catalogue::Language;
use wellkept_doors::Doors;
use wellkept_logs::Logs;
use wellkept_model::keep::Agents;
use wellkept_model::{Finding, Text, TimestampMs};
use wellkept_state::StateDb;

use crate::clock::now;
use crate::exit::{ADDRESS, DATA_DIR, Failure};
use crate::metrics::Page;
use crate::say;
use house::AgentHouse;

/// How long an agent may say nothing when the keep file does not say it.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(60);
/// Longest wait for what is in hand at the end.
const END_MAX: Duration = Duration::from_secs(5);

/// The socket, taken before anything begins; none when the keep file names none.
pub(crate) struct Socket(Option<TcpListener>);

impl Socket {
    /// Takes the address that the keep file says.
    ///
    /// # Errors
    /// When it cannot be listened on, with an exit code of its own.
    pub(crate) async fn bind(agents: &Agents) -> anyhow::Result<Self> {
        let Some(address) = agents.listen else { return Ok(Self(None)) };
        let told = |e| Failure::new(ADDRESS, format!("agents.listen: {address} cannot be listened on: {e}"));
        Ok(Self(Some(TcpListener::bind(address).await.map_err(told)?)))
    }

    /// Tells where it listens, if it does.
    pub(crate) fn greet(&self, language: Language) {
        if let Some(address) = self.0.as_ref().and_then(|listener| listener.local_addr().ok()) {
            say::line(&say::text(language, &Text::new("agent.listens").with("address", address)));
        }
    }
}

/// What runs.
pub(crate) struct AgentsRunning {
    server: Arc<Server>,
    silent_after: Duration,
    end: watch::Sender<bool>,
    task: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl AgentsRunning {
    /// Listens; nothing without a socket.
    ///
    /// # Errors
    /// When what is known of agents cannot be read.
    pub(crate) fn start(
        socket: Socket,
        agents: &Agents,
        data_dir: &Path,
        doors: &Arc<Doors>,
        logs: &Arc<Logs>,
        state: &StateDb,
    ) -> anyhow::Result<Option<Arc<Self>>> {
        let Some(listener) = socket.0 else { return Ok(None) };
        let house = Arc::new(AgentHouse::new(Arc::clone(doors), Arc::clone(logs), state.clone()));
        let server = Server::open(data_dir, house, || now().0).map_err(|e| Failure::of(DATA_DIR, &e))?;
        let (end, ended) = watch::channel(false);
        let task = tokio::spawn(Arc::clone(&server).serve(listener, ended));
        let silent_after = agents.silent_after.unwrap_or(SILENT_AFTER);
        Ok(Some(Arc::new(Self { server, silent_after, end, task: Some(task).into() })))
    }

    /// What holds now: agents that say nothing, and what the others told.
    pub(crate) fn findings(&self, at: TimestampMs) -> Vec<Finding> {
        findings::findings(&self.server, self.silent_after, at)
    }
}

/// What is known of agents, on `/metrics`; nothing where none are listened to.
pub(crate) fn page(agents: Option<&AgentsRunning>) -> String {
    let Some(agents) = agents else { return String::new() };
    let (now, heard) = (now().0, agents.server.heard());
    let limit = i64::try_from(agents.silent_after.as_millis()).unwrap_or(i64::MAX);
    let silent = heard.iter().filter(|h| now.saturating_sub(h.heard_ms) > limit).count();
    let mut page = Page::default();
    let states = [("heard", (heard.len() - silent) as u64), ("silent", silent as u64)];
    page.each(
        ("wellkept_agents", "gauge", "Agents that have joined, by state."),
        "state",
        states.into_iter(),
    );
    let of = |value: fn(&HeardView) -> u64| heard.iter().map(move |h| (h.name.as_str(), value(h)));
    let about = ("wellkept_agents_waiting_records", "gauge", "Records that wait at the agent.");
    page.each(about, "agent", of(|h| h.waiting));
    let about = ("wellkept_agents_dropped_total", "counter", "Records that the agent had to drop.");
    page.each(about, "agent", of(|h| h.dropped));
    let about = ("wellkept_agents_refused_total", "counter", "Records that were wrong in themselves.");
    page.each(about, "agent", of(|h| h.refused));
    page.0
}

/// Ends it, where it runs.
pub(crate) async fn shutdown(agents: Option<Arc<AgentsRunning>>) {
    let Some(agents) = agents else { return };
    // Nobody listening is as good.
    let _ = agents.end.send(true);
    let task = agents.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    if let Some(task) = task {
        // What an agent sent and was not told of, it sends again.
        let _ = tokio::time::timeout(END_MAX, task).await;
    }
}
