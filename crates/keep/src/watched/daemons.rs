//! `daemons`: services that should run always, whoever needs them.

use std::collections::BTreeSet;

use wellkept_model::Text;

use super::Entry;
use crate::problem::Problems;
use crate::read::{self, Fields};

/// Reads the section `daemons`: names of services.
pub(crate) fn daemons(root: &Fields, services: &[&str], problems: &mut Problems) -> BTreeSet<String> {
    let Some(node) = root.get("daemons") else { return BTreeSet::new() };
    let mut named = BTreeSet::new();
    for item in read::items(node) {
        let Some(name) = read::text(item, false, &Text::new("keep.accept.depends_on"), problems) else {
            continue;
        };
        let mut entry = Entry { at: &item.at, node: item, fields: None, services, problems };
        super::knobs::known(name, &mut entry);
        named.insert(name.to_owned());
    }
    named
}
