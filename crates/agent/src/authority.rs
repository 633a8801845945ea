//! The server's own authority: it signs the certificates of the server and of its agents, and nobody else's.
//!
//! All keys are Ed25519. A request for a certificate is a public key with a signature of its holder (see [`crate::wire`]),
//! not PKCS #10: nothing that a stranger encoded has to be parsed, and the name is the token's, not the request's.

use std::io;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SerialNumber, SignatureAlgorithm,
};
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use wellkept_sign::{Digest, PublicKey, SigningKey, digest};
use zeroize::Zeroizing;

use crate::folder;

/// The name in the server's certificate, whatever its address: agents know the authority, and this name below it.
pub(crate) const SERVER_NAME: &str = "wellkept-server";
/// How long an agent's certificate is good. It is renewed after a third of it.
pub(crate) const AGENT_FOR: Duration = Duration::from_secs(7 * 86_400);
/// How long the server's certificate is good; a fresh one is made at each start, and daily.
const SERVER_FOR: Duration = Duration::from_secs(90 * 86_400);
/// How long the authority is good.
const AUTHORITY_FOR: Duration = Duration::from_secs(20 * 365 * 86_400);
/// Certificates begin a little earlier: clocks differ.
const EARLIER: Duration = Duration::from_secs(3600);
/// Largest file with a key or certificate.
const FILE_MAX: u64 = 64 << 10;

/// Signs certificates.
pub struct Authority {
    key: SigningKey,
    certificate: Vec<u8>,
}

/// A certificate that was made.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: Vec<u8>,
    pub(crate) expires_ms: i64,
}

/// A public key as certificates have it.
struct Holder<'k>(&'k PublicKey);

impl PublicKeyData for Holder<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.0.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl Authority {
    /// Reads the authority of a folder, or makes it.
    ///
    /// # Errors
    /// The disk; a key or certificate that is damaged.
    pub fn open(folder: &Path, now_ms: i64) -> io::Result<Self> {
        folder::make(folder)?;
        let (key_file, certificate_file) = (folder.join("authority.key"), folder.join("authority.der"));
        let _lock = folder::Lock::of(folder)?;
        if let Some(text) = folder::read(&key_file, FILE_MAX)?.map(Zeroizing::new) {
            let text = std::str::from_utf8(&text).unwrap_or_default();
            let key = SigningKey::from_text(text)
                .map_err(|e| io::Error::other(format!("{}: {e}", key_file.display())))?;
            if let Some(certificate) = folder::read(&certificate_file, FILE_MAX)? {
                return Ok(Self { key, certificate });
            }
        }
        let key = fresh_key()?;
        let params = authority_params(now_ms)?;
        let certificate = params.self_signed(&pair(&key)?).map_err(odd)?.der().to_vec();
        folder::replace(&key_file, key.to_text().as_bytes(), 0o600)?;
        folder::replace(&certificate_file, &certificate, 0o644)?;
        Ok(Self { key, certificate })
    }

    /// Its certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// What tokens name it by.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        digest(&self.certificate)
    }

    /// A certificate for the server, with a key of its own.
    pub(crate) fn server(&self, now_ms: i64) -> io::Result<(Vec<u8>, SigningKey)> {
        let key = fresh_key()?;
        let mut params = leaf(SERVER_NAME, ExtendedKeyUsagePurpose::ServerAuth, now_ms, SERVER_FOR)?;
        params.subject_alt_names =
            CertificateParams::new(vec![SERVER_NAME.to_owned()]).map_err(odd)?.subject_alt_names;
        Ok((self.sign(&params, &key.public(), now_ms)?, key))
    }

    /// A certificate for an agent.
    pub(crate) fn agent(&self, name: &str, key: &PublicKey, now_ms: i64) -> io::Result<Issued> {
        let params = leaf(name, ExtendedKeyUsagePurpose::ClientAuth, now_ms, AGENT_FOR)?;
        let expires_ms = now_ms.saturating_add(millis(AGENT_FOR));
        Ok(Issued { certificate: self.sign(&params, key, now_ms)?, expires_ms })
    }

    fn sign(&self, params: &CertificateParams, key: &PublicKey, now_ms: i64) -> io::Result<Vec<u8>> {
        let issuer = Issuer::new(authority_params(now_ms)?, pair(&self.key)?);
        Ok(params.signed_by(&Holder(key), &issuer).map_err(odd)?.der().to_vec())
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

/// A new key, of the system's randomness.
pub(crate) fn fresh_key() -> io::Result<SigningKey> {
    let mut seed = Zeroizing::new([0; 32]);
    folder::fill(seed.as_mut_slice())?;
    SigningKey::from_seed(seed).map_err(odd)
}

/// The secret half as TLS wants it: PKCS #8 (RFC 8410), which for this algorithm is a fixed head and the seed.
pub(crate) fn pkcs8(key: &SigningKey) -> io::Result<Zeroizing<Vec<u8>>> {
    const HEAD: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let mut der = Zeroizing::new(HEAD.to_vec());
    der.extend_from_slice(key.seed());
    Ok(der)
}

fn pair(key: &SigningKey) -> io::Result<KeyPair> {
    let der = pkcs8(key)?;
    let der = PrivatePkcs8KeyDer::from(der.as_slice());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).map_err(odd)
}

fn authority_params(now_ms: i64) -> io::Result<CertificateParams> {
    let mut params = base("wellkept agents", now_ms, AUTHORITY_FOR)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

fn leaf(
    name: &str,
    usage: ExtendedKeyUsagePurpose,
    now_ms: i64,
    good_for: Duration,
) -> io::Result<CertificateParams> {
    let mut params = base(name, now_ms, good_for)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn base(name: &str, now_ms: i64, good_for: Duration) -> io::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(EARLIER);
    params.not_after = epoch + now.saturating_add(good_for);
    let mut serial = [0; 16];
    folder::fill(&mut serial)?;
    // Positive, as serial numbers have to be.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 1;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn odd(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_stays_the_same_over_restarts_and_its_key_is_private() {
        use std::os::unix::fs::MetadataExt as _;
        let temp = tempfile::tempdir().unwrap();
        let first = Authority::open(temp.path(), 1_700_000_000_000).unwrap();
        let again = Authority::open(temp.path(), 1_800_000_000_000).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_eq!(std::fs::metadata(temp.path().join("authority.key")).unwrap().mode() & 0o777, 0o600);
        let other = Authority::open(&temp.path().join("other"), 1_700_000_000_000).unwrap();
        assert_ne!(first.fingerprint(), other.fingerprint());
    }
}
