//! Merges `messages/<language>/*.json` into one sorted table per language, so that a look-up is a binary search
//! in static memory and a key that two areas both define stops the build.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Folder of a language, and the name of its table.
const LANGUAGES: [(&str, &str); 2] = [("en", "EN"), ("zh-CN", "ZH_CN")];

fn main() -> Result<(), Box<dyn Error>> {
    let messages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../messages");
    println!("cargo::rerun-if-changed={}", messages.display());
    let mut code = String::new();
    for (folder, table) in LANGUAGES {
        let merged = merge(&messages.join(folder))?;
        writeln!(code, "pub(crate) static {table}: &[(&str, &str)] = &[")?;
        for (key, (text, _)) in &merged {
            writeln!(code, "    ({key:?}, {text:?}),")?;
        }
        writeln!(code, "];")?;
    }
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    fs::write(PathBuf::from(out).join("table.rs"), code)?;
    Ok(())
}

/// All messages of one folder: key to text and the file that it came from.
fn merge(folder: &Path) -> Result<BTreeMap<String, (String, PathBuf)>, Box<dyn Error>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|e| format!("{}: {e}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "json"));
    files.sort();
    let mut merged: BTreeMap<String, (String, PathBuf)> = BTreeMap::new();
    for path in files {
        let Pairs(pairs) = serde_json::from_str(&fs::read_to_string(&path)?)
            .map_err(|e| format!("{}: {e}", path.display()))?;
        for (key, text) in pairs {
            if let Some((_, other)) = merged.get(&key) {
                let (here, there) = (path.display(), other.display());
                return Err(format!("{here}: the key `{key}` is already defined in {there}").into());
            }
            merged.insert(key, (text, path.clone()));
        }
    }
    Ok(merged)
}

/// A flat object with its pairs in order, doubles included: a map would let the last one win in silence.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Flat;
        impl<'de> Visitor<'de> for Flat {
            type Value = Pairs;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a flat object of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Flat)
    }
}
