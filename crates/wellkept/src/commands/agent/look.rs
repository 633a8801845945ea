//! What an agent sees of its host: rounds of samples, the findings of its own detectors, a few facts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use wellkept_agent::agent::Sending;
use wellkept_agent::wire::{FINDINGS_MAX, Kind, Told};
use wellkept_collect::Collector;
use wellkept_detect::{Detectors, Round};
use wellkept_intake::remote_write::{Encoder, OutgoingSeries, Version};
use wellkept_model::keep::Keep;
use wellkept_model::{Batch, Finding, Labels, Sample};

use crate::clock::now;

/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// Findings that did not change are told again after so many rounds, and facts after so many.
const FINDINGS_AGAIN: u64 = 300;
const FACTS_AGAIN: u64 = 3600;

/// Looks at this host until the task is ended. `rounds`: how many of them are sent together.
pub(super) async fn look(keep: Keep, name: String, sending: Sending, rounds: u64) {
    let keep = Arc::new(keep);
    let mut collector = Collector::new(Arc::clone(&keep), &name);
    let mut events = collector.events();
    let mut detectors = Detectors::new();
    let mut packed = Packed::default();
    let mut told: Vec<Told> = Vec::new();
    let mut ticks = interval_at(Instant::now() + wellkept_collect::until_round(), ROUND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for round in 0u64.. {
        loop {
            tokio::select! {
                _ = ticks.tick() => break,
                // Rounds see the same; the events only have to be taken.
                Some(_) = async { events.as_mut()?.recv().await } => {}
            }
        }
        let at = now();
        let seen = collector.round(at);
        packed.add(&seen.batch);
        if round.is_multiple_of(rounds.max(1)) {
            send(&sending, Kind::Samples, packed.take());
        }
        let seen = Round { now: at, host: &name, seen: &seen.observation, file_changes: &[], series: &[] };
        let findings: Vec<Told> =
            detectors.observe(&keep, &seen).iter().take(FINDINGS_MAX).map(tell).collect();
        if !same(&findings, &told) || round.is_multiple_of(FINDINGS_AGAIN) {
            send(&sending, Kind::Findings, serde_json::to_vec(&findings).ok());
            told = findings;
        }
        if round.is_multiple_of(FACTS_AGAIN) {
            send(&sending, Kind::Facts, serde_json::to_vec(&facts(&name)).ok());
        }
    }
}

/// The same findings, whatever their figures.
fn same(a: &[Told], b: &[Told]) -> bool {
    let keys = |all: &[Told]| -> Vec<(String, String)> {
        all.iter().map(|t| (t.subject.clone(), t.severity.clone())).collect()
    };
    keys(a) == keys(b)
}

fn send(sending: &Sending, kind: Kind, bytes: Option<Vec<u8>>) {
    let Some(bytes) = bytes else { return };
    if let Err(error) = sending.push(kind, bytes) {
        tracing::warn!(%error, "the queue cannot be written; what was seen is dropped and counted");
    }
}

fn tell(finding: &Finding) -> Told {
    Told {
        subject: format!("{} {} {}", finding.key.kind.word(), finding.key.entity, finding.key.subject)
            .trim_end()
            .to_owned(),
        severity: finding.severity.word().to_owned(),
        since_ms: finding.since.0,
        key: finding.text.key.clone(),
        args: finding.text.args.clone(),
    }
}

/// Samples of some rounds, by series, so that labels are sent once for all of them.
#[derive(Default)]
struct Packed {
    series: BTreeMap<Labels, Vec<Sample>>,
    encoder: Encoder,
}

impl Packed {
    fn add(&mut self, batch: &Batch) {
        for (labels, value) in &batch.samples {
            let sample = Sample { at: batch.at, value: *value };
            match self.series.get_mut(labels) {
                Some(samples) => samples.push(sample),
                None => drop(self.series.insert(labels.clone(), vec![sample])),
            }
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let all = self.series.iter().filter(|(_, samples)| !samples.is_empty());
        let outgoing = all.map(|(labels, samples)| OutgoingSeries {
            labels: Some(labels),
            samples,
            ..OutgoingSeries::default()
        });
        let bytes = self.encoder.encode(Version::V1, outgoing).map(<[u8]>::to_vec);
        // A series that gave nothing is forgotten; the others keep their labels.
        self.series.retain(|_, samples| !std::mem::take(samples).is_empty());
        bytes.filter(|bytes| !bytes.is_empty())
    }
}

fn facts(name: &str) -> serde_json::Value {
    let system = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let machine = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = machine.lines().next().and_then(|line| line.split_whitespace().nth(1));
    json!({
        "name": name,
        "node": text(system.nodename()),
        "kernel": text(system.release()),
        "machine": text(system.machine()),
        "system": pretty.map(|p| p.trim_matches('"')),
        "memory_kib": memory.and_then(|m| m.parse::<u64>().ok()),
        "processors": std::thread::available_parallelism().map(std::num::NonZero::get).ok(),
        "version": env!("CARGO_PKG_VERSION"),
    })
}
