//! Folders that stand for hosts: the real modules run here, paths of the app lead below each host's folder, and lines
//! can be made to break.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use wellkept_deploy::{Act, Answer, Asked, House, Place, World};
use wellkept_model::keep::{
    App, AppCheck, Artefact, ArtefactFrom, BatchSize, Command, ErrorShare, Probe, Vantage, WorseBy,
};
use wellkept_model::{Text, TimestampMs};
use wellkept_modules::{Call, Context, Source, SourceEntry, SourceKind};

/// What a module call is to be answered with instead of being run: host, module, words in its arguments.
type Trap = (String, &'static str, String, Answer);

pub struct Folders {
    pub temp: tempfile::TempDir,
    now: Mutex<i64>,
    traps: Mutex<Vec<Trap>>,
    pub errors: Mutex<Vec<Result<Option<f64>, String>>>,
    pub told: Mutex<Vec<Text>>,
    pub changes: Mutex<Vec<(String, String, String)>>,
    pub calls: Mutex<Vec<(String, String, String)>>,
    pub halt: Mutex<Option<Text>>,
}

/// The app's folder as the keep file says it; on disk it lies below each host's folder.
pub const TO: &str = "/srv/shop";

struct One<'a>(Option<&'a Path>);

impl Source for One<'_> {
    fn read(&self, name: &str) -> std::io::Result<Vec<u8>> {
        match self.0 {
            Some(path) if path == Path::new(name) => std::fs::read(path),
            _ => Err(std::io::ErrorKind::PermissionDenied.into()),
        }
    }

    fn list(&self, name: &str) -> std::io::Result<Vec<SourceEntry>> {
        let length = self.read(name)?.len() as u64;
        Ok(vec![SourceEntry { name: String::new(), kind: SourceKind::File(length), mode: 0o600 }])
    }
}

impl Folders {
    pub fn new() -> Self {
        Self {
            temp: tempfile::tempdir().unwrap(),
            now: Mutex::new(1_000_000),
            traps: Mutex::default(),
            errors: Mutex::default(),
            told: Mutex::default(),
            changes: Mutex::default(),
            calls: Mutex::default(),
            halt: Mutex::default(),
        }
    }

    pub fn host(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// A path of the app on a host.
    pub fn at(&self, host: &str, name: &str) -> PathBuf {
        self.host(host).join("srv/shop").join(name)
    }

    pub fn house(&self) -> House {
        std::fs::create_dir_all(self.temp.path().join("data")).unwrap();
        House::of(&self.temp.path().join("data"), "shop").unwrap()
    }

    /// What `current` says on a host.
    pub fn current(&self, host: &str) -> Option<String> {
        Some(std::fs::read_link(self.at(host, "current")).ok()?.display().to_string())
    }

    pub fn releases(&self, host: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.at(host, "releases"));
        let mut names: Vec<String> = entries
            .map(|all| all.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }

    pub fn is_marked(&self, host: &str) -> bool {
        self.at(host, ".wellkept/deploying").is_symlink()
    }

    /// The next call of the module on the host whose arguments hold the words is answered so.
    pub fn trap(&self, host: &str, module: &'static str, words: &str, answer: Answer) {
        self.traps.lock().unwrap().push((host.to_owned(), module, words.to_owned(), answer));
    }

    /// Builds an artefact: a folder `builds/VERSION` with one file.
    pub fn build(&self, version: &str, content: &str) {
        let folder = self.temp.path().join("builds").join(version);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("app"), content).unwrap();
    }

    /// An app whose releases are folders, and whose health is that the current one says `well`.
    pub fn app(&self) -> App {
        let argv = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        let command =
            Command { argv: argv(&["grep", "-q", "well", "/srv/shop/current/app"]), within: SECOND };
        App {
            name: "shop".to_owned(),
            hosts: "all".to_owned(),
            inventory: Vec::new(),
            to: PathBuf::from(TO),
            artefact: Artefact {
                from: ArtefactFrom::File(format!("{}/builds/{{version}}", self.temp.path().display())),
                sha256: None,
                strip: 0,
                links_out: false,
            },
            restart: Some(Command {
                argv: argv(&["cp", "/srv/shop/current/app", "/srv/running"]),
                within: SECOND,
            }),
            health: vec![AppCheck {
                probe: Probe::Exec { command },
                within: SECOND,
                failures: 2,
                vantage: Vantage::Target,
            }],
            batches: vec![BatchSize::Hosts(1), BatchSize::Percent(100)],
            hold: Duration::from_secs(10),
            starts_within: Duration::from_secs(5),
            errors: None,
            keep: 2,
            shared: Vec::new(),
            before: None,
            after: None,
        }
    }

    pub fn asked<'a>(&self, app: &'a App, act: Act, version: &str, hosts: &[&str]) -> Asked<'a> {
        for host in hosts {
            std::fs::create_dir_all(self.host(host).join("srv")).unwrap();
        }
        Asked {
            app,
            act,
            version: version.parse().unwrap(),
            hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
            sha256: None,
            who: "ann".to_owned(),
            controller: "c".to_owned(),
        }
    }

    pub fn share(by: WorseBy) -> ErrorShare {
        ErrorShare { query: "errors".to_owned(), worse_by: by }
    }

    pub fn keys(&self) -> Vec<String> {
        self.told.lock().unwrap().iter().map(|t| t.key.clone()).collect()
    }

    /// How often a program was started on a host.
    pub fn runs(&self, host: &str, word: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .filter(|(h, module, args)| h == host && module == "command" && args.contains(word))
            .count()
    }
}

const SECOND: Duration = Duration::from_secs(10);

/// Every text that begins with the app's world leads below the host's folder.
fn moved(value: &mut Value, host: &Path) {
    match value {
        Value::String(text) if text.starts_with("/srv/") => *text = format!("{}{text}", host.display()),
        Value::Array(items) => items.iter_mut().for_each(|item| moved(item, host)),
        Value::Object(map) => map.values_mut().for_each(|item| moved(item, host)),
        _ => {}
    }
}

impl World for Folders {
    async fn module(&self, place: Place<'_>, call: Call, file: Option<&Path>) -> Answer {
        let host = match place {
            Place::Controller => "controller",
            Place::Host(host) => host,
        };
        let args = Value::Object(call.args.clone());
        self.calls.lock().unwrap().push((host.to_owned(), call.module.clone(), args.to_string()));
        let trapped = {
            let mut traps = self.traps.lock().unwrap();
            let fits = |t: &Trap| t.0 == host && t.1 == call.module && args.to_string().contains(&t.2);
            traps.iter().position(fits).map(|at| traps.remove(at).3)
        };
        if let Some(answer) = trapped {
            return answer;
        }
        let mut args = args;
        moved(&mut args, &self.host(host));
        let Value::Object(args) = args else { unreachable!() };
        let at = UNIX_EPOCH + Duration::from_millis(self.now().0.unsigned_abs());
        let mut context = Context::new(self.temp.path().to_owned(), move || at);
        let result = wellkept_modules::run(&Call { args, ..call }, &One(file), &mut context);
        let mut result = Value::Object(result);
        // What a host says of its own paths is as the host sees them.
        let told = result.to_string().replace(&self.host(host).display().to_string(), "");
        result = serde_json::from_str(&told).unwrap();
        let Value::Object(result) = result else { unreachable!() };
        Answer::Done(result)
    }

    fn address(&self, host: &str) -> String {
        host.to_owned()
    }

    async fn query(&self, _: &str) -> Result<Option<f64>, String> {
        let mut errors = self.errors.lock().unwrap();
        if errors.len() > 1 { errors.remove(0) } else { errors.first().cloned().unwrap_or(Ok(None)) }
    }

    fn now(&self) -> TimestampMs {
        let mut now = self.now.lock().unwrap();
        *now += 1;
        TimestampMs(*now)
    }

    async fn wait(&self, time: Duration) {
        *self.now.lock().unwrap() += i64::try_from(time.as_millis()).unwrap();
    }

    fn halted(&self) -> Option<Text> {
        self.halt.lock().unwrap().clone()
    }

    async fn changed(&self, host: &str, before: Option<&str>, after: Option<&str>) {
        let word = |text: Option<&str>| text.unwrap_or("-").to_owned();
        self.changes.lock().unwrap().push((host.to_owned(), word(before), word(after)));
    }

    fn tell(&self, line: Text) {
        self.told.lock().unwrap().push(line);
    }
}

/// A result as a module gives it.
pub fn failed(msg: &str) -> Answer {
    let map: BTreeMap<String, Value> =
        [("failed".to_owned(), true.into()), ("msg".to_owned(), msg.into())].into();
    Answer::Done(map.into_iter().collect())
}

/// A server that answers every request with these bytes, and remembers the paths.
pub struct Site {
    pub address: std::net::SocketAddr,
    pub paths: std::sync::Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub fn of(status: u16, body: Vec<u8>) -> Self {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let paths = std::sync::Arc::new(Mutex::new(Vec::new()));
        let seen = std::sync::Arc::clone(&paths);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (mut head, mut part) = (Vec::new(), [0; 1024]);
                while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                    match stream.read(&mut part) {
                        Ok(read) if read > 0 => head.extend_from_slice(&part[..read]),
                        _ => break,
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                seen.lock().unwrap().push(head.split_whitespace().nth(1).unwrap_or_default().to_owned());
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                // Who asks may be gone already.
                let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Self { address, paths }
    }
}
