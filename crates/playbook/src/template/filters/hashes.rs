//! Digests, password hashes, identifiers and the vault's filters.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::super::args::Args;
use super::super::error::{Result, bail};
use super::super::value::Val;
use crate::{crypt, vault as sealing};

pub(crate) const NAMES: &[&str] = &["hash", "checksum", "md5", "sha1", "to_uuid", "password_hash"];

/// Most bytes of a made salt.
const SALT_CHARS: usize = 16;

pub(crate) fn apply(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let text = args.session.text(value)?;
    Ok(Val::str(match name {
        "md5" => hex::<Md5>(&text),
        "sha1" | "checksum" => hex::<Sha1>(&text),
        "hash" => match args.text(0, "hashtype", "sha1")?.as_str() {
            "md5" => hex::<Md5>(&text),
            "sha1" => hex::<Sha1>(&text),
            "sha224" => hex::<Sha224>(&text),
            "sha256" => hex::<Sha256>(&text),
            "sha384" => hex::<Sha384>(&text),
            "sha512" => hex::<Sha512>(&text),
            other => {
                bail!("hash type {other:?} is not known; accepted: md5, sha1, sha224, sha256, sha384, sha512")
            }
        },
        "to_uuid" => uuid(&args.text(0, "namespace", "361E6D51-FAEC-444A-9079-341386DA8E2E")?, &text)?,
        _ => password(&text, args)?,
    }))
}

fn hex<D: Digest>(text: &str) -> String {
    D::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn uuid(namespace: &str, name: &str) -> Result<String> {
    let digits: String = namespace.chars().filter(|c| *c != '-').collect();
    let space: Option<Vec<u8>> = (0..16)
        .map(|at| digits.get(at * 2..at * 2 + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    let Some(space) = space.filter(|_| digits.len() == 32) else {
        bail!("Invalid value '{namespace}' for 'namespace'")
    };
    let digest = Sha1::new().chain_update(space).chain_update(name.as_bytes()).finalize();
    let mut bytes: Vec<u8> = digest.iter().copied().take(16).collect();
    if let Some(version) = bytes.get_mut(6) {
        *version = (*version & 0x0f) | 0x50;
    }
    if let Some(variant) = bytes.get_mut(8) {
        *variant = (*variant & 0x3f) | 0x80;
    }
    let mut out = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push_str(&format!("{byte:02x}"));
    }
    Ok(out)
}

fn password(text: &str, args: &Args<'_, '_>) -> Result<String> {
    let kind = match args.text(0, "hashtype", "sha512")?.as_str() {
        "sha512" | "sha512_crypt" => crypt::Kind::Sha512,
        "sha256" | "sha256_crypt" => crypt::Kind::Sha256,
        other => bail!("password_hash {other:?} is not supported; accepted: sha512, sha256"),
    };
    let salt = match args.maybe_text(1, "salt")? {
        Some(salt) => salt,
        None => {
            const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
            let cell = &args.session.engine.randomness;
            let mut source = super::lists::Source::seeded(cell.get());
            let salt = (0..SALT_CHARS)
                .filter_map(|_| LETTERS.get(source.below(64) as usize))
                .map(|b| char::from(*b));
            let salt: String = salt.collect();
            cell.set(cell.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
            salt
        }
    };
    let rounds = args.maybe_int(3, "rounds")?.and_then(|rounds| u32::try_from(rounds).ok());
    args.session.charge(100_000)?;
    crypt::hash(kind, text, &salt, rounds).map_err(super::super::error::value_error)
}

/// `vault` and `unvault`.
pub(crate) fn vault(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let text = match value {
        Val::Vault(sealed) => sealed.to_string(),
        other => args.session.text(other)?,
    };
    let secret = args.need_text(0, "secret")?;
    args.session.charge(1_000_000)?;
    if name == "unvault" {
        if !sealing::is_sealed(&text) {
            return Ok(Val::str(text));
        }
        let open = sealing::open(&text, [secret.as_bytes()])
            .map_err(|e| super::super::error::value_error(e.to_string()))?;
        return Ok(Val::str(String::from_utf8_lossy(&open)));
    }
    let salt = match args.maybe_text(1, "salt")? {
        Some(salt) => salt.into_bytes(),
        None => {
            let cell = &args.session.engine.randomness;
            let mut source = super::lists::Source::seeded(cell.get());
            cell.set(cell.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
            (0..32).map(|_| source.below(256) as u8).collect()
        }
    };
    let label = args.maybe_text(2, "vault_id")?.or_else(|| Some("filter_default".to_owned()));
    Ok(Val::str(sealing::seal(text.as_bytes(), secret.as_bytes(), label.as_deref(), &salt)))
}
