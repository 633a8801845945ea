//! Whom we trust, and who we are.

use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::EgressError;

/// Settings of TLS. The default trusts whom the host trusts and shows no certificate.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// Certificates that servers are checked against, instead of the host's, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Our own certificate with its chain, PEM; needs [`Self::key_pem`].
    pub cert_pem: Option<Vec<u8>>,
    /// The key of our certificate, PEM.
    pub key_pem: Option<SecretBytes>,
    /// The name that the server's certificate must have, when it is not the one in the address.
    pub server_name: Option<String>,
}

/// Bytes that are not shown.
#[derive(Clone)]
pub struct SecretBytes(pub Vec<u8>);

impl std::fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl TlsOptions {
    /// Reads the roots, which takes tens of milliseconds.
    pub(crate) fn config(&self) -> Result<ClientConfig, EgressError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| EgressError::Tls(e.to_string()))?
            .with_root_certificates(self.roots()?);
        match (&self.cert_pem, &self.key_pem) {
            (None, None) => Ok(builder.with_no_client_auth()),
            (Some(cert), Some(key)) => {
                let key = PrivateKeyDer::from_pem_slice(&key.0)
                    .map_err(|_| EgressError::Tls("the key is no PEM private key".to_owned()))?;
                builder
                    .with_client_auth_cert(certificates(cert, "the certificate")?, key)
                    .map_err(|e| EgressError::Tls(format!("certificate and key: {e}")))
            }
            _ => Err(EgressError::Tls("certificate and key belong together".to_owned())),
        }
    }

    fn roots(&self) -> Result<RootCertStore, EgressError> {
        let mut roots = RootCertStore::empty();
        let given = match &self.ca_pem {
            Some(pem) => certificates(pem, "the file of trusted certificates")?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        // Without any root every https server is refused, and http goes on: that is the right outcome on a host
        // that has no certificates installed.
        roots.add_parsable_certificates(given);
        Ok(roots)
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, EgressError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(EgressError::Tls(format!("{what} holds no PEM certificate"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_said_before_anything_is_sent() {
        let refused = |options: TlsOptions| options.config().unwrap_err().to_string();
        let pem = b"-----BEGIN NONSENSE-----\n-----END NONSENSE-----\n".to_vec();
        assert!(refused(TlsOptions { ca_pem: Some(pem.clone()), ..Default::default() }).contains("trusted"));
        assert!(refused(TlsOptions { cert_pem: Some(pem), ..Default::default() }).contains("together"));
    }

    #[test]
    fn a_key_is_never_shown() {
        let options = TlsOptions { key_pem: Some(SecretBytes(b"secret".to_vec())), ..TlsOptions::default() };
        assert!(!format!("{options:?}").contains("115"));
        assert!(!format!("{options:?}").contains("secret"));
    }
}
