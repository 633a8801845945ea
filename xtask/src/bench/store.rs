//! The store: bytes per sample of a recorded host, and everything that the peers' script measures.

mod peers;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::metrics::Recording;
use super::table::{Table, cell};
use super::{Bed, Report, not_installed};
use crate::process;
use crate::workspace::cargo;

/// The recording, relative to the workspace. It is not part of the repository.
const RECORDING: &str = "../shared/data/recording/host-1s.txt.gz";
/// How many targets are interleaved.
const TARGETS: [u32; 2] = [1, 5];

pub(super) fn run(bed: &Bed) -> Result<Report> {
    let mut report = Report {
        how: format!(
            "The recording is `{RECORDING}`. The store alone: blocks only, index included; further targets are copies \
             with clocks of their own. All else: the whole data directory of a running server, as the peers' script \
             measures it."
        ),
        table: Table::new(&peers::HEAD),
        ..Report::default()
    };
    let path = bed.workspace.root.join(RECORDING);
    if !path.is_file() {
        report.skipped.push(format!("there is no recording at {RECORDING}"));
        return Ok(report);
    }
    let text = process::output(Command::new("gzip").arg("-dc").arg(&path))?;
    let plain = bed.folder("store-recording")?.join("recording.txt");
    std::fs::write(&plain, &text).context("failed to write the recording")?;
    let recording = Recording::parse(&text)?;
    let promtool = process::on_path("promtool");
    if promtool {
        report.versions.extend(process::version("promtool", "--version"));
    } else {
        report.skipped.push(not_installed("prometheus"));
    }
    let mut figures = Vec::new();
    for targets in TARGETS {
        let ours = ours(bed, &plain, targets)?;
        let theirs = promtool.then(|| prometheus(bed, &recording, targets)).transpose()?;
        let what = format!("bytes per sample, store alone, targets: {targets}");
        report.table.row([what, cell(Some(ours), 3, ""), cell(theirs, 3, ""), cell(None, 3, "")]);
        figures.push(json!({"targets": targets, "wellkept": ours, "prometheus": theirs}));
    }
    report.versions.push("wellkept-tsdb (this tree)".into());
    let beside = match peers::run(bed, &plain)? {
        Ok(document) => {
            peers::rows(&document, &mut report.table);
            report.versions.extend(process::version("victoria-metrics", "-version"));
            document
        }
        Err(reason) => {
            report.skipped.push(reason);
            Value::Null
        }
    };
    report.figures = json!({
        "samples_per_target": recording.samples(), "bytes_per_sample": figures, "beside_peers": beside,
    });
    Ok(report)
}

/// The example of the store's crate prints one JSON object on its last line.
fn ours(bed: &Bed, recording: &Path, targets: u32) -> Result<f64> {
    ensure!(bed.workspace.has("wellkept-tsdb"), "there is no crate `wellkept-tsdb` in this workspace yet");
    let mut command = cargo(&bed.workspace.root);
    command
        .args(["run", "--release", "--locked", "-p", "wellkept-tsdb", "--example", "bytes_per_sample", "--"])
        .arg(recording)
        .args(["--targets", &targets.to_string()]);
    let text = process::output(&mut command)?;
    let last = text.lines().next_back().unwrap_or_default();
    let value: Value = serde_json::from_str(last).with_context(|| format!("not JSON: {last:?}"))?;
    value["bytes_per_sample"].as_f64().with_context(|| format!("no `bytes_per_sample` in {last}"))
}

fn prometheus(bed: &Bed, recording: &Recording, targets: u32) -> Result<f64> {
    let folder = bed.folder(&format!("store-prometheus-{targets}"))?;
    let (input, blocks) = (folder.join("recording.om"), folder.join("blocks"));
    std::fs::write(&input, recording.open_metrics(targets))
        .context("failed to write the OpenMetrics text")?;
    let mut command = Command::new("promtool");
    command.args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"]).arg(&input).arg(&blocks);
    process::output(&mut command)?;
    let (bytes, samples) = measure_blocks(&blocks)?;
    let wanted = recording.samples() * u64::from(targets);
    ensure!(samples == wanted, "Prometheus stored {samples} samples, not {wanted}");
    Ok(bytes as f64 / samples as f64)
}

/// Bytes of all files of all blocks, and the samples that the blocks say they hold.
fn measure_blocks(folder: &Path) -> Result<(u64, u64)> {
    let (mut bytes, mut samples) = (0, 0);
    for block in entries(folder)? {
        let Ok(meta) = std::fs::read_to_string(block.join("meta.json")) else { continue };
        let meta: Value = serde_json::from_str(&meta).context("a block's meta.json is no JSON")?;
        samples += meta["stats"]["numSamples"].as_u64().context("a block does not say how much it holds")?;
        bytes += size(&block)?;
    }
    Ok((bytes, samples))
}

fn size(path: &Path) -> Result<u64> {
    if path.is_file() {
        return Ok(path.metadata()?.len());
    }
    entries(path)?.iter().map(|entry| size(entry)).sum()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect()
    };
    read().with_context(|| format!("failed to list {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocks_count_with_all_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let chunks = folder.path().join("B1/chunks");
        std::fs::create_dir_all(&chunks).unwrap();
        std::fs::create_dir_all(folder.path().join("wal")).unwrap();
        std::fs::write(folder.path().join("wal/0"), "not counted").unwrap();
        std::fs::write(chunks.join("000001"), [0; 100]).unwrap();
        let meta = r#"{"stats":{"numSamples":7}}"#;
        std::fs::write(folder.path().join("B1/meta.json"), meta).unwrap();
        assert_eq!(measure_blocks(folder.path()).unwrap(), (100 + meta.len() as u64, 7));
    }
}
