//! From a name to the hosts on the way, each with its own settings.

use super::resolve::Asked;
use super::settings::{Caller, Settings};
use super::{ConfigError, Notice, Place, SshConfig};
use crate::hosts::HostId;
use crate::hosts::store::HostKeys;
use crate::target::{Identity, Target, Times};

/// The most hosts on the way.
const HOPS_MAX: usize = 8;

/// What [`crate::Connection::open`] needs, and what was not followed.
#[derive(Debug, Clone)]
pub struct Route {
    /// Jump hosts first, the host itself last.
    pub targets: Vec<Target>,
    /// Of all of them.
    pub notices: Vec<Notice>,
}

impl SshConfig {
    /// The way to a host: itself, and the hosts that `ProxyJump` names, of which only the first may have a way of its
    /// own, as for `ssh`.
    ///
    /// # Errors
    /// As [`SshConfig::settings`] for each of them, and when the way goes in a circle or over more than eight hosts.
    pub fn route(&self, asked: &Asked, caller: &Caller) -> Result<Route, ConfigError> {
        let mut route = Route { targets: Vec::new(), notices: Vec::new() };
        self.reach(asked, caller, &mut route, 0)?;
        Ok(route)
    }

    /// Adds the way to a host and the host. `depth`: how many hosts wait behind it.
    fn reach(
        &self,
        asked: &Asked,
        caller: &Caller,
        route: &mut Route,
        depth: usize,
    ) -> Result<(), ConfigError> {
        if depth > HOPS_MAX {
            return Err(too_far(&asked.host));
        }
        let mut settings = self.settings(asked, caller)?;
        for (index, jump) in settings.jumps.iter().enumerate() {
            let next = Asked { host: jump.host.clone(), user: jump.user.clone(), port: jump.port };
            // The others are reached over the one before, whatever their own settings say.
            if index == 0 {
                self.reach(&next, caller, route, depth + 1)?;
            } else {
                let mut settings = self.settings(&next, caller)?;
                route.add(&mut settings);
            }
            if route.targets.len() > HOPS_MAX {
                return Err(too_far(&asked.host));
            }
        }
        route.add(&mut settings);
        Ok(())
    }
}

impl Route {
    fn add(&mut self, settings: &mut Settings) {
        self.notices.append(&mut settings.notices);
        self.targets.push(settings.target());
    }
}

fn too_far(host: &str) -> ConfigError {
    let place = Place { file: "ProxyJump".into(), line: 0 };
    ConfigError::new(
        &place,
        format!("the way to {host} goes over more than {HOPS_MAX} hosts, or in a circle"),
    )
}

impl Settings {
    /// As a target, with our own bounds where the configuration says nothing.
    pub fn target(&self) -> Target {
        let usual = Times::default();
        let files = [self.user_known_hosts.clone(), self.global_known_hosts.clone()].concat();
        let accept_into = self.user_known_hosts.first().filter(|_| !self.strict).cloned();
        let known_as =
            HostId { host: self.key_alias.clone().unwrap_or_else(|| self.host.clone()), port: self.port };
        // An alias stands in the file as it is, without the port.
        let known_as = if self.key_alias.is_some() { HostId { port: 22, ..known_as } } else { known_as };
        Target {
            host: self.host.clone(),
            port: self.port,
            user: self.user.clone(),
            known_as,
            host_keys: HostKeys { files, accept_into, hash_names: self.hash_known_hosts },
            identity: Identity {
                agent: self.agent.clone(),
                key_files: self.key_files.clone(),
                certificate_files: self.certificate_files.clone(),
                only_listed: self.identities_only,
                public_key: self.public_key,
                keyboard_interactive: self.keyboard_interactive,
                password: self.password,
            },
            family: self.family,
            times: Times {
                connect: self.connect_timeout.unwrap_or(usual.connect),
                keep_alive: match self.keep_alive {
                    None => usual.keep_alive,
                    Some(time) => Some(time).filter(|t| !t.is_zero()),
                },
                keep_alive_max: self.keep_alive_max.unwrap_or(usual.keep_alive_max),
                ..usual
            },
            sessions_at_once: Target::SESSIONS_AT_ONCE,
        }
    }
}
