//! What a Redis server says of itself (`INFO`), and how declared queues stand. Nothing is written, and nothing that stands
//! in a queue is kept: an entry is known by a fingerprint.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wellkept_model::TimestampMs;
use wellkept_model::keep::{Cache, Queue};
use wellkept_model::observe::{CacheSeen, QueueSeen};
use wellkept_resp::{Address, Client, RespError, fingerprint, parse_info};

use super::database_care::Rising;
use super::{Shared, pause};
use crate::clock;

/// In which time drops, hits and misses are counted.
const WITHIN: Duration = Duration::from_secs(60);
/// An entry that was away for so many looks in a row is done with.
const AWAY_MAX: u32 = 3;
/// Questions about one queue in one look.
const QUESTIONS: u64 = 3;
/// Longest file with a password, bytes.
const PASSWORD_MAX: u64 = 4096;

pub(super) async fn watch(shared: Shared, declared: Cache) {
    let mut closely = shared.closely.subscribe();
    let mut look = Look::new(declared);
    loop {
        let seen = look.look().await;
        shared.lock().caches.insert(look.declared.service.clone(), seen);
        pause(look.declared.every, &mut closely).await;
    }
}

/// One server with the connection and what is known from former looks.
pub(super) struct Look {
    declared: Cache,
    client: Option<Client>,
    memory: Memory,
}

impl Look {
    pub(super) fn new(declared: Cache) -> Self {
        Self { declared, client: None, memory: Memory::default() }
    }

    pub(super) async fn look(&mut self) -> CacheSeen {
        let at = clock::wall();
        match self.ask(at).await {
            Ok(seen) => seen,
            Err(error) => {
                self.client = None;
                let why = std::iter::successors(std::error::Error::source(&error), |e| e.source());
                let why: Vec<String> = why.map(ToString::to_string).collect();
                let problem = Some([&[error.to_string()][..], &why[..]].concat().join(": "));
                CacheSeen { at, problem, ..CacheSeen::default() }
            }
        }
    }

    async fn ask(&mut self, at: TimestampMs) -> Result<CacheSeen, RespError> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => connect(&self.declared).await?,
        };
        let info = client.call(&[b"INFO"]).await?;
        let now = clock::monotonic();
        let mut seen = self.memory.read(&parse_info(info.bytes().unwrap_or_default()), at, now);
        for (key, queue) in &self.declared.queues {
            let (length, head, same) = heads(&mut client, key, queue).await?;
            // The server counts our own questions as well.
            let own = if length == 0 { &mut self.memory.own_misses } else { &mut self.memory.own_hits };
            *own += QUESTIONS;
            let one = self.memory.queues.entry(key.clone()).or_default();
            seen.queues.insert(key.clone(), one.read(length, head.filter(|_| !same), at));
        }
        self.client = Some(client);
        Ok(seen)
    }
}

async fn connect(declared: &Cache) -> Result<Client, RespError> {
    let at: Address = declared.redis.parse()?;
    let password = match &declared.password_file {
        Some(path) => Some(password(path)?),
        None => None,
    };
    Client::connect(&at, declared.user.as_deref(), password.as_deref()).await
}

fn password(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(PASSWORD_MAX).read_to_end(&mut text)?;
    Ok(text.trim_ascii_end().to_vec())
}

/// Length of the queue, fingerprint and size of its next entry, and whether the one behind it is the same: then nobody
/// can tell one from the other.
async fn heads(
    client: &mut Client,
    key: &str,
    queue: &Queue,
) -> Result<(u64, Option<(String, u64)>, bool), RespError> {
    let key = key.as_bytes();
    let length = match client.call(&[b"LLEN", key]).await {
        // What is no list is no queue of ours.
        Err(RespError::Refused(_)) => return Ok((0, None, false)),
        other => other?.number().and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
    };
    let (first, second): (&[u8], &[u8]) = if queue.takes_left { (b"0", b"1") } else { (b"-1", b"-2") };
    let head = client.call(&[b"LINDEX", key, first]).await?;
    let behind = client.call(&[b"LINDEX", key, second]).await?;
    let same = head.bytes().is_some() && head == behind;
    Ok((length, head.bytes().map(|b| (fingerprint(b), b.len() as u64)), same))
}

/// What is known from former looks.
#[derive(Default)]
struct Memory {
    evicted: Rising,
    hits: Rising,
    misses: Rising,
    own_hits: u64,
    own_misses: u64,
    limit: Option<u64>,
    limit_before: u64,
    limit_since: Option<TimestampMs>,
    unsaved_since: Option<TimestampMs>,
    broken_since: Option<TimestampMs>,
    queues: BTreeMap<String, Head>,
}

impl Memory {
    fn read(&mut self, info: &BTreeMap<String, String>, at: TimestampMs, now: Instant) -> CacheSeen {
        let text = |key: &str| info.get(key).map_or("", String::as_str);
        let number = |key: &str| text(key).parse::<u64>().unwrap_or(0);
        let limit = number("maxmemory");
        if let Some(before) = self.limit.replace(limit).filter(|before| *before != limit) {
            (self.limit_before, self.limit_since) = (before, Some(at));
        }
        let log = text("aof_enabled") == "1"
            && (text("aof_last_write_status") == "err" || text("aof_last_bgrewrite_status") == "err");
        let what = if log { "log" } else { "snapshot" };
        let unsaved = log || text("rdb_last_bgsave_status") == "err";
        self.unsaved_since = unsaved.then(|| self.unsaved_since.unwrap_or(at));
        let broken = text("role") == "slave" && text("master_link_status") == "down";
        self.broken_since = broken.then(|| self.broken_since.unwrap_or(at));
        CacheSeen {
            at,
            problem: info.is_empty().then(|| "the server said nothing of itself".to_owned()),
            used: number("used_memory"),
            limit,
            limit_since: self.limit_since,
            limit_before: self.limit_before,
            policy: text("maxmemory_policy").to_owned(),
            evicted: self.evicted.more(now, number("evicted_keys"), WITHIN),
            hits: self.hits.more(now, number("keyspace_hits").saturating_sub(self.own_hits), WITHIN),
            misses: self.misses.more(now, number("keyspace_misses").saturating_sub(self.own_misses), WITHIN),
            unsaved_since: self.unsaved_since,
            unsaved_what: if unsaved { what.to_owned() } else { String::new() },
            saved_at: TimestampMs(
                text("rdb_last_save_time").parse::<i64>().unwrap_or(0).saturating_mul(1000),
            ),
            blocked: number("blocked_clients"),
            clients: number("connected_clients"),
            follows: Some(text("role")).filter(|r| !r.is_empty()).map(|r| r == "slave"),
            broken_since: self.broken_since,
            queues: BTreeMap::new(),
        }
    }
}

/// The next entry of one queue, as long as it stays or comes back soon.
#[derive(Debug, Default)]
struct Head {
    entry: String,
    since: TimestampMs,
    came_back: u32,
    away: u32,
}

impl Head {
    fn read(&mut self, length: u64, head: Option<(String, u64)>, at: TimestampMs) -> QueueSeen {
        let (entry, bytes) = head.unwrap_or_default();
        if entry == self.entry && !entry.is_empty() {
            self.came_back += u32::from(self.away > 0);
            self.away = 0;
        } else {
            self.away += 1;
            if self.entry.is_empty() || self.away > AWAY_MAX {
                *self = Self { entry: entry.clone(), since: at, ..Self::default() };
            }
        }
        let stays = entry == self.entry;
        QueueSeen {
            length,
            head_bytes: bytes,
            head_since: if stays { self.since } else { at },
            came_back: if stays { self.came_back } else { 0 },
            head: entry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::testing::{Redis, wait_for};

    fn declared(at: String) -> Cache {
        let queue = Queue {
            limit: 3,
            takes_left: false,
            stuck: Duration::from_secs(5),
            consumer: None,
            dead_letter: None,
        };
        Cache {
            service: "cache".into(),
            redis: at,
            user: None,
            password_file: None,
            memory: None,
            standby: false,
            queues: [("jobs".to_owned(), queue)].into(),
            every: Duration::from_secs(1),
            may: vec![],
        }
    }

    #[tokio::test]
    async fn a_real_server_tells_drops_hits_and_a_limit_that_was_changed() {
        let server = Redis::start(&[]).await;
        let mut look = Look::new(declared(server.address()));
        let seen = look.look().await;
        assert_eq!((seen.problem, seen.limit, seen.evicted, seen.follows), (None, 0, 0, Some(false)));
        server.run(&["SET", "there", "1"]);
        server.run(&["GET", "there"]);
        server.run(&["GET", "absent"]);
        server.run(&["CONFIG", "SET", "maxmemory", "3mb"]);
        server.run(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
        server.run(&["DEBUG", "POPULATE", "30000", "k", "200"]);
        let seen = look.look().await;
        assert!(seen.evicted > 0, "{seen:?}");
        assert_eq!((seen.hits, seen.misses, seen.limit, seen.limit_before), (1, 1, 3 << 20, 0));
        assert_eq!((seen.policy.as_str(), seen.limit_since), ("allkeys-lru", Some(seen.at)));
    }

    #[tokio::test]
    async fn a_real_server_that_cannot_write_says_so_until_it_can() {
        let server = Redis::start(&[]).await;
        let mut look = Look::new(declared(server.address()));
        server.run(&["SET", "a", "1"]);
        assert_eq!(look.look().await.unsaved_since, None);
        // A folder with the name of the file that it would rename.
        std::fs::create_dir(server.dir.join("dump.rdb")).expect("a folder");
        server.run(&["BGSAVE"]);
        let seen =
            wait_for("it fails", async || Some(look.look().await).filter(|s| s.unsaved_since.is_some()));
        assert_eq!(seen.await.unsaved_what, "snapshot");
        std::fs::remove_dir(server.dir.join("dump.rdb")).expect("removed");
        server.run(&["BGSAVE"]);
        wait_for("it is saved", async || look.look().await.unsaved_since.is_none().then_some(())).await;
    }

    #[tokio::test]
    async fn a_real_follower_whose_master_is_gone_says_so() {
        let master = Redis::start(&[]).await;
        let port = master.port.to_string();
        let follower = Redis::start(&["--replicaof", "127.0.0.1", &port]).await;
        let mut look = Look::new(declared(follower.address()));
        wait_for("it follows", async || {
            let seen = look.look().await;
            (seen.follows == Some(true) && seen.broken_since.is_none()).then_some(())
        })
        .await;
        drop(master);
        wait_for("it is cut off", async || look.look().await.broken_since.map(drop)).await;
    }

    #[tokio::test]
    async fn an_entry_that_comes_back_is_known_again_and_its_content_is_not_kept() {
        let server = Redis::start(&["--requirepass", "geheim"]).await;
        let mut look = Look::new(declared(server.address()));
        assert!(look.look().await.problem.is_some_and(|p| p.contains("NOAUTH")));
        let password = server.dir.join("password");
        std::fs::write(&password, "geheim\n").expect("written");
        look = Look::new(Cache { password_file: Some(password), ..declared(server.address()) });
        server.run(&["LPUSH", "jobs", "bad secret", "good"]);
        let seen = look.look().await;
        let first = seen.queues["jobs"].clone();
        assert_eq!((first.length, first.head_bytes, first.head.len()), (2, 10, 16), "{seen:?}");
        for _ in 0..2 {
            server.run(&["RPOPLPUSH", "jobs", "jobs"]);
            assert_ne!(look.look().await.queues["jobs"].head, first.head);
            server.run(&["RPOPLPUSH", "jobs", "jobs"]);
            look.look().await;
        }
        let seen = look.look().await;
        let back = &seen.queues["jobs"];
        assert_eq!(
            (back.head.as_str(), back.came_back, back.head_since),
            (first.head.as_str(), 2, first.head_since)
        );
        assert!(!format!("{seen:?}").contains("secret"));
        server.run(&["DEL", "jobs"]);
        server.run(&["LPUSH", "jobs", "tick", "tick"]);
        assert_eq!(look.look().await.queues["jobs"].head, "", "one like the other");
    }

    #[test]
    fn an_entry_that_stays_away_is_done_with() {
        let (mut head, at) = (Head::default(), TimestampMs);
        let entry = |name: &str| Some((name.to_owned(), 1));
        head.read(1, entry("a"), at(1));
        for i in 2..=5 {
            head.read(1, entry("b"), at(i));
        }
        let seen = head.read(1, entry("a"), at(6));
        assert_eq!((seen.came_back, seen.head_since), (0, at(6)));
    }
}
