//! TLS towards targets and receivers: whom a configuration trusts, and as whom it comes.
//!
//! Files are read when the first connection needs them and again when they change, so that certificates can be renewed
//! without a restart. The host's own roots are read once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version};
use wellkept_egress::Believing;

use crate::config::TlsConfig;
use crate::secret::read_bounded;

/// Most bytes of a file with certificates or a key.
const FILE_MAX: u64 = 8 << 20;

/// When the files of a configuration were last written.
type Times = [Option<SystemTime>; 3];

/// The TLS settings in use; shared by all connections.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    host_roots: OnceCell<Arc<RootCertStore>>,
    built: Mutex<BTreeMap<TlsConfig, (Times, Arc<ClientConfig>)>>,
}

impl Tls {
    /// Greets a server; `host` is its name unless the configuration names another.
    pub(crate) async fn handshake(
        &self,
        config: &TlsConfig,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, String> {
        let host = config.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(host).map_err(|e| format!("TLS: {e}"))?;
        let connector = TlsConnector::from(self.client(config).await?);
        connector.connect(name, stream).await.map_err(|e| format!("TLS: {e}"))
    }

    async fn client(&self, config: &TlsConfig) -> Result<Arc<ClientConfig>, String> {
        let times = times(config).await;
        let known = self.built.lock().unwrap_or_else(PoisonError::into_inner).get(config).cloned();
        if let Some((_, client)) = known.filter(|(t, _)| *t == times) {
            return Ok(client);
        }
        let client = Arc::new(self.build(config).await?);
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        built.insert(config.clone(), (times, Arc::clone(&client)));
        Ok(client)
    }

    async fn build(&self, config: &TlsConfig) -> Result<ClientConfig, String> {
        let provider = Arc::new(crypto::ring::default_provider());
        let versions: &[_] =
            if config.only_13 { &[&version::TLS13] } else { &[&version::TLS13, &version::TLS12] };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|e| format!("TLS: {e}"))?;
        let builder = if config.insecure_skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Believing::anyone(provider)))
        } else {
            builder.with_root_certificates(self.roots(config).await?)
        };
        match &config.identity {
            None => Ok(builder.with_no_client_auth()),
            Some((cert, key)) => {
                let chain = certificates(cert).await?;
                let key_pem = read(key).await?;
                let key = PrivateKeyDer::from_pem_slice(&key_pem)
                    .map_err(|_| format!("{}: holds no private key in PEM form", key.display()))?;
                builder.with_client_auth_cert(chain, key).map_err(|e| format!("{}: {e}", cert.display()))
            }
        }
    }

    async fn roots(&self, config: &TlsConfig) -> Result<Arc<RootCertStore>, String> {
        let Some(path) = &config.ca_file else {
            let host_roots = self.host_roots.get_or_try_init(|| async {
                tokio::task::spawn_blocking(host_roots).await.map_err(|e| e.to_string())?
            });
            return host_roots.await.cloned();
        };
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(certificates(path).await?);
        if added == 0 {
            return Err(format!("{}: holds no certificate in PEM form", path.display()));
        }
        Ok(Arc::new(roots))
    }
}

/// Reading the host's roots takes tens of milliseconds and blocks.
fn host_roots() -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err("TLS: this host trusts no certificate authority (is ca-certificates installed?)".into());
    }
    Ok(Arc::new(roots))
}

async fn times(config: &TlsConfig) -> Times {
    let mut times = [None; 3];
    let identity = config.identity.as_ref();
    let files = [config.ca_file.as_ref(), identity.map(|i| &i.0), identity.map(|i| &i.1)];
    for (time, file) in times.iter_mut().zip(files) {
        if let Some(file) = file {
            *time = tokio::fs::metadata(file).await.and_then(|m| m.modified()).ok();
        }
    }
    times
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    read_bounded(path, FILE_MAX).await.map_err(|e| format!("{}: {e}", path.display()))
}

async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path).await?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    found.map_err(|_| format!("{}: holds a certificate that is not in PEM form", path.display()))
}
