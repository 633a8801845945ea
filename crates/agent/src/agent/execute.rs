//! What an agent is handed, and what it does about it: its own checks first, each order at most once.
//!
//! The host decides: by the keys, the modules and the switch in its own file. What was begun is written down, together with
//! the generation that it used up, before anything of it is started; after a crash it is unknown, and never begun again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::{Instant, MissedTickBehavior, timeout};
use wellkept_sign::{Check, Seen, verify};

use crate::policy::Policy;
use crate::unpack::{Placed, place};
use crate::wire::{Report, SAID_MAX, Stage};
use crate::{Clock, folder};

/// Time between two looks at the switch while something runs.
const LOOK: Duration = Duration::from_millis(500);
/// Time to end by itself before it is killed.
const END_MAX: Duration = Duration::from_secs(2);
/// Orders that are remembered.
const ORDERS_MAX: usize = 500;
/// Largest file of ours, bytes.
const FILE_MAX: u64 = 32 << 20;
/// The switch in the agent's own folder, beside that of the policy.
const FREEZE_FILE: &str = "FREEZE";

/// Makes the command that runs a placed playbook for the host of this name, within the policy.
pub type Start = dyn Fn(&Placed, &Policy, &str) -> Command + Send + Sync;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    seen: Seen,
    orders: BTreeMap<String, Report>,
}

/// Does orders.
pub struct Executor {
    folder: PathBuf,
    name: String,
    policy_file: PathBuf,
    start: Box<Start>,
    clock: Clock,
    book: Mutex<Book>,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Why an order was not begun, or how it ended.
struct Verdict {
    stage: Stage,
    exit: Option<i32>,
    said: String,
}

impl Verdict {
    fn refused(why: impl std::fmt::Display) -> Self {
        Self { stage: Stage::Refused, exit: None, said: why.to_string() }
    }
}

impl Executor {
    /// Opens what is known of orders. What was begun and has no end is unknown from now on.
    ///
    /// # Errors
    /// The disk.
    pub fn open(
        path: &Path,
        name: &str,
        policy_file: &Path,
        start: Box<Start>,
        clock: Clock,
    ) -> io::Result<Self> {
        folder::make(path)?;
        let mut book: Book = folder::read_json(&path.join("orders.json"), FILE_MAX)?.unwrap_or_default();
        for order in book.orders.values_mut().filter(|order| !order.stage.is_last()) {
            order.stage = Stage::Unknown;
            order.said = "the agent ended while it ran; how far it came is not known".to_owned();
            order.at_ms = clock();
        }
        let executor = Self {
            folder: path.to_owned(),
            name: name.to_owned(),
            policy_file: policy_file.to_owned(),
            start,
            clock,
            book: Mutex::new(book),
        };
        executor.save(|_| {})?;
        // What earlier runs left; nothing runs now.
        let _ = std::fs::remove_dir_all(executor.folder.join("runs"));
        Ok(executor)
    }

    /// What became of an order, when it is known here.
    #[must_use]
    pub fn known(&self, id: &str) -> Option<Report> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).orders.get(id).cloned()
    }

    fn save(&self, change: impl FnOnce(&mut Book)) -> io::Result<()> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut book);
        while book.orders.len() > ORDERS_MAX {
            book.orders.pop_first();
        }
        folder::replace_json(&self.folder.join("orders.json"), &*book)
    }

    /// Checks an order and does it. `say` is told of each stage, the last one included.
    pub async fn handle(&self, id: &str, bundle: &[u8], say: &(dyn Fn(&Report) + Send + Sync)) {
        if let Some(known) = self.known(id) {
            return say(&known);
        }
        let verdict = self.decide(id, bundle, say).await;
        let report = self.report(id, verdict);
        if let Err(error) = self.save(|book| {
            book.orders.insert(id.to_owned(), report.clone());
        }) {
            tracing::error!(%error, order = id, "how an order ended could not be written down");
        }
        say(&report);
    }

    fn report(&self, id: &str, verdict: Verdict) -> Report {
        let Verdict { stage, exit, said } = verdict;
        Report { order: id.to_owned(), stage, exit, said: tail_of(&said), at_ms: (self.clock)() }
    }

    async fn decide(&self, id: &str, bundle: &[u8], say: &(dyn Fn(&Report) + Send + Sync)) -> Verdict {
        let policy = match Policy::read(&self.policy_file) {
            Ok(policy) => policy,
            Err(error) => return Verdict::refused(error),
        };
        if let Some(switch) = self.switch(&policy) {
            return Verdict::refused(format!("{} is there: nothing is begun on this host", switch.display()));
        }
        if policy.may.as_ref().is_some_and(Vec::is_empty) {
            return Verdict::refused(format!(
                "this host lets its agent do nothing: {} has no `may`",
                self.policy_file.display()
            ));
        }
        let placed = match self.admit(id, bundle, &policy) {
            Ok(placed) => placed,
            Err(refused) => return refused,
        };
        let began = Verdict { stage: Stage::Began, exit: None, said: String::new() };
        say(&self.report(id, began));
        let verdict = self.perform(&placed, &policy).await;
        // What is left is removed at the next start at the latest.
        let _ = std::fs::remove_dir_all(&placed.folder);
        verdict
    }

    /// Everything about the bundle itself; it is written down as begun when this succeeds.
    fn admit(&self, id: &str, bundle: &[u8], policy: &Policy) -> Result<Placed, Verdict> {
        let seen = self.book.lock().unwrap_or_else(PoisonError::into_inner).seen.clone();
        let now = u64::try_from((self.clock)() / 1000).unwrap_or_default();
        let check = Check { trust: &policy.trust, now, seen: &seen, again: false, host: Some(&self.name) };
        let bundle = verify(bundle, &check).map_err(Verdict::refused)?;
        let folder = self.folder.join("runs").join(id);
        let placed = place(&bundle, &folder)
            .map_err(|e| Verdict::refused(format!("{} cannot be written: {e}", folder.display())))?;
        let began = Verdict { stage: Stage::Began, exit: None, said: String::new() };
        let began = self.report(id, began);
        let noted = self.save(|book| {
            book.seen.note(bundle.manifest(), bundle.digest());
            book.orders.insert(id.to_owned(), began);
        });
        noted.map_err(|e| Verdict::refused(format!("it cannot be written down, so it is not begun: {e}")))?;
        Ok(placed)
    }

    /// The switch that is on, if one is.
    fn switch(&self, policy: &Policy) -> Option<PathBuf> {
        let is_on = |path: &Path| {
            // When that cannot be told, it is on.
            !matches!(std::fs::symlink_metadata(path), Err(e) if e.kind() == io::ErrorKind::NotFound)
        };
        [policy.kill_file.clone(), self.folder.join(FREEZE_FILE)].into_iter().find(|path| is_on(path))
    }

    async fn perform(&self, placed: &Placed, policy: &Policy) -> Verdict {
        let mut command = (self.start)(placed, policy, &self.name);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Verdict::refused(format!("it could not be started: {error}")),
        };
        let tail: Tail = Arc::default();
        let readers = [
            child.stdout.take().map(|pipe| tokio::spawn(follow(pipe, Arc::clone(&tail)))),
            child.stderr.take().map(|pipe| tokio::spawn(follow(pipe, Arc::clone(&tail)))),
        ];
        let (stage, exit, why) = self.watch(&mut child, policy).await;
        for reader in readers.into_iter().flatten() {
            // Whoever still holds the pipe is not waited for.
            let _ = timeout(Duration::from_secs(1), reader).await;
        }
        let written = tail.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut said = String::from_utf8_lossy(&written).into_owned();
        said.retain(|c| !c.is_control() || matches!(c, '\n' | '\t'));
        if let Some(why) = why {
            said = format!("{said}\n{why}");
        }
        Verdict { stage, exit, said }
    }

    /// To its end, or to the switch, or to its time limit.
    async fn watch(&self, child: &mut Child, policy: &Policy) -> (Stage, Option<i32>, Option<String>) {
        let until = Instant::now() + policy.within;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let why = tokio::select! {
                ended = child.wait() => {
                    return match ended.map(|status| status.code()) {
                        Ok(Some(code)) => (Stage::Ended, Some(code), None),
                        Ok(None) => (Stage::Unknown, None, Some("it was killed by a signal".to_owned())),
                        Err(error) => (Stage::Unknown, None, Some(error.to_string())),
                    };
                }
                _ = looks.tick() => match self.switch(policy) {
                    Some(switch) => format!("{} is there: it was stopped", switch.display()),
                    None if Instant::now() > until => format!("it was stopped after {:?}", policy.within),
                    None => continue,
                },
            };
            end(child).await;
            return (Stage::Stopped, None, Some(why));
        }
    }
}

/// Ends a child and everything in its group: by request first, then by force.
async fn end(child: &mut Child) {
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let signal = |signal| {
        if let Some(group) = group {
            // One that is gone already is as good.
            let _ = kill_process_group(group, signal);
        }
    };
    signal(Signal::TERM);
    let ended = timeout(END_MAX, child.wait()).await;
    signal(Signal::KILL);
    if ended.is_err() {
        // It cannot refuse this one.
        let _ = child.wait().await;
    }
}

type Tail = Arc<Mutex<Vec<u8>>>;

/// Keeps the last of what is written.
async fn follow(mut pipe: impl AsyncRead + Unpin, tail: Tail) {
    let mut buffer = vec![0; 8192];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let surplus = tail.len().saturating_sub(SAID_MAX);
        tail.drain(..surplus);
    }
}

fn tail_of(text: &str) -> String {
    let surplus = text.len().saturating_sub(SAID_MAX);
    let from = (surplus..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text.get(from..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wellkept_sign::{Draft, SigningKey, pack};
    use zeroize::Zeroizing;

    use super::*;

    /// Milliseconds; the clock of these tests stands still.
    const NOW: i64 = 1_000_000;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(Zeroizing::new([n; 32])).unwrap()
    }

    fn bundle(change: impl FnOnce(&mut Draft), signer: u8) -> Vec<u8> {
        let mut draft = Draft {
            name: "web".into(),
            generation: 5,
            not_before: 900,
            expires: 2000,
            targets: vec!["web-*".into()],
            playbook: "site.yml".into(),
            inventory: None,
            files: BTreeMap::from([("site.yml".to_owned(), (b"echo done".to_vec(), false))]),
        };
        change(&mut draft);
        pack(&draft, &[key(signer)]).unwrap()
    }

    struct Host {
        temp: tempfile::TempDir,
    }

    impl Host {
        fn new(policy: &str) -> Self {
            let host = Self { temp: tempfile::tempdir().unwrap() };
            let kill = host.kill_file();
            let (ops, boss) = (key(1).public(), key(3).public());
            let trusted = format!("trust: [{{name: ops, key: '{ops}'}}, {{name: boss, key: '{boss}'}}]");
            let text = format!("{trusted}\nkill_file: {}\n{policy}\n", kill.display());
            std::fs::write(host.temp.path().join("agent.yml"), text).unwrap();
            host
        }

        fn kill_file(&self) -> PathBuf {
            self.temp.path().join("KILL")
        }

        /// Runs what stands in the playbook's place as a shell script.
        fn executor(&self) -> Executor {
            let start = |placed: &Placed, _: &Policy, name: &str| {
                let mut command = Command::new("/bin/sh");
                command.arg(&placed.playbook).arg(name);
                command
            };
            let path = self.temp.path().join("state");
            let policy = self.temp.path().join("agent.yml");
            Executor::open(&path, "web-1", &policy, Box::new(start), || NOW).unwrap()
        }

        async fn outcome(&self, bundle: &[u8]) -> Report {
            let id = folder::random_hex(8).unwrap();
            outcome(&self.executor(), &id, bundle).await
        }

        #[track_caller]
        fn refused(&self, bundle: &[u8], why: &str) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let report = runtime.block_on(self.outcome(bundle));
            assert!(report.stage == Stage::Refused && report.said.contains(why), "{report:?}");
        }
    }

    async fn outcome(executor: &Executor, id: &str, bundle: &[u8]) -> Report {
        let last = Mutex::new(None);
        executor.handle(id, bundle, &|report| *last.lock().unwrap() = Some(report.clone())).await;
        last.into_inner().unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_good_order_runs_once_and_what_it_wrote_is_told() {
        let host = Host::new("may: [any]");
        let executor = host.executor();
        let bundle = bundle(|_| {}, 1);
        let report = outcome(&executor, "0000000000000001-aa", &bundle).await;
        assert_eq!((report.stage, report.exit, report.said.as_str()), (Stage::Ended, Some(0), "done\n"));
        let again = outcome(&executor, "0000000000000001-aa", &bundle).await;
        assert_eq!(again, report, "the same order is only told again");
        let replayed = outcome(&host.executor(), "0000000000000002-bb", &bundle).await;
        assert!(replayed.said.contains("taken already"), "also after a restart: {replayed:?}");
    }

    #[test]
    fn the_hosts_own_checks_come_before_anything() {
        let any = Host::new("may: [any]");
        any.refused(&bundle(|d| d.expires = 999, 1), "expired");
        any.refused(&bundle(|d| d.not_before = 1001, 1), "not valid before");
        any.refused(&bundle(|_| {}, 2), "not among the trusted keys");
        any.refused(&bundle(|d| d.targets = vec!["db-1".into()], 1), "not for web-1");
        let mut changed = bundle(|_| {}, 1);
        *changed.last_mut().unwrap() ^= 1;
        any.refused(&changed, "not the one that was signed");
        Host::new("may: []").refused(&bundle(|_| {}, 1), "no `may`");
        Host::new("").refused(&bundle(|_| {}, 1), "no `may`");
        Host::new("may: [any]\nsignatures: 2").refused(&bundle(|_| {}, 1), "2 are needed");
        Host::new("mai: [any]").refused(&bundle(|_| {}, 1), "agent.yml");
    }

    #[tokio::test]
    async fn an_older_generation_is_refused_after_a_newer_one() {
        let host = Host::new("may: [any]");
        let executor = host.executor();
        outcome(&executor, "0000000000000001-aa", &bundle(|_| {}, 1)).await;
        let older = outcome(&executor, "0000000000000002-aa", &bundle(|d| d.generation = 4, 1)).await;
        assert!(older.stage == Stage::Refused && older.said.contains("generation 5 was seen"), "{older:?}");
        let newer = outcome(&executor, "0000000000000003-aa", &bundle(|d| d.generation = 6, 1)).await;
        assert_eq!(newer.stage, Stage::Ended);
    }

    #[tokio::test]
    async fn the_switch_lets_nothing_begin_and_stops_what_runs() {
        let host = Host::new("may: [any]");
        std::fs::write(host.kill_file(), "").unwrap();
        let report = host.outcome(&bundle(|_| {}, 1)).await;
        assert_eq!(report.stage, Stage::Refused);
        std::fs::remove_file(host.kill_file()).unwrap();
        let marker = host.temp.path().join("begun");
        // A shell that ignores the request, with a child.
        let script = format!("trap '' TERM; sleep 60 & echo x > {}; wait; sleep 60", marker.display());
        let bundle = bundle(|d| drop(d.files.insert("site.yml".into(), (script.into_bytes(), false))), 1);
        let executor = host.executor();
        let switching = async {
            while !marker.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            std::fs::write(host.kill_file(), "").unwrap();
            Instant::now()
        };
        let (report, began) = tokio::join!(outcome(&executor, "0000000000000002-aa", &bundle), switching);
        assert_eq!(report.stage, Stage::Stopped, "{report:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(!host.temp.path().join("state/runs/0000000000000002-aa").exists(), "nothing is left");
    }

    #[tokio::test]
    async fn what_was_begun_when_the_agent_ended_is_unknown_and_never_begun_again() {
        let host = Host::new("may: [any]");
        let marker = host.temp.path().join("ran");
        let script = format!("echo x >> {}; sleep 60", marker.display());
        let bundle = bundle(|d| drop(d.files.insert("site.yml".into(), (script.into_bytes(), false))), 1);
        {
            let executor = host.executor();
            let handling = executor.handle("0000000000000001-aa", &bundle, &|_| {});
            let begun = async {
                while !marker.exists() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::select! {
                () = handling => panic!("it sleeps"),
                () = begun => {}
            }
        }
        let report = outcome(&host.executor(), "0000000000000001-aa", &bundle).await;
        assert_eq!(report.stage, Stage::Unknown);
        assert_eq!(std::fs::read_to_string(&marker).unwrap(), "x\n");
    }
}
