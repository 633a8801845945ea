//! The release as it was built: one file out of a `tar.gz`, with owner and mode.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use wellkept_model::keep::Release;
use wellkept_model::local::WantedFile;

use super::manifest::{self, MANIFEST_MAX};
use crate::facts::kept::sha256_hex;

/// Biggest file that is taken out of an artefact, bytes.
const FILE_MAX: u64 = 16 << 20;
/// Most that is unpacked while looking for it, bytes.
const UNPACKED_MAX: u64 = 4 << 30;

/// A file of a release as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseCopy {
    /// The content; its SHA-256 is the manifest's.
    pub content: Vec<u8>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// The good copy of `path`, a file of a release of this service; `None` when it is no such file, the manifest does
/// not want this checksum, or the artefact has no such content. Blocks while the artefact is read.
///
/// # Errors
/// When manifest or artefact are there and cannot be read.
pub fn release_copy(release: &Release, path: &Path, sha256: &str) -> io::Result<Option<ReleaseCopy>> {
    let Some(found) = locate(release, path)? else { return Ok(None) };
    let manifest_path = release.manifest.as_ref().map(|m| found.folder.join(m)).unwrap_or_default();
    let mut text = String::new();
    File::open(manifest_path)?.take(MANIFEST_MAX).read_to_string(&mut text)?;
    let manifest = manifest::parse(&text)?;
    let Some(wanted) = manifest.get(&found.relative).filter(|w| w.sha256 == sha256) else { return Ok(None) };
    let Some(pattern) = &release.artefact else { return Ok(None) };
    let archive = File::open(pattern.replace("{release}", &found.name))?;
    unpack(archive, &found.relative, wanted)
}

/// Where a file lies among the releases.
struct Located {
    folder: PathBuf,
    name: String,
    relative: String,
}

fn locate(release: &Release, path: &Path) -> io::Result<Option<Located>> {
    let from = std::fs::canonicalize(&release.from)?;
    let Ok(below) = path.strip_prefix(&from) else { return Ok(None) };
    let mut parts = below.components();
    let Some(name) = parts.next().and_then(|c| c.as_os_str().to_str()) else { return Ok(None) };
    let Some(relative) = parts.as_path().to_str().filter(|r| !r.is_empty()) else { return Ok(None) };
    Ok(Some(Located { folder: from.join(name), name: name.to_owned(), relative: relative.to_owned() }))
}

fn unpack(archive: impl Read, relative: &str, wanted: &WantedFile) -> io::Result<Option<ReleaseCopy>> {
    let mut tar = tar::Archive::new(GzDecoder::new(archive).take(UNPACKED_MAX));
    for entry in tar.entries()? {
        let entry = entry?;
        let header = entry.header();
        let is_it = header.entry_type().is_file()
            && entry.path()?.to_str().is_some_and(|p| p.trim_start_matches("./") == relative);
        if !is_it || header.size()? > FILE_MAX {
            continue;
        }
        let (uid, gid, mode) = (header.uid()?, header.gid()?, header.mode()?);
        let narrow = |id: u64| u32::try_from(id).map_err(io::Error::other);
        let (uid, gid) =
            (wanted.uid.map_or_else(|| narrow(uid), Ok)?, wanted.gid.map_or_else(|| narrow(gid), Ok)?);
        let mut content = Vec::new();
        entry.take(FILE_MAX).read_to_end(&mut content)?;
        if sha256_hex(&content) == wanted.sha256 {
            let mode = wanted.mode.unwrap_or(mode & 0o7777);
            return Ok(Some(ReleaseCopy { content, uid, gid, mode }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn world(content: &str) -> (tempfile::TempDir, Release) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let from = dir.path().join("releases");
        std::fs::create_dir_all(from.join("7/static")).expect("it can be made");
        let sum = sha256_hex(b"good");
        let manifest = format!(r#"{{"files": {{"static/x": {{"sha256": "{sum}", "mode": "0640"}}}}}}"#);
        std::fs::write(from.join("7/MANIFEST.json"), manifest).expect("it can be written");
        let gz = GzEncoder::new(
            File::create(dir.path().join("app-7.tar.gz")).expect("a file"),
            Compression::fast(),
        );
        let mut tar = tar::Builder::new(gz);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_uid(1234);
        header.set_gid(1235);
        header.set_cksum();
        tar.append_data(&mut header, "./static/x", content.as_bytes()).expect("it can be packed");
        tar.into_inner().and_then(GzEncoder::finish).expect("it can be written");
        let artefact = dir.path().join("app-{release}.tar.gz").to_string_lossy().into_owned();
        let release = Release {
            current: dir.path().join("current"),
            from,
            manifest: Some("MANIFEST.json".into()),
            artefact: Some(artefact),
            rollback: None,
        };
        (dir, release)
    }

    fn look(release: &Release, name: &str) -> Option<ReleaseCopy> {
        let from = std::fs::canonicalize(&release.from).expect("it is there");
        release_copy(release, &from.join(name), &sha256_hex(b"good")).expect("it can be read")
    }

    #[test]
    fn the_manifest_says_the_mode_and_the_artefact_what_it_leaves_open() {
        let (_dir, release) = world("good");
        let copy = look(&release, "7/static/x").expect("it is in the artefact");
        assert_eq!(
            (copy.content.as_slice(), copy.uid, copy.gid, copy.mode),
            (&b"good"[..], 1234, 1235, 0o640)
        );
    }

    #[test]
    fn an_artefact_with_other_content_gives_nothing() {
        let (_dir, release) = world("evil");
        assert_eq!(look(&release, "7/static/x"), None);
        assert_eq!(look(&release, "7/static/y"), None, "not in the manifest");
    }

    #[test]
    fn a_file_outside_of_the_releases_gives_nothing() {
        let (dir, release) = world("good");
        let elsewhere = dir.path().join("static/x");
        assert_eq!(release_copy(&release, &elsewhere, &sha256_hex(b"good")).expect("no error"), None);
    }
}
