//! Looks at what a service serves over TLS, and at the file that it should have loaded.
//!
//! The handshake accepts whatever comes, because a certificate that has run out is what we want to see; nothing is sent
//! over the connection. Whether the chain leads to somebody who is trusted is judged beside it, and a certificate that has
//! run out is not also called untrusted for that.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use wellkept_egress::Believing;
use wellkept_model::TimestampMs;
use wellkept_model::keep::Certificate;
use wellkept_model::observe::{CertSeen, CertificateSeen};

use super::{Shared, pause, x509};
use crate::clock;
use crate::facts::kept::{read_kept, sha256_hex};

/// Longest time for a connection and its handshake.
const WITHIN: Duration = Duration::from_secs(5);
/// Certificates of one chain that are looked at.
const CHAIN_MAX: usize = 10;
/// Certificates of one file of authorities.
const ROOTS_MAX: usize = 1000;

pub(super) async fn watch(shared: Shared, declared: Certificate) {
    let mut closely = shared.closely.subscribe();
    let mut before: Option<CertificateSeen> = None;
    loop {
        let mut seen = look(&declared, clock::wall()).await;
        let same = before.as_ref().filter(|b| b.served == seen.served);
        seen.in_a_row = same.map_or(1, |b| b.in_a_row.saturating_add(1));
        before = Some(seen.clone());
        shared.lock().certificates.insert(declared.name.clone(), seen);
        pause(declared.every, &mut closely).await;
    }
}

async fn look(declared: &Certificate, now: TimestampMs) -> CertificateSeen {
    let mut seen = CertificateSeen { at: now, ..CertificateSeen::default() };
    let served = match tokio::time::timeout(WITHIN, greet(declared)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no handshake within {} s", WITHIN.as_secs())),
    };
    let declared = declared.clone();
    // Files and signatures are work for a thread of its own.
    let judged = tokio::task::spawn_blocking(move || {
        let roots = roots(declared.ca.as_deref());
        let describe = |chain: Vec<CertificateDer<'static>>| describe(&chain, &declared, roots.as_ref());
        let served = served.and_then(|chain| describe(chain).ok_or("it served no certificate".to_owned()));
        let on_disk = declared.file.as_deref().map(|path| {
            let chain = chain_of(path, CHAIN_MAX).map_err(|e| format!("{}: {e}", path.display()))?;
            describe(chain).ok_or_else(|| format!("{}: it holds no certificate", path.display()))
        });
        (served, on_disk)
    });
    match judged.await {
        Ok((served, on_disk)) => {
            let disk_problem = on_disk.as_ref().and_then(|d| d.as_ref().err().cloned());
            seen.problem = served.as_ref().err().cloned().or(disk_problem);
            (seen.served, seen.on_disk) = (served.ok(), on_disk.and_then(Result::ok));
        }
        Err(e) => seen.problem = Some(e.to_string()),
    }
    seen
}

/// The chain that is served, the service's own first.
async fn greet(declared: &Certificate) -> Result<Vec<CertificateDer<'static>>, String> {
    let name = ServerName::try_from(declared.server_name.clone())
        .map_err(|_| format!("{} is no host name", declared.server_name))?;
    let stream = tokio::net::TcpStream::connect(&declared.connect).await.map_err(|e| e.to_string())?;
    let provider = Arc::new(ring::default_provider());
    let taken: Arc<Mutex<Vec<CertificateDer<'static>>>> = Arc::default();
    let keep = Arc::clone(&taken);
    // Every certificate is taken, and kept to be looked at.
    let taker = Believing::new(Arc::clone(&provider), move |shown| {
        let all = std::iter::once(shown.certificate).chain(shown.chain).take(CHAIN_MAX);
        *keep.lock().unwrap_or_else(PoisonError::into_inner) = all.map(|c| c.clone().into_owned()).collect();
        Ok(())
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS: {e}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(taker))
        .with_no_client_auth();
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let chain = std::mem::take(&mut *taken.lock().unwrap_or_else(PoisonError::into_inner));
    match shaken {
        // One who also wants a certificate of ours has shown its own by then.
        Err(e) if chain.is_empty() => Err(format!("TLS: {e}")),
        _ => Ok(chain),
    }
}

/// The declared authorities, else those of the host; `None` when there are none to judge by.
fn roots(ca: Option<&Path>) -> Option<Arc<RootCertStore>> {
    let mut store = RootCertStore::empty();
    let found = match ca {
        Some(path) => chain_of(path, ROOTS_MAX).ok()?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let (added, _) = store.add_parsable_certificates(found);
    (added > 0).then(|| Arc::new(store))
}

fn chain_of(path: &Path, max: usize) -> io::Result<Vec<CertificateDer<'static>>> {
    let file = read_kept(path)?;
    let found = CertificateDer::pem_slice_iter(&file.bytes).take(max);
    found.map(|c| c.map_err(|e| io::Error::other(e.to_string()))).collect()
}

fn describe(
    chain: &[CertificateDer<'static>],
    declared: &Certificate,
    roots: Option<&Arc<RootCertStore>>,
) -> Option<CertSeen> {
    let (first, rest) = chain.split_first()?;
    let fields = x509::parse(first)?;
    // One that signed itself, with no authority declared, was made so on purpose.
    let judged = declared.ca.is_some() || !fields.is_self_issued;
    let untrusted = roots.filter(|_| judged).and_then(|roots| untrusted(first, rest, roots, &fields));
    Some(CertSeen {
        sha256: sha256_hex(first),
        names_match: fields.is_for(&declared.server_name),
        not_before: fields.not_before,
        not_after: fields.not_after,
        names: fields.names,
        untrusted,
    })
}

fn untrusted(
    first: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    roots: &Arc<RootCertStore>,
    fields: &x509::Fields,
) -> Option<String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider).build().ok()?;
    // Its own first name: only the chain is asked about here.
    let name = fields.names.first().map(|n| n.replacen('*', "x", 1))?;
    let name = ServerName::try_from(name).ok()?;
    let now = clock::wall();
    let error = verifier.verify_server_cert(first, rest, &name, &[], seconds(now)).err()?;
    let is_of_time = matches!(
        &error,
        Error::InvalidCertificate(
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        )
    );
    // That it does not hold now is told by itself; who signed it is another question.
    let holds = fields.not_before <= now && now < fields.not_after;
    (holds || !is_of_time).then(|| error.to_string())
}

fn seconds(at: TimestampMs) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.0 / 1000).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};

    /// Certificates made by openssl, and a listener that serves one.
    struct World {
        dir: tempfile::TempDir,
        server: Option<(Child, u16)>,
    }

    impl Drop for World {
        fn drop(&mut self) {
            if let Some((server, _)) = &mut self.server {
                server.kill().and_then(|()| server.wait()).expect("it is ours");
            }
        }
    }

    impl World {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().expect("a temporary folder"), server: None }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn openssl(&self, words: &str) {
            let done = Command::new("openssl").args(words.split(' ')).current_dir(self.dir.path()).output();
            let done = done.expect("openssl is there");
            assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
        }

        fn authority(&self) {
            self.openssl(
                "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 30",
            );
        }

        /// `name.pem` and `name.key`, signed by our authority.
        fn signed(&self, name: &str, san: &str, days: &str) {
            self.openssl(&format!(
                "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN=x"
            ));
            std::fs::write(self.path("ext"), format!("subjectAltName={san}")).expect("written");
            self.openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -extfile ext {days}"
            ));
        }

        async fn serve(&mut self, name: &str) {
            let port =
                std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("free").port();
            let server = Command::new("openssl")
                .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")])
                .args(["-cert", &format!("{name}.pem"), "-key", &format!("{name}.key")])
                .current_dir(self.dir.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            self.server = Some((server.expect("openssl is there"), port));
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::task::yield_now().await;
            }
        }

        async fn look(&self, file: &str) -> CertificateSeen {
            let declared = Certificate {
                name: "www".into(),
                service: "web".into(),
                connect: format!("127.0.0.1:{}", self.server.as_ref().expect("served").1),
                server_name: "www.test".into(),
                file: Some(self.path(file)),
                ca: Some(self.path("ca.pem")),
                warn_before: Duration::ZERO,
                every: WITHIN,
            };
            look(&declared, clock::wall()).await
        }
    }

    #[tokio::test]
    async fn what_is_served_and_what_lies_on_disk_are_told_apart() {
        let mut world = World::new();
        world.authority();
        world.signed("new", "DNS:www.test,DNS:*.other.test,IP:10.0.0.1", "-days 20");
        world.signed("old", "DNS:elsewhere.test", "-days -1");
        world.serve("old").await;
        let seen = world.look("new.pem").await;
        assert_eq!(seen.problem, None);
        let (served, disk) = (seen.served.expect("served"), seen.on_disk.expect("on disk"));
        let ago = seen.at.since(served.not_after);
        assert!(ago > Duration::from_secs(86_000) && ago < Duration::from_secs(90_000), "{ago:?}");
        assert_eq!(
            (served.names.as_slice(), served.names_match),
            (&["elsewhere.test".to_owned()][..], false)
        );
        assert_eq!(served.untrusted, None, "only too old");
        assert_eq!(disk.names, ["www.test", "*.other.test", "10.0.0.1"]);
        assert!(disk.is_good(seen.at) && !served.is_good(seen.at) && disk.sha256 != served.sha256);
    }

    #[tokio::test]
    async fn one_that_nobody_trusted_signed_is_told() {
        let mut world = World::new();
        world.authority();
        world.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout own.key -out own.pem -subj /CN=x -days 9 -addext subjectAltName=DNS:www.test",
        );
        world.serve("own").await;
        let served = world.look("own.pem").await.served.expect("served");
        assert!(served.untrusted.is_some() && served.names_match, "{served:?}");
    }

    #[tokio::test]
    async fn a_closed_port_is_a_problem_and_no_certificate() {
        let mut world = World::new();
        world.server = None;
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("free").port();
        let declared = Certificate {
            name: "www".into(),
            service: "web".into(),
            connect: format!("127.0.0.1:{port}"),
            server_name: "www.test".into(),
            file: None,
            ca: None,
            warn_before: Duration::ZERO,
            every: WITHIN,
        };
        let seen = look(&declared, clock::wall()).await;
        assert!(seen.served.is_none() && seen.problem.is_some_and(|p| p.contains("refused")));
    }
}
