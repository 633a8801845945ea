//! Keys: reading public and private ones and certificates, with bounds, and their bytes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::{Certificate, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The largest file with a key or certificate, bytes.
const KEY_FILE_MAX: u64 = 256 * 1024;

/// A public key from its base64 form; nothing for damaged ones and for those nested to exhaust the stack.
pub(crate) fn public_key(encoded: &str) -> Option<PublicKey> {
    let bytes = STANDARD.decode(encoded).ok()?;
    russh::keys::key::parse_public_key(&bytes).ok()
}

/// The bytes of a public key as they stand on the wire.
pub(crate) fn blob(key: &PublicKey) -> Vec<u8> {
    use russh::keys::PublicKeyBase64 as _;
    key.public_key_bytes()
}

/// The public half of a key file: from `KEY.pub`, or from the private file when that shows it without its passphrase.
pub(crate) fn public_half(path: &Path) -> io::Result<Option<PublicKey>> {
    if let Some(text) = read(&with_suffix(path, ".pub"))? {
        let mut words = text.split_ascii_whitespace();
        if let Some(key) = words.nth(1).and_then(public_key) {
            return Ok(Some(key));
        }
    }
    let Some(text) = read(path)? else { return Ok(None) };
    if let Ok(key) = PrivateKey::from_openssh(text.as_bytes()) {
        return Ok(Some(key.public_key().clone()));
    }
    Ok(russh::keys::decode_secret_key(&text, None).ok().map(|key| key.public_key().clone()))
}

/// The certificate in a file.
pub(crate) fn certificate(path: &Path) -> io::Result<Option<Certificate>> {
    Ok(read(path)?.and_then(|text| Certificate::from_openssh(text.trim()).ok()))
}

/// `KEY-cert.pub`, where OpenSSH looks for the certificate of a key.
pub(crate) fn certificate_beside(path: &Path) -> PathBuf {
    with_suffix(path, "-cert.pub")
}

/// What became of reading a private key.
pub(crate) enum Loaded {
    /// Ready to sign.
    Key(Box<PrivateKey>),
    /// It needs a passphrase, or another one.
    Locked,
    /// No key, or of a kind or form that cannot be read.
    Unusable(String),
}

/// Reads a private key.
pub(crate) fn private_key(path: &Path, passphrase: Option<&Secret>) -> Loaded {
    if seen_by_others(path) {
        return Loaded::Unusable(
            "others may read it; `chmod 600` it, and think of making a new one".to_owned(),
        );
    }
    let text = match read(path) {
        Ok(Some(text)) => text,
        Ok(None) => return Loaded::Unusable("it is not there".to_owned()),
        Err(e) => return Loaded::Unusable(e.to_string()),
    };
    if let Ok(key) = PrivateKey::from_openssh(text.as_bytes()) {
        if !key.is_encrypted() {
            return Loaded::Key(Box::new(key));
        }
        let Some(passphrase) = passphrase else { return Loaded::Locked };
        return key.decrypt(passphrase.expose()).map_or(Loaded::Locked, |key| Loaded::Key(Box::new(key)));
    }
    // The older forms: PKCS#1, PKCS#8, SEC1.
    match russh::keys::decode_secret_key(&text, passphrase.map(Secret::expose)) {
        Ok(key) => Loaded::Key(Box::new(key)),
        Err(_) if text.contains("ENCRYPTED") => Loaded::Locked,
        Err(e) => Loaded::Unusable(e.to_string()),
    }
}

/// As `ssh` has it: a key of our own that group or others may read is not used.
fn seen_by_others(path: &Path) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    path.metadata().is_ok_and(|m| m.uid() == ours && m.mode() & 0o077 != 0)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn read(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = Zeroizing::new(String::new());
    let read = file.take(KEY_FILE_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > KEY_FILE_MAX {
        return Err(io::Error::other(format!("it has more than {} KiB", KEY_FILE_MAX / 1024)));
    }
    Ok(Some(text))
}
