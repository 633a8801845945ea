//! The HTTP doors, as the API wants them.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wellkept_api::{Door, Push, PushReply, Refusal, RefusalKind};
use wellkept_doors::{Body, Doors, Format};
use wellkept_model::Text;
use wellkept_tsdb::{OsDisk, Store};

use crate::clock::now;
use crate::commands::store::copies::put_back;
use crate::exit::Failure;

/// The doors of the store behind HTTP.
pub(crate) struct HttpDoors {
    pub(crate) doors: Arc<Doors>,
    pub(crate) store: Arc<Store>,
    /// Where snapshots are put.
    pub(crate) snapshots: PathBuf,
}

impl wellkept_api::Doors for HttpDoors {
    fn push(&self, push: Push) -> PushReply {
        let format = match push.door {
            Door::RemoteWrite => Format::RemoteWrite,
            Door::Import => Format::Text,
            Door::Otlp => Format::Otlp,
            Door::Influx => Format::Influx,
        };
        let pushed = self.doors.push(&Body {
            format,
            content_type: &push.content_type,
            content_encoding: &push.content_encoding,
            parameters: &push.parameters,
            source: &push.source,
            bytes: &push.body,
            now: push.now,
        });
        PushReply {
            status: pushed.status,
            headers: pushed.headers,
            content_type: pushed.content_type,
            body: pushed.body,
        }
    }

    fn flush(&self) -> Result<(), Refusal> {
        self.store.commit().and_then(|_| self.store.flush_all()).map_err(|e| refusal(&e))
    }

    fn snapshot(&self) -> Result<String, Refusal> {
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|e| not_copied(&e))?;
        let at = jiff::Timestamp::from_millisecond(now().0).map_err(|e| not_copied(&e))?;
        // As Prometheus names them: the time, and something that nobody guesses.
        let name = format!("{}-{:08x}", at.strftime("%Y%m%dT%H%M%SZ"), u32::from_be_bytes(random));
        let folder = self.snapshots.join(&name);
        make_private(&folder).map_err(|e| not_copied(&e))?;
        self.store.snapshot(&OsDisk::new(folder)).map_err(|e| not_copied(&e))?;
        Ok(name)
    }

    fn restore(&self, snapshot: &str) -> Result<(u64, u64), Refusal> {
        put_back(&self.store, &self.folder_of(snapshot)?).map_err(|e| not_copied(&*e))
    }

    fn remove_snapshot(&self, snapshot: &str) -> Result<(), Refusal> {
        std::fs::remove_dir_all(self.folder_of(snapshot)?).map_err(|e| not_copied(&e))
    }
}

impl HttpDoors {
    /// The folder of a snapshot that is there. What a client names is never a path.
    fn folder_of(&self, name: &str) -> Result<PathBuf, Refusal> {
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let folder = self.snapshots.join(name);
        if plain && folder.join("FORMAT").is_file() {
            return Ok(folder);
        }
        let text = Text::new("refused.no_such_snapshot").with("name", name);
        Err(Refusal { kind: RefusalKind::NotFound, text })
    }
}

/// For the owner only: samples may say much about a host.
fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn not_copied(error: &dyn std::error::Error) -> Refusal {
    let told = Failure::of(0, error).message;
    Refusal { kind: RefusalKind::Unavailable, text: Text::new("refused.snapshot").with("error", told) }
}

fn refusal(error: &dyn std::error::Error) -> Refusal {
    Refusal { kind: RefusalKind::Unavailable, text: Text::new("refused.store").with("error", error) }
}
