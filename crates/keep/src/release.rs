//! `services.<name>.release`: where releases lie, how their files are known, and how one goes back.

use std::path::{Component, Path, PathBuf};

use wellkept_model::Text;
use wellkept_model::keep::Release;

use crate::command::{self, Limit};
use crate::problem::Problems;
use crate::read;
use crate::tree::Node;

/// Stands for the name of a release in `artefact` and `rollback`.
const PLACE: &str = "{release}";

pub(crate) fn release(node: &Node, problems: &mut Problems) -> Option<Release> {
    let fields = read::open(node, &["current", "from", "manifest", "artefact", "rollback"], problems)?;
    let mut path = |name: &str| match fields.get(name) {
        Some(node) => read::path(node, problems).map(PathBuf::from),
        None => {
            read::missing(&node.at, name, Text::new("keep.accept.release"), problems);
            None
        }
    };
    let (current, from) = (path("current"), path("from"));
    let manifest = fields.get("manifest").and_then(|n| {
        read::parsed(n, Text::new("keep.accept.manifest"), problems, |t| {
            is_inside(t).then(|| PathBuf::from(t))
        })
    });
    let artefact = fields.get("artefact").and_then(|n| {
        let good = |t: &str| read::is_plain_path(t) && t.contains(PLACE);
        read::parsed(n, Text::new("keep.accept.artefact"), problems, |t| good(t).then(|| t.to_owned()))
    });
    let rollback = fields.get("rollback").and_then(|n| {
        let command = command::command(n, Limit::Own, problems)?;
        if !command.argv.iter().skip(1).any(|word| word.contains(PLACE)) {
            problems.add(
                &n.at,
                Text::new("keep.rollback_without_release"),
                Text::new("keep.accept.rollback"),
            );
            return None;
        }
        Some(command)
    });
    Some(Release { current: current?, from: from?, manifest, artefact, rollback })
}

/// A path within the release: relative, and never out of it.
fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some() && parts.all(|c| matches!(c, Component::Normal(_)))
}
