//! `backups.<name>`: dumps, how one is made, and how it is proven.

use std::time::Duration;

use wellkept_model::keep::Backup;
use wellkept_model::{ActionKind, Text};

use super::Entry;
use crate::filesystem::folder_and_last;
use crate::read;

const KEYS: [&str; 10] =
    ["files", "min_size", "max_age", "log", "run", "test", "keep_old", "credential", "every", "may"];
/// Time between two looks.
const EVERY: Duration = Duration::from_secs(5);

pub(super) fn read(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<Backup> {
    entry.open(&KEYS)?;
    let means = [(ActionKind::RunBackup, "run"), (ActionKind::Reconfigure, "")];
    let glob = entry.needed("files", "keep.accept.backup_files").and_then(|node| {
        read::parsed(node, Text::new("keep.accept.backup_files"), entry.problems, |t| {
            let (folder, last) = folder_and_last(t);
            let good = read::is_plain_path(t) && !folder.contains(['*', '?', '[']) && !last.is_empty();
            good.then(|| t.to_owned())
        })
    });
    let min_size = match entry.get("min_size") {
        Some(node) => read::parsed(node, Text::new("keep.accept.bytes"), entry.problems, size),
        None => Some(1),
    };
    Some(Backup {
        name: name.to_owned(),
        glob: glob?,
        min_size: min_size?,
        max_age: entry.duration("max_age", Duration::from_secs(60), Duration::from_secs(366 * 86_400)),
        log: entry.path("log"),
        run: entry.command("run"),
        test: entry.command("test"),
        keep_old: entry.command("keep_old"),
        credential: entry.word("credential"),
        every: entry.every(EVERY),
        may: entry.may(name, &means),
    })
}

/// `1000000`, `500KiB`, `1MiB`, `2GiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let by: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(by).filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_may_have_a_unit() {
        for (text, bytes) in
            [("7", Some(7)), ("1 MiB", Some(1 << 20)), ("0", None), ("1MB", None), ("", None)]
        {
            assert_eq!(size(text), bytes, "{text}");
        }
    }
}
