//! What a new agent is given: the right to join once, and by what it recognises the server.
//!
//! The fingerprint of the authority is part of it, so that the very first connection is to the right server or to none.
//! A token is a secret: it has no `Debug`, and the server keeps only a hash of it.

use std::fmt;
use std::str::FromStr;

use wellkept_sign::{Digest, digest};
use zeroize::Zeroizing;

/// Begins each token.
const PREFIX: &str = "wkjoin1";
/// Random bytes of the part that names it, and of the secret part.
pub(crate) const ID_BYTES: usize = 8;
pub(crate) const SECRET_BYTES: usize = 32;

/// The right to join once.
#[derive(Clone)]
pub struct JoinToken {
    pub(crate) id: String,
    pub(crate) secret: Zeroizing<String>,
    pub(crate) authority: Digest,
}

impl JoinToken {
    /// As a person carries it to the host.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}-{}-{}-{}", self.id, self.secret.as_str(), self.authority))
    }

    /// The fingerprint of the authority that the server has to show.
    #[must_use]
    pub fn authority(&self) -> Digest {
        self.authority
    }

    pub(crate) fn hash_of(secret: &str) -> Digest {
        digest(secret.as_bytes())
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("id", &self.id).finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "this is no token of `wellkept agent token`";
        let parts: Vec<&str> = text.trim().split('-').collect();
        let [PREFIX, id, secret, authority] = parts.as_slice() else { return Err(WRONG) };
        let hex = |text: &str, bytes: usize| {
            text.len() == bytes * 2 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
        };
        if !hex(id, ID_BYTES) || !hex(secret, SECRET_BYTES) {
            return Err(WRONG);
        }
        let authority = authority.parse().map_err(|_| WRONG)?;
        Ok(Self { id: (*id).to_owned(), secret: Zeroizing::new((*secret).to_owned()), authority })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_does_not_show_itself() {
        let token = JoinToken {
            id: "0123456789abcdef".into(),
            secret: Zeroizing::new("ab".repeat(32)),
            authority: digest(b"a"),
        };
        let text = token.reveal();
        let back: JoinToken = format!("{}\n", text.as_str()).parse().unwrap();
        assert_eq!(back.reveal(), text);
        assert!(!format!("{token:?}").contains("abab"));
        for bad in
            ["", "wkjoin1-a-b-c", &text[1..], &text[..text.len() - 1], &text.replace("wkjoin1", "wkjoin2")]
        {
            assert!(bad.parse::<JoinToken>().is_err(), "{bad}");
        }
    }
}
