//! The output of a program that we started: a pipe is read until its end, line by line.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use wellkept_model::Labels;

use crate::batch::{Batch, Outlet};
use crate::ledger::Position;
use crate::pipe::{Pipe, PipeConfig, PipeCounts};
use crate::source::{Clock, commit};

/// Bytes read in one go.
const READ_BYTES: usize = 64 << 10;

/// Reads `stream` to its end and hands its lines on under `labels`. A store that is slow slows the program down, as a
/// full pipe does.
///
/// # Errors
/// Those of reading; what was read before is committed.
pub async fn follow<R: AsyncRead + Unpin>(
    mut stream: R,
    labels: &Labels,
    config: Arc<PipeConfig>,
    outlet: Arc<dyn Outlet>,
    clock: Clock,
) -> std::io::Result<PipeCounts> {
    let mut pipe = Pipe::new(config, labels, &Position::default());
    let mut batch = Batch::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let due = pipe.due_ns().map(|due| Duration::from_nanos(u64::try_from(due - clock()).unwrap_or(0)));
        let read = tokio::select! {
            read = stream.read(&mut buffer) => Some(read),
            () = sleep_until(due) => None,
        };
        let now_ns = clock();
        let outcome = match read {
            None => {
                pipe.flush_due(now_ns, &mut batch);
                Ok(1)
            }
            Some(Ok(0)) => Ok(0),
            Some(Ok(read)) => {
                pipe.push(buffer.get(..read).unwrap_or_default(), now_ns, &mut batch);
                Ok(read)
            }
            Some(Err(e)) => Err(e),
        };
        let over = !matches!(outcome, Ok(1..));
        if over {
            pipe.finish(now_ns, &mut batch);
        }
        if !batch.is_empty() {
            batch = commit(&outlet, batch).await;
        }
        if over {
            return outcome.map(|_| pipe.counts());
        }
    }
}

async fn sleep_until(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::testing::{Shelf, wall_clock};

    #[tokio::test]
    async fn lines_of_a_program_come_as_it_writes_them() {
        let (mut program, pipe) = tokio::io::duplex(1000);
        let shelf = Arc::new(Shelf::default());
        let labels = Labels::new([("service", "app")]);
        let outlet: Arc<dyn Outlet> = Arc::clone(&shelf) as _;
        let reading =
            tokio::spawn(async move { follow(pipe, &labels, Arc::default(), outlet, wall_clock()).await });
        program.write_all(b"one\ntw").await.unwrap();
        shelf.holds(1).await;
        program.write_all(b"o\n  more\nlast").await.unwrap();
        shelf.holds(2).await;
        drop(program);
        let counts = reading.await.unwrap().unwrap();
        assert_eq!(shelf.texts(), ["one", "two\n  more", "last"]);
        assert_eq!(counts.lines, 3);
    }

    #[tokio::test]
    async fn a_store_that_refuses_is_offered_the_lines_again() {
        let shelf = Arc::new(Shelf::default());
        shelf.refuse(2);
        let outlet: Arc<dyn Outlet> = Arc::clone(&shelf) as _;
        follow(&b"a\nb\n"[..], &Labels::default(), Arc::default(), outlet, wall_clock()).await.unwrap();
        assert_eq!(shelf.texts(), ["a", "b"]);
    }
}
