//! Evaluates rule files: a thread that asks which groups are due, stores what they record, and tells what fires.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use wellkept_api::RuleFilter;
use wellkept_model::{Finding, SeriesSource, TimestampMs};
use wellkept_promql::Limits;
use wellkept_rules::finding::{Known, findings};
use wellkept_rules::view::{self, RuleType, RulesFilter};
use wellkept_rules::{Reader, RuleFile, Ruleset, Settings};
use wellkept_tsdb::Store;

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
}

/// What is known of this host, to find the entity of an alert.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) services: BTreeSet<String>,
    pub(crate) filesystems: BTreeSet<String>,
}

impl Ruler {
    pub(crate) fn new(settings: Settings, files: Vec<RuleFile>) -> Arc<Self> {
        let mut rules = Ruleset::new(settings);
        let _ = rules.load(files, now());
        Arc::new(Self { rules: Mutex::new(rules), firing: Mutex::default(), stop: AtomicBool::new(false) })
    }

    /// Evaluates on a thread of its own until [`Self::stop`]; without any rule there is no thread.
    pub(crate) fn start(
        self: &Arc<Self>,
        source: Arc<dyn SeriesSource>,
        store: Arc<Store>,
        host: Host,
    ) -> std::io::Result<Option<JoinHandle<()>>> {
        if self.rules().groups().len() == 0 {
            return Ok(None);
        }
        let ruler = Arc::clone(self);
        let work = move || {
            while !ruler.stop.load(Ordering::Relaxed) {
                if ruler.evaluate(source.as_ref(), &store) {
                    *ruler.firing.lock().unwrap_or_else(PoisonError::into_inner) =
                        ruler.findings(&host, now());
                }
                std::thread::park_timeout(LOOK_EVERY);
            }
        };
        std::thread::Builder::new().name("rules".to_owned()).spawn(work).map(Some)
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What fires now.
    pub(crate) fn firing(&self) -> Vec<Finding> {
        self.firing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Evaluates what is due; true when there was anything.
    fn evaluate(&self, source: &dyn SeriesSource, store: &Store) -> bool {
        let limits = Limits { time: QUERY_MAX, ..Limits::default() };
        let cancelled = || self.stop.load(Ordering::Relaxed);
        let reader = Reader { source, limits: &limits, cancelled: &cancelled };
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
            if let Err(error) = store.append_durable(&evaluation.batch) {
                tracing::warn!(%error, "what rules recorded could not be stored");
            }
        }
        any
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
