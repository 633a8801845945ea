//! The helper's own side: `wellkept helper` on the target.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use wellkept_modules::{Source, SourceEntry};
use wellkept_ssh::{FrameError, Frames};

use super::chain::{Chain, End, Turn};
use super::protocol::{Down, FRAME_MAX, Order, Up, VERSION, succeeded};
use super::workers::Workers;
use crate::values::failed;

/// How many frames wait for the line.
const QUEUE_MAX: usize = 16;
/// How many orders run at once; more are answered with a failure.
const ORDERS_MAX: usize = 256;

type Asking = Arc<Mutex<HashMap<u64, blocking::Sender<Down>>>>;

/// Talks in frames until the other side ends. `exe`: our own binary, for what goes on in the background.
///
/// # Errors
/// [`FrameError`]: what is said is no conversation of ours.
pub async fn serve<R, W>(reader: R, writer: W, exe: PathBuf) -> Result<(), FrameError>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (mut inward, mut outward) = Frames::greet(reader, writer, VERSION, FRAME_MAX).await?.split();
    let (out, mut queue) = mpsc::channel::<Vec<u8>>(QUEUE_MAX);
    tokio::spawn(async move {
        while let Some(frame) = queue.recv().await {
            if outward.send(&frame).await.is_err() {
                return;
            }
        }
    });
    if let Ok(about) = std::fs::metadata(&exe) {
        // The line being gone is heard by the loop that reads.
        let _ = out.send(Up::Stamp(super::stamps::of(&about)).encode(0)).await;
    }
    let there = Arc::new(There {
        workers: Workers::new(exe),
        asking: Asking::default(),
        chain: Mutex::default(),
        out,
    });
    while let Some(frame) = inward.receive().await? {
        let Some((id, down)) = Down::decode(&frame) else { return Ok(()) };
        let Down::Order(order) = down else {
            answer(&there.asking, id, down);
            continue;
        };
        let turn = there.chain().come(id, &order);
        match turn {
            Turn::Now => there.begin(id, order).await,
            Turn::Later => {}
            // The line being gone is heard by this very loop.
            Turn::Never => drop(there.out.send(Up::NotRun.encode(id)).await),
        }
    }
    // Orders that wait are not begun any more: nobody is there who would hear of them.
    there.chain().close();
    Ok(())
}

/// What orders run with.
struct There {
    workers: Workers,
    asking: Asking,
    chain: Mutex<Chain>,
    out: mpsc::Sender<Vec<u8>>,
}

impl There {
    fn chain(&self) -> std::sync::MutexGuard<'_, Chain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for answers to the order's questions; `None` when too much is going on.
    fn listen(&self, id: u64) -> Option<blocking::Receiver<Down>> {
        let (answers, inbox) = blocking::channel();
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if asking.len() >= ORDERS_MAX {
            return None;
        }
        asking.insert(id, answers);
        Some(inbox)
    }

    async fn begin(self: &Arc<Self>, id: u64, order: Box<Order>) {
        let Some(inbox) = self.listen(id) else {
            // The line being gone is heard by the loop that reads.
            let _ = self.out.send(Up::Result(failed("the helper has too much to do")).encode(id)).await;
            let (_, never) = self.chain().ended(id, End::NotRun);
            for id in never {
                let _ = self.out.send(Up::NotRun.encode(id)).await;
            }
            return;
        };
        let there = Arc::clone(self);
        tokio::task::spawn_blocking(move || there.work(id, order, inbox));
    }

    /// Does an order and, on the same thread, those that waited for it.
    fn work(self: &Arc<Self>, id: u64, order: Box<Order>, inbox: blocking::Receiver<Down>) {
        let mut next = VecDeque::from([(id, order, inbox)]);
        while let Some((id, order, inbox)) = next.pop_front() {
            let source = Remote { id, out: self.out.clone(), inbox: Mutex::new(inbox) };
            let result = self.workers.run(&order, &source);
            self.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            let end = if succeeded(&result) { End::Success } else { End::Failure };
            // The line being gone is heard by the loop that reads.
            let _ = self.out.blocking_send(Up::Result(result).encode(id));
            let (begin, mut never) = self.chain().ended(id, end);
            for (id, order) in begin {
                match self.listen(id) {
                    Some(inbox) => next.push_back((id, order, inbox)),
                    None => {
                        never.push(id);
                        never.extend(self.chain().ended(id, End::NotRun).1);
                    }
                }
            }
            for id in never {
                let _ = self.out.blocking_send(Up::NotRun.encode(id));
            }
        }
    }
}

fn answer(asking: &Asking, id: u64, down: Down) {
    let asking = asking.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(answers) = asking.get(&id) {
        // An order that has ended wants no answer.
        let _ = answers.send(down);
    }
}

/// The controller's files, asked for over the line.
struct Remote {
    id: u64,
    out: mpsc::Sender<Vec<u8>>,
    inbox: Mutex<blocking::Receiver<Down>>,
}

impl Remote {
    fn ask(&self, question: &Up) -> io::Result<()> {
        self.out.blocking_send(question.encode(self.id)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn next(&self) -> io::Result<Down> {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.recv().map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn refused(why: String) -> io::Error {
    let kind = if why.contains("os error 2") { io::ErrorKind::NotFound } else { io::ErrorKind::Other };
    io::Error::new(kind, why)
}

fn strange() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the controller answers something else")
}

impl Source for Remote {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.ask(&Up::Read(name.to_owned()))?;
        let mut all = Vec::new();
        loop {
            match self.next()? {
                Down::Piece { last, bytes } => {
                    all.extend_from_slice(&bytes);
                    if last {
                        return Ok(all);
                    }
                }
                Down::Refused(why) => return Err(refused(why)),
                _ => return Err(strange()),
            }
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<SourceEntry>> {
        self.ask(&Up::List(folder.to_owned()))?;
        match self.next()? {
            Down::Entries(entries) => Ok(entries),
            Down::Refused(why) => Err(refused(why)),
            _ => Err(strange()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helper::{Allowed, Helper, Lost};
    use wellkept_modules::Call;

    async fn pair() -> Helper {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (read, write) = tokio::io::split(theirs);
        tokio::spawn(serve(read, write, PathBuf::from("/nonexistent")));
        let (read, write) = tokio::io::split(ours);
        Helper::greet(read, write, Box::new(())).await.expect("a helper")
    }

    fn order(module: &str, args: serde_json::Value) -> Order {
        let args = args.as_object().cloned().unwrap_or_default();
        Order { call: Call { module: module.to_owned(), args, ..Call::default() }, ..Order::default() }
    }

    #[tokio::test]
    async fn many_orders_are_on_the_way_at_once_and_each_gets_its_own_answer() {
        let helper = Arc::new(pair().await);
        let all: Vec<_> = (0..20)
            .map(|n| {
                let helper = Arc::clone(&helper);
                tokio::spawn(async move {
                    let order = order("command", serde_json::json!({"_raw_params": format!("echo {n}")}));
                    helper.order(&order, Arc::default()).await
                })
            })
            .collect();
        for (n, one) in all.into_iter().enumerate() {
            let result = one.await.expect("no panic").expect("an answer");
            assert_eq!(
                result.get("stdout").and_then(|v| v.as_str()),
                Some(n.to_string().as_str()),
                "{result:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_file_of_the_controller_crosses_in_pieces_and_others_do_not() {
        let folder = tempfile::tempdir().expect("temp");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
        std::fs::write(&from, &bytes).expect("write");
        let helper = pair().await;
        let copy = order("copy", serde_json::json!({"src": from, "dest": to}));
        let result = helper.order(&copy, Arc::default()).await.expect("an answer");
        assert_eq!(result.get("failed"), Some(&true.into()), "{result:?}");
        let allowed = Arc::new(Allowed { roots: vec![from], keep_links: false });
        let result = helper.order(&copy, allowed).await.expect("an answer");
        assert_eq!(result.get("changed"), Some(&true.into()), "{result:?}");
        assert!(std::fs::read(&to).expect("read") == bytes);
    }

    #[tokio::test]
    async fn a_helper_that_goes_leaves_doubt_about_what_it_was_doing() {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (read, write) = tokio::io::split(theirs);
        // A runtime of its own, which goes as a process would.
        let there = tokio::runtime::Runtime::new().expect("a runtime");
        there.spawn(serve(read, write, PathBuf::from("/nonexistent")));
        let (read, write) = tokio::io::split(ours);
        let helper = Arc::new(Helper::greet(read, write, Box::new(())).await.expect("a helper"));
        let asked = Arc::clone(&helper);
        let waiting = tokio::spawn(async move {
            asked
                .order(&order("command", serde_json::json!({"_raw_params": "sleep 1"})), Arc::default())
                .await
        });
        while asked_none(&helper) {
            tokio::task::yield_now().await;
        }
        there.shutdown_background();
        assert_eq!(waiting.await.expect("no panic"), Err(Lost::During));
        assert!(helper.is_gone());
        assert_eq!(
            helper.order(&order("stat", serde_json::json!({})), Arc::default()).await,
            Err(Lost::Before)
        );
    }

    fn asked_none(helper: &Helper) -> bool {
        helper.waiting() == 0
    }
}
