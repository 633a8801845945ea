//! The server ends, or a system call fails, at every place where it talks to its disk.
//!
//! `strace` does it from outside, so no line of the product knows of it. The place is the N-th call of a kind; N is
//! spread over the calls that a quiet run makes.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;

use super::load::Ledger;
use super::server::Server;
use super::{Rack, Random, Verdict, read_back};
use crate::{http, process};

/// Calls by which files are made, changed and removed.
const CALLS: [&str; 8] = [
    "write",
    "pwrite64",
    "fdatasync",
    "fsync",
    "rename,renameat,renameat2",
    "unlink,unlinkat",
    "ftruncate",
    "openat",
];
/// What a call may say instead of doing its work.
const ERRORS: [&str; 4] = ["EIO", "ENOSPC", "EDQUOT", "EINTR"];
/// Requests of each client in one try.
const REQUESTS: u64 = 12;
/// Time for a start below `strace`.
const START_MAX: Duration = Duration::from_secs(30);

/// Kills the server at a call.
pub(super) fn killed(rack: &Rack, times: usize) -> Result<Verdict> {
    with_strace(rack, times, "calls", |random| {
        let call = CALLS[random.between(0, CALLS.len() as u64) as usize];
        let at = nth(random, call);
        format!("{call}:signal=KILL:when={at}")
    })
}

/// Has a call fail, from one on or just once.
pub(super) fn failed(rack: &Rack, times: usize) -> Result<Verdict> {
    with_strace(rack, times, "errors", |random| {
        let call = CALLS[random.between(0, CALLS.len() as u64) as usize];
        let error = ERRORS[random.between(0, ERRORS.len() as u64) as usize];
        let (at, on) = (nth(random, call), if random.between(0, 2) == 0 { "+" } else { "" });
        // A call that is interrupted for ever is no fault that exists.
        let on = if error == "EINTR" { "" } else { on };
        format!("{call}:error={error}:when={at}{on}")
    })
}

/// Opening files is most of a start; the others are few.
fn nth(random: &mut Random, call: &str) -> u64 {
    let most = match call {
        "openat" => 200,
        "write" => 150,
        "fsync" | "fdatasync" => 60,
        _ => 12,
    };
    random.between(1, most)
}

fn with_strace(
    rack: &Rack,
    times: usize,
    name: &str,
    fault: impl Fn(&mut Random) -> String,
) -> Result<Verdict> {
    if !process::on_path("strace") {
        return Ok(Verdict::skipped("strace is not installed"));
    }
    let mut random = Random::new(rack.seed);
    let mut verdict = Verdict::default();
    for number in 0..times {
        let folder = rack.folder(&format!("{name}-{number}"))?;
        let fault = fault(&mut random);
        let (acknowledged, broken) = once(rack, &folder, &fault)?;
        verdict.add(acknowledged, broken.into_iter().map(|b| format!("{fault}: {b}")).collect());
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(verdict)
}

fn once(rack: &Rack, folder: &Path, fault: &str) -> Result<(u64, Vec<String>)> {
    let (data, log) = (folder.join("data"), folder.join("log"));
    let calls = fault.split(':').next().unwrap_or_default();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={fault}")]).arg(&rack.product);
    let mut ledger = Ledger::new();
    let mut server = Server::launch(strace, &data, &log)?;
    if server.wait_ready(START_MAX) {
        let stop = AtomicBool::new(false);
        ledger.push(server.port, &stop, REQUESTS);
        // Its answer does not matter: the fault may be in it.
        let _ = http::post(server.port, "/api/v1/admin/flush", "", Duration::from_secs(10));
        ledger.push(server.port, &stop, REQUESTS);
    }
    // strace passes nothing on: whoever runs below it is ended by name of the data directory's lock.
    server.kill();
    super::disks::end_users_of(&data);
    let all = vec![0; ledger.clients.len()];
    match Server::start(&rack.product, &data, &log) {
        Ok(server) => Ok((ledger.acknowledged(), read_back::broken(&ledger, &all, server.port))),
        Err(error) => Ok((ledger.acknowledged(), vec![format!("the next start fails: {error:#}")])),
    }
}
