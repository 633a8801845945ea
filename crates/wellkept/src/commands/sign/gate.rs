//! What every playbook passes before anything of it is read: a signed bundle is checked and put in a place of its own,
//! an unsigned playbook needs a person.
//!
//! The newest generation of each name is kept in the data directory, so that an old bundle cannot be played back.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;
use wellkept_agent::unpack::{Placed, place};
use wellkept_model::Text;
use wellkept_sign::{Bundle, Check, Seen, Trust, is_bundle, verify};

use super::{BUNDLE_MAX, bad, not_good, now_s, read, told, trust_of};
use crate::commands::Context;
use crate::say;

/// Bundles whose files are kept; the oldest go first.
const KEPT_MAX: usize = 50;
/// Largest file with generations, bytes.
const SEEN_MAX: u64 = 4 << 20;

/// Whose playbooks are taken.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Gate {
    /// The keep file with the keys that bundles have to be signed by. Default: /etc/wellkept/wellkept.yml when it exists.
    #[arg(long, value_name = "FILE")]
    pub(crate) keep: Option<PathBuf>,
    /// Nobody is there: take signed bundles only.
    #[arg(long)]
    pub(crate) automatic: bool,
    /// Modules that tasks may use; all of them when it is not said.
    #[arg(long, hide = true, value_delimiter = ',', value_name = "MODULES")]
    pub(crate) only_modules: Option<Vec<String>>,
}

/// A playbook that was let through.
pub(in crate::commands) struct Admitted {
    /// Where it is.
    pub(in crate::commands) playbook: PathBuf,
    /// The inventory that came with it.
    pub(in crate::commands) inventory: Option<PathBuf>,
    /// Host patterns outside of which nothing may be done; none for an unsigned playbook.
    pub(in crate::commands) targets: Option<Vec<String>>,
    /// Its files, when there is no data directory to keep them in.
    _folder: Option<TempDir>,
}

impl Gate {
    /// Lets a playbook through, or says why not.
    pub(in crate::commands) fn admit(
        &self,
        context: Context,
        data_dir: &Path,
        path: &Path,
    ) -> anyhow::Result<Admitted> {
        let mut first = [0; 8];
        let claims =
            File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok() && is_bundle(&first);
        if !claims {
            if self.automatic {
                return Err(told(context, &Text::new("sign.unsigned").with("file", path.display())).into());
            }
            return Ok(Admitted { playbook: path.to_owned(), inventory: None, targets: None, _folder: None });
        }
        let bytes = read(path, BUNDLE_MAX)?;
        let known = trust_of(context, self.keep.as_deref())?;
        // Where a person is there, that person is one who agrees.
        let trust = if self.automatic { known } else { Trust::any_of(known.keys) };
        if trust.keys.is_empty() {
            return Err(told(context, &Text::new("sign.no_trust").with("file", path.display())).into());
        }
        let memory = Memory::of(data_dir)?;
        if memory.is_none() {
            let key = if self.automatic { "sign.no_memory" } else { "sign.no_memory_notice" };
            let text = Text::new(key).with("path", data_dir.display());
            if self.automatic {
                return Err(told(context, &text).into());
            }
            say::error(&say::text(context.language, &text));
        }
        let seen = memory.as_ref().map(Memory::read).transpose()?.unwrap_or_default();
        let check = Check { trust: &trust, now: now_s(), seen: &seen, again: true, host: None };
        let bundle = verify(&bytes, &check).map_err(|e| not_good(path, &e))?;
        if let Some(memory) = &memory {
            memory.note(seen, &bundle)?;
        }
        let (placed, folder) = put(&bundle, memory.is_some().then_some(data_dir))?;
        Ok(Admitted {
            playbook: placed.playbook,
            inventory: placed.inventory,
            targets: Some(bundle.manifest().targets.clone()),
            _folder: folder,
        })
    }
}

/// The generations that were seen, locked for others.
struct Memory {
    file: PathBuf,
    _lock: File,
}

impl Memory {
    /// That of a data directory; none when there is no such directory.
    fn of(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        if !data_dir.join("VERSION").is_file() {
            return Ok(None);
        }
        let folder = data_dir.join("trust");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(folder.join("LOCK"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        Ok(Some(Self { file: folder.join("seen.json"), _lock: lock }))
    }

    fn read(&self) -> anyhow::Result<Seen> {
        if !self.file.exists() {
            return Ok(Seen::default());
        }
        let bytes = read(&self.file, SEEN_MAX)?;
        Ok(serde_json::from_slice(&bytes).map_err(|e| bad(format!("{}: {e}", self.file.display())))?)
    }

    /// Noted before anything is done by it.
    fn note(&self, mut seen: Seen, bundle: &Bundle<'_>) -> anyhow::Result<()> {
        if seen.note(bundle.manifest(), bundle.digest()) {
            let folder = self.file.parent().unwrap_or(Path::new("."));
            let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
            fresh.write_all(&serde_json::to_vec(&seen)?)?;
            fresh.as_file().sync_all()?;
            fresh.persist(&self.file)?;
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

/// The files of a bundle in a folder that is named by its content, so that a stopped run of it can be gone on with.
fn put(bundle: &Bundle<'_>, data_dir: Option<&Path>) -> anyhow::Result<(Placed, Option<TempDir>)> {
    let Some(data_dir) = data_dir else {
        let folder = tempfile::Builder::new().prefix("wellkept-bundle-").tempdir()?;
        let placed = place(bundle, &folder.path().join("files"))?;
        return Ok((placed, Some(folder)));
    };
    let folder = data_dir.join("fleet/bundles").join(bundle.digest().to_string());
    let manifest = bundle.manifest();
    let placed = Placed {
        playbook: folder.join(&manifest.playbook),
        inventory: manifest.inventory.as_ref().map(|path| folder.join(path)),
        folder: folder.clone(),
    };
    if is_whole(bundle, &folder) {
        return Ok((placed, None));
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let placed = place(bundle, &folder)?;
    if let Some(all) = folder.parent() {
        tidy(all)?;
    }
    Ok((placed, None))
}

/// Removes the files of bundles that were placed longest ago.
fn tidy(all: &Path) -> std::io::Result<()> {
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(all)? {
        let entry = entry?;
        kept.push((entry.metadata()?.modified()?, entry.path()));
    }
    kept.sort();
    let surplus = kept.len().saturating_sub(KEPT_MAX);
    kept.iter().take(surplus).try_for_each(|(_, path)| std::fs::remove_dir_all(path))
}

/// Whether exactly these files are there.
fn is_whole(bundle: &Bundle<'_>, folder: &Path) -> bool {
    let same = |(file, bytes): (&wellkept_sign::FileEntry, &[u8])| {
        let path = folder.join(&file.path);
        let plain = std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_file() && m.len() == file.size);
        plain && std::fs::read(&path).is_ok_and(|read| read == bytes)
    };
    bundle.files().all(same) && count(folder) == bundle.files().count()
}

fn count(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let one = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => count(&entry.path()),
        _ => 1,
    };
    entries.flatten().map(one).sum()
}
