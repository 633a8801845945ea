//! `wait_for`: waits for a port, a file or a pattern in it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::base::pattern::{Flags, Pattern, as_text};
use crate::base::{Done, Fail, Result, Task, files, map};
use crate::spec::{Arg, ModuleSpec, int, list, path, text};

const ARGS: &[Arg] = &[
    text("host").or("127.0.0.1"),
    int("timeout").or_int(300),
    int("connect_timeout").or_int(5),
    int("delay").or_int(0),
    int("port"),
    list("active_connection_states").or_list(&[
        "ESTABLISHED",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "SYN_RECV",
        "SYN_SENT",
        "TIME_WAIT",
    ]),
    path("path"),
    text("search_regex"),
    text("state").or("started").one_of(&["absent", "drained", "present", "started", "stopped"]),
    list("exclude_hosts"),
    int("sleep").or_int(1),
    text("msg"),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("wait_for", ARGS, run).no_check();

/// Most bytes of an answer that are searched.
const ANSWER_MAX: usize = 1 << 20;

#[expect(clippy::disallowed_methods, reason = "waiting is measured where it happens")]
fn tick() -> Instant {
    Instant::now()
}

struct Wait<'t, 'a> {
    task: &'t Task<'a>,
    host: String,
    port: Option<u16>,
    path: Option<String>,
    pattern: Option<Pattern>,
    source: Option<String>,
    start: Instant,
    end: Instant,
}

fn run(task: &mut Task<'_>) -> Done {
    let start = tick();
    let args = &task.args;
    let state = args.or_empty("state").to_owned();
    let path = args.filled("path").map(str::to_owned);
    let port = args.int("port");
    let elapsed = |fail: Fail| fail.with("elapsed", 0);
    for (wrong, msg) in [
        (
            port.is_some_and(|port| port != 0) && path.is_some(),
            "port and path parameter can not both be passed to wait_for",
        ),
        (
            path.is_some() && state == "stopped",
            "state=stopped should only be used for checking a port in the wait_for module",
        ),
        (
            path.is_some() && state == "drained",
            "state=drained should only be used for checking a port in the wait_for module",
        ),
        (args.has("exclude_hosts") && state != "drained", "exclude_hosts should only be with state=drained"),
    ] {
        if wrong {
            return Err(elapsed(Fail::new(msg)));
        }
    }
    for name in args.list("active_connection_states") {
        if tcp_state(&name).is_none() {
            return Err(elapsed(Fail::new(format!("unknown active_connection_state ({name}) defined"))));
        }
    }
    let pattern = match args.filled("search_regex") {
        Some(source) => Some(
            Pattern::new(source, Flags { lines: true, ascii: true, ..Flags::default() })
                .map_err(|why| elapsed(Fail::new(format!("Invalid regular expression: {why}"))))?,
        ),
        None => None,
    };
    let seconds = |name: &str| Duration::from_secs(u64::try_from(args.int(name).unwrap_or(0)).unwrap_or(0));
    std::thread::sleep(seconds("delay"));
    if port.is_none_or(|port| port == 0) && path.is_none() && state != "drained" {
        std::thread::sleep(seconds("timeout"));
    }
    let wait = Wait {
        host: args.or_empty("host").to_owned(),
        port: port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0),
        path,
        source: args.filled("search_regex").map(str::to_owned),
        pattern,
        start,
        end: start + seconds("timeout"),
        task,
    };
    let mut found = Map::new();
    match state.as_str() {
        "stopped" | "absent" => wait.gone()?,
        "drained" => wait.drained()?,
        _ => found = wait.there()?,
    }
    let mut result = map([
        ("state", state.into()),
        ("port", wait.port.into()),
        ("search_regex", wait.source.clone().into()),
        ("match_groups", found.get("groups").cloned().unwrap_or_else(|| Vec::<Value>::new().into())),
        ("match_groupdict", found.get("named").cloned().unwrap_or_else(|| Map::new().into())),
        ("path", wait.path.clone().into()),
        ("elapsed", start.elapsed().as_secs().into()),
    ]);
    result.entry("changed").or_insert(false.into());
    Ok(result)
}

impl Wait<'_, '_> {
    fn nap(&self) -> bool {
        let left = self.end.saturating_duration_since(tick());
        let pause = Duration::from_secs(u64::try_from(self.task.args.int("sleep").unwrap_or(1)).unwrap_or(1));
        std::thread::sleep(pause.min(left));
        !left.is_zero()
    }

    fn place(&self) -> String {
        format!("{}:{}", self.host, self.port.unwrap_or_default())
    }

    fn late(&self, msg: String) -> Fail {
        let msg = self.task.args.filled("msg").map_or(msg, str::to_owned);
        Fail::new(msg).with("elapsed", self.start.elapsed().as_secs())
    }

    fn open(&self, within: Duration) -> Option<TcpStream> {
        let addresses = (self.host.as_str(), self.port?).to_socket_addrs().ok()?;
        addresses.into_iter().find_map(|address| TcpStream::connect_timeout(&address, within).ok())
    }

    fn connect_time(&self) -> Duration {
        let most = u64::try_from(self.task.args.int("connect_timeout").unwrap_or(5)).unwrap_or(5).max(1);
        Duration::from_secs(most)
            .min(self.end.saturating_duration_since(tick()).max(Duration::from_millis(100)))
    }

    fn gone(&self) -> Result<()> {
        loop {
            let there = match &self.path {
                Some(path) => files::exists(Path::new(path)) && self.matches_file(path)?.is_some(),
                None => self.port.is_some() && self.open(self.connect_time()).is_some(),
            };
            if !there {
                return Ok(());
            }
            if !self.nap() {
                let what = match &self.path {
                    Some(path) => format!("Timeout when waiting for {path} to be absent."),
                    None => format!("Timeout when waiting for {} to stop.", self.place()),
                };
                return Err(self.late(what));
            }
        }
    }

    fn there(&self) -> Result<Map<String, Value>> {
        loop {
            match (&self.path, self.port) {
                (Some(path), _) => {
                    if files::exists(Path::new(path))
                        && let Some(found) = self.matches_file(path)?
                    {
                        return Ok(found);
                    }
                }
                (None, Some(_)) => {
                    if let Some(stream) = self.open(self.connect_time())
                        && let Some(found) = self.matches_stream(stream)?
                    {
                        return Ok(found);
                    }
                }
                (None, None) => return Ok(Map::new()),
            }
            if !self.nap() {
                let search = self.source.as_deref();
                let what = match (&self.path, search) {
                    (Some(path), Some(search)) => {
                        format!("Timeout when waiting for search string {search} in {path}")
                    }
                    (Some(path), None) => format!("Timeout when waiting for file {path}"),
                    (None, Some(search)) => {
                        format!("Timeout when waiting for search string {search} in {}", self.place())
                    }
                    (None, None) => format!("Timeout when waiting for {}", self.place()),
                };
                return Err(self.late(what));
            }
        }
    }

    /// The groups of a match; an empty map when nothing is searched.
    fn matches(&self, bytes: &[u8]) -> Result<Option<Map<String, Value>>> {
        let Some(pattern) = &self.pattern else { return Ok(Some(Map::new())) };
        let text = as_text(bytes);
        let Some(found) = pattern.first(&text).map_err(Fail::crash)? else { return Ok(None) };
        let text_of =
            |found: Option<fancy_regex::Match<'_>>| found.map_or(Value::Null, |found| found.as_str().into());
        let groups: Vec<Value> = (1..found.len()).map(|number| text_of(found.get(number))).collect();
        let named: Map<String, Value> =
            pattern.names().into_iter().map(|name| (name.clone(), text_of(found.name(&name)))).collect();
        Ok(Some(map([("groups", groups.into()), ("named", named.into())])))
    }

    fn matches_file(&self, path: &str) -> Result<Option<Map<String, Value>>> {
        if self.pattern.is_none() {
            return Ok(Some(Map::new()));
        }
        match files::bytes(Path::new(path)) {
            Ok(bytes) => self.matches(&bytes),
            Err(_) => Ok(None),
        }
    }

    fn matches_stream(&self, mut stream: TcpStream) -> Result<Option<Map<String, Value>>> {
        if self.pattern.is_none() {
            let _ = stream.flush();
            let _ = stream.shutdown(Shutdown::Both);
            return Ok(Some(Map::new()));
        }
        let (mut bytes, mut piece) = (Vec::new(), [0u8; 4096]);
        loop {
            let left = self.end.saturating_duration_since(tick());
            if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
                return Ok(None);
            }
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => return Ok(None),
                Ok(got) => bytes.extend_from_slice(piece.get(..got).unwrap_or_default()),
            }
            if let Some(found) = self.matches(&bytes)? {
                return Ok(Some(found));
            }
            if bytes.len() > ANSWER_MAX {
                return Ok(None);
            }
        }
    }

    fn drained(&self) -> Result<()> {
        loop {
            if self.connections() == 0 {
                return Ok(());
            }
            if !self.nap() {
                return Err(self.late(format!("Timeout when waiting for {} to drain", self.place())));
            }
        }
    }

    /// Connections of our port that are in one of the states.
    fn connections(&self) -> usize {
        let states: Vec<&str> = self
            .task
            .args
            .list("active_connection_states")
            .iter()
            .filter_map(|name| tcp_state(name))
            .collect();
        let Some(port) = self.port else { return 0 };
        let wanted = format!(":{port:04X}");
        let excluded: Vec<String> = self.task.args.list("exclude_hosts");
        let tables = ["proc/net/tcp", "proc/net/tcp6"]
            .map(|name| files::text(&self.task.ctx.system(name)).unwrap_or_default());
        let lines = tables.iter().flat_map(|table| table.lines().skip(1));
        lines
            .filter(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let (Some(local), Some(remote), Some(state)) = (words.get(1), words.get(2), words.get(3))
                else {
                    return false;
                };
                local.ends_with(&wanted)
                    && states.contains(state)
                    && !excluded.iter().any(|host| remote_is(remote, host))
            })
            .count()
    }
}

fn remote_is(remote: &str, host: &str) -> bool {
    let Ok(std::net::IpAddr::V4(address)) = host.parse() else { return false };
    let hex: String = address.octets().iter().rev().map(|byte| format!("{byte:02X}")).collect();
    remote.split(':').next().is_some_and(|remote| remote.ends_with(&hex))
}

fn tcp_state(name: &str) -> Option<&'static str> {
    Some(match name {
        "ESTABLISHED" => "01",
        "SYN_SENT" => "02",
        "SYN_RECV" => "03",
        "FIN_WAIT1" => "04",
        "FIN_WAIT2" => "05",
        "TIME_WAIT" => "06",
        _ => return None,
    })
}
