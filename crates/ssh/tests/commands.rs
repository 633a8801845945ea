//! Commands, terminals, bounds, and what each end means.

mod bed;

use std::time::Duration;

use bed::{Sshd, open, sh};
use bytes::Bytes;
use tokio::time::timeout;
use wellkept_ssh::{Command, CommandLine, Doubt, End, Input, NotRun, PtySize, Stream};

fn command(line: &str) -> Command {
    Command::new(CommandLine::line(line).expect("a line"))
}

#[tokio::test]
async fn outputs_status_and_signals_come_back() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let ran = sh(&connection, "echo out; echo err >&2; exit 7").await;
    assert_eq!((ran.stdout.text().as_str(), ran.stderr.text().as_str()), ("out\n", "err\n"));
    assert_eq!(ran.end, End::Exited { status: 7 });
    let ran = sh(&connection, "kill -KILL $$").await;
    assert_eq!(ran.end, End::Signalled { signal: "KILL".into(), core: false });
    let ran = sh(&connection, "printf 'a\\033[2J\\000\\377'").await;
    assert_eq!(ran.stdout.bytes, b"a\x1b[2J\0\xff", "bytes come as they are");
}

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let words =
        ["printf", "%s|", "a b", "it's", "$(id)", "", "`x`", "\\", "!", "*", "-n", "~", "new\nline", "名前"];
    let ran = connection.exec(&Command::new(CommandLine::argv(&words).expect("a line"))).await;
    let want: String = words.iter().skip(2).map(|w| format!("{w}|")).collect();
    assert_eq!(ran.stdout.text(), want);
}

#[tokio::test]
async fn input_reaches_the_command_while_it_writes() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let big: Vec<u8> = (0..8_000_000u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let mut cat = command("cat");
    cat.bounds.kept_bytes = usize::MAX;
    cat.input = Input::Bytes(Bytes::from(big.clone()));
    let ran = connection.exec(&cat).await;
    assert!(ran.stdout.bytes == big, "{} of {} bytes", ran.stdout.bytes.len(), big.len());
    let mut deaf = command("exit 3");
    deaf.input = Input::Bytes(Bytes::from(big));
    assert_eq!(
        connection.exec(&deaf).await.end,
        End::Exited { status: 3 },
        "input that nobody reads is no error"
    );
}

#[tokio::test]
async fn more_commands_than_sessions_take_turns() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let many = (0..40).map(|n| {
        let connection = connection.clone();
        tokio::spawn(async move { (n, sh(&connection, &format!("echo {n}")).await) })
    });
    for task in many.collect::<Vec<_>>() {
        let (n, ran) = task.await.expect("no panic");
        assert_eq!((ran.stdout.text(), ran.end), (format!("{n}\n"), End::Exited { status: 0 }));
    }
    assert_eq!(server.log().matches("Accepted publickey").count(), 1, "one connection for all");
}

#[tokio::test]
async fn a_refused_channel_is_known_not_to_have_run() {
    let server = Sshd::with(&["MaxSessions 0"], std::net::Ipv4Addr::LOCALHOST);
    let ran = sh(&server.connect().await, "echo x").await;
    assert!(matches!(ran.end, End::NotRun(NotRun::Refused(_))), "{ran:?}");
    assert!(ran.end.known_not_run());
}

#[tokio::test]
async fn endless_output_is_kept_in_part_and_ended() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let mut endless = command("yes");
    endless.bounds.kept_bytes = 1000;
    endless.bounds.total_bytes = 5_000_000;
    let ran = connection.exec(&endless).await;
    assert_eq!(ran.end, End::Unknown(Doubt::OutputLimit));
    assert_eq!(ran.stdout.bytes.len(), 1000);
    assert!(ran.stdout.dropped >= 4_999_000, "{}", ran.stdout.dropped);
    assert!(sh(&connection, "echo still here").await.end.success(), "the connection goes on");
}

#[tokio::test]
async fn a_command_that_does_not_end_in_time_is_told_to_and_stays_unknown() {
    let (server, target) = Sshd::without_root();
    let connection = open(&[target]).await.expect("a connection");
    let mark = server.open_path("ended");
    let mut slow = command(&format!("trap 'echo > {}; exit' TERM; sleep 60 & wait", mark.display()));
    slow.bounds.time = Duration::from_millis(300);
    let ran = connection.exec(&slow).await;
    assert_eq!(ran.end, End::Unknown(Doubt::TimeLimit));
    assert!(mark.exists(), "it got SIGTERM");
    assert!(sh(&connection, "true").await.end.success());
}

#[tokio::test]
async fn output_is_shown_as_it_comes() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let gate = server.path("gate");
    let line = format!("echo first; while ! test -e {}; do sleep 0.01; done; echo last >&2", gate.display());
    let mut seen = Vec::new();
    let ran = connection
        .exec_live(&command(&line), &mut |piece| {
            // The command goes on only once its first line was seen here.
            seen.push((piece.stream, piece.bytes.clone()));
            std::fs::write(&gate, "").expect("write");
        })
        .await;
    assert!(ran.end.success());
    assert_eq!(seen, [(Stream::Stdout, Bytes::from("first\n")), (Stream::Stderr, Bytes::from("last\n"))]);
}

#[tokio::test]
async fn a_terminal_has_its_size_and_carries_a_conversation() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let mut sized = command("stty size; test -t 0 && echo tty");
    sized.terminal = Some(PtySize { columns: 132, rows: 43 });
    assert_eq!(connection.exec(&sized).await.stdout.text(), "43 132\r\ntty\r\n");

    let line = CommandLine::line("while read -r x; do test \"$x\" = end && exit 5; echo \"got $x\"; done")
        .expect("line");
    let mut process = connection.shell(Some(&line), None).await.expect("started");
    for word in ["one", "two"] {
        process.write(format!("{word}\n")).await.expect("written");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n") {
            answer.extend_from_slice(&process.next().await.expect("an answer").bytes);
        }
        assert_eq!(String::from_utf8_lossy(&answer), format!("got {word}\n"));
    }
    process.write("end\n").await.expect("written");
    assert_eq!(process.next().await, None);
    assert_eq!(process.end(), Some(&End::Exited { status: 5 }));
}

#[tokio::test]
async fn a_dropped_command_frees_its_session() {
    let (_server, mut target) = Sshd::without_root();
    target.sessions_at_once = 1;
    let connection = open(&[target]).await.expect("a connection");
    let line = CommandLine::line("sleep 60").expect("a line");
    for _ in 0..15 {
        // The host frees a session when the program has ended, which it does soon after it was told.
        let mut process = loop {
            match connection.shell(Some(&line), None).await {
                Err(End::NotRun(NotRun::Refused(_))) => tokio::task::yield_now().await,
                started => break started.expect("started"),
            }
        };
        let nothing = timeout(Duration::from_millis(5), process.next()).await;
        assert!(nothing.is_err());
        drop(process);
    }
    assert!(sh(&connection, "true").await.end.success());
}
