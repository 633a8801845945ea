//! `store inspect`, `store verify` and `store repair`.

use serde_json::json;
use wellkept_model::{Text, TimestampMs};
use wellkept_tsdb::{BlockInfo, Quarantined};

use super::Place;
use crate::cli::Output;
use crate::commands::Context;
use crate::exit::{DATA_DIR, Failure, NOT_WELL, OK};
use crate::say;

/// Blocks and figures.
pub(super) fn inspect(context: Context, place: &Place) -> anyhow::Result<u8> {
    place.read(context, |store| {
        let (stats, blocks) = (store.stats(), store.blocks());
        let aside = store.set_aside_files()?;
        if context.output == Output::Json {
            let all: Vec<_> = blocks.iter().map(block_json).collect();
            let (from, to) = stats.range.unwrap_or_default();
            say::line(
                &json!({
                    "series": stats.series, "headSamples": stats.head_samples, "blockSamples": stats.block_samples,
                    "blockBytes": stats.block_bytes, "logBytes": stats.log_bytes, "segments": stats.segments,
                    "from": from.0, "to": to.0, "blocks": all, "setAside": aside,
                })
                .to_string(),
            );
            return Ok(OK);
        }
        let head = ["block", "from", "to", "resolution", "series", "samples", "bytes", "per_sample"];
        let head = head.map(|c| say::word(context.language, &format!("cli.store.column.{c}")));
        say::table(&head, blocks.iter().map(|b| block_row(context, b)).collect());
        let total = Text::new("cli.store.total")
            .with("series", stats.series)
            .with("blocks", blocks.len())
            .with("samples", stats.block_samples)
            .with("bytes", stats.block_bytes)
            .with("head", stats.head_samples)
            .with("log", stats.log_bytes);
        say::line(&say::text(context.language, &total));
        if !aside.is_empty() {
            let text = Text::new("cli.store.aside").with("files", aside.join(", "));
            say::line(&say::text(context.language, &text));
        }
        Ok(OK)
    })
}

fn block_json(b: &BlockInfo) -> serde_json::Value {
    json!({
        "file": b.file, "number": b.number, "from": b.range.0.0, "to": b.range.1.0,
        "resolutionMs": b.resolution_ms, "series": b.series, "samples": b.samples, "bytes": b.bytes,
    })
}

fn block_row(context: Context, b: &BlockInfo) -> Vec<String> {
    let text = |t: Text| say::text(context.language, &t);
    let time = |at: TimestampMs| text(Text::new("cli.time").with("at", at.0));
    let resolution = match b.resolution_ms {
        0 => say::word(context.language, "cli.store.raw"),
        ms => text(Text::new("cli.duration").with("ms", ms)),
    };
    let per_sample = b.bytes as f64 / b.samples.max(1) as f64;
    vec![
        b.file.clone(),
        time(b.range.0),
        time(b.range.1),
        resolution,
        b.series.to_string(),
        b.samples.to_string(),
        text(Text::new("cli.bytes").with("n", b.bytes)),
        format!("{per_sample:.3}"),
    ]
}

/// Every checksum; the exit code is 1 when something is damaged.
pub(super) fn verify(context: Context, place: &Place) -> anyhow::Result<u8> {
    place.read(context, |store| {
        let mut damage = store.stats().quarantined;
        damage.extend(store.verify().map_err(|e| Failure::of(DATA_DIR, &e))?);
        let shown: Vec<String> = damage.iter().map(Quarantined::to_string).collect();
        let stats = store.stats();
        if context.output == Output::Json {
            let samples = stats.block_samples + stats.head_samples as u64;
            let result =
                json!({"ok": shown.is_empty(), "blocks": stats.blocks, "samples": samples, "damage": shown});
            say::line(&result.to_string());
        } else {
            shown.iter().for_each(|d| say::line(d));
            let key = if shown.is_empty() { "cli.store.sound" } else { "cli.store.damaged" };
            let text = Text::new(key).with("blocks", stats.blocks).with("count", shown.len());
            say::line(&say::text(context.language, &text));
        }
        Ok(if shown.is_empty() { OK } else { NOT_WELL })
    })
}

/// Writes damaged blocks anew from what is sound in them.
pub(super) fn repair(context: Context, place: &Place) -> anyhow::Result<u8> {
    let store = place.open(context)?;
    let lost: Vec<String> = {
        let mut damage = store.stats().quarantined;
        damage.extend(store.verify().map_err(|e| Failure::of(DATA_DIR, &e))?);
        damage.iter().map(Quarantined::to_string).collect()
    };
    let written = store.repair().map_err(|e| Failure::of(DATA_DIR, &e))?;
    if context.output == Output::Json {
        say::line(&json!({"written": written, "lost": lost}).to_string());
    } else {
        lost.iter().for_each(|l| say::line(l));
        let text = Text::new("cli.store.repaired").with("blocks", written.len()).with("lost", lost.len());
        say::line(&say::text(context.language, &text));
    }
    Ok(OK)
}
