//! Secrets from a person or a file: what the transport asks for while it is being let in.

use std::path::Path;

use crate::secret::Secret;

/// One question of the host, in keyboard-interactive authentication. The texts are the host's: to be shown, but never
/// to be believed, and with control characters already escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What it says.
    pub text: String,
    /// Whether the answer may be seen while it is typed.
    pub echo: bool,
}

/// Gives secrets. It may block, for a person to type; it is called on a thread of its own.
pub trait Prompts: Send + Sync {
    /// The passphrase of a private key; `attempt` counts from 0. `None` skips the key.
    fn passphrase(&self, key: &Path, attempt: u32) -> Option<Secret> {
        let _ = (key, attempt);
        None
    }

    /// The password of `user@host`; `attempt` counts from 0. `None` gives up.
    fn password(&self, who: &str, attempt: u32) -> Option<Secret> {
        let _ = (who, attempt);
        None
    }

    /// Answers to the questions of a host, one each. By default one hidden question is taken to be for the password.
    fn answers(
        &self,
        who: &str,
        instructions: &str,
        questions: &[Question],
        attempt: u32,
    ) -> Option<Vec<Secret>> {
        let _ = instructions;
        match questions {
            [] => Some(Vec::new()),
            [Question { echo: false, .. }] => self.password(who, attempt).map(|p| vec![p]),
            _ => None,
        }
    }
}

/// Nobody is there: keys without passphrases and agents only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unattended;

impl Prompts for Unattended {}
