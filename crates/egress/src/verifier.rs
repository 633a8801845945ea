//! A check of a server's certificate that differs from the usual one in whom it believes, and in nothing else: that the
//! server holds the key of what it shows is always checked.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// What a server shows when it is connected to.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Its own certificate.
    pub certificate: &'a CertificateDer<'a>,
    /// Those that came with it.
    pub chain: &'a [CertificateDer<'a>],
    /// The name that was asked for.
    pub name: &'a ServerName<'a>,
    /// What its authority says of it, stapled; empty when nothing came.
    pub ocsp: &'a [u8],
    /// The time of the check.
    pub now: UnixTime,
}

type Decision = dyn Fn(&Shown<'_>) -> Result<(), Error> + Send + Sync;

/// Believes whom a decision believes.
pub struct Believing {
    decision: Box<Decision>,
    provider: Arc<CryptoProvider>,
}

impl Believing {
    /// With a decision of the caller's.
    pub fn new(
        provider: Arc<CryptoProvider>,
        decision: impl Fn(&Shown<'_>) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        Self { decision: Box::new(decision), provider }
    }

    /// Believes any certificate: only for where a person said so.
    #[must_use]
    pub fn anyone(provider: Arc<CryptoProvider>) -> Self {
        Self::new(provider, |_| Ok(()))
    }
}

impl fmt::Debug for Believing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Believing").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        (self.decision)(&Shown { certificate, chain, name, ocsp, now })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
