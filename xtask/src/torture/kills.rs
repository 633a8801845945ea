//! `kill -9` at random moments under load, again and again on one data directory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;

use super::load::Ledger;
use super::server::Server;
use super::{Rack, Random, Verdict, read_back};
use crate::http;

/// Longest time under load before a kill, milliseconds.
const LOAD_MAX_MS: u64 = 1200;

pub(super) fn run(rack: &Rack, times: usize) -> Result<Verdict> {
    let folder = rack.folder("kills")?;
    let (data, log) = (folder.join("data"), folder.join("log"));
    let mut random = Random::new(rack.seed);
    let mut verdict = Verdict::default();
    let mut ledger = Ledger::new();
    let mut server = Server::start(&rack.product, &data, &log)?;
    for _ in 0..times {
        let before = ledger.acknowledged();
        let from: Vec<u64> = ledger.clients.iter().map(|c| c.next).collect();
        let stop = AtomicBool::new(false);
        let port = server.port;
        std::thread::scope(|scope| {
            scope.spawn(|| ledger.push(port, &stop, u64::MAX));
            // Now and then in the middle of bringing everything to its final form.
            if random.between(0, 3) == 0 {
                scope.spawn(move || http::post(port, "/api/v1/admin/flush", "", Duration::from_secs(5)));
            }
            // A moment, not a wait for something: the kill shall come anywhere.
            std::thread::sleep(Duration::from_millis(random.between(50, LOAD_MAX_MS)));
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        server = Server::start(&rack.product, &data, &log)?;
        verdict.add(ledger.acknowledged() - before, read_back::broken(&ledger, &from, server.port));
    }
    let all = vec![0; ledger.clients.len()];
    verdict.broken.extend(read_back::broken(&ledger, &all, server.port));
    Ok(verdict)
}
