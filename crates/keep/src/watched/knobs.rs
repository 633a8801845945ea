//! `knobs.<service>`, `progress.<service>` and `time_sync`: what may be turned, how progress shows, who keeps the time.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::keep::{Knobs, Progress, TimeSync};
use wellkept_model::{ActionKind, Text};

use super::{Entry, section};
use crate::problem::{Problems, clean};
use crate::read::{self, Fields};
use crate::tree::Node;

const KEYS: [&str; 7] = ["more_cpu", "less_cpu", "log", "log_rate", "log_less", "log_more", "may"];

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
            log: entry.path("log"),
            log_rate: entry.size("log_rate"),
            log_less: entry.command("log_less"),
            log_more: entry.command("log_more"),
            may: entry.may(name, &means),
        })
    })
}

/// Reads the section `progress`; each entry is named after a service.
pub(crate) fn progress(
    root: &Fields,
    services: &[&str],
    problems: &mut Problems,
) -> BTreeMap<String, Progress> {
    section(root, "progress", services, problems, |name, entry| {
        entry.open(&["file", "within"])?;
        known(name, entry);
        entry.needed("file", "keep.accept.path");
        entry.needed("within", "keep.accept.due");
        let (file, day) = (entry.path("file")?, Duration::from_secs(86_400));
        Some(Progress { file, within: entry.duration("within", Duration::from_secs(2), day)? })
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
