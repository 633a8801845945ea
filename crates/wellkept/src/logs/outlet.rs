//! Where tails hand their lines on: lines and notes of one batch, on disk together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wellkept_logs::Logs;
use wellkept_logstore::LogBatch;
use wellkept_model::{LogLine, LogSink};
use wellkept_tail::{Batch, CommitError, Outlet};

use crate::clock::now_ns;

/// Pause before a disk that does not take lines is asked again.
const RETRY: Duration = Duration::from_millis(250);

/// The house as an outlet.
pub(super) struct HouseOutlet {
    pub(super) logs: Arc<Logs>,
    /// The end has come: nobody waits for the disk any more.
    pub(super) ended: Arc<AtomicBool>,
}

struct Filling(LogBatch);

impl LogSink for Filling {
    fn line(&mut self, line: &LogLine<'_>) {
        self.0.push(line);
    }
}

impl Outlet for HouseOutlet {
    fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut filling = Filling(LogBatch::new());
        batch.replay(&mut filling);
        for note in batch.notes() {
            let value = note.value.as_deref().unwrap_or_default();
            if !filling.0.note(&note.key, value.as_bytes()) {
                tracing::warn!(key = note.key, "how far a source was read could not be noted");
            }
        }
        let told = |e: &dyn std::error::Error| CommitError(crate::exit::Failure::of(0, e).message);
        let ticket = self.logs.append(&filling.0, now_ns()).map_err(|e| told(&e))?;
        // The lines are taken: offered again they would be there twice. So this waits for the disk, however long.
        while let Err(error) = self.logs.store().wait_durable(ticket) {
            if self.ended.load(Ordering::Acquire) {
                return Err(told(&error));
            }
            tracing::warn!(error = &error as &dyn std::error::Error, "lines wait for the disk");
            std::thread::sleep(RETRY);
        }
        Ok(())
    }

    fn hurries(&self) -> bool {
        self.logs.store().is_tailed()
    }
}
