//! Recorded runs as JSON, for the API and the command line.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use wellkept_api::{Refusal, RefusalKind, RunsAsked};
use wellkept_fleet::records::{Failure, Head, HostRecord, Records, Wanted};
use wellkept_model::Text;

/// Outputs of one answer, bytes.
const OUTPUTS_MAX: usize = 8 << 20;
/// Characters of a command in a list, and of one run.
const WHAT_LISTED: usize = 400;
const WHAT_MAX: usize = 16 << 10;

/// Runs, newest first.
pub(crate) fn list(data_dir: &Path, asked: &RunsAsked) -> Result<Value, Refusal> {
    let Some(records) = Records::of(data_dir) else { return Ok(json!({"runs": [], "next": null})) };
    let wanted = Wanted {
        kind: asked.kind.clone(),
        host: asked.host.clone(),
        before: asked.before.clone(),
        limit: asked.limit,
    };
    let listed = records.list(&wanted).map_err(|e| super::unreadable(&e))?;
    let runs = listed.runs.iter().map(|(id, head)| match head {
        Ok(head) => Value::Object(told(id, head, WHAT_LISTED)),
        Err(error) => json!({"id": id, "began_at": began_in(id), "damaged": error.to_string()}),
    });
    Ok(json!({"runs": runs.collect::<Vec<_>>(), "next": listed.more_before}))
}

/// One run with its hosts.
pub(crate) fn whole(data_dir: &Path, id: &str, host: Option<&str>) -> Result<Value, Refusal> {
    let unknown = || Refusal { kind: RefusalKind::NotFound, text: Text::new("api.no_run").with("id", id) };
    let records = Records::of(data_dir).ok_or_else(unknown)?;
    let read = records.read(id, host, OUTPUTS_MAX).map_err(|error| {
        let text = Text::new("api.run_unreadable").with("id", id).with("why", error);
        Refusal { kind: RefusalKind::Unavailable, text }
    });
    let whole = read?.ok_or_else(unknown)?;
    let mut run = told(id, &whole.head, WHAT_MAX);
    run.insert("hosts".to_owned(), whole.hosts.iter().map(|(host, left)| host_of(host, *left)).collect());
    run.insert("damaged_hosts".to_owned(), whole.damaged.into());
    Ok(Value::Object(run))
}

/// When a run began, as its id has it.
fn began_in(id: &str) -> Option<i64> {
    id.split('-').next()?.parse().ok()
}

fn told(id: &str, head: &Head, what_max: usize) -> Map<String, Value> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, status) in &head.hosts {
        *counts.entry(status).or_default() += 1;
    }
    let (what, is_cut) = cut(&head.what, what_max);
    let told = json!({
        "id": id,
        "kind": head.kind,
        "who": head.who,
        "what": what,
        "what_is_cut": is_cut,
        "pattern": head.pattern.chars().take(what_max).collect::<String>(),
        "began_at": head.began_ms,
        "ended_at": head.ended_ms,
        "exit": head.exit,
        "check": head.check,
        "host_count": head.hosts.len(),
        "counts": counts,
        "changed": head.changed,
    });
    match told {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The first characters of some texts, and whether that is not all.
fn cut(texts: &[String], max: usize) -> (Vec<String>, bool) {
    let (mut left, mut kept) = (max, Vec::new());
    for text in texts {
        if left == 0 {
            return (kept, true);
        }
        let part: String = text.chars().take(left).collect();
        // An empty argument takes room as well.
        left = left.saturating_sub(part.chars().count().max(1));
        let is_cut = part.len() < text.len();
        kept.push(part);
        if is_cut {
            return (kept, true);
        }
    }
    (kept, false)
}

fn host_of(host: &HostRecord, is_left_out: bool) -> Value {
    let counts = host.counts.map(|c| {
        json!({
            "ok": c.ok, "changed": c.changed, "failed": c.failed, "unreachable": c.unreachable,
            "unknown": c.unknown, "skipped": c.skipped, "rescued": c.rescued, "ignored": c.ignored,
        })
    });
    let failure = |f: &Failure| json!({"task": f.task, "how": f.how, "message": f.message, "hidden": f.hidden, "ignored": f.ignored});
    json!({
        "host": host.host,
        "status": host.status,
        "exit": host.exit,
        "note": host.note,
        "took_ms": host.took_ms,
        "stdout": host.stdout,
        "stderr": host.stderr,
        "dropped_bytes": host.dropped_bytes,
        "left_out": is_left_out,
        "counts": counts,
        "failures": host.failures.iter().map(failure).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use wellkept_fleet::records::{Counts, record};

    use super::*;

    fn data_dir() -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("VERSION"), "1").unwrap();
        data
    }

    #[test]
    fn runs_are_told_without_outputs_and_one_with_them() {
        let data = data_dir();
        let mut run = record("run", &["echo".into(), "x".repeat(500)], "web", "ann", 5);
        run.head.exit = 2;
        let output = HostRecord {
            host: "a".into(),
            status: "ok".into(),
            stdout: "secret".into(),
            ..HostRecord::default()
        };
        let lost = HostRecord { host: "b".into(), status: "unreachable".into(), ..HostRecord::default() };
        run.hosts = vec![output, lost];
        let records = Records::of(data.path()).unwrap();
        records.put(&run).unwrap();
        let listed = list(data.path(), &RunsAsked { limit: 5, ..RunsAsked::default() }).unwrap();
        let one = &listed["runs"][0];
        assert!(!listed.to_string().contains("secret"), "{listed}");
        assert_eq!((&one["counts"]["ok"], &one["counts"]["unreachable"]), (&json!(1), &json!(1)));
        assert_eq!((&one["what_is_cut"], one["what"][1].as_str().unwrap().len()), (&json!(true), 396));
        let told = whole(data.path(), one["id"].as_str().unwrap(), None).unwrap();
        assert_eq!((&told["hosts"][0]["stdout"], &told["exit"]), (&json!("secret"), &json!(2)));
        assert_eq!(whole(data.path(), "1-1", None).unwrap_err().kind, RefusalKind::NotFound);
    }

    #[test]
    fn a_play_is_told_with_counts_and_what_failed() {
        let data = data_dir();
        let mut run = record("play", &["site.yml".into()], "", "ann", 5);
        let failure =
            Failure { task: "copy".into(), how: "failed".into(), hidden: true, ..Failure::default() };
        let counts = Counts { ok: 3, changed: 1, failed: 1, ..Counts::default() };
        run.hosts = vec![HostRecord::played("a", counts, vec![failure])];
        let path = Records::of(data.path()).unwrap().put(&run).unwrap();
        let id = path.file_stem().unwrap().to_string_lossy().into_owned();
        let told = whole(data.path(), &id, None).unwrap();
        let host = &told["hosts"][0];
        assert_eq!((&host["status"], &host["counts"]["changed"]), (&json!("failed"), &json!(1)));
        assert_eq!((&host["failures"][0]["hidden"], &told["changed"]), (&json!(true), &json!(1)));
        std::fs::write(&path, "{torn").unwrap();
        let listed = list(data.path(), &RunsAsked { limit: 5, ..RunsAsked::default() }).unwrap();
        assert!(listed["runs"][0]["damaged"].is_string() && listed["runs"][0]["began_at"] == 5, "{listed}");
        assert_eq!(whole(data.path(), &id, None).unwrap_err().kind, RefusalKind::Unavailable);
    }
}
