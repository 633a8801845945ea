//! `apply.<name>`: playbooks that say how hosts should be, looked at on a schedule and when their files change.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::{DesiredState, StateMode};

use crate::deploy::{inventories, named, pattern};
use crate::hostwide::yes_or_no;
use crate::problem::Problems;
use crate::read;
use crate::tree::{At, Node};

const KEYS: [&str; 7] = ["playbook", "inventory", "limit", "every", "on_change", "mode", "within"];
const EVERY_DEFAULT: Duration = Duration::from_secs(15 * 60);
const EVERY_MIN: Duration = Duration::from_secs(1);
const EVERY_MAX: Duration = Duration::from_secs(31 * 86_400);
const WITHIN_DEFAULT: Duration = Duration::from_secs(3600);
const WITHIN_MAX: Duration = Duration::from_secs(86_400);

/// Reads the section. `trusts`: whether somebody's signature is believed.
pub(crate) fn apply(node: &Node, trusts: bool, problems: &mut Problems) -> BTreeMap<String, DesiredState> {
    named(node, "site, base, …", problems, |name, at, node, problems| one(name, at, node, trusts, problems))
}

fn one(name: &str, at: &At, node: &Node, trusts: bool, problems: &mut Problems) -> Option<DesiredState> {
    let fields = read::open(node, &KEYS, problems)?;
    let playbook = match fields.get("playbook") {
        Some(n) => read::path(n, problems).map(PathBuf::from),
        None => {
            read::missing(at, "playbook", Text::new("keep.accept.path"), problems);
            None
        }
    };
    let every = match fields.get("every") {
        Some(n) => read::duration(n, EVERY_MIN, EVERY_MAX, problems),
        None => Some(EVERY_DEFAULT),
    };
    let within = match fields.get("within") {
        Some(n) => read::duration(n, EVERY_MIN, WITHIN_MAX, problems),
        None => Some(WITHIN_DEFAULT),
    };
    let mode = match fields.get("mode") {
        Some(n) => read::parsed(n, Text::new("keep.accept.state_mode"), problems, |t| match t {
            "check" => Some(StateMode::Check),
            "enforce" => Some(StateMode::Enforce),
            _ => None,
        }),
        None => Some(StateMode::Check),
    };
    // Nobody is there when it is done: what is done then has to be signed.
    if let (Some(StateMode::Enforce), false, Some(node)) = (mode, trusts, fields.get("mode")) {
        problems.add(&node.at, Text::new("keep.enforce_unsigned"), Text::new("keep.accept.trust"));
    }
    let limit = fields.get("limit").map(read::items).unwrap_or_default();
    Some(DesiredState {
        name: name.to_owned(),
        inventory: fields.get("inventory").map(|n| inventories(n, problems)).unwrap_or_default(),
        limit: limit.iter().filter_map(|n| pattern(n, problems)).collect(),
        on_change: fields.get("on_change").and_then(|n| yes_or_no(n, problems)).unwrap_or(true),
        playbook: playbook?,
        every: every?,
        within: within?,
        mode: mode?,
    })
}
