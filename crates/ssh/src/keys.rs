//! Keys: reading public and private ones, with bounds, and their bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::PublicKey;

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
