//! What lives as long as the connection to a host.

use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::{Map, Value};

/// Temporary folder, clock and what was gathered before.
pub struct Context {
    /// Folder for temporary files; the caller makes and removes it.
    pub temp: PathBuf,
    /// Folder that stands for `/` when system files (`/etc/…`, `/proc/…`) are read or written; `/` but for tests.
    pub root: PathBuf,
    clock: Box<dyn Fn() -> SystemTime + Send>,
    /// Facts of the last `setup`.
    pub facts: Option<Map<String, Value>>,
}

impl Context {
    /// `clock` tells the time of the host.
    pub fn new(temp: PathBuf, clock: impl Fn() -> SystemTime + Send + 'static) -> Self {
        Self { temp, root: PathBuf::from("/"), clock: Box::new(clock), facts: None }
    }

    /// The time now.
    pub fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// A system file, for instance `etc/hosts`, under [`Context::root`].
    pub(crate) fn system(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}
