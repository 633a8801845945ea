//! Gives the hands on this host their keep file and the store of file copies.

use std::path::Path;
use std::sync::Arc;

use wellkept_model::keep::Keep;
use wellkept_remote::{Copies, FileCopy, LocalHands};
use wellkept_state::{FileVersions, StateError};

use crate::clock::now;

pub(super) fn new(keep: &Arc<Keep>, versions: &FileVersions, data_dir: &Path) -> Arc<LocalHands> {
    Arc::new(LocalHands::new(Arc::clone(keep), copies(versions), data_dir.to_owned()))
}

fn copies(versions: &FileVersions) -> Copies {
    let (reader, writer) = (versions.clone(), versions.clone());
    Copies::new(
        move |service, path, sha256| {
            let versions = reader.clone();
            async move { find(&versions, &service, &path, &sha256).await.map_err(|e| e.to_string()) }
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
