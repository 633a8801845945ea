//! The output: lines in the shape of ansible-playbook's default callback.

use std::collections::BTreeMap;

use wellkept_inventory::Value;

/// Columns of a banner when the output is no terminal.
const COLUMNS: usize = 79;

/// Counts for the recap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the recap")]
pub struct Stats {
    pub ok: u32,
    pub changed: u32,
    pub unreachable: u32,
    pub failed: u32,
    pub skipped: u32,
    pub rescued: u32,
    pub ignored: u32,
}

/// `PLAY [x] ****`, with an empty line before it.
pub(crate) fn banner(text: &str) -> String {
    let text = text.trim();
    let stars = COLUMNS.saturating_sub(text.chars().count()).max(3);
    format!("\n{text} {}", "*".repeat(stars))
}

/// The recap's line of one host.
pub(crate) fn recap(host: &str, stats: &Stats) -> String {
    let Stats { ok, changed, unreachable, failed, skipped, rescued, ignored } = stats;
    format!(
        "{host:<26} : ok={ok:<4} changed={changed:<4} unreachable={unreachable:<4} failed={failed:<4} skipped={skipped:<4} rescued={rescued:<4} ignored={ignored:<4}"
    )
}

/// All lines of the recap.
pub(crate) fn recap_all(stats: &BTreeMap<String, Stats>) -> Vec<String> {
    let mut out = vec![banner("PLAY RECAP")];
    out.extend(stats.iter().map(|(host, stats)| recap(host, stats)));
    out.push(String::new());
    out
}

/// A result as JSON for a line: sorted, without what is not for people. `debug` results lose `changed`.
pub(crate) fn result(value: &Value, pretty: bool, no_log: bool) -> String {
    let mut shown: Vec<(Value, Value)> = match value {
        Value::Map(entries) => entries.clone(),
        _ => Vec::new(),
    };
    if no_log {
        shown.retain(|(key, _)| key.as_text() == Some("changed"));
        let censored =
            "the output has been hidden due to the fact that 'no_log: true' was specified for this result";
        shown.insert(0, (key("censored"), Value::Unsafe(censored.to_owned())));
    }
    shown.retain(|(key, _)| {
        !key.as_text().is_some_and(|key| {
            key.starts_with("_ansible_")
                || matches!(key, "invocation" | "diff" | "exception" | "warnings" | "deprecations")
        })
    });
    crate::json::dump(&Value::Map(shown), pretty.then_some(4))
}

pub(crate) fn key(text: &str) -> Value {
    Value::Unsafe(text.to_owned())
}

/// The label of a loop's item: texts bare, others as Python shows them.
pub(crate) fn label(value: &Value) -> String {
    crate::json::python(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banners_and_recap_have_ansibles_width() {
        assert_eq!(banner("PLAY [all]"), format!("\nPLAY [all] {}", "*".repeat(69)));
        assert_eq!(
            recap("h1", &Stats { ok: 3, ..Stats::default() }),
            "h1                         : ok=3    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0   "
        );
    }
}
