//! What brings series from elsewhere, as the keep file says: started, changed while it runs, ended.
//!
//! A change is prepared first: everything that it names is read and checked, so that a mistake leaves all as it was.

use std::path::Path;
use std::sync::Arc;

use wellkept_doors::Doors;
use wellkept_model::keep::{Keep, Metrics};
use wellkept_model::{Finding, Labels, SeriesSource};
use wellkept_rules::{RuleFile, Settings};
use wellkept_scrape::config::{self, Config};
use wellkept_scrape::sender::Senders;
use wellkept_tsdb::Store;

use super::{Forward, Host, Listeners, Ruler, Scraping, Sockets, Swap, read_files, shown};
use crate::commands::variable;
use crate::elsewhere;
use crate::exit::{Failure, USAGE};

/// What runs beside the engine.
pub(crate) struct Intake {
    ruler: Arc<Ruler>,
    scraping: Arc<Scraping>,
    listeners: tokio::sync::Mutex<(Metrics, Listeners)>,
    doors: Arc<Doors>,
    store: Arc<Store>,
    source: Arc<Swap>,
    identity: Labels,
    host: String,
}

/// The files that a keep file names, read and without mistakes.
pub(crate) struct Files {
    config: Config,
    text: String,
    rules: Vec<RuleFile>,
}

impl Files {
    /// Reads them. At the start this is done before anything is begun or announced.
    ///
    /// # Errors
    /// Every mistake of the first file that has any, with exit code 2.
    pub(crate) fn read(keep: &Keep) -> anyhow::Result<Self> {
        let (config, text) = configuration(keep)?;
        let patterns = [keep.metrics.rules.as_slice(), &config.rule_files].concat();
        let rules = read_files(&patterns).map_err(|e| Failure::new(USAGE, e.to_string()))?;
        Ok(Self { config, text, rules })
    }
}

/// A change that was read and checked.
pub(crate) struct Prepared {
    files: Files,
    source: Arc<dyn SeriesSource>,
}

/// What [`Intake::start`] needs of the rest.
pub(crate) struct Base<'a> {
    pub(crate) keep: &'a Keep,
    pub(crate) files: Files,
    pub(crate) sockets: Sockets,
    pub(crate) data_dir: &'a Path,
    pub(crate) doors: &'a Arc<Doors>,
    pub(crate) store: &'a Arc<Store>,
    pub(crate) identity: Labels,
    pub(crate) host: String,
}

impl Intake {
    /// Starts what the keep file names.
    ///
    /// # Errors
    /// A secret of the user's server that cannot be read.
    pub(crate) async fn start(base: Base<'_>) -> anyhow::Result<Arc<Self>> {
        let Base { keep, files, sockets, data_dir, doors, store, identity, host } = base;
        let prepared = prepare(keep, files, store, &identity)?;
        let source = Arc::new(Swap::new(Arc::clone(&prepared.source)));
        let listeners = Listeners::start(sockets, doors);
        let scraping = Scraping::new(Arc::clone(doors), data_dir);
        doors.set_tap(Arc::new(Forward(Arc::clone(scraping.senders()))));
        let ruler = Ruler::new(Arc::clone(store), Arc::clone(&source) as _, Arc::clone(scraping.senders()));
        let intake = Self {
            ruler,
            scraping,
            listeners: tokio::sync::Mutex::new((keep.metrics.clone(), listeners)),
            doors: Arc::clone(doors),
            store: Arc::clone(store),
            source,
            identity,
            host,
        };
        intake.apply(keep, prepared).await;
        Ok(Arc::new(intake))
    }

    /// Reads and checks what a keep file names; nothing changes yet.
    ///
    /// # Errors
    /// As [`Files::read`], and a secret of the user's server that cannot be read.
    pub(crate) fn prepare(&self, keep: &Keep) -> anyhow::Result<Prepared> {
        prepare(keep, Files::read(keep)?, &self.store, &self.identity)
    }

    /// From now on it is as the keep file says. What concerns the store itself (`retention`, `out_of_order`) takes effect
    /// at the next start.
    pub(crate) async fn apply(&self, keep: &Keep, prepared: Prepared) {
        let Prepared { files: Files { config, text, rules }, source } = prepared;
        self.source.set(source);
        let settings = Settings {
            interval: config.global.evaluation_interval,
            external_labels: config.global.external_labels.clone(),
            ..Settings::default()
        };
        self.ruler.load(settings, rules, self.known(keep));
        self.scraping.apply(&config, shown(&text)).await;
        let mut listeners = self.listeners.lock().await;
        if (listeners.0.graphite, listeners.0.statsd) != (keep.metrics.graphite, keep.metrics.statsd) {
            listeners.1.end().await;
            match Sockets::bind(&keep.metrics).await {
                Ok(sockets) => listeners.1 = Listeners::start(sockets, &self.doors),
                Err(error) => tracing::error!(error = format!("{error:#}"), "a socket cannot be listened on"),
            }
        }
        listeners.0 = keep.metrics.clone();
    }

    fn known(&self, keep: &Keep) -> Host {
        Host {
            name: self.host.clone(),
            services: keep.services.keys().cloned().collect(),
            filesystems: keep.filesystems.keys().cloned().collect(),
        }
    }

    /// Our own store, joined with the user's server where there is one.
    pub(crate) fn source(&self) -> Arc<dyn SeriesSource> {
        Arc::clone(&self.source) as _
    }

    pub(crate) fn scraping(&self) -> &Arc<Scraping> {
        &self.scraping
    }

    pub(crate) fn ruler(&self) -> &Arc<Ruler> {
        &self.ruler
    }

    pub(crate) fn senders(&self) -> &Arc<Senders> {
        self.scraping.senders()
    }

    /// What fires now.
    pub(crate) fn firing(&self) -> Vec<Finding> {
        self.ruler.firing()
    }

    /// Ends all of it; what is in hand is stored.
    pub(crate) async fn shutdown(&self) {
        self.ruler.stop();
        self.scraping.shutdown().await;
        self.listeners.lock().await.1.end().await;
        if let Some(thread) = self.ruler.take_thread() {
            thread.thread().unpark();
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the evaluation of rules ended early");
            }
        }
    }
}

fn prepare(keep: &Keep, files: Files, store: &Arc<Store>, identity: &Labels) -> anyhow::Result<Prepared> {
    let own = Arc::clone(store) as Arc<dyn SeriesSource>;
    let source = elsewhere::source(own, identity.clone(), keep.source.as_ref())?;
    Ok(Prepared { files, source })
}

/// The Prometheus configuration that the keep file names, with its text.
fn configuration(keep: &Keep) -> anyhow::Result<(Config, String)> {
    let Some(path) = &keep.metrics.scrape else { return Ok((Config::default(), String::new())) };
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::new(USAGE, format!("{} cannot be read: {e}", path.display())))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let config = config::parse(&path.display().to_string(), &text, folder, &variable)
        .map_err(|e| Failure::new(USAGE, e.to_string()))?;
    for note in &config.notes {
        tracing::warn!("{}", note.line(wellkept_catalogue::Language::En));
    }
    Ok((config, text))
}
