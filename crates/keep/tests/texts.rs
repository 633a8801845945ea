//! The catalogue of this crate: every message exists in both languages with the same values.

use std::collections::{BTreeMap, BTreeSet};

fn load(text: &str) -> BTreeMap<String, String> {
    serde_json::from_str(text).expect("a flat map of texts")
}

fn values(text: &str) -> BTreeSet<&str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
        .filter(|n| is_name(n))
        .collect()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[test]
fn both_languages_have_the_same_messages_with_the_same_values() {
    let en = load(include_str!("../../../messages/en/keep.json"));
    let zh = load(include_str!("../../../messages/zh-CN/keep.json"));
    assert_eq!(en.keys().collect::<Vec<_>>(), zh.keys().collect::<Vec<_>>());
    for (key, text) in &en {
        assert_eq!(values(text), values(&zh[key]), "{key}");
    }
}

#[test]
fn every_message_that_the_code_names_exists_and_none_is_left_over() {
    let en = load(include_str!("../../../messages/en/keep.json"));
    let mut named = BTreeSet::new();
    for folder in ["/src", "/src/watched"] {
        let sources = std::fs::read_dir(format!("{}{folder}", env!("CARGO_MANIFEST_DIR"))).expect("sources");
        let files = sources.map(|s| s.expect("entry").path()).filter(|p| p.is_file());
        let text: String = files.map(|p| std::fs::read_to_string(p).expect("source")).collect();
        named.extend(text.split('"').filter(|s| is_key(s)).map(str::to_owned));
    }
    assert_eq!(named.iter().collect::<Vec<_>>(), en.keys().collect::<Vec<_>>());
}

fn is_key(text: &str) -> bool {
    text.starts_with("keep.")
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_'))
}
