//! What the sources that wait for others share: a batch that goes to the outlet while the next one is filled.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Batch, Outlet};

/// The clock, for what happens without a caller: nanoseconds since the epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How long a batch that was not taken waits before it is offered again.
const RETRY: Duration = Duration::from_millis(250);

/// What comes within this time of a commit is committed together: a program that writes line by line would else cost a
/// sync of the store for each line. The first line after a rest is committed at once, and all of them while the outlet
/// hurries.
pub(crate) const GATHER: Duration = Duration::from_millis(200);

/// Commits a batch off the runtime's threads, again and again until it is taken. Gives the batch back, emptied.
pub(crate) async fn commit(outlet: &Arc<dyn Outlet>, mut batch: Batch) -> Batch {
    loop {
        let outlet = Arc::clone(outlet);
        let committed = tokio::task::spawn_blocking(move || {
            let taken = outlet.commit(&batch).is_ok();
            (batch, taken)
        });
        // A commit that panicked takes its batch with it; the source goes on.
        let Ok((given_back, taken)) = committed.await else { return Batch::default() };
        batch = given_back;
        if taken {
            batch.clear();
            return batch;
        }
        tokio::time::sleep(RETRY).await;
    }
}
