//! Modules whose programs change the system: stand-ins record how they are called, in a folder that stands for `/`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use wellkept_modules::{Call, Context, NoFiles, run};

struct Host {
    folder: tempfile::TempDir,
}

impl Host {
    /// A host with these files and stand-ins for programs; each notes its arguments in `log`.
    fn new(files: &[(&str, &str)], programs: &[(&str, &str)]) -> Self {
        let host = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["bin", "tmp", "etc"] {
            fs::create_dir(host.at(folder)).unwrap();
        }
        for (name, text) in files {
            fs::create_dir_all(host.at(name).parent().unwrap()).unwrap();
            fs::write(host.at(name), text).unwrap();
        }
        for (name, script) in programs {
            let log = host.at("log");
            let text = format!("#!/bin/sh\nprintf '%s\\n' \"{name} $*\" >> {}\n{script}\n", log.display());
            fs::write(host.at(&format!("bin/{name}")), text).unwrap();
            fs::set_permissions(host.at(&format!("bin/{name}")), fs::Permissions::from_mode(0o755)).unwrap();
        }
        host
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_default()
    }

    /// What the stand-ins were called with since the last question.
    fn called(&self) -> Vec<String> {
        let log = self.text("log");
        let _ = fs::remove_file(self.at("log"));
        log.lines().map(str::to_owned).collect()
    }

    fn go(&self, module: &str, args: Value, check: bool) -> Map<String, Value> {
        let Value::Object(args) = args else { panic!() };
        #[expect(clippy::disallowed_methods, reason = "the host's clock")]
        let mut ctx = Context::new(self.at("tmp"), std::time::SystemTime::now);
        ctx.root = self.folder.path().to_owned();
        let path = format!("{}:/usr/bin:/bin", self.at("bin").display());
        let call = Call {
            module: module.to_owned(),
            args,
            check,
            environment: vec![("PATH".to_owned(), path)],
            timeout_seconds: Some(60),
            ..Call::default()
        };
        run(&call, &NoFiles, &mut ctx)
    }

    /// Runs it, and tells whether it changed something.
    fn changed(&self, module: &str, args: Value) -> bool {
        let result = self.go(module, args, false);
        assert!(!result.contains_key("failed"), "{module}: {result:?}");
        result["changed"] == json!(true)
    }
}

#[test]
fn names_of_arguments_can_be_checked_before_anything_runs() {
    let spec = wellkept_modules::find("systemd_service").unwrap();
    assert_eq!(spec.unknown(&["name", "unit", "daemon-reload"]), None);
    let said = spec.unknown(&["name", "stat"]).unwrap();
    assert!(
        said.starts_with(
            "Unsupported parameters for (systemd) module: stat. Supported parameters include: daemon_reexec"
        ),
        "{said}"
    );
    assert!(wellkept_modules::find("nope").is_none());
}

#[test]
fn a_unit_is_started_and_enabled_also_under_the_long_name_of_the_module() {
    let systemctl = "case \"$*\" in *show*) echo Id=x.service; echo LoadState=loaded; \
        [ -e \"${0%/bin/*}/up\" ] && echo ActiveState=active || echo ActiveState=inactive;; \
        *is-enabled*) [ -e \"${0%/bin/*}/up\" ] && echo enabled || { echo disabled; exit 1; };; \
        *start*) touch \"${0%/bin/*}/up\";; esac";
    let host = Host::new(&[], &[("systemctl", systemctl)]);
    let args = json!({"name": "x", "state": "started", "enabled": true});
    assert_eq!(host.go("systemd_service", args.clone(), true)["changed"], json!(true));
    assert!(!host.at("up").exists(), "a look changes nothing");
    host.called();
    assert!(host.changed("systemd_service", args.clone()));
    let called = host.called();
    for word in ["enable x", "start x"] {
        assert!(called.iter().any(|line| line.ends_with(word)), "{word}: {called:?}");
    }
    assert!(!host.changed("systemd_service", args));
}

#[test]
fn a_rendered_template_is_put_in_its_place_and_stays() {
    let host = Host::new(&[], &[]);
    let dest = host.at("etc");
    let args =
        json!({"src": "x.conf", "dest": dest, "content": "a = 1\n", "mode": "0640", "trim_blocks": true});
    assert!(host.changed("template", args.clone()));
    assert_eq!(host.text("etc/x.conf"), "a = 1\n");
    assert!(!host.changed("template", args));
    assert_eq!(host.go("template", json!({"src": "x", "dest": dest}), false)["failed"], json!(true));
}

#[test]
fn ping_answers() {
    let host = Host::new(&[], &[]);
    assert_eq!(host.go("ping", json!({}), false)["ping"], json!("pong"));
}

#[test]
fn apt_installs_what_is_missing_and_removes_what_is_there() {
    let installed = "printf 'ii \\tcurl\\t7.88\\tamd64\\t\\nii \\texim4\\t4\\tall\\tmail-transport-agent\\nrc \\told\\t1\\tall\\t\\n'";
    let apt = "echo '0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.'";
    let policy = "echo '  Installed: 7.88'; echo '  Candidate: 7.99'";
    let host = Host::new(&[], &[("dpkg-query", installed), ("apt-get", apt), ("apt-cache", policy)]);
    let last = |host: &Host| host.called().last().cloned().unwrap_or_default();
    let base = "apt-get -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=60";
    assert!(!host.changed("apt", json!({"name": ["curl", "mail-transport-agent"]})));
    assert!(last(&host).starts_with("dpkg-query"));
    assert!(host.changed("apt", json!({"name": "nginx,curl,old", "install_recommends": false})));
    assert_eq!(last(&host), format!("{base} -o APT::Install-Recommends=no install nginx old"));
    assert!(host.changed("apt", json!({"name": "curl", "state": "latest"})));
    assert_eq!(last(&host), format!("{base} install curl"));
    assert!(host.changed("apt", json!({"name": "curl=8.*"})));
    assert_eq!(last(&host), format!("{base} install curl=8.*"));
    assert!(
        host.changed("apt", json!({"name": "cu*", "state": "absent", "purge": true, "autoremove": true}))
    );
    assert_eq!(last(&host), format!("{base} --auto-remove --purge remove curl"));
    assert!(!host.changed("apt", json!({"name": "nginx", "state": "absent"})));
    host.called();
    host.go("apt", json!({"name": "nginx"}), true);
    assert!(last(&host).contains("--simulate"));
    let wrong = host.go("apt", json!({"name": "-o=evil"}), false);
    assert_eq!(wrong["failed"], json!(true));
    assert!(host.changed("apt", json!({"update_cache": true})));
    assert_eq!(last(&host), "apt-get update");
}

#[test]
fn package_picks_the_manager_of_the_host() {
    let host = Host::new(
        &[("usr/bin/apt-get", "")],
        &[("dpkg-query", ""), ("apt-get", "echo '0 upgraded, 1 newly installed, 0 to remove'")],
    );
    assert!(host.changed("package", json!({"name": "x", "state": "present"})));
    assert!(host.called().last().unwrap().ends_with("install x"));
    let host = Host::new(&[], &[]);
    assert!(
        host.go("package", json!({"name": "x", "state": "present"}), false)["msg"]
            .as_str()
            .unwrap()
            .starts_with("Could not detect")
    );
}

#[test]
fn dnf_asks_rpm_first() {
    let rpm = "case \"$*\" in *have*) exit 0;; *) exit 1;; esac";
    let dnf = "printf 'Installed:\\n  x-1.el9.noarch\\n\\nComplete!\\n'";
    let host = Host::new(&[], &[("rpm", rpm), ("dnf", dnf)]);
    assert!(!host.changed("dnf", json!({"name": "have"})));
    let result = host.go("yum", json!({"name": ["have", "x"], "enablerepo": "epel"}), false);
    assert_eq!(
        (&result["changed"], &result["results"]),
        (&json!(true), &json!(["Installed: x-1.el9.noarch"]))
    );
    assert_eq!(host.called().last().unwrap(), "dnf -y --enablerepo=epel install x");
    assert!(host.changed("dnf", json!({"name": ["have", "x"], "state": "absent"})));
    assert_eq!(host.called().last().unwrap(), "dnf -y remove have");
    assert_eq!(host.go("dnf", json!({"name": "x"}), true)["changed"], json!(true));
    assert!(host.called().iter().all(|line| !line.starts_with("dnf")));
}

#[test]
fn keys_are_let_in_once_and_thrown_out() {
    let host = Host::new(&[], &[]);
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let home = host.at("home");
    fs::create_dir(&home).unwrap();
    fs::write(host.at("etc/passwd"), format!("bob:x:{uid}:{gid}::{}:/bin/sh\n", home.display())).unwrap();
    let key = "ssh-ed25519 AAAAB bob@home";
    let args = json!({"user": "bob", "key": key, "key_options": "no-pty"});
    assert!(host.changed("authorized_key", args.clone()));
    assert_eq!(host.text("home/.ssh/authorized_keys"), "no-pty ssh-ed25519 AAAAB bob@home\n");
    let mode = fs::metadata(host.at("home/.ssh/authorized_keys")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(!host.changed("authorized_key", args));
    assert!(
        host.changed("authorized_key", json!({"user": "bob", "key": "ssh-rsa AAAAC", "exclusive": true}))
    );
    assert_eq!(host.text("home/.ssh/authorized_keys"), "ssh-rsa AAAAC\n");
    assert!(
        host.changed("authorized_key", json!({"user": "bob", "key": "ssh-rsa AAAAC", "state": "absent"}))
    );
    assert_eq!(host.text("home/.ssh/authorized_keys"), "");
    assert_eq!(
        host.go("authorized_key", json!({"user": "bob", "key": "nonsense"}), false)["failed"],
        json!(true)
    );
}

#[test]
fn keys_of_repositories_are_trusted_once_and_distrusted() {
    let host = Host::new(&[], &[]);
    // Who signs is somebody else than the host.
    let (home, there) = (host.at("gnupg"), host.at("hosts-gnupg"));
    for folder in [&home, &there] {
        fs::create_dir(folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let gpg = |args: &[&str]| {
        let mut command = std::process::Command::new("gpg");
        let out = command.arg("--homedir").arg(&home).args(["--batch", "--quiet"]).args(args).output();
        let out = out.expect("gpg (package gnupg)");
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    gpg(&["--passphrase", "", "--quick-gen-key", "repo@example.org", "ed25519", "sign", "never"]);
    let key = gpg(&["--armor", "--export", "repo@example.org"]);
    let listed = gpg(&["--with-colons", "--list-keys"]);
    let print = listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap();
    let print = print.trim_end_matches(':');
    let ring = host.at("etc/ring.gpg");
    let args = json!({"data": key, "keyring": ring, "id": print});
    let changed = |args: Value| {
        let Value::Object(args) = args else { panic!() };
        #[expect(clippy::disallowed_methods, reason = "the host's clock")]
        let mut ctx = Context::new(host.at("tmp"), std::time::SystemTime::now);
        let environment = vec![("GNUPGHOME".to_owned(), there.display().to_string())];
        let call = Call {
            module: "apt_key".to_owned(),
            args,
            environment,
            timeout_seconds: Some(60),
            ..Call::default()
        };
        let result = run(&call, &NoFiles, &mut ctx);
        assert!(!result.contains_key("failed"), "apt_key: {result:?}");
        result["changed"] == json!(true)
    };
    assert!(changed(args.clone()));
    assert!(!changed(args));
    let mode = fs::metadata(&ring).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o644, "apt reads it as another user");
    let absent = json!({"id": print, "keyring": ring, "state": "absent"});
    assert!(changed(absent.clone()));
    assert!(!changed(absent));
    let wrong = host.go("apt_key", json!({"data": "no key", "keyring": ring}), false);
    assert_eq!(wrong["failed"], json!(true));
    let _ =
        std::process::Command::new("gpgconf").arg("--homedir").arg(&home).args(["--kill", "all"]).status();
}

#[test]
fn settings_stand_in_their_section() {
    let host = Host::new(&[("f.ini", "[a]\nx = 1\n")], &[]);
    let args = json!({"path": host.at("f.ini"), "section": "b", "option": "y", "value": "2"});
    assert_eq!(host.go("ini_file", args.clone(), true)["changed"], json!(true));
    assert_eq!(host.text("f.ini"), "[a]\nx = 1\n", "a look changes nothing");
    assert!(host.changed("ini_file", args.clone()));
    assert!(!host.changed("ini_file", args));
    assert_eq!(host.text("f.ini"), "[a]\nx = 1\n[b]\ny = 2\n");
}

#[test]
fn kernel_settings_are_stored_and_set() {
    let host = Host::new(&[("s.conf", "# x\nvm.swappiness = 60\n")], &[("sysctl", "echo 60")]);
    let file = host.at("s.conf");
    let args = json!({"name": "vm.swappiness", "value": 10, "sysctl_file": file, "sysctl_set": true});
    assert!(host.changed("sysctl", args));
    assert_eq!(host.text("s.conf"), "# x\nvm.swappiness=10\n");
    let called = host.called();
    assert_eq!(
        called,
        [
            "sysctl -e -n vm.swappiness".to_owned(),
            "sysctl -w vm.swappiness=10".to_owned(),
            format!("sysctl -p {}", file.display())
        ]
    );
    assert!(!host.changed("sysctl", json!({"name": "vm.swappiness", "value": "10", "sysctl_file": file})));
    assert!(host.changed(
        "sysctl",
        json!({"name": "vm.swappiness", "state": "absent", "sysctl_file": file, "reload": false})
    ));
    assert_eq!(host.text("s.conf"), "# x\n");
}

#[test]
fn kernel_modules_are_loaded_and_kept() {
    let host =
        Host::new(&[("proc/modules", "dummy 1 0\n"), ("etc/modules-load.d/x", "")], &[("modprobe", "")]);
    fs::create_dir_all(host.at("etc/modprobe.d")).unwrap();
    assert!(!host.changed("modprobe", json!({"name": "dummy"})));
    assert!(
        host.changed(
            "modprobe",
            json!({"name": "br-netfilter", "params": "a=1 b=2", "persistent": "present"})
        )
    );
    assert_eq!(host.called(), ["modprobe br-netfilter a=1 b=2"]);
    assert_eq!(host.text("etc/modules-load.d/br-netfilter.conf"), "br-netfilter\n");
    assert_eq!(host.text("etc/modprobe.d/br-netfilter.conf"), "options br-netfilter a=1 b=2\n");
    assert!(host.changed("modprobe", json!({"name": "dummy", "state": "absent"})));
    assert_eq!(host.called(), ["modprobe -r dummy"]);
}

#[test]
fn zone_locale_alternatives_debconf_and_hostname_are_set() {
    let host = Host::new(
        &[
            ("usr/share/zoneinfo/Asia/Shanghai", ""),
            ("etc/locale.gen", "# de_DE.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\n"),
            ("etc/hostname", "old\n"),
        ],
        &[
            ("locale-gen", ""),
            ("hostname", ""),
            (
                "update-alternatives",
                "printf 'Name: editor\\nLink: /usr/bin/editor\\nStatus: auto\\nValue: /bin/sh\\nAlternative: /bin/sh\\nAlternative: /bin/true\\n'",
            ),
            ("debconf-show", "echo '* tzdata/Areas: Asia'"),
            ("debconf-set-selections", "cat >&2"),
        ],
    );
    assert!(host.changed("timezone", json!({"name": "Asia/Shanghai"})));
    assert_eq!(
        fs::read_link(host.at("etc/localtime")).unwrap(),
        PathBuf::from("/usr/share/zoneinfo/Asia/Shanghai")
    );
    assert!(!host.changed("timezone", json!({"name": "Asia/Shanghai"})));
    assert_eq!(host.go("timezone", json!({"name": "../x"}), false)["failed"], json!(true));
    assert!(host.changed("locale_gen", json!({"name": "de_DE.UTF-8"})));
    assert_eq!(host.text("etc/locale.gen"), "de_DE.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\n");
    assert!(!host.changed("locale_gen", json!({"name": ["de_DE.UTF-8", "en_US.UTF-8"]})));
    host.called();
    assert!(!host.changed("alternatives", json!({"name": "editor", "path": "/bin/sh"})));
    assert!(host.changed("alternatives", json!({"name": "editor", "path": "/bin/true"})));
    assert_eq!(host.called().last().unwrap(), "update-alternatives --set editor /bin/true");
    assert!(!host.changed(
        "debconf",
        json!({"name": "tzdata", "question": "tzdata/Areas", "vtype": "select", "value": "Asia"})
    ));
    assert!(host.changed(
        "debconf",
        json!({"name": "tzdata", "question": "tzdata/Areas", "vtype": "select", "value": "Europe"})
    ));
    assert!(host.changed("hostname", json!({"name": "new.example.org"})));
    assert_eq!(
        (host.text("etc/hostname"), host.called().last().unwrap().as_str()),
        ("new.example.org\n".to_owned(), "hostname new.example.org")
    );
    assert_eq!(host.go("hostname", json!({"name": "-x; rm"}), false)["failed"], json!(true));
}

#[test]
fn mounts_stand_in_the_table_and_limits_in_their_file() {
    let host = Host::new(
        &[("etc/fstab", "/dev/a / ext4 defaults 0 1\n"), ("proc/self/mounts", "/dev/a / ext4 rw 0 0\n")],
        &[("mount", ""), ("umount", "")],
    );
    let point = host.at("mnt");
    let args = json!({"path": point, "src": "/dev/b", "fstype": "xfs", "state": "mounted", "opts": "ro"});
    assert_eq!(host.go("mount", args.clone(), true)["changed"], json!(true));
    assert!(host.called().is_empty() && !point.exists());
    assert!(host.changed("mount", args));
    assert_eq!(
        host.text("etc/fstab"),
        format!("/dev/a / ext4 defaults 0 1\n/dev/b {} xfs ro 0 0\n", point.display())
    );
    assert_eq!(host.called(), [format!("mount -T {} {}", host.at("etc/fstab").display(), point.display())]);
    assert!(host.changed("mount", json!({"path": point, "state": "absent"})));
    assert_eq!(host.text("etc/fstab"), "/dev/a / ext4 defaults 0 1\n");
    let limit = json!({"domain": "bob", "limit_type": "soft", "limit_item": "nofile", "value": "64000", "dest": host.at("limits")});
    assert!(host.changed("pam_limits", limit.clone()));
    assert!(!host.changed("pam_limits", limit));
    assert_eq!(host.text("limits"), "bob\tsoft\tnofile\t64000\n");
}

#[test]
fn firewalls_and_rights_are_asked_before_they_are_changed() {
    let ufw = "case \"$1\" in status) echo 'Status: inactive';; show) cat \"${0%/bin/*}/rules\" 2>/dev/null;; --dry-run) echo '### tuple ###';; allow) echo added >> \"${0%/bin/*}/rules\";; esac; true";
    let firewall = "case \"$*\" in *--query-service=ssh*) exit 0;; *--query*) exit 1;; esac";
    let setfacl = "[ \"$1\" = --test ] && echo 'f: u::rw-,u:bob:r--,g::r--,m::r--,o::r--,*'; true";
    let host = Host::new(
        &[("f", "")],
        &[
            ("ufw", ufw),
            ("firewall-cmd", firewall),
            ("setfacl", setfacl),
            ("getfacl", "echo user::rw-"),
            ("getcap", "echo \"$2 cap_a=ep\""),
            ("setcap", ""),
        ],
    );
    assert!(host.changed("ufw", json!({"rule": "allow", "port": "22", "proto": "tcp", "comment": "a b"})));
    assert!(host.called().contains(&"ufw allow from any to any port 22 proto tcp comment a b".to_owned()));
    assert!(host.changed("ufw", json!({"state": "enabled"})));
    assert!(!host.changed("firewalld", json!({"service": "ssh", "state": "enabled", "permanent": true})));
    assert!(host.changed(
        "firewalld",
        json!({"port": "8080/tcp", "state": "enabled", "permanent": true, "zone": "public"})
    ));
    assert_eq!(host.called().last().unwrap(), "firewall-cmd --permanent --zone=public --add-port=8080/tcp");
    let file = host.at("f");
    let acl = host.go(
        "acl",
        json!({"path": file, "etype": "user", "entity": "bob", "permissions": "r", "state": "present"}),
        false,
    );
    assert_eq!(acl["acl"], json!(["user::rw-"]));
    assert!(host.called().contains(&format!("setfacl --test -m u:bob:r {}", file.display())));
    assert!(!host.changed("capabilities", json!({"path": file, "capability": "cap_a+ep"})));
    assert!(host.changed("capabilities", json!({"path": file, "capability": "cap_b+ep"})));
    assert_eq!(host.called().last().unwrap(), &format!("setcap cap_a+ep cap_b+ep {}", file.display()));
}

#[test]
fn packages_and_services_are_told_as_facts() {
    let units = "case \"$1\" in list-units) echo 'a.service loaded active running A';; list-unit-files) echo 'a.service enabled enabled'; echo 'b.service disabled enabled';; show) echo ActiveState=inactive;; esac";
    let host = Host::new(
        &[("usr/bin/apt-get", ""), ("run/systemd/system/x", "")],
        &[("dpkg-query", "printf 'ii \\tcurl\\t7.88\\tamd64\\tweb\\n'"), ("systemctl", units)],
    );
    let packages = host.go("package_facts", json!({}), false);
    assert_eq!(packages["ansible_facts"]["packages"]["curl"][0]["version"], json!("7.88"));
    let services = host.go("service_facts", json!({}), false);
    let services = &services["ansible_facts"]["services"];
    assert_eq!(
        services["a.service"],
        json!({"name": "a.service", "state": "running", "status": "enabled", "source": "systemd"})
    );
    assert_eq!(services["b.service"]["state"], json!("inactive"));
}

#[test]
fn statements_and_passwords_of_databases_go_neither_by_argument_nor_by_environment() {
    let client = "env >> \"${0%/bin/*}/env\"; cat >> \"${0%/bin/*}/sql\"";
    let host = Host::new(&[], &[("psql", client), ("mysql", client)]);
    let login = json!({"name": "shop", "owner": "o\"x", "login_password": "s3cret-word"});
    assert!(host.changed("postgresql_db", login));
    let user = host.go("postgresql_user", json!({"name": "bob", "password": "b0bs-word", "role_attr_flags": "CREATEDB,NOSUPERUSER", "login_password": "s3cret-word"}), false);
    assert_eq!(user["queries"], json!(["CREATE USER \"bob\" WITH CREATEDB NOSUPERUSER PASSWORD '********'"]));
    assert!(host.changed("mysql_db", json!({"name": "shop", "login_password": "s3cret-word"})));
    assert!(host.changed(
        "mysql_user",
        json!({"name": "bob", "password": "b0bs-word", "priv": "shop.*:ALL", "login_password": "s3cret-word"})
    ));
    let (sql, log, env) = (host.text("sql"), host.text("log"), host.text("env"));
    assert!(
        sql.contains("CREATE DATABASE \"shop\" OWNER \"o\"\"x\";")
            && sql.contains("GRANT ALL PRIVILEGES ON `shop`.* TO 'bob'@'localhost'"),
        "{sql}"
    );
    for secret in ["s3cret-word", "b0bs-word"] {
        assert!(!log.contains(secret) && !env.contains(secret), "{log}{env}");
    }
    let wrong = host.go("postgresql_query", json!({"query": "select 1\n\\! id"}), false);
    assert_eq!(wrong["failed"], json!(true));
}

/// An engine that knows one image and remembers what was asked.
fn engine(socket: PathBuf) -> Arc<Mutex<Vec<String>>> {
    let listener = UnixListener::bind(socket).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut made = false;
        for peer in listener.incoming() {
            let mut peer = peer.unwrap();
            let mut reader = BufReader::new(peer.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(digits) = line.to_lowercase().strip_prefix("content-length:") {
                    length = digits.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0u8; length];
            reader.read_exact(&mut body).unwrap();
            let line = first.trim_end_matches(" HTTP/1.1\r\n").to_owned();
            let have = r#"{"Id":"c1","Image":"i1","State":{"Running":true},"Config":{"Env":["A=1"]},"HostConfig":{}}"#;
            let (status, answer) = match line.as_str() {
                "GET /containers/web/json" if made => ("200 OK", have),
                "GET /images/nginx:1/json" => ("200 OK", r#"{"Id":"i1"}"#),
                line if line.starts_with("POST /containers/create") => ("201 Created", r#"{"Id":"c1"}"#),
                line if line.starts_with("POST") => ("204 No Content", ""),
                line if line.starts_with("DELETE") => ("204 No Content", ""),
                _ => ("404 Not Found", r#"{"message":"no such thing"}"#),
            };
            made |= line.starts_with("POST /containers/create");
            kept.lock().unwrap().push(line);
            write!(peer, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).unwrap();
        }
    });
    asked
}

#[test]
fn a_container_is_made_started_and_left_alone() {
    let host = Host::new(&[], &[]);
    let asked = engine(host.at("engine.sock"));
    let socket = format!("unix://{}", host.at("engine.sock").display());
    let args = json!({"name": "web", "image": "nginx:1", "env": {"A": 1}, "docker_host": socket});
    assert!(host.changed("docker_container", args.clone()));
    let steps = |asked: &Mutex<Vec<String>>| -> Vec<String> {
        let all: Vec<String> = std::mem::take(&mut *asked.lock().unwrap());
        all.into_iter().filter(|line| !line.starts_with("GET")).collect()
    };
    assert_eq!(steps(&asked), ["POST /containers/create?name=web", "POST /containers/web/start"]);
    assert!(!host.changed("docker_container", args));
    assert!(steps(&asked).is_empty());
    assert!(host.changed(
        "docker_container",
        json!({"name": "web", "image": "nginx:1", "env": {"A": 2}, "docker_host": socket})
    ));
    assert_eq!(steps(&asked).first().unwrap(), "DELETE /containers/web?force=true");
    assert!(
        host.changed("docker_container", json!({"name": "web", "state": "absent", "docker_host": socket}))
    );
    assert!(!host.changed(
        "docker_image",
        json!({"name": "nginx", "tag": "1", "source": "pull", "docker_host": socket})
    ));
    assert!(host.changed("docker_network", json!({"name": "net", "docker_host": socket})));
    assert!(steps(&asked).contains(&"POST /networks/create".to_owned()));
}
