//! TLS for the client of modules: the host's roots or the task's, or none where a task says so.

use std::io;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};
use wellkept_egress::Believing;

/// Whom to trust, and who we are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    /// Whether any certificate will do (`validate_certs: false`).
    pub(crate) anyone: bool,
    /// Roots instead of the host's, PEM.
    pub(crate) roots: Option<PathBuf>,
    /// Our certificate, PEM; its key may stand in the same file.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// Speaks TLS with the server of this name.
///
/// # Errors
/// What is wrong with files, name or certificate.
pub(crate) fn client(
    mut tcp: TcpStream,
    host: &str,
    trust: &Trust,
) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("Request failed: {host} is no name of a host"))?;
    let mut connection = ClientConnection::new(Arc::new(config(trust)?), name)
        .map_err(|error| format!("Request failed: {error}"))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut tcp).map_err(|error| told(&error))?;
    }
    Ok(StreamOwned::new(connection, tcp))
}

fn told(error: &io::Error) -> String {
    format!("Request failed: <urlopen error {error}>")
}

fn config(trust: &Trust) -> Result<ClientConfig, String> {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if trust.anyone {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Believing::anyone(provider)))
    } else {
        builder.with_root_certificates(roots(trust)?)
    };
    let Some(certificate) = &trust.certificate else { return Ok(builder.with_no_client_auth()) };
    let key = trust.key.as_ref().unwrap_or(certificate);
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())
}

fn roots(trust: &Trust) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let given = match &trust.roots {
        Some(path) => certificates(path)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(given);
    Ok(roots)
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|error| format!("{}: {error}", path.display()))
}
