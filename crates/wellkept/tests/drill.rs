//! Drills for users: refused where nobody announced one, measured where somebody did, and undone however they end.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is test code")]

mod common;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{Ended, Home, Mounted, Tiny, Up, now_ms, run, wait_for, wellkept};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A host with the tiny service, and a file of windows.
struct Scene {
    up: Up,
    tiny: Tiny,
    windows: PathBuf,
}

fn scene(home: &Home, may: &[&str]) -> Scene {
    let tiny = Tiny::new(home);
    let windows = home.path("windows.json");
    let mut keep: Value = serde_json::from_str(&tiny.keep("act", may)).unwrap();
    keep["maintenance"] = json!({ "files": [windows] });
    let keep = home.keep(keep.to_string());
    tiny.start();
    let up = Up::start(home, Some(&keep));
    tiny.wait_well(&up);
    Scene { up, tiny, windows }
}

/// Announces a window that is open now.
fn window(file: &std::path::Path, drill: bool) {
    let at = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap().to_string();
    let (now, hour) = (now_ms(), 3_600_000);
    let window = json!({ "from": at(now - hour), "until": at(now + hour), "components": ["tiny"],
        "drill": drill, "reason": "a try" });
    let windows = json!({ "windows": [window] });
    std::fs::write(file, windows.to_string()).unwrap();
}

impl Scene {
    fn window(&self, drill: bool) {
        window(&self.windows, drill);
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = wellkept();
        command.args(["drill", "tiny", "--address", &self.up.address.to_string()]).args(words);
        command.stdin(Stdio::null());
        command
    }

    fn drill(&self, words: &[&str]) -> Ended {
        run(&mut self.command(words))
    }

    /// State of the service's process, as the kernel says it.
    fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.tiny.pid()?)).ok()?;
        stat.split(") ").nth(1)?.chars().next()
    }
}

#[test]
fn a_drill_is_refused_until_a_window_for_drills_is_open() {
    let home = Home::new();
    let s = scene(&home, &["resume"]);
    let refused = |words: &[&str], what: &str| {
        let ended = s.drill(words);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains(what), "{ended:?}");
        assert_ne!(s.state(), Some('T'), "nothing was done");
    };
    refused(&[], "\"drill\": true");
    refused(&["--yes"], "\"drill\": true");
    s.window(false);
    refused(&[], "a try");
    s.window(true);
    refused(&["--fault", "fill"], "--on");
    refused(&["--fault", "fill", "--on", "/"], "free_space");
    s.up.acts("/api/v1/freeze", &json!({ "reason": "wait" }));
    refused(&[], "stop switch");
    assert_eq!(s.up.incidents_of("tiny"), Vec::<Value>::new());
}

#[test]
fn a_stopped_process_is_found_explained_and_healed_and_the_times_are_told() {
    let home = Home::new();
    let s = scene(&home, &["resume"]);
    s.window(true);
    let pid = s.tiny.pid();
    let ended = s.drill(&["--output", "json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    println!("{report}");
    assert_eq!(report["cause"]["kind"], "process_stopped", "{report}");
    assert_eq!(report["cause"]["right"], true);
    assert_eq!(report["actions"], json!([{ "kind": "resume", "status": "succeeded" }]));
    assert_eq!(report["undone_by_drill"], false, "Wellkept was first");
    let (detected, healed) = (report["detected_ms"].as_u64().unwrap(), report["healed_ms"].as_u64().unwrap());
    assert!(detected < healed, "{report}");
    assert_eq!((s.tiny.pid(), s.tiny.answers()), (pid, true));

    let told = s.drill(&[]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.out.contains("Rightly explained") && told.out.contains("The drill was passed"), "{told:?}");
}

#[test]
fn what_is_not_healed_is_undone_by_the_drill_and_told() {
    let home = Home::new();
    let s = scene(&home, &["restart"]);
    s.window(true);
    let ended = s.drill(&["--output", "json", "--within", "8"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["cause"]["right"], true, "{report}");
    assert_eq!((&report["healed_ms"], &report["undone_by_drill"]), (&Value::Null, &json!(true)), "{report}");
    assert_eq!(report["well_again"], true, "{report}");
    assert_ne!(s.state(), Some('T'));
}

/// The fault is taken away by the lease, whichever signal ends the drill.
fn is_undone_after(end: Signal) {
    let home = Home::new();
    let s = scene(&home, &["restart"]);
    s.window(true);
    let mut drill = s.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the process is stopped", || (s.state() == Some('T')).then_some(()));
    let raw = rustix::process::Pid::from_raw(i32::try_from(drill.id()).unwrap()).unwrap();
    rustix::process::kill_process(raw, end).unwrap();
    drill.wait().unwrap();
    let (_, took) = wait_for("the lease undoes it", || (s.state() != Some('T')).then_some(()));
    println!("undone {took:.2?} after {end:?}");
    wait_for("it answers again", || s.tiny.answers().then_some(()));
}

#[test]
fn a_drill_that_is_interrupted_leaves_nothing_behind() {
    is_undone_after(Signal::INT);
}

#[test]
fn a_drill_that_is_killed_leaves_nothing_behind() {
    is_undone_after(Signal::KILL);
}

#[test]
fn a_lease_undoes_when_its_time_is_up_although_the_drill_hangs() {
    let home = Home::new();
    let s = scene(&home, &[]);
    let pid = s.tiny.pid().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start: u64 = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap();
    let fault = json!({ "Stop": { "pid": pid, "start_ticks": start } }).to_string();
    let mut lease = wellkept();
    lease.args(["drill-lease", "--within", "2", "--fault", &fault]);
    let mut lease = lease.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    s.tiny.signal(Signal::STOP);
    let held = lease.stdin.take();
    wait_for("time is up", || (s.state() != Some('T')).then_some(()));
    lease.wait().unwrap();
    drop(held);
}

#[test]
fn a_file_system_is_filled_within_its_bound_and_emptied_by_its_rule() {
    let home = Home::new();
    let disk = Mounted::new(&home.path("disk"), 200 << 10).unwrap_or_else(|why| panic!("{why}"));
    let tiny = Tiny::new(&home);
    let windows = home.path("windows.json");
    let mountpoint = disk.inside("");
    let mountpoint = mountpoint.to_str().unwrap().trim_end_matches('/');
    let mut keep: Value = serde_json::from_str(&tiny.keep("act", &["restart"])).unwrap();
    keep["maintenance"] = json!({ "files": [windows] });
    keep["services"]["tiny"]["uses"] = json!([mountpoint]);
    let rule = json!({ "glob": format!("{mountpoint}/export-*.bin"), "older_than": "1h" });
    keep["filesystems"][mountpoint] = json!({ "free_space": [rule] });
    let keep = home.keep(keep.to_string());
    tiny.start();
    let up = Up::start_on(&home, &disk, Some(&keep));
    tiny.wait_well(&up);
    let s = Scene { up, tiny, windows };
    s.window(true);
    let drill = |words: &[&str]| {
        let mut command = disk.wellkept();
        command.args(["drill", "tiny", "--fault", "fill", "--output", "json", "--address"]);
        run(command.arg(s.up.address.to_string()).args(words))
    };
    let small = drill(&["--at-most-mib", "10"]);
    assert_eq!(small.code, Some(2), "{small:?}");
    assert!(small.err.contains("MiB"), "{small:?}");
    let ended = drill(&[]);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    println!("{report}");
    assert_eq!((&report["cause"]["kind"], &report["cause"]["right"]), (&json!("disk_full"), &json!(true)));
    assert_eq!(report["well_again"], true);
    // Where a process hides which files it has open, no file is proven to be free: a person is called.
    if std::fs::read_link("/proc/1/fd/0").is_ok() {
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(report["actions"], json!([{ "kind": "free_space", "status": "succeeded" }]));
        assert_eq!(report["undone_by_drill"], false);
    } else {
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!((&report["escalated"], &report["undone_by_drill"]), (&json!(true), &json!(true)));
    }
    let left = std::fs::read_dir(disk.outside("")).unwrap().map(|e| e.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().contains("drill")));
}

/// A network namespace with nothing but its loopback; gone when this is dropped.
struct Alone {
    holder: std::process::Child,
}

impl Alone {
    fn new() -> Self {
        use std::io::BufRead as _;
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sh", "-c", "ip link set lo up && echo ready && read end"]);
        let mut holder = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "a network namespace is needed");
        Self { holder }
    }

    fn command(&self, program: &Command) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg("--").arg(program.get_program());
        command.args(program.get_args()).stdin(Stdio::null());
        command
    }

    fn wellkept(&self, words: &[&str]) -> Command {
        self.command(wellkept().args(words))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
fn a_blocked_port_is_explained_and_opened_again() {
    let (home, alone) = (Home::new(), Alone::new());
    let tiny = Tiny::new(&home);
    let (windows, rules) = (home.path("windows.json"), home.path("rules.nft"));
    std::fs::write(&rules, "").unwrap();
    let mut keep: Value = serde_json::from_str(&tiny.keep("act", &["restart"])).unwrap();
    keep["maintenance"] = json!({ "files": [windows] });
    keep["networks"]["local"] = json!({ "rules": rules, "carries": ["tiny"], "may": ["rollback"] });
    let start: Vec<String> = serde_json::from_value(keep["services"]["tiny"]["start"].clone()).unwrap();
    let start: Vec<&str> = start.iter().skip(1).map(String::as_str).collect();
    assert!(alone.wellkept(&start).status().unwrap().success());
    let keep = home.keep(keep.to_string());
    let out = home.path("up.out");
    let data = home.data();
    let words = ["up", "--listen", "127.0.0.1:7676", "--keep", keep.to_str().unwrap(), "--data-dir"];
    let mut up = alone.wellkept(&words);
    up.arg(&data).stdout(std::fs::File::create(&out).unwrap()).stderr(Stdio::null());
    let mut up = up.spawn().unwrap();
    wait_for("the tiny service is well", || {
        let ended = run(&mut alone.wellkept(&["status", "--output", "json"]));
        let status: Value = serde_json::from_str(&ended.out).ok()?;
        (status["services"][0]["state"] == "running" && status["services"][0]["healthy"] == 1).then_some(())
    });
    window(&windows, true);
    let ended = run(&mut alone.wellkept(&["drill", "tiny", "--fault", "block", "--output", "json"]));
    let rules = run(&mut alone.command(Command::new("nft").args(["list", "ruleset"])));
    up.kill().unwrap();
    up.wait().unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    println!("{report}");
    assert_eq!(report["cause"]["kind"], "firewall_block", "{report}");
    assert_eq!(report["actions"], json!([{ "kind": "rollback", "status": "succeeded" }]));
    assert_eq!((rules.code, rules.out.as_str()), (Some(0), ""), "nothing is left");
}
