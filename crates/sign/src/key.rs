//! Ed25519 keys: the public half as people write it into a keep file, the secret half as it lies in a file.
//!
//! The secret half has no `Debug` and is wiped from memory. A public key is written `ed25519:` and base64, so that
//! another algorithm can stand beside it one day without being mistaken for this one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::BundleError;

/// Begins a public key.
const PUBLIC: &str = "ed25519:";
/// Begins the one line of a file with a secret key.
const SECRET: &str = "wellkept-signing-key-1 ";
const SECRET_ACCEPTED: &str = "a file that `wellkept sign keygen` made";

/// Whom a signature is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = BundleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.trim().strip_prefix(PUBLIC).and_then(|b| STANDARD.decode(b).ok());
        let bytes: Option<[u8; 32]> = bytes.and_then(|b| b.try_into().ok());
        bytes.map(Self).ok_or_else(|| BundleError::Key {
            what: "this is no public key".to_owned(),
            accepted: "ed25519: followed by 44 characters of base64, as `wellkept sign keygen` prints it",
        })
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A key that signs.
pub struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// The key of a seed: 32 bytes of the system's randomness, or those of a file.
    ///
    /// # Errors
    /// [`BundleError::Key`] for a seed that gives no key.
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Result<Self, BundleError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice());
        let pair = pair.map_err(|e| BundleError::Key { what: e.to_string(), accepted: SECRET_ACCEPTED })?;
        Ok(Self { seed, pair })
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// [`BundleError::Key`] when it is none; nothing of the text is shown.
    pub fn from_text(text: &str) -> Result<Self, BundleError> {
        let wrong =
            || BundleError::Key { what: "this is no signing key".to_owned(), accepted: SECRET_ACCEPTED };
        let encoded = text.trim_end().strip_prefix(SECRET).ok_or_else(wrong)?;
        let decoded = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| wrong())?);
        let seed: [u8; 32] = decoded.as_slice().try_into().map_err(|_| wrong())?;
        Self::from_seed(Zeroizing::new(seed))
    }

    /// The text of a key file. It is the secret itself.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(STANDARD.encode(self.seed.as_slice()));
        Zeroizing::new(format!("{SECRET}{}\n", encoded.as_str()))
    }

    /// The secret itself, for those who need the key in another form.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The half that others may know.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        // Public keys of Ed25519 are 32 bytes; `zip` stops at the shorter one.
        bytes.iter_mut().zip(self.pair.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        PublicKey(bytes)
    }

    /// Signs `statement` for one purpose: a signature for one is worth nothing for another.
    #[must_use]
    pub fn sign(&self, purpose: &str, statement: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(&with_purpose(purpose, statement));
        let mut bytes = [0; 64];
        bytes.iter_mut().zip(signature.as_ref()).for_each(|(to, from)| *to = *from);
        bytes
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

/// Whether `key` signed `statement` for this purpose.
#[must_use]
pub fn verify_statement(key: &PublicKey, purpose: &str, statement: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key.0).verify(&with_purpose(purpose, statement), signature).is_ok()
}

/// The purpose with its length before it, so that no statement can pass for a longer purpose.
fn with_purpose(purpose: &str, statement: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(purpose.len() + statement.len() + 16);
    all.extend_from_slice(b"wellkept\0");
    all.extend_from_slice(&(purpose.len() as u64).to_le_bytes());
    all.extend_from_slice(purpose.as_bytes());
    all.extend_from_slice(statement);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(Zeroizing::new([n; 32])).unwrap()
    }

    #[test]
    fn keys_read_back_from_their_texts() {
        let one = key(7);
        assert_eq!(SigningKey::from_text(&one.to_text()).unwrap().public(), one.public());
        assert_eq!(one.public().to_string().parse(), Ok(one.public()));
        assert!(!format!("{one:?}").contains(&one.to_text()[30..50]), "the secret is not shown");
        for bad in ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA", "wellkept-signing-key-1 AAAA"] {
            assert!(bad.parse::<PublicKey>().is_err() && SigningKey::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_signature_holds_for_one_key_one_purpose_and_one_statement() {
        let one = key(1);
        let signature = one.sign("join", b"text");
        let holds = |k: &SigningKey, purpose, statement| {
            verify_statement(&k.public(), purpose, statement, &signature)
        };
        assert!(holds(&one, "join", b"text"));
        assert!(!holds(&key(2), "join", b"text") && !holds(&one, "bundle", b"text"));
        assert!(!holds(&one, "join", b"texts") && !holds(&one, "jointext", b""));
        assert!(!verify_statement(&one.public(), "join", b"text", &signature[..63]));
    }
}
