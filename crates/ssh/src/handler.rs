//! What the host may say by itself: its key, a banner, a farewell. Everything else it asks for is refused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, Error, Names, cipher};

use crate::hosts::certificate::{self, CertificateProblem};
use crate::hosts::known::KnownHosts;
use crate::hosts::{HostId, HostKeyRefusal, fingerprint, judge};
use crate::text::harmless;

/// The most that a host may say before it lets us in, bytes. OpenSSH's own texts have some hundred.
const BANNER_MAX: usize = 64 * 1024;

/// What the handler has heard, for those who wait outside.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) refusal: Option<HostKeyRefusal>,
    pub(crate) banner: String,
    /// Why the connection ended, or had to.
    pub(crate) end: Option<String>,
    /// The host itself ended it, and did not just vanish.
    pub(crate) farewell: bool,
    /// The host key as it was accepted.
    pub(crate) key: Option<String>,
}

/// Shared between a handler and its connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ear(Arc<Mutex<Heard>>);

impl Ear {
    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        // Nobody panics while holding it, and what was heard stays true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reason for an end, as good as it is known.
    pub(crate) fn end(&self, otherwise: &str) -> String {
        self.heard().end.clone().unwrap_or_else(|| otherwise.to_owned())
    }
}

pub(crate) struct Client {
    pub(crate) ear: Ear,
    pub(crate) known: KnownHosts,
    pub(crate) host: HostId,
    pub(crate) now_seconds: u64,
}

impl Client {
    fn judge(&self, shown: &PublicKeyOrCertificate) -> Result<(), HostKeyRefusal> {
        let PublicKeyOrCertificate::Certificate(shown) = shown else {
            return judge(&self.known, &self.host, &shown.public_key());
        };
        let key = PublicKey::new(shown.public_key().clone(), "");
        let authority = PublicKey::new(shown.signature_key().clone(), "");
        for key in [&key, &authority] {
            if let Some(at) = self.known.revoked(&self.host, key) {
                let (host, fingerprint) = (self.host.clone(), fingerprint(key));
                return Err(HostKeyRefusal::Revoked { host, fingerprint, at });
            }
        }
        match certificate::check(&self.known, &self.host, shown, self.now_seconds) {
            Ok(()) => Ok(()),
            // Signed by somebody else: the key below it may still be one that we know.
            Err(CertificateProblem::OtherAuthority { .. })
                if judge(&self.known, &self.host, &key).is_ok() =>
            {
                Ok(())
            }
            Err(problem) => Err(HostKeyRefusal::Certificate { host: self.host.clone(), problem }),
        }
    }
}

impl Handler for Client {
    type Error = Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Error> {
        match self.judge(shown) {
            Ok(()) => {
                self.ear.heard().key = Some(fingerprint(&shown.public_key()));
                Ok(true)
            }
            Err(refusal) => {
                self.ear.heard().refusal = Some(refusal);
                Ok(false)
            }
        }
    }

    async fn kex_done(&mut self, _: Option<&[u8]>, names: &Names, _: &mut Session) -> Result<(), Error> {
        // Terrapin (CVE-2023-48795): this cipher lets messages be cut off the start unless both sides count strictly.
        if names.cipher == cipher::CHACHA20_POLY1305 && !names.strict_kex() {
            self.ear.heard().end = Some(
                "it offers no other cipher than ChaCha20-Poly1305, and no strict key exchange (Terrapin); update it"
                    .to_owned(),
            );
            return Err(Error::Kex);
        }
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), Error> {
        let mut heard = self.ear.heard();
        if heard.banner.len() + banner.len() > BANNER_MAX {
            heard.end =
                Some(format!("it says more than {} KiB before it lets anybody in", BANNER_MAX / 1024));
            return Err(Error::Disconnect);
        }
        heard.banner.push_str(banner);
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Error>) -> Result<(), Error> {
        let mut heard = self.ear.heard();
        heard.farewell = matches!(
            reason,
            DisconnectReason::ReceivedDisconnect(_) | DisconnectReason::Error(Error::NoAuthMethod)
        );
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                heard.end.get_or_insert_with(|| format!("the host ended it: {}", harmless(&info.message)));
                Ok(())
            }
            DisconnectReason::Error(e) => {
                heard.end.get_or_insert_with(|| harmless(&e.to_string()));
                Err(e)
            }
        }
    }

    // A host never opens anything here; the library would accept by default. A dropped handle is a refusal.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        drop(reply);
        Ok(())
    }
}
