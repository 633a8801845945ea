//! Starts what brings series from elsewhere, as the keep file says, and ends it.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use wellkept_doors::Doors;
use wellkept_model::SeriesSource;
use wellkept_model::keep::Keep;
use wellkept_rules::{RuleFile, Settings};
use wellkept_scrape::config::{self, Config};
use wellkept_tsdb::Store;

use super::up::{Options, host_name};
use super::variable;
use crate::clock::now;
use crate::exit::{Failure, USAGE};
use crate::metrics::{Host, Listeners, Ruler, Scraping, Views, read_files, shown};

/// What runs beside the engine.
pub(super) struct Intake {
    pub(super) ruler: Arc<Ruler>,
    scraping: Arc<Scraping>,
    listeners: Listeners,
    rules: Option<JoinHandle<()>>,
}

/// The files that the keep file names, read and without mistakes.
pub(super) struct Files {
    config: Config,
    text: String,
    rules: Vec<RuleFile>,
}

impl Files {
    /// Reads them; done before anything is begun or announced.
    ///
    /// # Errors
    /// Every mistake of the first file that has any, with exit code 2.
    pub(super) fn read(keep: &Keep) -> anyhow::Result<Self> {
        let (config, text) = configuration(keep)?;
        let patterns = [keep.metrics.rules.as_slice(), &config.rule_files].concat();
        let rules = read_files(&patterns).map_err(|e| Failure::new(USAGE, e.to_string()))?;
        Ok(Self { config, text, rules })
    }
}

impl Intake {
    pub(super) async fn start(
        keep: &Keep,
        files: Files,
        data_dir: &Path,
        doors: &Arc<Doors>,
        store: &Arc<Store>,
        source: &Arc<dyn SeriesSource>,
    ) -> anyhow::Result<Self> {
        let Files { config, text, rules } = files;
        let settings = Settings {
            interval: config.global.evaluation_interval,
            external_labels: config.global.external_labels.clone(),
            ..Settings::default()
        };
        let ruler = Ruler::new(settings, rules);
        let listeners = Listeners::start(&keep.metrics, doors).await?;
        let rules = ruler.start(Arc::clone(source), Arc::clone(store), host(keep))?;
        let scraping = Scraping::start(Arc::clone(doors), data_dir, config, shown(&text)).await;
        Ok(Self { ruler, scraping, listeners, rules })
    }

    /// What the API shows of it.
    pub(super) fn views(
        &self,
        doors: &Arc<Doors>,
        store: &Arc<Store>,
        options: &Options,
        keep: &Keep,
    ) -> Views {
        let retention = keep.metrics.retention;
        Views {
            doors: Arc::clone(doors),
            store: Arc::clone(store),
            scraping: Arc::clone(&self.scraping),
            ruler: Arc::clone(&self.ruler),
            started_at: now(),
            flags: vec![
                ("data-dir", options.data_dir.display().to_string()),
                ("listen", options.listen.to_string()),
                ("no-collect", options.no_collect.to_string()),
                ("keep", options.keep.as_ref().map(|k| k.display().to_string()).unwrap_or_default()),
            ],
            retention: format!("{}d", retention.raw.as_secs() / 86_400),
        }
    }

    /// Ends all of it; what is in hand is stored.
    pub(super) async fn shutdown(mut self) {
        self.ruler.stop();
        self.scraping.shutdown().await;
        self.listeners.shutdown().await;
        if let Some(thread) = self.rules.take() {
            thread.thread().unpark();
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the evaluation of rules ended early");
            }
        }
    }
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

fn host(keep: &Keep) -> Host {
    Host {
        name: host_name(),
        services: keep.services.keys().cloned().collect(),
        filesystems: keep.filesystems.keys().cloned().collect(),
    }
}
