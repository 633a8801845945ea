//! What brings lines: files, the journal, syslog. Begun, begun anew when the keep file changed, ended.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wellkept_logintake::Limits;
use wellkept_logs::Logs;
use wellkept_model::keep::{Keep, Logs as LogsKept, Syslog as SyslogKept};
use wellkept_tail::files::{Files, FilesCounts, FilesOptions, Waker};
use wellkept_tail::journal::{self, JournalConfig, JournalCounts};
use wellkept_tail::listen::{Syslog, SyslogConfig, server_config};
use wellkept_tail::{Note, Outlet};

use super::outlet::HouseOutlet;
use super::settings::{Plan, mapping, plan, rate_of, zone};
use crate::clock::now_ns;
use crate::exit::{ADDRESS, Failure, USAGE};

/// Turns of files between two looks at what they dropped.
const COUNT_EVERY_NS: i64 = 2_000_000_000;

/// The sockets of syslog, taken before anything listens to them.
#[derive(Default)]
pub(crate) struct Sockets {
    udp: Option<UdpSocket>,
    tcp: Option<TcpListener>,
    tls: Option<(TcpListener, watch::Receiver<Arc<wellkept_tail::listen::ServerConfig>>)>,
}

impl Sockets {
    /// Takes the addresses that the keep file says.
    ///
    /// # Errors
    /// When an address cannot be listened on, or a certificate cannot be used, with an exit code of its own.
    pub(crate) async fn bind(kept: &SyslogKept) -> anyhow::Result<Self> {
        let told = |key: &str, address, e: std::io::Error| {
            Failure::new(ADDRESS, format!("logs.syslog.{key}: {address} cannot be listened on: {e}"))
        };
        let mut sockets = Self::default();
        if let Some(address) = kept.udp {
            sockets.udp = Some(UdpSocket::bind(address).await.map_err(|e| told("udp", address, e))?);
        }
        if let Some(address) = kept.tcp {
            sockets.tcp = Some(TcpListener::bind(address).await.map_err(|e| told("tcp", address, e))?);
        }
        if let Some(tls) = &kept.tls {
            let read = |path: &Path| {
                std::fs::read(path).map_err(|e| {
                    Failure::new(USAGE, format!("logs.syslog.tls: {} cannot be read: {e}", path.display()))
                })
            };
            let clients = tls.clients_ca.as_deref().map(read).transpose()?;
            let config = server_config(&read(&tls.certificate)?, &read(&tls.key)?, clients.as_deref())
                .map_err(|e| Failure::new(USAGE, format!("logs.syslog.tls: {e}")))?;
            let listener = TcpListener::bind(tls.listen).await.map_err(|e| told("tls", tls.listen, e))?;
            // The sender may go: the value stays.
            sockets.tls = Some((listener, watch::channel(config).1));
        }
        Ok(sockets)
    }
}

/// What runs.
pub(crate) struct Sources {
    logs: Arc<Logs>,
    host: String,
    data_dir: PathBuf,
    /// Whether what hosts usually have is followed.
    usual: bool,
    running: tokio::sync::Mutex<Running>,
    seen: Arc<Mutex<FilesCounts>>,
    journal: Arc<JournalCounts>,
}

struct Running {
    kept: LogsKept,
    plan: Option<Plan>,
    ended: Arc<AtomicBool>,
    files: Option<(JoinHandle<()>, Waker)>,
    tasks: JoinSet<()>,
}

/// A change that was checked.
pub(crate) struct Prepared(Plan);

impl Sources {
    /// Begins.
    ///
    /// # Errors
    /// What the keep file says and cannot be done.
    pub(crate) async fn start(
        logs: &Arc<Logs>,
        keep: &Keep,
        sockets: Sockets,
        (data_dir, host): (&Path, &str),
        usual: bool,
    ) -> anyhow::Result<Arc<Self>> {
        let sources = Self {
            logs: Arc::clone(logs),
            host: host.to_owned(),
            data_dir: std::path::absolute(data_dir)?,
            usual,
            running: tokio::sync::Mutex::new(Running::none()),
            seen: Arc::default(),
            journal: Arc::default(),
        };
        let prepared = sources.prepare(keep)?;
        sources.begin(&mut *sources.running.lock().await, keep, prepared, sockets)?;
        Ok(Arc::new(sources))
    }

    /// Checks what a keep file says; nothing changes yet.
    ///
    /// # Errors
    /// A rule or a pattern that cannot be used.
    pub(crate) fn prepare(&self, keep: &Keep) -> anyhow::Result<Prepared> {
        plan(keep, &self.data_dir, self.usual).map(Prepared)
    }

    /// From now on it is as the keep file says; how long lines are kept takes effect at the next start.
    pub(crate) async fn apply(&self, keep: &Keep, prepared: Prepared) {
        let mut running = self.running.lock().await;
        if running.kept == keep.logs && running.plan.as_ref() == Some(&prepared.0) {
            return;
        }
        running.end().await;
        let begun = match Sockets::bind(&keep.logs.syslog).await {
            Ok(sockets) => self.begin(&mut running, keep, prepared, sockets),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "syslog cannot be listened to");
                self.begin(&mut running, keep, prepared, Sockets::default())
            }
        };
        if let Err(error) = begun {
            tracing::error!(error = format!("{error:#}"), "logs cannot be followed");
        }
    }

    fn begin(
        &self,
        running: &mut Running,
        keep: &Keep,
        Prepared(plan): Prepared,
        sockets: Sockets,
    ) -> anyhow::Result<()> {
        let ended = Arc::new(AtomicBool::new(false));
        let outlet: Arc<dyn Outlet> =
            Arc::new(HouseOutlet { logs: Arc::clone(&self.logs), ended: Arc::clone(&ended) });
        let notes: Vec<Note> = self
            .logs
            .store()
            .notes("")
            .into_iter()
            .map(|(key, value)| Note { key, value: String::from_utf8(value).ok() })
            .collect();
        let (zone, mapping) = (zone(), mapping(keep)?);
        let mut tasks = JoinSet::new();
        if plan.journal {
            let config = JournalConfig::default();
            let clock: wellkept_tail::Clock = Arc::new(now_ns);
            let (outlet, notes, counts) = (Arc::clone(&outlet), notes.clone(), Arc::clone(&self.journal));
            tasks.spawn(async move { journal::follow(config, &notes, outlet, clock, counts).await });
        }
        let config = SyslogConfig {
            rate: rate_of(keep).or(SyslogConfig::default().rate),
            zone: Arc::clone(&zone),
            mapping: Arc::clone(&mapping),
            ..SyslogConfig::default()
        };
        hear(sockets, config, &outlet, &self.logs, &mut tasks);
        let options = FilesOptions {
            host: self.host.clone(),
            limits: Limits::default(),
            zone,
            mapping,
            ..FilesOptions::default()
        };
        let files = Files::new(&plan.files, options, &notes)?;
        let waker = files.waker();
        let (seen, logs, stop) = (Arc::clone(&self.seen), Arc::clone(&self.logs), Arc::clone(&ended));
        let thread = std::thread::Builder::new()
            .name("tail".to_owned())
            .spawn(move || follow(files, outlet.as_ref(), &stop, &seen, &logs))?;
        let (kept, files) = (keep.logs.clone(), Some((thread, waker)));
        *running = Running { kept, plan: Some(plan), ended, files, tasks };
        Ok(())
    }

    /// What the tails of files counted.
    pub(crate) fn files(&self) -> FilesCounts {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came from the journal.
    pub(crate) fn journal_lines(&self) -> u64 {
        self.journal.entries.load(Ordering::Relaxed)
    }

    /// Ends all of it; what was read and is not on disk is read again after the next start.
    pub(crate) async fn shutdown(&self) {
        self.running.lock().await.end().await;
    }
}

impl Running {
    fn none() -> Self {
        Self {
            kept: LogsKept::default(),
            plan: None,
            ended: Arc::default(),
            files: None,
            tasks: JoinSet::new(),
        }
    }

    async fn end(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.tasks.shutdown().await;
        if let Some((thread, waker)) = self.files.take() {
            waker.wake();
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the tail of files ended early");
            }
        }
    }
}

/// Listens to syslog until the tasks are ended.
fn hear(
    sockets: Sockets,
    config: SyslogConfig,
    outlet: &Arc<dyn Outlet>,
    logs: &Arc<Logs>,
    tasks: &mut JoinSet<()>,
) {
    let Sockets { udp, tcp, tls } = sockets;
    if udp.is_none() && tcp.is_none() && tls.is_none() {
        return;
    }
    let syslog = Arc::new(Syslog::new(config, Arc::clone(outlet), Arc::new(now_ns)));
    if let Some(socket) = udp {
        let syslog = Arc::clone(&syslog);
        tasks.spawn(async move {
            if let Err(error) = syslog.udp(socket).await {
                tracing::error!(%error, "syslog cannot be heard over UDP any more");
            }
        });
    }
    if let Some(listener) = tcp {
        let syslog = Arc::clone(&syslog);
        tasks.spawn(async move { syslog.tcp(listener).await });
    }
    if let Some((listener, config)) = tls {
        let syslog = Arc::clone(&syslog);
        tasks.spawn(async move { syslog.tls(listener, config).await });
    }
    let logs = Arc::clone(logs);
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(std::time::Duration::from_secs(2));
        loop {
            ticks.tick().await;
            for (source, lines) in syslog.take_dropped() {
                logs.note_dropped(&source.map_or_else(|| "syslog".to_owned(), |s| s.to_string()), lines);
            }
        }
    });
}

/// Follows files until the end.
fn follow(mut files: Files, outlet: &dyn Outlet, stop: &AtomicBool, seen: &Mutex<FilesCounts>, logs: &Logs) {
    let mut counted_ns = 0;
    files.run(outlet, &now_ns, stop, |files, at| {
        if at.saturating_sub(counted_ns).saturating_abs() >= COUNT_EVERY_NS {
            counted_ns = at;
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = files.counts();
            for (file, lines) in files.take_dropped() {
                logs.note_dropped(file.as_deref().unwrap_or("files"), lines);
            }
        }
    });
}
