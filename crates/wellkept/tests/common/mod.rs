//! A stage for whole scenarios: a folder, the real program in it, and a client of its API.
//!
//! Every test has a folder and ports of its own, so that all of them can run at the same time. What a stage starts
//! it ends, and nothing else.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is test code, outside of test functions")]
#![allow(clippy::disallowed_methods, reason = "deadlines of tests are real time")]

mod http;
mod mounted;
mod peers;
mod process;
pub mod pushed;
mod site;
mod tiny;
pub mod twins;
mod up;
pub mod wire;

pub use http::{Answer, Call, encode};
pub use mounted::Mounted;
pub use peers::{Server, free_address, now_ms, query_at, query_value, rows, seconds};
pub use process::{Ended, run, wellkept};
pub use site::{Reply, Seen, Site};
pub use tiny::Tiny;
pub use up::Up;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest wait for anything that should happen within a few seconds. Machines under test are slow and busy.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// The folder of one test: the data directory, the keep file, logs.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("wellkept-test-").tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The data directory, unless a test chooses another.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes the keep file.
    pub fn keep(&self, text: impl AsRef<str>) -> PathBuf {
        let path = self.path("wellkept.yml");
        std::fs::write(&path, text.as_ref()).unwrap();
        path
    }
}

/// Looks until there is something to see, and gives it with the time that it took.
///
/// # Panics
/// When nothing was seen within [`PATIENCE`].
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> (T, Duration) {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return (seen, began.elapsed());
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not within {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Says why a test does not run, in a form that a reader of the log finds.
pub fn skipped(why: &str) {
    println!("SKIPPED: {why}");
}
