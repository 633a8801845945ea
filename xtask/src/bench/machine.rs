//! What a figure was measured on; without it a figure means nothing.

use std::fmt;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Machine {
    cpu: String,
    cores: usize,
    memory_bytes: u64,
    kernel: String,
    system: String,
    rustc: String,
    /// Average number of runnable processes over the last minute, before we began; above about 0.2 per core the
    /// machine was not idle and figures of CPU and time are worth less.
    load: String,
}

impl Machine {
    pub(super) fn read() -> Result<Self> {
        let read =
            |path: &str| std::fs::read_to_string(path).with_context(|| format!("failed to read {path}"));
        let rustc = crate::process::version("rustc", "--version").unwrap_or_else(|| "unknown".into());
        Ok(Self {
            cpu: field(&read("/proc/cpuinfo")?, "model name", ':').unwrap_or_else(|| "unknown".into()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory(&read("/proc/meminfo")?).context("/proc/meminfo has no MemTotal")?,
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            system: field(&read("/etc/os-release").unwrap_or_default(), "PRETTY_NAME", '=')
                .unwrap_or_else(|| "unknown".into()),
            rustc,
            load: read("/proc/loadavg")?.split(' ').next().unwrap_or_default().to_owned(),
        })
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "cpu": self.cpu, "cores": self.cores, "memory_bytes": self.memory_bytes, "kernel": self.kernel,
            "system": self.system, "rustc": self.rustc, "load_average_1m_at_start": self.load,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, memory_bytes, kernel, system, rustc, load } = self;
        let gib = *memory_bytes as f64 / f64::from(1 << 30);
        write!(
            f,
            "Machine: {cpu}, {cores} cores, {gib:.1} GiB; {system}, kernel {kernel}; {rustc}; load {load} at start"
        )
    }
}

fn field(text: &str, key: &str, separator: char) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(separator)?.1.trim().trim_matches('"').to_owned())
}

fn memory(meminfo: &str) -> Option<u64> {
    let kib: u64 = field(meminfo, "MemTotal", ':')?.split(' ').next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_stripped_of_quotes() {
        assert_eq!(
            field("NAME=x\nPRETTY_NAME=\"Debian 12\"\n", "PRETTY_NAME", '='),
            Some("Debian 12".into())
        );
        assert_eq!(field("cpu\t: 1\nmodel name\t: Fast: 2\n", "model name", ':'), Some("Fast: 2".into()));
        assert_eq!(field("", "x", '='), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(memory("MemTotal:       2048 kB\nMemFree: 1 kB\n"), Some(2 << 20));
    }

    #[test]
    fn this_machine_can_be_read() {
        let machine = Machine::read().unwrap();
        assert!(machine.cores >= 1 && machine.memory_bytes > 1 << 20);
        assert!(machine.to_string().contains(&machine.kernel));
    }
}
