//! `credentials.<name>`: where the truth is, who holds a copy, and how the truth is handed on.

use wellkept_model::ActionKind;
use wellkept_model::keep::Credential;

use super::Entry;
use crate::read;

const KEYS: [&str; 8] = ["store", "copies", "used_by", "user", "log", "test", "sync", "may"];

pub(super) fn read(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<Credential> {
    entry.open(&KEYS)?;
    let store = entry.needed("store", "keep.accept.path").and_then(|n| read::path(n, entry.problems));
    entry.needed("user", "keep.accept.word");
    Some(Credential {
        name: name.to_owned(),
        store: store?.into(),
        copies: entry.paths("copies"),
        used_by: entry.services_of("used_by"),
        user: entry.word("user")?,
        log: entry.path("log"),
        test: entry.command("test"),
        sync: entry.command("sync"),
        may: entry.may(name, &[(ActionKind::Reconfigure, "sync")]),
    })
}
