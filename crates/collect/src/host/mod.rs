//! This host as numbers, under node_exporter's metric names and labels.
//!
//! One file per source in /proc or /sys; each reads, parses and emits. What a kernel does not have (pressure,
//! IPv6, a sensor) is left out without a word, because its absence is known and steady; what should be there and
//! cannot be read becomes a problem of the round. Only node_exporter's default collectors are followed, with
//! `processes` and `tcpstat` in addition.
//!
//! Not every source is read every round: the process table and the socket tables cost as much as everything else
//! together. They are read at a slower pace (see [`SLOW_ROUNDS`]) and give their last value in between, so that
//! every batch holds the same series.

mod cpu;
mod disk;
mod filesystem;
mod kernel;
mod memory;
mod mounts;
mod netstat;
mod network;
mod pressure;
mod processes;
mod users;

use wellkept_model::TimestampMs;
use wellkept_model::observe::{CollectProblem, FilesystemSeen};

use crate::series::Series;
pub(crate) use mounts::{Mount, mounts};

/// Rounds between two readings of what is expensive and slow: the process table.
///
/// 15 is 15 s at one round a second, the scrape interval at which node_exporter users know these series.
pub const SLOW_ROUNDS: u64 = 15;

/// All sources of one host.
#[derive(Debug, Default)]
pub(crate) struct Host {
    rounds: u64,
    cpu: cpu::Cpu,
    memory: memory::Memory,
    pressure: pressure::Pressure,
    disk: disk::Disk,
    filesystem: filesystem::Filesystems,
    network: network::Network,
    netstat: netstat::Netstat,
    kernel: kernel::Kernel,
    processes: processes::Processes,
    users: users::Users,
}

impl Host {
    /// Reads everything once. Returns the mounted file systems, and adds what failed to `problems`.
    pub(crate) fn read(
        &mut self,
        now: TimestampMs,
        out: &mut Series,
        problems: &mut Vec<CollectProblem>,
    ) -> Vec<FilesystemSeen> {
        let slow = self.rounds.is_multiple_of(SLOW_ROUNDS);
        self.rounds += 1;
        let mut filesystems = Vec::new();
        let mut done = |collector: &str, result: Result<(), String>, out: &mut Series| {
            out.put("node_scrape_collector_success", &[("collector", collector)], f64::from(result.is_ok()));
            if let Err(message) = result {
                problems.push(CollectProblem { collector: collector.to_owned(), message });
            }
        };
        let r = self.cpu.read(out);
        done("cpu", r, out);
        let r = self.memory.read(out);
        done("memory", r, out);
        let r = self.pressure.read(out);
        done("pressure", r, out);
        let r = self.disk.read(out);
        done("diskstats", r, out);
        let r = self.filesystem.read(out).map(|seen| filesystems = seen);
        done("filesystem", r, out);
        let r = self.network.read(slow, out);
        done("netdev", r, out);
        let r = self.netstat.read(out);
        done("netstat", r, out);
        let r = self.kernel.read(now, slow, out);
        done("kernel", r, out);
        let r = self.processes.read(slow, out);
        done("processes", r, out);
        self.users.read(slow, out);
        filesystems
    }
}

impl Host {
    /// See [`netstat::Netstat::attempt_fails`].
    pub(crate) fn attempt_fails(&self) -> Option<f64> {
        self.netstat.attempt_fails()
    }
}

/// The fields of a line of `key value` or `key: value` text.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_ascii_whitespace()
}

/// A number as /proc writes it. Counters of 64 bits above 2^53 lose their last digits, as in Prometheus.
fn parse(word: &str) -> Option<f64> {
    // Integers are by far the most frequent, and reading one is several times cheaper than reading a float.
    match word.parse::<u64>() {
        #[expect(clippy::cast_precision_loss, reason = "samples are 64-bit floats")]
        Ok(n) => Some(n as f64),
        Err(_) => word.parse().ok(),
    }
}
