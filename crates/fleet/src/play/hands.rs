//! Does assignments: starts helpers where they are first wanted, and says what became of each step.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell, mpsc};
use tokio::time::timeout;
use wellkept_playbook::run::{Outcome, WorkId};
use wellkept_ssh::Become;

use super::assign::{Assignment, Deed};
use super::{controller, done, plain};
use crate::desk::Desk;
use crate::error::{ReachError, chain};
use crate::hand::Hand;
use crate::helper::protocol::Order;
use crate::helper::{
    Allowed, Binary, Helper, Lost, NoHelper, Stamps, Ticket, Workers, start_here, start_there,
};
use crate::pool::Pool;
use crate::reach::{Key, Reach};
use crate::values::failed;

/// How much longer than its own limit an order may take before it is given up.
const GRACE: Duration = Duration::from_secs(30);

/// Which helper: where, and as whom.
type Where = (bool, Key, Option<String>);

#[derive(Default)]
enum Slot {
    #[default]
    New,
    Runs(Arc<Helper>),
    /// It cannot run there; why.
    Unfit(String),
}

/// Everything that steps are done with.
pub struct Hands {
    pub(super) pool: Arc<Pool>,
    pub(super) desk: Arc<dyn Desk>,
    exe: PathBuf,
    /// Read and hashed when a helper is first wanted.
    binary: OnceCell<Binary>,
    workers: Arc<Workers>,
    helpers: Mutex<HashMap<Where, Arc<Mutex<Slot>>>>,
    /// What helpers looked like when their hashes were compared last.
    stamps: Arc<Stamps>,
    /// Never the helper: plain commands only.
    plain: bool,
}

impl Hands {
    /// `exe`: our own binary, which is the helper; `plain`: it is never sent.
    pub fn new(pool: Arc<Pool>, desk: Arc<dyn Desk>, exe: &Path, plain: bool) -> Self {
        let workers = Arc::new(Workers::new(exe.to_owned()));
        let (exe, binary) = (exe.to_owned(), OnceCell::new());
        Self { pool, desk, exe, binary, workers, helpers: Mutex::default(), stamps: Arc::default(), plain }
    }

    /// Remembers in a file what helpers look like, so that later runs need not compute their hashes anew.
    #[must_use]
    pub fn remembering(mut self, file: PathBuf) -> Self {
        self.stamps = Arc::new(Stamps::at(file));
        self
    }

    async fn binary(&self) -> Result<&Binary, NoHelper> {
        let reading = async {
            let (exe, stamps) = (self.exe.clone(), Arc::clone(&self.stamps));
            let read = tokio::task::spawn_blocking(move || Binary::read(&exe, &stamps)).await;
            read.map_err(std::io::Error::other)?
        };
        let binary = self.binary.get_or_try_init(|| reading).await;
        binary.map_err(|e| NoHelper::Unfit(format!("our own program cannot be read: {e}")))
    }

    /// Does one assignment.
    pub async fn perform(&self, assignment: &Assignment) -> Outcome {
        let Assignment { reach, who, deed, .. } = assignment;
        match deed {
            Deed::Answer(result) => done::outcome(result.clone()),
            Deed::Module { order, files } => self.module(reach, who.as_ref(), order, files).await,
            Deed::Pause { prompt, within, echo } => {
                controller::pause(&self.desk, prompt.clone(), *within, *echo).await
            }
            Deed::WaitForConnection { delay, sleep, within } => {
                controller::wait(self, reach, *delay, *sleep, *within).await
            }
            Deed::Reboot { line, within, after, test } => {
                controller::reboot(self, reach, who.as_ref(), line, test, *within, *after).await
            }
            Deed::Raw { line, environment, within } => match self.hand(reach).await {
                Ok(hand) => plain::raw(&hand, who.as_ref(), line, environment, *within).await,
                Err(unreached) => unreached,
            },
            Deed::Script(script) => match self.hand(reach).await {
                Ok(hand) => plain::script(&hand, who.as_ref(), script).await,
                Err(unreached) => unreached,
            },
            Deed::Fetch(fetch) => match self.hand(reach).await {
                Ok(hand) => controller::fetch(&hand, who.as_ref(), fetch).await,
                Err(unreached) => unreached,
            },
        }
    }

    /// Whether an assignment can be sent before the one in front of it has ended: a module for a helper, with no limit
    /// of time that would have to be counted from its own beginning.
    pub fn can_follow(&self, assignment: &Assignment) -> bool {
        let Deed::Module { order, .. } = &assignment.deed else { return false };
        let plain = order.call.timeout_seconds.is_none() && order.background_seconds.is_none();
        plain && !assignment.reach.local && !self.plain
    }

    /// Does an assignment, and on the same host what follows it, each when the one before it has ended and those that it
    /// needs have succeeded; all of them are handed over at once.
    pub async fn chain(
        &self,
        first: &Assignment,
        rest: &[Following],
        answers: &mpsc::Sender<(WorkId, Answer)>,
    ) {
        // A run that is over wants no answers.
        let tell = async |id, answer| drop(answers.send((id, answer)).await);
        let tickets = match self.helper(&first.reach, first.who.as_ref()).await {
            Ok(helper) => submit(&helper, first, rest).await,
            Err(_) => Vec::new(),
        };
        let rest = rest.iter().map(|following| &following.assignment);
        if tickets.is_empty() {
            tell(first.id, Answer::Outcome(self.perform(first).await)).await;
            for one in rest {
                tell(one.id, Answer::NotRun).await;
            }
            return;
        }
        let mut tickets = tickets.into_iter();
        for one in std::iter::once(first).chain(rest) {
            let answer = match tickets.next() {
                None => Answer::NotRun,
                Some(ticket) => match ticket.done().await {
                    Ok(Some(result)) => Answer::Outcome(done::outcome(result)),
                    Ok(None) => Answer::NotRun,
                    Err(lost) => Answer::Outcome(Outcome::Unknown(lost.to_string())),
                },
            };
            tell(one.id, answer).await;
        }
    }

    /// Where commands run.
    pub(super) async fn hand(&self, reach: &Reach) -> Result<Hand, Outcome> {
        if reach.local {
            return Ok(Hand::Here);
        }
        let connection = self.pool.connection(reach).await;
        connection.map(Hand::There).map_err(|error| unreachable(&error))
    }

    /// Runs a module: by ourselves here, by the helper elsewhere, by plain commands where neither can be.
    pub async fn module(
        &self,
        reach: &Reach,
        who: Option<&Become>,
        order: &Order,
        files: &Arc<Allowed>,
    ) -> Outcome {
        if reach.local && who.is_none() {
            return self.here(order, files).await;
        }
        // A helper that was gone before it had the order has done nothing of it: one more may be tried.
        for attempt in 0..2 {
            let helper = match self.helper(reach, who).await {
                Ok(helper) => helper,
                Err(NoHelper::Unfit(why)) => {
                    return match self.hand(reach).await {
                        Ok(hand) => plain::module(&hand, who, order, files, &why).await,
                        Err(unreached) => unreached,
                    };
                }
                Err(NoHelper::NotBecome(why)) => return done::outcome(failed(why)),
                Err(NoHelper::Lost(why)) => return Outcome::Unreachable(why),
            };
            let working = helper.order(order, Arc::clone(files));
            let limit = order.call.timeout_seconds.map(|seconds| Duration::from_secs(seconds) + GRACE);
            let answer = match limit {
                None => working.await,
                Some(limit) => match timeout(limit, working).await {
                    Ok(answer) => answer,
                    Err(_) => return Outcome::Unknown("the helper gives no answer in time".to_owned()),
                },
            };
            match answer {
                Ok(result) => return done::outcome(result),
                Err(Lost::Before) if attempt == 0 => {}
                Err(Lost::Before) => return Outcome::Unreachable(Lost::Before.to_string()),
                Err(Lost::During) => return Outcome::Unknown(Lost::During.to_string()),
            }
        }
        Outcome::Unreachable(Lost::Before.to_string())
    }

    async fn here(&self, order: &Order, files: &Arc<Allowed>) -> Outcome {
        let (workers, order, files) = (Arc::clone(&self.workers), order.clone(), Arc::clone(files));
        match tokio::task::spawn_blocking(move || workers.run(&order, &*files)).await {
            Ok(result) => done::outcome(result),
            Err(error) => Outcome::Unknown(error.to_string()),
        }
    }

    /// The helper of a host and user, started when it is first wanted and when it has gone.
    async fn helper(&self, reach: &Reach, who: Option<&Become>) -> Result<Arc<Helper>, NoHelper> {
        if self.plain {
            return Err(NoHelper::Unfit("it is not wanted".to_owned()));
        }
        let user = who.map(|who| format!("{:?} {}", who.method, who.user));
        let place = format!("{:?} {}", reach.key(), user.as_deref().unwrap_or_default());
        let slot = Arc::clone(self.helpers.lock().await.entry((reach.local, reach.key(), user)).or_default());
        let mut slot = slot.lock().await;
        match &*slot {
            Slot::Runs(helper) if !helper.is_gone() => return Ok(Arc::clone(helper)),
            Slot::Unfit(why) => return Err(NoHelper::Unfit(why.clone())),
            Slot::New | Slot::Runs(_) => {}
        }
        let binary = self.binary().await?;
        let started = match (reach.local, who) {
            (true, Some(who)) => start_here(who, binary).await,
            _ => match self.pool.connection(reach).await {
                Ok(connection) => start_there(&connection, who, binary, &self.stamps, &place).await,
                Err(error) => return Err(NoHelper::Lost(chain(&error))),
            },
        };
        match started {
            Ok(helper) => {
                let helper = Arc::new(helper);
                *slot = Slot::Runs(Arc::clone(&helper));
                Ok(helper)
            }
            Err(no) => {
                if let NoHelper::Unfit(why) = &no {
                    *slot = Slot::Unfit(why.clone());
                }
                Err(no)
            }
        }
    }

    /// Forgets a host's connection and helpers: it starts anew.
    pub(super) async fn forget(&self, reach: &Reach) {
        self.helpers.lock().await.retain(|(local, key, _), _| *local || *key != reach.key());
        self.pool.forget(reach).await;
    }

    /// Ends all helpers and connections.
    pub async fn close(&self) {
        self.helpers.lock().await.clear();
        self.pool.close().await;
    }
}

/// What became of an assignment.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It was done, or it is told why not.
    Outcome(Outcome),
    /// It was not begun, because one that it needs did not succeed.
    NotRun,
}

/// What follows on the same host.
#[derive(Clone)]
pub struct Following {
    /// What is to be done.
    pub assignment: Assignment,
    /// Only when these have succeeded.
    pub needs: Vec<WorkId>,
}

/// Hands all over, each after the one before it.
async fn submit(helper: &Helper, first: &Assignment, rest: &[Following]) -> Vec<Ticket> {
    let mut tickets: Vec<Ticket> = Vec::new();
    let mut numbers: HashMap<WorkId, u64> = HashMap::new();
    let none: &[WorkId] = &[];
    let rest = rest.iter().map(|following| (&following.assignment, following.needs.as_slice()));
    for (one, needs) in std::iter::once((first, none)).chain(rest) {
        let Deed::Module { order, files } = &one.deed else { break };
        // What is not among these has succeeded before.
        let needs = needs.iter().filter_map(|id| numbers.get(id).copied()).collect();
        let after = tickets.last().map(|ticket| ticket.id);
        let order = Order { after, needs, ..(**order).clone() };
        match helper.submit(&order, Arc::clone(files)).await {
            Ok(ticket) => {
                numbers.insert(one.id, ticket.id);
                tickets.push(ticket);
            }
            Err(_) => break,
        }
    }
    tickets
}

fn unreachable(error: &ReachError) -> Outcome {
    Outcome::Unreachable(match error {
        ReachError::Connect(_) => format!("Failed to connect to the host via ssh: {}", chain(error)),
        other => chain(other),
    })
}
