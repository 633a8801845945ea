//! Processes by state: `node_processes_*`.
//!
//! Reading one file per process costs more than all other sources of a host together, so this runs at the slow pace
//! and gives the last count in between. `/proc/loadavg` names running and all tasks cheaply; that is not enough,
//! because what matters is D and Z.

use std::fs;

use crate::proc_stat::{self, ProcStat};
use crate::series::Series;
use crate::source::{Source, number, read_once};

/// Processes that are counted; a host cannot have more (the kernel's highest `pid_max`).
const PROCESSES_MAX: usize = 4_194_304;

/// States in the order in which they are emitted, as node_exporter writes them.
const STATES: [char; 8] = ['R', 'S', 'D', 'Z', 'T', 't', 'I', 'X'];

/// How many processes are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct ProcessStates {
    counts: [u32; STATES.len()],
    processes: u32,
    threads: u64,
}

impl ProcessStates {
    fn add(&mut self, stat: &ProcStat<'_>) {
        self.processes += 1;
        self.threads += stat.threads;
        // `I` (idle kernel thread) and anything newer than this program count too, the latter as sleeping.
        let at = STATES.iter().position(|s| *s == stat.state).unwrap_or(1);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Processes {
    last: Option<ProcessStates>,
    limits: [Option<f64>; 2],
}

impl Processes {
    pub(super) fn read(&mut self, slow: bool, out: &mut Series) -> Result<(), String> {
        let mut result = Ok(());
        if slow || self.last.is_none() {
            match scan() {
                Ok(states) => self.last = Some(states),
                Err(e) => result = Err(e),
            }
            self.limits = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"]
                .map(|path| number(&mut Source::new(path)));
        }
        if let Some(states) = &self.last {
            emit(states, out);
        }
        for (name, value) in
            ["node_processes_max_processes", "node_processes_max_threads"].iter().zip(self.limits)
        {
            if let Some(value) = value {
                out.put(name, &[], value);
            }
        }
        result
    }
}

fn scan() -> Result<ProcessStates, String> {
    let mut states = ProcessStates::default();
    let dir = fs::read_dir("/proc").map_err(|e| format!("/proc: {e}"))?;
    for entry in dir.flatten().take(PROCESSES_MAX) {
        let name = entry.file_name();
        let Some(pid) = name.to_str().filter(|n| n.starts_with(|c: char| c.is_ascii_digit())) else {
            continue;
        };
        // A process that ends while we look is simply not counted.
        if let Ok(text) = read_once(format!("/proc/{pid}/stat"))
            && let Some(stat) = proc_stat::parse(&text)
        {
            states.add(&stat);
        }
    }
    Ok(states)
}

#[expect(clippy::cast_precision_loss, reason = "thread counts stay far below 2^53")]
fn emit(states: &ProcessStates, out: &mut Series) {
    let mut buffer = [0; 4];
    for (state, count) in STATES.iter().zip(states.counts) {
        let state: &str = state.encode_utf8(&mut buffer);
        out.put("node_processes_state", &[("state", state)], f64::from(count));
    }
    out.put("node_processes_pids", &[], f64::from(states.processes));
    out.put("node_processes_threads", &[], states.threads as f64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{any, value};

    #[test]
    fn every_process_of_this_machine_is_in_one_state() {
        let (mut out, mut processes) = (Series::default(), Processes::default());
        processes.read(true, &mut out).expect("there is /proc");
        let got = out.take();
        let sum: f64 = got.iter().filter(|(l, _)| l.name() == "node_processes_state").map(|(_, v)| v).sum();
        let pids = any(&got, "node_processes_pids").expect("always given");
        assert!(pids >= 1.0 && (sum - pids).abs() < 0.5);
        assert!(any(&got, "node_processes_threads") >= Some(pids));
        assert!(value(&got, r#"node_processes_state{state="Z"}"#).is_some(), "also when it is zero");
    }

    #[test]
    fn between_two_readings_the_last_count_is_given() {
        let (mut out, mut processes) = (Series::default(), Processes::default());
        processes.read(true, &mut out).expect("there is /proc");
        let first = out.take();
        processes.read(false, &mut out).expect("nothing is read");
        assert_eq!(first, out.take());
    }
}
