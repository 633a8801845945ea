//! The files of current releases against their manifests, and which release is current.
//!
//! A round looks at [`FILES_A_ROUND`] files only and reads a file again only when what the kernel keeps about it has
//! changed; a checksum of everything is made once, in slices of [`BYTES_A_ROUND`]. So a release of a few files is
//! compared every second, one of many thousands within minutes, at the same price.

mod artefact;
mod manifest;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use wellkept_model::TimestampMs;
use wellkept_model::keep::{Keep, Release, Service};
use wellkept_model::local::{LocalSeen, ReleaseFileSeen, ReleaseSeen, WantedFile};
use wellkept_model::observe::{CollectProblem, FileState};

pub use artefact::{ReleaseCopy, release_copy};
use manifest::{MANIFEST_MAX, Manifest};

use super::kept::{Stamp, hex, modified_at, without_file};

/// Files that are looked at in one round.
const FILES_A_ROUND: usize = 200;
/// Bytes that are read for checksums in one round, rounded up to a file.
const BYTES_A_ROUND: u64 = 8 << 20;
/// Longest file whose content is compared; of longer ones owner and mode are.
const FILE_MAX: u64 = 256 << 20;
/// Earlier releases that are remembered.
const EARLIER_MAX: usize = 64;
/// Most files that differ that are told; more is another release, not a changed one.
const DIFFERING_MAX: usize = 100;

/// The releases of all services.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    known: BTreeMap<String, Known>,
}

/// What is known of one service's release.
#[derive(Debug, Default)]
struct Known {
    current: Option<ReleaseSeen>,
    /// Releases that were current under our eyes: who goes back to one of them has brought nothing new.
    earlier: Vec<String>,
    folder: PathBuf,
    manifest_stamp: Option<Stamp>,
    files: Vec<(String, WantedFile)>,
    next: usize,
    sums: HashMap<String, (Stamp, FileState)>,
    differs: BTreeMap<String, ReleaseFileSeen>,
}

impl Releases {
    /// Looks at the releases that the keep file declares. Two services of one release are looked at once, for the
    /// first of them that names the manifest.
    pub(crate) fn read(
        &mut self,
        keep: &Keep,
        now: TimestampMs,
        seen: &mut LocalSeen,
        problems: &mut Vec<CollectProblem>,
    ) {
        self.known.retain(|name, _| keep.services.get(name).is_some_and(|s| s.release.is_some()));
        let mut done: Vec<&Path> = Vec::new();
        for (name, release) in keep.services.values().filter_map(|s| Some((&s.name, s.release.as_ref()?))) {
            let known = self.known.entry(name.clone()).or_default();
            known.look_at_link(&release.current, now);
            if let Some(current) = &known.current {
                seen.releases.insert(name.clone(), current.clone());
            }
            if release.manifest.is_none() || done.contains(&release.current.as_path()) {
                continue;
            }
            done.push(&release.current);
            if let Err(e) = known.look_at_files(name, release, now) {
                let message = format!("the release of {name}: {e}");
                problems.push(CollectProblem { collector: "release".to_owned(), message });
            }
            seen.release_files.extend(known.differs.values().take(DIFFERING_MAX).cloned());
        }
    }
}

impl Releases {
    /// The current release of one service, now.
    pub(crate) fn look(&mut self, service: &Service, now: TimestampMs) -> Option<ReleaseSeen> {
        let release = service.release.as_ref()?;
        let known = self.known.entry(service.name.clone()).or_default();
        known.look_at_link(&release.current, now);
        known.current.clone()
    }
}

impl Known {
    /// A link that is away for a moment (switched in two steps) leaves what was known.
    fn look_at_link(&mut self, path: &Path, now: TimestampMs) {
        let Ok(target) = std::fs::read_link(path) else { return };
        let target = target.to_string_lossy().into_owned();
        if self.current.as_ref().is_some_and(|c| c.target == target) {
            return;
        }
        let switched = std::fs::symlink_metadata(path).map_or(now, |m| modified_at(&m)).min(now);
        let left = self.current.take().map(|c| c.target);
        let before = left.clone().filter(|_| !self.earlier.contains(&target));
        self.earlier.extend(left.filter(|l| !self.earlier.contains(l)));
        if self.earlier.len() > EARLIER_MAX {
            self.earlier.remove(0);
        }
        self.current = Some(ReleaseSeen { target, since: switched, before });
    }

    fn look_at_files(&mut self, service: &str, release: &Release, now: TimestampMs) -> io::Result<()> {
        let folder = std::fs::canonicalize(&release.current)?;
        let Some(manifest) = &release.manifest else { return Ok(()) };
        let path = folder.join(manifest);
        let stamp = Stamp::of(&std::fs::metadata(&path)?);
        if folder != self.folder || self.manifest_stamp != Some(stamp) {
            let manifest = read_manifest(&path)?;
            self.files = manifest.into_iter().collect();
            (self.folder, self.manifest_stamp, self.next) = (folder, Some(stamp), 0);
            self.sums.clear();
            self.differs.clear();
        }
        let mut bytes_left = BYTES_A_ROUND;
        for _ in 0..self.files.len().min(FILES_A_ROUND) {
            let Some((name, wanted)) = self.files.get(self.next).cloned() else { break };
            let state = self.state(&name, &mut bytes_left);
            self.judge(service, &name, wanted, state, now);
            self.next = (self.next + 1) % self.files.len();
            if bytes_left == 0 {
                break;
            }
        }
        Ok(())
    }

    fn state(&mut self, name: &str, bytes_left: &mut u64) -> FileState {
        let path = self.folder.join(name);
        let meta = match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => meta,
            Ok(_) => return FileState::Unreadable("is not a regular file".to_owned()),
            Err(e) => return without_file(&e),
        };
        let stamp = Stamp::of(&meta);
        if let Some((known, state)) = self.sums.get(name)
            && *known == stamp
        {
            return state.clone();
        }
        let sha256 = if meta.size() > FILE_MAX { Ok(String::new()) } else { checksum(&path) };
        *bytes_left = bytes_left.saturating_sub(meta.size().min(FILE_MAX));
        match sha256 {
            Ok(sha256) => {
                let state = FileState::Present {
                    sha256,
                    len: meta.size(),
                    uid: meta.uid(),
                    gid: meta.gid(),
                    mode: meta.mode() & 0o7777,
                    modified_at: modified_at(&meta),
                };
                self.sums.insert(name.to_owned(), (stamp, state.clone()));
                state
            }
            Err(e) => without_file(&e),
        }
    }

    fn judge(
        &mut self,
        service: &str,
        name: &str,
        wanted: WantedFile,
        now_there: FileState,
        now: TimestampMs,
    ) {
        if is_as_wanted(&wanted, &now_there) {
            self.differs.remove(name);
            return;
        }
        if let Some(known) = self.differs.get_mut(name) {
            known.now = now_there;
            return;
        }
        let path = self.folder.join(name).to_string_lossy().into_owned();
        let seen = ReleaseFileSeen { service: service.to_owned(), path, wanted, now: now_there, since: now };
        self.differs.insert(name.to_owned(), seen);
    }
}

/// What cannot be read for a moment counts as it was wanted: silence is no accusation.
fn is_as_wanted(wanted: &WantedFile, now: &FileState) -> bool {
    let same = |w: Option<u32>, n: u32| w.is_none_or(|w| w == n);
    match now {
        FileState::Missing => false,
        FileState::Unreadable(why) => why != "is not a regular file",
        FileState::Present { sha256, uid, gid, mode, .. } => {
            (sha256.is_empty() || *sha256 == wanted.sha256)
                && same(wanted.uid, *uid)
                && same(wanted.gid, *gid)
                && same(wanted.mode, *mode)
        }
    }
}

fn read_manifest(path: &Path) -> io::Result<Manifest> {
    let mut text = String::new();
    let in_path = |e: io::Error| io::Error::other(format!("{}: {e}", path.display()));
    let read =
        File::open(path).and_then(|f| f.take(MANIFEST_MAX + 1).read_to_string(&mut text)).map_err(in_path)?;
    if read as u64 > MANIFEST_MAX {
        return Err(in_path(io::Error::other("longer than 16 MiB")));
    }
    manifest::parse(&text).map_err(in_path)
}

fn checksum(path: &Path) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty())?).take(FILE_MAX);
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&sum.finalize())),
            n => sum.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use wellkept_model::keep::Identity;

    struct World {
        dir: tempfile::TempDir,
        keep: Keep,
        releases: Releases,
        now: i64,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let path = |name: &str| dir.path().join(name);
            for number in ["1", "2"] {
                let folder = path("releases").join(number);
                fs::create_dir_all(&folder).expect("it can be made");
                fs::write(folder.join("a"), number).expect("it can be written");
                fs::set_permissions(folder.join("a"), fs::Permissions::from_mode(0o644)).expect("it is ours");
                let sum = crate::facts::kept::sha256_hex(number.as_bytes());
                let text = format!(r#"{{"files": {{"a": {{"sha256": "{sum}", "mode": "0644"}}}}}}"#);
                fs::write(folder.join("M"), text).expect("it can be written");
            }
            symlink("releases/1", path("current")).expect("a link can be made");
            let release = Release {
                current: path("current"),
                from: path("releases"),
                manifest: Some("M".into()),
                artefact: None,
                rollback: None,
            };
            let mut service = Service::named("app", Identity::Pidfile("/run/app.pid".into()));
            service.release = Some(release);
            let mut keep = Keep::default();
            keep.services.insert("app".to_owned(), service);
            Self { dir, keep, releases: Releases::default(), now: 1000 }
        }

        fn look(&mut self) -> LocalSeen {
            self.now += 1000;
            let (mut seen, mut problems) = (LocalSeen::default(), Vec::new());
            self.releases.read(&self.keep, TimestampMs(self.now), &mut seen, &mut problems);
            assert!(problems.is_empty(), "{problems:?}");
            seen
        }

        fn file(&self) -> PathBuf {
            self.dir.path().join("releases/1/a")
        }
    }

    #[test]
    fn a_release_that_is_as_its_manifest_says_gives_nothing() {
        let mut w = World::new();
        let seen = w.look();
        assert!(seen.release_files.is_empty());
        assert_eq!(seen.releases["app"].target, "releases/1");
    }

    #[test]
    fn missing_changed_and_re_moded_files_are_seen_and_their_return_too() {
        let mut w = World::new();
        w.look();
        fs::remove_file(w.file()).expect("it is there");
        let seen = w.look();
        assert_eq!(seen.release_files[0].now, FileState::Missing);
        fs::write(w.file(), "evil").expect("it can be written");
        assert!(matches!(w.look().release_files[0].now, FileState::Present { .. }));
        fs::write(w.file(), "1").expect("it can be written");
        fs::set_permissions(w.file(), fs::Permissions::from_mode(0o666)).expect("it is ours");
        assert_eq!(w.look().release_files.len(), 1, "everybody may write it");
        fs::set_permissions(w.file(), fs::Permissions::from_mode(0o644)).expect("it is ours");
        assert!(w.look().release_files.is_empty());
    }

    #[test]
    fn another_release_is_judged_by_its_own_manifest() {
        let mut w = World::new();
        w.look();
        fs::remove_file(w.dir.path().join("current")).expect("it is there");
        symlink("releases/2", w.dir.path().join("current")).expect("a link can be made");
        let seen = w.look();
        assert!(seen.release_files.is_empty());
        assert_eq!(seen.releases["app"].before.as_deref(), Some("releases/1"));
    }

    #[test]
    fn going_back_to_an_earlier_release_brings_nothing_new() {
        let mut w = World::new();
        w.look();
        let mut switch = |to: &str| {
            fs::remove_file(w.dir.path().join("current")).expect("it is there");
            symlink(to, w.dir.path().join("current")).expect("a link can be made");
            w.look().releases["app"].before.clone()
        };
        assert_eq!(switch("releases/2").as_deref(), Some("releases/1"));
        assert_eq!(switch("releases/1"), None);
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_no_such_file() {
        let mut w = World::new();
        w.look();
        fs::rename(w.file(), w.dir.path().join("elsewhere")).expect("it can be moved");
        symlink(w.dir.path().join("elsewhere"), w.file()).expect("a link can be made");
        assert_eq!(w.look().release_files.len(), 1);
    }
}
