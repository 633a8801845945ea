//! Runs orders on threads, each with a context that lives on for the next one.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use wellkept_modules::{Context, Source};

use super::jobs;
use super::protocol::Order;
use crate::values::{JsonMap, failed};

/// Contexts of one user on one machine.
pub struct Workers {
    /// Made when it is first wanted, gone with us.
    temp: Mutex<Option<tempfile::TempDir>>,
    idle: Mutex<Vec<Context>>,
    /// The program that goes on in the background.
    exe: PathBuf,
}

impl Workers {
    /// `exe`: the binary that runs orders in the background.
    pub fn new(exe: PathBuf) -> Self {
        Self { temp: Mutex::default(), idle: Mutex::default(), exe }
    }

    /// Runs an order to its end; blocks.
    pub fn run(&self, order: &Order, source: &dyn Source) -> JsonMap {
        if let Some(seconds) = order.background_seconds {
            return jobs::begin(&self.exe, order, seconds, now()).unwrap_or_else(failed);
        }
        if order.call.module == "async_status" {
            return jobs::status(&order.call.args, order.job_folder.as_deref());
        }
        let mut context = match self.context() {
            Ok(context) => context,
            Err(e) => return failed(format!("no temporary folder can be made: {e}")),
        };
        // A module that dies of a bug of ours must not take the others with it.
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wellkept_modules::run(&order.call, source, &mut context)
        }));
        match ran {
            Ok(result) => {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(context);
                result
            }
            Err(_) => {
                failed(format!("the module {} died; what it did until then is unknown", order.call.module))
            }
        }
    }

    fn context(&self) -> std::io::Result<Context> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = idle.pop() {
            return Ok(context);
        }
        drop(idle);
        let mut temp = self.temp.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = match temp.as_ref() {
            Some(folder) => folder,
            None => temp.insert(tempfile::Builder::new().prefix("wellkept-").tempdir()?),
        };
        let own = tempfile::Builder::new().prefix("work-").tempdir_in(folder.path())?;
        // The folder around it is removed with everything in it.
        Ok(Context::new(own.keep(), now))
    }
}

#[expect(clippy::disallowed_methods, reason = "modules tell the time of the host that they run on")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
