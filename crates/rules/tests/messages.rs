//! Every message that this crate names exists in both languages, and none is left over.

use std::collections::BTreeSet;
use std::path::Path;

use wellkept_catalogue::{Language, keys, text};

/// All `"rules.…"` in the sources of a folder.
fn named(folder: &Path, found: &mut BTreeSet<String>) {
    let key = regex::Regex::new(r#""(rules\.[a-z_.]+)""#).expect("a pattern");
    for entry in std::fs::read_dir(folder).expect("the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            named(&path, found);
        } else {
            let source = std::fs::read_to_string(&path).expect("a source file");
            found.extend(key.captures_iter(&source).map(|c| c[1].to_owned()));
        }
    }
}

#[test]
fn messages_and_code_name_each_other() {
    let mut found = BTreeSet::new();
    named(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 30, "{found:?}");
    for key in &found {
        for language in Language::ALL {
            assert!(text(language, key).is_some(), "{key} in {language:?}");
        }
    }
    let left_over: Vec<&str> =
        keys(Language::En).filter(|k| k.starts_with("rules.") && !found.contains(*k)).collect();
    assert!(left_over.is_empty(), "nobody says {left_over:?}");
}
