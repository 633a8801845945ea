//! What a configuration says about one host: the first value of each keyword, in the order of the lines.

use std::collections::BTreeMap;

use super::keyword::Key;
use super::read::{Criterion, Line, SshConfig, Test, What};
use super::{ConfigError, Notice, Place};
use crate::pattern;

/// The most values of `IdentityFile` and `CertificateFile`; as in OpenSSH.
const FILES_MAX: usize = 100;

/// Who is asked for, before the configuration has said anything.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The name as it was typed, or stands in an inventory.
    pub host: String,
    /// A user given there.
    pub user: Option<String>,
    /// A port given there.
    pub port: Option<u16>,
}

/// Values as they stand in the files, with the place of each.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) values: BTreeMap<Key, (Place, Vec<String>)>,
    pub(super) identity_files: Vec<(Place, String)>,
    pub(super) certificate_files: Vec<(Place, String)>,
    pub(super) notices: Vec<Notice>,
}

impl Chosen {
    pub(super) fn one(&self, key: Key) -> Option<(&Place, &str)> {
        let (place, values) = self.values.get(&key)?;
        Some((place, values.first()?.as_str()))
    }
}

impl SshConfig {
    pub(super) fn choose(&self, asked: &Asked, local_user: &str) -> Result<Chosen, ConfigError> {
        let mut pass = Pass { asked, local_user, chosen: Chosen::default(), last: false, wants_last: false };
        pass.files(&self.files)?;
        if pass.wants_last {
            // `Match final`: the files are read again, with what is known by now.
            pass.last = true;
            pass.files(&self.files)?;
        }
        Ok(pass.chosen)
    }
}

struct Pass<'a> {
    asked: &'a Asked,
    local_user: &'a str,
    chosen: Chosen,
    last: bool,
    wants_last: bool,
}

impl Pass<'_> {
    fn files(&mut self, files: &[Vec<Line>]) -> Result<(), ConfigError> {
        for lines in files {
            self.lines(lines)?;
        }
        Ok(())
    }

    fn lines(&mut self, lines: &[Line]) -> Result<(), ConfigError> {
        let mut active = true;
        for line in lines {
            match &line.what {
                What::Host(patterns) => {
                    active = pattern::list_matches(patterns.iter().map(String::as_str), &self.asked.host);
                }
                What::Match(criteria) => active = self.matches(criteria, &line.place)?,
                _ if !active => {}
                What::Include(files) => self.files(files)?,
                What::Set(key, values) => self.set(*key, values, &line.place),
                What::LeftOut(keyword, why) => self.notice(keyword, why, &line.place),
            }
        }
        Ok(())
    }

    fn set(&mut self, key: Key, values: &[String], place: &Place) {
        let list = match key {
            Key::IdentityFile => &mut self.chosen.identity_files,
            Key::CertificateFile => &mut self.chosen.certificate_files,
            _ => {
                // Of a jump host and a command to get there, the first one to be named wins.
                let other = match key {
                    Key::ProxyJump => Some(Key::ProxyCommand),
                    Key::ProxyCommand => Some(Key::ProxyJump),
                    _ => None,
                };
                if !other.is_some_and(|o| self.chosen.values.contains_key(&o)) {
                    self.chosen.values.entry(key).or_insert_with(|| (place.clone(), values.to_vec()));
                }
                return;
            }
        };
        for value in values {
            let again = list.iter().any(|(_, v)| v == value);
            if !again && list.len() < FILES_MAX {
                list.push((place.clone(), value.clone()));
            }
        }
    }

    fn notice(&mut self, keyword: &str, why: &'static str, place: &Place) {
        if !self.chosen.notices.iter().any(|n| n.keyword == keyword) {
            self.chosen.notices.push(Notice { place: place.clone(), keyword: keyword.to_owned(), why });
        }
    }

    fn matches(&mut self, criteria: &[Criterion], place: &Place) -> Result<bool, ConfigError> {
        let mut all = true;
        let mut refused = None;
        for criterion in criteria {
            let met = match &criterion.test {
                Test::All => true,
                Test::Canonical => false,
                Test::Final => {
                    self.wants_last = true;
                    self.last
                }
                Test::Host(patterns) => {
                    let host = self.host_name();
                    pattern::list_matches(patterns.iter().map(String::as_str), &host)
                }
                Test::OriginalHost(p) => {
                    pattern::list_matches(p.iter().map(String::as_str), &self.asked.host)
                }
                Test::User(p) => {
                    let set = self.chosen.one(Key::User).map(|(_, user)| user);
                    let user = self.asked.user.as_deref().or(set).unwrap_or(self.local_user);
                    pattern::list_matches(p.iter().map(String::as_str), user)
                }
                Test::LocalUser(p) => pattern::list_matches(p.iter().map(String::as_str), self.local_user),
                Test::Refused(name) => {
                    refused = Some(name);
                    continue;
                }
            };
            all &= met != criterion.negated;
        }
        match refused {
            // Leaving the block out could mean another way to the host than its owner wants.
            Some(name) if all => Err(ConfigError::new(
                place,
                format!(
                    "`Match {name}` decides about {}, and is not followed, because it runs programs or depends on \
                     where we are; use `Match host` or `Host`",
                    self.asked.host
                ),
            )),
            Some(_) => Ok(false),
            None => Ok(all),
        }
    }

    /// What `Match host` compares: the name as it would be connected to by now.
    fn host_name(&self) -> String {
        match self.chosen.one(Key::HostName) {
            Some((_, name)) => name.replace("%h", &self.asked.host).replace("%%", "%"),
            None => self.asked.host.clone(),
        }
    }
}
