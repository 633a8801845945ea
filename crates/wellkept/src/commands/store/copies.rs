//! `store snapshot` and `store restore`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};
use wellkept_model::Text;
use wellkept_tsdb::{OsDisk, StoreError};

use super::{SNAPSHOTS_DIR, STORE_DIR, make_snapshot, open, try_open};
use crate::cli::{Output, Remote};
use crate::clock::now;
use crate::commands::{Context, default_data_dir};
use crate::exit::{DATA_DIR, Failure, OK, USAGE};
use crate::say;

/// A copy of the running store, by links where the file system allows.
pub(super) async fn snapshot(context: Context, remote: Remote) -> anyhow::Result<u8> {
    let name = make_snapshot(&context.client(&remote)).await?;
    let data_dir = remote.data_dir.clone().unwrap_or_else(default_data_dir);
    let folder = data_dir.join(SNAPSHOTS_DIR).join(&name);
    tell(
        context,
        &json!({"name": name, "folder": folder.display().to_string()}),
        "cli.store.snapshot",
        |t| t.with("folder", folder.display()),
    );
    Ok(OK)
}

/// With `replace` the store becomes what the snapshot is; else the snapshot's samples are put back into it, also while
/// Wellkept runs.
pub(super) fn restore(
    context: Context,
    remote: Remote,
    snapshot: &Path,
    replace: bool,
) -> anyhow::Result<u8> {
    let data_dir = remote.data_dir.clone().unwrap_or_else(default_data_dir);
    let by_name = data_dir.join(SNAPSHOTS_DIR).join(snapshot);
    let folder = if by_name.is_dir() { by_name } else { snapshot.to_owned() };
    if replace {
        return put_in_place(context, &data_dir.join(STORE_DIR), &folder);
    }
    match try_open(context, &data_dir.join(STORE_DIR))? {
        Some(store) => {
            let (samples, refused) = put_back(&store, &folder).map_err(|e| Failure::of(DATA_DIR, &*e))?;
            told(context, samples, refused);
        }
        None => {
            let Some(name) = folder.strip_prefix(data_dir.join(SNAPSHOTS_DIR)).ok().and_then(Path::to_str)
            else {
                let text = Text::new("cli.store.snapshot_elsewhere")
                    .with("folder", data_dir.join(SNAPSHOTS_DIR).display());
                return Err(Failure::new(USAGE, say::text(context.language, &text)).into());
            };
            let client = context.client(&remote).patient();
            let body = json!({ "name": name });
            let answer = super::super::block_on(async {
                Ok(client.post("/api/v1/admin/tsdb/snapshot/restore", &body).await?)
            })?;
            let count = |name: &str| answer.pointer(name).and_then(Value::as_u64).unwrap_or_default();
            told(context, count("/data/samples"), count("/data/refused"));
        }
    }
    Ok(OK)
}

fn told(context: Context, samples: u64, refused: u64) {
    tell(context, &json!({"samples": samples, "refused": refused}), "cli.store.restored", |t| {
        t.with("samples", samples).with("refused", refused)
    });
}

/// Puts the samples of the store in `folder` into `store`; gives how many were taken and refused.
pub(crate) fn put_back(
    store: &wellkept_tsdb::Store,
    folder: &Path,
) -> Result<(u64, u64), Box<dyn std::error::Error + Send + Sync>> {
    let from = wellkept_tsdb::Store::open(
        Arc::new(OsDisk::new(folder.to_owned())),
        wellkept_tsdb::StoreConfig::default(),
    )?;
    let (mut samples, mut refused, mut gathered, mut waiting) = (0, 0, Vec::new(), 0);
    let all = (wellkept_model::TimestampMs(i64::MIN), wellkept_model::TimestampMs(i64::MAX));
    let mut store_some = |series: Vec<_>| -> Result<(), StoreError> {
        let (taken, no) = store.import(series)?;
        samples += taken;
        refused += no.out_of_order + no.invalid + no.over_limit + no.too_many_times;
        Ok(())
    };
    from.export(&[], all.0, all.1, |series| {
        waiting += series.samples.len() + series.histograms.len();
        gathered.push(series);
        if waiting < GATHERED_MAX {
            return Ok(());
        }
        waiting = 0;
        store_some(std::mem::take(&mut gathered))
    })?;
    store_some(gathered)?;
    Ok((samples, refused))
}

/// Samples that are read before they are stored.
const GATHERED_MAX: usize = 1 << 20;

/// The old store is moved aside, never removed.
fn put_in_place(context: Context, store: &Path, snapshot: &Path) -> anyhow::Result<u8> {
    let from = open(context, snapshot)?;
    let aside = if store.is_dir() {
        // Nobody may have it open.
        if store.join("FORMAT").is_file() {
            drop(open(context, store)?);
        }
        let aside = PathBuf::from(format!("{}.before-{}", store.display(), now().0));
        std::fs::rename(store, &aside)
            .with_context(|| format!("{} cannot be moved to {}", store.display(), aside.display()))?;
        Some(aside)
    } else {
        None
    };
    std::fs::create_dir_all(store).with_context(|| format!("{} cannot be made", store.display()))?;
    let copied = from.snapshot(&OsDisk::new(store.to_owned())).map_err(|e| Failure::of(DATA_DIR, &e))?;
    let aside = aside.map(|a| a.display().to_string()).unwrap_or_default();
    tell(
        context,
        &json!({"files": copied.files, "bytes": copied.bytes, "aside": aside}),
        if aside.is_empty() { "cli.store.placed" } else { "cli.store.replaced" },
        |t| t.with("bytes", copied.bytes).with("aside", &aside),
    );
    Ok(OK)
}

fn tell(context: Context, json: &Value, key: &'static str, with: impl FnOnce(Text) -> Text) {
    if context.output == Output::Json {
        say::line(&json.to_string());
    } else {
        say::line(&say::text(context.language, &with(Text::new(key))));
    }
}
