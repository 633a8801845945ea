//! What ansible-core 2.19 gave for our own cases (`record.py`), and what the modules give.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use regex::Regex;
use serde_json::{Map, Value};
use wellkept_modules::{Call, Context, Source, SourceEntry, SourceKind, run};

/// The controller's files, from a folder.
struct Folder;

impl Source for Folder {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(name)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<SourceEntry>> {
        let entry = |path: &Path, name: String| -> io::Result<SourceEntry> {
            let meta = fs::metadata(path)?;
            let kind = if meta.is_dir() { SourceKind::Folder } else { SourceKind::File(meta.len()) };
            Ok(SourceEntry { name, kind, mode: meta.permissions().mode() & 0o7777 })
        };
        if fs::metadata(folder)?.is_file() {
            return Ok(vec![entry(Path::new(folder), String::new())?]);
        }
        let entries = fs::read_dir(folder)?;
        entries
            .map(|e| e.and_then(|e| entry(&e.path(), e.file_name().to_string_lossy().into_owned())))
            .collect()
    }
}

/// The folders of one case; their names are as long as those of the recording, for sizes of links tell.
struct Place {
    host: PathBuf,
    controller: PathBuf,
    root: PathBuf,
}

static PLACES: AtomicU32 = AtomicU32::new(0);

impl Place {
    fn new() -> Self {
        let number = std::process::id() % 10_000 * 1000 + PLACES.fetch_add(1, Ordering::Relaxed) % 1000;
        let [host, controller, root] =
            ["replay", "source", "rootfs"].map(|kind| PathBuf::from(format!("/tmp/wk-{kind}-{number:07}")));
        let place = Self { host, controller, root };
        place.clear();
        for folder in [&place.host, &place.controller, &place.root] {
            fs::create_dir_all(folder).unwrap();
        }
        place
    }

    fn clear(&self) {
        for folder in [&self.host, &self.controller, &self.root] {
            let _ = fs::remove_dir_all(folder);
        }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("$W", self.host.to_str().unwrap()).replace("$S", self.controller.to_str().unwrap())
    }

    fn hide(&self, text: &str) -> String {
        text.replace(self.host.to_str().unwrap(), "$W").replace(self.controller.to_str().unwrap(), "$S")
    }

    fn each(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
        match value {
            Value::String(text) => change(text).into(),
            Value::Array(items) => items.iter().map(|item| Self::each(item, change)).collect(),
            Value::Object(map) => {
                map.iter().map(|(key, value)| (change(key), Self::each(value, change))).collect()
            }
            other => other.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clear();
    }
}

fn make(place: &Place, root: &Path, name: &str, what: &Value) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = |key: &str| what.get(key).and_then(Value::as_str);
    if let Some(target) = text("link") {
        return symlink(place.fill(target), path).unwrap();
    }
    if let Some(other) = text("hard") {
        return fs::hard_link(root.join(other), path).unwrap();
    }
    if name.ends_with('/') {
        fs::create_dir_all(&path).unwrap();
    } else if let Some(hex) = text("hex") {
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        fs::write(&path, bytes).unwrap();
    } else {
        fs::write(&path, place.fill(what.as_str().or(text("content")).unwrap_or_default())).unwrap();
    }
    let mode = text("mode").unwrap_or(if name.ends_with('/') { "755" } else { "644" });
    if let Some(owner) = what.get("owner").and_then(Value::as_u64) {
        std::os::unix::fs::chown(&path, Some(owner as u32), Some(owner as u32)).unwrap();
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(u32::from_str_radix(mode, 8).unwrap())).unwrap();
    if let Some(mtime) = what.get("mtime").and_then(Value::as_u64) {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(mtime);
        let times = fs::FileTimes::new().set_modified(time).set_accessed(time);
        fs::File::open(&path).unwrap().set_times(times).unwrap();
    }
}

fn tree(place: &Place, only: Option<&str>) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    let mut left = vec![place.host.clone()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&place.host).unwrap().to_str().unwrap().to_owned();
            if name == "bin" {
                continue;
            }
            let meta = fs::symlink_metadata(&path).unwrap();
            if only.is_some_and(|only| only != name) {
                if meta.is_dir() {
                    left.push(path);
                }
                continue;
            }
            let mut about = Map::new();
            if meta.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                about.insert("link".into(), place.hide(target.to_str().unwrap()).into());
                out.insert(name, about.into());
                continue;
            }
            about.insert("mode".into(), format!("{:04o}", meta.mode() & 0o7777).into());
            if (meta.uid(), meta.gid()) != own() {
                about.insert("owner".into(), vec![meta.uid(), meta.gid()].into());
            }
            if meta.is_dir() {
                left.push(path.clone());
            } else {
                let bytes = fs::read(&path).unwrap();
                match String::from_utf8(bytes) {
                    Ok(text) => about.insert("content".into(), place.hide(&text).into()),
                    Err(raw) => {
                        let hex: String = raw.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                        about.insert("hex".into(), hex.into())
                    }
                };
            }
            out.insert(name, about.into());
        }
    }
    out
}

fn own() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// What differs from run to run, or tells nothing.
const VOLATILE: &[&str] = &[
    "atime",
    "mtime",
    "ctime",
    "inode",
    "dev",
    "blocks",
    "block_size",
    "start",
    "end",
    "delta",
    "failed_when_result",
    "exception",
];

/// The time in a backup's name.
static STAMP: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\.\d+\.\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d~").unwrap());
/// Temporary files.
static TEMP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(\$TMP|/tmp/wk-rootfs-\d+/tmp|/root/\.ansible/tmp/[^/]*|/tmp/crontab)[^ '\n]*").unwrap()
});
/// Python's set of words has no order.
static BOOLEANS: LazyLock<Regex> = LazyLock::new(|| Regex::new("Valid booleans include: .*").unwrap());

/// A result without times and temporary names; accounts of the recorder (root) become ours.
fn normal(value: &Value, within: &str) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| {
                let told = within != "extract_results" || *key != "cmd";
                told && !VOLATILE.contains(&key.as_str())
            });
            kept.map(|(key, value)| (STAMP.replace_all(key, ".PID.DATE~").into_owned(), normal(value, key)))
                .collect()
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| normal(item, within)).collect();
            if matches!(within, "directories" | "files") {
                items.sort_by_key(ToString::to_string);
            }
            items.into()
        }
        Value::String(text) => {
            let text = STAMP.replace_all(text, ".PID.DATE~");
            let text = TEMP.replace_all(&text, "$$TMP");
            let text = text
                .replace("/usr/local/bin/git", "/usr/bin/git")
                .replace("Unexpected AnsibleActionFail error: ", "");
            let legacy = text.replace("(ansible.legacy.", "(").replace("(ansible.builtin.", "(");
            BOOLEANS.replace_all(&legacy, "Valid booleans").into_owned().into()
        }
        other => other.clone(),
    }
}

/// Answers as a case says, byte for byte, and keeps what was asked.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    fn start(answers: Map<String, Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, own) = (Arc::clone(&asked), address.clone());
        std::thread::spawn(move || {
            let mut answers = answers;
            for peer in listener.incoming() {
                // A peer that goes away early is part of some cases.
                let _ = Self::answer(peer.unwrap(), &mut answers, &kept, &own);
            }
        });
        Self { address, asked }
    }

    fn answer(
        mut peer: TcpStream,
        answers: &mut Map<String, Value>,
        kept: &Mutex<Vec<Value>>,
        own: &str,
    ) -> io::Result<()> {
        let mut reader = io::BufReader::new(peer.try_clone()?);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0u8; length];
        reader.read_exact(&mut body)?;
        let mut words = first.split(' ');
        let line = format!("{} {}", words.next().unwrap(), words.next().unwrap());
        headers.remove("host");
        headers.remove("connection");
        let asked =
            serde_json::json!({"line": line, "headers": headers, "body": String::from_utf8_lossy(&body)});
        kept.lock().unwrap().push(asked);
        let path = line.split(' ').nth(1).unwrap().to_owned();
        let key = if answers.contains_key(&line) { line.clone() } else { path };
        let text = match answers.get_mut(&key) {
            Some(Value::Array(several)) if several.len() > 1 => several.remove(0),
            Some(Value::Array(several)) => several[0].clone(),
            Some(one) => one.clone(),
            None => "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope".into(),
        };
        let text = text.as_str().unwrap().replace("$H", own);
        let head_only = line.starts_with("HEAD").then(|| text.find("\r\n\r\n").unwrap() + 4);
        peer.write_all(text.get(..head_only.unwrap_or(text.len())).unwrap().as_bytes())
    }
}

fn one(case: &Value, problems: &mut Vec<String>) {
    let name = case["name"].as_str().unwrap();
    let place = Place::new();
    for (root, key) in [(&place.host, "setup"), (&place.controller, "files")] {
        let entries = case.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        // Hard links come after what they link to.
        for late in [false, true] {
            for (name, what) in entries.iter().filter(|(_, what)| what.get("hard").is_some() == late) {
                make(&place, root, name, what);
            }
        }
    }
    if let Some(line) = case.get("run").and_then(Value::as_str) {
        let ran = std::process::Command::new("sh").args(["-c", &place.fill(line)]).output().unwrap();
        assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    for (name, script) in case.get("bin").and_then(Value::as_object).into_iter().flatten() {
        let what = serde_json::json!({"content": script, "mode": "755"});
        make(&place, &place.host, &format!("bin/{name}"), &what);
    }
    let environment = case.get("env").and_then(Value::as_object).into_iter().flatten();
    let flag = |key: &str| case.get(key).and_then(Value::as_bool).unwrap_or(false);
    let server = case.get("server").and_then(Value::as_object).cloned().map(Server::start);
    let address = server.as_ref().map(|server| server.address.clone()).unwrap_or_default();
    let host = |text: &str| place.fill(text).replace("$H", &address);
    let Value::Object(args) = Place::each(&case["args"], &host) else { panic!("{name}") };
    let call = Call {
        module: case["module"].as_str().unwrap().to_owned(),
        args,
        check: flag("check"),
        diff: flag("diff"),
        environment: environment.map(|(k, v)| (k.clone(), place.fill(v.as_str().unwrap()))).collect(),
        timeout_seconds: Some(60),
        cwd: None,
    };
    let temp = place.root.join("tmp");
    fs::create_dir_all(&temp).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the host's clock")]
    let mut ctx = Context::new(temp, std::time::SystemTime::now);
    let hide = |text: &str| {
        let text = place.hide(text);
        if address.is_empty() { text } else { text.replace(&address, "$H") }
    };
    let mut compare = |what: &str, got: Value, expected: &Value| {
        let (got, expected) = (normal(&Place::each(&got, &hide), ""), normal(expected, ""));
        if got != expected {
            let mut lines = format!("{name}: {what}\n");
            let (Value::Object(got), Value::Object(expected)) = (&got, &expected) else {
                panic!("{name}: maps")
            };
            let keys: std::collections::BTreeSet<_> = got.keys().chain(expected.keys()).collect();
            for key in keys.into_iter().filter(|key| got.get(*key) != expected.get(*key)) {
                let show = |value: Option<&Value>| value.map_or("nothing".to_owned(), ToString::to_string);
                lines +=
                    &format!("    {key}: {}\n      not {}\n", show(got.get(key)), show(expected.get(key)));
            }
            problems.push(lines);
        }
    };
    compare("result", run(&call, &Folder, &mut ctx).into(), &case["result"]);
    compare(
        "files",
        serde_json::to_value(tree(&place, case.get("only").and_then(Value::as_str))).unwrap(),
        &case["tree"],
    );
    if let (Some(server), Some(asked)) = (&server, case.get("asked")) {
        let got: Vec<Value> = server.asked.lock().unwrap().clone();
        compare("requests", serde_json::json!({"all": got}), &serde_json::json!({"all": asked}));
    }
    if let Some(again) = case.get("again") {
        compare("result of the second run", run(&call, &Folder, &mut ctx).into(), again);
    }
}

/// Compares all cases of a recording.
fn check(file: &str) {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format!("{file}.json"));
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let root = own().0 == 0;
    let mut problems = Vec::new();
    for case in &cases {
        // Giving files away needs root; so do cases that say so.
        let text = case.to_string();
        if root
            || !(text.contains("\"owner\": ") || text.contains("\"owner\":") || case.get("root").is_some())
        {
            one(case, &mut problems);
        }
    }
    assert!(
        problems.is_empty(),
        "{} of {} cases differ:\n{}",
        problems.len(),
        cases.len(),
        problems.join("\n")
    );
}

macro_rules! recorded {
    ($($name:ident: $file:literal),* $(,)?) => {
        $(#[test] fn $name() { check($file); })*
    };
}

recorded! {
    command_and_shell_give_what_ansible_gives: "command",
    copy_gives_what_ansible_gives: "copy",
    file_gives_what_ansible_gives: "file",
    stat_gives_what_ansible_gives: "stat",
    iptables_gives_what_ansible_gives: "iptables",
    known_hosts_gives_what_ansible_gives: "hosts",
    pip_gives_what_ansible_gives: "pip",
    git_gives_what_ansible_gives: "git",
    user_group_and_getent_give_what_ansible_gives: "accounts",
    cron_gives_what_ansible_gives: "cron",
    systemd_and_service_give_what_ansible_gives: "systemd",
    unarchive_and_wait_for_give_what_ansible_gives: "archive",
    get_url_and_uri_give_what_ansible_gives: "http",
    lineinfile_gives_what_ansible_gives: "lineinfile",
    blockinfile_gives_what_ansible_gives: "blockinfile",
    replace_gives_what_ansible_gives: "replace",
    find_gives_what_ansible_gives: "find",
    slurp_tempfile_assemble_script_and_raw_give_what_ansible_gives: "small",
}
