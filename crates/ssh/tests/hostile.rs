//! Servers that speak SSH well enough to do harm, made with the server half of the library.

mod bed;

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bed::{keygen, open, read, sh, target};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session};
use russh::{Channel, ChannelId, Preferred, cipher, kex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use wellkept_ssh::hosts::store::HostKeys;
use wellkept_ssh::{ConnectError, Doubt, End, NotRun, Target};

/// What it does once somebody is in.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    OpensChannels,
    NeverAnswers,
    ClosesWithoutStatus,
    RefusesCommands,
}

struct Hostile {
    habit: Habit,
    tried: mpsc::Sender<Vec<bool>>,
}

impl server::Handler for Hostile {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        if self.habit == Habit::OpensChannels {
            let (handle, tried) = (session.handle(), self.tried.clone());
            tokio::spawn(async move {
                let opened = vec![
                    handle.channel_open_session().await.is_ok(),
                    handle.channel_open_agent().await.is_ok(),
                    handle.channel_open_forwarded_tcpip("localhost", 22, "localhost", 1).await.is_ok(),
                    handle.channel_open_forwarded_streamlocal("/run/x").await.is_ok(),
                    handle.channel_open_direct_tcpip("localhost", 22, "localhost", 1).await.is_ok(),
                    handle.channel_open_direct_streamlocal("/run/x").await.is_ok(),
                    handle.channel_open_x11("localhost", 6000).await.is_ok(),
                ];
                tried.send(opened).await.expect("the test waits for it");
            });
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match self.habit {
            Habit::NeverAnswers => Ok(()),
            Habit::RefusesCommands => session.channel_failure(id),
            Habit::OpensChannels | Habit::ClosesWithoutStatus => {
                session.channel_success(id)?;
                session.close(id)
            }
        }
    }
}

/// Starts one on loopback; what it tried to open comes over the channel.
async fn start(habit: Habit, preferred: Preferred) -> (tempfile::TempDir, Target, mpsc::Receiver<Vec<bool>>) {
    let folder = tempfile::tempdir().expect("temp");
    keygen(folder.path(), "ed25519", "host_key", "");
    let key = russh::keys::load_secret_key(folder.path().join("host_key"), None).expect("a key");
    let config = Arc::new(server::Config { keys: vec![key], preferred, ..server::Config::default() });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("listen");
    let address = listener.local_addr().expect("address");
    let known = folder.path().join("known");
    let line = format!("[127.0.0.1]:{} {}", address.port(), read(folder.path().join("host_key.pub")));
    std::fs::write(&known, line).expect("write");
    let (tried, seen) = mpsc::channel(1);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accepted");
        if let Ok(session) = server::run_stream(config, stream, Hostile { habit, tried }).await {
            // How it ends is seen at our side.
            let _ = session.await;
        }
    });
    let mut target = target(address);
    target.host_keys = HostKeys::file(known, false);
    target.times.request = Duration::from_millis(500);
    (folder, target, seen)
}

#[tokio::test]
async fn a_host_opens_no_channel_to_us() {
    let (_folder, target, mut tried) = start(Habit::OpensChannels, Preferred::DEFAULT).await;
    let connection = open(&[target]).await.expect("a connection");
    let _ = sh(&connection, "true").await;
    let opened = tried.recv().await.expect("it tried");
    assert_eq!(opened, vec![false; 7]);
}

#[tokio::test]
async fn what_a_host_says_about_a_command_is_taken_at_its_word_and_no_further() {
    for (habit, end) in [
        (Habit::NeverAnswers, End::Unknown(Doubt::TimeLimit)),
        (Habit::ClosesWithoutStatus, End::Unknown(Doubt::NoStatus)),
    ] {
        let (_folder, target, _tried) = start(habit, Preferred::DEFAULT).await;
        assert_eq!(sh(&open(&[target]).await.expect("a connection"), "true").await.end, end);
    }
    let (_folder, target, _tried) = start(Habit::RefusesCommands, Preferred::DEFAULT).await;
    let ran = sh(&open(&[target]).await.expect("a connection"), "true").await;
    assert!(matches!(ran.end, End::NotRun(NotRun::Refused(_))), "{ran:?}");
}

#[tokio::test]
async fn a_cipher_that_needs_a_strict_key_exchange_is_refused_without_one() {
    let without = Preferred {
        kex: Cow::Borrowed(&[kex::CURVE25519]),
        cipher: Cow::Borrowed(&[cipher::CHACHA20_POLY1305]),
        ..Preferred::DEFAULT
    };
    let (_folder, target, _tried) = start(Habit::RefusesCommands, without.clone()).await;
    let refused = open(&[target]).await.expect_err("Terrapin");
    assert!(
        matches!(refused, ConnectError::Protocol { .. }) && refused.to_string().contains("Terrapin"),
        "{refused}"
    );

    let strict = Preferred {
        kex: Cow::Borrowed(&[kex::CURVE25519, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER]),
        ..without.clone()
    };
    let (_folder, target, _tried) = start(Habit::RefusesCommands, strict).await;
    open(&[target]).await.expect("with a strict one it is fine");

    let gcm = Preferred { cipher: Cow::Borrowed(&[cipher::AES_256_GCM]), ..without };
    let (_folder, target, _tried) = start(Habit::RefusesCommands, gcm).await;
    open(&[target]).await.expect("this cipher does not need it");
}

#[tokio::test]
async fn broken_algorithms_are_never_agreed_upon() {
    for (what, preferred) in [
        ("CBC", Preferred { cipher: Cow::Borrowed(&[cipher::AES_256_CBC]), ..Preferred::DEFAULT }),
        ("SHA-1 key exchange", Preferred { kex: Cow::Borrowed(&[kex::DH_G14_SHA1]), ..Preferred::DEFAULT }),
    ] {
        let (_folder, target, _tried) = start(Habit::RefusesCommands, preferred).await;
        let refused = open(&[target]).await.expect_err(what);
        assert!(refused.to_string().contains("still accepted"), "{what}: {refused}");
    }
}
