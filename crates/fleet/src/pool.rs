//! Connections: one for each way to a host, opened when it is first wanted, shared from then on.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;
use wellkept_ssh::config::{Asked, Caller, SshConfig};
use wellkept_ssh::hosts::HostKeyRefusal;
use wellkept_ssh::{ConnectError, Connection, Target};

use crate::desk::{Answers, Desk};
use crate::error::ReachError;
use crate::reach::{Key, Reach};

/// Where connections come from.
pub struct Pool {
    config: SshConfig,
    caller: Caller,
    desk: Arc<dyn Desk>,
    /// One question at a time.
    asking: Arc<Mutex<()>>,
    /// Unix time, seconds.
    now: Box<dyn Fn() -> u64 + Send + Sync>,
    open: Mutex<HashMap<Key, Arc<Mutex<Option<Connection>>>>>,
}

impl Pool {
    /// `now`: Unix time in seconds, against which certificates of hosts are judged.
    ///
    /// # Errors
    /// The first line of `~/.ssh/config` that `ssh` would refuse, too.
    pub fn new(
        caller: Caller,
        desk: Arc<dyn Desk>,
        now: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, ReachError> {
        let config = SshConfig::of(&caller)?;
        Ok(Self { config, caller, desk, asking: Arc::default(), now: Box::new(now), open: Mutex::default() })
    }

    /// The jump hosts and the host.
    fn route(&self, reach: &Reach) -> Result<Vec<Target>, ReachError> {
        let asked = Asked { host: reach.host.clone(), user: reach.user.clone(), port: reach.port };
        let mut targets = match reach.jump.as_deref().filter(|jump| *jump != "none") {
            None => self.config.route(&asked, &self.caller)?.targets,
            Some(jumps) => {
                let mut targets = Vec::new();
                for (at, jump) in jumps.split(',').enumerate() {
                    let jump = jump_host(jump);
                    if at == 0 {
                        targets = self.config.route(&jump, &self.caller)?.targets;
                    } else {
                        targets.push(self.config.settings(&jump, &self.caller)?.target());
                    }
                }
                targets.push(self.config.settings(&asked, &self.caller)?.target());
                targets
            }
        };
        if let Some(target) = targets.last_mut() {
            if let Some(key) = &reach.key_file {
                target.identity.key_files.insert(0, key.clone());
            }
            if let Some(timeout) = reach.timeout {
                target.times.connect = timeout;
            }
        }
        Ok(targets)
    }

    /// The connection, opened anew when it has ended.
    ///
    /// # Errors
    /// [`ReachError`]; nothing has run on the host then.
    pub async fn connection(&self, reach: &Reach) -> Result<Connection, ReachError> {
        let slot = Arc::clone(self.open.lock().await.entry(reach.key()).or_default());
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = self.connect(reach).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    async fn connect(&self, reach: &Reach) -> Result<Connection, ReachError> {
        let route = self.route(reach)?;
        // One for each host on the way may be unknown.
        for _ in 0..route.len() {
            let prompts =
                Arc::new(Answers { password: reach.password.clone(), desk: Arc::clone(&self.desk) });
            match Connection::open(&route, prompts, (self.now)()).await {
                Err(ConnectError::HostKey(refusal)) => self.accept(&route, *refusal).await?,
                other => return Ok(other?),
            }
        }
        let prompts = Arc::new(Answers { password: reach.password.clone(), desk: Arc::clone(&self.desk) });
        Ok(Connection::open(&route, prompts, (self.now)()).await?)
    }

    /// Shows an unknown key to a person; an accepted one is written down. Everything else stays refused.
    async fn accept(&self, route: &[Target], refusal: HostKeyRefusal) -> Result<(), ReachError> {
        let refused = |refusal| ReachError::Connect(ConnectError::HostKey(Box::new(refusal)));
        let HostKeyRefusal::Unknown { host, key, .. } = &refusal else { return Err(refused(refusal)) };
        let Some(target) = route.iter().find(|target| target.known_as == *host) else {
            return Err(refused(refusal));
        };
        let _one = self.asking.lock().await;
        let (desk, asked) = (Arc::clone(&self.desk), refusal.clone());
        let yes = tokio::task::spawn_blocking(move || desk.accept_key(&asked)).await.unwrap_or(false);
        let mut salt = [0; 20];
        if !yes || getrandom::fill(&mut salt).is_err() {
            return Err(refused(refusal));
        }
        match target.host_keys.accept(host, key, salt) {
            Ok(()) => Ok(()),
            Err(error) => Err(ReachError::Variables(crate::error::chain(&error))),
        }
    }

    /// Forgets a connection, so that the next use opens a new one.
    pub async fn forget(&self, reach: &Reach) {
        if let Some(slot) = self.open.lock().await.remove(&reach.key())
            && let Some(connection) = slot.lock().await.take()
        {
            connection.close().await;
        }
    }

    /// Says goodbye to all.
    pub async fn close(&self) {
        let slots: Vec<_> = self.open.lock().await.drain().map(|(_, slot)| slot).collect();
        for slot in slots {
            if let Some(connection) = slot.lock().await.take() {
                connection.close().await;
            }
        }
    }
}

/// `user@host:port`, as `ProxyJump` writes it.
fn jump_host(text: &str) -> Asked {
    let text = text.trim().trim_start_matches("ssh://");
    let (user, rest) =
        text.rsplit_once('@').map_or((None, text), |(user, rest)| (Some(user.to_owned()), rest));
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').and_then(|p| p.parse().ok())),
        None => match rest.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
            _ => (rest, None),
        },
    };
    Asked { host: host.to_owned(), user, port }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jump_hosts_are_read_as_ssh_reads_them() {
        let told = |text: &str| {
            let asked = jump_host(text);
            (asked.user, asked.host, asked.port)
        };
        assert_eq!(told("a@b:2222"), (Some("a".into()), "b".into(), Some(2222)));
        assert_eq!(told("[::1]:22"), (None, "::1".into(), Some(22)));
        assert_eq!(told("fe80::1"), (None, "fe80::1".into(), None));
    }
}
