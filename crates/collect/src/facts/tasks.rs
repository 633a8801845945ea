//! Tasks of the whole host against what the kernel allows: whoever takes the last one stops everybody.

use wellkept_model::local::TasksSeen;

use crate::source::{Source, number};

/// Rounds between two looks at the limits, which people change seldom.
const ROUNDS: u32 = 60;

/// The files it is read from.
#[derive(Debug)]
pub(crate) struct Tasks {
    load: Source,
    limit: Option<u64>,
    rounds: u32,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { load: Source::new("/proc/loadavg"), limit: None, rounds: 0 }
    }
}

impl Tasks {
    /// How it is now; `None` where the kernel does not tell.
    pub(crate) fn read(&mut self) -> Option<TasksSeen> {
        if self.rounds == 0 {
            self.limit = limit();
            self.rounds = ROUNDS;
        }
        self.rounds -= 1;
        Some(TasksSeen { used: used(self.load.read().ok()?)?, limit: self.limit? })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the kernel writes whole numbers from 0"
)]
fn limit() -> Option<u64> {
    let of = |path: &str| number(&mut Source::new(path)).map(|n| n as u64);
    let limits = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"];
    limits.into_iter().filter_map(of).min()
}

/// `0.20 0.18 0.12 1/80 11206`: the number behind the stroke is that of all tasks.
fn used(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_counted_and_bounded_on_a_real_host() {
        let seen = Tasks::default().read().expect("there is /proc");
        assert!(seen.used > 0 && seen.used < seen.limit, "{seen:?}");
        assert_eq!(used("0.20 0.18 0.12 1/80 11206\n"), Some(80));
        assert_eq!(used("0.20"), None);
    }
}
