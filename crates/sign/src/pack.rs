//! Makes bundles: the same files and keys give the same bytes.

use std::collections::BTreeMap;

use crate::manifest::{MANIFEST_MAX, bound};
use crate::open::{MAGIC, PURPOSE, SIGNATURES_MAX, VERSION};
use crate::{BundleError, FileEntry, Manifest, SigningKey, digest};

/// What goes into a bundle.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// See [`Manifest::name`].
    pub name: String,
    /// See [`Manifest::generation`].
    pub generation: u64,
    /// Seconds since the epoch.
    pub not_before: u64,
    /// Seconds since the epoch.
    pub expires: u64,
    /// See [`Manifest::targets`].
    pub targets: Vec<String>,
    /// Path of the playbook among the files.
    pub playbook: String,
    /// Path of the inventory among the files.
    pub inventory: Option<String>,
    /// Contents by path, with whether they may be started.
    pub files: BTreeMap<String, (Vec<u8>, bool)>,
}

/// A bundle with the signatures of these keys.
///
/// # Errors
/// A draft that would be refused when it is opened.
pub fn pack(draft: &Draft, keys: &[SigningKey]) -> Result<Vec<u8>, BundleError> {
    if keys.is_empty() {
        return Err(BundleError::Signatures { found: 0, needed: 1 });
    }
    bound("number of signatures", keys.len() as u64, SIGNATURES_MAX as u64)?;
    let entry = |(path, (bytes, executable)): (&String, &(Vec<u8>, bool))| FileEntry {
        path: path.clone(),
        size: bytes.len() as u64,
        executable: *executable,
        sha256: digest(bytes),
    };
    let manifest = Manifest {
        name: draft.name.clone(),
        generation: draft.generation,
        not_before: draft.not_before,
        expires: draft.expires,
        targets: draft.targets.clone(),
        playbook: draft.playbook.clone(),
        inventory: draft.inventory.clone(),
        files: draft.files.iter().map(entry).collect(),
    };
    manifest.check()?;
    let text = serde_json::to_vec(&manifest).map_err(|e| BundleError::Manifest { why: e.to_string() })?;
    bound("table of contents", text.len() as u64, MANIFEST_MAX as u64)?;
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.push(keys.len() as u8);
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(&text);
    for key in keys {
        out.extend_from_slice(&key.public().0);
        out.extend_from_slice(&key.sign(PURPOSE, &text));
    }
    for (bytes, _) in draft.files.values() {
        out.extend_from_slice(bytes);
    }
    Ok(out)
}
