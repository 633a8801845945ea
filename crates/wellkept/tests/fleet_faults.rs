//! Playbooks on hosts that break: no place for the helper, full disks, lines that are cut, servers that are none.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "this is test code")]

mod common;
mod fleet_stage;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::wait_for;
use fleet_stage::Fleet;
use fleet_stage::bed::proxy::Proxy;
use fleet_stage::bed::{Sshd, needs_root};

fn site(fleet: &Fleet, tasks: &str) {
    fleet.file("site.yml", &format!("- hosts: web\n  gather_facts: false\n  tasks:\n{tasks}"));
}

/// Tasks that plain commands can do, and one that they cannot.
fn plain_tasks(fleet: &Fleet) -> String {
    let root = fleet.home.path("");
    format!(
        "    - {{command: echo plain, register: r}}\n    - {{debug: {{var: r.stdout}}}}\n\
         \x20   - {{copy: {{content: text, dest: {0}/plain}}}}\n\
         \x20   - {{fetch: {{src: {0}/plain, dest: {0}/got, flat: true}}}}\n\
         \x20   - {{file: {{path: {0}/x, state: touch}}}}\n",
        root.display()
    )
}

#[track_caller]
fn is_plain(fleet: &Fleet, why: &str) {
    let ended = fleet.cli(&["play", "-i", "hosts", "site.yml"]);
    assert!(ended.out.contains("\"r.stdout\": \"plain\""), "{ended:?}");
    assert_eq!((fleet.read("plain").as_str(), fleet.read("got").as_str()), ("text", "text"), "{ended:?}");
    assert!(ended.out.contains("The module file needs the helper") && ended.out.contains(why), "{ended:?}");
    assert_eq!(ended.code, Some(2));
    assert!(!fleet.home.path("x").exists());
}

#[test]
fn where_no_program_may_be_run_plain_commands_do_what_they_can() {
    if needs_root("noexec") {
        return;
    }
    let fleet = Fleet::made(1, &|cache, n| {
        let mounts = format!(
            "mount -t tmpfs -o noexec,mode=1777 none /var/tmp; mount -t tmpfs -o noexec none {cache}"
        );
        let setting = format!("SetEnv XDG_CACHE_HOME={cache}");
        Sshd::with_mounts(&[&setting], &mounts, Ipv4Addr::new(127, 0, 0, n))
    });
    site(&fleet, &plain_tasks(&fleet));
    is_plain(&fleet, "no folder in which programs may be run");
}

#[test]
fn where_nobody_can_compare_the_hash_the_helper_is_not_run() {
    if needs_root("a mount namespace") {
        return;
    }
    let fleet = Fleet::made(1, &|cache, n| {
        // Another program under the name, in this namespace only; /var/tmp is kept clean as well.
        let mounts = "printf '#!/bin/sh\\necho 0000\\n' >\"$1/wrong\"; chmod 755 \"$1/wrong\"\n\
                      mount --bind \"$1/wrong\" \"$(command -v sha256sum)\"; mount -t tmpfs -o mode=1777 none /var/tmp";
        let setting = format!("SetEnv XDG_CACHE_HOME={cache}");
        Sshd::with_mounts(&[&setting], mounts, Ipv4Addr::new(127, 0, 0, n))
    });
    site(&fleet, &plain_tasks(&fleet));
    is_plain(&fleet, "did not arrive as it was sent");
}

#[test]
fn a_full_disk_is_told_and_leaves_what_was_there() {
    if needs_root("a small file system") {
        return;
    }
    let fleet = Fleet::made(2, &|cache, n| {
        let setting = format!("SetEnv XDG_CACHE_HOME={cache}");
        let mounts =
            "mkdir -p \"$1/small\"; mount -t tmpfs -o size=64k none \"$1/small\"; echo old >\"$1/small/f\"";
        // On the first host the file fits, on the second it does not.
        if n == 1 {
            std::fs::create_dir_all(format!("{cache}/../roomy")).unwrap();
            return Sshd::with(&[&setting], Ipv4Addr::new(127, 0, 0, n));
        }
        Sshd::with_mounts(&[&setting], mounts, Ipv4Addr::new(127, 0, 0, n))
    });
    let (roomy, small) = (fleet.home.path("roomy"), fleet.servers[1].path("small"));
    fleet.file("big", &"x".repeat(1024 * 1024));
    fleet.file("host_vars/h1.yml", &format!("at: {}\n", roomy.display()));
    fleet.file("host_vars/h2.yml", &format!("at: {}\n", small.display()));
    site(
        &fleet,
        "    - {copy: {src: big, dest: '{{ at }}/f'}, ignore_errors: true}\n\
         \x20   - {command: 'ls -A {{ at }}', register: r}\n    - {debug: {var: r.stdout}}\n\
         \x20   - {command: 'head -c 3 {{ at }}/f', register: f}\n    - {debug: {var: f.stdout}}\n",
    );
    let ended = fleet.cli(&["play", "-i", "hosts", "site.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.out.contains("fatal: [h2]: FAILED! => {") && ended.out.contains("No space left on device"),
        "{ended:?}"
    );
    assert!(!ended.out.contains("fatal: [h1]"), "{ended:?}");
    assert_eq!(ended.out.matches("\"r.stdout\": \"f\"").count(), 2, "nothing is left lying about: {ended:?}");
    assert!(
        ended.out.contains("\"f.stdout\": \"old\"") && ended.out.contains("\"f.stdout\": \"xxx\""),
        "{ended:?}"
    );
}

#[test]
fn of_several_hosts_the_one_whose_line_is_cut_leaves_and_nothing_more_is_begun_there() {
    let fleet = Fleet::new(3);
    let proxy = Proxy::to(fleet.servers[1].address);
    let at = [fleet.servers[0].address, proxy.address, fleet.servers[2].address];
    fleet.inventory(&at);
    fleet.know(&at);
    let root = fleet.home.path("");
    let root = root.display();
    site(
        &fleet,
        &format!(
            "    - shell: 'echo a >> {root}/log-{{{{ inventory_hostname }}}}'\n\
             \x20   - shell: 'touch {root}/begun-{{{{ inventory_hostname }}}}; while ! test -e {root}/go; do sleep 0.05; done'\n\
             \x20   - shell: 'echo b >> {root}/log-{{{{ inventory_hostname }}}}'\n"
        ),
    );
    let mut child = fleet
        .command(&["play", "-i", "hosts", "site.yml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the second step begins everywhere", || {
        (1..=3).all(|n| fleet.home.path(&format!("begun-h{n}")).exists()).then_some(())
    });
    proxy.cut();
    // The others are let go only when the cut has been heard of there.
    wait_for("the server has heard of it", || fleet.servers[1].log().contains("onnection").then_some(()));
    std::fs::write(fleet.home.path("go"), "").unwrap();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4), "{out}");
    assert!(out.contains("fatal: [h2]: UNREACHABLE! => {") && out.contains("\"unknown\": true"), "{out}");
    for host in ["h1", "h3"] {
        assert!(out.contains(&format!("{host}                         : ok=3    changed=3 ")), "{out}");
        assert_eq!(fleet.read(&format!("log-{host}")), "a\nb\n");
    }
    assert!(
        out.contains("h2                         : ok=1    changed=1    unreachable=1    failed=0"),
        "{out}"
    );
}

#[test]
fn endless_output_ends_and_control_characters_are_shown_as_text() {
    let fleet = Fleet::new(1);
    site(
        &fleet,
        "    - {shell: \"yes '0123456789012345678901234567890123456789'\", timeout: 120, ignore_errors: true}\n\
         \x20   - shell: \"printf 'a\\\\033]0;evil\\\\007\\\\033[2Jb\\\\r'\"\n      register: r\n\
         \x20   - {debug: {var: r.stdout}}\n    - {debug: {msg: '{{ r.stdout }}'}}\n",
    );
    let began = Instant::now();
    let ended = fleet.cli(&["play", "-i", "hosts", "site.yml"]);
    assert!(began.elapsed() < Duration::from_secs(100), "bounded by size, not by time");
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("fatal: [h1]: FAILED! => {") && ended.out.contains("ok=4 "), "{}", ended.err);
    assert!(!ended.out.contains(['\u{1b}', '\u{7}', '\r']), "nothing of it reaches the terminal");
    assert!(ended.out.contains("evil"));
}

/// A server that says this, and this again and again.
fn stranger(first: &'static [u8], forever: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut going = stream.write_all(first).is_ok();
                while going && !forever.is_empty() {
                    going = stream.write_all(forever).is_ok();
                }
                // Held open: whoever waits for more must give up by itself.
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    address
}

#[test]
fn servers_that_are_none_are_unreachable_in_bounded_time_and_hold_nobody_up() {
    let fleet = Fleet::new(1);
    let strangers = [
        stranger(b"", b"endless banner without an end of line "),
        stranger(b"", b"lines\r\n"),
        stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n", b""),
        stranger(b"SSH-1.5-old\r\n", b""),
        stranger(b"SSH-2.0-x\r\n", b"\xff\xff\xff\xff"),
    ];
    let mut hosts = std::fs::read_to_string(fleet.home.path("hosts")).unwrap();
    for (n, at) in strangers.iter().enumerate() {
        hosts.push_str(&format!("s{n} ansible_host={} ansible_port={}\n", at.ip(), at.port()));
    }
    fleet.file("hosts", &hosts);
    site(&fleet, "    - command: echo here\n    - command: echo again\n");
    let began = Instant::now();
    let ended = fleet.cli(&["play", "-i", "hosts", "-f", "10", "-T", "5", "site.yml"]);
    assert!(began.elapsed() < Duration::from_secs(60), "{ended:?}");
    assert_eq!(ended.code, Some(4), "{ended:?}");
    for n in 0..strangers.len() {
        assert!(ended.out.contains(&format!("fatal: [s{n}]: UNREACHABLE! => {{")), "s{n}: {ended:?}");
    }
    assert!(ended.out.contains("h1                         : ok=2    changed=2 "), "{ended:?}");
    assert!(!ended.out.contains("\"unknown\": true"), "nothing can have run there: {ended:?}");
}
