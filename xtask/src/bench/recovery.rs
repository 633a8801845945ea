//! From `kill -9` of a service to its answering again: under monit at its shortest cycle, and under us.
//!
//! The kill comes at a random moment. Orphans come to us and are reaped at once: a zombie would look alive to whoever
//! looks for its pid, and in a container nobody else may ever reap it.

mod victim;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::table::{Table, cell, median};
use super::{Bed, Report, not_installed};
use crate::process::{self, Beside};
use crate::{clock, http};
use victim::Victim;

/// Longest wait for a service to answer again; a kill that takes longer counts as missed.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
/// Longest wait for our incidents to close before the next kill, so that deaths stay independent of each other.
const CALM_MAX: Duration = Duration::from_secs(60);
/// Monit's shortest cycle.
const CYCLE: Duration = Duration::from_secs(1);

/// Times of one series of kills.
#[derive(Debug, Default)]
struct Series {
    /// Kill to first answer, in ms.
    recovered: Vec<f64>,
    /// Kill to an open incident in the API, in ms.
    found: Vec<f64>,
    /// Kills after which the service did not come back in time.
    missed: usize,
}

pub(super) fn run(bed: &Bed) -> Result<Report> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("cannot adopt orphans")?;
    let product = bed.product()?;
    let repeat = bed.options.repeat;
    let start_alone = start_alone(bed, repeat)?;
    let mut report = Report {
        how: format!(
            "{repeat} kills at random moments; the service's own start takes {}.",
            cell(median(&start_alone), 1, "ms")
        ),
        versions: vec!["wellkept (this tree)".into()],
        ..Report::default()
    };
    let monit = if process::on_path("monit") {
        report.versions.extend(process::version("monit", "-V"));
        Some(under_monit(bed, repeat)?)
    } else {
        report.skipped.push(not_installed("monit"));
        None
    };
    let ours = under_wellkept(bed, &product, repeat)?;
    report.table = table(&ours, monit.as_ref());
    report.figures = json!({
        "repeat": repeat, "service_start_alone_ms": median(&start_alone),
        "wellkept": ours.figures(), "monit_cycle_1s": monit.as_ref().map(Series::figures),
    });
    Ok(report)
}

/// What nobody can be faster than.
fn start_alone(bed: &Bed, repeat: usize) -> Result<Vec<f64>> {
    let victim = Victim::new(&bed.folder("recovery-alone")?)?;
    (0..repeat)
        .map(|_| {
            let start = clock::now();
            victim.start(RECOVERY_MAX)?;
            let took = ms(start);
            victim.kill()?;
            Ok(took)
        })
        .collect()
}

fn under_monit(bed: &Bed, repeat: usize) -> Result<Series> {
    let folder = bed.folder("recovery-monit")?;
    let victim = Victim::new(&folder)?;
    let config = folder.join("monitrc");
    let (shown, port, pidfile) = (folder.display(), victim.port, victim.pidfile.display());
    let text = format!(
        "set daemon {}\nset pidfile {shown}/monit.pid\nset idfile {shown}/monit.id\nset statefile {shown}/monit.state\n\
         check process tiny with pidfile {pidfile}\n  start program = \"{}\"\n\
         \x20 if failed host 127.0.0.1 port {port} protocol http for 1 cycles then restart\n",
        CYCLE.as_secs(),
        victim.start_line(),
    );
    write(&config, &text)?;
    // Monit refuses a file that others may read.
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600))?;
    victim.start(RECOVERY_MAX)?;
    let _monit =
        Beside::start_quietly(Command::new("monit").args(["-I", "-c"]).arg(&config), folder.join("log"))?;
    std::thread::sleep(CYCLE * 3);
    kills(&victim, repeat, None)
}

fn under_wellkept(bed: &Bed, product: &Path, repeat: usize) -> Result<Series> {
    let folder = bed.folder("recovery-ours")?;
    let victim = Victim::new(&folder)?;
    let keep = folder.join("wellkept.yml");
    write(&keep, &keep_file(&victim))?;
    victim.start(RECOVERY_MAX)?;
    let port = http::free_port()?;
    let mut command = Command::new(product);
    command.args(["up", "--listen", &format!("127.0.0.1:{port}"), "--keep"]).arg(&keep);
    let mut ours = Beside::start(command.arg("--data-dir").arg(folder.join("data")))?;
    ours.wait_ready(RECOVERY_MAX, || http::answers(port, "/-/ready"))?;
    std::thread::sleep(CYCLE * 3);
    kills(&victim, repeat, Some(port))
}

/// A generous budget: the bench is about speed, and fifteen deaths are more than a person would allow.
fn keep_file(victim: &Victim) -> String {
    let Victim { port, pidfile, .. } = victim;
    format!(
        "services:\n  tiny:\n    pidfile: {}\n    start: {}\n\
         \x20   health: {{ http: 'http://127.0.0.1:{port}/', expect: 200, within: 1s }}\n\
         \x20   listens: ['127.0.0.1:{port}']\n    may: [restart]\n\
         automation: {{ mode: act, attempts: 100 per target per minute }}\n",
        pidfile.display(),
        victim.start_line(),
    )
}

/// Kills the service so many times and waits each time until it answers again. `api` is our port when we watch it.
fn kills(victim: &Victim, repeat: usize, api: Option<u16>) -> Result<Series> {
    let mut series = Series::default();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for number in 1..=repeat {
        let open_before = api.map(calm);
        std::thread::sleep(Duration::from_millis(300) + CYCLE.mul_f64(random.next()));
        ensure!(victim.answers(), "the service does not answer before kill {number}");
        let start = victim.kill()?;
        let (recovered, found) = std::thread::scope(|scope| {
            let watch = open_before.as_ref().zip(api);
            let finder = watch.map(|(before, port)| scope.spawn(move || found(port, before, start)));
            let recovered = clock::wait_for(RECOVERY_MAX, Duration::from_millis(1), || {
                victim.answers().then(|| ms(start))
            });
            (recovered, finder.and_then(|f| f.join().ok().flatten()))
        });
        eprintln!("kill {number}: answers again after {}", cell(recovered, 1, "ms"));
        series.found.extend(found);
        match recovered {
            Some(ms) => series.recovered.push(ms),
            None => {
                series.missed += 1;
                victim.start(RECOVERY_MAX)?;
            }
        }
    }
    Ok(series)
}

/// Waits until no incident is open; what stays open after all is given back.
fn calm(port: u16) -> Vec<String> {
    let closed = || open_incidents(port).filter(Vec::is_empty);
    clock::wait_for(CALM_MAX, Duration::from_millis(100), closed)
        .unwrap_or_else(|| open_incidents(port).unwrap_or_default())
}

/// Time until the API shows an open incident that was not open before.
fn found(port: u16, before: &[String], start: Instant) -> Option<f64> {
    clock::wait_for(RECOVERY_MAX, Duration::from_millis(5), || {
        open_incidents(port)?.iter().any(|id| !before.contains(id)).then(|| ms(start))
    })
}

fn open_incidents(port: u16) -> Option<Vec<String>> {
    let document = http::json(port, "/api/v1/incidents").ok()?;
    let open = |i: &&Value| !matches!(i["status"].as_str(), Some("resolved") | None);
    Some(document["incidents"].as_array()?.iter().filter(open).map(|i| i["id"].to_string()).collect())
}

fn table(ours: &Series, monit: Option<&Series>) -> Table {
    let mut table = Table::new(&["", "wellkept", "monit, cycle 1 s"]);
    let best = |v: &[f64]| v.iter().copied().reduce(f64::min);
    let worst = |v: &[f64]| v.iter().copied().reduce(f64::max);
    for (name, of) in [("median", median as fn(&[f64]) -> Option<f64>), ("best", best), ("worst", worst)] {
        let theirs = monit.and_then(|m| of(&m.recovered));
        let what = format!("kill to answering again, {name}");
        table.row([what, cell(of(&ours.recovered), 1, "ms"), cell(theirs, 1, "ms")]);
    }
    let missed = monit.map_or_else(|| "–".to_owned(), |m| m.missed.to_string());
    table.row(["did not come back".to_owned(), ours.missed.to_string(), missed]);
    table.row(["kill to finding, median".to_owned(), cell(median(&ours.found), 1, "ms"), "–".to_owned()]);
    table
}

impl Series {
    fn figures(&self) -> Value {
        json!({
            "recovered_ms": self.recovered, "recovered_ms_median": median(&self.recovered),
            "found_ms": self.found, "found_ms_median": median(&self.found), "missed": self.missed,
        })
    }
}

/// Xorshift with a fixed seed: random moments that are the same ones in every run.
struct Random(u64);

impl Random {
    /// Between 0 and 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_moments_lie_within_the_cycle_and_differ() {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let moments: Vec<f64> = (0..100).map(|_| random.next()).collect();
        assert!(moments.iter().all(|m| (0.0..1.0).contains(m)));
        let low = moments.iter().filter(|m| **m < 0.5).count();
        assert!((30..70).contains(&low), "{low} of 100 below one half");
    }

    #[test]
    fn a_missing_peer_leaves_its_column_empty() {
        let ours = Series { recovered: vec![50.0, 70.0, 60.0], found: vec![4.0], missed: 0 };
        let text = table(&ours, None).to_string();
        for part in ["60.0 ms", "50.0 ms", "70.0 ms", "4.0 ms"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert_eq!(text.matches('–').count(), 5, "{text}");
    }
}
