//! Logs: stored bytes beside zstd, search beside ripgrep, mining beside Drain3, and how soon a line is seen live.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::table::{Table, cell, median};
use super::{Bed, Report, venv};
use crate::workspace::cargo;
use crate::{clock, http, process};

/// The peers' script and the logs that it cycles, relative to the workspace. They are not part of the repository.
const SCRIPT: &str = "../shared/peers/logs.sh";
const LOGS: &str = "../shared/data/loghub2k";
/// The peer of the miner, a Python package.
const DRAIN: &str = "drain3==0.9.11";
/// Lines that are written for the live tail.
const LIVE: usize = 200;
/// Bytes of the raw file that is searched, at least.
const GIGABYTE: usize = 1_000_000_000;
/// Folder of the lines in a data directory.
const STORE: &str = "logstore";
/// Searches for each word.
const SEARCHES: usize = 9;
/// Longest wait for one line.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(bed: &Bed) -> Result<Report> {
    let mut report = Report {
        how: format!(
            "`{SCRIPT}` cycles the lines of `{LOGS}`, half of the longer numbers replaced by random ones. Ours is the whole \
             house: split, counted, watched, stored; its miner alone is measured by `logmine_speed`. Live: from the \
             write to a file until the server-sent event."
        ),
        table: Table::new(&["", "wellkept", "peer", "which"]),
        versions: vec!["wellkept (this tree)".into()],
        ..Report::default()
    };
    let product = bed.product()?;
    let live = live(bed, &product)?;
    report.table.row([
        "write to live tail, median".to_owned(),
        cell(median(&live), 1, "ms"),
        cell(None, 1, ""),
        String::new(),
    ]);
    let mined = mining(bed)?;
    let beside = peers(bed, &mut report)?;
    let mut searched = None;
    if let Some(figures) = &beside {
        rows(figures, mined, &mut report.table);
        searched = Some(search(bed, &product, &mut report.table)?);
    }
    report.figures =
        json!({"live_ms": live, "mined_lines_per_s": mined, "beside_peers": beside, "search_1gb": searched});
    Ok(report)
}

/// What the example of the miner prints: lines per second of one thread.
fn mining(bed: &Bed) -> Result<Option<f64>> {
    let folder = bed.workspace.root.join(LOGS);
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut command = cargo(&bed.workspace.root);
    command
        .args(["run", "--release", "--locked", "-p", "wellkept-logmine", "--example", "logmine_speed", "--"])
        .arg(&folder);
    let text = process::output(&mut command)?;
    let per_second = text.split_whitespace().collect::<Vec<_>>();
    let at = per_second.iter().position(|w| w.starts_with("lines/s"));
    Ok(at.and_then(|at| per_second.get(at.checked_sub(1)?)?.replace('_', "").parse().ok()))
}

fn peers(bed: &Bed, report: &mut Report) -> Result<Option<Value>> {
    let script = bed.workspace.root.join(SCRIPT);
    for (there, what) in [
        (script.is_file(), format!("there is no script at {SCRIPT}")),
        (process::on_path("python3"), super::not_installed("python3")),
        (process::on_path("rg"), super::not_installed("rg")),
        (process::on_path("zstd"), super::not_installed("zstd")),
    ] {
        if !there {
            report.skipped.push(what);
            return Ok(None);
        }
    }
    let python = match venv::of(bed, "logs", &[DRAIN])? {
        Some(venv) => venv.join("bin/python"),
        None => {
            report.skipped.push(format!("{DRAIN} is not there; `cargo xtask bench logs --install`"));
            "python3".into()
        }
    };
    let mut build = cargo(&bed.workspace.root);
    build.args(["build", "--release", "--locked", "-p", "wellkept-logs", "--example", "loghouse"]);
    ensure!(process::stream(&mut build)?.status.success(), "`loghouse` does not build");
    let house = bed.workspace.target.join("release/examples/loghouse");
    let mut command = Command::new("bash");
    command
        .arg(&script)
        .env("PYTHON", python)
        .env("WORK", bed.folder("logs-peers")?)
        .env("LOG_DIR", flat(bed)?)
        .env("DRAIN_SECONDS", "20")
        // The script removes its folder; the gigabyte is made of its lines.
        .env("OURS_PACK", format!("ln $RAW {} && {} pack $RAW $STORE", raw(bed)?.display(), house.display()))
        .env("OURS_SEARCH", format!("{} count $STORE $WORD", house.display()));
    let text = process::output(&mut command)?;
    let last = text.lines().next_back().unwrap_or_default();
    report.versions.extend(process::version("rg", "--version"));
    report.versions.extend(process::version("zstd", "--version"));
    Ok(Some(serde_json::from_str(last).with_context(|| format!("not JSON: {last:?}"))?))
}

/// Where the script's raw file is kept.
fn raw(bed: &Bed) -> Result<std::path::PathBuf> {
    Ok(bed.folder("logs-raw")?.join("raw.log"))
}

/// The script wants all files in one folder.
fn flat(bed: &Bed) -> Result<std::path::PathBuf> {
    let flat = bed.folder("logs-flat")?;
    let from = bed.workspace.root.join(LOGS);
    for system in std::fs::read_dir(&from).with_context(|| format!("cannot read {}", from.display()))? {
        let system = system?.path();
        for file in std::fs::read_dir(&system).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.ends_with("_2k.log") {
                std::fs::copy(file.path(), flat.join(&name)).context("a log cannot be copied")?;
            }
        }
    }
    Ok(flat)
}

fn rows(figures: &Value, mined: Option<f64>, table: &mut Table) {
    let of = |path: &str| figures.pointer(path).and_then(Value::as_f64);
    let mut row = |what: &str, ours: String, theirs: String, which: &str| {
        table.row([what.to_owned(), ours, theirs, which.to_owned()]);
    };
    let drain = of("/drain3_masked/lines_per_s");
    row("lines mined per second", cell(mined, 0, ""), cell(drain, 0, ""), "Drain3 with its masks");
    let size = |ratio: Option<f64>| ratio.zip(of("/raw_MB")).map(|(r, mb)| mb / r);
    row(
        "bytes on disk",
        cell(size(of("/ours_ratio")), 1, "MB"),
        cell(of("/zstd-19/MB"), 1, "MB"),
        "zstd -19, not searchable",
    );
}

/// A gigabyte of raw lines, searched by the command line in a running server and by ripgrep, in turn.
fn search(bed: &Bed, product: &Path, table: &mut Table) -> Result<Value> {
    let work = bed.folder("logs-search")?;
    let one = std::fs::read(raw(bed)?).context("the script left no raw file")?;
    let raw = work.join("raw-1gb.log");
    let mut whole = std::fs::File::create(&raw).context("no room for a raw file of a gigabyte")?;
    for _ in 0..GIGABYTE.div_ceil(one.len()) {
        whole.write_all(&one)?;
    }
    let data = work.join("data");
    // The product makes its own folder; the packed store then takes the place of the empty one.
    drop(serve(product, &work, &data)?);
    std::fs::remove_dir_all(data.join(STORE)).context("the product made no store of lines")?;
    let mut pack = Command::new(bed.workspace.target.join("release/examples/loghouse"));
    pack.arg("pack").arg(&raw).arg(data.join(STORE));
    ensure!(process::stream(&mut pack)?.status.success(), "the raw file could not be packed");
    let (_up, address) = serve(product, &work, &data)?;
    let mut figures = serde_json::Map::new();
    for (name, word) in [("rare", "kept-rare-token"), ("common", "error")] {
        let mut took = (Vec::new(), Vec::new());
        for _ in 0..SEARCHES {
            let query = format!("{{filename=\"{}\"}} |= \"{word}\"", raw.display());
            let mut ours = Command::new(product);
            ours.args(["logs", "search", "--count", &query, "--from", "0", "--address", &address]);
            let mut theirs = Command::new("rg");
            theirs.args(["-c", "-F", word]).arg(&raw);
            let (a, b) = (timed(&mut ours, &mut took.0)?, timed(&mut theirs, &mut took.1)?);
            ensure!(a.trim() == b.trim(), "{word}: {} lines found, ripgrep found {}", a.trim(), b.trim());
        }
        let (ours, theirs) = (median(&took.0), median(&took.1));
        table.row([
            format!("{name} word, 1 GB"),
            cell(ours, 1, "ms"),
            cell(theirs, 1, "ms"),
            "ripgrep on the raw file; ours is the command line, asking a running server".to_owned(),
        ]);
        figures.insert(name.to_owned(), json!({"ours_ms": took.0, "rg_ms": took.1}));
    }
    std::fs::remove_file(&raw)?;
    Ok(Value::Object(figures))
}

/// A server over a data directory, and its address.
fn serve(product: &Path, work: &Path, data: &Path) -> Result<(process::Beside, String)> {
    let port = http::free_port()?;
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(product);
    command.args(["up", "--listen", &address, "--data-dir"]).arg(data);
    let mut up = process::Beside::start_quietly(&mut command, work.join("up.log"))?;
    up.wait_ready(Duration::from_secs(60), || http::answers(port, "/-/ready"))?;
    Ok((up, address))
}

fn timed(command: &mut Command, took: &mut Vec<f64>) -> Result<String> {
    let begin = clock::now();
    let text = process::output(command)?;
    took.push(begin.elapsed().as_secs_f64() * 1e3);
    Ok(text)
}

/// Milliseconds from the write of a line until it comes out of a live tail.
fn live(bed: &Bed, product: &Path) -> Result<Vec<f64>> {
    let folder = bed.folder("logs-live")?;
    let (log, keep, port) = (folder.join("app.log"), folder.join("k.yml"), http::free_port()?);
    let text = format!(
        "logs: {{ files: [{{ path: {}, service: app }}], journal: false, containers: false }}\n",
        log.display()
    );
    std::fs::write(&keep, text).context("the keep file cannot be written")?;
    std::fs::write(&log, "begin\n").context("the log cannot be written")?;
    let mut command = Command::new(product);
    command
        .args(["up", "--listen", &format!("127.0.0.1:{port}"), "--keep"])
        .arg(&keep)
        .arg("--data-dir")
        .arg(folder.join("data"));
    let mut up = process::Beside::start_quietly(&mut command, folder.join("up.log"))?;
    up.wait_ready(Duration::from_secs(30), || http::answers(port, "/-/ready"))?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /api/v1/logs/tail HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        ensure!(reader.read_line(&mut line)? > 0, "the live tail ended");
    }
    let mut file = std::fs::OpenOptions::new().append(true).open(&log)?;
    let mut took = Vec::with_capacity(LIVE);
    for i in 0..LIVE {
        let word = format!("live-{i}-");
        let begin = clock::now();
        writeln!(file, "{word} request took {} ms", i * 3)?;
        loop {
            line.clear();
            ensure!(reader.read_line(&mut line)? > 0, "the live tail ended");
            if line.contains(&word) {
                break;
            }
        }
        took.push(begin.elapsed().as_secs_f64() * 1e3);
        // Not in step with anything of ours.
        std::thread::sleep(Duration::from_millis(5 + (i as u64 * 7919) % 40));
    }
    Ok(took)
}
