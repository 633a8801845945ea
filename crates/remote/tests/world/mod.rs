//! A small world for the scenarios: a data directory, a keep file, copies in memory, and the real clock.
#![allow(dead_code, reason = "every scenario uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wellkept_model::keep::{Command, FileKind, Filesystem, FreeSpaceRule, Identity, Keep, KeptFile, Service};
use wellkept_model::{ActionId, ActionKind, EntityId, IncidentId, PlannedAction, Text, TimestampMs, Undo};
use wellkept_remote::{Copies, FileCopy, LocalHands};

/// Copies by content, as the real store keeps them.
pub(crate) type Store = Arc<Mutex<BTreeMap<String, FileCopy>>>;

pub(crate) struct World {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) keep: Keep,
    pub(crate) store: Store,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { temp: tempfile::tempdir().expect("temp"), keep: Keep::default(), store: Arc::default() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        std::fs::canonicalize(self.temp.path()).expect("real").join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("wellkept-data")
    }

    pub(crate) fn hands(&self) -> LocalHands {
        let (find, keep) = (self.store.clone(), self.store.clone());
        let copies = Copies::new(
            move |_service, _path, sha256| {
                let found = find.lock().expect("lock").get(&sha256).cloned();
                async move { Ok(found) }
            },
            move |_service, _path, copy| {
                keep.lock().expect("lock").entry(sha256(&copy.content)).or_insert(copy);
                async move { Ok(()) }
            },
        );
        LocalHands::new(Arc::new(self.keep.clone()), copies, self.data())
    }

    pub(crate) fn service(&mut self, name: &str) -> &mut Service {
        let pidfile = self.path(&format!("{name}.pid"));
        self.keep.services.entry(name.to_owned()).or_insert(Service {
            name: name.to_owned(),
            identity: Identity::Pidfile(pidfile),
            start: None,
            stop: None,
            restart: None,
            reload: None,
            reopen: None,
            health: vec![],
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
        })
    }

    pub(crate) fn kept_file(&mut self, service: &str, path: &Path) {
        let file = KeptFile { path: path.to_owned(), kind: FileKind::Setting };
        self.service(service).files.push(file);
    }

    /// A file system that is never empty enough, so that every candidate goes.
    pub(crate) fn filesystem(&mut self, rules: &[&str]) -> &mut Filesystem {
        let mountpoint = self.path("fs");
        std::fs::create_dir_all(&mountpoint).expect("dir");
        let name = mountpoint.to_string_lossy().into_owned();
        let rule = |glob: &&str| FreeSpaceRule {
            glob: format!("{name}/{glob}"),
            unless_open: true,
            older_than: None,
        };
        let filesystem = Filesystem {
            mountpoint: name.clone(),
            full_at: 0.0,
            free_space: rules.iter().map(rule).collect(),
            ..Filesystem::default()
        };
        self.keep.filesystems.entry(name).or_insert(filesystem)
    }
}

pub(crate) fn sh(script: &str) -> Option<Command> {
    within(script, Duration::from_secs(20))
}

pub(crate) fn within(script: &str, within: Duration) -> Option<Command> {
    Some(Command { argv: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()], within })
}

pub(crate) fn action(kind: ActionKind, target: EntityId) -> PlannedAction {
    PlannedAction {
        kind,
        target,
        subject: String::new(),
        to_version: None,
        deadline_ms: 30_000,
        verify: vec![],
        undo: Undo::Irreversible,
        reason: Text::new("reason.test"),
    }
}

pub(crate) fn id(number: u32) -> ActionId {
    ActionId { incident: IncidentId(1), number }
}

#[expect(clippy::disallowed_methods, reason = "a scenario with real processes happens now")]
pub(crate) fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    TimestampMs(i64::try_from(since.as_millis()).expect("fits"))
}

pub(crate) fn sha256(content: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect()
}

/// State letter of a process, when there is one.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.trim_start().chars().next()
}

pub(crate) fn lives(pid: u32) -> bool {
    state_of(pid).is_some_and(|s| s != 'Z')
}

/// Waits for a condition; panics after 20 s.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(tokio::time::Instant::now() < limit, "waited 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn read_pid(path: &Path) -> u32 {
    std::fs::read_to_string(path).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0)
}

/// Ends a process at the end of a scenario, also of one that fails.
pub(crate) struct Reaper(pub(crate) u32);

impl Drop for Reaper {
    fn drop(&mut self) {
        if self.0 > 1 && self.0 != std::process::id() {
            let _ = std::process::Command::new("kill").arg("-KILL").arg(self.0.to_string()).status();
        }
    }
}
