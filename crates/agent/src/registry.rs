//! Whom the server knows: tokens that were made, agents that joined, and which certificates are theirs.
//!
//! It is one file in the data directory, read anew at each question, so that a word of the command line counts at an
//! agent's next call, whether the server runs or not. A certificate is known by its hash: what is not listed is nobody,
//! whatever it says of itself. Tokens are kept as hashes only.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wellkept_sign::{Digest, PublicKey};
use zeroize::Zeroizing;

use crate::authority::Issued;
use crate::name::{NameError, check_name};
use crate::token::{ID_BYTES, JoinToken, SECRET_BYTES};
use crate::{folder, wire};

const FORMAT: u32 = 1;
/// Largest registry, bytes.
const FILE_MAX: u64 = 16 << 20;
/// Most agents, and most tokens that wait.
const AGENTS_MAX: usize = 10_000;
const TOKENS_MAX: usize = 10_000;
/// Certificates of one agent that are good at once: the one it has and the one that it renews it by.
const CERTIFICATES_MAX: usize = 3;
/// How long a token may be good.
const TOKEN_FOR_MAX: Duration = Duration::from_secs(30 * 86_400);
/// A token that was used or ran out is remembered for so long.
const OLD_TOKENS_MS: i64 = 86_400_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    format: u32,
    tokens: Vec<Token>,
    agents: BTreeMap<String, Agent>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    id: String,
    hash: Digest,
    name: String,
    expires_ms: i64,
    /// Whose it was. The same key may ask again, because answers get lost.
    #[serde(default)]
    used_by: Option<PublicKey>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Agent {
    key: PublicKey,
    joined_ms: i64,
    #[serde(default)]
    revoked_ms: Option<i64>,
    certificates: Vec<(Digest, i64)>,
}

/// An agent, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView {
    /// Its name.
    pub name: String,
    /// Milliseconds since the epoch.
    pub joined_ms: i64,
    /// Milliseconds since the epoch.
    pub revoked_ms: Option<i64>,
    /// When its newest certificate ends, milliseconds since the epoch.
    pub expires_ms: i64,
}

/// Why somebody is not let in. What a stranger is told is less: see [`Refusal::told`].
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such token, or another secret.
    #[error("the token is not known here")]
    UnknownToken,
    /// Its time is over.
    #[error("the token has expired")]
    ExpiredToken,
    /// It was used, by another key.
    #[error("the token was used already")]
    UsedToken,
    /// The key's holder did not sign.
    #[error("the request does not show that the key is its sender's")]
    NotProven,
    /// A certificate that is not in the registry.
    #[error("the certificate belongs to no agent that is known here")]
    UnknownCertificate,
    /// The agent was sent away.
    #[error("the agent {0} was revoked")]
    Revoked(String),
    /// Too many.
    #[error("there are {max} {what} already")]
    Full {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// A name that is not accepted.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The disk.
    #[error("the registry of agents cannot be used: {0}")]
    Disk(#[from] io::Error),
}

impl Refusal {
    /// What is told to who asked: nothing that helps with guessing tokens.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::UnknownToken | Self::ExpiredToken | Self::UsedToken | Self::NotProven => {
                "the token is not good here: it is unknown, used or expired".to_owned()
            }
            Self::Disk(_) => "the server cannot answer now".to_owned(),
            other => other.to_string(),
        }
    }

    /// The HTTP status that goes with it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Disk(_) | Self::Full { .. } => 503,
            _ => 403,
        }
    }
}

/// The file with its lock.
#[derive(Debug)]
pub struct Registry {
    folder: PathBuf,
    /// One change at a time in this process; the lock of the folder keeps other processes out.
    changing: Mutex<()>,
}

impl Registry {
    /// The registry of a folder; made when it is not there.
    ///
    /// # Errors
    /// The disk.
    pub fn open(path: &Path) -> io::Result<Self> {
        folder::make(path)?;
        let registry = Self { folder: path.to_owned(), changing: Mutex::default() };
        registry.read()?;
        Ok(registry)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("registry.json")
    }

    fn read(&self) -> io::Result<Book> {
        let book: Option<Book> = folder::read_json(&self.file(), FILE_MAX)?;
        let book = book.unwrap_or(Book { format: FORMAT, tokens: Vec::new(), agents: BTreeMap::new() });
        if book.format != FORMAT {
            let path = self.file();
            let told = format!("{} has format {}; use a newer wellkept", path.display(), book.format);
            return Err(io::Error::other(told));
        }
        Ok(book)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Book) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = folder::Lock::of(&self.folder)?;
        let mut book = self.read()?;
        let done = change(&mut book)?;
        folder::replace_json(&self.file(), &book)?;
        Ok(done)
    }

    /// A token for one host, good once and for so long.
    ///
    /// # Errors
    /// A name that is not accepted; the disk.
    pub fn make_token(
        &self,
        name: &str,
        good_for: Duration,
        authority: Digest,
        now_ms: i64,
    ) -> Result<JoinToken, Refusal> {
        check_name(name)?;
        let secret = Zeroizing::new(folder::random_hex(SECRET_BYTES)?);
        let token = JoinToken { id: folder::random_hex(ID_BYTES)?, secret, authority };
        let good_for = i64::try_from(good_for.min(TOKEN_FOR_MAX).as_millis()).unwrap_or(0);
        let kept = Token {
            id: token.id.clone(),
            hash: JoinToken::hash_of(&token.secret),
            name: name.to_owned(),
            expires_ms: now_ms.saturating_add(good_for),
            used_by: None,
        };
        self.change(|book| {
            book.tokens.retain(|t| t.expires_ms.saturating_add(OLD_TOKENS_MS) > now_ms);
            if book.tokens.len() >= TOKENS_MAX {
                return Err(Refusal::Full { what: "tokens", max: TOKENS_MAX });
            }
            book.tokens.push(kept);
            Ok(())
        })?;
        Ok(token)
    }

    /// Lets a new agent in. `issue` makes its certificate.
    pub(crate) fn join(
        &self,
        request: &wire::JoinRequest,
        now_ms: i64,
        issue: impl FnOnce(&str, &PublicKey) -> io::Result<Issued>,
    ) -> Result<(String, Issued), Refusal> {
        self.change(|book| {
            let hash = JoinToken::hash_of(&request.secret);
            // The hash is compared, not the secret: how long that takes tells nothing of use.
            let token = book.tokens.iter_mut().find(|t| t.id == request.token && t.hash == hash);
            let token = token.ok_or(Refusal::UnknownToken)?;
            if now_ms > token.expires_ms {
                return Err(Refusal::ExpiredToken);
            }
            if token.used_by.is_some_and(|key| key != request.key) {
                return Err(Refusal::UsedToken);
            }
            let again = token.used_by.is_some();
            token.used_by = Some(request.key);
            let name = token.name.clone();
            if book.agents.len() >= AGENTS_MAX && !book.agents.contains_key(&name) {
                return Err(Refusal::Full { what: "agents", max: AGENTS_MAX });
            }
            let known = book.agents.get(&name);
            // Sent away since: an answer that got lost does not bring it back.
            if again && known.is_some_and(|a| a.revoked_ms.is_some()) {
                return Err(Refusal::Revoked(name));
            }
            let issued = issue(&name, &request.key)?;
            let certificates = vec![(wellkept_sign::digest(&issued.certificate), issued.expires_ms)];
            let agent = Agent { key: request.key, joined_ms: now_ms, revoked_ms: None, certificates };
            book.agents.insert(name.clone(), agent);
            Ok((name, issued))
        })
    }

    /// A further certificate for an agent that has one.
    pub(crate) fn renew(
        &self,
        name: &str,
        key: &PublicKey,
        now_ms: i64,
        issue: impl FnOnce(&str, &PublicKey) -> io::Result<Issued>,
    ) -> Result<Issued, Refusal> {
        self.change(|book| {
            let agent = book.agents.get_mut(name).ok_or(Refusal::UnknownCertificate)?;
            if agent.revoked_ms.is_some() {
                return Err(Refusal::Revoked(name.to_owned()));
            }
            let issued = issue(name, key)?;
            agent.key = *key;
            agent.certificates.retain(|(_, expires)| *expires > now_ms);
            agent.certificates.push((wellkept_sign::digest(&issued.certificate), issued.expires_ms));
            let surplus = agent.certificates.len().saturating_sub(CERTIFICATES_MAX);
            agent.certificates.drain(..surplus);
            Ok(issued)
        })
    }

    /// Whose certificate this is.
    ///
    /// # Errors
    /// Nobody's, or that of somebody who was sent away.
    pub fn who(&self, certificate: Digest, now_ms: i64) -> Result<String, Refusal> {
        let book = self.read()?;
        let holds =
            |agent: &Agent| agent.certificates.iter().any(|(d, until)| *d == certificate && *until > now_ms);
        let (name, agent) =
            book.agents.iter().find(|(_, agent)| holds(agent)).ok_or(Refusal::UnknownCertificate)?;
        match agent.revoked_ms {
            Some(_) => Err(Refusal::Revoked(name.clone())),
            None => Ok(name.clone()),
        }
    }

    /// Sends an agent away: its next call is refused, and tokens that were made for it are gone. False when there is none.
    ///
    /// # Errors
    /// The disk.
    pub fn revoke(&self, name: &str, now_ms: i64) -> Result<bool, Refusal> {
        self.change(|book| {
            book.tokens.retain(|t| t.name != name);
            let agent = book.agents.get_mut(name);
            Ok(agent.map(|agent| agent.revoked_ms = agent.revoked_ms.or(Some(now_ms))).is_some())
        })
    }

    /// All agents, by name.
    ///
    /// # Errors
    /// The disk.
    pub fn list(&self) -> io::Result<Vec<AgentView>> {
        let view = |(name, agent): (String, Agent)| AgentView {
            name,
            joined_ms: agent.joined_ms,
            revoked_ms: agent.revoked_ms,
            expires_ms: agent.certificates.iter().map(|(_, until)| *until).max().unwrap_or_default(),
        };
        Ok(self.read()?.agents.into_iter().map(view).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wellkept_sign::digest;

    const HOUR: Duration = Duration::from_secs(3600);

    fn key(n: u8) -> PublicKey {
        PublicKey([n; 32])
    }

    fn issue(name: &str, key: &PublicKey) -> io::Result<Issued> {
        Ok(Issued { certificate: format!("{name} {key}").into_bytes(), expires_ms: 10_000_000 })
    }

    fn request(token: &JoinToken, n: u8) -> wire::JoinRequest {
        wire::JoinRequest {
            token: token.id.clone(),
            secret: token.secret.to_string(),
            key: key(n),
            proof: String::new(),
        }
    }

    fn registry() -> (tempfile::TempDir, Registry, JoinToken) {
        let temp = tempfile::tempdir().unwrap();
        let registry = Registry::open(temp.path()).unwrap();
        let token = registry.make_token("web-1", HOUR, digest(b"ca"), 1000).unwrap();
        (temp, registry, token)
    }

    #[test]
    fn a_token_is_good_once_and_the_same_key_may_ask_again() {
        let (temp, registry, token) = registry();
        let text = std::fs::read_to_string(temp.path().join("registry.json")).unwrap();
        assert!(!text.contains(token.secret.as_str()), "only its hash is kept");
        let join = |n| registry.join(&request(&token, n), 2000, issue);
        assert_eq!(join(1).unwrap().0, "web-1");
        assert_eq!(join(1).unwrap().0, "web-1", "an answer may get lost");
        let refused = join(2).unwrap_err();
        assert!(matches!(refused, Refusal::UsedToken), "{refused}");
        assert!(refused.told().contains("unknown, used or expired"));
    }

    #[test]
    fn a_token_with_another_secret_or_too_late_is_refused() {
        let (_temp, registry, token) = registry();
        let wrong = wire::JoinRequest { secret: "00".repeat(32), ..request(&token, 1) };
        assert!(matches!(registry.join(&wrong, 2000, issue), Err(Refusal::UnknownToken)));
        let late = registry.join(&request(&token, 1), 1000 + 3_600_001, issue);
        assert!(matches!(late, Err(Refusal::ExpiredToken)));
        assert!(registry.make_token("../x", HOUR, digest(b"ca"), 1000).is_err());
    }

    #[test]
    fn a_certificate_is_an_agents_until_it_is_revoked_or_over() {
        let (temp, registry, token) = registry();
        let (_, issued) = registry.join(&request(&token, 1), 2000, issue).unwrap();
        let certificate = digest(&issued.certificate);
        assert_eq!(registry.who(certificate, 3000).unwrap(), "web-1");
        assert!(matches!(registry.who(digest(b"other"), 3000), Err(Refusal::UnknownCertificate)));
        assert!(matches!(registry.who(certificate, 10_000_001), Err(Refusal::UnknownCertificate)));
        // As the command line does it, beside the server.
        let beside = Registry::open(temp.path()).unwrap();
        assert!(beside.revoke("web-1", 4000).unwrap() && !beside.revoke("web-2", 4000).unwrap());
        assert!(matches!(registry.who(certificate, 4001), Err(Refusal::Revoked(_))));
        assert!(matches!(registry.renew("web-1", &key(1), 4001, issue), Err(Refusal::Revoked(_))));
        assert!(registry.join(&request(&token, 1), 4001, issue).is_err(), "its token is gone, too");
        let again = registry.make_token("web-1", HOUR, digest(b"ca"), 5000).unwrap();
        registry.join(&request(&again, 2), 5001, issue).unwrap();
        assert_eq!(registry.list().unwrap()[0].revoked_ms, None, "a new token brings it back");
    }

    #[test]
    fn a_renewed_certificate_stands_beside_the_old_one_and_few_are_kept() {
        let (_temp, registry, token) = registry();
        let (_, first) = registry.join(&request(&token, 1), 2000, issue).unwrap();
        for n in 2..6 {
            let issued = registry.renew("web-1", &key(n), 3000, issue).unwrap();
            assert_eq!(registry.who(digest(&issued.certificate), 3001).unwrap(), "web-1");
        }
        assert!(registry.who(digest(&first.certificate), 3001).is_err());
    }
}
