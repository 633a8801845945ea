//! Lines that are cut, cables that are pulled, and servers that are none.

mod bed;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use bed::proxy::Proxy;
use bed::{Sshd, open, sh, target};
use tokio::time::timeout;
use wellkept_ssh::{Command, CommandLine, ConnectError, Connection, Doubt, End, NotRun, Retry};

async fn behind(proxy: &Proxy, server: &Sshd) -> Connection {
    open(&[server.target_at(proxy.address)]).await.expect("a connection")
}

fn appears(path: &std::path::Path) -> impl Future<Output = ()> {
    let path = path.to_owned();
    async move {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test]
async fn a_line_that_is_cut_in_mid_step_leaves_the_step_unknown() {
    let server = Sshd::start();
    let proxy = Proxy::to(server.address);
    let connection = behind(&proxy, &server).await;
    let (mark, line) = (server.path("begun"), format!("echo > {}; sleep 60", server.path("begun").display()));
    let step = sh(&connection, &line);
    let cutting = async {
        appears(&mark).await;
        proxy.cut();
    };
    let (ran, ()) = tokio::join!(step, cutting);
    assert!(matches!(ran.end, End::Unknown(Doubt::ConnectionLost(_))), "{ran:?}");
    assert!(!ran.end.known_not_run());

    let later = sh(&connection, "echo x").await;
    assert!(
        matches!(later.end, End::NotRun(NotRun::Disconnected(_))),
        "what came after never began: {later:?}"
    );
}

#[tokio::test]
async fn a_status_that_came_before_the_cut_counts() {
    let server = Sshd::start();
    let proxy = Proxy::to(server.address);
    let connection = behind(&proxy, &server).await;
    // The background job keeps the channel open after the status has been sent.
    let line = CommandLine::line("sleep 60 & exit 4").expect("a line");
    let mut process = connection.shell(Some(&line), None).await.expect("started");
    // The status arrives without being seen; give it the time of a full round trip before the cut.
    assert!(sh(&connection, "sleep 0.3").await.end.success());
    proxy.cut();
    while process.next().await.is_some() {}
    assert_eq!(process.end(), Some(&End::Exited { status: 4 }));
}

#[tokio::test]
async fn a_pulled_cable_is_found_by_keep_alive() {
    let server = Sshd::start();
    let proxy = Proxy::to(server.address);
    let mut target = server.target_at(proxy.address);
    target.times.keep_alive = Some(Duration::from_millis(100));
    target.times.keep_alive_max = 2;
    let connection = open(&[target]).await.expect("a connection");
    let mark = server.path("begun");
    let line = format!("echo > {}; sleep 60", mark.display());
    let pulling = async {
        appears(&mark).await;
        proxy.freeze();
    };
    let (ran, ()) = tokio::join!(timeout(Duration::from_secs(20), sh(&connection, &line)), pulling);
    let ran = ran.expect("keep-alive ends it");
    assert!(
        matches!(&ran.end, End::Unknown(Doubt::ConnectionLost(why)) if why.contains("eepalive")),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_cable_that_is_pulled_before_a_step_is_known_not_to_have_run() {
    let server = Sshd::start();
    let proxy = Proxy::to(server.address);
    let mut target = server.target_at(proxy.address);
    target.times.request = Duration::from_millis(200);
    let connection = open(&[target]).await.expect("a connection");
    proxy.freeze();
    let ran = sh(&connection, "echo x").await;
    assert_eq!(ran.end, End::NotRun(NotRun::TimeLimit), "no channel was opened, so nothing was sent");
}

#[tokio::test]
async fn a_lost_jump_host_loses_what_goes_over_it() {
    let (jump, last) = (Sshd::start(), Sshd::start());
    let proxy = Proxy::to(jump.address);
    let connection = open(&[jump.target_at(proxy.address), last.target()]).await.expect("over a jump host");
    let mark = last.path("begun");
    let line = format!("echo > {}; sleep 60", mark.display());
    let cutting = async {
        appears(&mark).await;
        proxy.cut();
    };
    let (ran, ()) = tokio::join!(sh(&connection, &line), cutting);
    assert!(matches!(ran.end, End::Unknown(Doubt::ConnectionLost(_))), "{ran:?}");
}

/// Cuts the line instead of giving a password.
struct Cutter(Proxy);

impl wellkept_ssh::Prompts for Cutter {
    fn password(&self, _: &str, _: u32) -> Option<wellkept_ssh::Secret> {
        self.0.cut();
        Some(wellkept_ssh::Secret::new("x"))
    }
}

#[tokio::test]
async fn a_line_that_is_cut_while_getting_in_is_no_denial() {
    let server = Sshd::with(&["PasswordAuthentication yes"], Ipv4Addr::LOCALHOST);
    let proxy = Proxy::to(server.address);
    let mut target = server.target_at(proxy.address);
    target.identity.key_files.clear();
    let error = bed::open_with(target, Cutter(proxy)).await.expect_err("cut");
    assert_eq!(error.retry(), Retry::Later, "{error}");
    assert!(matches!(error, ConnectError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn too_many_attempts_are_a_denial() {
    let server = Sshd::with(&["MaxAuthTries 2"], Ipv4Addr::LOCALHOST);
    let mut target = server.target();
    for name in ["k1", "k2", "k3", "k4"] {
        bed::keygen(server.folder.path(), "ed25519", name, "");
        target.identity.key_files.insert(0, server.path(name));
    }
    let error = open(&[target]).await.expect_err("the right key comes too late");
    assert_eq!(error.retry(), Retry::Never, "{error}");
    assert!(error.to_string().contains("Too many authentication failures"), "{error}");
}

/// A server that says something of its own and goes on as long as anybody listens.
fn stranger(first: &'static [u8], forever: &'static [u8], pause: Duration) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepted");
        let mut going = stream.write_all(first).is_ok();
        if forever.is_empty() {
            // Holds the line until the other side ends it.
            let _ = stream.read_to_end(&mut Vec::new());
        }
        while going && !forever.is_empty() {
            std::thread::sleep(pause);
            going = stream.write_all(forever).is_ok();
        }
    });
    address
}

async fn refused_by(address: SocketAddr) -> ConnectError {
    let mut target = target(address);
    target.times.connect = Duration::from_millis(1500);
    let tried = timeout(Duration::from_secs(10), open(&[target])).await.expect("an end within its limits");
    tried.expect_err("no server")
}

#[tokio::test]
async fn servers_that_are_none_are_refused_in_bounded_time() {
    let none = Duration::ZERO;
    for (what, first, forever, pause) in [
        ("another protocol", &b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"[..], &b""[..], none),
        ("an endless banner of lines", b"", b"You are being watched.\r\n", none),
        ("an endless line", b"", b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", none),
        ("one letter now and then", b"", b"x", Duration::from_millis(100)),
        ("silence", b"", b"", none),
        ("SSH 1", b"SSH-1.5-old\r\n", b"", none),
        (
            "an endless packet",
            b"SSH-2.0-x\r\n",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            none,
        ),
        ("a packet that is none", b"SSH-2.0-x\r\n\0\0\0\x0c\x0a\x14AAAAAAAAAA", b"", none),
    ] {
        let error = refused_by(stranger(first, forever, pause)).await;
        assert_eq!(error.retry(), Retry::Later, "{what}: {error}");
        assert!(
            matches!(
                error,
                ConnectError::Protocol { .. }
                    | ConnectError::TimeLimit { .. }
                    | ConnectError::Unreachable { .. }
            ),
            "{what}: {error}"
        );
    }
}

#[tokio::test]
async fn a_long_banner_is_bounded_and_given_as_it_came() {
    let server = Sshd::start();
    let config =
        format!("Banner {}\n{}", server.path("banner").display(), bed::read(server.path("sshd_config")));
    std::fs::write(server.path("sshd_config"), config).expect("write");
    std::fs::write(server.path("banner"), "Only for \x1b[31mus\n").expect("write");
    let connection = server.connect().await;
    assert_eq!(connection.banner(), "Only for \x1b[31mus\n");
    std::fs::write(server.path("banner"), "x".repeat(100_000)).expect("write");
    let refused = open(&[server.target()]).await.expect_err("100 kB of banner");
    assert!(refused.to_string().contains("says more than 64 KiB"), "{refused}");
}

#[tokio::test]
async fn a_closed_connection_runs_nothing_more() {
    let server = Sshd::start();
    let connection = server.connect().await;
    connection.close().await;
    let ran = connection.exec(&Command::new(CommandLine::line("true").expect("a line"))).await;
    assert!(ran.end.known_not_run(), "{ran:?}");
}
