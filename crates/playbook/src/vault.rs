//! Ansible's vault: AES-256 texts of the formats 1.1 and 1.2, read and written.
//!
//! The text holds salt, HMAC-SHA-256 and ciphertext in hex; keys and counter come from PBKDF2-HMAC-SHA-256 over the
//! password. The HMAC is checked before anything is opened.

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Rounds of PBKDF2 that the format fixes.
const ROUNDS: u32 = 10_000;
/// Hex digits of a line.
const LINE: usize = 80;
const BLOCK: usize = 16;

/// Why a sealed text stays closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The text has no or another header.
    #[error("input is not vault encrypted data")]
    Header,
    /// Another version or cipher.
    #[error("vault format {0:?} is not supported; accepted: $ANSIBLE_VAULT;1.1;AES256 and 1.2")]
    Format(String),
    /// The body is damaged.
    #[error("vault format is damaged: {0}")]
    Damaged(&'static str),
    /// No password fits.
    #[error("Decryption failed (no vault secrets were found that could decrypt).")]
    NoSecret,
}

/// Whether a text begins as a sealed one.
pub fn is_sealed(text: &str) -> bool {
    text.trim_start().starts_with("$ANSIBLE_VAULT;")
}

/// The label (vault id) of a sealed text of format 1.2.
pub fn label(text: &str) -> Option<&str> {
    text.trim_start().lines().next()?.split(';').nth(3).map(str::trim)
}

/// Opens a text with the first password that fits.
///
/// # Errors
/// [`VaultError`].
pub fn open<'p>(text: &str, passwords: impl IntoIterator<Item = &'p [u8]>) -> Result<Vec<u8>, VaultError> {
    let mut lines = text.trim_start().lines();
    let head = lines.next().unwrap_or_default().trim();
    let mut fields = head.split(';');
    if fields.next() != Some("$ANSIBLE_VAULT") {
        return Err(VaultError::Header);
    }
    let (version, cipher) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    if !matches!(version, "1.1" | "1.2") || cipher != "AES256" {
        return Err(VaultError::Format(head.chars().take(60).collect()));
    }
    let body: String = lines.map(str::trim).collect();
    let inner = unhex(body.as_bytes()).ok_or(VaultError::Damaged("the body is not hexadecimal"))?;
    let mut parts = inner.splitn(3, |byte| *byte == b'\n').map(unhex);
    let (Some(Some(salt)), Some(Some(mac)), Some(Some(sealed))) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(VaultError::Damaged("it does not hold salt, checksum and text"));
    };
    for password in passwords {
        let keys = Keys::of(password, &salt);
        if keys.mac(&sealed).verify_slice(&mac).is_ok() {
            return unpad(keys.cipher(sealed));
        }
    }
    Err(VaultError::NoSecret)
}

/// Seals a text; `salt` must be fresh random bytes (32 as Ansible does). With a label the format is 1.2.
pub fn seal(plain: &[u8], password: &[u8], label: Option<&str>, salt: &[u8]) -> String {
    let keys = Keys::of(password, salt);
    let padding = BLOCK - plain.len() % BLOCK;
    let mut padded = plain.to_vec();
    padded.resize(plain.len() + padding, padding as u8);
    let sealed = keys.cipher(padded);
    let mac = keys.mac(&sealed).finalize().into_bytes();
    let inner = format!("{}\n{}\n{}", hex(salt), hex(&mac), hex(&sealed));
    let outer = hex(inner.as_bytes());
    let mut out = match label {
        Some(label) => format!("$ANSIBLE_VAULT;1.2;AES256;{label}\n"),
        None => "$ANSIBLE_VAULT;1.1;AES256\n".to_owned(),
    };
    for line in outer.as_bytes().chunks(LINE) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out
}

struct Keys {
    cipher: [u8; 32],
    mac: [u8; 32],
    counter: [u8; 16],
}

impl Keys {
    fn of(password: &[u8], salt: &[u8]) -> Self {
        let mut derived = [0u8; 80];
        pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, ROUNDS, &mut derived);
        let mut keys = Self { cipher: [0; 32], mac: [0; 32], counter: [0; 16] };
        let (cipher, rest) = derived.split_at(32);
        let (mac, counter) = rest.split_at(32);
        keys.cipher.copy_from_slice(cipher);
        keys.mac.copy_from_slice(mac);
        keys.counter.copy_from_slice(counter);
        keys
    }

    /// Opens or seals: the two are one in counter mode.
    fn cipher(&self, mut text: Vec<u8>) -> Vec<u8> {
        Ctr128BE::<Aes256>::new(&self.cipher.into(), &self.counter.into()).apply_keystream(&mut text);
        text
    }

    fn mac(&self, sealed: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.mac).expect("HMAC takes keys of every length");
        mac.update(sealed);
        mac
    }
}

fn unpad(mut plain: Vec<u8>) -> Result<Vec<u8>, VaultError> {
    let padding = usize::from(plain.last().copied().unwrap_or_default());
    let bad = padding == 0 || padding > BLOCK || padding > plain.len();
    if bad || !plain.iter().rev().take(padding).all(|byte| usize::from(*byte) == padding) {
        return Err(VaultError::Damaged("the padding is wrong"));
    }
    plain.truncate(plain.len() - padding);
    Ok(plain)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::try_from(digit(pair.first()?)? * 16 + digit(pair.get(1)?)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_password_only() {
        for text in ["", "x", "sixteen bytes ..", "several\nlines\n"] {
            let sealed = seal(text.as_bytes(), b"secret", None, &[7; 32]);
            assert_eq!(open(&sealed, [&b"wrong"[..], b"secret"]), Ok(text.as_bytes().to_vec()));
            assert_eq!(open(&sealed, [&b"wrong"[..]]), Err(VaultError::NoSecret));
        }
    }

    #[test]
    fn a_label_makes_it_format_1_2() {
        let sealed = seal(b"x", b"secret", Some("dev"), &[7; 32]);
        assert!(sealed.starts_with("$ANSIBLE_VAULT;1.2;AES256;dev\n"));
        assert_eq!(label(&sealed), Some("dev"));
        assert!(sealed.lines().all(|line| line.len() <= LINE));
    }

    #[test]
    fn damage_is_named() {
        assert_eq!(open("hello", [&b"x"[..]]), Err(VaultError::Header));
        assert!(matches!(open("$ANSIBLE_VAULT;1.0;AES\n61", [&b"x"[..]]), Err(VaultError::Format(_))));
        assert!(matches!(open("$ANSIBLE_VAULT;1.1;AES256\n6g", [&b"x"[..]]), Err(VaultError::Damaged(_))));
        assert!(matches!(open("$ANSIBLE_VAULT;1.1;AES256\n61", [&b"x"[..]]), Err(VaultError::Damaged(_))));
    }
}
