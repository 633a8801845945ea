//! The controller's side of a helper: orders go out as they come, results and questions for files come back in any
//! order.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use wellkept_modules::Source;
use wellkept_ssh::{FrameError, Frames};

use super::files::Allowed;
use super::protocol::{Down, FRAME_MAX, Order, PIECE, Up, VERSION};
use crate::values::JsonMap;

/// How many frames wait for the line.
const QUEUE_MAX: usize = 16;

/// The helper is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The order was not handed over: trying again repeats nothing.
    #[error("the helper was gone before the order")]
    Before,
    /// Nobody knows what became of the order.
    #[error("the connection was lost while the task ran")]
    During,
}

/// What an order waits with.
struct Waiting {
    done: oneshot::Sender<Option<JsonMap>>,
    files: Arc<Allowed>,
}

type Orders = Arc<Mutex<Option<HashMap<u64, Waiting>>>>;

/// A helper that runs. It ends when this is dropped.
pub struct Helper {
    out: mpsc::Sender<Vec<u8>>,
    orders: Orders,
    next: AtomicU64,
    /// What holds the program.
    _keep: Box<dyn Any + Send + Sync>,
}

fn locked(orders: &Orders) -> MutexGuard<'_, Option<HashMap<u64, Waiting>>> {
    orders.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Helper {
    /// Greets a helper that was started. `keep`: what holds it.
    ///
    /// # Errors
    /// [`FrameError`] when none answers.
    pub async fn greet<R, W>(
        reader: R,
        writer: W,
        keep: Box<dyn Any + Send + Sync>,
    ) -> Result<Self, FrameError>
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        Self::greet_with(reader, writer, keep, Box::new(|_| {})).await
    }

    /// The same; `stamped` hears what the helper's file looks like.
    ///
    /// # Errors
    /// As [`Self::greet`].
    pub(super) async fn greet_with<R, W>(
        reader: R,
        writer: W,
        keep: Box<dyn Any + Send + Sync>,
        stamped: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Result<Self, FrameError>
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let (mut inward, mut outward) = Frames::greet(reader, writer, VERSION, FRAME_MAX).await?.split();
        let (out, mut queue) = mpsc::channel::<Vec<u8>>(QUEUE_MAX);
        let orders: Orders = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(async move {
            while let Some(frame) = queue.recv().await {
                if outward.send(&frame).await.is_err() {
                    return;
                }
            }
        });
        let (heard, answers) = (Arc::clone(&orders), out.clone());
        let answers = answers.downgrade();
        tokio::spawn(async move {
            while let Ok(Some(frame)) = inward.receive().await {
                // What is no frame of ours ends the conversation: nothing after it can be believed.
                let Some((id, up)) = Up::decode(&frame) else { break };
                if let Up::Stamp(stamp) = &up {
                    stamped(stamp);
                    continue;
                }
                take(id, up, &heard, &answers);
            }
            // Everybody who waits hears it now, and nobody waits anew.
            locked(&heard).take();
        });
        Ok(Self { out, orders, next: AtomicU64::new(1), _keep: keep })
    }

    /// Whether it has ended.
    pub fn is_gone(&self) -> bool {
        locked(&self.orders).is_none()
    }

    /// How many orders are on the way.
    pub fn waiting(&self) -> usize {
        locked(&self.orders).as_ref().map_or(0, HashMap::len)
    }

    /// Has an order done. Several may be on the way at once.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn order(&self, order: &Order, files: Arc<Allowed>) -> Result<JsonMap, Lost> {
        let done = self.submit(order, files).await?.done().await?;
        done.ok_or(Lost::Before)
    }

    /// Hands an order over; [`Ticket::done`] waits for it.
    ///
    /// # Errors
    /// [`Lost::Before`].
    pub async fn submit(&self, order: &Order, files: Arc<Allowed>) -> Result<Ticket, Lost> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (done, answer) = oneshot::channel();
        match locked(&self.orders).as_mut() {
            None => return Err(Lost::Before),
            Some(orders) => orders.insert(id, Waiting { done, files }),
        };
        let frame = Down::Order(Box::new(order.clone())).encode(id);
        if self.out.send(frame).await.is_err() {
            return Err(Lost::Before);
        }
        Ok(Ticket { id, answer })
    }
}

/// An order that was handed over.
pub struct Ticket {
    /// Its number, for orders after it.
    pub id: u64,
    answer: oneshot::Receiver<Option<JsonMap>>,
}

impl Ticket {
    /// Waits for the result; `None` when it was not begun, because an order that it needs did not succeed.
    ///
    /// # Errors
    /// [`Lost::During`].
    pub async fn done(self) -> Result<Option<JsonMap>, Lost> {
        self.answer.await.map_err(|_| Lost::During)
    }
}

fn take(id: u64, up: Up, orders: &Orders, out: &mpsc::WeakSender<Vec<u8>>) {
    let result = match &up {
        Up::Result(result) => Some(result.clone()),
        _ => None,
    };
    match up {
        Up::Stamp(_) => {}
        Up::Result(_) | Up::NotRun => {
            let waiting = locked(orders).as_mut().and_then(|orders| orders.remove(&id));
            if let Some(waiting) = waiting {
                // Who no longer waits wants no answer.
                let _ = waiting.done.send(result);
            }
        }
        Up::Read(name) => {
            let files = allowed(id, orders);
            let Some(out) = out.upgrade() else { return };
            tokio::spawn(async move {
                let read = tokio::task::spawn_blocking(move || files.read(&name)).await;
                let frames: Vec<Vec<u8>> = match read {
                    Ok(Ok(bytes)) => pieces(id, &bytes),
                    Ok(Err(e)) => vec![Down::Refused(e.to_string()).encode(id)],
                    Err(e) => vec![Down::Refused(e.to_string()).encode(id)],
                };
                for frame in frames {
                    if out.send(frame).await.is_err() {
                        return;
                    }
                }
            });
        }
        Up::List(name) => {
            let files = allowed(id, orders);
            let Some(out) = out.upgrade() else { return };
            tokio::spawn(async move {
                let listed = tokio::task::spawn_blocking(move || files.list(&name)).await;
                let down = match listed {
                    Ok(Ok(entries)) => Down::Entries(entries),
                    Ok(Err(e)) => Down::Refused(e.to_string()),
                    Err(e) => Down::Refused(e.to_string()),
                };
                // A line that broke is heard of by who waits for the order.
                let _ = out.send(down.encode(id)).await;
            });
        }
    }
}

fn pieces(id: u64, bytes: &[u8]) -> Vec<Vec<u8>> {
    let count = bytes.len().div_ceil(PIECE).max(1);
    let piece = |at: usize| {
        let bytes = bytes.get(at * PIECE..bytes.len().min((at + 1) * PIECE)).unwrap_or_default().to_vec();
        Down::Piece { last: at + 1 == count, bytes }.encode(id)
    };
    (0..count).map(piece).collect()
}

/// What the order may read; nothing when there is no such order.
fn allowed(id: u64, orders: &Orders) -> Arc<Allowed> {
    let orders = locked(orders);
    let waiting = orders.as_ref().and_then(|orders| orders.get(&id));
    waiting.map(|waiting| Arc::clone(&waiting.files)).unwrap_or_default()
}
