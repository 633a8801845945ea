//! TLS for health checks: certificates are always checked, against the roots that the host trusts.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// The roots that this host trusts, read when they are first needed.
///
/// Reading them takes tens of milliseconds, so it is done once, off the runtime's threads. A root that is added later
/// counts after a restart.
#[derive(Debug, Default)]
pub(super) struct Tls(OnceCell<Arc<ClientConfig>>);

impl Tls {
    /// Greets a server by its name.
    pub(super) async fn handshake(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is no host name"))?;
        let config = self.0.get_or_try_init(|| async {
            tokio::task::spawn_blocking(build).await.map_err(|e| e.to_string())?
        });
        let connector = TlsConnector::from(Arc::clone(config.await?));
        connector.connect(name, stream).await.map_err(|e| format!("TLS: {e}"))
    }
}

fn build() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(
            "TLS: this host trusts no certificate authority (is ca-certificates installed?)".to_owned()
        );
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS: {e}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
