//! Steps inside a declared Redis server: the limit of its memory, and one entry of a queue that is moved aside or back.
//!
//! What is moved is looked at again in the transaction that moves it: when the next entry is another one by then, nothing
//! is done.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wellkept_model::Text;
use wellkept_model::keep::{Cache, Queue};
use wellkept_resp::{Address, Client, Reply, RespError, fingerprint};

use crate::Outcome;
use crate::evidence::Evidence;
use crate::means::ByMeans;

/// Longest file with a password, bytes.
const PASSWORD_MAX: u64 = 4096;

/// How long an entry is waited for that somebody has just taken and will put back, and how often it is looked for.
const TRY_FOR: Duration = Duration::from_secs(5);
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Why a step inside a cache was not done, or whether it was is unknown.
enum Trouble {
    /// Before anything was sent that changes something.
    Before(RespError),
    /// After it was sent.
    After(RespError),
    /// Something else stands there by now.
    Changed,
}

/// One list's end.
struct End<'a> {
    key: &'a str,
    left: bool,
}

impl End<'_> {
    fn word(&self) -> &'static [u8] {
        if self.left { b"LEFT" } else { b"RIGHT" }
    }

    fn index(&self) -> &'static [u8] {
        if self.left { b"0" } else { b"-1" }
    }
}

impl ByMeans<'_> {
    /// Sets the limit to the declared one, or, taking that back, to a lower one.
    pub(crate) async fn memory(&self, bytes: &str, evidence: &mut Evidence) -> Outcome {
        let declared = self.cache().and_then(|c| Some((c, c.memory?)));
        let wanted = bytes.parse::<u64>().ok();
        let (Some((cache, most)), Some(wanted)) = (declared, wanted) else { return self.undeclared() };
        if wanted > most {
            return self.undeclared();
        }
        let done = async {
            let mut client = connect(cache).await.map_err(Trouble::Before)?;
            let before = client.call(&[b"CONFIG", b"GET", b"maxmemory"]).await.map_err(Trouble::Before)?;
            let before = before.items().get(1).and_then(Reply::number).unwrap_or(0);
            let text = wanted.to_string();
            client.call(&[b"CONFIG", b"SET", b"maxmemory", text.as_bytes()]).await.map_err(Trouble::After)?;
            Ok(before)
        };
        match done.await {
            Ok(before) => {
                // It is done; a note that cannot be written does not undo it.
                let _ = evidence.add("cache.txt", format!("maxmemory was {before}\n").as_bytes());
                let text = Text::new("outcome.memory_set").with("target", &self.action.target);
                Outcome::succeeded(text.with("before", before).with("now", wanted))
            }
            Err(trouble) => self.trouble(&trouble),
        }
    }

    /// Moves an entry (`key fingerprint`) to the dead letter list.
    pub(crate) async fn dead_letter(&self, entry: &str) -> Outcome {
        let Some((cache, key, queue, print, dead)) = self.entry(entry) else { return self.undeclared() };
        let (from, to) = (End { key, left: queue.takes_left }, End { key: dead, left: true });
        self.moved(cache, &from, &to, print).await
    }

    /// Moves it back to where it was.
    pub(crate) async fn requeue(&self, entry: &str) -> Outcome {
        let Some((cache, key, queue, print, dead)) = self.entry(entry) else { return self.undeclared() };
        let (from, to) = (End { key: dead, left: true }, End { key, left: queue.takes_left });
        self.moved(cache, &from, &to, print).await
    }

    fn cache(&self) -> Option<&Cache> {
        self.keep.watched.caches.get(&self.action.target.name)
    }

    fn entry<'e>(&'e self, entry: &'e str) -> Option<(&'e Cache, &'e str, &'e Queue, &'e str, &'e str)> {
        let (key, print) = entry.split_once(' ')?;
        let cache = self.cache()?;
        let queue = cache.queues.get(key)?;
        Some((cache, key, queue, print, queue.dead_letter.as_deref()?))
    }

    async fn moved(&self, cache: &Cache, from: &End<'_>, to: &End<'_>, print: &str) -> Outcome {
        let until = (Instant::now() + TRY_FOR).min(self.deadline);
        let mut done = move_entry(cache, from, to, print).await;
        while matches!(done, Err(Trouble::Changed)) && Instant::now() + TRY_AGAIN < until {
            sleep(TRY_AGAIN).await;
            done = move_entry(cache, from, to, print).await;
        }
        match done {
            Ok(()) => Outcome::succeeded(
                Text::new("outcome.entry_moved")
                    .with("entry", print)
                    .with("from", from.key)
                    .with("to", to.key),
            ),
            Err(trouble) => self.trouble(&trouble),
        }
    }

    fn trouble(&self, trouble: &Trouble) -> Outcome {
        let text = |key: &str| Text::new(key).with("target", &self.action.target);
        match trouble {
            Trouble::Changed => Outcome::failed(text("outcome.entry_changed")),
            Trouble::Before(e) | Trouble::After(e @ RespError::Refused(_)) => {
                Outcome::failed(text("outcome.cache_failed").with("error", e))
            }
            Trouble::After(e) => Outcome::unknown(text("outcome.cache_failed").with("error", e)),
        }
    }
}

async fn connect(cache: &Cache) -> Result<Client, RespError> {
    use std::io::Read;
    let at: Address = cache.redis.parse()?;
    let mut password = None;
    if let Some(path) = &cache.password_file {
        let mut text = Vec::new();
        std::fs::File::open(path)?.take(PASSWORD_MAX).read_to_end(&mut text)?;
        password = Some(text.trim_ascii_end().to_vec());
    }
    Client::connect(&at, cache.user.as_deref(), password.as_deref()).await
}

/// One transaction: the server gives up when the list is changed between the look and the move.
async fn move_entry(cache: &Cache, from: &End<'_>, to: &End<'_>, print: &str) -> Result<(), Trouble> {
    let mut client = connect(cache).await.map_err(Trouble::Before)?;
    let key = from.key.as_bytes();
    client.call(&[b"WATCH", key]).await.map_err(Trouble::Before)?;
    let head = client.call(&[b"LINDEX", key, from.index()]).await.map_err(Trouble::Before)?;
    if head.bytes().map(fingerprint).as_deref() != Some(print) {
        return Err(Trouble::Changed);
    }
    client.call(&[b"MULTI"]).await.map_err(Trouble::Before)?;
    let move_it: [&[u8]; 5] = [b"LMOVE", key, to.key.as_bytes(), from.word(), to.word()];
    client.call(&move_it).await.map_err(Trouble::Before)?;
    match client.call(&[b"EXEC"]).await.map_err(Trouble::After)? {
        Reply::Nil => Err(Trouble::Changed),
        reply => match reply.items().first() {
            Some(Reply::Refused(why)) => Err(Trouble::After(RespError::Refused(why.clone()))),
            Some(Reply::Nil) | None => Err(Trouble::Changed),
            Some(_) => Ok(()),
        },
    }
}
