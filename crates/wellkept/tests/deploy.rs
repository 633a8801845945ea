//! Releases on several real SSH servers, each with a folder of its own where the app lies: what comes, what goes back,
//! what is refused, and what is left when the program is killed.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;
mod fleet_stage;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Ended, Home, Reply, Site, Up, wait_for};
use fleet_stage::Fleet;
use fleet_stage::bed::Sshd;
use rustix::process::Signal;
use serde_json::{Value, json};

const HOSTS: [&str; 3] = ["h1", "h2", "h3"];

/// Three hosts. All run on this machine; what is below `srv` is another folder for each.
struct Shop {
    fleet: Fleet,
}

impl Shop {
    /// `None` where this machine does not let us give each host a folder of its own.
    fn open() -> Option<Self> {
        let can = std::process::Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
        if !can.is_ok_and(|status| status.success()) {
            common::skipped("each host wants a mount namespace of its own, which needs root");
            return None;
        }
        let home = Home::new();
        let (cache, srv) = (home.path("cache"), home.path("srv"));
        for folder in [&cache, &srv, &home.path("home/.ssh")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let server = |n: u8| {
            let own = home.path(&format!("machines/h{n}"));
            std::fs::create_dir_all(&own).unwrap();
            let enter = home.path(&format!("enter{n}"));
            let inner = format!(
                "mount --bind '{}' '{}' && exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"",
                own.display(),
                srv.display()
            );
            std::fs::write(
                &enter,
                format!("#!/bin/sh\nexec unshare -m /bin/sh -c '{}'\n", inner.replace('\'', "'\\''")),
            )
            .unwrap();
            std::fs::set_permissions(&enter, PermissionsExt::from_mode(0o755)).unwrap();
            let settings = [
                format!("SetEnv XDG_CACHE_HOME={}", cache.display()),
                format!("ForceCommand {}", enter.display()),
            ];
            Sshd::with(&settings.each_ref().map(String::as_str), Ipv4Addr::new(127, 0, 0, n))
        };
        let fleet = Fleet { servers: (1..=3).map(server).collect(), home };
        let at: Vec<SocketAddr> = fleet.servers.iter().map(|server| server.address).collect();
        fleet.inventory(&at);
        fleet.know(&at);
        Some(Self { fleet })
    }

    fn srv(&self, name: &str) -> String {
        self.fleet.home.path("srv").join(name).display().to_string()
    }

    /// Where a path of a host's own folder lies.
    fn at(&self, host: &str, name: &str) -> PathBuf {
        self.fleet.home.path("machines").join(host).join(name)
    }

    fn current(&self, host: &str) -> Option<String> {
        Some(std::fs::read_link(self.at(host, "shop/current")).ok()?.display().to_string())
    }

    fn all_at(&self, link: Option<&str>) {
        for host in HOSTS {
            assert_eq!(self.current(host).as_deref(), link, "{host}");
            assert!(!self.at(host, "shop/.wellkept/deploying").is_symlink(), "{host} is still marked");
        }
    }

    /// An archive of one file with this content, below `builds`.
    fn build(&self, version: &str, content: &str) -> PathBuf {
        let tree = self.fleet.home.path(&format!("trees/{version}"));
        std::fs::create_dir_all(&tree).unwrap();
        std::fs::write(tree.join("app"), content).unwrap();
        std::fs::create_dir_all(self.fleet.home.path("builds")).unwrap();
        let archive = self.fleet.home.path(&format!("builds/shop-{version}.tar.gz"));
        let mut tar = std::process::Command::new("tar");
        assert!(tar.arg("-czf").arg(&archive).arg("-C").arg(&tree).arg(".").status().unwrap().success());
        archive
    }

    /// The keep file: the app is well when its file says so.
    fn declare(&self, change: impl FnOnce(&mut Value)) {
        let mut app = json!({
            "hosts": "web",
            "inventory": self.fleet.home.path("hosts.ini"),
            "to": self.srv("shop"),
            "artefact": { "file": self.fleet.home.path("builds/shop-{version}.tar.gz") },
            "service": { "restart": ["cp", self.srv("shop/current/app"), self.srv("running")] },
            "health": { "exec": ["grep", "-q", "well", self.srv("running")], "from": "target" },
            "batches": [1, "100%"],
            "hold": "1s",
            "starts_within": "1s",
            "keep": 2,
        });
        change(&mut app);
        std::fs::copy(self.fleet.home.path("hosts"), self.fleet.home.path("hosts.ini")).ok();
        self.fleet.home.keep(json!({ "deploy": { "shop": app } }).to_string());
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        all.extend(["--keep".to_owned(), self.fleet.home.path("wellkept.yml").display().to_string()]);
        all.extend(["--data-dir".to_owned(), self.fleet.home.data().display().to_string()]);
        all
    }

    #[track_caller]
    fn cli(&self, words: &[&str]) -> Ended {
        let words = self.words(words);
        self.fleet.cli(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn deployed(&self, version: &str) {
        let ended = self.cli(&["deploy", "shop", version]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        self.all_at(Some(&format!("releases/{version}")));
    }

    /// The newest entry of the history.
    fn newest(&self) -> Value {
        let ended = self.cli(&["deploy", "history", "shop", "--output", "json"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(ended.out.lines().next().unwrap()).unwrap()
    }

    /// The journal of the newest deployment.
    fn journal(&self) -> String {
        let entries = std::fs::read_dir(self.fleet.home.data().join("deploy/shop"));
        let entries =
            entries.map(|all| all.flatten().map(|e| e.path()).collect::<Vec<_>>()).unwrap_or_default();
        let newest = entries.into_iter().filter(|p| p.extension().is_some_and(|e| e == "jsonl")).max();
        newest.map(|path| std::fs::read_to_string(path).unwrap_or_default()).unwrap_or_default()
    }
}

/// Everything that a host has, for comparing.
fn listing(shop: &Shop, host: &str) -> Vec<String> {
    let mut all = std::process::Command::new("find");
    let out = all.arg(shop.at(host, "")).arg("-printf").arg("%P %l\n").output().unwrap();
    let mut lines: Vec<String> = String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn versions_come_batch_by_batch_and_the_one_before_comes_back() {
    let Some(shop) = Shop::open() else { return };
    shop.declare(|_| {});
    shop.build("1.0", "well 1");
    shop.build("1.1", "well 2");
    let look = shop.cli(&["deploy", "shop", "1.0", "--check"]);
    assert!(look.code == Some(0) && look.out.contains("h2"), "{look:?}");
    assert_eq!(listing(&shop, "h1"), [" "], "a look changes nothing");
    shop.deployed("1.0");
    shop.deployed("1.1");
    assert_eq!(std::fs::read_to_string(shop.at("h3", "running")).unwrap(), "well 2");
    let back = shop.cli(&["rollback", "shop"]);
    assert_eq!(back.code, Some(0), "{back:?}");
    shop.all_at(Some("releases/1.0"));
    assert_eq!(std::fs::read_to_string(shop.at("h3", "running")).unwrap(), "well 1");
    let history = shop.cli(&["deploy", "history", "shop"]);
    for word in ["1.0", "1.1", "rollback", "done"] {
        assert!(history.out.contains(word), "{word}: {history:?}");
    }
    let newest = shop.newest();
    assert_eq!((&newest["act"], &newest["status"]), (&json!("rollback"), &json!("done")));
}

#[test]
fn a_canary_that_is_not_well_goes_back_and_the_others_are_untouched() {
    let Some(shop) = Shop::open() else { return };
    shop.declare(|_| {});
    shop.build("1.0", "well");
    shop.build("1.1", "ill");
    shop.deployed("1.0");
    let before = [listing(&shop, "h2"), listing(&shop, "h3")];
    let ended = shop.cli(&["deploy", "shop", "1.1"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("h1 is not well") && ended.out.contains("went back"), "{ended:?}");
    shop.all_at(Some("releases/1.0"));
    assert_eq!([listing(&shop, "h2"), listing(&shop, "h3")], before);
    assert_eq!(
        std::fs::read_to_string(shop.at("h1", "running")).unwrap(),
        "well",
        "restarted with the old one"
    );
    assert_eq!(shop.newest()["status"], "rolled_back");
}

#[test]
fn more_errors_than_before_take_all_hosts_back_and_changes_are_told_to_the_server() {
    let Some(shop) = Shop::open() else { return };
    shop.build("1.0", "well");
    shop.build("1.1", "well too");
    shop.declare(|_| {});
    shop.deployed("1.0");
    // Errors rise as soon as the second batch runs.
    let (h3, asked) = (shop.at("h3", "running"), AtomicUsize::new(0));
    let site = Site::start(move |seen| match seen.path.as_str() {
        "/api/v1/query" => {
            asked.fetch_add(1, Ordering::SeqCst);
            let worse = std::fs::read_to_string(&h3).is_ok_and(|text| text == "well too");
            let share = if worse { "0.2" } else { "0.01" };
            Reply::json(format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"{share}"]}}]}}}}"#
            ))
        }
        _ => Reply::json(r#"{"status":"success","id":"1"}"#),
    });
    shop.declare(|app| app["errors"] = json!({ "query": "errors", "worse_by": "2%" }));
    let address = site.address.to_string();
    let ended = shop.cli(&["deploy", "shop", "1.1", "--address", &address]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("errors became worse: 0.0100 before, 0.2000 now"), "{ended:?}");
    assert!(ended.out.contains("batch 1 of 2 is well"), "{ended:?}");
    shop.all_at(Some("releases/1.0"));
    let changes: Vec<Value> = site
        .seen()
        .iter()
        .filter(|seen| seen.path == "/api/v1/changes")
        .map(|seen| serde_json::from_slice(&seen.body).unwrap())
        .collect();
    let from_to = |c: &Value| (c["before"].clone(), c["after"].clone());
    assert_eq!(
        changes.iter().map(from_to).collect::<Vec<_>>(),
        [(json!("releases/1.0"), json!("releases/1.1")), (json!("releases/1.1"), json!("releases/1.0"))],
        "there and back, once for all hosts"
    );
    drop(site);
    let ended = shop.cli(&["deploy", "shop", "1.1", "--address", &address]);
    assert_eq!(ended.code, Some(2), "what was before cannot be known: {ended:?}");
}

#[test]
fn a_running_wellkept_knows_what_was_released() {
    let Some(shop) = Shop::open() else { return };
    shop.declare(|_| {});
    shop.build("1.0", "well");
    let up = Up::store(&shop.fleet.home, None);
    let ended = shop.cli(&["deploy", "shop", "1.0", "--address", &up.address.to_string()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let changes = up.get("/api/v1/changes");
    let one = &changes["changes"][0];
    assert_eq!((&one["kind"], &one["after"]), (&json!("release"), &json!("releases/1.0")), "{changes}");
    up.cli(&["freeze", "hands off"]);
    shop.build("1.1", "well");
    let ended = shop.cli(&["deploy", "shop", "1.1"]);
    assert!(ended.code == Some(2) && ended.err.contains("hands off"), "{ended:?}");
    shop.all_at(Some("releases/1.0"));
}

#[test]
fn killed_in_the_middle_it_goes_on_or_goes_back() {
    let Some(shop) = Shop::open() else { return };
    let slow = format!(
        "test -e '{}' || sleep 600; cp '{}' '{}'",
        shop.fleet.home.path("fast").display(),
        shop.srv("shop/current/app"),
        shop.srv("running")
    );
    shop.declare(|app| app["service"]["restart"] = json!({ "shell": slow, "within": "20m" }));
    std::fs::write(shop.fleet.home.path("fast"), "").unwrap();
    for (version, before) in [("1.0", None), ("1.1", Some("1.0")), ("1.2", Some("1.1"))] {
        shop.build(version, &format!("well {version}"));
        let Some(before) = before else {
            shop.deployed(version);
            continue;
        };
        std::fs::remove_file(shop.fleet.home.path("fast")).unwrap();
        let words = shop.words(&["deploy", "shop", version]);
        let mut command = shop.fleet.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("the restart of the first host", || {
            let last = shop.journal().lines().last().map(str::to_owned)?;
            (last.contains("begun") && last.contains("\"restart\"")).then_some(())
        });
        // Somebody else wants to deploy meanwhile.
        let second = shop.cli(&["deploy", "shop", "1.0"]);
        assert!(second.code == Some(2) && second.err.contains("under way"), "{second:?}");
        assert_eq!(shop.newest()["status"], "under_way");
        common_signal(&mut child);
        std::fs::write(shop.fleet.home.path("fast"), "").unwrap();
        assert_eq!(shop.newest()["status"], "interrupted");
        assert_eq!(shop.current("h1"), Some(format!("releases/{version}")));
        let next = shop.cli(&["deploy", "shop", "1.0"]);
        assert!(next.code == Some(2) && next.err.contains("--resume"), "{next:?}");
        if version == "1.1" {
            let ended = shop.cli(&["deploy", "shop", "--resume"]);
            assert_eq!(ended.code, Some(0), "{ended:?}");
            shop.all_at(Some("releases/1.1"));
            assert_eq!(shop.newest()["status"], "done");
        } else {
            let ended = shop.cli(&["rollback", "shop"]);
            assert_eq!(ended.code, Some(0), "{ended:?}");
            shop.all_at(Some(&format!("releases/{before}")));
            assert_eq!(std::fs::read_to_string(shop.at("h1", "running")).unwrap(), format!("well {before}"));
            assert_eq!(shop.newest()["status"], "rolled_back");
        }
    }
}

fn common_signal(child: &mut std::process::Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    child.wait().unwrap();
}

#[test]
fn what_must_not_be_is_refused_before_anything_is_touched() {
    let Some(shop) = Shop::open() else { return };
    shop.declare(|app| app["artefact"]["sha256"] = json!("0".repeat(64)));
    let archive = shop.build("1.0", "well");
    let ended = shop.cli(&["deploy", "shop", "1.0"]);
    assert!(ended.code == Some(2) && ended.err.contains("SHA-256"), "a wrong checksum: {ended:?}");
    shop.declare(|_| {});
    symlink("/etc", shop.fleet.home.path("trees/1.0/out")).unwrap();
    shop.build("1.0", "well");
    let ended = shop.cli(&["deploy", "shop", "1.0"]);
    assert!(ended.code == Some(2) && ended.err.contains("out to /etc"), "a link that leads out: {ended:?}");
    // A link to a folder outside, and then a file through it.
    let evil = shop.fleet.home.path("evil");
    std::fs::create_dir_all(&evil).unwrap();
    let target = shop.fleet.home.path("target");
    std::fs::create_dir_all(&target).unwrap();
    let script = "import tarfile,io,sys\nt=tarfile.open(sys.argv[1],'w:gz')\ni=tarfile.TarInfo('x')\n\
        i.type=tarfile.SYMTYPE\ni.linkname=sys.argv[2]\nt.addfile(i)\ni=tarfile.TarInfo('x/pwned')\ni.size=1\n\
        t.addfile(i,io.BytesIO(b'!'))\nt.close()\n";
    let mut python = std::process::Command::new("python3");
    let made = python.args(["-c", script]).arg(&archive).arg(&target).status();
    if made.is_ok_and(|status| status.success()) {
        let ended = shop.cli(&["deploy", "shop", "1.0"]);
        assert!(ended.code == Some(2) && ended.err.contains("leads out"), "a file through a link: {ended:?}");
        assert!(!target.join("pwned").exists());
    }
    for version in ["../1.0", "-rf", "--force", "a/b", "1..0", "", ".hidden", "1.0;id", "$(id)"] {
        let ended = shop.cli(&["deploy", "shop", version]);
        assert_eq!(ended.code, Some(2), "{version:?} {ended:?}");
        let ended = shop.cli(&["rollback", "shop", version]);
        assert_eq!(ended.code, Some(2), "{version:?} {ended:?}");
    }
    let ended = shop.cli(&["deploy", "nothing", "1.0"]);
    assert!(ended.code == Some(2) && ended.err.contains("shop"), "{ended:?}");
    for server in &shop.fleet.servers {
        assert_eq!(server.log(), "", "no host was even asked");
    }
    for host in HOSTS {
        assert_eq!(listing(&shop, host), [" "]);
    }
}

#[test]
fn a_host_that_another_controller_has_marked_is_left_alone() {
    let Some(shop) = Shop::open() else { return };
    shop.declare(|_| {});
    shop.build("1.0", "well");
    shop.build("1.1", "well");
    shop.deployed("1.0");
    symlink("17 9.9 of shop by bob@elsewhere", shop.at("h2", "shop/.wellkept/deploying")).unwrap();
    let ended = shop.cli(&["deploy", "shop", "1.1"]);
    assert!(ended.code == Some(2) && ended.err.contains("bob@elsewhere"), "{ended:?}");
    assert!(ended.err.contains("h2"), "{ended:?}");
    for host in HOSTS {
        assert_eq!(shop.current(host).as_deref(), Some("releases/1.0"));
    }
}

#[test]
fn a_commit_comes_from_a_repository_and_here_is_a_host_too() {
    let Some(shop) = Shop::open() else { return };
    let repository = shop.fleet.home.path("repository");
    std::fs::create_dir_all(&repository).unwrap();
    std::fs::write(repository.join("app"), "well from git").unwrap();
    for args in [
        &["init", "-q"][..],
        &["add", "."],
        &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
        &["tag", "v2.0"],
    ] {
        let mut git = std::process::Command::new("git");
        assert!(git.current_dir(&repository).args(args).status().unwrap().success(), "{args:?}");
    }
    let here = shop.fleet.home.path("here");
    shop.declare(|app| {
        app["artefact"] = json!({ "git": repository, "ref": "v{version}" });
        app["hosts"] = json!("localhost");
        app["to"] = json!(here);
        app["service"] = json!({ "restart": ["true"] });
        app["health"] = json!({ "exec": ["test", "-s", here.join("current/app")] });
        app["shared"] = json!(["log/"]);
    });
    let ended = shop.cli(&["deploy", "shop", "2.0"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(std::fs::read_to_string(here.join("current/app")).unwrap(), "well from git");
    assert!(here.join("current/log").is_dir() && here.join("shared/log").is_dir());
    assert!(!here.join("current/.git").exists());
    assert_eq!(shop.newest()["commit"].as_str().unwrap().len(), 40);
    let ended = shop.cli(&["deploy", "shop", "2.1"]);
    assert!(ended.code == Some(2) && ended.err.contains("v2.1"), "no such tag: {ended:?}");
}

/// An archive of the folder below `trees`, made by the host's own programs; `None` where there is none of that kind.
fn archive(shop: &Shop, version: &str, kind: &str) -> Option<PathBuf> {
    let tree = shop.fleet.home.path(&format!("trees/{version}"));
    let to = shop.fleet.home.path(&format!("builds/shop-{version}.{kind}"));
    let _ = std::fs::remove_file(&to);
    let line = match kind {
        "zip" => "zip -qr \"$1\" .",
        "tar" => "tar -cf \"$1\" .",
        "tar.gz" => "tar -czf \"$1\" .",
        "tar.xz" => "tar -cJf \"$1\" .",
        "tar.zst" => "tar --zstd -cf \"$1\" .",
        other => panic!("{other}"),
    };
    let mut sh = std::process::Command::new("/bin/sh");
    let made = sh.current_dir(tree).args(["-c", line, "sh"]).arg(&to).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        common::skipped(&format!("no program makes {kind} here"));
        return None;
    }
    Some(to)
}

/// The app on this machine alone.
fn here(shop: &Shop, artefact: Value) -> PathBuf {
    let here = shop.fleet.home.path("here");
    shop.declare(|app| {
        app["artefact"] = artefact;
        app["hosts"] = json!("localhost");
        app["to"] = json!(here);
        app["service"] = json!({ "restart": ["true"] });
        app["health"] = json!({ "exec": ["test", "-s", here.join("current/app")] });
    });
    here
}

#[test]
fn artefacts_of_every_kind_arrive_with_the_same_content() {
    let Some(shop) = Shop::open() else { return };
    let mut digests = Vec::new();
    for (number, kind) in ["tar", "tar.gz", "tar.xz", "tar.zst", "zip"].into_iter().enumerate() {
        let version = format!("1.{number}");
        shop.build(&version, "well");
        let tree = shop.fleet.home.path(&format!("trees/{version}"));
        std::fs::create_dir_all(tree.join("bin")).unwrap();
        std::fs::write(tree.join("bin/run"), "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(tree.join("bin/run"), PermissionsExt::from_mode(0o755)).unwrap();
        // The newest time of the content is the time of everything in the packed release.
        let dated = std::process::Command::new("find")
            .arg(&tree)
            .args(["-exec", "touch", "-d", "@1700000000", "{}", "+"])
            .status();
        assert!(dated.unwrap().success());
        let Some(archive) = archive(&shop, &version, kind) else { continue };
        let here = here(&shop, json!({ "file": archive }));
        let ended = shop.cli(&["deploy", "shop", &version]);
        assert_eq!(ended.code, Some(0), "{kind}: {ended:?}");
        assert_eq!(std::fs::read_to_string(here.join("current/app")).unwrap(), "well", "{kind}");
        let mode = std::fs::metadata(here.join("current/bin/run")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{kind}");
        // A zip keeps times otherwise.
        if kind != "zip" {
            digests.push((kind, shop.newest()["sha256"].as_str().unwrap().to_owned()));
        }
    }
    assert!(digests.len() >= 2 && digests.iter().all(|(_, d)| *d == digests[0].1), "{digests:?}");
    // A folder is one as well.
    let here = here(&shop, json!({ "file": shop.fleet.home.path("trees/1.0") }));
    assert_eq!(shop.cli(&["deploy", "shop", "2.0"]).code, Some(0));
    assert_eq!(std::fs::read_to_string(here.join("current/app")).unwrap(), "well");
}

#[test]
fn an_artefact_from_an_address_is_taken_only_with_its_checksum() {
    let Some(shop) = Shop::open() else { return };
    let bytes = std::fs::read(shop.build("1.0", "well")).unwrap();
    let right = wellkept_collect::sha256_hex(&bytes);
    let (sent, sum) = (bytes.clone(), right.clone());
    let site = Site::start(move |seen| match seen.path.as_str() {
        "/shop-1.0.tar.gz" => Reply::of("application/gzip", sent.clone()),
        "/right.sha256" => Reply::of("text/plain", format!("{sum}  shop-1.0.tar.gz\n")),
        "/wrong.sha256" => Reply::of("text/plain", format!("{}  shop-1.0.tar.gz\n", "0".repeat(64))),
        _ => Reply::status(404),
    });
    let url = format!("http://{}", site.address);
    let artefact = |sum: &str| json!({ "url": format!("{url}/shop-{{version}}.tar.gz"), "sha256": sum });
    let untouched = |why: &str, words: &[&str]| {
        let ended = shop.cli(words);
        assert!(ended.code == Some(2) && ended.err.contains(why), "{why}: {ended:?}");
        assert!(!shop.fleet.home.path("here").join("current").is_symlink(), "{why}");
    };
    here(&shop, artefact(&"0".repeat(64)));
    untouched("SHA-256", &["deploy", "shop", "1.0"]);
    here(&shop, artefact(&format!("{url}/wrong.sha256")));
    untouched("SHA-256", &["deploy", "shop", "1.0"]);
    here(&shop, artefact(&format!("{url}/none.sha256")));
    untouched("404", &["deploy", "shop", "1.0"]);
    here(&shop, artefact(&right));
    untouched("SHA-256", &["deploy", "shop", "1.0", "--sha256", &"1".repeat(64)]);
    untouched("404", &["deploy", "shop", "9.9"]);
    here(&shop, json!({ "url": format!("{url}/shop-{{version}}.tar.gz") }));
    let without = shop.cli(&["deploy", "shop", "1.0"]);
    assert_eq!(without.code, Some(2), "an address needs a checksum: {without:?}");
    for sum in [right.clone(), format!("{url}/right.sha256")] {
        let here = here(&shop, artefact(&sum));
        let ended = shop.cli(&["deploy", "shop", "1.0"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(std::fs::read_to_string(here.join("current/app")).unwrap(), "well");
    }
}
