//! What was taken before: the newest generation of each name, so that an old bundle cannot be played back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{BundleError, Digest, Manifest};

/// The newest of each name. The caller keeps it where it outlives a restart, and notes a bundle before it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    bundles: BTreeMap<String, Newest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    generation: u64,
    manifest: Digest,
}

impl Seen {
    /// Refuses what is older than something seen. The newest itself may come again when `again` is set, and only as the
    /// very same.
    ///
    /// # Errors
    /// [`BundleError::Older`], [`BundleError::Again`], [`BundleError::Forked`].
    pub fn check(&self, manifest: &Manifest, digest: Digest, again: bool) -> Result<(), BundleError> {
        let Some(newest) = self.bundles.get(&manifest.name) else { return Ok(()) };
        let (name, generation) = (manifest.name.clone(), manifest.generation);
        match generation.cmp(&newest.generation) {
            std::cmp::Ordering::Less => {
                Err(BundleError::Older { name, found: generation, seen: newest.generation })
            }
            std::cmp::Ordering::Equal if newest.manifest != digest => {
                Err(BundleError::Forked { name, generation })
            }
            std::cmp::Ordering::Equal if !again => Err(BundleError::Again { name, generation }),
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => Ok(()),
        }
    }

    /// Notes a bundle that was found good; true when that is news.
    pub fn note(&mut self, manifest: &Manifest, digest: Digest) -> bool {
        let newest = Newest { generation: manifest.generation, manifest: digest };
        match self.bundles.get(&manifest.name) {
            Some(known) if known.generation >= newest.generation => false,
            _ => {
                self.bundles.insert(manifest.name.clone(), newest);
                true
            }
        }
    }
}
