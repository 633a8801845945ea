//! Lines that a host's own programs bring to a running Wellkept: a real journal, and syslog behind a certificate.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "this is test code")]

mod common;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{Home, Mounted, Up, encode, free_address, skipped, wait_for};

/// Where Debian has the journal's daemon; it is in nobody's path.
const JOURNALD: &str = "/lib/systemd/systemd-journald";

/// Texts of all lines that fit, oldest first.
fn texts(up: &Up, query: &str) -> Vec<String> {
    let asked =
        encode(&[("query", query), ("limit", "5000"), ("direction", "forward"), ("start", "1000000000")]);
    let answer = up.call("GET", format!("/api/v1/logs/search?{asked}")).send();
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["data"]["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["text"].as_str().unwrap().to_owned())
        .collect()
}

fn wait_texts(up: &Up, query: &str, wanted: &[&str]) {
    wait_for(&format!("{query} finds {wanted:?}"), || (texts(up, query) == wanted).then_some(()));
}

/// A journal of the test's own: its daemon, its sockets and its files are in a namespace with another `/run`.
struct Journal {
    world: Mounted,
    daemon: Child,
}

impl Journal {
    fn start() -> Result<Self, String> {
        if !Path::new(JOURNALD).is_file() {
            return Err(format!("there is no {JOURNALD}"));
        }
        if std::fs::read("/etc/machine-id").unwrap_or_default().len() < 32 {
            return Err("this machine has no /etc/machine-id, which the journal needs".to_owned());
        }
        let world = Mounted::new(Path::new("/run"), 64 << 10)?;
        for folder in ["systemd/journal", "log/journal"] {
            std::fs::create_dir_all(world.outside(folder)).unwrap();
        }
        let daemon = world.command(JOURNALD).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let journal = Self { world, daemon: daemon.unwrap() };
        wait_for("the journal listens", || {
            journal.world.outside("systemd/journal/stdout").exists().then_some(())
        });
        Ok(journal)
    }

    /// What a service with this name writes.
    fn write(&self, name: &str, lines: &[u8]) {
        let mut cat = self.world.command("systemd-cat");
        let mut child = cat.args(["-t", name, "-p", "warning"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

#[test]
fn the_journal_is_followed_and_read_on_behind_its_cursor_after_a_restart() {
    let journal = match Journal::start() {
        Ok(journal) => journal,
        Err(why) => return skipped(&why),
    };
    let home = Home::new();
    let keep = home.keep("logs: { files: [], journal: true, containers: false }\n");
    journal.write("shop", b"before we came\n");
    let up = Up::start_on(&home, &journal.world, Some(&keep));
    // What is new counts; what is already there was other people's business. So write until the first line is seen.
    wait_for("the journal is followed", || {
        journal.write("probe", b"are you there\n");
        (!texts(&up, r#"{service="probe"}"#).is_empty()).then_some(())
    });
    journal.write("shop", b"first\nsecond, with a \x1b[31mcolour\x1b[0m\n");
    wait_texts(&up, r#"{service="shop"}"#, &["first", "second, with a \u{1b}[31mcolour\u{1b}[0m"]);
    assert_eq!(texts(&up, r#"{service="shop"} | level="warn""#).len(), 2, "the priority is the level");

    up.kill();
    journal.write("shop", b"while nobody looked\n");
    let up = Up::start_on(&home, &journal.world, Some(&keep));
    journal.write("shop", b"and after\n");
    let all = ["first", "second, with a \u{1b}[31mcolour\u{1b}[0m", "while nobody looked", "and after"];
    wait_texts(&up, r#"{service="shop"}"#, &all);
    assert_eq!(up.terminate(), Some(0));
}

/// A key with a certificate that says who it is. `signer`: who says so; without one it is somebody who says so of others.
fn certificate(home: &Home, name: &str, signer: Option<&str>) {
    let file = |name: &str, kind: &str| home.path(&format!("{name}.{kind}"));
    let mut make = Command::new("openssl");
    make.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ])
    .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
    .arg("-keyout")
    .arg(file(name, "key"))
    .arg("-out")
    .arg(file(name, "pem"));
    if let Some(signer) = signer {
        make.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        make.arg("-CA").arg(file(signer, "pem")).arg("-CAkey").arg(file(signer, "key"));
    }
    let made = make.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Sends bytes through a TLS connection that `openssl` makes; its exit says whether the handshake was agreed upon.
fn send(address: SocketAddr, home: &Home, identity: Option<&str>, bytes: &[u8]) -> bool {
    let mut client = Command::new("openssl");
    client.args([
        "s_client",
        "-quiet",
        "-no_ign_eof",
        "-verify_return_error",
        "-connect",
        &address.to_string(),
    ]);
    client.arg("-CAfile").arg(home.path("ours.pem"));
    if let Some(name) = identity {
        client.arg("-cert").arg(home.path(&format!("{name}.pem")));
        client.arg("-key").arg(home.path(&format!("{name}.key")));
    }
    let mut child = client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // A server that refuses closes while we write.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    child.wait().unwrap().success()
}

#[test]
fn syslog_comes_over_tls_and_only_from_clients_with_a_certificate_when_one_is_asked_for() {
    let home = Home::new();
    for (signer, names) in [("ours", &["server", "client"][..]), ("theirs", &["stranger"])] {
        certificate(&home, signer, None);
        names.iter().for_each(|name| certificate(&home, name, Some(signer)));
    }
    let (open, closed) = (free_address(), free_address());
    let keep = |listen: SocketAddr, clients: &str| {
        home.keep(format!(
            "logs: {{ files: [], journal: false, containers: false,\n  syslog: {{ tls: {{ listen: '{listen}', \
             certificate: {}, key: {}{clients} }} }} }}\n",
            home.path("server.pem").display(),
            home.path("server.key").display(),
        ))
    };
    let up = Up::start(&home, Some(&keep(open, "")));
    let message = "<165>1 2026-11-21T12:00:00Z web1 cron 7 ID1 - over tls";
    assert!(send(open, &home, None, format!("{} {message}", message.len()).as_bytes()));
    wait_texts(&up, r#"{service="cron"}"#, &["over tls"]);
    assert_eq!(up.terminate(), Some(0));

    let ca = format!(", clients_ca: {}", home.path("ours.pem").display());
    let up = Up::start(&home, Some(&keep(closed, &ca)));
    for (identity, text) in
        [(None, "by nobody"), (Some("stranger"), "by a stranger"), (Some("client"), "by a client")]
    {
        send(closed, &home, identity, format!("<11>Nov 21 12:00:00 web1 sshd[12]: {text}\n").as_bytes());
    }
    wait_texts(&up, r#"{service="sshd"}"#, &["by a client"]);
    assert_eq!(up.terminate(), Some(0));
}
