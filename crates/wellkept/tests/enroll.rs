//! Enrolment of a whole Debian that was booted for it: binary, user, unit, token, first words; again, upgraded, removed.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "this is test code")]

mod common;
mod fleet_stage;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Home, Up, free_address, run, skipped, wait_for, wellkept};
use fleet_stage::bed;
use serde_json::Value;

/// What the root of the system is made of; kept below the target folder, since making it takes a minute.
const PACKAGES: &str = "systemd,systemd-sysv,openssh-server,dbus";

/// The root folder of a minimal Debian, or why there is none.
fn debian() -> Result<PathBuf, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("booting a Debian needs root".to_owned());
    }
    for (program, package) in [("systemd-nspawn", "systemd-container"), ("debootstrap", "debootstrap")] {
        let found = ["/usr/bin", "/usr/sbin"].iter().any(|f| Path::new(f).join(program).exists());
        if !found {
            return Err(format!("there is no {program}; `apt-get install {package}`"));
        }
    }
    // Beside the folder with the profile of the build.
    let exe = Path::new(env!("CARGO_BIN_EXE_wellkept"));
    let folder = exe.parent().and_then(Path::parent).unwrap().join("nspawn");
    let root = folder.join("root");
    if root.join("usr/sbin/sshd").exists() {
        return Ok(root);
    }
    std::fs::create_dir_all(&folder).unwrap();
    let fresh = folder.join(format!("fresh-{}", std::process::id()));
    let include = format!("--include={PACKAGES}");
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", &include, "stable"]).arg(&fresh).stdin(Stdio::null());
    let made = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        // Half a system is of no use.
        let _ = std::fs::remove_dir_all(&fresh);
        return Err("debootstrap could not make a Debian; is there a mirror?".to_owned());
    }
    std::fs::rename(&fresh, &root).unwrap();
    Ok(root)
}

/// A booted system; its root is an overlay that goes with it.
struct Booted {
    child: Child,
}

impl Booted {
    fn start(root: &Path, home: &Home, address: SocketAddr) -> Self {
        let upper = home.path("upper");
        for folder in ["etc/ssh/sshd_config.d", "root/.ssh"] {
            std::fs::create_dir_all(upper.join(folder)).unwrap();
        }
        bed::keygen(&home.path(""), "ed25519", "host_key", "");
        bed::keygen(&home.path(""), "ed25519", "user_key", "");
        let copy = |from: &str, to: &str| std::fs::copy(home.path(from), upper.join(to)).unwrap();
        copy("host_key", "etc/ssh/ssh_host_test_key");
        copy("user_key.pub", "root/.ssh/authorized_keys");
        std::fs::write(
            upper.join("etc/ssh/sshd_config.d/test.conf"),
            format!(
                "ListenAddress {}:{}\nHostKey /etc/ssh/ssh_host_test_key\nPermitRootLogin yes\nUsePAM no\n",
                address.ip(),
                address.port()
            ),
        )
        .unwrap();
        let log = std::fs::File::create(home.path("boot.log")).unwrap();
        let mut command = Command::new("systemd-nspawn");
        command.args(["--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe"]);
        command.arg(format!("--machine=wk{}", std::process::id())).arg("--hostname=web-1");
        command.arg(format!("--directory={}", root.display())).arg("--volatile=overlay");
        // What is laid over the root: one file or folder at a time.
        for (file, to) in [
            ("etc/ssh/sshd_config.d/test.conf", "/etc/ssh/sshd_config.d/test.conf"),
            ("etc/ssh/ssh_host_test_key", "/etc/ssh/ssh_host_test_key"),
            ("root/.ssh/authorized_keys", "/root/.ssh/authorized_keys"),
        ] {
            command.arg(format!("--bind-ro={}:{to}", upper.join(file).display()));
        }
        let child =
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let booted = Self { child };
        wait_for("its sshd answers", || {
            use std::io::Read as _;
            let mut stream = std::net::TcpStream::connect(address).ok()?;
            stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).ok()?;
            let mut banner = [0; 4];
            stream.read_exact(&mut banner).ok()?;
            (&banner == b"SSH-").then_some(())
        });
        booted
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // Asked twice, it ends at once.
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        for _ in 0..100 {
            if let Some(pid) = pid {
                // Gone already is as good.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Stage {
    home: Home,
    _up: Up,
    _booted: Booted,
    url: String,
}

impl Stage {
    fn cli(&self, args: &[&str]) -> common::Ended {
        let mut command = wellkept();
        command.args(args).current_dir(self.home.path("")).env("HOME", self.home.path("home"));
        command.env_remove("SSH_AUTH_SOCK");
        run(&mut command)
    }

    #[track_caller]
    fn enroll(&self, more: &[&str]) -> common::Ended {
        let data = self.home.data().display().to_string();
        let mut args = vec!["enroll", "web", "-i", "hosts", "--data-dir", &data];
        args.extend(more);
        let ended = self.cli(&args);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }

    fn inside(&self, line: &str) -> common::Ended {
        self.cli(&["run", "web", "-i", "hosts", "--shell", "--output", "json", "--", line])
    }

    fn state(&self) -> String {
        let data = self.home.data().display().to_string();
        let told = self.cli(&["--output", "json", "agent", "list", "--data-dir", &data]);
        let told: Value = serde_json::from_str(&told.out).unwrap_or_else(|e| panic!("{e}: {told:?}"));
        told["agents"][0]["state"].as_str().unwrap_or_default().to_owned()
    }
}

#[test]
fn a_booted_debian_becomes_an_agent_and_stops_being_one() {
    let root = match debian() {
        Ok(root) => root,
        Err(why) => return skipped(&why),
    };
    let (home, ssh, agents) = (Home::new(), free_address(), free_address());
    let keep = home.keep(format!("agents: {{ listen: '{agents}' }}\n"));
    let up = Up::store(&home, Some(&keep));
    let booted = Booted::start(&root, &home, ssh);
    std::fs::create_dir_all(home.path("home/.ssh")).unwrap();
    let public = std::fs::read_to_string(home.path("host_key.pub")).unwrap();
    let known = format!("[{}]:{} {public}", Ipv4Addr::LOCALHOST, ssh.port());
    std::fs::write(home.path("home/.ssh/known_hosts"), known).unwrap();
    let inventory = format!(
        "[web]\nweb-1 ansible_host=127.0.0.1 ansible_port={} ansible_user=root ansible_ssh_private_key_file={}\n",
        ssh.port(),
        home.path("user_key").display()
    );
    std::fs::write(home.path("hosts"), inventory).unwrap();
    let stage = Stage { home, _up: up, _booted: booted, url: format!("https://{agents}") };
    let first = stage.enroll(&["--server", &stage.url]);
    assert!(first.out.contains("web-1 is an agent now"), "{first:?}");
    assert!(!first.out.contains("wkjoin1") && !first.err.contains("wkjoin1"), "{first:?}");
    wait_for("it is well", || (stage.state() == "well").then_some(()));
    let shown = stage.inside(
        "systemctl show wellkept-agent -p User,ActiveState,NoNewPrivileges,ProtectSystem; cat /etc/wellkept/agent.yml",
    );
    for fact in [
        "User=wellkept-agent",
        "ActiveState=active",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "may: []",
    ] {
        assert!(shown.out.contains(fact), "{fact}: {shown:?}");
    }
    let again = stage.enroll(&["--server", &stage.url]);
    assert!(again.out.contains("changed=0 "), "{again:?}");
    std::fs::write(stage.home.path("agent.yml"), "may: [ping]\ntrust: []\n").unwrap();
    stage.enroll(&["--upgrade", "--policy", "agent.yml"]);
    let shown =
        stage.inside("systemctl show wellkept-agent -p User,ActiveState; cat /etc/wellkept/agent.yml");
    assert!(shown.out.contains("User=root") && shown.out.contains("may: [ping]"), "{shown:?}");
    stage.enroll(&["--remove"]);
    let gone = stage.inside(
        "systemctl is-active wellkept-agent; ls /usr/local/bin/wellkept; id wellkept-agent; echo end",
    );
    assert!(gone.out.contains("inactive") && gone.out.contains("end"), "{gone:?}");
    assert!(!gone.out.contains("uid="), "{gone:?}");
    assert_eq!(stage.state(), "revoked");
}
