//! `dependencies.<name>`: a service of somebody else, and how ours do without it for a while.

use std::time::Duration;

use wellkept_model::ActionKind;
use wellkept_model::keep::Dependency;

use super::Entry;
use crate::read;

const KEYS: [&str; 6] = ["http", "slow", "used_by", "fallback", "every", "may"];
const EVERY: Duration = Duration::from_secs(2);
const SLOW: Duration = Duration::from_secs(1);

pub(super) fn read(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<Dependency> {
    entry.open(&KEYS)?;
    entry.needed("http", "keep.accept.url");
    let mut dependency = Dependency {
        name: name.to_owned(),
        slow: entry.duration("slow", Duration::from_millis(10), Duration::from_secs(30)).unwrap_or(SLOW),
        used_by: entry.services_of("used_by"),
        fallback_on: None,
        fallback_off: None,
        every: entry.every(EVERY),
        may: entry.may(name, &[(ActionKind::Reconfigure, "fallback")]),
        http: entry.url("http")?,
    };
    if let Some(node) = entry.get("fallback") {
        let mut fallback =
            Entry { at: &node.at, node, fields: None, services: entry.services, problems: entry.problems };
        fallback.open(&["on", "off"])?;
        for key in ["on", "off"] {
            if fallback.get(key).is_none() {
                read::missing(
                    &node.at,
                    key,
                    wellkept_model::Text::new("keep.accept.command"),
                    fallback.problems,
                );
            }
        }
        dependency.fallback_on = fallback.command("on");
        dependency.fallback_off = fallback.command("off");
    }
    Some(dependency)
}
