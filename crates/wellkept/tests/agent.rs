//! A server with an agent on the same machine: joining, what it sends, what it is handed, its silence and its end.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "this is test code")]

mod common;

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use common::{Ended, Home, Up, encode, free_address, run, wait_for, wellkept};
use serde_json::Value;

/// Ended when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Stage {
    home: Home,
    up: Option<Up>,
    address: SocketAddr,
}

impl Stage {
    fn new() -> Self {
        let (home, address) = (Home::new(), free_address());
        let mut stage = Self { home, up: None, address };
        stage.start();
        stage
    }

    fn start(&mut self) {
        let keep = format!("agents: {{ listen: '{}', silent_after: 15s }}\n", self.address);
        let keep = self.home.keep(keep);
        self.up = Some(Up::store(&self.home, Some(&keep)));
    }

    fn up(&self) -> &Up {
        self.up.as_ref().unwrap()
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.home.path(&format!("agent-{name}"))
    }

    #[track_caller]
    fn cli(&self, args: &[&str]) -> Ended {
        run(wellkept().args(args).current_dir(self.home.path("")))
    }

    #[track_caller]
    fn server(&self, args: &[&str]) -> Ended {
        let data = self.home.data().display().to_string();
        let mut all = vec!["--output", "json", "agent"];
        all.extend(args);
        all.extend(["--data-dir", &data]);
        self.cli(&all)
    }

    #[track_caller]
    fn token(&self, name: &str) -> String {
        let made = self.server(&["token", "--name", name, "--for", "5m"]);
        let made: Value = serde_json::from_str(&made.out).unwrap_or_else(|e| panic!("{e}: {made:?}"));
        made["token"].as_str().unwrap().to_owned()
    }

    /// Joins with the token on standard input.
    fn join(&self, name: &str, token: &str) -> Ended {
        let mut command = wellkept();
        command.args(["agent", "--join", &self.url(), "--token-file", "-", "--join-only", "--data-dir"]);
        command.arg(self.folder(name)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
        let ended = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: ended.status.code(), out: text(ended.stdout), err: text(ended.stderr) }
    }

    fn run(&self, name: &str, policy: &str) -> Process {
        let policy_file = self.home.path(&format!("{name}.yml"));
        std::fs::write(&policy_file, policy).unwrap();
        let log = self.home.path(&format!("{name}.log"));
        let keep = self.home.path(&format!("{name}-keep.yml"));
        let text = format!(
            "logs: {{ files: [{{ path: {}, service: shop }}], journal: false, containers: false }}\n",
            self.home.path("app.log").display()
        );
        std::fs::write(&keep, text).unwrap();
        let mut command: Command = wellkept();
        command.args(["agent", "--every", "1s", "--data-dir"]).arg(self.folder(name));
        command.arg("--policy").arg(policy_file).arg("--keep").arg(keep);
        command.stdout(Stdio::null()).stderr(File::create(log).unwrap());
        Process(command.spawn().unwrap())
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path(&format!("{name}.log"))).unwrap_or_default()
    }

    fn lines(&self) -> Vec<String> {
        let asked = encode(&[
            ("query", "{host=\"web-1\",service=\"shop\"}"),
            ("direction", "forward"),
            ("start", "1000000000"),
        ]);
        let answer = self.up().get(&format!("/api/v1/logs/search?{asked}"));
        let lines = answer["data"]["lines"].as_array().cloned().unwrap_or_default();
        lines.iter().map(|l| l["text"].as_str().unwrap().to_owned()).collect()
    }

    fn write_log(&self, text: &str) {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(self.home.path("app.log")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Whether a text is in the agent's queue on disk.
    fn waits(&self, name: &str, text: &str) -> bool {
        let files = std::fs::read_dir(self.folder(name).join("queue")).unwrap();
        let has = |path: PathBuf| {
            let bytes = std::fs::read(path).unwrap_or_default();
            bytes.windows(text.len()).any(|part| part == text.as_bytes())
        };
        files.flatten().any(|file| has(file.path()))
    }

    fn orders(&self, name: &str) -> Vec<Value> {
        let told = self.server(&["orders", name]);
        let told: Value = serde_json::from_str(&told.out).unwrap_or_else(|e| panic!("{e}: {told:?}"));
        told["orders"].as_array().unwrap().clone()
    }

    /// What is on record about agents, oldest first: who, what, to what.
    fn audited(&self) -> Vec<(String, String, String)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let db = runtime.block_on(wellkept_state::StateDb::open(&self.home.data())).unwrap();
        let mut all = runtime.block_on(db.audit_records(1000)).unwrap();
        assert_eq!(runtime.block_on(db.audit_verify(None)).unwrap().broken, None);
        runtime.block_on(db.close());
        all.reverse();
        all.into_iter().map(|r| (r.who, r.what, r.detail)).collect()
    }

    fn state(&self, name: &str) -> String {
        let told = self.server(&["list"]);
        let told: Value = serde_json::from_str(&told.out).unwrap_or_else(|e| panic!("{e}: {told:?}"));
        let agents = told["agents"].as_array().unwrap();
        let agent = agents.iter().find(|a| a["name"] == name);
        agent.map_or_else(String::new, |a| a["state"].as_str().unwrap().to_owned())
    }
}

#[test]
fn what_an_agent_sees_is_at_the_server_once_also_over_restarts_of_both() {
    let mut stage = Stage::new();
    let token = stage.token("web-1");
    let joined = stage.join("web-1", &token);
    assert!(joined.code == Some(0) && joined.out.contains("web-1"), "{joined:?}");
    let again = stage.join("other", &token);
    assert!(again.code == Some(5) && again.err.contains("unknown, used or expired"), "{again:?}");
    stage.write_log("one\ntwo\n");
    let agent = stage.run("web-1", "{}\n");
    wait_for("its samples are there", || {
        let answer = stage.up().query("node_load1{instance=\"web-1\"}");
        (!answer.json["data"]["result"].as_array()?.is_empty()).then_some(())
    });
    wait_for("its lines are there", || (stage.lines() == ["one", "two"]).then_some(()));
    assert_eq!(stage.state("web-1"), "well", "{}", stage.log("web-1"));
    let page = stage.up().call("GET", "/metrics").send().text;
    assert!(page.contains("wellkept_agents{state=\"heard\"} 1"), "{page}");
    let facts = stage.home.data().join("agents/facts/web-1.json");
    assert!(std::fs::read_to_string(facts).unwrap().contains("kernel"));
    // The server away, the agent killed, both back.
    stage.up.take().unwrap().kill();
    stage.write_log("three\n");
    wait_for("the third line waits in the queue", || stage.waits("web-1", "three").then_some(()));
    drop(agent);
    stage.write_log("four\n");
    stage.start();
    let _agent = stage.run("web-1", "{}\n");
    wait_for("all lines are there", || (stage.lines().len() >= 4).then_some(()));
    assert_eq!(stage.lines(), ["one", "two", "three", "four"]);
}

#[test]
fn a_handed_bundle_runs_as_far_as_the_hosts_own_file_allows() {
    let stage = Stage::new();
    let key = stage.cli(&["sign", "keygen", "--to", "key"]).out;
    let public = key.lines().last().unwrap();
    let token = stage.token("web-1");
    assert_eq!(stage.join("web-1", &token).code, Some(0));
    let to = stage.home.path("done").display().to_string();
    let play = |name: &str, tasks: &str| {
        std::fs::create_dir_all(stage.home.path(name)).unwrap();
        let text = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
        std::fs::write(stage.home.path(&format!("{name}/site.yml")), text).unwrap();
        let site = format!("{name}/site.yml");
        let out = format!("{name}.bundle");
        let made = stage
            .cli(&["sign", "bundle", &site, "-o", &out, "--key", "key", "--target", "web-*", "--name", name]);
        assert_eq!(made.code, Some(0), "{made:?}");
        out
    };
    let good = play("good", &format!("    - copy: {{ content: hello, dest: '{to}' }}\n"));
    // A module that the host does not allow, in a file that is only read when it is reached.
    let sly = play("sly", "    - include_tasks: '{{ item }}'\n      loop: [more.yml]\n");
    std::fs::write(
        stage.home.path("sly/more.yml"),
        format!(
            "- command: touch {to}-sly\n- debug: {{ msg: \"{{{{ lookup('pipe', 'touch {to}-pipe') }}}}\" }}\n"
        ),
    )
    .unwrap();
    let made = stage.cli(&[
        "sign",
        "bundle",
        "sly/site.yml",
        "-o",
        &sly,
        "--key",
        "key",
        "--target",
        "*",
        "--name",
        "sly",
        "--generation",
        "99999999999",
    ]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let kill = stage.home.path("KILL").display().to_string();
    let policy = format!("may: [copy]\ntrust: [{{ name: ops, key: '{public}' }}]\nkill_file: {kill}\n");
    let _agent = stage.run("web-1", &policy);
    assert_eq!(stage.server(&["hand", &good, "--to", "nobody"]).code, Some(2));
    let unsigned = stage.server(&["hand", "good/site.yml", "--to", "web-1"]);
    assert_eq!(unsigned.code, Some(2), "{unsigned:?}");
    let stage_of = |n: usize, wanted: &str| {
        wait_for(wanted, || {
            let orders = stage.orders("web-1");
            (orders.get(n)?["stage"] == wanted).then(|| orders[n].clone())
        })
        .0
    };
    assert_eq!(stage.server(&["hand", &good, "--to", "web-1"]).code, Some(0));
    let ended = stage_of(0, "ended");
    assert_eq!(ended["exit"], 0, "{ended}");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "hello");
    assert_eq!(stage.server(&["hand", &good, "--to", "web-1"]).code, Some(0));
    assert!(stage_of(1, "refused")["said"].as_str().unwrap().contains("taken already"));
    assert_eq!(stage.server(&["hand", &sly, "--to", "web-1"]).code, Some(0));
    let sly = stage_of(2, "ended");
    assert!(sly["exit"] != 0 && sly["said"].as_str().unwrap().contains("allows"), "{sly}");
    for left in ["-sly", "-pipe"] {
        assert!(!std::path::Path::new(&format!("{to}{left}")).exists());
    }
    assert_eq!(stage.server(&["revoke", "web-1"]).code, Some(0));
    let audited = stage.audited();
    let did =
        |who: &str, what: &str| audited.iter().filter(|a| a.0 == who && a.1 == what).collect::<Vec<_>>();
    let me = &audited[0].0;
    assert_eq!(did(me, "make token for agent").len(), 1, "{audited:?}");
    assert_eq!(did("agent web-1", "agent joined").len(), 1, "{audited:?}");
    assert_eq!(did(me, "hand to agent").len(), 3, "only what was handed: {audited:?}");
    assert!(did(me, "hand to agent")[0].2.contains("web-1: good.bundle sha256 "), "{audited:?}");
    assert_eq!(did("agent web-1", "order taken").len(), 3, "{audited:?}");
    let ends: Vec<&str> =
        did("agent web-1", "order over").iter().map(|a| a.2.rsplit(' ').next().unwrap()).collect();
    assert_eq!(ends, ["ended", "refused", "ended"], "{audited:?}");
    assert_eq!(did(me, "revoke agent").len(), 1, "{audited:?}");
    assert!(!format!("{audited:?}").contains(&token), "no secret on record");
}

#[test]
fn an_agent_that_says_nothing_is_a_finding_and_a_revoked_one_is_not() {
    let stage = Stage::new();
    let token = stage.token("web-1");
    assert_eq!(stage.join("web-1", &token).code, Some(0));
    let agent = stage.run("web-1", "{}\n");
    wait_for("it is heard", || (stage.state("web-1") == "well").then_some(()));
    drop(agent);
    let silent = || {
        let ids = stage.up().incidents().into_iter().filter_map(|i| Some(i["id"].as_str()?.to_owned()));
        ids.map(|id| stage.up().incident(&id))
            .any(|i| i["status"] != "resolved" && i.to_string().contains("The agent web-1 has said nothing"))
    };
    wait_for("its silence is an incident", || silent().then_some(()));
    assert_eq!(stage.server(&["revoke", "web-1"]).code, Some(0));
    assert_eq!(stage.state("web-1"), "revoked");
    let _agent = stage.run("web-1", "{}\n");
    wait_for("it is told", || stage.log("web-1").contains("refused").then_some(()));
    assert_eq!(stage.server(&["revoke", "nobody"]).code, Some(1));
}

#[test]
fn nothing_listens_without_the_keep_file_saying_so() {
    let home = Home::new();
    let up = Up::store(&home, None);
    assert!(!home.data().join("agents").exists());
    assert!(!up.said().contains("Agents"), "{}", up.said());
    let ended = run(wellkept().args(["agent", "--data-dir"]).arg(home.path("none")));
    assert!(ended.code == Some(2) && ended.err.contains("--join"), "{ended:?}");
    let shown = run(wellkept().args(["agent", "--join", "https://127.0.0.1:1", "--token", "x"]));
    assert_eq!(shown.code, Some(2), "a token is never taken from the command line: {shown:?}");
}
