//! Becoming another user by the real `sudo`, `su` and `doas`, with users and passwords of a mount namespace of its own.

mod bed;

use std::time::Duration;

use bed::{JANE, JANES_PASSWORD, ROOTS_PASSWORD, Sshd, needs_root, open, sh};
use bytes::Bytes;
use wellkept_ssh::{
    Become, Command, CommandLine, Connection, Doubt, End, Frames, Input, Method, NotRun, Ran, Secret,
    UserName,
};

fn become_root(method: Method, password: Option<&str>) -> Become {
    Become { method, user: UserName::new("root").expect("a name"), password: password.map(Secret::new) }
}

fn right_password(method: Method) -> &'static str {
    if method == Method::Su { ROOTS_PASSWORD } else { JANES_PASSWORD }
}

async fn jane(server: &Sshd) -> Connection {
    let mut target = server.target();
    target.user = UserName::new(JANE).expect("a name");
    open(&[target]).await.expect("a connection")
}

async fn run_as(connection: &Connection, who: &Become, line: &str) -> Ran {
    let command = Command::new(CommandLine::line(line).expect("a line"));
    connection.exec_as(who, &command, &mut |_| {}).await
}

fn not_become(ran: &Ran) -> &str {
    match &ran.end {
        End::NotRun(NotRun::NotBecome(why)) => why,
        other => panic!("{other:?} {}", ran.stderr.text()),
    }
}

#[tokio::test]
async fn each_way_runs_the_line_as_the_other_user() {
    if needs_root("sudo, su and doas") {
        return;
    }
    let server = Sshd::with_people(&[]);
    let connection = jane(&server).await;
    assert_eq!(sh(&connection, "id -un").await.stdout.text(), "jane\n");
    for method in [Method::Sudo, Method::Su, Method::Doas] {
        let who = become_root(method, Some(right_password(method)));
        let ran = run_as(&connection, &who, "id -un; echo \"it's $((1+1))\"; exit 9").await;
        assert_eq!(
            (ran.stdout.text().as_str(), &ran.end),
            ("root\nit's 2\n", &End::Exited { status: 9 }),
            "{method:?}"
        );
        assert!(!format!("{ran:?}").contains(right_password(method)));
    }
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_known_not_to_have_run() {
    if needs_root("sudo, su and doas") {
        return;
    }
    let server = Sshd::with_people(&[]);
    let connection = jane(&server).await;
    let mark = server.open_path("ran");
    let line = format!("echo > {}", mark.display());
    for method in [Method::Sudo, Method::Su, Method::Doas] {
        let ran = run_as(&connection, &become_root(method, Some("wrong")), &line).await;
        let why = not_become(&ran);
        assert!(!why.contains("wrong"), "{method:?}: {why}");
        let ran = run_as(&connection, &become_root(method, None), &line).await;
        assert!(!not_become(&ran).is_empty(), "{method:?}");
    }
    let two_lines = become_root(Method::Sudo, Some("a\nb"));
    not_become(&run_as(&connection, &two_lines, &line).await);
    assert!(!mark.exists());
    let nobody = Become {
        user: UserName::new("no-such-user").expect("a name"),
        ..become_root(Method::Sudo, Some("x"))
    };
    not_become(&run_as(&connection, &nobody, &line).await);
}

#[tokio::test]
async fn input_goes_to_the_command_and_the_password_never_does() {
    if needs_root("sudo and su") {
        return;
    }
    let server = Sshd::with_people(&[]);
    let connection = jane(&server).await;
    let data: Vec<u8> = (0..300_000u32).map(|n| (n % 253) as u8).collect();
    for method in [Method::Sudo, Method::Su] {
        let mut cat = Command::new(CommandLine::line("cat").expect("a line"));
        cat.input = Input::Bytes(Bytes::from(data.clone()));
        let who = become_root(method, Some(right_password(method)));
        let ran = connection.exec_as(&who, &cat, &mut |_| {}).await;
        assert!(ran.stdout.bytes == data, "{method:?}: {} bytes", ran.stdout.bytes.len());
    }
    // Root is asked for nothing: the password must not become input.
    let root = server.connect().await;
    for method in [Method::Sudo, Method::Su] {
        let mut cat = Command::new(CommandLine::line("id -un; cat").expect("a line"));
        cat.input = Input::Bytes(Bytes::from("input\n"));
        let who = Become {
            user: UserName::new(JANE).expect("a name"),
            ..become_root(method, Some("not asked for"))
        };
        let ran = root.exec_as(&who, &cat, &mut |_| {}).await;
        assert_eq!(ran.stdout.text(), "jane\ninput\n", "{method:?}: {ran:?}");
    }
}

#[tokio::test]
async fn bounds_hold_for_the_other_user_too() {
    if needs_root("sudo") {
        return;
    }
    let server = Sshd::with_people(&[]);
    let connection = jane(&server).await;
    let who = become_root(Method::Sudo, Some(JANES_PASSWORD));
    let mut slow = Command::new(CommandLine::line("echo begun; sleep 60").expect("a line"));
    slow.bounds.time = Duration::from_millis(1500);
    let ran = connection.exec_as(&who, &slow, &mut |_| {}).await;
    assert_eq!((ran.end, ran.stdout.text().as_str()), (End::Unknown(Doubt::TimeLimit), "begun\n"));
}

#[tokio::test]
async fn a_helper_runs_as_the_other_user() {
    if needs_root("sudo") {
        return;
    }
    let server = Sshd::with_people(&[]);
    let connection = jane(&server).await;
    let who = become_root(Method::Sudo, Some(JANES_PASSWORD));
    let cat = CommandLine::line("cat").expect("a line");
    let mut pipe = connection.pipe_as(&who, &cat).await.expect("started");
    let mut frames = Frames::greet(&mut pipe.reader, &mut pipe.writer, 1, 1000).await.expect("its own hello");
    frames.send(b"hello").await.expect("sent");
    assert_eq!(frames.receive().await.expect("whole").expect("a frame"), b"hello");
    assert_eq!(pipe.finish().await.end, End::Exited { status: 0 });
}
