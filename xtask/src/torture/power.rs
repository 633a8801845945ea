//! Power loss: the disk holds what the file system had written back, and nothing else.
//!
//! The data lies on an ext4 in a file. The server is stopped in the middle of its work, the file copied: what ext4 has
//! only in memory is not in the copy. The copy is mounted, which replays ext4's journal, and the server started on it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use rustix::process::{Signal, kill_process};

use super::disks::{self, Mount};
use super::load::Ledger;
use super::server::Server;
use super::{Rack, Random, Verdict, read_back};

/// Size of the disk.
const BYTES: u64 = 256 << 20;

pub(super) fn run(rack: &Rack, times: usize) -> Result<Verdict> {
    let folder = rack.folder("power")?;
    if let Err(reason) = disks::possible(&folder) {
        return Ok(Verdict::skipped(reason));
    }
    let mut random = Random::new(rack.seed);
    let mut verdict = Verdict::default();
    for _ in 0..times {
        let (acknowledged, broken) = once(rack, &mut random)?;
        verdict.add(acknowledged, broken);
    }
    Ok(verdict)
}

fn once(rack: &Rack, random: &mut Random) -> Result<(u64, Vec<String>)> {
    let folder = rack.folder("power")?;
    let (image, copy, log) = (folder.join("disk"), folder.join("copy"), folder.join("log"));
    disks::ext4(&image, BYTES, &[])?;
    let mut ledger = Ledger::new();
    {
        let disk = Mount::new(&["-o", "loop"], &image, &folder.join("live"))?;
        let server = Server::start(&rack.product, &disk.path.join("data"), &log)?;
        let (stop, port, pid) = (AtomicBool::new(false), server.port, server.pid());
        std::thread::scope(|scope| -> Result<()> {
            scope.spawn(|| ledger.push(port, &stop, u64::MAX));
            // A moment, not a wait for something: the power shall go anywhere.
            std::thread::sleep(Duration::from_millis(random.between(100, 1500)));
            kill_process(pid, Signal::STOP)?;
            // What is answered from here on was answered before: the server stands still.
            let copied = std::fs::copy(&image, &copy);
            stop.store(true, Ordering::Relaxed);
            server.kill();
            copied?;
            Ok(())
        })?;
    }
    let disk = Mount::new(&["-o", "loop"], &copy, &folder.join("after"))?;
    let all = vec![0; ledger.clients.len()];
    let data = disk.path.join("data");
    match Server::start(&rack.product, &data, &log) {
        Ok(server) => Ok((ledger.acknowledged(), read_back::broken(&ledger, &all, server.port))),
        Err(error) => {
            Ok((ledger.acknowledged(), vec![format!("it does not start on what is left: {error:#}")]))
        }
    }
}
