//! Whom to believe.

use serde::{Deserialize, Serialize};

use crate::{BundleError, PublicKey};

/// A key with a name that people know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// For messages.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    /// It is known and not believed any more: bundles with its signature are refused, whoever else signed them.
    #[serde(default)]
    pub revoked: bool,
}

/// The keys that are believed, and how many of them have to agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Known keys.
    pub keys: Vec<TrustedKey>,
    /// How many different signers have to sign; at least 1. Keys of one name are one signer's.
    pub signatures: usize,
}

impl Trust {
    /// One signature of any of these.
    #[must_use]
    pub fn any_of(keys: Vec<TrustedKey>) -> Self {
        Self { keys, signatures: 1 }
    }

    /// The key with its name.
    pub(crate) fn find(&self, key: &PublicKey) -> Result<&TrustedKey, BundleError> {
        let known = self.keys.iter().filter(|k| k.key == *key);
        // A key that is listed twice is revoked when one of the lines says so.
        match known.max_by_key(|k| k.revoked) {
            None => Err(BundleError::UnknownKey { key: key.to_string() }),
            Some(known) if known.revoked => Err(BundleError::Revoked { name: known.name.clone() }),
            Some(known) => Ok(known),
        }
    }
}
