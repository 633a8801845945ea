//! What one push brings: each record once, in order, and stored before the agent is told.

use std::sync::{Arc, PoisonError};

use super::heard::{self, Heard};
use super::{NotTaken, Server};
use crate::folder;
use crate::queue::is_queue_id;
use crate::wire::{FINDINGS_MAX, Kind, Lines, PushAnswer, Record, Report, Told};

/// Largest facts of one agent, bytes.
const FACTS_MAX: usize = 1 << 20;

/// What came with a push besides its records.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub(super) queue: String,
    pub(super) dropped: u64,
    pub(super) waiting: u64,
    pub(super) version: String,
}

impl Server {
    /// Takes one body. Blocking.
    pub(super) fn take(&self, agent: &str, said: &Said, body: &[u8]) -> Result<PushAnswer, NotTaken> {
        if !is_queue_id(&said.queue) {
            return Err(NotTaken::Never("a push names its queue".to_owned()));
        }
        let records = Record::read_all(body).map_err(|why| NotTaken::Never(why.to_owned()))?;
        let turn = {
            let mut taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(taking.entry(agent.to_owned()).or_default())
        };
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut heard = self.state_of(agent, &said.queue);
        let before = heard.clone();
        let mut failure = None;
        for record in &records {
            if record.seq <= heard.acked {
                continue;
            }
            match self.take_one(agent, &said.queue, record) {
                Ok(()) => {}
                Err(NotTaken::Never(why)) => {
                    tracing::warn!(agent, why, "a record of an agent was left out");
                    heard.refused += 1;
                }
                Err(later) => {
                    failure = Some(later);
                    break;
                }
            }
            heard.acked = record.seq;
        }
        heard.heard_ms = (self.clock)();
        heard.dropped = said.dropped;
        heard.waiting = said.waiting;
        heard.version = said.version.chars().filter(|c| !c.is_control()).take(40).collect();
        self.keep(agent, &before, heard.clone())?;
        match failure {
            // What was stored before it is told with the next answer.
            Some(later) => Err(later),
            None => Ok(PushAnswer { acked: heard.acked, order: self.order(agent) }),
        }
    }

    /// How far this queue was stored; a queue that began anew begins anew here, too.
    fn state_of(&self, agent: &str, queue: &str) -> Heard {
        let known = {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.get(agent).cloned().unwrap_or_default()
        };
        let mut state = match known.queue == queue {
            true => known,
            false => Heard { queue: queue.to_owned(), acked: 0, ..known },
        };
        // Lines that were stored just before a crash say so themselves.
        if let Some((noted, seq)) = self.house.lines_noted(agent)
            && noted == queue
        {
            state.acked = state.acked.max(seq);
        }
        state
    }

    fn keep(&self, agent: &str, before: &Heard, heard: Heard) -> Result<(), NotTaken> {
        // The file is for what must not be forgotten; that an agent without news was heard is worth it now and then.
        let due = heard.heard_ms.saturating_sub(before.heard_ms) > 15_000;
        if due || (heard.acked, &heard.queue) != (before.acked, &before.queue) {
            heard::save(&self.folder, agent, &heard).map_err(|e| NotTaken::Later(e.to_string()))?;
        }
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(agent.to_owned(), heard);
        Ok(())
    }

    fn take_one(&self, agent: &str, queue: &str, record: &Record) -> Result<(), NotTaken> {
        let wrong = |e: serde_json::Error| NotTaken::Never(e.to_string());
        match record.kind {
            Kind::Samples => self.house.samples(agent, &record.bytes),
            Kind::Lines => {
                let lines: Lines = serde_json::from_slice(&record.bytes).map_err(wrong)?;
                self.house.lines(agent, queue, record.seq, &lines)
            }
            Kind::Findings => {
                let told: Vec<Told> = serde_json::from_slice(&record.bytes).map_err(wrong)?;
                let told = told.into_iter().take(FINDINGS_MAX).collect();
                self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(agent.to_owned(), told);
                Ok(())
            }
            Kind::Report => {
                let report: Report = serde_json::from_slice(&record.bytes).map_err(wrong)?;
                let noted =
                    self.orders.note(agent, &report, &|order, stage| self.record(agent, order, stage));
                noted.map_err(|e| NotTaken::Later(e.to_string()))
            }
            Kind::Facts => {
                if record.bytes.len() > FACTS_MAX {
                    return Err(NotTaken::Never("the facts are too long".to_owned()));
                }
                let _: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_slice(&record.bytes).map_err(wrong)?;
                let facts = self.folder.join("facts");
                let kept = folder::make(&facts).and_then(|()| {
                    folder::replace(&facts.join(format!("{agent}.json")), &record.bytes, 0o600)
                });
                kept.map_err(|e| NotTaken::Later(e.to_string()))
            }
        }
    }

    fn order(&self, agent: &str) -> Option<crate::wire::OrderHead> {
        if self.is_frozen() {
            return None;
        }
        self.orders.next(agent).unwrap_or_else(|error| {
            tracing::warn!(agent, %error, "the orders of an agent cannot be read");
            None
        })
    }
}
