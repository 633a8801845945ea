//! The loop: send what waits, take what is handed, renew the certificate in time.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use tokio::sync::{Notify, watch};

use super::execute::Executor;
use super::identity::{Identity, JoinError};
use crate::line::{Line, LineError};
use crate::orders::{HANDED_MAX, is_id};
use crate::queue::Queue;
use crate::wire::{Kind, OrderHead, PUSH_MAX, PushAnswer, RECORD_MAX, Report, SMALL_MAX};
use crate::{Clock, tls};

/// Bytes that are sent at once.
const BATCH: usize = PUSH_MAX - RECORD_MAX;
/// The longest pause after failures, and after being sent away.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A certificate that cannot be renewed now is tried again after so long.
const RENEW_AGAIN_MS: i64 = 600_000;

/// Puts things into the queue, from any task.
#[derive(Clone)]
pub struct Sending {
    queue: Arc<Mutex<Queue>>,
    news: Arc<Notify>,
    clock: Clock,
}

impl Sending {
    /// Puts a record at the end; its number once it is on disk. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The disk; the record is dropped and counted.
    pub fn push(&self, kind: Kind, bytes: Vec<u8>) -> io::Result<Option<u64>> {
        let pushed = self.lock().push(kind, (self.clock)(), bytes);
        if kind == Kind::Report {
            self.news.notify_one();
        }
        pushed
    }

    /// What waits.
    #[must_use]
    pub fn stats(&self) -> crate::queue::Stats {
        self.lock().stats()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, report: &Report) {
        let pushed =
            serde_json::to_vec(report).map_err(io::Error::from).and_then(|r| self.push(Kind::Report, r));
        if let Err(error) = pushed {
            tracing::error!(%error, order = report.order, "what became of an order cannot be told");
        }
    }
}

/// A joined agent.
pub struct Agent {
    identity: Identity,
    sending: Sending,
    executor: Arc<Executor>,
    clock: Clock,
    every: Duration,
    version: String,
    /// Orders that run, and those that were told of since the start.
    busy: Arc<Mutex<Option<String>>>,
    told: HashSet<String>,
    renew_ms: i64,
}

impl Agent {
    /// `every`: time between two pushes when nothing is urgent; `version`: of this program.
    #[must_use]
    pub fn new(
        identity: Identity,
        queue: Queue,
        executor: Executor,
        clock: Clock,
        (every, version): (Duration, &str),
    ) -> Self {
        let sending = Sending { queue: Arc::new(Mutex::new(queue)), news: Arc::default(), clock };
        Self {
            renew_ms: identity.renew_ms,
            identity,
            sending,
            executor: Arc::new(executor),
            clock,
            every,
            version: version.to_owned(),
            busy: Arc::default(),
            told: HashSet::new(),
        }
    }

    /// For those who have something to send.
    #[must_use]
    pub fn sending(&self) -> Sending {
        self.sending.clone()
    }

    /// Until `end` is set or gone.
    ///
    /// # Errors
    /// An identity that cannot be used.
    pub async fn run(mut self, mut end: watch::Receiver<bool>) -> Result<(), JoinError> {
        let mut line = Line::new(&self.identity.url, self.config()?)?;
        let mut pause = Duration::ZERO;
        let mut failures = 0u32;
        while !*end.borrow() {
            let news = Arc::clone(&self.sending.news);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = news.notified(), if failures == 0 => {}
                changed = end.changed() => if changed.is_err() { break } else { continue },
            }
            match self.turn(&mut line).await {
                Ok(more) => {
                    if std::mem::take(&mut failures) > 0 {
                        tracing::info!(server = self.identity.url, "the server answers again");
                    }
                    pause = if more { Duration::ZERO } else { self.every };
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(%error, "nothing can be sent to the server; it waits in the queue");
                    }
                    failures += 1;
                    let refused =
                        matches!(error, JoinError::Line(LineError::Refused { status: 401 | 403, .. }));
                    let doubled = self.every.saturating_mul(1 << failures.min(6));
                    pause = if refused { PAUSE_MAX } else { doubled.min(PAUSE_MAX) };
                }
            }
        }
        Ok(())
    }

    fn config(&self) -> Result<Arc<tokio_rustls::rustls::ClientConfig>, JoinError> {
        tls::agent(&self.identity.authority, &self.identity.certificate, &self.identity.key)
            .map_err(|e| JoinError::Answer(e.to_string()))
    }

    /// One exchange; true when more waits.
    async fn turn(&mut self, line: &mut Line) -> Result<bool, JoinError> {
        if (self.clock)() >= self.renew_ms {
            self.renew(line).await?;
        }
        let (body, headers) = self.batch().await?;
        let answer = line.ask(Method::POST, "/v1/push", &headers, body, SMALL_MAX).await?;
        let answer: PushAnswer =
            serde_json::from_slice(&answer).map_err(|e| JoinError::Answer(e.to_string()))?;
        let waiting = {
            let mut queue = self.sending.lock();
            queue.ack(answer.acked);
            queue.stats().waiting
        };
        if let Some(order) = answer.order {
            self.take(line, order).await?;
        }
        Ok(waiting > 0)
    }

    async fn batch(&self) -> Result<(Bytes, [(&'static str, String); 4]), JoinError> {
        let sending = self.sending.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut queue = sending.lock();
            let body = queue.read(BATCH)?;
            let stats = queue.stats();
            Ok::<_, io::Error>((body, queue.id().to_owned(), stats))
        });
        let read = read.await.map_err(|e| JoinError::Answer(e.to_string()))?;
        let (body, id, stats) =
            read.map_err(|e| JoinError::Answer(format!("the queue cannot be read: {e}")))?;
        let headers = [
            ("x-queue", id),
            ("x-dropped", stats.dropped.to_string()),
            ("x-waiting", stats.waiting.to_string()),
            ("x-version", self.version.clone()),
        ];
        Ok((body.into(), headers))
    }

    async fn renew(&mut self, line: &mut Line) -> Result<(), JoinError> {
        let body = self.identity.renewal()?;
        match line.ask(Method::POST, "/v1/renew", &[], body, SMALL_MAX).await {
            Ok(answer) => {
                self.identity.renewed(&answer)?;
                self.renew_ms = self.identity.renew_ms;
                line.change(self.config()?);
                tracing::info!("the agent's certificate was renewed");
                Ok(())
            }
            // There is time left: what waits is sent with the old one.
            Err(error) if (self.clock)() < self.identity.expires_ms => {
                tracing::warn!(%error, "the agent's certificate could not be renewed yet");
                self.renew_ms = (self.clock)().saturating_add(RENEW_AGAIN_MS);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn take(&mut self, line: &mut Line, order: OrderHead) -> Result<(), JoinError> {
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if busy || !is_id(&order.id) || self.told.contains(&order.id) {
            return Ok(());
        }
        if let Some(known) = self.executor.known(&order.id) {
            // It was told before, and that got lost, or nobody knows how it ended.
            self.told.insert(order.id);
            self.sending.report(&known);
            return Ok(());
        }
        let path = format!("/v1/order/{}", order.id);
        let max = usize::try_from(HANDED_MAX).unwrap_or(usize::MAX);
        let bundle = line.ask(Method::GET, &path, &[], Bytes::new(), max).await?;
        self.told.insert(order.id.clone());
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = Some(order.id.clone());
        let (executor, sending, busy) =
            (Arc::clone(&self.executor), self.sending.clone(), Arc::clone(&self.busy));
        tokio::spawn(async move {
            executor.handle(&order.id, &bundle, &|report| sending.report(report)).await;
            *busy.lock().unwrap_or_else(PoisonError::into_inner) = None;
        });
        Ok(())
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("identity", &self.identity).finish_non_exhaustive()
    }
}
