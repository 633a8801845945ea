//! The store beside Prometheus and VictoriaMetrics, under one sender: what the script of the peers measures.
//!
//! The script is not part of the repository. It starts all three on loopback, one after the other, sends them the
//! same requests, asks them the same queries, kills them and looks what is left. We read its last line.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::super::Bed;
use super::super::table::{Table, cell};
use crate::process;

/// The script, relative to the workspace.
const SCRIPT: &str = "../shared/peers/tsdb.sh";
/// Whom the columns are about.
pub(super) const HEAD: [&str; 4] = ["", "wellkept", "prometheus", "victoria-metrics"];
/// How the script calls the three.
const SERVERS: [&str; 3] = ["ours", "prometheus", "victoriametrics"];

/// One row: what, where in a server's part of the document, decimal places, unit.
type Row = (&'static str, &'static str, usize, &'static str);

const ROWS: [Row; 10] = [
    ("bytes per sample, fleet", "/storage/B_per_sample", 3, ""),
    ("samples per second", "/ingest/samples_per_s", 0, ""),
    ("CPU per million samples", "/ingest/cpu_s_per_M_during", 3, "s"),
    ("the same with 12 s after", "/ingest/cpu_s_per_M_with_12s_after", 3, "s"),
    ("answer, median", "/ingest/req_ms_p50", 1, "ms"),
    ("answer, p99", "/ingest/req_ms_p99", 1, "ms"),
    ("peak memory", "/ingest/peak_rss_MiB", 0, "MiB"),
    ("lost by kill -9 after the answer", "/acknowledged_samples_lost_by_kill9", 0, ""),
    ("start after kill -9", "/restart_after_kill9_s", 2, "s"),
    ("memory after that start", "/restart_rss_MiB", 0, "MiB"),
];

/// Runs the script; `None` with the reason when it cannot be run here.
pub(super) fn run(bed: &Bed, recording: &Path) -> Result<Result<Value, String>> {
    let script = bed.workspace.root.join(SCRIPT);
    if !script.is_file() {
        return Ok(Err(format!("there is no script at {SCRIPT}")));
    }
    for program in ["python3", "prometheus", "victoria-metrics"] {
        if !process::on_path(program) {
            return Ok(Err(super::super::not_installed(program)));
        }
    }
    let product = bed.product()?;
    let ours = format!("{} up --no-collect --listen 127.0.0.1:$PORT --data-dir $DIR", product.display());
    let mut command = Command::new("bash");
    command
        .arg(&script)
        .arg(recording)
        .env("WORK", bed.folder("store-peers")?)
        .env("OURS", ours)
        .env("OURS_IMPORT", "/api/v1/import/prometheus")
        .env("OURS_FLUSH", "/api/v1/admin/flush");
    let text = process::output(&mut command)?;
    let last = text.lines().next_back().unwrap_or_default();
    Ok(Ok(serde_json::from_str(last).with_context(|| format!("not JSON: {last:?}"))?))
}

/// Adds the document's figures to a table with the columns of [`HEAD`].
pub(super) fn rows(document: &Value, table: &mut Table) {
    for (name, part) in [("recording", "recording"), ("recording as five targets", "recording_as_5_targets")]
    {
        let of = |server: &str| document.pointer(&format!("/{part}/{server}/B_per_sample"))?.as_f64();
        if document.get(part).is_some() {
            row(table, &format!("bytes per sample, {name}"), of, 3, "");
        }
    }
    for (name, pointer, places, unit) in ROWS {
        row(table, name, |s| document.get(s)?.pointer(pointer)?.as_f64(), places, unit);
    }
    for query in queries(document) {
        for (label, key) in [("median", "median_ms"), ("p95", "p95_ms")] {
            let of = |s: &str| document.get(s)?.get("queries")?.get(&query)?.get(key)?.as_f64();
            row(table, &format!("{query}, {label}"), of, 1, "ms");
        }
    }
}

fn row(table: &mut Table, name: &str, of: impl Fn(&str) -> Option<f64>, places: usize, unit: &str) {
    let cells = SERVERS.iter().map(|s| cell(of(s), places, unit).trim().to_owned());
    table.row(std::iter::once(name.to_owned()).chain(cells));
}

/// Names of all queries that any server was asked.
fn queries(document: &Value) -> Vec<String> {
    let of = |s: &&str| document.get(s).and_then(|d| d.get("queries")).and_then(Value::as_object);
    SERVERS.iter().find_map(of).map(|q| q.keys().cloned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_figure_of_the_document_finds_its_cell() {
        let server = |n: f64| {
            json!({"storage": {"B_per_sample": n}, "ingest": {"samples_per_s": n * 1e6},
                "acknowledged_samples_lost_by_kill9": 0,
                "queries": {"topk": {"median_ms": n, "p95_ms": n * 2.0}}})
        };
        let document = json!({
            "recording": {"ours": {"B_per_sample": 0.4}, "prometheus": {"B_per_sample": 2.9}},
            "ours": server(1.0), "prometheus": server(3.0),
        });
        let mut table = Table::new(&HEAD);
        rows(&document, &mut table);
        let text = table.to_string();
        let line = |start: &str| text.lines().find(|l| l.contains(start)).unwrap_or_default().to_owned();
        let recording = line("sample, recording");
        assert!(recording.contains("0.400") && recording.contains("2.900") && recording.contains('–'));
        assert!(line("samples per second").contains("3000000"));
        assert!(line("topk, p95").contains("6.0 ms"));
        assert!(line("lost by kill").contains("| 0 "));
    }
}
