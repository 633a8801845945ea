//! `store series`: which metrics, labels and values have most series, and what grows.

use serde_json::Value;

use crate::cli::{Output, Remote};
use crate::commands::Context;
use crate::exit::OK;
use crate::say;

pub(super) async fn run(context: Context, remote: Remote, limit: usize) -> anyhow::Result<u8> {
    let answer = context.client(&remote).get(&format!("/api/v1/status/tsdb?limit={limit}")).await?;
    let data = answer.get("data").cloned().unwrap_or_default();
    if context.output == Output::Json {
        say::line(&data.to_string());
        return Ok(OK);
    }
    for (list, title) in [
        ("/seriesCountByMetricName", "metric"),
        ("/labelValueCountByLabelName", "label"),
        ("/seriesCountByLabelValuePair", "pair"),
        ("/memoryInBytesByLabelName", "label_bytes"),
    ] {
        let rows = rows(&data, list, |one| vec![text(one, "name"), text(one, "value")]);
        show(context, title, &["name", "count"], rows);
    }
    let growth =
        rows(&data, "/wellkept/growth", |one| vec![text(one, "name"), text(one, "before"), text(one, "now")]);
    show(context, "growth", &["name", "before", "now"], growth);
    let limited = rows(&data, "/wellkept/limited", |one| vec![text(one, "name"), text(one, "value")]);
    show(context, "limited", &["name", "count"], limited);
    Ok(OK)
}

fn rows(data: &Value, list: &str, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    data.pointer(list).and_then(Value::as_array).map(|all| all.iter().map(row).collect()).unwrap_or_default()
}

fn text(one: &Value, field: &str) -> String {
    match one.get(field) {
        // What clients named their labels: shown harmless.
        Some(Value::String(text)) => wellkept_catalogue::harmless(text).into_owned(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn show(context: Context, title: &str, columns: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let word = |key: String| say::word(context.language, &key);
    say::line(&say::paint("1", &word(format!("cli.store.title.{title}"))));
    let head: Vec<String> = columns.iter().map(|c| word(format!("cli.store.column.{c}"))).collect();
    say::table(&head, rows);
    say::line("");
}
