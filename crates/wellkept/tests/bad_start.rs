//! What cannot work is refused at the start, in words, with an exit code of its own, and nothing is begun.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;

use common::{Ended, Home, Mounted, Up, run, skipped, wellkept};

fn start(data: &Path, keep: Option<&Path>, listen: SocketAddr) -> Ended {
    let mut command = wellkept();
    command.args(["up", "--listen", &listen.to_string(), "--data-dir"]).arg(data);
    if let Some(keep) = keep {
        command.arg("--keep").arg(keep);
    }
    run(&mut command)
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// The start must fail with this code and these words in one line.
#[track_caller]
fn check_refused(data: &Path, code: i32, words: &[&str]) {
    check_ended(&start(data, None, anywhere()), code, words);
}

#[track_caller]
fn check_ended(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert!(ended.out.is_empty(), "nothing is announced: {ended:?}");
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    for word in words {
        assert!(ended.err.contains(word), "`{word}` is missing: {ended:?}");
    }
}

/// A keep file with a mistake: exit code 2, the place, and nothing was begun.
#[track_caller]
fn check_keep(text: &str, place: &str, words: &[&str]) {
    let home = Home::new();
    let keep = home.keep(text);
    let ended = start(&home.data(), Some(&keep), anywhere());
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let place = format!("{}:{place}", keep.display());
    assert!(ended.err.contains(&place), "`{place}` is missing: {ended:?}");
    for word in words {
        assert!(ended.err.contains(word), "`{word}` is missing: {ended:?}");
    }
    assert!(ended.out.is_empty(), "nothing is announced: {ended:?}");
    assert!(!home.data().exists(), "no data directory was made");

    let mut check = wellkept();
    let checked = run(check.arg("check").arg(&keep));
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.out.contains(&place), "{checked:?}");
}

#[test]
fn a_keep_file_with_an_unknown_key() {
    let text = "services:\n  app:\n    pidfile: /run/app.pid\n    helth: { tcp: 127.0.0.1:1 }\n";
    check_keep(text, "4:5", &["helth", "health"]);
}

#[test]
fn a_keep_file_with_a_wrong_type() {
    check_keep("services:\n  app:\n    pidfile: [1, 2]\n", "3:14", &["pidfile"]);
}

#[test]
fn a_keep_file_with_a_circle_of_dependencies() {
    let text = "services:\n  a: { pidfile: /run/a.pid, depends_on: [b] }\n  b: { pidfile: /run/b.pid, depends_on: [a] }\n";
    check_keep(text, "3:42", &["depends_on", "a", "b"]);
}

#[test]
fn a_keep_file_with_a_missing_command() {
    check_keep("services:\n  a:\n    pidfile: /run/a.pid\n    may: [restart]\n", "4:", &["restart", "start"]);
}

#[test]
fn a_keep_file_with_two_services_on_one_port() {
    let text = "services:\n  a: { pidfile: /run/a.pid, listens: [127.0.0.1:80] }\n  b: { pidfile: /run/b.pid, listens: [0.0.0.0:80] }\n";
    check_keep(text, "3:", &["80"]);
}

#[test]
fn a_keep_file_that_grows_when_it_is_read() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..9 {
        let all = vec![format!("*a{}", n - 1); 10].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{all}]\n"));
    }
    check_keep(&text, "", &["aliases"]);
}

#[test]
fn a_keep_file_that_is_not_there() {
    let home = Home::new();
    let ended = start(&home.data(), Some(&home.path("nowhere.yml")), anywhere());
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("nowhere.yml") && ended.err.lines().count() == 1, "{ended:?}");
}

#[test]
fn a_bad_keep_file_leaves_nobody_listening() {
    let home = Home::new();
    let keep = home.keep("servces: {}\n");
    let address = TcpListener::bind(anywhere()).unwrap().local_addr().unwrap();
    let ended = start(&home.data(), Some(&keep), address);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn an_address_that_is_taken() {
    let home = Home::new();
    let taken = TcpListener::bind(anywhere()).unwrap();
    let address = taken.local_addr().unwrap();
    let ended = start(&home.data(), None, address);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    assert!(ended.err.contains(&address.to_string()) && ended.err.contains("--listen"), "{ended:?}");
    assert!(!home.data().exists(), "no data directory was made");
}

#[test]
fn an_address_of_a_door_that_is_taken() {
    let taken = TcpListener::bind(anywhere()).unwrap();
    let udp = UdpSocket::bind(taken.local_addr().unwrap()).unwrap();
    let address = udp.local_addr().unwrap();
    for door in ["graphite", "statsd"] {
        let home = Home::new();
        let keep = home.keep(format!("metrics: {{ {door}: '{address}' }}\n"));
        let ended = start(&home.data(), Some(&keep), anywhere());
        check_ended(&ended, 4, &[&address.to_string(), &format!("metrics.{door}")]);
        assert!(!home.data().exists(), "no data directory was made");
    }
}

#[test]
fn a_data_directory_that_cannot_be_one() {
    let home = Home::new();
    let file = home.path("file");
    std::fs::write(&file, "mine").unwrap();
    check_refused(&file, 3, &[file.to_str().unwrap()]);
    check_refused(&file.join("below"), 3, &[file.to_str().unwrap()]);
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_data_directory_with_the_files_of_somebody_else() {
    let home = Home::new();
    std::fs::create_dir(home.data()).unwrap();
    std::fs::write(home.data().join("thesis.tex"), "years of work").unwrap();
    check_refused(&home.data(), 3, &[home.data().to_str().unwrap()]);
    assert_eq!(std::fs::read_dir(home.data()).unwrap().count(), 1, "nothing was added");
}

#[test]
fn a_data_directory_of_a_newer_version() {
    let home = Home::new();
    assert_eq!(Up::start(&home, None).terminate(), Some(0));
    // The line of the store carries its own checksum.
    for (name, newer) in [("VERSION", "99\n"), ("tsdb/FORMAT", "wellkept-tsdb 99\ncrc32 cd0a324a\n")] {
        let path = home.data().join(name);
        let ours = std::fs::read(&path).unwrap();
        std::fs::write(&path, newer).unwrap();
        check_refused(&home.data(), 3, &["99", "newer"]);
        std::fs::write(&path, ours).unwrap();
    }
    assert_eq!(Up::start(&home, None).terminate(), Some(0), "it was left alone");
}

#[test]
fn a_full_disk() {
    let home = Home::new();
    let disk = match Mounted::new(&home.path("disk"), 256) {
        Ok(disk) => disk,
        Err(why) => return skipped(&why),
    };
    let start = |name: &str| {
        let mut command = disk.wellkept();
        run(command.args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(disk.inside(name)))
    };
    disk.fill();
    check_ended(&start("data"), 3, &[disk.inside("data").to_str().unwrap(), "no space is left"]);
    disk.empty();
    // Room for some files, but not for all that are needed.
    for kib in [4, 12, 20, 28, 36] {
        let name = format!("data-{kib}");
        std::fs::write(disk.outside("ballast"), vec![b'x'; (256 - kib) << 10]).unwrap();
        check_ended(&start(&name), 3, &["no space is left"]);
        std::fs::remove_dir_all(disk.outside(&name)).unwrap();
        disk.empty();
    }
}

#[test]
fn mistakes_are_told_in_the_language_that_was_asked_for() {
    let home = Home::new();
    let keep = home.keep("servces: {}\n");
    let told = |language: &str| {
        let mut command = wellkept();
        command.args(["up", "--lang", language, "--listen", "127.0.0.1:0", "--data-dir"]).arg(home.data());
        run(command.arg("--keep").arg(&keep)).err
    };
    let (english, chinese) = (told("en"), told("zh-CN"));
    assert!(english.contains("unknown key `servces`"), "{english}");
    assert!(chinese.contains("未知的键 `servces`") && !chinese.contains("unknown"), "{chinese}");
    let nobody = run(wellkept().args(["--lang", "zh-CN", "status", "--address", "127.0.0.1:1"]));
    assert!(nobody.err.contains("没有 Wellkept 应答"), "{nobody:?}");
}
