//! One command on many hosts: so many at once, in batches, until too many fail.
//!
//! Events tell what happens as it happens; the table at the end tells everything again, host by host, in the order in
//! which they were given. No host is tried twice: who wants that starts anew with [`Table::failed`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::ConnectError;
use crate::escalate::Become;
use crate::exec::{Command, Ran};
use crate::process::{Doubt, End, Piece};
use crate::prompts::Prompts;
use crate::target::Target;

/// How many events wait for who shows them.
pub const EVENTS_MAX: usize = 1024;

/// A host with the way to it.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name in the inventory.
    pub name: String,
    /// Jump hosts first, the host itself last.
    pub route: Vec<Target>,
}

/// What is run where. A value with every choice made.
#[derive(Clone)]
pub struct Job {
    /// On which hosts, each once; never empty.
    pub hosts: Vec<Host>,
    /// What.
    pub command: Command,
    /// As whom.
    pub who: Option<Become>,
    /// How many hosts at once.
    pub forks: usize,
    /// Hosts in one batch; the next one begins when all of it have ended. `None`: all are one batch.
    pub serial: Option<usize>,
    /// When more than this share of a batch has failed, in percent, no further host is begun.
    pub max_fail_percent: Option<u8>,
}

/// A job that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// No host at all, which never means all.
    #[error("the list of hosts is empty, and an empty list is never all hosts")]
    NoHosts,
    /// A host is listed twice.
    #[error("{name} is listed twice")]
    Twice {
        /// Its name.
        name: String,
    },
    /// Nothing could ever begin.
    #[error("{what} is 0; at least 1 is needed")]
    Zero {
        /// `forks` or `serial`.
        what: &'static str,
    },
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Event {
    /// A batch begins.
    Batch {
        /// Its hosts.
        hosts: Vec<String>,
    },
    /// A host is being connected to.
    Begun {
        /// Which.
        host: String,
    },
    /// A piece of output, as it came: to be escaped before it is shown.
    Output {
        /// Of whom.
        host: String,
        /// What.
        piece: Piece,
    },
    /// A host has ended.
    Ended {
        /// Its line of the table.
        row: Arc<Row>,
        /// Pieces of output that were not shown, because nobody took them in time; the table has them.
        not_shown: u64,
    },
    /// No further host is begun.
    Stopped {
        /// Too many have failed; else somebody wanted it.
        too_many_failed: bool,
    },
}

/// What became of one host.
#[derive(Debug)]
pub enum Outcome {
    /// There was no connection; nothing ran.
    NotReached(ConnectError),
    /// What came of the command, also when it is known not to have run or unknown.
    Ran(Ran),
    /// It was not its turn any more; nothing ran.
    NotBegun,
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    /// The host.
    pub host: String,
    /// What became of it.
    pub outcome: Outcome,
    /// From connecting to the end.
    pub took: Duration,
}

impl Row {
    /// Whether the command ran there and ended with 0.
    pub fn success(&self) -> bool {
        matches!(&self.outcome, Outcome::Ran(ran) if ran.end.success())
    }
}

/// All hosts, in the order in which they were given.
#[derive(Debug)]
pub struct Table {
    /// One line for each host.
    pub rows: Vec<Arc<Row>>,
}

impl Table {
    /// The hosts on which the command did not succeed, without those whose end is unknown: for them a person decides.
    pub fn failed(&self) -> Vec<&str> {
        let unknown = |row: &Row| matches!(&row.outcome, Outcome::Ran(Ran { end: End::Unknown(_), .. }));
        self.rows.iter().filter(|r| !r.success() && !unknown(r)).map(|r| r.host.as_str()).collect()
    }

    /// 0 when all succeeded, 4 when a host could not be reached, else 2, as Ansible has it.
    pub fn exit_code(&self) -> u8 {
        let unreached = |row: &Arc<Row>| matches!(row.outcome, Outcome::NotReached(_));
        match (self.rows.iter().all(|r| r.success()), self.rows.iter().any(unreached)) {
            (true, _) => 0,
            (false, true) => 4,
            (false, false) => 2,
        }
    }
}

impl Job {
    fn check(&self) -> Result<(), JobError> {
        if self.hosts.is_empty() {
            return Err(JobError::NoHosts);
        }
        for (what, zero) in [("forks", self.forks == 0), ("serial", self.serial == Some(0))] {
            if zero {
                return Err(JobError::Zero { what });
            }
        }
        let mut seen = std::collections::HashSet::new();
        match self.hosts.iter().find(|h| !seen.insert(&h.name)) {
            Some(host) => Err(JobError::Twice { name: host.name.clone() }),
            None => Ok(()),
        }
    }

    /// Runs it. `stop`: once it is set, no further host is begun; those that run go on to their end. Events that nobody
    /// takes in time are left out when they are output, and waited with when they are not.
    ///
    /// # Errors
    /// [`JobError`], before anything has begun.
    pub async fn run(
        &self,
        prompts: Arc<dyn Prompts>,
        now_seconds: u64,
        stop: Arc<AtomicBool>,
        events: mpsc::Sender<Event>,
    ) -> Result<Table, JobError> {
        self.check()?;
        let shared = Arc::new(Shared { job: self.clone(), prompts, now_seconds, events });
        let mut table = Table { rows: Vec::with_capacity(self.hosts.len()) };
        let mut halted = false;
        for batch in self.hosts.chunks(self.serial.unwrap_or(usize::MAX)) {
            if !halted {
                shared.tell(Event::Batch { hosts: batch.iter().map(|h| h.name.clone()).collect() }).await;
            }
            let rows = self.batch(batch, &shared, &stop, &mut halted).await;
            table.rows.extend(rows);
        }
        Ok(table)
    }

    async fn batch(
        &self,
        hosts: &[Host],
        shared: &Arc<Shared>,
        stop: &AtomicBool,
        halted: &mut bool,
    ) -> Vec<Arc<Row>> {
        let mut begun = 0;
        let mut rows: Vec<Option<Arc<Row>>> = vec![None; hosts.len()];
        let mut running: JoinSet<(usize, Arc<Row>)> = JoinSet::new();
        let mut failed = 0;
        let mut note = |done: Option<Result<(usize, Arc<Row>), tokio::task::JoinError>>,
                        failed: &mut usize| {
            if let Some(Ok((index, row))) = done {
                *failed += usize::from(!row.success());
                if let Some(place) = rows.get_mut(index) {
                    *place = Some(row);
                }
            }
        };
        for (index, host) in hosts.iter().enumerate() {
            while running.len() >= self.forks {
                note(running.join_next().await, &mut failed);
            }
            while let Some(done) = running.try_join_next() {
                note(Some(done), &mut failed);
            }
            if !*halted {
                let too_many_failed = self.too_many(failed, hosts.len());
                *halted = too_many_failed || stop.load(Ordering::SeqCst);
                if *halted {
                    shared.tell(Event::Stopped { too_many_failed }).await;
                }
            }
            if *halted {
                break;
            }
            let (shared, host) = (Arc::clone(shared), host.clone());
            begun = index + 1;
            running.spawn(async move { (index, shared.one(&host).await) });
        }
        while let Some(done) = running.join_next().await {
            note(Some(done), &mut failed);
        }
        if !*halted && self.too_many(failed, hosts.len()) {
            *halted = true;
            shared.tell(Event::Stopped { too_many_failed: true }).await;
        }
        let without_row = |(index, host): (usize, &Host)| {
            // One that was begun and has no row has died of a bug of ours: nobody knows what it did.
            let lost = Outcome::Ran(Ran::ended(End::Unknown(Doubt::NoStatus)));
            let outcome = if index < begun { lost } else { Outcome::NotBegun };
            Arc::new(Row { host: host.name.clone(), outcome, took: Duration::ZERO })
        };
        let hosts = hosts.iter().enumerate();
        rows.into_iter().zip(hosts).map(|(row, host)| row.unwrap_or_else(|| without_row(host))).collect()
    }

    fn too_many(&self, failed: usize, of: usize) -> bool {
        self.max_fail_percent.is_some_and(|max| failed * 100 > usize::from(max) * of)
    }
}

struct Shared {
    job: Job,
    prompts: Arc<dyn Prompts>,
    now_seconds: u64,
    events: mpsc::Sender<Event>,
}

impl Shared {
    async fn tell(&self, event: Event) {
        // Who no longer listens wants no events; the table comes all the same.
        let _ = self.events.send(event).await;
    }

    async fn one(&self, host: &Host) -> Arc<Row> {
        self.tell(Event::Begun { host: host.name.clone() }).await;
        let begun = Instant::now();
        let mut not_shown = 0;
        let outcome = match Connection::open(&host.route, Arc::clone(&self.prompts), self.now_seconds).await {
            Err(error) => Outcome::NotReached(error),
            Ok(connection) => {
                let mut live = |piece: &Piece| {
                    let output = Event::Output { host: host.name.clone(), piece: piece.clone() };
                    not_shown += u64::from(self.events.try_send(output).is_err());
                };
                let ran = match &self.job.who {
                    None => connection.exec_live(&self.job.command, &mut live).await,
                    Some(who) => connection.exec_as(who, &self.job.command, &mut live).await,
                };
                connection.close().await;
                Outcome::Ran(ran)
            }
        };
        let row = Arc::new(Row { host: host.name.clone(), outcome, took: begun.elapsed() });
        self.tell(Event::Ended { row: Arc::clone(&row), not_shown }).await;
        row
    }
}
