//! The Docker modules against a real engine and a real registry, both in namespaces of their own: networks that they
//! make are seen by nobody else, and all containers end with the test.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use wellkept_modules::{Call, Context, NoFiles, run};

/// Longest time for the engine to start, or for a container to get where a test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "the test waits for real programs")]
fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Engine {
    folder: tempfile::TempDir,
    programs: Child,
}

/// The registry first, then the engine in its place: both see a loopback and nothing else.
const PROGRAMS: &str = "
ip link set lo up
cd \"$1\"
docker-registry serve registry.yml >registry.log 2>&1 &
exec dockerd --data-root \"$1/data\" --exec-root \"$1/exec\" -H \"unix://$1/socket\" -p \"$1/pid\" \
  --iptables=false --ip6tables=false --ip-masq=false --storage-driver=vfs >dockerd.log 2>&1
";

impl Engine {
    /// None, with the reason said, where it cannot be.
    fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: an engine for containers needs root");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("wkdk").tempdir_in("/tmp").unwrap();
        let at = folder.path();
        fs::write(
            at.join("registry.yml"),
            format!(
                "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}/store}}}}\nhttp: {{addr: 127.0.0.1:5000}}\n",
                at.display()
            ),
        )
        .unwrap();
        let programs = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "sh",
                "-c",
                PROGRAMS,
                "sh",
            ])
            .arg(at)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let engine = Self { folder, programs };
        wait_for("the engine listens", || engine.docker(&["info"]).status.success() || engine.has_ended());
        assert!(!engine.has_ended(), "{}", fs::read_to_string(engine.at("dockerd.log")).unwrap());
        engine.import("busy:1", "one");
        engine.import("busy:2", "two");
        Some(engine)
    }

    fn has_ended(&self) -> bool {
        !Path::new(&format!("/proc/{}", self.programs.id())).exists()
            || fs::read_to_string(self.at("dockerd.log"))
                .is_ok_and(|log| log.contains("failed to start daemon"))
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn docker(&self, args: &[&str]) -> Output {
        Command::new("docker")
            .env("DOCKER_HOST", format!("unix://{}", self.at("socket")))
            .args(args)
            .output()
            .unwrap_or_else(|e| panic!("docker.io must be installed for the tests: {e}"))
    }

    /// What its own client says.
    fn says(&self, args: &[&str]) -> String {
        let out = self.docker(args);
        assert!(out.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// An image with one program and a file that tells images apart.
    fn import(&self, name: &str, mark: &str) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("bin")).unwrap();
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        let busybox = busybox.expect("busybox-static must be installed for the tests");
        fs::copy(busybox, root.path().join("bin/busybox")).unwrap();
        for name in ["sh", "sleep", "cat", "echo", "test", "touch"] {
            symlink("busybox", root.path().join("bin").join(name)).unwrap();
        }
        fs::write(root.path().join("mark"), mark).unwrap();
        let tar = self.at("image.tar");
        let packed =
            Command::new("tar").arg("-C").arg(root.path()).args(["-cf", &tar, "."]).status().unwrap();
        assert!(packed.success());
        self.says(&["import", &tar, name]);
    }

    fn go(&self, module: &str, args: Value, check: bool) -> Map<String, Value> {
        #[expect(clippy::disallowed_methods, reason = "the host's clock")]
        let mut context = Context::new(self.folder.path().to_owned(), std::time::SystemTime::now);
        let mut all = args.as_object().cloned().unwrap();
        all.insert("docker_host".into(), format!("unix://{}", self.at("socket")).into());
        let call = Call {
            module: module.to_owned(),
            args: all,
            check,
            timeout_seconds: Some(60),
            ..Call::default()
        };
        run(&call, &NoFiles, &mut context)
    }

    /// What it says of having changed something: in check mode, for real, and once more.
    fn thrice(&self, module: &str, args: &Value) -> [bool; 3] {
        [true, false, false].map(|check| {
            let result = self.go(module, args.clone(), check);
            assert!(!result.contains_key("failed"), "{module} {args}: {result:?}");
            result["changed"] == json!(true)
        })
    }

    fn refused(&self, module: &str, args: Value) -> String {
        let result = self.go(module, args, false);
        assert_eq!(result.get("failed"), Some(&json!(true)), "{result:?}");
        result["msg"].as_str().unwrap().to_owned()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Its containers and mounts go with its namespaces.
        let _ = self.programs.kill();
        let _ = self.programs.wait();
        let socket = self.at("socket");
        wait_for("the engine is gone", || UnixStream::connect(&socket).is_err());
    }
}

/// Changed in check mode and for real, and left alone afterwards.
const ONCE: [bool; 3] = [true, true, false];
const NEVER: [bool; 3] = [false, false, false];

#[test]
fn containers_on_a_real_engine() {
    let Some(engine) = Engine::start() else { return };
    let web = json!({"name": "web", "image": "busy:1", "command": "sleep 1000", "env": {"A": 1, "B": "two words"},
        "volumes": ["/tmp:/outside:ro"], "ports": ["127.0.0.1:8080:80", "53/udp"], "labels": {"role": "web"},
        "restart_policy": "on-failure", "restart_retries": 3, "memory": "64M", "cpus": 0.5, "cap_drop": ["NET_RAW"],
        "tmpfs": ["/run:size=1m"], "etc_hosts": {"db": "10.0.0.7"}, "log_driver": "json-file",
        "log_options": {"max-size": "1m"}, "stop_timeout": 0, "init": true});
    assert_eq!(engine.thrice("docker_container", &web), ONCE);
    let look = |format: &str| engine.says(&["inspect", "-f", format, "web"]);
    assert_eq!(
        look("{{.State.Running}} {{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}"),
        "true 67108864 500000000"
    );
    assert_eq!(
        look("{{json .HostConfig.PortBindings}}"),
        concat!(
            r#"{"53/udp":[{"HostIp":"0.0.0.0","HostPort":""}],"#,
            r#""80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]}"#
        )
    );
    assert_eq!(
        engine.says(&["exec", "web", "sh", "-c", "echo $B; cat /etc/hosts"]).lines().next(),
        Some("two words")
    );
    assert!(engine.says(&["exec", "web", "cat", "/etc/hosts"]).contains("10.0.0.7\tdb"));
    let id = look("{{.Id}}");

    let with = |change: Value| {
        let mut all = web.as_object().cloned().unwrap();
        all.extend(change.as_object().cloned().unwrap());
        Value::Object(all)
    };
    assert_eq!(engine.thrice("docker_container", &with(json!({"env": {"A": 2}}))), ONCE);
    assert_ne!(look("{{.Id}}"), id, "another environment makes another container");
    let id = look("{{.Id}}");
    assert_eq!(
        engine.thrice("docker_container", &json!({"name": "web", "state": "stopped", "stop_timeout": 0})),
        ONCE
    );
    assert_eq!(look("{{.State.Running}} {{.Id}}"), format!("false {id}"));
    assert_eq!(engine.thrice("docker_container", &json!({"name": "web"})), ONCE);
    assert_eq!(look("{{.State.Running}} {{.Id}}"), format!("true {id}"), "what is not said is not compared");

    // The same name for another image: seen by its id.
    engine.says(&["tag", "busy:2", "busy:1"]);
    assert_eq!(engine.thrice("docker_container", &with(json!({"env": {"A": 2}}))), ONCE);
    assert_eq!(engine.says(&["exec", "web", "cat", "/mark"]), "two");

    let id = look("{{.Id}}");
    let said = engine.refused("docker_container", json!({"name": "web", "env": {"A": 3}}));
    assert!(said.contains("image is not specified"), "{said}");
    let said = engine.refused("docker_container", with(json!({"image": "nobody/has:it", "pull": "never"})));
    assert!(said.contains("nobody/has:it"), "{said}");
    assert_eq!(look("{{.State.Running}} {{.Id}}"), format!("true {id}"), "a refused task costs no container");

    assert_eq!(engine.thrice("docker_container", &json!({"name": "web", "state": "absent"})), ONCE);
    assert_eq!(engine.says(&["ps", "-aq"]), "");
}

#[test]
fn containers_that_end_on_a_real_engine() {
    let Some(engine) = Engine::start() else { return };
    let job = |command: &str| json!({"name": "job", "image": "busy:2", "command": ["sh", "-c", command], "detach": false, "cleanup": true});
    let done = engine.go("docker_container", job("echo out; echo err >&2"), false);
    let output = done["container"]["Output"].as_str().unwrap();
    assert!(output.contains("out\n") && output.contains("err\n") && output.len() == 8, "{output:?}");
    assert_eq!((&done["status"], &done["changed"]), (&json!(0), &json!(true)));
    let said = engine.go("docker_container", job("echo broken; exit 7"), false);
    assert_eq!(
        (&said["failed"], &said["status"], &said["msg"]),
        (&json!(true), &json!(7), &json!("broken\n"))
    );
    assert_eq!(engine.says(&["ps", "-aq"]), "", "both are cleaned up");
}

#[test]
fn health_of_containers_on_a_real_engine() {
    let Some(engine) = Engine::start() else { return };
    let with_check = |test: &str, limit: u32| {
        json!({"name": "sick", "image": "busy:2", "command": "sleep 1000", "state": "healthy",
            "healthy_wait_timeout": limit, "stop_timeout": 0,
            "healthcheck": {"test": test, "interval": "100ms", "timeout": "5s", "retries": 1000}})
    };
    let fine = engine.go("docker_container", with_check("true", 60), false);
    assert_eq!(fine["container"]["State"]["Health"]["Status"], json!("healthy"), "{fine:?}");
    let said = engine.refused("docker_container", with_check("false", 1));
    assert!(said.contains("Timeout while waiting"), "{said}");
    let said = engine.refused(
        "docker_container",
        json!({"name": "sick", "image": "busy:2", "healthcheck": {"interval": "often"}}),
    );
    assert!(said.contains("healthcheck.interval cannot be often"), "{said}");
    engine.says(&["rm", "-f", "sick"]);
}

#[test]
fn networks_on_a_real_engine() {
    let Some(engine) = Engine::start() else { return };
    let inner = json!({"name": "inner", "labels": {"for": "test"}, "internal": true,
        "ipam_config": [{"subnet": "10.231.7.0/24"}]});
    assert_eq!(engine.thrice("docker_network", &inner), ONCE);
    assert_eq!(engine.thrice("docker_network", &json!({"name": "outer"})), ONCE);
    let both = json!({"name": "two", "image": "busy:2", "command": "sleep 1000", "stop_timeout": 0, "networks":
        [{"name": "inner", "aliases": ["db"], "ipv4_address": "10.231.7.9"}, {"name": "outer"}]});
    assert_eq!(engine.thrice("docker_container", &both), ONCE);
    let joined = || {
        engine.says(&[
            "inspect",
            "-f",
            "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}",
            "two",
        ])
    };
    assert_eq!(joined(), "inner outer");
    let address = "{{.NetworkSettings.Networks.inner.IPAddress}}";
    assert_eq!(engine.says(&["inspect", "-f", address, "two"]), "10.231.7.9");
    let one = json!({"name": "two", "networks": [{"name": "outer"}], "purge_networks": true});
    assert_eq!(engine.thrice("docker_container", &one), ONCE);
    assert_eq!(joined(), "outer");
    assert_eq!(engine.thrice("docker_network", &json!({"name": "outer", "connected": ["two"]})), NEVER);
    assert_eq!(engine.thrice("docker_network", &json!({"name": "outer", "labels": {"new": "one"}})), ONCE);
    assert_eq!(joined(), "outer", "who was in a network is in the new one as well");
    assert_eq!(engine.thrice("docker_network", &json!({"name": "outer", "connected": []})), ONCE);
    assert_eq!(joined(), "");
    for name in ["inner", "outer"] {
        assert_eq!(engine.thrice("docker_network", &json!({"name": name, "state": "absent"})), ONCE);
    }
    assert_eq!(engine.thrice("docker_container", &json!({"name": "two", "state": "absent"})), ONCE);
}

#[test]
fn images_on_a_real_engine() {
    let Some(engine) = Engine::start() else { return };
    let place = "127.0.0.1:5000/team/app";
    assert_eq!(
        engine.thrice(
            "docker_image",
            &json!({"name": "busy", "tag": "2", "source": "local", "repository": format!("{place}:7")})
        ),
        ONCE
    );
    engine.says(&["push", &format!("{place}:7")]);
    let gone = json!({"name": place, "tag": "7", "state": "absent"});
    assert_eq!(engine.thrice("docker_image", &gone), ONCE);
    assert_eq!(engine.thrice("docker_image", &json!({"name": place, "tag": "7", "source": "pull"})), ONCE);
    let said = engine.refused("docker_image", json!({"name": place, "tag": "8", "source": "pull"}));
    assert!(said.contains("not found") || said.contains("manifest unknown"), "{said}");
    assert_eq!(engine.thrice("docker_image", &gone), ONCE);
    // A container fetches what is missing, by its digest's tag as well.
    let app =
        json!({"name": "app", "image": format!("{place}:7"), "command": "sleep 1000", "stop_timeout": 0});
    assert_eq!(engine.thrice("docker_container", &app), ONCE);
    assert_eq!(engine.thrice("docker_container", &json!({"name": "app", "state": "absent"})), ONCE);

    let archive = engine.at("saved.tar");
    engine.says(&["save", "-o", &archive, "busy:2"]);
    engine.says(&["rmi", "-f", "busy:1", "busy:2", &format!("{place}:7")]);
    let load = json!({"name": "busy:2", "source": "load", "load_path": archive});
    assert_eq!(engine.thrice("docker_image", &load), ONCE);
    let other = json!({"name": "busy:9", "source": "load", "load_path": archive});
    let said = engine.refused("docker_image", other);
    assert!(said.contains("did not contain image busy:9"), "{said}");
    let said = engine
        .refused("docker_image", json!({"name": "x", "source": "load", "load_path": "/nonexistent.tar"}));
    assert!(said.contains("/nonexistent.tar"), "{said}");
}
