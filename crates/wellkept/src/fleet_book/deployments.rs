//! Deployments by app, as JSON: what each host has now, and what happened.
//!
//! Journals are read again only when one of them has changed. Whether a deployment is under way is asked of the kernel's
//! list of locks: taking the lock to find out would refuse a deployment that begins in that instant.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use wellkept_catalogue::{Language, render};
use wellkept_deploy::{Act, House, Past, Status};

/// Most apps that are told.
const APPS_MAX: usize = 200;
/// Most bytes of one app's journals that are read.
const JOURNALS_MAX: u64 = 64 << 20;
/// Most deployments of one app that are told; all of them count for what hosts have now.
const HISTORY_MAX: usize = 30;
/// Most hosts that are named in one place.
const HOSTS_MAX: usize = 1000;

/// A file of a folder as it was read: name, bytes, when it was changed.
type Stamp = (String, u64, i64, i64);

/// What was read of an app.
#[derive(Debug)]
struct Read {
    stamps: Vec<Stamp>,
    past: Vec<Past>,
    /// Journals without a beginning.
    damaged: Vec<String>,
}

/// The folder of all apps.
#[derive(Debug)]
pub(super) struct Deployments {
    folder: PathBuf,
    read: Mutex<HashMap<String, Arc<Read>>>,
}

impl Deployments {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, read: Mutex::default() }
    }

    /// All apps by name. An app that cannot be read is there, with why.
    pub(super) fn all(&self, language: Language) -> io::Result<Value> {
        let mut names = match std::fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            entries => folders(entries?),
        };
        names.sort_unstable();
        let told = names.iter().take(APPS_MAX).map(|app| match self.read(app) {
            Ok(read) => app_of(app, &read, is_locked(&self.folder.join(app).join("LOCK")), language),
            Err(problem) => json!({"app": app, "problem": problem}),
        });
        Ok(json!({"apps": told.collect::<Vec<_>>(), "more": names.len().saturating_sub(APPS_MAX)}))
    }

    fn read(&self, app: &str) -> Result<Arc<Read>, String> {
        let stamps = stamps(&self.folder.join(app)).map_err(|e| e.to_string())?;
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(app).cloned();
        if let Some(known) = known.filter(|known| known.stamps == stamps) {
            return Ok(known);
        }
        let bytes: u64 = stamps.iter().map(|stamp| stamp.1).sum();
        if bytes > JOURNALS_MAX {
            return Err(format!("its journals have {bytes} bytes; at most {JOURNALS_MAX} are read here"));
        }
        let data_dir = self.folder.parent().unwrap_or(Path::new("."));
        let house = House::of(data_dir, app).map_err(|e| e.to_string())?;
        let past = house.past().map_err(|e| e.to_string())?;
        let has_head = |id: &&str| past.iter().any(|one| one.head.id == **id);
        let ids = stamps.iter().filter_map(|stamp| stamp.0.strip_suffix(".jsonl"));
        let damaged = ids.filter(|id| !has_head(id)).map(str::to_owned).collect();
        let read = Arc::new(Read { stamps, past, damaged });
        let mut all = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= APPS_MAX {
            all.clear();
        }
        all.insert(app.to_owned(), Arc::clone(&read));
        Ok(read)
    }
}

fn folders(entries: std::fs::ReadDir) -> Vec<String> {
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn stamps(folder: &Path) -> io::Result<Vec<Stamp>> {
    let mut stamps = Vec::new();
    for entry in std::fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let (true, Ok(data)) = (name.ends_with(".jsonl"), entry.metadata()) {
            stamps.push((name, data.len(), data.mtime(), data.mtime_nsec()));
        }
    }
    stamps.sort_unstable();
    Ok(stamps)
}

/// Whether some process holds the lock of a file; also true when that cannot be told from another file's.
fn is_locked(path: &Path) -> bool {
    let Ok(data) = std::fs::metadata(path) else { return false };
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    holds(&locks, data.ino())
}

/// `1: FLOCK  ADVISORY  WRITE 1234 fd:00:5678 0 EOF`
fn holds(locks: &str, inode: u64) -> bool {
    let inode = inode.to_string();
    locks.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        words.next() == Some("FLOCK") && words.nth(3).and_then(|file| file.rsplit(':').next()) == Some(&inode)
    })
}

fn app_of(app: &str, read: &Read, is_under_way: bool, language: Language) -> Value {
    let status = |number: usize, one: &Past| match one.status {
        Status::Interrupted if number == 0 && is_under_way => "under_way",
        status => status.word(),
    };
    let history = read.past.iter().enumerate().take(HISTORY_MAX).map(|(number, one)| {
        let head = &one.head;
        let mut before: Vec<Option<&str>> = head.hosts.iter().map(|host| host.before.as_deref()).collect();
        before.sort_unstable();
        before.dedup();
        before.truncate(10);
        let hosts = head.hosts.iter().map(|host| &host.name).take(HOSTS_MAX);
        json!({
            "id": head.id,
            "act": match head.act { Act::Deploy => "deploy", Act::Rollback => "rollback" },
            "version": head.version,
            "who": head.who,
            "controller": head.controller,
            "began_at": head.began_ms,
            "ended_at": one.ended_ms,
            "status": status(number, one),
            "why": one.why.as_ref().map(|why| render(language, why)),
            "hosts": hosts.collect::<Vec<_>>(),
            "host_count": head.hosts.len(),
            "already": head.already.len(),
            "batches": head.batches.len(),
            "before": before,
            "sha256": head.sha256,
            "commit": head.commit,
        })
    });
    json!({
        "app": app,
        "status": read.past.first().map(|newest| status(0, newest)),
        "to": read.past.first().map(|newest| &newest.head.to),
        "current": current(&read.past),
        "history": history.collect::<Vec<_>>(),
        "more": read.past.len().saturating_sub(HISTORY_MAX),
        "damaged": read.damaged,
        "problem": null,
    })
}

/// Hosts by the release that they have now. `sure`: nothing happened since that could have changed it.
fn current(past: &[Past]) -> Value {
    let mut hosts: BTreeMap<&str, (Option<&str>, bool)> = BTreeMap::new();
    for one in past.iter().rev() {
        let version = Some(one.head.version.as_str());
        for host in &one.head.already {
            hosts.insert(host, (version, true));
        }
        for host in &one.head.hosts {
            let before = host.before.as_deref();
            let now = match one.status {
                Status::Done => (version, true),
                Status::RolledBack => (before, true),
                Status::Failed | Status::Unknown | Status::Interrupted => (before, false),
            };
            hosts.insert(&host.name, now);
        }
    }
    let mut groups: BTreeMap<(Option<&str>, bool), Vec<&str>> = BTreeMap::new();
    for (host, now) in hosts {
        groups.entry(now).or_default().push(host);
    }
    let told = groups.into_iter().rev().map(|((version, is_sure), hosts)| {
        let named = hosts.get(..hosts.len().min(HOSTS_MAX)).unwrap_or_default();
        json!({"version": version, "sure": is_sure, "hosts": named, "host_count": hosts.len()})
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A deployment's journal, as `deploy` writes it.
    fn journal(data: &Path, id: &str, version: &str, before: &str, end: Option<&str>) {
        let head = json!({
            "k": "head", "format": 1, "id": id, "app": "shop", "act": "deploy", "version": version, "who": "ann",
            "controller": "c", "began_ms": 5, "to": "/srv/shop", "hosts": [{"name": "h1", "before": before}],
            "already": ["h2"], "batches": [["h1"]], "sha256": null, "commit": null, "errors_before": null,
        });
        let over = end.map(|status| {
            let why = json!({"key": "deploy.stopped", "args": []});
            json!({"k": "over", "at_ms": 9, "status": status, "why": if status == "done" { Value::Null } else { why }})
        });
        let folder = data.join("deploy/shop");
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("{head}\n{}\n", over.unwrap_or_default());
        std::fs::write(folder.join(format!("{id}.jsonl")), text).unwrap();
    }

    fn told(of: &Deployments) -> Value {
        of.all(Language::En).unwrap()["apps"].clone()
    }

    #[test]
    fn apps_are_told_with_what_hosts_have_and_what_happened() {
        let data = tempfile::tempdir().unwrap();
        let deployments = Deployments::new(data.path().join("deploy"));
        assert_eq!(told(&deployments), json!([]));
        journal(data.path(), "1", "1.0", "0.9", Some("done"));
        journal(data.path(), "2", "1.1", "1.0", Some("rolled_back"));
        let apps = told(&deployments);
        let shop = &apps[0];
        assert_eq!((&shop["app"], &shop["status"]), (&json!("shop"), &json!("rolled_back")));
        assert_eq!(
            shop["current"][0],
            json!({"version": "1.1", "sure": true, "hosts": ["h2"], "host_count": 1})
        );
        assert_eq!(
            shop["current"][1],
            json!({"version": "1.0", "sure": true, "hosts": ["h1"], "host_count": 1})
        );
        assert!(!shop["history"][0]["why"].as_str().unwrap().is_empty(), "{shop}");

        // One that is not over is read again when it goes on.
        journal(data.path(), "3", "1.2", "1.0", None);
        std::fs::write(data.path().join("deploy/shop/4.jsonl"), "{torn").unwrap();
        let shop = &told(&deployments)[0];
        assert_eq!((&shop["status"], &shop["damaged"]), (&json!("interrupted"), &json!(["4"])));
        let unsure = shop["current"].as_array().unwrap().iter().find(|group| group["sure"] == false).unwrap();
        assert_eq!(unsure["hosts"], json!(["h1"]));
        journal(data.path(), "3", "1.2", "1.0", Some("done"));
        assert_eq!(told(&deployments)[0]["status"], "done");
    }

    #[test]
    fn an_app_that_cannot_be_read_hides_no_other() {
        let data = tempfile::tempdir().unwrap();
        journal(data.path(), "1", "1.0", "0.9", Some("done"));
        let huge = data.path().join("deploy/api");
        std::fs::create_dir_all(&huge).unwrap();
        std::fs::File::create(huge.join("1.jsonl")).unwrap().set_len(JOURNALS_MAX + 1).unwrap();
        let apps = told(&Deployments::new(data.path().join("deploy")));
        assert!(apps[0]["problem"].as_str().unwrap().contains("bytes"), "{apps}");
        assert_eq!(apps[1]["app"], "shop");
    }

    #[test]
    fn a_lock_is_seen_without_being_taken() {
        let data = tempfile::tempdir().unwrap();
        journal(data.path(), "1", "1.0", "0.9", None);
        let path = data.path().join("deploy/shop/LOCK");
        let file = std::fs::File::create(&path).unwrap();
        let deployments = Deployments::new(data.path().join("deploy"));
        assert_eq!(told(&deployments)[0]["status"], "interrupted");
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        assert_eq!(told(&deployments)[0]["status"], "under_way");
        let line = "7: FLOCK  ADVISORY  WRITE 1234 fd:00:5678 0 EOF\n";
        assert!(
            holds(line, 5678)
                && !holds(line, 567)
                && !holds("7: POSIX ADVISORY WRITE 1 fd:00:5678 0 EOF", 5678)
        );
    }
}
