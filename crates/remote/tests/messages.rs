//! Every text that the hands make stands in both catalogues, with the same values, and no others do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn catalogue(language: &str) -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../messages/{language}/actions.json"));
    serde_json::from_slice(&std::fs::read(path).expect("read")).expect("a flat object")
}

/// Keys in the source: each is a literal; those of commands also exist with `_silent`.
fn used() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in std::fs::read_dir(dir).expect("read") {
        let text = std::fs::read_to_string(entry.expect("entry").path()).expect("text");
        for part in text.split("\"outcome.").skip(1) {
            let key = format!("outcome.{}", part.split('"').next().expect("closed"));
            if matches!(key.as_str(), "outcome.command_exit" | "outcome.command_signal") {
                keys.insert(format!("{key}_silent"));
            }
            keys.insert(key);
        }
    }
    keys
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name).collect()
}

#[test]
fn keys_and_values_agree() {
    let (en, zh) = (catalogue("en"), catalogue("zh-CN"));
    let keys = |c: &BTreeMap<String, String>| c.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&en), used());
    assert_eq!(keys(&zh), used());
    for (key, text) in &en {
        assert_eq!(placeholders(text), placeholders(&zh[key]), "{key}");
    }
}
