//! Who this agent is: its key, its certificate, and the server that it belongs to.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Method;
use serde::{Deserialize, Serialize};
use wellkept_sign::{Digest, SigningKey, digest};
use zeroize::Zeroizing;

use crate::authority::fresh_key;
use crate::line::{Line, LineError, address_of};
use crate::wire::{JoinAnswer, JoinRequest, SMALL_MAX, proof};
use crate::{JoinToken, folder, tls};

/// Largest file of ours, bytes.
const FILE_MAX: u64 = 64 << 10;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The server cannot be asked, or says no.
    #[error(transparent)]
    Line(#[from] crate::line::LineError),
    /// The answer cannot be used.
    #[error("what the server answered cannot be used: {0}")]
    Answer(String),
    /// The disk.
    #[error("the agent's folder {folder} cannot be used: {error}")]
    Disk {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

/// Who an agent is.
pub struct Identity {
    /// The name that it was given.
    pub name: String,
    /// The server.
    pub url: String,
    /// Milliseconds since the epoch.
    pub expires_ms: i64,
    pub(crate) renew_ms: i64,
    pub(crate) authority: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: SigningKey,
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format: u32,
    name: String,
    url: String,
    authority: String,
    certificate: String,
    expires_ms: i64,
    renew_ms: i64,
}

impl Identity {
    /// Reads the identity of a folder; `None` when the agent has not joined.
    ///
    /// # Errors
    /// The disk, or what is damaged.
    pub fn read(path: &Path) -> Result<Option<Self>, JoinError> {
        let disk = |error| JoinError::Disk { folder: path.to_owned(), error };
        let Some(kept) = folder::read_json::<Kept>(&path.join("identity.json"), FILE_MAX).map_err(disk)?
        else {
            return Ok(None);
        };
        let damaged = |what: &str| disk(io::Error::other(format!("{what} is damaged; join again")));
        let key = read_key(path).map_err(disk)?.ok_or_else(|| damaged("agent.key"))?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| damaged("identity.json"));
        Ok(Some(Self {
            authority: decode(&kept.authority)?,
            certificate: decode(&kept.certificate)?,
            name: kept.name,
            url: kept.url,
            expires_ms: kept.expires_ms,
            renew_ms: kept.renew_ms,
            key,
            folder: path.to_owned(),
        }))
    }

    pub(crate) fn fingerprint(&self) -> Digest {
        digest(&self.authority)
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> String {
        address_of(&self.url).unwrap_or_else(|_| self.url.clone())
    }

    fn save(&self) -> io::Result<()> {
        let kept = Kept {
            format: 1,
            name: self.name.clone(),
            url: self.url.clone(),
            authority: STANDARD.encode(&self.authority),
            certificate: STANDARD.encode(&self.certificate),
            expires_ms: self.expires_ms,
            renew_ms: self.renew_ms,
        };
        folder::replace_json(&self.folder.join("identity.json"), &kept)
    }

    /// Takes a new certificate.
    pub(crate) fn renewed(&mut self, answer: &[u8]) -> Result<(), JoinError> {
        let (answer, certificate) = read_answer(answer)?;
        if answer.name != self.name {
            return Err(JoinError::Answer("it is for another agent".to_owned()));
        }
        self.certificate = certificate;
        self.expires_ms = answer.expires_ms;
        self.renew_ms = answer.renew_ms;
        self.save().map_err(|error| JoinError::Disk { folder: self.folder.clone(), error })
    }

    /// What is asked for when the certificate is to be renewed.
    pub(crate) fn renewal(&self) -> Result<Bytes, JoinError> {
        request(&self.key, "", "", self.fingerprint())
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("name", &self.name).field("url", &self.url).finish_non_exhaustive()
    }
}

fn request(key: &SigningKey, token: &str, secret: &str, authority: Digest) -> Result<Bytes, JoinError> {
    let request = JoinRequest {
        token: token.to_owned(),
        secret: secret.to_owned(),
        key: key.public(),
        proof: STANDARD.encode(proof(key, token, authority)),
    };
    serde_json::to_vec(&request).map(Bytes::from).map_err(|e| JoinError::Answer(e.to_string()))
}

fn read_answer(bytes: &[u8]) -> Result<(JoinAnswer, Vec<u8>), JoinError> {
    let answer: JoinAnswer = serde_json::from_slice(bytes).map_err(|e| JoinError::Answer(e.to_string()))?;
    crate::check_name(&answer.name).map_err(|e| JoinError::Answer(e.to_string()))?;
    let certificate = STANDARD.decode(&answer.certificate);
    let certificate = certificate.map_err(|_| JoinError::Answer("its certificate is damaged".to_owned()))?;
    Ok((answer, certificate))
}

fn read_key(path: &Path) -> io::Result<Option<SigningKey>> {
    let Some(text) = folder::read(&path.join("agent.key"), FILE_MAX)?.map(Zeroizing::new) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&text).unwrap_or_default();
    SigningKey::from_text(text).map(Some).map_err(|e| io::Error::other(e.to_string()))
}

/// Joins the server that the token names. The key is on disk before it is used, so that an answer that gets lost can be
/// asked for again.
///
/// # Errors
/// A server that cannot be reached, is another, or says no; the disk.
pub async fn join(url: &str, token: &JoinToken, path: &Path) -> Result<Identity, JoinError> {
    let disk = |error| JoinError::Disk { folder: path.to_owned(), error };
    folder::make(path).map_err(disk)?;
    let key = match read_key(path).map_err(disk)? {
        Some(key) => key,
        None => {
            let key = fresh_key().map_err(disk)?;
            folder::replace(&path.join("agent.key"), key.to_text().as_bytes(), 0o600).map_err(disk)?;
            key
        }
    };
    let (config, pinned) = tls::joining(token.authority).map_err(disk)?;
    let mut line = Line::new(url, config)?;
    let body = request(&key, &token.id, &token.secret, token.authority)?;
    let answer = line.ask(Method::POST, "/v1/join", &[], body, SMALL_MAX).await?;
    let (answer, certificate) = read_answer(&answer)?;
    let authority = pinned.shown().ok_or_else(|| LineError::Address(url.to_owned()))?;
    let identity = Identity {
        name: answer.name,
        url: url.trim().to_owned(),
        expires_ms: answer.expires_ms,
        renew_ms: answer.renew_ms,
        authority,
        certificate,
        key,
        folder: path.to_owned(),
    };
    identity.save().map_err(disk)?;
    Ok(identity)
}
