//! `wellkept store …`: the store of samples for its keeper: a look inside, copies, repair, out and in.
//!
//! What only reads works beside a running Wellkept, too: it is asked for a snapshot (links, made at once), which is
//! read and thrown away. What writes needs the store for itself.

pub(crate) mod copies;
mod export;
mod import;
mod look;
mod series;

pub(crate) use export::What;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use wellkept_model::Text;
use wellkept_tsdb::{OsDisk, Store, StoreConfig, StoreError};

use super::{Context, default_data_dir};
use crate::cli::{Remote, StoreCommand};
use crate::client::Client;
use crate::exit::{DATA_DIR, Failure};
use crate::say;

/// Where the store lies in the data directory.
pub(crate) const STORE_DIR: &str = "tsdb";
/// Where snapshots lie in the data directory.
pub(crate) const SNAPSHOTS_DIR: &str = "snapshots";

/// Runs one of them.
pub(super) fn run(context: Context, command: StoreCommand) -> anyhow::Result<u8> {
    match command {
        StoreCommand::Inspect { place } => look::inspect(context, &place),
        StoreCommand::Verify { place } => look::verify(context, &place),
        StoreCommand::Repair { place } => look::repair(context, &place),
        StoreCommand::Export { place, what } => export::run(context, &place, &what),
        StoreCommand::Import { place, file, format } => import::run(context, &place, &file, format),
        StoreCommand::Snapshot { remote } => super::block_on(copies::snapshot(context, remote)),
        StoreCommand::Restore { snapshot, replace, remote } => {
            copies::restore(context, remote, &snapshot, replace)
        }
        StoreCommand::Series { remote, limit } => super::block_on(series::run(context, remote, limit)),
    }
}

/// Which store is meant.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// Folder of a snapshot or another store, instead of that in the data directory.
    #[arg(long)]
    store: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

impl Place {
    fn data_dir(&self) -> PathBuf {
        self.remote.data_dir.clone().unwrap_or_else(default_data_dir)
    }

    fn folder(&self) -> PathBuf {
        self.store.clone().unwrap_or_else(|| self.data_dir().join(STORE_DIR))
    }

    /// Opens the store for writing: nobody else may have it.
    fn open(&self, context: Context) -> Result<Store, Failure> {
        open(context, &self.folder())
    }

    /// Lets `work` read the store, or a snapshot of it when a running Wellkept has it.
    fn read<T>(&self, context: Context, work: impl FnOnce(&Store) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let folder = self.folder();
        match try_open(context, &folder)? {
            Some(store) => work(&store),
            None if self.store.is_some() => Err(in_use(context, &folder).into()),
            None => self.read_snapshot(context, work),
        }
    }

    fn read_snapshot<T>(
        &self,
        context: Context,
        work: impl FnOnce(&Store) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let client = context.client(&self.remote);
        let name = super::block_on(make_snapshot(&client))?;
        let done = open(context, &self.data_dir().join(SNAPSHOTS_DIR).join(&name))
            .map_err(anyhow::Error::from)
            .and_then(|store| work(&store));
        let body = json!({ "name": name });
        super::block_on(async { Ok(client.post("/api/v1/admin/tsdb/snapshot/remove", &body).await?) })?;
        done
    }
}

/// Has the running Wellkept make a snapshot, and gives its name.
async fn make_snapshot(client: &Client) -> anyhow::Result<String> {
    let answer = client.patient().post("/api/v1/admin/tsdb/snapshot", &json!({})).await?;
    let name = answer.pointer("/data/name").and_then(|n| n.as_str());
    Ok(name.ok_or_else(|| anyhow::anyhow!("the answer names no snapshot"))?.to_owned())
}

/// `None` when another process has it.
fn try_open(context: Context, folder: &Path) -> Result<Option<Store>, Failure> {
    if !folder.join("FORMAT").is_file() {
        let text = Text::new("cli.store.none").with("folder", folder.display());
        return Err(Failure::new(DATA_DIR, say::text(context.language, &text)));
    }
    match Store::open(Arc::new(OsDisk::new(folder.to_owned())), StoreConfig::default()) {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::Locked { .. }) => Ok(None),
        Err(error) => Err(Failure::of(DATA_DIR, &error)),
    }
}

fn open(context: Context, folder: &Path) -> Result<Store, Failure> {
    try_open(context, folder)?.ok_or_else(|| in_use(context, folder))
}

fn in_use(context: Context, folder: &Path) -> Failure {
    let text = Text::new("cli.store.in_use").with("folder", folder.display());
    Failure::new(DATA_DIR, say::text(context.language, &text))
}
