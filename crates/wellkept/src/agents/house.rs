//! Where things of agents go: samples through the doors, lines into the logs; under the agent's own name only.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::runtime::Handle;
use wellkept_agent::server::{House, NotTaken};
use wellkept_agent::wire::{Line, Lines};
use wellkept_doors::{Doors, Format, From};
use wellkept_intake::Limits;
use wellkept_intake::remote_write::{Decoder, Version};
use wellkept_intake::unpack::Encoding;
use wellkept_logs::Logs;
use wellkept_logstore::LogBatch;
use wellkept_model::{Histogram, Labels, Level, LogLine, Metadata, Sink, TimestampMs};
use wellkept_state::StateDb;

use crate::clock::{now, now_ns};

/// Most lines of one record.
const LINES_MAX: usize = 100_000;
/// Most labels, and fields, of one line.
const PAIRS_MAX: usize = 64;
/// Pauses and tries while the disk does not take lines that were given to it.
const RETRY: Duration = Duration::from_millis(250);
const RETRIES_MAX: usize = 200;

/// The stores of this host.
pub(super) struct AgentHouse {
    doors: Arc<Doors>,
    logs: Arc<Logs>,
    decoder: Mutex<Decoder>,
    state: StateDb,
    /// Ours is called where blocking is allowed.
    runtime: Handle,
}

impl AgentHouse {
    /// Must be called within a runtime.
    pub(super) fn new(doors: Arc<Doors>, logs: Arc<Logs>, state: StateDb) -> Self {
        let decoder = Mutex::new(Decoder::new(Limits::default()));
        Self { doors, logs, decoder, state, runtime: Handle::current() }
    }

    fn note_key(agent: &str) -> String {
        format!("agent/{agent}")
    }
}

impl House for AgentHouse {
    fn samples(&self, agent: &str, packed: &[u8]) -> Result<(), NotTaken> {
        let source = format!("agent {agent}");
        let from = From { format: Format::RemoteWrite, source: &source, now: now() };
        let mut decoder = self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut decoded, mut foreign) = (Ok(()), 0);
        let stored = self.doors.take(&from, |sink| {
            let mut own = Own { inner: sink, agent, skipping: false, foreign: 0 };
            decoded = decoder.decode(Version::V1, Encoding::Snappy, packed, &mut own).map(drop);
            foreign = own.foreign;
        });
        drop(decoder);
        stored.map_err(|e| NotTaken::Later(e.to_string()))?;
        decoded.map_err(|e| NotTaken::Never(e.to_string()))?;
        match foreign {
            0 => Ok(()),
            foreign => {
                let why =
                    format!("{foreign} samples carried another name than the agent's own and were left out");
                Err(NotTaken::Never(why))
            }
        }
    }

    fn lines(&self, agent: &str, queue: &str, seq: u64, lines: &Lines) -> Result<(), NotTaken> {
        let mut batch = LogBatch::new();
        for line in lines.lines.iter().take(LINES_MAX) {
            push(&mut batch, agent, line);
        }
        batch.note(&Self::note_key(agent), format!("{queue} {seq}").as_bytes());
        let ticket = self.logs.append(&batch, now_ns()).map_err(|e| NotTaken::Later(e.to_string()))?;
        // The lines are taken: sent again they would be there twice. So this waits for the disk.
        let mut tries = 0;
        while let Err(error) = self.logs.store().wait_durable(ticket) {
            tries += 1;
            if tries > RETRIES_MAX {
                return Err(NotTaken::Later(error.to_string()));
            }
            std::thread::sleep(RETRY);
        }
        Ok(())
    }

    fn audit(&self, agent: &str, what: &str, detail: &str) -> std::io::Result<()> {
        let who = format!("agent {agent}");
        self.runtime
            .block_on(self.state.audit(now(), &who, what, detail))
            .map(drop)
            .map_err(std::io::Error::other)
    }

    fn lines_noted(&self, agent: &str) -> Option<(String, u64)> {
        let note = self.logs.store().note(&Self::note_key(agent))?;
        let (queue, seq) = std::str::from_utf8(&note).ok()?.split_once(' ')?;
        Some((queue.to_owned(), seq.parse().ok()?))
    }
}

fn push(batch: &mut LogBatch, agent: &str, line: &Line) {
    let pairs = line.labels.iter().take(PAIRS_MAX).filter(|(name, _)| name != "host");
    let labels = pairs.map(|(n, v)| (n.as_str(), v.as_str())).chain([("host", agent)]);
    let labels = Labels::new(labels);
    let level = line.level.as_deref().and_then(|word| Level::ALL.into_iter().find(|l| l.word() == word));
    let bytes = line.bytes.as_deref().and_then(|text| STANDARD.decode(text).ok());
    let fields: Vec<(&str, &str)> =
        line.fields.iter().take(PAIRS_MAX).map(|(n, v)| (n.as_str(), v.as_str())).collect();
    batch.push(&LogLine {
        at_ns: line.at_ns,
        labels: &labels,
        level,
        text: bytes.as_deref().unwrap_or(line.text.as_bytes()),
        fields: &fields,
    });
}

/// Lets through what carries the agent's own name under `instance`, and nothing else.
struct Own<'a> {
    inner: &'a mut dyn Sink,
    agent: &'a str,
    skipping: bool,
    foreign: usize,
}

impl Sink for Own<'_> {
    /// Never: bytes that another agent has sent may be known behind us.
    fn known(&mut self, _: &[u8]) -> bool {
        false
    }

    fn series(&mut self, wire: &[u8], labels: &[(&str, &str)]) {
        let instance = labels.iter().rev().find(|(name, _)| *name == "instance");
        self.skipping = instance.is_none_or(|(_, value)| *value != self.agent);
        if !self.skipping && !self.inner.known(wire) {
            self.inner.series(wire, labels);
        }
    }

    fn float(&mut self, at: TimestampMs, value: f64) {
        match self.skipping {
            true => self.foreign += 1,
            false => self.inner.float(at, value),
        }
    }

    fn histogram(&mut self, at: TimestampMs, histogram: Histogram) {
        match self.skipping {
            true => self.foreign += 1,
            false => self.inner.histogram(at, histogram),
        }
    }

    fn exemplar(&mut self, at: TimestampMs, value: f64, labels: &[(&str, &str)]) {
        if !self.skipping {
            self.inner.exemplar(at, value, labels);
        }
    }

    fn metadata(&mut self, metadata: Metadata) {
        self.inner.metadata(metadata);
    }
}
