//! Evaluates rule files: a thread that asks which groups are due, stores what they record, and tells what fires.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use wellkept_api::RuleFilter;
use wellkept_model::{Batch, Finding, SeriesSource, TimestampMs};
use wellkept_promql::Limits;
use wellkept_rules::finding::{Known, findings};
use wellkept_rules::view::{self, RuleType, RulesFilter};
use wellkept_rules::{Reader, RuleFile, Ruleset, Settings};
use wellkept_scrape::sender::Senders;
use wellkept_tsdb::Store;

use super::scraping::send_on;
use crate::clock::now;

/// Time between two looks for groups that are due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longest evaluation of one query.
const QUERY_MAX: Duration = Duration::from_secs(30);

/// All rules with their state.
pub(crate) struct Ruler {
    rules: Mutex<Ruleset>,
    /// What fires, as findings; made after each evaluation.
    firing: Mutex<Vec<Finding>>,
    stop: AtomicBool,
    host: Mutex<Host>,
    store: Arc<Store>,
    source: Arc<dyn SeriesSource>,
    senders: Arc<Senders>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is known of this host, to find the entity of an alert.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) services: BTreeSet<String>,
    pub(crate) filesystems: BTreeSet<String>,
}

impl Ruler {
    /// Without any rule.
    pub(crate) fn new(store: Arc<Store>, source: Arc<dyn SeriesSource>, senders: Arc<Senders>) -> Arc<Self> {
        Arc::new(Self {
            rules: Mutex::new(Ruleset::new(Settings::default())),
            firing: Mutex::default(),
            stop: AtomicBool::new(false),
            host: Mutex::default(),
            store,
            source,
            senders,
            thread: Mutex::default(),
        })
    }

    /// Evaluates these rules from now on, on a thread of its own until [`Self::stop`]; as long as there never was a rule,
    /// there is no thread. Groups that were there before keep their alerts.
    pub(crate) fn load(self: &Arc<Self>, settings: Settings, files: Vec<RuleFile>, host: Host) {
        *self.host.lock().unwrap_or_else(PoisonError::into_inner) = host;
        let mut rules = self.rules();
        rules.configure(settings);
        let ended = rules.load(files, now());
        let any = rules.groups().len() > 0;
        drop(rules);
        ended.iter().for_each(|batch| self.store_batch(batch));
        self.tell();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if any && thread.is_none() {
            let ruler = Arc::clone(self);
            match std::thread::Builder::new().name("rules".to_owned()).spawn(move || ruler.work()) {
                Ok(started) => *thread = Some(started),
                Err(error) => {
                    tracing::error!(%error, "rules cannot be evaluated: no thread could be started")
                }
            }
        }
    }

    fn work(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            if self.evaluate() {
                self.tell();
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Makes findings of what fires.
    fn tell(&self) {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let findings = self.findings(&host, now());
        *self.firing.lock().unwrap_or_else(PoisonError::into_inner) = findings;
    }

    /// The thread, to be waited for after [`Self::stop`].
    pub(crate) fn take_thread(&self) -> Option<JoinHandle<()>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What fires now.
    pub(crate) fn firing(&self) -> Vec<Finding> {
        self.firing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Evaluates what is due; true when there was anything.
    fn evaluate(&self) -> bool {
        let limits = Limits { time: QUERY_MAX, ..Limits::default() };
        let cancelled = || self.stop.load(Ordering::Relaxed);
        let reader = Reader { source: self.source.as_ref(), limits: &limits, cancelled: &cancelled };
        let mut any = false;
        let mut rules = self.rules();
        for (slot, group) in rules.due(now()) {
            any = true;
            let began = now();
            let evaluation = group.evaluate(slot, &reader, &|| now().since(began));
            if evaluation.failures > 0 {
                let (group, failed) = (&group.group().name, evaluation.failures);
                tracing::warn!(group, failed, "rules could not be evaluated; the alerts page says why");
            }
            self.store_batch(&evaluation.batch);
        }
        any
    }

    /// Stores what rules recorded, and sends it on.
    fn store_batch(&self, batch: &Batch) {
        if let Err(error) = self.store.append_durable(batch) {
            tracing::warn!(%error, "what rules recorded could not be stored");
        }
        send_on(&self.senders, batch);
    }

    fn findings(&self, host: &Host, at: TimestampMs) -> Vec<Finding> {
        let known = Known {
            host: &host.name,
            service: &|name| host.services.contains(name),
            filesystem: &|name| host.filesystems.contains(name),
        };
        findings(self.rules().groups(), &known, at).findings
    }

    /// Prometheus' `/api/v1/rules`. Waits while a group is evaluated.
    pub(crate) fn rules_view(&self, wanted: &RuleFilter) -> Value {
        let filter = RulesFilter {
            kind: wanted.kind.as_deref().and_then(|k| k.parse::<RuleType>().ok()),
            rule_names: wanted.names.clone(),
            rule_groups: wanted.groups.clone(),
            files: wanted.files.clone(),
            matchers: wanted.selectors.clone(),
            exclude_alerts: wanted.without_alerts,
            ..RulesFilter::default()
        };
        // Without a token there is nothing that the filter could refuse.
        view::rules(self.rules().groups(), &filter).map_or_else(|_| json!({"groups": []}), |view| json!(view))
    }

    /// Prometheus' `/api/v1/alerts`.
    pub(crate) fn alerts_view(&self) -> Value {
        json!(view::alerts(self.rules().groups()))
    }

    fn rules(&self) -> MutexGuard<'_, Ruleset> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads all rule files that these patterns name. A pattern that names nothing is told in the log.
///
/// # Errors
/// Every mistake of the first file that has any.
pub(crate) fn read_files(patterns: &[String]) -> anyhow::Result<Vec<RuleFile>> {
    let mut files = Vec::new();
    for pattern in patterns {
        let paths: Vec<PathBuf> = glob::glob(pattern)?.collect::<Result<_, _>>()?;
        if paths.is_empty() {
            tracing::warn!(pattern, "no rule file is there");
        }
        for path in paths {
            let text = std::fs::read_to_string(&path)
                .map_err(|e| anyhow::anyhow!("{} cannot be read: {e}", path.display()))?;
            files.push(RuleFile::read(&path.display().to_string(), &text)?);
        }
    }
    Ok(files)
}
