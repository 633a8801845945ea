//! TLS at both ends: 1.3 only, our own authority only.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier as _;
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore, ServerConfig};
use wellkept_egress::{Believing, Shown};
use wellkept_sign::{Digest, SigningKey, digest};

use crate::authority::{Authority, SERVER_NAME, pkcs8};

/// The name that agents expect, whatever the address is.
pub(crate) fn server_name() -> io::Result<ServerName<'static>> {
    ServerName::try_from(SERVER_NAME).map_err(odd)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(crypto::ring::default_provider())
}

/// The server's end: a fresh certificate; a client may show one of ours, or none for joining.
pub(crate) fn server(authority: &Authority, now_ms: i64) -> io::Result<Arc<ServerConfig>> {
    let (certificate, key) = authority.server(now_ms)?;
    let roots = Arc::new(roots(authority.certificate())?);
    let clients = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .allow_unauthenticated()
        .build()
        .map_err(odd)?;
    let chain = vec![certificate.into(), authority.certificate().to_vec().into()];
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(odd)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, private(&key)?)
        .map_err(odd)?;
    Ok(Arc::new(config))
}

/// The agent's end, once it has joined.
pub(crate) fn agent(authority: &[u8], certificate: &[u8], key: &SigningKey) -> io::Result<Arc<ClientConfig>> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(odd)?
        .with_root_certificates(roots(authority)?)
        .with_client_auth_cert(vec![certificate.to_vec().into()], private(key)?)
        .map_err(odd)?;
    Ok(Arc::new(config))
}

/// The agent's end before it has joined: the server has to show the authority that the token names.
pub(crate) fn joining(authority: Digest) -> io::Result<(Arc<ClientConfig>, Arc<Pinned>)> {
    let pinned = Arc::new(Pinned { authority, shown: Mutex::default() });
    let believes = Arc::clone(&pinned);
    let verifier = Believing::new(provider(), move |shown| believes.check(shown));
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(odd)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok((Arc::new(config), pinned))
}

fn roots(authority: &[u8]) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.to_vec())).map_err(odd)?;
    Ok(roots)
}

fn private(key: &SigningKey) -> io::Result<PrivateKeyDer<'static>> {
    Ok(PrivatePkcs8KeyDer::from(pkcs8(key)?.to_vec()).into())
}

fn odd(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Believes the one authority with this fingerprint, and what it signed. The usual checks of the chain, the name and the
/// times are all made; only where the authority comes from differs.
#[derive(Debug)]
pub(crate) struct Pinned {
    authority: Digest,
    shown: Mutex<Option<Vec<u8>>>,
}

impl Pinned {
    /// The authority's certificate, once a server has shown it.
    pub(crate) fn shown(&self) -> Option<Vec<u8>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check(&self, shown: &Shown<'_>) -> Result<(), rustls::Error> {
        let stranger = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let is_ours = |c: &&CertificateDer<'_>| digest(c.as_ref()) == self.authority;
        let authority = shown.chain.iter().find(is_ours).ok_or_else(stranger)?;
        let roots = Arc::new(roots(authority.as_ref()).map_err(|_| stranger())?);
        let usual = WebPkiServerVerifier::builder_with_provider(roots, provider());
        let usual = usual.build().map_err(|_| stranger())?;
        usual.verify_server_cert(shown.certificate, &[], shown.name, shown.ocsp, shown.now)?;
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(authority.as_ref().to_vec());
        Ok(())
    }
}
