//! What it costs to watch an idle host once a second: ours beside Prometheus with node_exporter.
//!
//! Both run at the same time and are read over the same window, so that whatever else the machine does burdens both.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::procstat::Usage;
use super::table::{Table, cell};
use super::{Bed, Report, not_installed};
use crate::process::{self, Beside};
use crate::{clock, http};

/// Time before the window, in which caches fill and allocators settle.
const WARM_UP: Duration = Duration::from_secs(20);
/// How long a program may take to become ready.
const READY_MAX: Duration = Duration::from_secs(60);

/// One program under watch.
struct Watched {
    name: &'static str,
    running: Beside,
}

/// What one program cost over the window.
struct Cost {
    name: &'static str,
    /// Per cent of one core.
    cpu_percent: f64,
    rss_mib: f64,
    /// KB (1000 bytes) a second.
    disk_kb_s: Option<f64>,
}

pub(super) fn run(bed: &Bed) -> Result<Report> {
    let (ours, ours_port) = start_ours(bed)?;
    let mut watched = vec![ours];
    let mut report = Report { versions: vec!["wellkept (this tree)".into()], ..Report::default() };
    let peer_port = start_peers(bed, &mut watched, &mut report)?;
    std::thread::sleep(WARM_UP);
    let costs = measure(&mut watched, Duration::from_secs(bed.options.seconds))?;
    let our_series = series(ours_port, "/api/v1/overview", &["series"]);
    let peer_series =
        peer_port.and_then(|port| series(port, "/api/v1/status/tsdb", &["data", "headStats", "numSeries"]));
    let (ours, peers) = costs.split_first().context("nothing was measured")?;
    report.how = format!(
        "One second resolution, {} s after {} s of warm-up, all at the same time; CPU in per cent of one core.",
        bed.options.seconds,
        WARM_UP.as_secs()
    );
    report.table = table(ours, peers, our_series, peer_series);
    report.figures = json!({
        "window_seconds": bed.options.seconds,
        "wellkept": figures(std::slice::from_ref(ours), our_series),
        "prometheus_and_node_exporter": figures(peers, peer_series),
    });
    Ok(report)
}

fn start_ours(bed: &Bed) -> Result<(Watched, u16)> {
    let program = bed.product()?;
    let port = http::free_port()?;
    let mut command = Command::new(program);
    command
        .args(["up", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(bed.folder("idle-ours")?);
    let mut running = Beside::start(&mut command)?;
    running.wait_ready(READY_MAX, || http::answers(port, "/-/ready"))?;
    Ok((Watched { name: "wellkept", running }, port))
}

/// The port of Prometheus, when both peers are installed.
fn start_peers(bed: &Bed, watched: &mut Vec<Watched>, report: &mut Report) -> Result<Option<u16>> {
    let (exporter, prometheus) = ("prometheus-node-exporter", "prometheus");
    for program in [exporter, prometheus] {
        if !process::on_path(program) {
            report.skipped.push(not_installed(program));
            return Ok(None);
        }
        report.versions.extend(process::version(program, "--version"));
    }
    let (target, port) = (http::free_port()?, http::free_port()?);
    let folder = bed.folder("idle-prometheus")?;
    let mut command = Command::new(exporter);
    command.arg(format!("--web.listen-address=127.0.0.1:{target}"));
    let mut running = Beside::start_quietly(&mut command, folder.join("exporter.log"))?;
    running.wait_ready(READY_MAX, || http::answers(target, "/metrics"))?;
    watched.push(Watched { name: "node_exporter", running });
    let mut command = prometheus_command(prometheus, &folder, target, port)?;
    let mut running = Beside::start_quietly(&mut command, folder.join("prometheus.log"))?;
    running.wait_ready(READY_MAX, || http::answers(port, "/-/ready"))?;
    watched.push(Watched { name: "prometheus", running });
    Ok(Some(port))
}

fn prometheus_command(program: &str, folder: &Path, target: u16, port: u16) -> Result<Command> {
    let config = folder.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n- job_name: node\n  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
    );
    std::fs::write(&config, text).with_context(|| format!("failed to write {}", config.display()))?;
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--log.level=error");
    Ok(command)
}

fn measure(watched: &mut [Watched], window: Duration) -> Result<Vec<Cost>> {
    let read = |all: &[Watched]| -> Result<Vec<Usage>> {
        all.iter()
            .map(|w| Usage::read(w.running.pid()).with_context(|| format!("{} is gone", w.name)))
            .collect()
    };
    let before = read(watched)?;
    let start = clock::now();
    std::thread::sleep(window);
    let after = read(watched)?;
    let seconds = start.elapsed().as_secs_f64();
    let cost = |((w, a), b): ((&Watched, Usage), Usage)| Cost {
        name: w.name,
        cpu_percent: (b.cpu_seconds - a.cpu_seconds) / seconds * 100.0,
        rss_mib: b.rss_bytes as f64 / f64::from(1 << 20),
        disk_kb_s: a
            .written_bytes
            .zip(b.written_bytes)
            .map(|(a, b)| b.saturating_sub(a) as f64 / seconds / 1e3),
    };
    Ok(watched.iter().zip(before).zip(after).map(cost).collect())
}

/// How many series a server holds, from its own mouth.
fn series(port: u16, path: &str, keys: &[&str]) -> Option<u64> {
    let document = http::json(port, path).ok()?;
    keys.iter().fold(&document, |value, key| &value[*key]).as_u64()
}

fn table(ours: &Cost, peers: &[Cost], our_series: Option<u64>, peer_series: Option<u64>) -> Table {
    let sum = |of: fn(&Cost) -> f64| (!peers.is_empty()).then(|| peers.iter().map(of).sum::<f64>());
    let disk =
        |all: &[Cost]| all.iter().map(|c| c.disk_kb_s).sum::<Option<f64>>().filter(|_| !all.is_empty());
    let count = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), |n| n.to_string());
    let mut table = Table::new(&["", "wellkept", "prometheus + node_exporter"]);
    let mut row = |what: &str, ours: String, theirs: String| table.row([what.to_owned(), ours, theirs]);
    row("CPU", cell(Some(ours.cpu_percent), 2, "%"), cell(sum(|c| c.cpu_percent), 2, "%"));
    row("RSS", cell(Some(ours.rss_mib), 1, "MiB"), cell(sum(|c| c.rss_mib), 1, "MiB"));
    row("disk writes", cell(disk(std::slice::from_ref(ours)), 1, "KB/s"), cell(disk(peers), 1, "KB/s"));
    row("series", count(our_series), count(peer_series));
    table
}

fn figures(costs: &[Cost], series: Option<u64>) -> Value {
    let parts: Vec<Value> = costs
        .iter()
        .map(|c| {
            json!({"name": c.name, "cpu_percent_of_a_core": c.cpu_percent, "rss_mib": c.rss_mib,
                   "disk_kb_per_second": c.disk_kb_s})
        })
        .collect();
    json!({"processes": parts, "series": series})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(cpu_percent: f64, rss_mib: f64, disk_kb_s: Option<f64>) -> Cost {
        Cost { name: "x", cpu_percent, rss_mib, disk_kb_s }
    }

    #[test]
    fn the_peers_are_added_up() {
        let peers = [cost(0.5, 20.0, Some(1.0)), cost(0.7, 40.0, Some(2.0))];
        let text = table(&cost(0.6, 50.0, Some(4.0)), &peers, Some(500), None).to_string();
        for part in ["0.60 %", "1.20 %", "60.0 MiB", "3.0 KB/s", "500", "–"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn without_peers_their_column_is_dashes() {
        let text = table(&cost(0.6, 50.0, None), &[], None, None).to_string();
        assert_eq!(text.matches('–').count(), 6, "{text}");
    }

    #[test]
    fn the_cost_of_a_busy_program_is_about_a_core() {
        let mut busy = Command::new("sh");
        let running = Beside::start(busy.args(["-c", "while :; do :; done"])).unwrap();
        let costs = measure(&mut [Watched { name: "busy", running }], Duration::from_millis(500)).unwrap();
        assert!(costs[0].cpu_percent > 5.0, "{}", costs[0].cpu_percent);
    }
}
