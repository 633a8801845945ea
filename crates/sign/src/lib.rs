//! Signed bundles: a playbook with all files that it can reach, closed, hashed, signed, with a version and an end.
//!
//! Who holds a bundle and a list of trusted keys can tell that these very bytes were meant by one of their holders, for
//! this host, now, and that nothing newer of the same name was seen. The order of the tests matters: nothing of a bundle
//! is looked at as more than bytes before a signature over it was found good.
//!
//! No IO, no clock, no randomness: the caller gives bytes, the time and the seed of a new key. Gathering files, putting
//! them in place and running what is in them is left to others. The format is described in `docs/formats/bundle.md`.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod error;
mod hash;
mod key;
mod manifest;
mod open;
mod pack;
mod path;
mod seen;
mod trust;

pub use error::BundleError;
pub use hash::{Digest, digest};
pub use key::{PublicKey, SigningKey, verify_statement};
pub use manifest::{FILE_MAX, FILES_MAX, FileEntry, MANIFEST_MAX, Manifest, TARGETS_MAX, TOTAL_MAX};
pub use open::{Bundle, Check, SIGNATURES_MAX, is_bundle, verify};
pub use pack::{Draft, pack};
pub use path::check_path;
pub use seen::Seen;
pub use trust::{Trust, TrustedKey};
