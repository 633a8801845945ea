//! Whom we trust, who we say we are, and to whom we say it.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::*;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};
use wellkept_scrape::manager::Manager;

const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");

fn manager() -> (Manager, Arc<Memory>) {
    let memory = Memory::new();
    (Manager::new(Arc::new(|| Box::new(Lines)), Arc::clone(&memory) as _), memory)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(TLS).join(name)).expect("it is beside the tests")
}

fn chain(name: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(&read(name)).collect::<Result<_, _>>().expect("a good certificate")
}

/// A server that shows the test certificate, and wants one of us where `wants_client` is true.
async fn secure(wants_client: bool) -> Server {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("a good provider");
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(chain("ca.pem"));
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.expect("good roots"))
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_slice(&read("server.key")).expect("a good key");
    let config = builder.with_single_cert(chain("server.pem"), key).expect("a good certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::start_at("127.0.0.1:0", Some(acceptor), |_| Some(metrics("a 1\n"))).await
}

/// Scrapes with these keys until the target is up (`None`) or fails with these words.
async fn scrape(server: &Server, keys: &str, failure: Option<&str>) {
    let (manager, memory) = manager();
    manager.apply(&job(server.address, &format!("    scheme: https\n{keys}")));
    let fits = |_: &[wellkept_scrape::Scraped]| {
        manager.targets().active.iter().any(|t| match failure {
            None => t.health == "up",
            Some(words) => t.last_error.contains(words),
        })
    };
    memory.wait(keys, fits).await;
}

#[tokio::test]
async fn a_server_is_believed_only_with_a_certificate_that_the_configuration_trusts() {
    let server = secure(false).await;
    scrape(
        &server,
        &format!("    tls_config: {{ ca_file: {TLS}/ca.pem, server_name: target.test }}\n"),
        None,
    )
    .await;
    scrape(&server, &format!("    tls_config: {{ ca_file: {TLS}/ca.pem }}\n"), Some("TLS: ")).await;
    scrape(&server, "    tls_config: { server_name: target.test }\n", Some("TLS: ")).await;
    scrape(&server, "    tls_config: { insecure_skip_verify: true }\n", None).await;
    scrape(&server, "    tls_config: { ca_file: /nowhere/ca.pem }\n", Some("/nowhere/ca.pem: ")).await;
    scrape(
        &server,
        &format!("    tls_config: {{ ca_file: {TLS}/server.key }}\n"),
        Some("holds no certificate"),
    )
    .await;
}

#[tokio::test]
async fn a_server_that_wants_to_know_us_gets_our_certificate() {
    let server = secure(true).await;
    let trust = format!("ca_file: {TLS}/ca.pem, server_name: target.test");
    let known =
        format!("    tls_config: {{ {trust}, cert_file: {TLS}/client.pem, key_file: {TLS}/client.key }}\n");
    scrape(&server, &known, None).await;
    let (manager, memory) = manager();
    manager.apply(&job(server.address, &format!("    scheme: https\n    tls_config: {{ {trust} }}\n")));
    memory.wait("refused", |all| all.iter().any(|s| up(s) == Some(0.0))).await;
    let wrong =
        format!("    tls_config: {{ {trust}, cert_file: {TLS}/client.pem, key_file: {TLS}/server.pem }}\n");
    scrape(&server, &wrong, Some("holds no private key")).await;
}

#[tokio::test]
async fn who_we_are_is_said_as_the_configuration_has_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let token = dir.path().join("token");
    std::fs::write(&token, "first\n").expect("it can be written");
    let token = token.display();
    for (keys, expected) in [
        ("    basic_auth: { username: u, password: 'p:ä' }\n".to_owned(), "Basic dTpwOsOk"),
        ("    basic_auth: { username: u }\n".to_owned(), "Basic dTo="),
        ("    bearer_token: t\n".to_owned(), "Bearer t"),
        ("    authorization: { type: Token, credentials: t }\n".to_owned(), "Token t"),
        (format!("    authorization: {{ credentials_file: '{token}' }}\n"), "Bearer first"),
        (format!("    basic_auth: {{ username: u, password_file: '{token}' }}\n"), "Basic dTpmaXJzdA=="),
    ] {
        let server = Server::metrics("a 1\n").await;
        let (manager, _memory) = manager();
        manager.apply(&job(server.address, &keys));
        assert_eq!(server.wait(1).await[0].header("authorization"), expected, "{keys}");
    }
    let server = Server::metrics("a 1\n").await;
    let (manager, memory) = manager();
    manager.apply(&job(server.address, "    bearer_token_file: /nowhere/token\n"));
    memory.scrapes(1).await;
    assert!(manager.targets().active[0].last_error.starts_with("credentials: /nowhere/token: "));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_is_followed_without_credentials_to_others() {
    let other = Server::metrics("a 1\n").await;
    let to = format!("http://{}/elsewhere", other.address);
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/metrics" => Some(redirect("/next?x=1")),
        "/next?x=1" => Some(redirect(&to)),
        _ => None,
    })
    .await;
    let (manager, memory) = manager();
    manager.apply(&job(server.address, "    bearer_token: t\n"));
    let scraped = memory.wait("followed", |all| all.iter().any(|s| up(s) == Some(1.0))).await;
    assert!(scraped.iter().any(|s| value(s, "a", &[]).is_some()));
    let (own, others) = (server.seen(), other.seen());
    assert!(own.iter().all(|s| s.header("authorization") == "Bearer t"));
    assert!(own.iter().any(|s| s.path == "/next?x=1"));
    assert!(others.iter().all(|s| s.header("authorization").is_empty() && s.path == "/elsewhere"));
}

#[tokio::test]
async fn redirects_end_where_they_should() {
    for (location, keys, why) in [
        ("/metrics", "", "more than 10 in a row"),
        ("ftp://x/", "", "must begin with http:// or https://"),
        ("http://u:p@x/", "", "must not name a user"),
        ("/x", "    follow_redirects: false\n", "server returned HTTP status 302 Found"),
    ] {
        let server = Server::start(move |_| Some(redirect(location))).await;
        let (manager, memory) = manager();
        manager.apply(&job(server.address, keys));
        memory.wait(why, |_| manager.targets().active[0].last_error.contains(why)).await;
        assert!(!manager.targets().active[0].last_error.contains("u:p"));
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_made_anew() {
    // Answers one request on each connection, then closes it without saying so.
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let (mut stream, _) = socket.accept().await.expect("somebody asks");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\na 1\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let (manager, memory) = manager();
    manager.apply(&job(address, ""));
    let all = memory.scrapes(4).await;
    assert!(all.iter().all(|s| up(s) == Some(1.0)), "{all:?}");
    server.abort();
}
