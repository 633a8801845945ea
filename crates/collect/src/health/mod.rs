//! Health checks: http, tcp and exec, each at its own pace and with its own time limit.
//!
//! Every check has one task; it never overlaps itself, also not when [`HealthChecks::check_now`] is called: that waits
//! for the run under way and then makes one of its own. Every check uses a fresh connection, because a kept one says
//! nothing about whether a new customer gets in. A check that hangs fails at its limit.

mod exec;
mod http;
mod tcp;
mod tls;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use wellkept_model::keep::{HealthCheck, Keep, Probe};
use wellkept_model::observe::HealthSeen;

pub(crate) use exec::Group;

use crate::series::Series;
use crate::vantage::{Timed, timed};
use crate::{beat, clock};

/// Shortest time between two runs of one check, whatever the keep file says.
const EVERY_MIN: Duration = Duration::from_millis(100);

/// Longest reason of a failure, characters.
const REASON_MAX: usize = 200;

/// All declared health checks. Clones share the same checks; the last one dropped ends them.
#[derive(Debug, Clone, Default)]
pub struct HealthChecks {
    tls: Arc<tls::Tls>,
    running: Arc<Mutex<BTreeMap<Key, Running>>>,
}

/// Asks for the head of HTTP answers; clones share what is known of certificates.
#[derive(Debug, Clone, Default)]
pub(crate) struct HttpHead(Arc<tls::Tls>);

impl HttpHead {
    /// The head of the answer to a GET; the reason in a few words when there is none.
    pub(crate) async fn ask(&self, url: &str) -> Result<http::Head, String> {
        http::head(&self.0, url).await
    }

    /// The beginning of what a GET is answered with 200; the reason in a few words when there is none.
    pub(crate) async fn text(&self, url: &str) -> Result<String, String> {
        http::text(&self.0, url).await
    }
}

/// Service and check.
type Key = (String, String);

#[derive(Debug)]
struct Running {
    check: Arc<Check>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Check {
    service: String,
    declared: HealthCheck,
    tls: Arc<tls::Tls>,
    /// Held while the check runs.
    turn: tokio::sync::Mutex<()>,
    last: Mutex<Option<HealthSeen>>,
}

impl HealthChecks {
    /// Begins the checks of `keep`; must be called inside a tokio runtime.
    #[must_use]
    pub fn new(keep: &Keep) -> Self {
        let checks = Self::default();
        checks.set_keep(keep);
        checks
    }

    /// Runs other checks from now on. A check that is declared as before goes on with what it knows.
    pub fn set_keep(&self, keep: &Keep) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *running);
        for service in keep.services.values() {
            for declared in &service.health {
                let key = (service.name.clone(), declared.name.clone());
                let kept = old.remove(&key).filter(|r| r.check.declared == *declared);
                let entry = kept.unwrap_or_else(|| Running::begin(&service.name, declared, &self.tls));
                running.insert(key, entry);
            }
        }
    }

    /// The last result of every check that has run, in order of service and check.
    #[must_use]
    pub fn seen(&self) -> Vec<HealthSeen> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.values().filter_map(|r| r.check.last()).collect()
    }

    /// Runs all checks of one service at once and gives their new results; empty when it has none.
    pub async fn check_now(&self, service: &str) -> Vec<HealthSeen> {
        let checks: Vec<Arc<Check>> = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.values().map(|r| &r.check).filter(|c| c.service == service).cloned().collect()
        };
        let mut runs = JoinSet::new();
        for check in checks {
            runs.spawn(async move { check.run().await });
        }
        let mut seen = runs.join_all().await;
        seen.sort_by(|a, b| a.check.cmp(&b.check));
        seen
    }

    pub(crate) fn emit(seen: &[HealthSeen], out: &mut Series) {
        for result in seen {
            let pairs = [("check", result.check.as_str()), ("service", result.service.as_str())];
            out.put("wellkept_health_check_success", &pairs, f64::from(result.failure.is_none()));
            let took = Duration::from_millis(result.took_ms).as_secs_f64();
            out.put("wellkept_health_check_duration_seconds", &pairs, took);
        }
    }
}

impl Running {
    fn begin(service: &str, declared: &HealthCheck, tls: &Arc<tls::Tls>) -> Self {
        let check = Arc::new(Check {
            service: service.to_owned(),
            declared: declared.clone(),
            tls: Arc::clone(tls),
            turn: tokio::sync::Mutex::default(),
            last: Mutex::default(),
        });
        let task = tokio::spawn(repeat(Arc::clone(&check)));
        Self { check, task: task.abort_handle() }
    }
}

async fn repeat(check: Arc<Check>) {
    loop {
        let began = clock::monotonic();
        check.run().await;
        tokio::time::sleep(beat::pause_after(began, check.declared.every.max(EVERY_MIN))).await;
    }
}

impl Check {
    fn last(&self) -> Option<HealthSeen> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn run(&self) -> HealthSeen {
        let _turn = self.turn.lock().await;
        let timed = timed(self.declared.within, probe(&self.declared, &self.tls)).await;
        let ran_out = timed.took >= self.declared.within && !matches!(timed.answer, Some(Ok(())));
        let worthless = ran_out && timed.is_worthless();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = last.as_ref().filter(|_| worthless) {
            // We were late ourselves. One that gives no result for long is found as such.
            return before.clone();
        }
        let Timed { answer, took, .. } = timed;
        let failure = match answer {
            Some(Ok(())) => None,
            Some(Err(reason)) => Some(reason.chars().take(REASON_MAX).collect()),
            None => Some(format!("no answer within {}", seconds(self.declared.within))),
        };
        let before = last.as_ref().filter(|b| b.failure.is_some() == failure.is_some());
        let seen = HealthSeen {
            service: self.service.clone(),
            check: self.declared.name.clone(),
            at: clock::wall(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            failure,
            in_a_row: before.map_or(1, |b| b.in_a_row.saturating_add(1)),
        };
        *last = Some(seen.clone());
        seen
    }
}

async fn probe(declared: &HealthCheck, tls: &tls::Tls) -> Result<(), String> {
    match &declared.probe {
        Probe::Http { url, status, contains } => http::check(tls, url, *status, contains.as_deref()).await,
        Probe::Tcp { address } => tcp::check(address).await,
        Probe::Exec { command } => exec::check(&command.argv, command.within.min(declared.within)).await,
    }
}

/// `2 s`, `0.5 s`.
fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wellkept_model::keep::{Command, Identity, Service};

    fn keep(checks: Vec<HealthCheck>) -> Keep {
        let service = Service {
            name: "s".into(),
            identity: Identity::Pidfile("/nonexistent".into()),
            start: None,
            stop: None,
            restart: None,
            reload: None,
            reopen: None,
            health: checks,
            user: None,
            listens: vec![],
            depends_on: vec![],
            uses: vec![],
            release: None,
            files: vec![],
            may: vec![],
            group: None,
            starts_itself_within: None,
            config_test: None,
            resolves: None,
            clock: None,
        };
        Keep { services: [("s".to_owned(), service)].into(), ..Keep::default() }
    }

    fn exec(name: &str, line: &str, within: Duration) -> HealthCheck {
        let argv = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
        HealthCheck {
            name: name.into(),
            probe: Probe::Exec { command: Command { argv, within } },
            within,
            every: Duration::from_secs(3600),
            failures: 1,
        }
    }

    #[tokio::test]
    async fn results_in_a_row_are_counted_and_begin_anew_when_they_turn() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let flag = dir.path().join("flag");
        let line = format!("test -e {}", flag.display());
        let checks = HealthChecks::new(&keep(vec![exec("c", &line, Duration::from_secs(10))]));
        checks.check_now("s").await;
        let failed = checks.check_now("s").await;
        assert!(failed[0].failure.is_some() && failed[0].in_a_row >= 2);
        std::fs::write(&flag, "").expect("it can be written");
        let passed = checks.check_now("s").await;
        assert_eq!((passed[0].failure.as_deref(), passed[0].in_a_row), (None, 1));
        assert_eq!(checks.seen(), passed);
        assert!(checks.check_now("other").await.is_empty());
    }

    #[tokio::test]
    async fn a_check_does_not_overlap_itself() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let lock = dir.path().join("lock");
        let line = format!("mkdir {0} || exit 9; sleep 0.05; rmdir {0}", lock.display());
        let checks = HealthChecks::new(&keep(vec![exec("c", &line, Duration::from_secs(10))]));
        let (a, b, c) = tokio::join!(checks.check_now("s"), checks.check_now("s"), checks.check_now("s"));
        for seen in [a, b, c].concat() {
            assert_eq!(seen.failure, None);
        }
    }

    #[tokio::test]
    async fn a_new_keep_file_keeps_what_is_known_of_checks_that_stay() {
        let stays = exec("stays", "exit 1", Duration::from_secs(10));
        let checks =
            HealthChecks::new(&keep(vec![stays.clone(), exec("goes", "exit 0", Duration::from_secs(10))]));
        checks.check_now("s").await;
        checks.check_now("s").await;
        checks.set_keep(&keep(vec![stays]));
        let seen = checks.seen();
        assert_eq!(seen.len(), 1);
        assert!(seen[0].in_a_row >= 2);
    }

    #[tokio::test]
    async fn while_we_are_starved_ourselves_a_late_answer_is_no_failure() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let flag = dir.path().join("flag");
        let line = format!("test -e {} && sleep 0.2; true", flag.display());
        let checks = HealthChecks::new(&keep(vec![exec("c", &line, Duration::from_millis(400))]));
        while checks.check_now("s").await[0].failure.is_some() {}
        std::fs::write(&flag, "").expect("it can be written");
        // The only thread is taken away, and the answer comes in time all the same.
        tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            std::thread::sleep(Duration::from_millis(800));
        });
        assert_eq!(checks.check_now("s").await[0].failure, None);
    }

    #[tokio::test]
    async fn a_check_that_hangs_fails_at_its_limit() {
        let checks = HealthChecks::new(&keep(vec![exec("c", "sleep 60", Duration::from_millis(100))]));
        let seen = checks.check_now("s").await;
        assert_eq!(seen[0].failure.as_deref(), Some("no answer within 0.1 s"));
        assert!(seen[0].took_ms < 5_000);
    }
}
