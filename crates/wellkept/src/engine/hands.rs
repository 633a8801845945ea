//! Gives the hands on this host their keep file and the store of file copies.

use std::path::Path;
use std::sync::Arc;

use wellkept_model::keep::Keep;
use wellkept_remote::{Copies, FileCopy, LocalHands};
use wellkept_state::{FileVersions, StateError};

use crate::clock::now;

pub(super) fn new(keep: &Arc<Keep>, versions: &FileVersions, data_dir: &Path) -> Arc<LocalHands> {
    // Programs that the hands start have another working directory than we.
    let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    Arc::new(LocalHands::new(Arc::clone(keep), copies(keep, versions), data_dir))
}

fn copies(keep: &Arc<Keep>, versions: &FileVersions) -> Copies {
    let (reader, writer, keep) = (versions.clone(), versions.clone(), Arc::clone(keep));
    Copies::new(
        move |service, path, sha256| {
            let (versions, keep) = (reader.clone(), Arc::clone(&keep));
            async move {
                match find(&versions, &service, &path, &sha256).await.map_err(|e| e.to_string())? {
                    Some(copy) => Ok(Some(copy)),
                    None => from_release(&keep, service, path, sha256).await,
                }
            }
        },
        move |service, path, copy| {
            let versions = writer.clone();
            async move {
                let (content, owner) = (copy.content, (copy.uid, copy.gid, copy.mode));
                let kept = versions.keep(&service, &path, content, owner, now()).await;
                kept.map(drop).map_err(|e| e.to_string())
            }
        },
    )
}

/// A file of a release, out of the release as it was built.
async fn from_release(
    keep: &Arc<Keep>,
    service: String,
    path: String,
    sha256: String,
) -> Result<Option<FileCopy>, String> {
    let Some(release) = keep.services.get(&service).and_then(|s| s.release.clone()) else { return Ok(None) };
    let read = move || wellkept_collect::release_copy(&release, Path::new(&path), &sha256);
    let found = tokio::task::spawn_blocking(read).await.map_err(|e| e.to_string())?;
    let copy = found.map_err(|e| e.to_string())?;
    Ok(copy.map(|c| FileCopy { content: c.content, uid: c.uid, gid: c.gid, mode: c.mode }))
}

async fn find(
    versions: &FileVersions,
    service: &str,
    path: &str,
    sha256: &str,
) -> Result<Option<FileCopy>, StateError> {
    let Some(version) = versions.version(service, path, sha256).await? else { return Ok(None) };
    let content = versions.get(sha256).await?;
    let meta = version.meta;
    Ok(Some(FileCopy { content, uid: meta.uid, gid: meta.gid, mode: meta.mode }))
}
