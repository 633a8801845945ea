//! What a process has used, from `/proc/<pid>`.

use anyhow::{Context, Result};

/// CPU seconds and memory of one process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// User and system time of the process and of its children that have ended.
    pub(super) cpu_seconds: f64,
    pub(super) rss_bytes: u64,
    /// Bytes that it caused to be written to disk; `None` when the kernel does not say.
    pub(super) written_bytes: Option<u64>,
}

impl Usage {
    pub(super) fn read(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let stat = std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let page = rustix::param::page_size() as u64;
        let (cpu, pages) = parse(&stat).with_context(|| format!("{path} is not as it should be"))?;
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        Ok(Self { cpu_seconds: cpu as f64 / ticks, rss_bytes: pages * page, written_bytes: written(&io) })
    }
}

/// Ticks of CPU time and pages of resident memory. The name of the program may hold spaces and brackets.
fn parse(stat: &str) -> Option<(u64, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |i: usize| fields.get(i)?.parse::<u64>().ok();
    let cpu = field(11)? + field(12)? + field(13)? + field(14)?;
    Some((cpu, field(21)?))
}

fn written(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4 10 0 0 0 100 20 3 4 20 0 5 0 99 1000 42 18446744073709551615";
        assert_eq!(parse(stat), Some((127, 42)));
    }

    #[test]
    fn a_cut_line_is_refused() {
        assert_eq!(parse("7 (a) S 1 7"), None);
    }

    #[test]
    fn written_bytes_are_found_when_the_kernel_tells_them() {
        assert_eq!(written("rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n"), Some(4096));
        assert_eq!(written(""), None);
    }

    #[test]
    fn our_own_usage_can_be_read() {
        let usage = Usage::read(std::process::id()).unwrap();
        assert!(usage.rss_bytes > 0 && usage.cpu_seconds >= 0.0);
    }
}
