//! The person at the terminal, if there is one: what is asked, and nothing else.

use std::path::Path;
use std::sync::Arc;

use wellkept_ssh::hosts::HostKeyRefusal;
use wellkept_ssh::{Prompts, Secret};
use zeroize::Zeroizing;

/// Asks a person. Every method may block; they are called on threads of their own, one at a time.
pub trait Desk: Send + Sync {
    /// Something secret, typed without echo. `None`: nobody is there.
    fn secret(&self, question: &str) -> Option<Zeroizing<String>>;

    /// Something else.
    fn line(&self, question: &str) -> Option<String>;

    /// Whether the key of a host that nobody knows yet is to be believed from now on. The refusal holds its name,
    /// kind and fingerprint.
    fn accept_key(&self, refusal: &HostKeyRefusal) -> bool;
}

/// Nobody is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Desk for Nobody {
    fn secret(&self, _: &str) -> Option<Zeroizing<String>> {
        None
    }

    fn line(&self, _: &str) -> Option<String> {
        None
    }

    fn accept_key(&self, _: &HostKeyRefusal) -> bool {
        false
    }
}

/// Answers the transport's questions: with the host's password when it has one, else by asking.
pub(crate) struct Answers {
    pub(crate) password: Option<Zeroizing<String>>,
    pub(crate) desk: Arc<dyn Desk>,
}

impl Prompts for Answers {
    fn passphrase(&self, key: &Path, attempt: u32) -> Option<Secret> {
        if attempt > 2 {
            return None;
        }
        self.desk
            .secret(&format!("Enter passphrase for key '{}': ", key.display()))
            .map(|s| Secret::new(s.as_str()))
    }

    fn password(&self, _who: &str, attempt: u32) -> Option<Secret> {
        // A password that was refused is not tried again: accounts lock themselves after a few.
        let password = self.password.as_ref().filter(|_| attempt == 0)?;
        Some(Secret::new(password.as_str()))
    }
}
