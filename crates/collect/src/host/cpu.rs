//! `/proc/stat`, `/proc/loadavg`, `/proc/schedstat`, `/proc/net/softnet_stat`: what the processors do.

use super::{parse, words};
use crate::series::Series;
use crate::source::Source;

/// Modes in the order of `/proc/stat`; the two last ones are part of `user` and `nice` already.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

#[derive(Debug)]
pub(super) struct Cpu {
    stat: Source,
    loadavg: Source,
    schedstat: Source,
    softnet: Source,
    /// Highest value seen per processor and column: idle and iowait can step back in the kernel, a counter may not.
    highest: Vec<[f64; 10]>,
    ticks_per_second: f64,
}

impl Default for Cpu {
    fn default() -> Self {
        #[expect(clippy::cast_precision_loss, reason = "100 on every Linux that runs today")]
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        Self {
            stat: Source::new("/proc/stat"),
            loadavg: Source::new("/proc/loadavg"),
            schedstat: Source::new("/proc/schedstat"),
            softnet: Source::new("/proc/net/softnet_stat"),
            highest: Vec::new(),
            ticks_per_second,
        }
    }
}

impl Cpu {
    pub(super) fn read(&mut self, out: &mut Series) -> Result<(), String> {
        emit_stat(self.stat.text()?, self.ticks_per_second, &mut self.highest, out);
        emit_loadavg(self.loadavg.text()?, out);
        if let Ok(text) = self.schedstat.read() {
            emit_schedstat(text, out);
        }
        if let Ok(text) = self.softnet.read() {
            emit_softnet(text, out);
        }
        Ok(())
    }
}

fn emit_stat(text: &str, ticks: f64, highest: &mut Vec<[f64; 10]>, out: &mut Series) {
    let mut nth = 0;
    for line in text.lines() {
        let mut fields = words(line);
        let Some(key) = fields.next() else { continue };
        let name = match key {
            "intr" => "node_intr_total",
            "ctxt" => "node_context_switches_total",
            "processes" => "node_forks_total",
            "procs_running" => "node_procs_running",
            "procs_blocked" => "node_procs_blocked",
            "btime" => "node_boot_time_seconds",
            _ => {
                if let Some(cpu) = key.strip_prefix("cpu").filter(|c| !c.is_empty()) {
                    if highest.len() <= nth {
                        highest.push([0.0; 10]);
                    }
                    if let Some(columns) = highest.get_mut(nth) {
                        emit_cpu(cpu, fields, ticks, columns, out);
                    }
                    nth += 1;
                }
                continue;
            }
        };
        if let Some(value) = fields.next().and_then(parse) {
            out.put(name, &[], value);
        }
    }
    // A processor was taken offline: the lines moved, so what we hold belongs to others.
    if highest.len() > nth {
        highest.clear();
    }
}

fn emit_cpu<'a>(
    cpu: &str,
    fields: impl Iterator<Item = &'a str>,
    ticks: f64,
    highest: &mut [f64; 10],
    out: &mut Series,
) {
    for (slot, field) in highest.iter_mut().zip(fields) {
        *slot = slot.max(parse(field).unwrap_or(0.0));
    }
    for (mode, value) in MODES.iter().zip(highest.iter()) {
        out.put("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], value / ticks);
    }
    for (mode, value) in ["user", "nice"].iter().zip(highest.iter().skip(MODES.len())) {
        out.put("node_cpu_guest_seconds_total", &[("cpu", cpu), ("mode", mode)], value / ticks);
    }
}

fn emit_loadavg(text: &str, out: &mut Series) {
    for (name, value) in ["node_load1", "node_load5", "node_load15"].iter().zip(words(text)) {
        if let Some(value) = parse(value) {
            out.put(name, &[], value);
        }
    }
}

fn emit_schedstat(text: &str, out: &mut Series) {
    for line in text.lines() {
        let mut fields = words(line);
        let Some(cpu) = fields.next().and_then(|k| k.strip_prefix("cpu")) else { continue };
        let mut rest = fields.skip(6).map_while(parse);
        if let (Some(running), Some(waiting), Some(slices)) = (rest.next(), rest.next(), rest.next()) {
            out.put("node_schedstat_running_seconds_total", &[("cpu", cpu)], running / 1e9);
            out.put("node_schedstat_waiting_seconds_total", &[("cpu", cpu)], waiting / 1e9);
            out.put("node_schedstat_timeslices_total", &[("cpu", cpu)], slices);
        }
    }
}

/// One line per processor in hexadecimal; the processor's number is the 13th column where there is one.
fn emit_softnet(text: &str, out: &mut Series) {
    let mut name = String::new();
    for (nth, line) in text.lines().enumerate() {
        let mut columns = words(line).map(|w| u32::from_str_radix(w, 16).unwrap_or(0));
        let (Some(processed), Some(dropped), Some(squeezed)) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let cpu = columns.nth(9).map_or(nth, |c| c as usize);
        name.clear();
        let _ = std::fmt::Write::write_fmt(&mut name, format_args!("{cpu}"));
        let pairs = [("cpu", name.as_str())];
        out.put("node_softnet_processed_total", &pairs, f64::from(processed));
        out.put("node_softnet_dropped_total", &pairs, f64::from(dropped));
        out.put("node_softnet_times_squeezed_total", &pairs, f64::from(squeezed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::value;

    const STAT: &str = "cpu  10 0 5 100 1 0 0 0 0 0\ncpu0 10 1 5 100 7 0 2 3 4 0\nintr 123 4 5 6\nctxt 99\nbtime 1700000000\nprocesses 42\nprocs_running 2\nprocs_blocked 1\nsoftirq 5 1\n";

    #[test]
    fn processor_time_is_in_seconds_by_mode() {
        let mut out = Series::default();
        emit_stat(STAT, 100.0, &mut Vec::new(), &mut out);
        let got = out.take();
        assert_eq!(value(&got, r#"node_cpu_seconds_total{cpu="0", mode="user"}"#), Some(0.1));
        assert_eq!(value(&got, r#"node_cpu_seconds_total{cpu="0", mode="iowait"}"#), Some(0.07));
        assert_eq!(value(&got, r#"node_cpu_guest_seconds_total{cpu="0", mode="user"}"#), Some(0.04));
        assert_eq!(value(&got, "node_intr_total"), Some(123.0));
        assert_eq!(value(&got, "node_procs_blocked"), Some(1.0));
        assert!(!got.iter().any(|(l, _)| l.get("cpu").is_empty() && l.name() == "node_cpu_seconds_total"));
    }

    #[test]
    fn a_counter_that_steps_back_in_the_kernel_does_not_step_back_here() {
        let (mut out, mut highest) = (Series::default(), Vec::new());
        emit_stat("cpu0 1 0 0 500 0 0 0 0 0 0\n", 100.0, &mut highest, &mut out);
        out.take();
        emit_stat("cpu0 2 0 0 490 0 0 0 0 0 0\n", 100.0, &mut highest, &mut out);
        let got = out.take();
        assert_eq!(value(&got, r#"node_cpu_seconds_total{cpu="0", mode="idle"}"#), Some(5.0));
        assert_eq!(value(&got, r#"node_cpu_seconds_total{cpu="0", mode="user"}"#), Some(0.02));
    }

    #[test]
    fn softnet_and_schedstat_are_read_per_processor() {
        let mut out = Series::default();
        emit_softnet("0000000a 00000001 00000002 0 0 0 0 0 0 0 0 0 00000003\n", &mut out);
        emit_schedstat("version 15\ncpu3 0 0 0 0 0 0 2000000000 1000000000 7\n", &mut out);
        let got = out.take();
        assert_eq!(value(&got, r#"node_softnet_processed_total{cpu="3"}"#), Some(10.0));
        assert_eq!(value(&got, r#"node_schedstat_running_seconds_total{cpu="3"}"#), Some(2.0));
    }
}
