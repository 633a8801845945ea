//! From what is declared to one archive that every host gets.
//!
//! Whatever it comes from is unpacked here and packed anew: what a host gets holds files, folders and links that stay
//! inside, belongs to nobody, and has no bits of other people's rights. The file whose checksum was compared is the one
//! that is unpacked. Equal content gives equal bytes.

mod fetch;
mod git;
mod pack;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use wellkept_model::keep::{App, ArtefactFrom, Checksum, VERSION_PLACE};
use wellkept_model::{Text, TimestampMs};
use wellkept_modules::{Call, Context, NoFiles};

use crate::error::DeployError;
use crate::house::TEMP_PREFIX;
use crate::version::Version;

/// The largest archive, bytes: it goes through the memory of controller and helper.
pub(crate) const ARCHIVE_MAX: u64 = 1 << 30;
/// The largest file that holds a checksum, bytes.
const CHECKSUM_FILE_MAX: usize = 64 * 1024;

/// What every host gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The packed archive (`tar.gz`).
    pub file: PathBuf,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// The commit, when it came from a repository.
    pub commit: Option<String>,
}

/// Gets the artefact, compares its checksum and packs it. `given`: a checksum from the command line, which wins.
///
/// # Errors
/// [`DeployError::Refused`] when it is not there, not what its checksum says, or holds what must not be; no host was
/// touched.
pub(crate) async fn prepare(
    app: &App,
    version: &Version,
    given: Option<&str>,
    to: &Path,
    now: TimestampMs,
) -> Result<Prepared, DeployError> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let temp = tempfile::Builder::new()
        .prefix(TEMP_PREFIX)
        .tempdir_in(folder)
        .map_err(DeployError::disk("make a folder in", folder))?;
    let fill = |text: &str| text.replace(VERSION_PLACE, version.as_str());
    let wanted = wanted(app, given, &fill).await?;
    let archive = temp.path().join("archive");
    let (mut commit, mut tree) = (None, temp.path().join("tree"));
    let packed = match &app.artefact.from {
        ArtefactFrom::File(path) => {
            let path = PathBuf::from(fill(path));
            if path.is_dir() {
                if wanted.is_some() {
                    return refused("deploy.folder_checksum", &path.display());
                }
                tree = path;
                false
            } else {
                let (from, to) = (path.clone(), archive.clone());
                blocking(move || copied(&from, &to)).await?;
                true
            }
        }
        ArtefactFrom::Url(url) => {
            let url = fill(url);
            if wanted.is_none() {
                return refused("deploy.url_without_checksum", &url);
            }
            fetch::to_file(&url, &archive).await?;
            true
        }
        ArtefactFrom::Git { repository, reference } => {
            let reference = fill(reference);
            commit = Some(git::archive(&fill(repository), &reference, temp.path(), &archive).await?);
            true
        }
    };
    let job = Job {
        archive: packed.then_some(archive),
        tree,
        temp: temp.path().to_owned(),
        wanted,
        strip: if commit.is_some() { 0 } else { app.artefact.strip },
        shared: app.shared.clone(),
        links_out: app.artefact.links_out,
        to: to.to_owned(),
        now,
    };
    let (sha256, bytes) = blocking(move || job.pack()).await?;
    Ok(Prepared { file: to.to_owned(), sha256, bytes, commit })
}

pub(crate) fn refused<T>(key: &str, what: &dyn ToString) -> Result<T, DeployError> {
    DeployError::refused(Text::new(key).with("what", what.to_string()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeployError> + Send + 'static,
) -> Result<T, DeployError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => refused("deploy.internal", &error),
    }
}

/// The checksum that the bytes must have.
async fn wanted(
    app: &App,
    given: Option<&str>,
    fill: &dyn Fn(&str) -> String,
) -> Result<Option<String>, DeployError> {
    let is_hex = |text: &str| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    if let Some(given) = given {
        let good = is_hex(given);
        return if good {
            Ok(Some(given.to_ascii_lowercase()))
        } else {
            refused("deploy.no_checksum", &given)
        };
    }
    let (text, from) = match &app.artefact.sha256 {
        None => return Ok(None),
        Some(Checksum::Hex(hex)) => return Ok(Some(hex.clone())),
        Some(Checksum::File(path)) => {
            let path = PathBuf::from(fill(path));
            let read = std::fs::File::open(&path).and_then(|file| {
                let mut text = String::new();
                file.take(CHECKSUM_FILE_MAX as u64).read_to_string(&mut text).map(|_| text)
            });
            match read {
                Ok(text) => (text, path.display().to_string()),
                Err(e) => return refused("deploy.no_artefact", &format!("{}: {e}", path.display())),
            }
        }
        Some(Checksum::Url(url)) => {
            let url = fill(url);
            let bytes = fetch::bytes(&url, CHECKSUM_FILE_MAX).await?;
            (String::from_utf8_lossy(&bytes).into_owned(), url)
        }
    };
    match text.split_whitespace().next().filter(|word| is_hex(word)) {
        Some(word) => Ok(Some(word.to_ascii_lowercase())),
        None => refused("deploy.no_checksum", &from),
    }
}

/// A copy of our own, so that nobody changes it between comparing and unpacking.
fn copied(from: &Path, to: &Path) -> Result<(), DeployError> {
    let named = |e: std::io::Error| {
        DeployError::Refused(Text::new("deploy.no_artefact").with("what", format!("{}: {e}", from.display())))
    };
    let file = std::fs::File::open(from).map_err(named)?;
    let mut copy = std::fs::File::create(to).map_err(DeployError::disk("write", to))?;
    let bytes = std::io::copy(&mut file.take(ARCHIVE_MAX + 1), &mut copy).map_err(named)?;
    if bytes > ARCHIVE_MAX { refused("deploy.too_large", &from.display()) } else { Ok(()) }
}

/// The SHA-256 of a file, hexadecimal.
pub(crate) fn sha256(path: &Path) -> Result<String, DeployError> {
    let failed = DeployError::disk("read", path);
    let hashing = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(path)?;
        let (mut hash, mut part) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            let read = file.read(&mut part)?;
            match part.get(..read).filter(|bytes| !bytes.is_empty()) {
                Some(bytes) => hash.update(bytes),
                None => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            }
        }
    };
    hashing().map_err(failed)
}

/// The blocking part.
struct Job {
    archive: Option<PathBuf>,
    tree: PathBuf,
    temp: PathBuf,
    wanted: Option<String>,
    strip: u32,
    shared: Vec<String>,
    links_out: bool,
    to: PathBuf,
    now: TimestampMs,
}

impl Job {
    fn pack(self) -> Result<(String, u64), DeployError> {
        if let Some(archive) = &self.archive {
            let found = sha256(archive)?;
            if let Some(wanted) = self.wanted.as_ref().filter(|wanted| **wanted != found) {
                let text = Text::new("deploy.wrong_checksum").with("wanted", wanted).with("found", found);
                return DeployError::refused(text);
            }
            self.unpack(archive)?;
        }
        let part = self.temp.join("packed");
        let file = std::fs::File::create(&part).map_err(DeployError::disk("write", &part))?;
        let mut file = pack::pack(&self.tree, &self.shared, self.links_out, file)?;
        let kept =
            file.flush().and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&part, &self.to));
        kept.map_err(DeployError::disk("write", &self.to))?;
        let bytes = std::fs::metadata(&self.to).map_err(DeployError::disk("read", &self.to))?.len();
        if bytes > ARCHIVE_MAX {
            return refused("deploy.too_large", &self.to.display());
        }
        Ok((sha256(&self.to)?, bytes))
    }

    /// By the module that unpacks on hosts, too: nothing gets out of the folder.
    fn unpack(&self, archive: &Path) -> Result<(), DeployError> {
        std::fs::create_dir(&self.tree).map_err(DeployError::disk("make", &self.tree))?;
        let mut call = Call { module: "unarchive".to_owned(), ..Call::default() };
        let mut give = |name: &str, value: serde_json::Value| call.args.insert(name.to_owned(), value);
        give("src", archive.display().to_string().into());
        give("dest", self.tree.display().to_string().into());
        give("remote_src", true.into());
        if self.strip > 0 {
            give("extra_opts", vec![format!("--strip-components={}", self.strip)].into());
        }
        let at = clock(self.now);
        let mut context = Context::new(self.temp.clone(), move || at);
        let result = wellkept_modules::run(&call, &NoFiles, &mut context);
        if result.get("failed").is_some_and(|failed| failed == true) {
            let why = result.get("msg").and_then(serde_json::Value::as_str).unwrap_or_default();
            return refused("deploy.bad_archive", &why);
        }
        Ok(())
    }
}

fn clock(now: TimestampMs) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(now.0).unwrap_or(0))
}
