//! Puts a version of a kept file in place, and back.
//!
//! Only a file that the keep file declares for the target is ever written: a path that came from anywhere else is
//! refused. What is there is kept first, as evidence and as a version. When it is neither what the plan saw nor
//! what we would put, somebody has been at work since, and we leave it to them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wellkept_model::keep::{Keep, Service};
use wellkept_model::{EntityId, EntityKind, PlannedAction, Text, Undo};

use crate::evidence::{self, Evidence};
use crate::place::{Place, PlaceError};
use crate::{Copies, FileCopy, Outcome};

/// Name of the note in the evidence that says what was there before.
const FORMER: &str = "former.json";
/// Name of the file in the evidence that holds what was there before.
const FORMER_CONTENT: &str = "former.content";

/// What was there before, for an exact undo.
#[derive(Debug, Serialize, Deserialize)]
struct Former {
    sha256: Option<String>,
    uid: u32,
    gid: u32,
    mode: u32,
}

/// A declared file of a service.
pub(crate) struct KeptFileHands<'a> {
    service: &'a str,
    path: PathBuf,
    copies: &'a Copies,
    /// Where the operator wants copies of altered files, besides our own evidence.
    evidence_folder: Option<&'a Path>,
}

impl<'a> KeptFileHands<'a> {
    /// The file `path`, when `target` (a service, or the file itself) declares it.
    pub(crate) fn new(
        keep: &'a Keep,
        copies: &'a Copies,
        target: &EntityId,
        path: &str,
    ) -> Result<Self, Outcome> {
        let declares = |service: &&Service| {
            service.files.iter().any(|f| f.path == Path::new(path)) || of_release(service, path)
        };
        let service = match target.kind {
            EntityKind::Service => keep.services.get(&target.name).filter(declares),
            EntityKind::File if target.name == path => keep.services.values().find(declares),
            _ => None,
        };
        match service {
            Some(service) => Ok(Self {
                service: &service.name,
                path: PathBuf::from(path),
                copies,
                evidence_folder: keep.evidence.as_deref(),
            }),
            None => Err(Outcome::failed(
                Text::new("outcome.file_undeclared").with("path", path).with("target", target),
            )),
        }
    }

    /// Does a `restore` or `rollback`.
    pub(crate) async fn put(&self, action: &PlannedAction, evidence: Evidence) -> Outcome {
        let Some(version) = action.to_version.as_deref() else {
            return Outcome::failed(self.text("outcome.file_no_version"));
        };
        let wanted = match self.find(version).await {
            Ok(copy) => copy,
            Err(failed) => return failed,
        };
        let expected = match &action.undo {
            Undo::PutBack { path, sha256 } if Path::new(path) == self.path => Some(sha256.as_deref()),
            _ => None,
        };
        self.replace(Some(wanted), expected, evidence, "outcome.file_put").await
    }

    /// Puts back what was there before `action`, whose evidence is named `action_name`.
    pub(crate) async fn put_back(
        &self,
        action: &PlannedAction,
        sha256: Option<&str>,
        data_dir: &Path,
        action_name: &str,
        evidence: Evidence,
    ) -> Outcome {
        let former = evidence::read(data_dir, action_name, FORMER)
            .and_then(|text| serde_json::from_slice::<Former>(&text).ok())
            .filter(|former| former.sha256.as_deref() == sha256);
        let wanted = match sha256 {
            None => None,
            Some(sha256) => match self.find(sha256).await {
                Ok(copy) => Some(match former {
                    // The same content may have had another owner or mode than the good version has.
                    Some(f) => FileCopy { uid: f.uid, gid: f.gid, mode: f.mode, ..copy },
                    None => copy,
                }),
                Err(failed) => return failed,
            },
        };
        let expected = action.to_version.as_deref().map(Some);
        self.replace(wanted, expected, evidence, "outcome.file_put_back").await
    }

    /// `wanted`: what shall be there (`None`: nothing). `expected`: what the plan saw there, when it says so.
    async fn replace(
        &self,
        wanted: Option<FileCopy>,
        expected: Option<Option<&str>>,
        mut evidence: Evidence,
        done: &str,
    ) -> Outcome {
        let path = self.path.clone();
        let read = blocking(move || {
            let place = Place::of(&path)?;
            let present = place.read()?;
            Ok((place, present))
        });
        let (place, present) = match read.await {
            Ok(read) => read,
            Err(e) => return self.io_failed(&e),
        };
        let present_sha256 = present.as_ref().map(|copy| sha256_of(&copy.content));
        let undo = Undo::PutBack { path: self.path_text(), sha256: present_sha256.clone() };
        if present == wanted {
            return Outcome::succeeded(self.text("outcome.file_same"));
        }
        let ours = wanted.as_ref().map(|copy| sha256_of(&copy.content));
        if expected.is_some_and(|e| e != present_sha256.as_deref() && ours != present_sha256) {
            return Outcome::failed(self.text("outcome.file_changed_since"));
        }
        if let Err(failed) = self.keep_present(present, present_sha256, &mut evidence).await {
            return failed;
        }
        let written = blocking(move || match wanted {
            Some(copy) => place.put(&copy),
            None => place.remove(),
        });
        match written.await {
            Ok(()) => {
                Outcome::succeeded(self.text(done).with("version", short(ours.as_deref()))).with_undo(undo)
            }
            // It may be in place already, and only not safe on disk.
            Err(e) => self.io_failed(&e).with_undo(undo),
        }
    }

    /// Nothing is overwritten before it is safe in the evidence and in the store of versions.
    async fn keep_present(
        &self,
        present: Option<FileCopy>,
        sha256: Option<String>,
        evidence: &mut Evidence,
    ) -> Result<(), Outcome> {
        let failed =
            |error: String| Outcome::failed(Text::new("outcome.evidence_failed").with("error", error));
        let (uid, gid, mode) = present.as_ref().map_or((0, 0, 0), |c| (c.uid, c.gid, c.mode));
        let former =
            serde_json::to_vec(&Former { sha256, uid, gid, mode }).map_err(|e| failed(e.to_string()))?;
        evidence.add(FORMER, &former).map_err(|e| failed(e.to_string()))?;
        let Some(copy) = present else { return Ok(()) };
        evidence.add(FORMER_CONTENT, &copy.content).map_err(|e| failed(e.to_string()))?;
        self.keep_for_operator(&copy, &former, evidence.name()).await.map_err(|e| failed(e.to_string()))?;
        self.copies.keep(self.service, &self.path_text(), copy).await.map_err(failed)
    }

    /// Copies to the operator's own folder: content and a note, readable by root only.
    async fn keep_for_operator(
        &self,
        copy: &FileCopy,
        former: &[u8],
        action: &str,
    ) -> Result<(), PlaceError> {
        let Some(folder) = self.evidence_folder else { return Ok(()) };
        let name = self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let base = folder.join(format!("{action}-{name}"));
        let us = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let private = |content: Vec<u8>| FileCopy { content, uid: us.0, gid: us.1, mode: 0o600 };
        let note = format!("{}\n{}\n", self.path.display(), String::from_utf8_lossy(former));
        let (content, note) = (private(copy.content.clone()), private(note.into_bytes()));
        blocking(move || {
            let mut note_path = base.clone().into_os_string();
            note_path.push(".json");
            Place::of(&base)?.put(&content)?;
            Place::of(Path::new(&note_path))?.put(&note)
        })
        .await
    }

    async fn find(&self, sha256: &str) -> Result<FileCopy, Outcome> {
        let text = |key: &str| self.text(key).with("version", short(Some(sha256)));
        match self.copies.find(self.service, &self.path_text(), sha256).await {
            Ok(Some(copy)) if sha256_of(&copy.content) == sha256 => Ok(copy),
            Ok(Some(_)) => Err(Outcome::failed(text("outcome.file_copy_damaged"))),
            Ok(None) => Err(Outcome::failed(text("outcome.file_no_copy"))),
            Err(error) => Err(Outcome::failed(text("outcome.file_copy_failed").with("error", error))),
        }
    }

    fn io_failed(&self, error: &PlaceError) -> Outcome {
        Outcome::failed(match error {
            PlaceError::UntrustedLink(link) => {
                self.text("outcome.file_untrusted_link").with("link", link.display())
            }
            PlaceError::Io(e) => self.text("outcome.file_failed").with("error", e),
        })
    }

    fn path_text(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    fn text(&self, key: &str) -> Text {
        Text::new(key).with("path", self.path.display())
    }
}

/// True for a file of a release whose manifest is declared: below the folder of releases, in one of them.
fn of_release(service: &Service, path: &str) -> bool {
    let Some(release) = service.release.as_ref().filter(|r| r.manifest.is_some()) else { return false };
    let Ok(from) = std::fs::canonicalize(&release.from) else { return false };
    let plain = Path::new(path).components().skip(1).all(|c| matches!(c, std::path::Component::Normal(_)));
    plain && Path::new(path).strip_prefix(&from).is_ok_and(|below| below.components().count() >= 2)
}

/// The checksum of a content, as hexadecimal digits.
pub(crate) fn sha256_of(content: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(content).iter().fold(String::with_capacity(64), |mut out, b| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// The first digits, enough to tell versions apart; `-` for no file.
fn short(sha256: Option<&str>) -> String {
    sha256.map_or_else(|| "-".to_owned(), |s| s.chars().take(12).collect())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PlaceError> + Send + 'static,
) -> Result<T, PlaceError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|e| Err(PlaceError::Io(std::io::Error::other(e.to_string()))))
}
