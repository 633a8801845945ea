//! What a configuration comes to for one host: every value checked, with its unit, and defaults filled in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::keyword::Key;
use super::read::SshConfig;
use super::resolve::{Asked, Chosen};
use super::tokens::Tokens;
use super::{ConfigError, Notice, Place};
use crate::name::{HostName, UserName};
use crate::target::Family;

/// On whose behalf files are read. Read once, at the top; nothing here looks at the environment.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// Our user here, who is also the user there unless said otherwise.
    pub user: String,
    /// Our home.
    pub home: PathBuf,
    /// The socket of our agent, from `SSH_AUTH_SOCK`.
    pub agent: Option<PathBuf>,
    /// Environment variables that `${NAME}` may name.
    pub variables: BTreeMap<String, String>,
}

/// One host on the way, as `ProxyJump` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// To be looked up in the configuration, too.
    pub host: String,
    /// Instead of the configuration's.
    pub user: Option<String>,
    /// Instead of the configuration's.
    pub port: Option<u16>,
}

/// Everything about one host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is connected to.
    pub host: HostName,
    /// TCP port.
    pub port: u16,
    /// As whom.
    pub user: UserName,
    /// Under which name its key is kept.
    pub key_alias: Option<HostName>,
    /// Keys to offer, in order.
    pub key_files: Vec<PathBuf>,
    /// Certificates to offer.
    pub certificate_files: Vec<PathBuf>,
    /// Of the agent's keys only the listed ones.
    pub identities_only: bool,
    /// The agent to ask.
    pub agent: Option<PathBuf>,
    /// Hosts on the way, in order.
    pub jumps: Vec<Jump>,
    /// Files of known hosts; a file that is not there is empty.
    pub user_known_hosts: Vec<PathBuf>,
    /// Files of known hosts that are not ours.
    pub global_known_hosts: Vec<PathBuf>,
    /// Not even a person may accept a new key on the way.
    pub strict: bool,
    /// Accepted names are written as hashes.
    pub hash_known_hosts: bool,
    /// Time for connecting.
    pub connect_timeout: Option<Duration>,
    /// After this silence the host is asked whether it is there. `Some(0)`: never.
    pub keep_alive: Option<Duration>,
    /// So many unanswered questions end the connection.
    pub keep_alive_max: Option<usize>,
    /// Which addresses.
    pub family: Family,
    /// Keys may be offered.
    pub public_key: bool,
    /// Answers may be given.
    pub keyboard_interactive: bool,
    /// A password may be sent.
    pub password: bool,
    /// What applies to the host and is not followed.
    pub notices: Vec<Notice>,
}

/// Where `ssh` looks for keys; those of hardware and DSA are not ours to use.
const KEY_FILES: [&str; 3] = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"];
const USER_KNOWN_HOSTS: [&str; 2] = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"];
const GLOBAL_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

impl SshConfig {
    /// What the configuration says about a host.
    ///
    /// # Errors
    /// The first value that cannot be used, or a setting that must not be left out (`ProxyCommand`, `Match exec`,
    /// `RevokedHostKeys`, `CanonicalizeHostname`).
    pub fn settings(&self, asked: &Asked, caller: &Caller) -> Result<Settings, ConfigError> {
        let chosen = self.choose(asked, &caller.user)?;
        Made { chosen, asked, caller }.settings()
    }
}

struct Made<'a> {
    chosen: Chosen,
    asked: &'a Asked,
    caller: &'a Caller,
}

impl Made<'_> {
    fn settings(self) -> Result<Settings, ConfigError> {
        self.refuse()?;
        let nowhere = Place { file: PathBuf::new(), line: 0 };
        let host = match self.chosen.one(Key::HostName) {
            None => self.checked(&nowhere, HostName::new(&self.asked.host))?,
            Some((place, text)) => {
                let text = text.replace("%%", "\0").replace("%h", &self.asked.host).replace('\0', "%");
                self.checked(place, HostName::new(&text))?
            }
        };
        let port = match (self.asked.port, self.chosen.one(Key::Port)) {
            (Some(port), _) => port,
            (None, None) => 22,
            (None, Some((place, text))) => match text.parse() {
                Ok(0) | Err(_) => {
                    return Err(ConfigError::new(place, format!("{text:?} is no port; 1 to 65535 are")));
                }
                Ok(port) => port,
            },
        };
        let user = match (&self.asked.user, self.chosen.one(Key::User)) {
            (Some(user), _) => self.checked(&nowhere, UserName::new(user))?,
            (None, Some((place, user))) => self.checked(place, UserName::new(user))?,
            (None, None) => self.checked(&nowhere, UserName::new(&self.caller.user))?,
        };
        let key_alias = match self.chosen.one(Key::HostKeyAlias) {
            None => None,
            Some((place, text)) => Some(self.checked(place, HostName::new(text))?),
        };
        let known_as = key_alias.as_ref().unwrap_or(&host).as_str();
        let tokens = Tokens {
            caller: self.caller,
            asked: &self.asked.host,
            host: host.as_str(),
            port,
            user: user.as_str(),
            key_alias: known_as,
        };
        let paths = Paths {
            key_files: self.listed(&self.chosen.identity_files, &tokens, &KEY_FILES)?,
            certificate_files: self.listed(&self.chosen.certificate_files, &tokens, &[])?,
            user_known_hosts: self.files(Key::UserKnownHostsFile, &tokens, &USER_KNOWN_HOSTS)?,
            global_known_hosts: self.files(Key::GlobalKnownHostsFile, &tokens, &GLOBAL_KNOWN_HOSTS)?,
            agent: self.agent(&tokens)?,
        };
        self.finish(host, port, user, key_alias, paths)
    }

    fn finish(
        mut self,
        host: HostName,
        port: u16,
        user: UserName,
        key_alias: Option<HostName>,
        paths: Paths,
    ) -> Result<Settings, ConfigError> {
        let batch = self.flag(Key::BatchMode, false)?;
        let strict = self.strict();
        Ok(Settings {
            jumps: self.jumps()?,
            identities_only: self.flag(Key::IdentitiesOnly, false)?,
            hash_known_hosts: self.flag(Key::HashKnownHosts, false)?,
            connect_timeout: self.time(Key::ConnectTimeout)?.filter(|t| !t.is_zero()),
            keep_alive: self.time(Key::ServerAliveInterval)?,
            keep_alive_max: self.count(Key::ServerAliveCountMax)?,
            family: self.family()?,
            public_key: self.flag(Key::PubkeyAuthentication, true)?,
            keyboard_interactive: self.flag(Key::KbdInteractiveAuthentication, true)? && !batch,
            password: self.flag(Key::PasswordAuthentication, true)? && !batch,
            strict,
            host,
            port,
            user,
            key_alias,
            key_files: paths.key_files,
            certificate_files: paths.certificate_files,
            agent: paths.agent,
            user_known_hosts: paths.user_known_hosts,
            global_known_hosts: paths.global_known_hosts,
            notices: self.chosen.notices,
        })
    }

    /// Settings without which a host would be reached in another way, or trusted more, than its owner wants.
    fn refuse(&self) -> Result<(), ConfigError> {
        if let Some((place, value)) = self.chosen.one(Key::ProxyCommand)
            && !value.eq_ignore_ascii_case("none")
        {
            return Err(ConfigError::new(
                place,
                "`ProxyCommand` runs a program for each connection and is not followed; use `ProxyJump`",
            ));
        }
        if let Some((place, value)) = self.chosen.one(Key::CanonicalizeHostname)
            && !matches!(value, "no" | "false" | "none")
        {
            return Err(ConfigError::new(place, "`CanonicalizeHostname` is not followed; write whole names"));
        }
        if let Some((place, value)) = self.chosen.one(Key::RevokedHostKeys)
            && value != "none"
        {
            return Err(ConfigError::new(
                place,
                "`RevokedHostKeys` is not read; put `@revoked` lines into a file of known hosts",
            ));
        }
        Ok(())
    }

    fn checked<T, E: std::fmt::Display>(&self, place: &Place, name: Result<T, E>) -> Result<T, ConfigError> {
        name.map_err(|e| ConfigError::new(place, e.to_string()))
    }

    fn flag(&self, key: Key, otherwise: bool) -> Result<bool, ConfigError> {
        match self.chosen.one(key) {
            None => Ok(otherwise),
            Some((_, "yes" | "true" | "unbound" | "host-bound")) => Ok(true),
            Some((_, "no" | "false")) => Ok(false),
            Some((place, other)) => {
                Err(ConfigError::new(place, format!("{other:?} is neither `yes` nor `no`")))
            }
        }
    }

    fn strict(&mut self) -> bool {
        let Some((place, value)) = self.chosen.one(Key::StrictHostKeyChecking) else { return false };
        let strict = matches!(value, "yes" | "true");
        if !strict && value != "ask" {
            let why = "an unknown key is always refused until a person has accepted it, a changed one always";
            let notice = Notice { place: place.clone(), keyword: "stricthostkeychecking".to_owned(), why };
            self.chosen.notices.push(notice);
        }
        strict
    }

    fn time(&self, key: Key) -> Result<Option<Duration>, ConfigError> {
        match self.chosen.one(key) {
            None | Some((_, "none")) => Ok(None),
            Some((place, text)) => seconds(text)
                .map(|s| Some(Duration::from_secs(s)))
                .ok_or_else(|| ConfigError::new(place, format!("{text:?} is no time; `90` or `1m30s` are"))),
        }
    }

    fn count(&self, key: Key) -> Result<Option<usize>, ConfigError> {
        let Some((place, text)) = self.chosen.one(key) else { return Ok(None) };
        let number = text.parse().map_err(|_| ConfigError::new(place, format!("{text:?} is no number")))?;
        Ok(Some(number))
    }

    fn family(&self) -> Result<Family, ConfigError> {
        match self.chosen.one(Key::AddressFamily) {
            None | Some((_, "any")) => Ok(Family::Any),
            Some((_, "inet")) => Ok(Family::Inet),
            Some((_, "inet6")) => Ok(Family::Inet6),
            Some((place, other)) => {
                Err(ConfigError::new(place, format!("{other:?} is none of `any`, `inet` and `inet6`")))
            }
        }
    }

    fn listed(
        &self,
        files: &[(Place, String)],
        tokens: &Tokens<'_>,
        otherwise: &[&str],
    ) -> Result<Vec<PathBuf>, ConfigError> {
        let nowhere = Place { file: PathBuf::new(), line: 0 };
        if files.is_empty() {
            let paths = otherwise.iter().map(|p| tokens.path(p).map(PathBuf::from)).collect::<Result<_, _>>();
            return self.checked(&nowhere, paths);
        }
        let named = files.iter().filter(|(_, path)| path != "none");
        named.map(|(place, path)| self.checked(place, tokens.path(path).map(PathBuf::from))).collect()
    }

    fn files(&self, key: Key, tokens: &Tokens<'_>, otherwise: &[&str]) -> Result<Vec<PathBuf>, ConfigError> {
        let files = match self.chosen.values.get(&key) {
            None => Vec::new(),
            Some((place, files)) => files.iter().map(|f| (place.clone(), f.clone())).collect(),
        };
        self.listed(&files, tokens, otherwise)
    }

    fn agent(&self, tokens: &Tokens<'_>) -> Result<Option<PathBuf>, ConfigError> {
        match self.chosen.one(Key::IdentityAgent) {
            None | Some((_, "SSH_AUTH_SOCK")) => Ok(self.caller.agent.clone()),
            Some((_, "none")) => Ok(None),
            Some((place, text)) => match text.strip_prefix('$').filter(|name| !name.starts_with('{')) {
                Some(name) => Ok(self.caller.variables.get(name).map(PathBuf::from)),
                None => self.checked(place, tokens.path(text).map(|path| Some(PathBuf::from(path)))),
            },
        }
    }

    fn jumps(&self) -> Result<Vec<Jump>, ConfigError> {
        let Some((place, text)) = self.chosen.one(Key::ProxyJump) else { return Ok(Vec::new()) };
        if text.eq_ignore_ascii_case("none") {
            return Ok(Vec::new());
        }
        text.split(',').map(|hop| self.checked(place, jump(hop.trim()))).collect()
    }
}

struct Paths {
    key_files: Vec<PathBuf>,
    certificate_files: Vec<PathBuf>,
    user_known_hosts: Vec<PathBuf>,
    global_known_hosts: Vec<PathBuf>,
    agent: Option<PathBuf>,
}

/// `[user@]host[:port]` or `ssh://[user@]host[:port]`.
fn jump(text: &str) -> Result<Jump, String> {
    let bare = text.strip_prefix("ssh://").unwrap_or(text);
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    let (user, place) = bare.rsplit_once('@').map_or((None, bare), |(u, p)| (Some(u.to_owned()), p));
    let (host, port) = match place.strip_prefix('[').and_then(|p| p.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match place.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (place, None),
        },
    };
    let wrong = || format!("{text:?} is no jump host; `[user@]host[:port]` is");
    let port = match port {
        None => None,
        Some(port) => Some(port.parse().ok().filter(|p| *p > 0).ok_or_else(wrong)?),
    };
    HostName::new(host).map_err(|e| e.to_string())?;
    if let Some(user) = &user {
        UserName::new(user).map_err(|e| e.to_string())?;
    }
    Ok(Jump { host: host.to_owned(), user, port })
}

/// Seconds of OpenSSH's times: `90`, `1m30s`, `1h`.
fn seconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit = after.chars().next();
        let factor = match unit.map(|u| u.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after.get(unit.map_or(0, char::len_utf8)..)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_openssh() {
        let got = ["90", "1m30s", "1h", "2D", "0", "", "x", "1y", "99999999999999999999"].map(seconds);
        assert_eq!(got, [Some(90), Some(90), Some(3600), Some(172_800), Some(0), None, None, None, None]);
    }

    #[test]
    fn jump_hosts_are_read_in_all_their_forms() {
        let is = |text: &str, host: &str, user: Option<&str>, port| {
            let want = Jump { host: host.into(), user: user.map(str::to_owned), port };
            assert_eq!(jump(text), Ok(want), "{text}");
        };
        is("gate", "gate", None, None);
        is("jane@gate:2222", "gate", Some("jane"), Some(2222));
        is("ssh://jane@gate:2222/", "gate", Some("jane"), Some(2222));
        is("[::1]:22", "::1", None, Some(22));
        is("fe80::1", "fe80::1", None, None);
        for text in ["", "-oProxyCommand=x", "a b", "gate:0", "gate:x", "a;b"] {
            assert!(jump(text).is_err(), "{text}");
        }
    }
}
