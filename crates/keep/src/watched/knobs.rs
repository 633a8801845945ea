//! `knobs.<service>` and `time_sync`: what may be turned, and who keeps the time.

use std::collections::BTreeMap;

use wellkept_model::keep::{Knobs, TimeSync};
use wellkept_model::{ActionKind, Text};

use super::{Entry, section};
use crate::problem::{Problems, clean};
use crate::read::{self, Fields};
use crate::tree::Node;

const KEYS: [&str; 3] = ["more_cpu", "less_cpu", "may"];

/// Reads the section `knobs`; each entry is named after a service.
pub(crate) fn knobs(root: &Fields, services: &[&str], problems: &mut Problems) -> BTreeMap<String, Knobs> {
    section(root, "knobs", services, problems, |name, entry| {
        entry.open(&KEYS)?;
        known(name, entry);
        let turned = Knobs::WORDS.into_iter().find(|w| entry.get(w).is_some()).unwrap_or_default();
        let means = [(ActionKind::Reconfigure, if turned.is_empty() { "more_cpu" } else { turned })];
        Some(Knobs {
            more_cpu: entry.command("more_cpu"),
            less_cpu: entry.command("less_cpu"),
            may: entry.may(name, &means),
        })
    })
}

/// Entries that are named after a service need that service.
pub(super) fn known(name: &str, entry: &mut Entry<'_, '_, '_>) {
    if !entry.services.contains(&name) {
        let help = read::nearest_word(name, entry.services, Text::new("keep.accept.depends_on"));
        entry.problems.add(entry.at, Text::new("keep.unknown_service").with("name", clean(name)), help);
    }
}

/// Reads the section `time_sync`.
pub(crate) fn time_sync(node: &Node, services: &[&str], problems: &mut Problems) -> Option<TimeSync> {
    let mut entry = Entry { at: &node.at, node, fields: None, services, problems };
    entry.open(&["service"])?;
    Some(TimeSync { service: entry.services_of("service").into_iter().next() })
}
