//! Certificate and key of the TLS door.

use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, crypto};

/// Why the TLS door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate in the file.
    #[error("the {what} holds no certificate in PEM form")]
    NoCertificate {
        /// Which file.
        what: &'static str,
    },
    /// No private key in the file.
    #[error("the key file holds no private key in PEM form")]
    NoKey,
    /// Certificate and key do not fit, or are of a kind that is not supported.
    #[error("certificate and key cannot be used")]
    Unusable(#[source] rustls::Error),
    /// The authority for clients cannot be used.
    #[error("the authority for clients cannot be used")]
    Clients(#[source] rustls::server::VerifierBuilderError),
}

/// Settings for [`super::Syslog::tls`] from texts in PEM form: the chain of certificates, its key, and the authority that
/// clients must show a certificate of, if they must.
///
/// # Errors
/// [`TlsError`] names what cannot be used.
pub fn server_config(
    chain: &[u8],
    key: &[u8],
    clients: Option<&[u8]>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(crypto::ring::default_provider());
    let chain = certificates(chain, "certificate file")?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(authority, "authority for clients")?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(TlsError::Clients)?)
        }
    };
    builder.with_single_cert(chain, key).map(Arc::new).map_err(TlsError::Unusable)
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(TlsError::NoCertificate { what })
}
