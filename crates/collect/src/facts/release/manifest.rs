//! Manifests: which files a release has, with checksum, owner and mode.
//!
//! Two forms are read: JSON with a map `files` from path to checksum (`"…"` or `{"sha256", "owner", "group",
//! "mode"}`), and the text that `sha256sum` writes. Paths are relative to the release and never leave it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

use serde::Deserialize;
use wellkept_model::local::WantedFile;

use crate::accounts::Accounts;
use crate::source::read_once;

/// Longest manifest, bytes.
pub(super) const MANIFEST_MAX: u64 = 16 << 20;
/// Most files of a release that are watched.
const FILES_MAX: usize = 100_000;

/// Files by path relative to the release.
pub(super) type Manifest = BTreeMap<String, WantedFile>;

#[derive(Deserialize)]
struct Document {
    files: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Sum(String),
    Full {
        sha256: String,
        #[serde(default)]
        owner: Option<Name>,
        #[serde(default)]
        group: Option<Name>,
        #[serde(default)]
        mode: Option<String>,
    },
}

/// Some tools write numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Number(u32),
}

/// Reads a manifest. Entries that leave the release or have no checksum make it unusable as a whole: half a
/// manifest would let the other half be altered unseen.
pub(super) fn parse(text: &str) -> io::Result<Manifest> {
    let manifest = if text.trim_start().starts_with('{') { json(text)? } else { sums(text)? };
    if manifest.is_empty() || manifest.len() > FILES_MAX {
        return Err(io::Error::other(format!(
            "names {} files; 1 to {FILES_MAX} are accepted",
            manifest.len()
        )));
    }
    for (path, wanted) in &manifest {
        let is_inside = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
        let is_sum = wanted.sha256.len() == 64 && wanted.sha256.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_inside || !is_sum {
            return Err(io::Error::other(format!(
                "the entry {path:?} has no path inside the release or no SHA-256"
            )));
        }
    }
    Ok(manifest)
}

fn json(text: &str) -> io::Result<Manifest> {
    let document: Document = serde_json::from_str(text)?;
    let (users, groups) = (Accounts::read(), Groups::read());
    let uid = |n: Name| match n {
        Name::Text(name) => users.uid(&name),
        Name::Number(uid) => Some(uid),
    };
    let gid = |n: Name| match n {
        Name::Text(name) => groups.gid(&name),
        Name::Number(gid) => Some(gid),
    };
    let wanted = |entry: Entry| match entry {
        Entry::Sum(sha256) => WantedFile { sha256: sha256.to_lowercase(), uid: None, gid: None, mode: None },
        Entry::Full { sha256, owner, group, mode } => WantedFile {
            sha256: sha256.to_lowercase(),
            uid: owner.and_then(uid),
            gid: group.and_then(gid),
            mode: mode
                .and_then(|m| u32::from_str_radix(m.trim_start_matches("0o"), 8).ok())
                .map(|m| m & 0o7777),
        },
    };
    Ok(document.files.into_iter().map(|(path, entry)| (plain(&path), wanted(entry))).collect())
}

/// `<sum>  <path>` or `<sum> *<path>`.
fn sums(text: &str) -> io::Result<Manifest> {
    let line = |line: &str| {
        let (sum, path) = line.split_once(' ')?;
        let path = path.strip_prefix([' ', '*'])?;
        let wanted = WantedFile { sha256: sum.to_lowercase(), uid: None, gid: None, mode: None };
        Some((plain(path), wanted))
    };
    let lines = text.lines().filter(|l| !l.trim().is_empty());
    lines
        .map(|l| {
            line(l).ok_or_else(|| io::Error::other("is neither JSON with `files` nor lines of sha256sum"))
        })
        .collect()
}

fn plain(path: &str) -> String {
    path.trim_start_matches("./").to_owned()
}

/// The groups of this host, from `/etc/group`.
struct Groups(String);

impl Groups {
    fn read() -> Self {
        Self(read_once("/etc/group").unwrap_or_default())
    }

    fn gid(&self, name: &str) -> Option<u32> {
        name.parse().ok().or_else(|| {
            self.0.lines().find_map(|line| {
                let mut fields = line.split(':');
                (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn both_forms_are_read() {
        let full = format!(
            r#"{{"release": 3, "files": {{"a/b": {{"sha256": "{SUM}", "owner": "root", "mode": "0640"}}, "./c": "{SUM}"}}}}"#
        );
        let got = parse(&full).expect("it is one");
        let a = WantedFile { sha256: SUM.to_owned(), uid: Some(0), gid: None, mode: Some(0o640) };
        assert_eq!(got.get("a/b"), Some(&a));
        assert_eq!(got.get("c").map(|w| w.mode), Some(None));
        let got = parse(&format!("{SUM}  a/b\n{SUM} *c d\n")).expect("it is one");
        assert_eq!(got.keys().collect::<Vec<_>>(), ["a/b", "c d"]);
    }

    #[test]
    fn a_manifest_that_leaves_the_release_or_lacks_a_sum_is_refused_as_a_whole() {
        for bad in [
            format!(r#"{{"files": {{"../x": "{SUM}", "a": "{SUM}"}}}}"#),
            format!(r#"{{"files": {{"/etc/x": "{SUM}"}}}}"#),
            r#"{"files": {"a": "12"}}"#.to_owned(),
            r#"{"files": {}}"#.to_owned(),
            "nonsense\n".to_owned(),
            String::new(),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
