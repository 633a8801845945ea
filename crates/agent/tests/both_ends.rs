//! Agents and their server over real sockets: joining, sending once, orders, being sent away.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is test code")]
#![allow(clippy::disallowed_methods, reason = "certificates are checked against the real clock")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::watch;
use wellkept_agent::agent::{Agent, Executor, Identity, Sending, join};
use wellkept_agent::queue::{Bounds, Queue};
use wellkept_agent::server::{House, NotTaken, Server, folder_of};
use wellkept_agent::wire::{Kind, Line, Lines, Stage};
use wellkept_agent::{JoinToken, Orders, Registry};
use wellkept_sign::{Draft, SigningKey, pack};
use zeroize::Zeroizing;

const HOUR: Duration = Duration::from_secs(3600);
const BOUNDS: Bounds = Bounds { bytes: 4 << 20, age: HOUR };

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Remembers what came, and can be full.
#[derive(Default)]
struct Memory {
    samples: Mutex<Vec<(String, Vec<u8>)>>,
    lines: Mutex<Vec<(String, String)>>,
    noted: Mutex<BTreeMap<String, (String, u64)>>,
    full: AtomicBool,
    audited: Mutex<Vec<String>>,
}

impl House for Memory {
    fn samples(&self, agent: &str, packed: &[u8]) -> Result<(), NotTaken> {
        match packed {
            _ if self.full.load(Ordering::SeqCst) => Err(NotTaken::Later("full".into())),
            b"wrong" => Err(NotTaken::Never("wrong".into())),
            packed => {
                self.samples.lock().unwrap().push((agent.into(), packed.to_vec()));
                Ok(())
            }
        }
    }

    fn lines(&self, agent: &str, queue: &str, seq: u64, lines: &Lines) -> Result<(), NotTaken> {
        let mut kept = self.lines.lock().unwrap();
        kept.extend(lines.lines.iter().map(|line| (agent.to_owned(), line.text.clone())));
        self.noted.lock().unwrap().insert(agent.into(), (queue.into(), seq));
        Ok(())
    }

    fn audit(&self, agent: &str, what: &str, detail: &str) -> std::io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.audited.lock().unwrap().push(format!("{agent} {what} {detail}"));
        Ok(())
    }

    fn lines_noted(&self, agent: &str) -> Option<(String, u64)> {
        self.noted.lock().unwrap().get(agent).cloned()
    }
}

/// A server in a folder of its own.
struct Site {
    temp: tempfile::TempDir,
    house: Arc<Memory>,
    server: Arc<Server>,
    address: SocketAddr,
    end: watch::Sender<bool>,
}

impl Site {
    async fn new() -> Self {
        let (temp, house) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
        Self::at(temp, house, "127.0.0.1:0".parse().unwrap()).await
    }

    async fn at(temp: tempfile::TempDir, house: Arc<Memory>, address: SocketAddr) -> Self {
        let server = Server::open(temp.path(), Arc::clone(&house) as _, now_ms).unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = watch::channel(false);
        tokio::spawn(Arc::clone(&server).serve(listener, ended));
        Self { temp, house, server, address, end }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    fn registry(&self) -> Registry {
        Registry::open(&folder_of(self.temp.path())).unwrap()
    }

    fn token(&self, name: &str) -> JoinToken {
        let authority =
            wellkept_agent::Authority::open(&folder_of(self.temp.path()), now_ms()).unwrap().fingerprint();
        self.registry().make_token(name, HOUR, authority, now_ms()).unwrap()
    }

    async fn join(&self, name: &str) -> Identity {
        join(&self.url(), &self.token(name), &self.temp.path().join(name)).await.unwrap()
    }

    /// Starts an agent whose playbooks are shell scripts.
    fn start(&self, identity: Identity, policy: &str) -> (Sending, watch::Sender<bool>, PathBuf) {
        let folder = self.temp.path().join(&identity.name);
        let policy_file = folder.join("agent.yml");
        std::fs::write(&policy_file, policy).unwrap();
        let queue = Queue::open(&folder.join("queue"), BOUNDS).unwrap();
        let start = |placed: &wellkept_agent::unpack::Placed, _: &wellkept_agent::policy::Policy, _: &str| {
            let mut command = Command::new("/bin/sh");
            command.arg(&placed.playbook);
            command
        };
        let executor =
            Executor::open(&folder, &identity.name, &policy_file, Box::new(start), now_ms).unwrap();
        let agent = Agent::new(identity, queue, executor, now_ms, (Duration::from_millis(50), "test"));
        let sending = agent.sending();
        let (end, ended) = watch::channel(false);
        tokio::spawn(agent.run(ended));
        (sending, end, folder)
    }
}

async fn until(what: &str, mut look: impl FnMut() -> bool) {
    let began = Instant::now();
    while !look() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn lines(texts: &[&str]) -> Vec<u8> {
    let line = |text: &&str| Line { text: (*text).to_owned(), ..Line::default() };
    serde_json::to_vec(&Lines { lines: texts.iter().map(line).collect(), notes: Vec::new() }).unwrap()
}

#[tokio::test]
async fn an_agent_joins_by_its_token_and_what_it_sends_is_stored_once() {
    let stage = Site::new().await;
    let identity = stage.join("web-1").await;
    assert_eq!(identity.name, "web-1");
    let again = Identity::read(&stage.temp.path().join("web-1")).unwrap().unwrap();
    let (sending, _end, _) = stage.start(again, "{}");
    sending.push(Kind::Samples, b"one".to_vec()).unwrap();
    sending.push(Kind::Samples, b"wrong".to_vec()).unwrap();
    sending.push(Kind::Lines, lines(&["a", "b"])).unwrap();
    until("all is stored", || sending.stats().waiting == 0).await;
    assert_eq!(*stage.house.samples.lock().unwrap(), [("web-1".to_owned(), b"one".to_vec())]);
    assert_eq!(stage.house.lines.lock().unwrap().len(), 2);
    let heard = stage.server.heard();
    assert_eq!((heard[0].name.as_str(), heard[0].refused, heard[0].version.as_str()), ("web-1", 1, "test"));
}

#[tokio::test]
async fn what_cannot_be_stored_waits_and_is_not_doubled_over_restarts_of_the_server() {
    let stage = Site::new().await;
    let identity = stage.join("web-1").await;
    let (sending, _end, _) = stage.start(identity, "{}");
    sending.push(Kind::Lines, lines(&["first"])).unwrap();
    until("the first line", || stage.house.lines.lock().unwrap().len() == 1).await;
    stage.house.full.store(true, Ordering::SeqCst);
    sending.push(Kind::Lines, lines(&["second"])).unwrap();
    sending.push(Kind::Samples, b"later".to_vec()).unwrap();
    until("the second line", || stage.house.lines.lock().unwrap().len() == 2).await;
    // Away, and back without what it knew of the queue: the lines themselves say how far they are stored.
    let Site { temp, house, address, end, server, .. } = stage;
    end.send(true).unwrap();
    drop(server);
    until("the address is free", || std::net::TcpListener::bind(address).is_ok()).await;
    std::fs::remove_dir_all(folder_of(temp.path()).join("heard")).unwrap();
    house.full.store(false, Ordering::SeqCst);
    let stage = Site::at(temp, house, address).await;
    until("all is stored", || sending.stats().waiting == 0).await;
    assert_eq!(stage.house.lines.lock().unwrap().len(), 2);
    assert_eq!(stage.house.samples.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_with_another_authority_than_the_tokens_gets_nothing() {
    let (right, wrong) = (Site::new().await, Site::new().await);
    let token = right.token("web-1");
    let folder = right.temp.path().join("a");
    let error = join(&wrong.url(), &token, &folder).await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    assert!(join(&right.url(), &token, &folder).await.is_ok(), "the token was not shown to it");
    let used = join(&right.url(), &token, &right.temp.path().join("b")).await.unwrap_err();
    assert!(used.to_string().contains("unknown, used or expired"), "{used}");
}

#[tokio::test]
async fn a_certificate_of_another_server_or_none_opens_nothing() {
    let (one, other) = (Site::new().await, Site::new().await);
    let foreign = other.join("web-1").await;
    // It takes this server's authority for its own, and shows a certificate of the other one.
    let mine = one.join("web-2").await;
    let kept = one.temp.path().join("web-2/identity.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    let theirs = std::fs::read(other.temp.path().join("web-1/identity.json")).unwrap();
    let theirs: serde_json::Value = serde_json::from_slice(&theirs).unwrap();
    json["certificate"] = theirs["certificate"].clone();
    std::fs::write(&kept, json.to_string()).unwrap();
    std::fs::copy(other.temp.path().join("web-1/agent.key"), one.temp.path().join("web-2/agent.key"))
        .unwrap();
    drop((foreign, mine));
    let mixed = Identity::read(&one.temp.path().join("web-2")).unwrap().unwrap();
    let (sending, _end, _) = one.start(mixed, "{}");
    sending.push(Kind::Samples, b"x".to_vec()).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(one.house.samples.lock().unwrap().is_empty() && sending.stats().waiting == 1);
}

#[tokio::test]
async fn a_revoked_agent_is_refused_at_its_next_call() {
    let stage = Site::new().await;
    let identity = stage.join("web-1").await;
    let (sending, _end, _) = stage.start(identity, "{}");
    sending.push(Kind::Samples, b"one".to_vec()).unwrap();
    until("it is stored", || sending.stats().waiting == 0).await;
    // As the command line does it, in another process.
    assert!(stage.registry().revoke("web-1", now_ms()).unwrap());
    sending.push(Kind::Samples, b"two".to_vec()).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((stage.house.samples.lock().unwrap().len(), sending.stats().waiting), (1, 1));
    assert!(stage.server.heard().is_empty(), "it is not missed, either");
}

fn bundle(key: &SigningKey, script: &str, generation: u64) -> Vec<u8> {
    let draft = Draft {
        name: "web".into(),
        generation,
        not_before: 0,
        expires: now_ms() as u64 / 1000 + 3600,
        targets: vec!["web-*".into()],
        playbook: "site.yml".into(),
        inventory: None,
        files: BTreeMap::from([("site.yml".to_owned(), (script.as_bytes().to_vec(), false))]),
    };
    pack(&draft, std::slice::from_ref(key)).unwrap()
}

fn stage_of(data_dir: &Path, id: &str) -> (Stage, String) {
    let orders = Orders::open(&folder_of(data_dir).join("orders")).unwrap();
    let order = orders.list("web-1").unwrap().into_iter().find(|o| o.id == id).unwrap();
    (order.stage, order.said)
}

#[tokio::test]
async fn an_order_is_done_once_and_its_end_is_told_and_a_bad_one_is_refused_by_the_host() {
    let stage = Site::new().await;
    let identity = stage.join("web-1").await;
    let key = SigningKey::from_seed(Zeroizing::new([1; 32])).unwrap();
    let stranger = SigningKey::from_seed(Zeroizing::new([2; 32])).unwrap();
    let marker = stage.temp.path().join("marker");
    let kill = stage.temp.path().join("KILL");
    let policy = format!(
        "may: [any]\ntrust: [{{name: ops, key: '{}'}}]\nkill_file: {}\n",
        key.public(),
        kill.display()
    );
    let (_sending, _end, _) = stage.start(identity, &policy);
    let orders = Orders::open(&folder_of(stage.temp.path()).join("orders")).unwrap();
    let script = format!("echo did it; echo x >> {}", marker.display());
    let hand = |bundle: &[u8]| orders.hand("web-1", bundle, ("me", "web"), now_ms()).unwrap().id;
    // While the server's own stop switch is on, nothing is handed on.
    let freeze = stage.temp.path().join("FREEZE");
    std::fs::write(&freeze, "").unwrap();
    let good = hand(&bundle(&key, &script, 1));
    let heard = || stage.server.heard()[0].heard_ms;
    let from = heard();
    until("it was heard a few times since", || heard() > from + 300).await;
    assert_eq!(stage_of(stage.temp.path(), &good).0, Stage::Handed);
    std::fs::remove_file(&freeze).unwrap();
    let replayed = hand(&bundle(&key, &script, 1));
    let foreign = hand(&bundle(&stranger, &script, 9));
    until("all are over", || stage_of(stage.temp.path(), &foreign).0.is_last()).await;
    assert_eq!(stage_of(stage.temp.path(), &good), (Stage::Ended, "did it\n".to_owned()));
    assert_eq!(stage_of(stage.temp.path(), &replayed).0, Stage::Refused);
    assert!(stage_of(stage.temp.path(), &foreign).1.contains("not among the trusted keys"));
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), "x\n");
}

#[tokio::test]
async fn a_certificate_is_renewed_in_time_and_the_new_one_is_used() {
    let stage = Site::new().await;
    drop(stage.join("web-1").await);
    let kept = stage.temp.path().join("web-1/identity.json");
    let read = || -> serde_json::Value { serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap() };
    let mut due = read();
    let before = due["certificate"].clone();
    assert!(due["renew_ms"].as_i64().unwrap() > now_ms() + 86_400_000, "it is not due for days");
    due["renew_ms"] = 0.into();
    std::fs::write(&kept, due.to_string()).unwrap();
    let identity = Identity::read(&stage.temp.path().join("web-1")).unwrap().unwrap();
    let (sending, _end, _) = stage.start(identity, "{}");
    sending.push(Kind::Samples, b"one".to_vec()).unwrap();
    until("it is stored", || sending.stats().waiting == 0).await;
    let after = read();
    assert!(after["certificate"] != before && after["renew_ms"].as_i64().unwrap() > now_ms(), "{after}");
    // After a restart, too.
    let again = Identity::read(&stage.temp.path().join("web-1")).unwrap().unwrap();
    assert!(again.expires_ms > now_ms() + 6 * 86_400_000);
}

#[tokio::test]
async fn an_agent_that_joined_and_never_spoke_is_known_to_be_missing() {
    let stage = Site::new().await;
    drop(stage.join("web-1").await);
    let heard = stage.server.heard();
    assert_eq!((heard[0].name.as_str(), heard[0].version.as_str()), ("web-1", ""));
    assert!(heard[0].heard_ms > 0);
}

#[tokio::test]
async fn strangers_and_their_bodies_are_bounded() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let stage = Site::new().await;
    // Not TLS at all: closed, and others are served.
    let mut plain = tokio::net::TcpStream::connect(stage.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good an end as any.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "nothing is said without TLS");
    let identity = stage.join("web-1").await;
    let (sending, _end, _) = stage.start(identity, "{}");
    assert_eq!(sending.push(Kind::Samples, vec![0; 5 << 20]).unwrap(), None, "too large for a record");
    sending.push(Kind::Lines, b"no json".to_vec()).unwrap();
    sending.push(Kind::Samples, b"fine".to_vec()).unwrap();
    until("all is done with", || sending.stats().waiting == 0).await;
    let heard = &stage.server.heard()[0];
    assert_eq!((heard.refused, heard.dropped), (1, 1));
    assert_eq!(stage.house.samples.lock().unwrap().len(), 1);
}
