//! Reads what is added to a proxy's log of errors, as nginx writes it, and counts by address what it could not reach; and
//! asks it for its connections.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use wellkept_model::keep::Proxy;
use wellkept_model::observe::{ProxyConnections, ProxySeen};

use super::proxy_status::{self, Drops};
use super::{Shared, pause, program};
use crate::clock;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// In which time failures are counted.
const WITHIN: Duration = Duration::from_secs(60);
/// Most that is read in one look, bytes: of a flood the end counts.
const READ_MAX: u64 = 256 << 10;
/// Failures that are remembered.
const KEPT_MAX: usize = 10_000;

pub(super) async fn watch(shared: Shared, declared: Proxy) {
    if declared.error_log.is_none() && declared.status.is_none() {
        return;
    }
    let mut closely = shared.closely.subscribe();
    let (mut follow, mut drops) = (Follow::default(), Drops::default());
    loop {
        let mut seen = match &declared.error_log {
            Some(log) => follow.look(log, clock::monotonic()),
            None => ProxySeen { at: clock::wall(), ..ProxySeen::default() },
        };
        if let Some(url) = &declared.status {
            let told = connections(&shared, url).await;
            seen.connections = told.map(|told| drops.count(told, clock::monotonic()));
        }
        shared.lock().proxies.insert(declared.service.clone(), seen);
        pause(EVERY, &mut closely).await;
    }
}

/// `None` while it does not tell: whether it answers at all is for its health checks to say.
async fn connections(shared: &Shared, url: &str) -> Option<ProxyConnections> {
    let asked = tokio::time::timeout(proxy_status::WITHIN, shared.http.text(url)).await;
    proxy_status::parse(&asked.ok()?.ok()?)
}

/// A log with how far it was read.
#[derive(Default)]
struct Follow {
    at: Option<(u64, u64)>,
    half: String,
    failures: VecDeque<(Instant, String)>,
    last_line: String,
}

impl Follow {
    fn look(&mut self, log: &Path, now: Instant) -> ProxySeen {
        let problem = self.read(log, now).err().map(|e| format!("{}: {e}", log.display()));
        while self.failures.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WITHIN) {
            self.failures.pop_front();
        }
        let mut unreachable: BTreeMap<String, u64> = BTreeMap::new();
        for (_, address) in &self.failures {
            *unreachable.entry(address.clone()).or_default() += 1;
        }
        let last_line = self.last_line.clone();
        ProxySeen { at: clock::wall(), unreachable, last_line, problem, connections: None }
    }

    fn read(&mut self, log: &Path, now: Instant) -> std::io::Result<()> {
        let mut file = File::open(log)?;
        let meta = file.metadata()?;
        let from = match self.at {
            // What was there before us is past.
            None => meta.len(),
            Some((inode, offset)) if inode == meta.ino() && offset <= meta.len() => offset,
            Some(_) => 0,
        };
        let from = from.max(meta.len().saturating_sub(READ_MAX));
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        let read = file.take(READ_MAX).read_to_end(&mut bytes)?;
        self.at = Some((meta.ino(), from + read as u64));
        let text = std::mem::take(&mut self.half) + &String::from_utf8_lossy(&bytes);
        let (whole, half) = text.rsplit_once('\n').unwrap_or(("", &text));
        if (half.len() as u64) < READ_MAX {
            half.clone_into(&mut self.half);
        }
        for line in whole.lines() {
            let Some(address) = unreachable(line) else { continue };
            self.failures.push_back((now, address.to_owned()));
            self.last_line = program::last_words(line);
        }
        let extra = self.failures.len().saturating_sub(KEPT_MAX);
        self.failures.drain(..extra);
        Ok(())
    }
}

/// The address of the upstream that a line says could not be reached.
fn unreachable(line: &str) -> Option<&str> {
    let failed = ["connect() failed", "upstream timed out", "no live upstreams", "could not be resolved"];
    if !failed.iter().any(|f| line.contains(f)) {
        return None;
    }
    let (_, rest) = line.split_once("upstream: \"")?;
    let (url, _) = rest.split_once('"')?;
    let (_, rest) = url.split_once("://")?;
    let address = rest.split('/').next()?;
    (!address.is_empty() && address.len() <= 200).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::testing::{Nginx, free_port, wait_for};

    #[tokio::test]
    async fn a_real_proxy_tells_what_it_cannot_reach() {
        let (gone, web) = (free_port(), Nginx::start("return 200;").await);
        let log = web.dir.join("error.log");
        let mut follow = Follow::default();
        assert!(follow.look(&log, clock::monotonic()).unreachable.is_empty());
        web.load(&format!("proxy_pass http://127.0.0.1:{gone};"));
        let address = format!("127.0.0.1:{gone}");
        let seen = wait_for("a request fails", async || {
            web.get();
            Some(follow.look(&log, clock::monotonic())).filter(|s| s.unreachable.contains_key(&address))
        });
        let seen = seen.await;
        assert!(seen.problem.is_none() && seen.last_line.contains("connect() failed"), "{seen:?}");
        let later = clock::monotonic() + Duration::from_secs(61);
        assert!(follow.look(&log, later).unreachable.is_empty(), "it is past");
    }

    #[tokio::test]
    async fn a_real_proxy_tells_of_its_connections() {
        let web = Nginx::start("stub_status;").await;
        let keep = std::sync::Arc::new(wellkept_model::keep::Keep::default());
        let shared = super::super::Watches::new(&keep, None).shared.clone();
        let url = format!("http://127.0.0.1:{}/", web.port);
        let told = connections(&shared, &url).await.expect("it tells");
        assert!(told.active >= 1 && told.accepted == told.handled && told.requests >= 2, "{told:?}");
        web.load("return 200;");
        let silent = async || connections(&shared, &url).await.is_none().then_some(());
        wait_for("it tells no more", silent).await;
    }

    #[test]
    fn a_log_that_was_rotated_is_read_from_its_beginning() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = dir.path().join("error.log");
        let line = "2026/01/01 [error] 1#1: *1 connect() failed (111: Connection refused) while connecting to \
                    upstream, client: 127.0.0.1, upstream: \"http://10.0.0.9:80/a\", host: \"x\"\n";
        std::fs::write(&log, line).expect("written");
        let (mut follow, now) = (Follow::default(), clock::monotonic());
        assert!(follow.look(&log, now).unreachable.is_empty(), "what was there before is past");
        std::fs::rename(&log, dir.path().join("error.log.1")).expect("renamed");
        assert!(follow.look(&log, now).problem.is_some());
        std::fs::write(&log, line.repeat(2)).expect("written");
        assert_eq!(follow.look(&log, now).unreachable, [("10.0.0.9:80".to_owned(), 2)].into());
        assert_eq!(unreachable("connect() failed, upstream: \"x"), None);
    }
}
