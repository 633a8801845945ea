//! Series that are compared with their own past: what grew or moved before the trouble was one.

use wellkept_model::keep::Keep;
use wellkept_model::{Cause, CauseKind, Prevention, PreventionKind, Text};

use super::patch::{Patch, quote};
use super::{made, service};

/// The proposal for causes that show in a series; `None` where it is declared already.
pub(super) fn of(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let of_service = |what: &str, metric: &str, key: &str| series(cause, keep, what, metric, key);
    match cause.kind {
        CauseKind::MemoryLeak => memory(cause, keep),
        CauseKind::OomKill => memory(cause, keep).or_else(|| memory_pressure(keep)),
        CauseKind::FdLeak => of_service("open files", "wellkept_service_open_fds", "prevention.descriptors"),
        CauseKind::ChildrenNotReaped => {
            of_service("processes", "wellkept_service_processes", "prevention.children")
        }
        CauseKind::CpuThrottled => {
            let rate =
                |name: &str| format!("rate(wellkept_service_cpu_seconds_total{{service=\"{name}\"}}[1m])");
            of_rate(cause, keep, "processor time", rate, "prevention.processor_time")
        }
        CauseKind::LogFlood => {
            let rate = |name: &str| format!("sum(rate(log_lines_total{{service=\"{name}\"}}[1m]))");
            of_rate(cause, keep, "log lines", rate, "prevention.log_lines")
        }
        CauseKind::CpuContention | CauseKind::RunawayFork => {
            let query = "rate(node_pressure_cpu_waiting_seconds_total[1m])";
            alert(keep, "waiting for a processor", query, Text::new("prevention.pressure"))
        }
        CauseKind::MemoryThrash => memory_pressure(keep),
        CauseKind::DiskIoSaturation => {
            let query = "rate(node_pressure_io_waiting_seconds_total[1m])";
            alert(keep, "waiting for a disk", query, Text::new("prevention.io_pressure"))
        }
        CauseKind::DeletedOpenFile => {
            let query = "1 - node_filesystem_avail_bytes / node_filesystem_size_bytes";
            alert(keep, "space in use", query, Text::new("prevention.space"))
        }
        CauseKind::NatTableFull => {
            let query = "node_nf_conntrack_entries / node_nf_conntrack_entries_limit";
            alert(keep, "tracked connections", query, Text::new("prevention.tracked"))
        }
        CauseKind::LinkDegraded | CauseKind::LinkDown => {
            let query =
                "rate(node_network_receive_errs_total[5m]) + rate(node_network_carrier_changes_total[5m])";
            alert(keep, "errors of links", query, Text::new("prevention.link_errors"))
        }
        _ => {
            let query = "rate(node_netstat_Tcp_RetransSegs[1m])";
            alert(keep, "segments sent again", query, Text::new("prevention.retransmissions"))
        }
    }
}

pub(super) fn memory(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    series(cause, keep, "memory", "wellkept_service_resident_memory_bytes", "prevention.memory")
}

fn memory_pressure(keep: &Keep) -> Option<Prevention> {
    let query = "rate(node_pressure_memory_waiting_seconds_total[1m])";
    alert(keep, "waiting for memory", query, Text::new("prevention.memory_pressure"))
}

/// Compares one of a service's series with its own past.
pub(super) fn series(cause: &Cause, keep: &Keep, what: &str, metric: &str, key: &str) -> Option<Prevention> {
    of_rate(cause, keep, what, |name| format!("{metric}{{service=\"{name}\"}}"), key)
}

/// The name of a service has no character that would end the quotes.
fn of_rate(
    cause: &Cause,
    keep: &Keep,
    what: &str,
    query: impl Fn(&str) -> String,
    key: &str,
) -> Option<Prevention> {
    let name = &service(cause, keep)?.name;
    alert(keep, &format!("{what} of {name}"), &query(name), Text::new(key).with("name", name))
}

fn alert(keep: &Keep, name: &str, query: &str, text: Text) -> Option<Prevention> {
    if keep.unusual.iter().any(|rule| rule.query == query || rule.name == name) {
        return None;
    }
    let patch = Patch::at(&["unusual"])
        .line(1, &format!("- name: {}", quote(name)))
        .line(2, &format!("query: {}", quote(query)))
        .line(2, "score: 8")
        .line(2, "hold: 1m");
    Some(made(PreventionKind::Alert, text, patch))
}
