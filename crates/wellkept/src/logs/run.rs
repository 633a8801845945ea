//! Everything about logs that runs beside the engine: opened, begun, ended.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use wellkept_logs::Logs;
use wellkept_model::keep::Keep;
use wellkept_model::{Incident, Labels};
use wellkept_tsdb::{OsDisk, Store};

use super::{FOLDER, LogHouse, Sockets, Sources, Stories, Upkeep, config};
use crate::clock::now_ns;
use crate::exit::{DATA_DIR, Failure};

/// What was checked and taken before anything begins.
pub(crate) struct Taken {
    config: wellkept_logs::LogsConfig,
    sockets: Sockets,
}

impl Taken {
    /// Checks what the keep file says of logs, and takes its addresses.
    ///
    /// # Errors
    /// What cannot be used, with an exit code of its own.
    pub(crate) async fn of(keep: &Keep) -> anyhow::Result<Self> {
        Ok(Self { config: config(keep)?, sockets: Sockets::bind(&keep.logs.syslog).await? })
    }
}

/// The opened house.
pub(crate) struct Opened {
    logs: Arc<Logs>,
    sockets: Sockets,
    kept: (u64, u64),
}

impl Opened {
    /// Opens the store of lines.
    ///
    /// # Errors
    /// When it cannot be opened, with an exit code of its own.
    pub(crate) fn open(taken: Taken, data_dir: &Path) -> anyhow::Result<Self> {
        let Taken { config, sockets } = taken;
        let kept = (config.store.retention.as_secs(), config.store.bytes_max);
        let disk = Arc::new(OsDisk::new(data_dir.join(FOLDER)));
        let logs = Logs::open(disk, config, now_ns()).map_err(|e| Failure::of(DATA_DIR, &e))?;
        Ok(Self { logs: Arc::new(logs), sockets, kept })
    }
}

/// What runs.
pub(crate) struct LogsRunning {
    pub(crate) logs: Arc<Logs>,
    pub(crate) sources: Arc<Sources>,
    stories: Arc<Stories>,
    kept: (u64, u64),
    upkeep: Upkeep,
}

/// What it needs of the rest.
pub(crate) struct Around<'a> {
    pub(crate) keep: &'a Keep,
    pub(crate) data_dir: &'a Path,
    pub(crate) host: &'a str,
    /// Whether what hosts usually have is followed.
    pub(crate) usual: bool,
    pub(crate) store: &'a Arc<Store>,
    pub(crate) identity: &'a Labels,
    pub(crate) incidents: watch::Receiver<Arc<Vec<Incident>>>,
}

impl LogsRunning {
    /// Begins.
    ///
    /// # Errors
    /// What the keep file says and cannot be done; a thread that cannot be started.
    pub(crate) async fn start(opened: Opened, around: Around<'_>) -> anyhow::Result<Self> {
        let Opened { logs, sockets, kept } = opened;
        let place = (around.data_dir, around.host);
        let sources = Sources::start(&logs, around.keep, sockets, place, around.usual).await?;
        let stories = Arc::new(Stories::open(&logs, around.data_dir)?);
        let upkeep = Upkeep::start(&logs, around.store, around.identity, &stories, around.incidents)?;
        Ok(Self { logs, sources, stories, kept, upkeep })
    }

    /// The house as the API wants it.
    pub(crate) fn house(&self) -> LogHouse {
        LogHouse {
            logs: Arc::clone(&self.logs),
            sources: Arc::clone(&self.sources),
            stories: Arc::clone(&self.stories),
            kept: self.kept,
        }
    }

    /// Ends all of it; what is in hand is on disk when it returns.
    pub(crate) async fn shutdown(self) {
        self.sources.shutdown().await;
        self.upkeep.end().await;
    }
}
