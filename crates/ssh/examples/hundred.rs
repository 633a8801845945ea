//! Bench: 100 commands over one connection to a real sshd on loopback, beside the real client with a shared connection.
//!
//! Workload: `/bin/true` by the login shell, one after the other and five at a time; one file of 64 MiB there and back.
//! Unit: seconds of the clock, the best of five. Baseline: `ssh` with `ControlMaster`, which starts a process for each
//! command. What the login shell reads at its start counts: run it where that is little. Known elsewhere: ansible-core with pipelining takes 20.5 s for 100 `command` tasks.
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "../tests/bed/mod.rs"]
mod bed;

use std::process::Command as Local;
use std::time::Duration;

use bed::{Sshd, sh};
use tokio::time::Instant;
use wellkept_ssh::{Connection, Placing};

const COMMANDS: usize = 100;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let server = Sshd::start();
    let connecting = Instant::now();
    let connection = server.connect().await;
    println!("connect and authenticate            {:8.3} s", connecting.elapsed().as_secs_f64());
    let one_by_one = best(async || {
        for _ in 0..COMMANDS {
            assert!(sh(&connection, "/bin/true").await.end.success());
        }
    });
    println!("{COMMANDS} commands, one after the other    {:8.3} s", one_by_one.await.as_secs_f64());
    let together = best(async || five_at_a_time(&connection).await);
    println!("{COMMANDS} commands, five at a time         {:8.3} s", together.await.as_secs_f64());
    println!("{COMMANDS} × ssh over a shared connection   {:8.3} s", shared(&server).as_secs_f64());
    println!("{COMMANDS} × fork and exec here             {:8.3} s", here().as_secs_f64());
    files(&server, &connection).await;
}

async fn best(work: impl AsyncFn()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        work().await;
        best = best.min(begun.elapsed());
    }
    best
}

async fn five_at_a_time(connection: &Connection) {
    let all: Vec<_> = (0..COMMANDS)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { sh(&connection, "/bin/true").await })
        })
        .collect();
    for one in all {
        let ran = one.await.expect("no panic");
        assert!(ran.end.success(), "{ran:?}");
    }
}

fn shared(server: &Sshd) -> Duration {
    let control = server.path("control");
    let known = server.path(&format!("known_{}", server.address.port()));
    let ssh = |extra: &[&str]| {
        let mut command = Local::new("ssh");
        command.args(["-F", "/dev/null", "-p", &server.address.port().to_string(), "-S"]).arg(&control);
        command.arg("-i").arg(server.path("user_key"));
        command.arg("-o").arg(format!("UserKnownHostsFile={}", known.display()));
        command.args(extra);
        assert!(command.status().expect("ssh").success(), "{extra:?}");
    };
    ssh(&["-o", "ControlMaster=yes", "-o", "ControlPersist=60", "127.0.0.1", "true"]);
    let begun = Instant::now();
    for _ in 0..COMMANDS {
        ssh(&["127.0.0.1", "/bin/true"]);
    }
    let took = begun.elapsed();
    ssh(&["-O", "exit", "127.0.0.1"]);
    took
}

/// The floor: what starting a shell for each command costs without any connection.
fn here() -> Duration {
    let begun = Instant::now();
    for _ in 0..COMMANDS {
        assert!(Local::new("/bin/bash").args(["-c", "/bin/true"]).status().expect("bash").success());
    }
    begun.elapsed()
}

async fn files(server: &Sshd, connection: &Connection) {
    let data = vec![7; 64 << 20];
    let there = server.path("big").display().to_string();
    let sftp = connection.sftp().await.expect("sftp");
    let begun = Instant::now();
    sftp.upload(&mut &data[..], &there, &Placing::default()).await.expect("sent");
    let sent = begun.elapsed();
    let begun = Instant::now();
    sftp.download(&there, &mut tokio::io::sink(), u64::MAX).await.expect("got");
    println!("64 MiB there                        {:8.3} s", sent.as_secs_f64());
    println!("64 MiB back                         {:8.3} s", begun.elapsed().as_secs_f64());
}
