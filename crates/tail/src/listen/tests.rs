//! Real sockets on this host.

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::*;
use crate::testing::{Shelf, wall_clock};

const HERE: &str = "127.0.0.1:0";

struct Bench {
    shelf: Arc<Shelf>,
    syslog: Arc<Syslog>,
}

impl Bench {
    fn new(config: SyslogConfig) -> Self {
        let shelf = Arc::new(Shelf::default());
        let syslog = Arc::new(Syslog::new(config, Arc::clone(&shelf) as _, wall_clock()));
        Self { shelf, syslog }
    }

    async fn udp(&self) -> SocketAddr {
        let socket = UdpSocket::bind(HERE).await.unwrap();
        let (at, syslog) = (socket.local_addr().unwrap(), Arc::clone(&self.syslog));
        tokio::spawn(async move { syslog.udp(socket).await });
        at
    }

    async fn tcp(&self) -> SocketAddr {
        let listener = TcpListener::bind(HERE).await.unwrap();
        let (at, syslog) = (listener.local_addr().unwrap(), Arc::clone(&self.syslog));
        tokio::spawn(async move { syslog.tcp(listener).await });
        at
    }

    fn count(&self, counter: impl Fn(&SyslogCounts) -> &AtomicU64) -> u64 {
        counter(self.syslog.counts()).load(Ordering::Relaxed)
    }

    async fn counted(&self, at_least: u64, counter: impl Fn(&SyslogCounts) -> &AtomicU64) {
        let reached = async {
            while self.count(&counter) < at_least {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), reached).await;
        assert!(waited.is_ok(), "{:?}", self.syslog.counts());
    }
}

#[tokio::test]
async fn datagrams_become_lines_with_their_peer() {
    let bench = Bench::new(SyslogConfig::default());
    let at = bench.udp().await;
    let client = UdpSocket::bind(HERE).await.unwrap();
    client.send_to(b"<11>1 2024-01-02T03:04:05Z web-1 shop 7 - - down\n", at).await.unwrap();
    client.send_to(b"not syslog \xff\x00", at).await.unwrap();
    bench.shelf.holds(2).await;
    let lines = bench.shelf.lines();
    assert_eq!(lines[0].labels.to_string(), r#"{door="syslog_udp", host="web-1", service="shop"}"#);
    assert_eq!(lines[1].labels.get("host"), "127.0.0.1");
    assert_eq!(lines[1].text, b"not syslog \xff");
}

#[tokio::test]
async fn streams_may_be_counted_or_lines_and_their_last_message_may_lack_its_end() {
    let bench = Bench::new(SyslogConfig::default());
    let at = bench.tcp().await;
    let mut client = TcpStream::connect(at).await.unwrap();
    client.write_all(b"16 <14>a: one\n  two<14>b: three\n").await.unwrap();
    bench.shelf.holds(2).await;
    client.write_all(b"<14>c: last").await.unwrap();
    drop(client);
    bench.shelf.holds(3).await;
    assert_eq!(bench.shelf.texts(), ["one\n  two", "three", "last"]);
}

#[tokio::test]
async fn a_source_that_floods_is_cut_and_another_is_unharmed() {
    let rate = Some(Rate { per_second: 1.0, burst: 10.0 });
    let bench = Bench::new(SyslogConfig { rate, ..SyslogConfig::default() });
    let at = bench.udp().await;
    let loud = UdpSocket::bind(HERE).await.unwrap();
    for i in 0..500 {
        loud.send_to(format!("<14>loud: {i}").as_bytes(), at).await.unwrap();
        tokio::task::yield_now().await;
    }
    bench.counted(100, |c| &c.dropped_rate).await;
    let quiet = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    quiet.send_to(b"<14>quiet: hello", at).await.unwrap();
    let heard = async {
        while !bench.shelf.texts().contains(&"hello".to_owned()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard).await.unwrap();
    let dropped = bench.syslog.take_dropped();
    assert_eq!(dropped.len(), 1);
    assert_eq!(
        (dropped[0].0, dropped[0].1),
        (Some("127.0.0.1".parse().unwrap()), bench.count(|c| &c.dropped_rate))
    );
}

#[tokio::test]
async fn connections_are_bounded_for_each_source_and_all_together() {
    let config = SyslogConfig { connections_max: 3, connections_per_source: 2, ..SyslogConfig::default() };
    let bench = Bench::new(config);
    let at = bench.tcp().await;
    let mut clients = Vec::new();
    for i in 0..2 {
        let mut client = TcpStream::connect(at).await.unwrap();
        client.write_all(format!("<14>a: {i}\n").as_bytes()).await.unwrap();
        bench.shelf.holds(i + 1).await;
        clients.push(client);
    }
    let refused = TcpStream::connect(at).await.unwrap();
    bench.counted(1, |c| &c.refused).await;
    drop(refused);
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(at).await.unwrap();
    other.write_all(b"<14>b: other\n").await.unwrap();
    bench.shelf.holds(3).await;
    clients.pop();
    // The place is free again as soon as the connection's end was seen.
    let again = async {
        loop {
            let mut client = TcpStream::connect(at).await.unwrap();
            let _ = client.write_all(b"<14>a: again\n").await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            if bench.shelf.texts().contains(&"again".to_owned()) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.unwrap();
}

#[tokio::test]
async fn messages_without_end_are_cut_and_counted() {
    let bench = Bench::new(SyslogConfig { message_bytes: 1000, ..SyslogConfig::default() });
    let at = bench.tcp().await;
    let mut client = TcpStream::connect(at).await.unwrap();
    client
        .write_all(&[b"<14>a: ".as_slice(), &vec![b'x'; 100_000], b"\n<14>a: next\n"].concat())
        .await
        .unwrap();
    client
        .write_all(&[b"100000 <14>b: ".as_slice(), &vec![b'y'; 99_993], b"<14>b: after\n"].concat())
        .await
        .unwrap();
    bench.counted(101, |c| &c.cut).await;
    let heard = async {
        while bench.shelf.texts().last().is_none_or(|t| t != "after") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard).await.unwrap();
    let texts = bench.shelf.texts();
    assert!(texts.contains(&"next".to_owned()) && texts.iter().all(|t| t.len() <= 1000));
    assert_eq!(texts.iter().map(|t| t.matches('x').count()).sum::<usize>(), 100_001);
}

#[tokio::test]
async fn streams_wait_for_a_store_that_is_slow_and_lose_nothing() {
    let config = SyslogConfig { pending_bytes: 4096, rate: None, ..SyslogConfig::default() };
    let bench = Bench::new(config);
    bench.shelf.refuse(2);
    let at = bench.tcp().await;
    let mut client = TcpStream::connect(at).await.unwrap();
    let text: String = (0..2000).map(|i| format!("<14>a: {i}\n")).collect();
    client.write_all(text.as_bytes()).await.unwrap();
    bench.shelf.holds(2000).await;
    let expected: Vec<String> = (0..2000).map(|i| i.to_string()).collect();
    assert_eq!(bench.shelf.texts(), expected);
    assert_eq!(bench.count(|c| &c.dropped_full), 0);
}

fn pem(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scrape/tests/tls");
    std::fs::read(folder.join(name)).unwrap()
}

fn client_config(with_certificate: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem("ca.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let chain = || vec![CertificateDer::from_pem_slice(&pem("client.pem")).unwrap()];
    let key = || PrivateKeyDer::from_pem_slice(&pem("client.key")).unwrap();
    Arc::new(match with_certificate {
        true => builder.with_client_auth_cert(chain(), key()).unwrap(),
        false => builder.with_no_client_auth(),
    })
}

#[tokio::test]
async fn encrypted_streams_are_heard_and_clients_can_be_asked_for_a_certificate() {
    let bench = Bench::new(SyslogConfig::default());
    let config = server_config(&pem("server.pem"), &pem("server.key"), Some(&pem("ca.pem"))).unwrap();
    let (_keep, config) = watch::channel(config);
    let listener = TcpListener::bind(HERE).await.unwrap();
    let (at, syslog) = (listener.local_addr().unwrap(), Arc::clone(&bench.syslog));
    tokio::spawn(async move { syslog.tls(listener, config).await });
    let name = || ServerName::try_from("target.test").unwrap();
    let connect = |with| async move {
        let stream = TcpStream::connect(at).await.unwrap();
        TlsConnector::from(client_config(with)).connect(name(), stream).await
    };
    let mut client = connect(true).await.unwrap();
    client.write_all(b"11 <14>a: safe").await.unwrap();
    client.flush().await.unwrap();
    bench.shelf.holds(1).await;
    assert_eq!(bench.shelf.lines()[0].labels.get("door"), "syslog_tls");
    // The refusal of a missing certificate comes behind the client's part of the greeting.
    let _ = connect(false).await;
    bench.counted(1, |c| &c.handshakes_failed).await;
    let mut plain = TcpStream::connect(at).await.unwrap();
    plain.write_all(b"<14>a: plain\n").await.unwrap();
    bench.counted(2, |c| &c.handshakes_failed).await;
    assert_eq!(bench.shelf.texts(), ["safe"]);
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let say = |chain: &[u8], key: &[u8], clients| server_config(chain, key, clients).unwrap_err().to_string();
    let (chain, key) = (pem("server.pem"), pem("server.key"));
    assert!(say(b"", &key, None).contains("certificate file holds no certificate"));
    assert!(say(&chain, b"x", None).contains("no private key"));
    assert!(say(&chain, &key, Some(b"x")).contains("authority for clients holds no certificate"));
    assert!(say(&chain, &pem("client.key"), None).contains("cannot be used"));
}

#[test]
fn a_network_of_64_bits_is_one_source() {
    let source = |text: &str| source_of(text.parse().unwrap()).to_string();
    assert_eq!(source("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    assert_eq!(source("::ffff:10.0.0.1"), "10.0.0.1");
    assert_eq!(source("10.0.0.1"), "10.0.0.1");
}
