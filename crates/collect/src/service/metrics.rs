//! `wellkept_service_*`: the numbers of a service as series.
//!
//! `wellkept_service_cpu_seconds_total` counts processes that are gone as well, so it does not fall when one of
//! several ends. Time that a process used after our last look at it is lost to the count.

use crate::series::Series;

use super::tracked::Tracked;

/// Emits the series of one service. Only what is known: a service that is down has no memory and no start time.
#[expect(clippy::cast_precision_loss, reason = "samples are 64-bit floats; exact up to 8 PiB")]
pub(super) fn emit(service: &str, tracked: &mut Tracked, out: &mut Series) {
    let pairs = [("service", service)];
    if !tracked.looked() {
        return;
    }
    let processes = tracked.processes();
    out.put("wellkept_service_up", &pairs, f64::from(!processes.is_empty()));
    out.put("wellkept_service_processes", &pairs, processes.len() as f64);
    out.put("wellkept_service_starts_total", &pairs, tracked.starts_total() as f64);
    out.put("wellkept_service_cpu_seconds_total", &pairs, tracked.cpu_seconds());
    if let Some(main) = processes.first() {
        let sum = |f: fn(&wellkept_model::observe::ProcessSeen) -> u64| {
            processes.iter().map(|p| f(&p.seen)).sum::<u64>() as f64
        };
        out.put("wellkept_service_resident_memory_bytes", &pairs, sum(|p| p.rss_bytes));
        out.put("wellkept_service_threads", &pairs, sum(|p| p.threads));
        if processes.iter().all(|p| p.seen.open_fds.is_some()) {
            out.put("wellkept_service_open_fds", &pairs, sum(|p| p.open_fds.unwrap_or(0)));
        }
        out.put("wellkept_service_start_time_seconds", &pairs, main.seen.started_at.as_seconds());
    }
    if let Some((group, limits)) = tracked.group() {
        group.emit(&pairs, out, limits);
    }
}
