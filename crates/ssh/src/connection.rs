//! One connection to one host, over jump hosts where there are any; everything else is a channel in it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle, Msg};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Channel, Disconnect, Preferred, SshId, cipher, compression, kex, mac};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::auth;
use crate::error::ConnectError;
use crate::handler::{Client, Ear};
use crate::hosts::known::KnownHosts;
use crate::hosts::{HostId, HostKeyRefusal};
use crate::prompts::Prompts;
use crate::target::{Family, Target};
use crate::text::harmless;

/// The most jump hosts on the way.
const JUMPS_MAX: usize = 8;
/// The most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A connection. Clones share it; it ends when the last one is dropped, or by [`Self::close`].
#[derive(Clone)]
pub struct Connection(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) handle: Handle<Client>,
    pub(crate) ear: Ear,
    pub(crate) target: Target,
    /// Channels that may still be opened.
    pub(crate) sessions: Arc<Semaphore>,
    /// The jump host whose channel carries us; it must live as long.
    via: Option<Connection>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.0.target.shown())
    }
}

impl Connection {
    /// Connects to the last target of `route` over the ones before it. `now_seconds`: Unix time, against which
    /// certificates of hosts are judged.
    ///
    /// Every host's key is checked before any credential is offered to it. No agent, display or port is forwarded.
    ///
    /// # Errors
    /// [`ConnectError`]; nothing has run on any host then.
    pub async fn open(
        route: &[Target],
        prompts: Arc<dyn Prompts>,
        now_seconds: u64,
    ) -> Result<Self, ConnectError> {
        let mut reached: Option<Self> = None;
        if route.len() > JUMPS_MAX + 1 {
            let host = route.last().map(Target::shown).unwrap_or_default();
            return Err(protocol(host, format!("there are more than {JUMPS_MAX} jump hosts on the way")));
        }
        for target in route {
            reached = Some(Self::step(target, reached, &prompts, now_seconds).await?);
        }
        reached.ok_or_else(|| protocol(String::new(), "a route has at least one host".to_owned()))
    }

    async fn step(
        target: &Target,
        via: Option<Self>,
        prompts: &Arc<dyn Prompts>,
        now_seconds: u64,
    ) -> Result<Self, ConnectError> {
        let limit = target.times.connect;
        let late = |what| ConnectError::TimeLimit { host: target.shown(), what, limit };
        let ear = Ear::default();
        let agreeing = agree(target, via.as_ref(), ear.clone(), now_seconds);
        let mut handle = timeout(limit, agreeing).await.map_err(|_| late("SSH server"))??;
        let limit = target.times.authenticate;
        match timeout(limit, auth::authenticate(&mut handle, target, prompts)).await {
            Ok(Ok(())) => {}
            Ok(Err(denial)) => {
                let heard = ear.heard();
                let reason = heard.end.clone().or(denial.reason);
                if handle.is_closed() && !heard.farewell {
                    let reason = reason.unwrap_or_default();
                    return Err(protocol(
                        target.shown(),
                        format!("it broke off while letting us in: {reason}"),
                    ));
                }
                return Err(ConnectError::Denied { host: target.shown(), tried: denial.tried, reason });
            }
            Err(_) => {
                return Err(ConnectError::TimeLimit {
                    host: target.shown(),
                    what: "permission to enter",
                    limit,
                });
            }
        }
        let sessions = Arc::new(Semaphore::new(target.sessions_at_once.max(1)));
        Ok(Self(Arc::new(Inner { handle, ear, target: target.clone(), sessions, via })))
    }

    /// Where it goes.
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    /// Through which jump host.
    pub fn via(&self) -> Option<&Self> {
        self.0.via.as_ref()
    }

    /// What the host said before it let us in, at most 64 KiB. The host's words: escape them before they are shown.
    pub fn banner(&self) -> String {
        self.0.ear.heard().banner.clone()
    }

    /// `SHA256:…` of the host key that was accepted.
    pub fn host_key(&self) -> Option<String> {
        self.0.ear.heard().key.clone()
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.0.handle.is_closed()
    }

    /// Why it has ended, as far as it is known.
    pub fn end_reason(&self) -> Option<String> {
        self.0.ear.heard().end.clone()
    }

    /// Says goodbye. Commands that are still running end as [`crate::Doubt::ConnectionLost`].
    pub async fn close(&self) {
        // One that is gone already is what we want.
        let _ = self.0.handle.disconnect(Disconnect::ByApplication, "", "").await;
    }
}

/// From nothing to agreed keys and a host that is who it should be.
async fn agree(
    target: &Target,
    via: Option<&Connection>,
    ear: Ear,
    now_seconds: u64,
) -> Result<Handle<Client>, ConnectError> {
    let host = target.known_as.clone();
    let known = read_known(target).await?;
    let config = Arc::new(config(target, &known, &host));
    let wire: Box<dyn Wire> = match via {
        None => Box::new(tcp(target).await?),
        Some(via) => Box::new(via.pass_on(target).await?.into_stream()),
    };
    let handler = Client { ear: ear.clone(), known, host, now_seconds };
    client::connect_stream(config, wire, handler).await.map_err(|e| {
        let mut heard = ear.heard();
        match heard.refusal.take() {
            Some(refusal) => ConnectError::HostKey(Box::new(refusal)),
            None => {
                let reason = heard.end.take().unwrap_or_else(|| plain(&e));
                protocol(target.shown(), reason)
            }
        }
    })
}

/// The library's error in words that say what to look at.
fn plain(error: &russh::Error) -> String {
    match error {
        russh::Error::Version => "it does not speak SSH 2".to_owned(),
        russh::Error::Disconnect | russh::Error::HUP => "it broke off before keys were agreed".to_owned(),
        russh::Error::NoCommonAlgo { kind, theirs, .. } => harmless(&format!(
            "it offers no {kind:?} algorithm that is still accepted: {}",
            theirs.join(", ")
        )),
        other => harmless(&other.to_string()),
    }
}

fn protocol(host: String, reason: String) -> ConnectError {
    ConnectError::Protocol { host, reason }
}

async fn read_known(target: &Target) -> Result<KnownHosts, ConnectError> {
    let (keys, host) = (target.host_keys.clone(), target.known_as.clone());
    let read = tokio::task::spawn_blocking(move || keys.read(&host)).await;
    let refused = |refusal: HostKeyRefusal| ConnectError::HostKey(Box::new(refusal));
    read.map_err(|e| protocol(target.shown(), e.to_string()))?.map_err(refused)
}

async fn tcp(target: &Target) -> Result<TcpStream, ConnectError> {
    let host = target.shown();
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
    let fits = |a: &SocketAddr| match target.family {
        Family::Any => true,
        Family::Inet => a.is_ipv4(),
        Family::Inet6 => a.is_ipv6(),
    };
    let addresses: Vec<SocketAddr> = match found {
        Ok(found) => found.filter(fits).take(ADDRESSES_MAX).collect(),
        Err(e) => return Err(ConnectError::NoAddress { host, reason: e.to_string() }),
    };
    // One address that swallows packets must not use up the time of the others.
    let share = target.times.connect / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut last = None;
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it small packets wait for each other; a connection works either way.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(e)) => last = Some(e),
            Err(_) => last = Some(std::io::Error::from(std::io::ErrorKind::TimedOut)),
        }
    }
    Err(match last {
        Some(source) => ConnectError::Unreachable { host, source },
        None => ConnectError::NoAddress { host, reason: "none of the wanted family".to_owned() },
    })
}

impl Connection {
    async fn pass_on(&self, next: &Target) -> Result<Channel<Msg>, ConnectError> {
        let refused = |reason: String| ConnectError::NotPassedOn {
            via: self.0.target.shown(),
            host: next.shown(),
            reason,
        };
        let opening =
            self.0.handle.channel_open_direct_tcpip(next.host.as_str(), u32::from(next.port), "127.0.0.1", 0);
        opening.await.map_err(|e| refused(harmless(&e.to_string())))
    }
}

/// What we agree to: nothing with SHA-1, CBC, DSA or compression, and what the host is known by first.
fn config(target: &Target, known: &KnownHosts, host: &HostId) -> client::Config {
    let mut key = vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ];
    let known_kinds: Vec<Algorithm> = known.keys(host).map(|k| k.algorithm()).collect();
    let is_known = |a: &Algorithm| {
        known_kinds
            .iter()
            .any(|k| k == a || (matches!(k, Algorithm::Rsa { .. }) && matches!(a, Algorithm::Rsa { .. })))
    };
    key.sort_by_key(|a| !is_known(a));
    let trusts_an_authority = known.authorities(host).next().is_some();
    let certificates = if trusts_an_authority { key.clone() } else { Vec::new() };
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-wellkept_", env!("CARGO_PKG_VERSION")))),
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            key: Cow::Owned(key),
            host_key_certificates: Cow::Owned(certificates),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
        },
        keepalive_interval: target.times.keep_alive,
        keepalive_max: target.times.keep_alive_max,
        inactivity_timeout: None,
        gex: client::GexParams::new(2048, 3072, 8192).unwrap_or_default(),
        ..client::Config::default()
    }
}

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// GCM first: it is the fastest here, and needs no strict key exchange to be safe.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];

/// How long a farewell may take when something is dropped.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);
