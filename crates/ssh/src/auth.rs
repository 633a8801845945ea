//! Being let in: certificates and keys of the agent and of files, questions of the host, a password.
//!
//! The order is that of `ssh`. What the host does not offer is not tried, and no secret is asked for in vain: a
//! passphrase only once the host wants that key, a password only when it takes one.

use std::path::PathBuf;
use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Answer};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;

use crate::handler::Client;
use crate::hosts::fingerprint;
use crate::keys;
use crate::prompts::{Prompts, Question};
use crate::secret::Secret;
use crate::signer::{FileKey, SignError};
use crate::target::{Identity, Target};
use crate::text::harmless;

/// The most keys that are offered to one host; OpenSSH ends the connection after six by default.
const OFFERS_MAX: usize = 20;
/// How often a password, or answers, are asked for.
const PASSWORDS_MAX: u32 = 3;
/// The most rounds of questions, and the most questions in one.
const QUESTIONS_MAX: usize = 16;

/// What is known when nobody let us in.
pub(crate) struct Denial {
    pub(crate) tried: Vec<String>,
    pub(crate) reason: Option<String>,
}

/// One way to prove who we are by a key.
struct Offer {
    public: Public,
    from: From,
    shown: String,
}

enum Public {
    Key(PublicKey),
    Certificate(Box<Certificate>),
}

#[derive(Clone)]
enum From {
    Agent,
    File(PathBuf),
}

/// Gets in, or says what was tried.
pub(crate) async fn authenticate(
    handle: &mut Handle<Client>,
    target: &Target,
    prompts: &Arc<dyn Prompts>,
) -> Result<(), Denial> {
    let mut entry = Entry { handle, target, prompts, tried: Vec::new(), methods: MethodSet::empty() };
    match entry.run().await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Denial { tried: entry.tried, reason: None }),
        Err(reason) => Err(Denial { tried: entry.tried, reason: Some(reason) }),
    }
}

struct Entry<'a> {
    handle: &'a mut Handle<Client>,
    target: &'a Target,
    prompts: &'a Arc<dyn Prompts>,
    tried: Vec<String>,
    methods: MethodSet,
}

/// `true`: in. `false`: go on. `Err`: there is no sense in going on.
type Step = Result<bool, String>;

impl Entry<'_> {
    async fn run(&mut self) -> Step {
        let user = self.target.user.as_str();
        let first = self.handle.authenticate_none(user).await;
        if self.settle(first, "no credential at all")? {
            return Ok(true);
        }
        self.tried.clear();
        // A host may want several proofs, one after the other; each kind is given once.
        let identity = &self.target.identity;
        let ways = [
            (MethodKind::PublicKey, identity.public_key),
            (MethodKind::KeyboardInteractive, identity.keyboard_interactive),
            (MethodKind::Password, identity.password),
        ];
        let mut left: Vec<MethodKind> = ways.iter().filter(|(_, on)| *on).map(|(kind, _)| *kind).collect();
        while let Some(at) = left.iter().position(|kind| self.methods.contains(kind)) {
            let done = match left.remove(at) {
                MethodKind::PublicKey => self.by_key().await?,
                MethodKind::KeyboardInteractive => self.by_answers().await?,
                _ => self.by_password().await?,
            };
            if done {
                return Ok(true);
            }
        }
        let offered: Vec<&str> = self.methods.iter().map(<&str>::from).collect();
        Err(format!("it takes: {}", offered.join(", ")))
    }

    /// Takes note of an answer. `Ok(true)`: in.
    fn settle<E: std::fmt::Display>(&mut self, result: Result<AuthResult, E>, what: &str) -> Step {
        match result {
            Ok(AuthResult::Success) => Ok(true),
            Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
                let ended = remaining_methods.is_empty() || self.handle.is_closed();
                let word = if partial_success { "accepted, but not enough" } else { "refused" };
                self.tried.push(format!("{what} ({word})"));
                if ended {
                    return Err("the host ended the connection".to_owned());
                }
                self.methods = remaining_methods;
                Ok(false)
            }
            Err(e) => {
                self.tried.push(format!("{what} ({})", harmless(&e.to_string())));
                if self.handle.is_closed() { Err("the connection broke off".to_owned()) } else { Ok(false) }
            }
        }
    }

    async fn by_key(&mut self) -> Step {
        let mut agent = self.agent().await;
        let offers = offers(&self.target.identity, agent.as_mut(), &mut self.tried).await;
        for offer in offers.into_iter().take(OFFERS_MAX) {
            let before = self.methods.clone();
            if self.offer(offer, agent.as_mut()).await? {
                return Ok(true);
            }
            if self.methods != before && !self.methods.contains(&MethodKind::PublicKey) {
                break;
            }
        }
        Ok(false)
    }

    async fn offer(&mut self, offer: Offer, agent: Option<&mut AgentClient<UnixStream>>) -> Step {
        let Some(hash) = self.hash(&offer.public).await else {
            self.tried.push(format!("{} (the host takes RSA with SHA-1 only)", offer.shown));
            return Ok(false);
        };
        let user = self.target.user.as_str();
        let result: Result<AuthResult, String> = match (offer.from, agent) {
            (From::Agent, Some(agent)) => match offer.public {
                Public::Key(key) => self.handle.authenticate_publickey_with(user, key, hash, agent).await,
                Public::Certificate(cert) => {
                    self.handle.authenticate_certificate_with(user, *cert, hash, agent).await
                }
            }
            .map_err(|e| e.to_string()),
            (From::Agent, None) => return Ok(false),
            (From::File(path), _) => {
                let mut signer = FileKey { path, prompts: Arc::clone(self.prompts) };
                match offer.public {
                    Public::Key(key) => {
                        self.handle.authenticate_publickey_with(user, key, hash, &mut signer).await
                    }
                    Public::Certificate(cert) => {
                        self.handle.authenticate_certificate_with(user, *cert, hash, &mut signer).await
                    }
                }
                .map_err(|e: SignError| e.to_string())
            }
        };
        self.settle(result, &offer.shown)
    }

    /// Which hash goes with a key: none but for RSA. `None`: the host takes only what is broken.
    async fn hash(&self, public: &Public) -> Option<Option<HashAlg>> {
        let algorithm = match public {
            Public::Key(key) => key.algorithm(),
            Public::Certificate(cert) => cert.algorithm(),
        };
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Some(None);
        }
        match self.handle.best_supported_rsa_hash().await {
            Ok(Some(Some(hash))) => Some(Some(hash)),
            Ok(Some(None)) => None,
            Ok(None) | Err(_) => Some(Some(HashAlg::Sha512)),
        }
    }

    async fn agent(&mut self) -> Option<AgentClient<UnixStream>> {
        let path = self.target.identity.agent.as_ref()?;
        let mut agent = match AgentClient::connect_uds(path).await {
            Ok(agent) => agent,
            Err(e) => {
                self.tried.push(format!("the agent at {} ({})", path.display(), harmless(&e.to_string())));
                return None;
            }
        };
        if let Some(binding) = self.handle.agent_session_binding() {
            // Agents that do not know this just say no; those that do then use keys that are bound to hosts.
            let _ = agent.bind_session(binding, false).await;
        }
        Some(agent)
    }

    async fn by_password(&mut self) -> Step {
        for attempt in 0..PASSWORDS_MAX {
            let (prompts, who) = (Arc::clone(self.prompts), self.target.shown());
            let asked = tokio::task::spawn_blocking(move || prompts.password(&who, attempt)).await;
            let Ok(Some(password)) = asked else { return Ok(false) };
            let user = self.target.user.as_str();
            let result = self.handle.authenticate_password(user, password.expose()).await;
            if self.settle(result, "password")? {
                return Ok(true);
            }
            if !self.methods.contains(&MethodKind::Password) {
                break;
            }
        }
        Ok(false)
    }

    async fn by_answers(&mut self) -> Step {
        let what = "keyboard-interactive";
        for attempt in 0..PASSWORDS_MAX {
            let user = self.target.user.as_str();
            let mut answer = self.handle.authenticate_keyboard_interactive_start(user, None::<String>).await;
            let mut rounds = 0;
            loop {
                let (instructions, questions) = match answer {
                    Ok(Answer::Success) => return Ok(true),
                    Ok(Answer::Failure { remaining_methods, partial_success }) => {
                        let failed = AuthResult::Failure { remaining_methods, partial_success };
                        self.settle(Ok::<_, String>(failed), what)?;
                        break;
                    }
                    Ok(Answer::InfoRequest { instructions, prompts, .. }) => (instructions, prompts),
                    Err(e) => {
                        self.settle(Err(e), what)?;
                        return Ok(false);
                    }
                };
                rounds += 1;
                if rounds > QUESTIONS_MAX || questions.len() > QUESTIONS_MAX {
                    return Err("it asks more questions than any login has".to_owned());
                }
                let wanted = questions.len();
                let Some(answers) = self.answers(&instructions, questions, attempt).await else {
                    self.tried.push(format!("{what} (nobody answers)"));
                    // The exchange has to be ended, else the next way would be taken for an answer; some servers
                    // hang up on the wrong number of answers.
                    let nothing = vec![String::new(); wanted];
                    let _ = self.handle.authenticate_keyboard_interactive_respond(nothing).await;
                    return Ok(false);
                };
                let texts = answers.iter().map(|a| a.expose().to_owned()).collect();
                answer = self.handle.authenticate_keyboard_interactive_respond(texts).await;
            }
            if !self.methods.contains(&MethodKind::KeyboardInteractive) {
                break;
            }
        }
        Ok(false)
    }

    async fn answers(
        &self,
        instructions: &str,
        questions: Vec<russh::client::Prompt>,
        attempt: u32,
    ) -> Option<Vec<Secret>> {
        let wanted = questions.len();
        let questions: Vec<Question> =
            questions.into_iter().map(|p| Question { text: harmless(&p.prompt), echo: p.echo }).collect();
        let (prompts, who, instructions) =
            (Arc::clone(self.prompts), self.target.shown(), harmless(instructions));
        let asked =
            tokio::task::spawn_blocking(move || prompts.answers(&who, &instructions, &questions, attempt));
        asked.await.ok().flatten().filter(|answers| answers.len() == wanted)
    }
}

/// All offers in the order of `ssh`: what the agent has of the listed keys, the rest of the agent, the files.
async fn offers(
    identity: &Identity,
    agent: Option<&mut AgentClient<UnixStream>>,
    tried: &mut Vec<String>,
) -> Vec<Offer> {
    let held = match agent {
        None => Vec::new(),
        Some(agent) => match agent.request_identities().await {
            Ok(held) => held,
            Err(e) => {
                tried.push(format!("the agent ({})", harmless(&e.to_string())));
                Vec::new()
            }
        },
    };
    let (listed, files) = file_offers(identity, tried);
    let mut agents: Vec<(bool, Offer)> = Vec::new();
    for held in held {
        let (public, key) = match held {
            AgentIdentity::PublicKey { key, .. } => (Public::Key(key.clone()), key),
            AgentIdentity::Certificate { certificate, .. } => {
                let key = PublicKey::new(certificate.public_key().clone(), "");
                (Public::Certificate(Box::new(certificate)), key)
            }
        };
        let is_listed = listed.iter().any(|l| l.key_data() == key.key_data());
        if identity.only_listed && !is_listed {
            continue;
        }
        let shown = format!("{} {} of the agent", kind(&public), fingerprint(&key));
        agents.push((is_listed, Offer { public, from: From::Agent, shown }));
    }
    agents.sort_by_key(|(is_listed, _)| !is_listed);
    let mut offers: Vec<Offer> = agents.into_iter().map(|(_, offer)| offer).collect();
    // A key that the agent holds is not opened again; certificates in files stay, as the agent has only the key.
    let again = |file: &Offer| offers.iter().any(|o| same_key(&o.public, &file.public));
    let files: Vec<Offer> = files.into_iter().filter(|file| !again(file)).collect();
    offers.extend(files);
    offers
}

fn same_key(a: &Public, b: &Public) -> bool {
    matches!((a, b), (Public::Key(a), Public::Key(b)) if a.key_data() == b.key_data())
}

fn kind(public: &Public) -> &'static str {
    match public {
        Public::Key(_) => "key",
        Public::Certificate(_) => "certificate",
    }
}

/// The public halves of all listed keys, and the offers that files make.
fn file_offers(identity: &Identity, tried: &mut Vec<String>) -> (Vec<PublicKey>, Vec<Offer>) {
    let mut listed = Vec::new();
    let (mut certificates, mut plain) = (Vec::new(), Vec::new());
    for path in &identity.key_files {
        let key = match keys::public_half(path) {
            Ok(Some(key)) => key,
            Ok(None) => continue,
            Err(e) => {
                tried.push(format!("the key {} ({e})", path.display()));
                continue;
            }
        };
        let mut places = identity.certificate_files.clone();
        places.push(keys::certificate_beside(path));
        for place in places {
            let found = keys::certificate(&place).ok().flatten();
            if let Some(cert) = found.filter(|c| c.public_key() == key.key_data()) {
                let shown = format!("certificate {}", place.display());
                let public = Public::Certificate(Box::new(cert));
                certificates.push(Offer { public, from: From::File(path.clone()), shown });
            }
        }
        let shown = format!("key {}", path.display());
        plain.push(Offer { public: Public::Key(key.clone()), from: From::File(path.clone()), shown });
        listed.push(key);
    }
    certificates.extend(plain);
    (listed, certificates)
}
