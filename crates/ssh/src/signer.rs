//! Signing with the keys of files: a key is opened, and its passphrase asked for, only once the host wants it.

use std::path::PathBuf;
use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey};

use crate::keys::{self, Loaded};
use crate::prompts::Prompts;

/// How often a passphrase is asked for.
const PASSPHRASES_MAX: u32 = 3;

/// A private key in a file.
pub(crate) struct FileKey {
    pub(crate) path: PathBuf,
    pub(crate) prompts: Arc<dyn Prompts>,
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("the connection broke off")]
    Gone,
    #[error("{0}")]
    Key(String),
}

impl From<russh::SendError> for SignError {
    fn from(_: russh::SendError) -> Self {
        Self::Gone
    }
}

impl FileKey {
    async fn open(&self) -> Result<Box<PrivateKey>, SignError> {
        let (path, prompts) = (self.path.clone(), Arc::clone(&self.prompts));
        // Deriving a key from a passphrase takes a good part of a second by design, and a person types.
        let opened = tokio::task::spawn_blocking(move || {
            let mut passphrase = None;
            for attempt in 0..=PASSPHRASES_MAX {
                match keys::private_key(&path, passphrase.as_ref()) {
                    Loaded::Key(key) => return Ok(key),
                    Loaded::Unusable(why) => return Err(why),
                    Loaded::Locked if attempt == PASSPHRASES_MAX => break,
                    Loaded::Locked => passphrase = prompts.passphrase(&path, attempt),
                }
                if passphrase.is_none() {
                    return Err("its passphrase was not given".to_owned());
                }
            }
            Err("the passphrase is wrong".to_owned())
        });
        opened.await.map_err(|e| SignError::Key(e.to_string()))?.map_err(SignError::Key)
    }
}

impl russh::Signer for FileKey {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let key = self.open().await?;
        let failed = |e: &dyn std::fmt::Display| SignError::Key(format!("it cannot sign: {e}"));
        let signature: Signature = match key.key_data() {
            KeypairData::Rsa(pair) => (pair, hash).try_sign(&to_sign),
            pair => pair.try_sign(&to_sign),
        }
        .map_err(|e| failed(&e))?;
        let mut encoded = Vec::new();
        signature.encode(&mut encoded).map_err(|e| failed(&e))?;
        encoded.encode(&mut to_sign).map_err(|e| failed(&e))?;
        Ok(to_sign)
    }
}
