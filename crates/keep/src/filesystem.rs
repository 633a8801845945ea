//! `filesystems.<mount point>`: when it counts as full, and what may be removed then.
//!
//! Naming a file here is the permission to delete it, so a rule is checked harder than anything else in the file.

use std::path::PathBuf;
use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::{FULL_AT_DEFAULT, Filesystem, FreeSpaceRule, Mounted};

use crate::command::{self, Limit};
use crate::problem::{Problems, clean};
use crate::read;
use crate::tree::{At, Key, Node};

/// Folders of the system itself: no rule may lie in or below them.
const SYSTEM_FOLDERS: [&str; 11] =
    ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/sbin", "/sys", "/usr"];

/// A file system together with the places of its rules.
pub(crate) struct Placed {
    pub(crate) filesystem: Filesystem,
    pub(crate) rules: Vec<(At, String)>,
}

/// Reads the section `filesystems`.
pub(crate) fn filesystems(node: &Node, problems: &mut Problems) -> Vec<Placed> {
    let entries = read::map(node, "/, /data, …", problems).unwrap_or_default();
    entries.iter().filter_map(|(key, node)| filesystem(key, node, problems)).collect()
}

/// A share that cannot be read is replaced by the default here, so that the rules are checked all the same; the
/// file is refused because of it in any case.
fn filesystem(key: &Key, node: &Node, problems: &mut Problems) -> Option<Placed> {
    let good_mount = read::is_plain_path(&key.text) && !key.text.chars().any(char::is_control);
    if !good_mount {
        let message = Text::new("keep.mount_point").with("path", clean(&key.text));
        problems.add(&key.at, message, Text::new("keep.accept.path"));
    }
    let fields = read::open(node, &["full_at", "free_space", "never_touch", "mounted", "mount"], problems)?;
    let full_at = match fields.get("full_at") {
        Some(node) => read::parsed(node, Text::new("keep.accept.share"), problems, share),
        None => None,
    };
    let mut rules = Vec::new();
    let mut places = Vec::new();
    for item in fields.get("free_space").map(read::items).unwrap_or_default() {
        if let Some((rule, at)) = rule(item, good_mount.then_some(key.text.as_str()), problems) {
            places.push((at, rule.glob.clone()));
            rules.push(rule);
        }
    }
    let never_touch = fields
        .get("never_touch")
        .map(read::items)
        .unwrap_or_default()
        .iter()
        .filter_map(|n| read::path(n, problems).map(PathBuf::from))
        .collect();
    let mounted = fields.get("mounted").and_then(|n| {
        read::parsed(n, Text::new("keep.accept.mounted"), problems, |t| match t {
            "true" => Some(Mounted::Anyhow),
            "rw" => Some(Mounted::Writable),
            _ => None,
        })
    });
    let mount = fields.get("mount").and_then(|n| command::command(n, Limit::Own, problems));
    if let Some(node) = fields.get("mount").filter(|_| mounted.is_none()) {
        read::missing(&node.at, "mounted", Text::new("keep.accept.mounted"), problems);
    }
    let filesystem = Filesystem {
        mountpoint: key.text.clone(),
        full_at: full_at.unwrap_or(FULL_AT_DEFAULT),
        free_space: rules,
        never_touch,
        mounted,
        mount,
    };
    Some(Placed { filesystem, rules: places })
}

/// `95%` or `0.95`; above 0, at most all.
pub(crate) fn share(text: &str) -> Option<f64> {
    let (number, by) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (text, 1.0),
    };
    if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let share = number.parse::<f64>().ok()? / by;
    (share > 0.0 && share <= 1.0).then_some(share)
}

fn rule(node: &Node, mount: Option<&str>, problems: &mut Problems) -> Option<(FreeSpaceRule, At)> {
    let fields = read::open(node, &["glob", "unless_open", "older_than"], problems)?;
    if let Some(open) = fields.get("unless_open") {
        let said =
            read::parsed(open, Text::new("keep.accept.unless_open"), problems, |t| t.parse::<bool>().ok());
        if said == Some(false) {
            problems.add(&open.at, Text::new("keep.unless_open_false"), Text::new("keep.accept.unless_open"));
        }
    }
    let Some(glob_node) = fields.get("glob") else {
        read::missing(&node.at, "glob", Text::new("keep.accept.glob"), problems);
        return None;
    };
    let glob = read::text(glob_node, false, &Text::new("keep.accept.glob"), problems)?;
    if let Some(key) = glob_fault(glob, mount) {
        let message =
            Text::new(key).with("glob", clean(glob)).with("mount", clean(mount.unwrap_or_default()));
        problems.add(&glob_node.at, message, Text::new("keep.accept.glob"));
        return None;
    }
    let older_than = match fields.get("older_than") {
        Some(node) => Some(read::duration(
            node,
            Duration::from_secs(1),
            Duration::from_secs(10 * 365 * 86_400),
            problems,
        )?),
        None => None,
    };
    Some((FreeSpaceRule { glob: glob.to_owned(), unless_open: true, older_than }, glob_node.at.clone()))
}

/// The message that says why a pattern is refused; `None` when it is good. Nothing is compared with the mount
/// point when that is wrong itself.
fn glob_fault(glob: &str, mount: Option<&str>) -> Option<&'static str> {
    if !glob.starts_with('/') {
        return Some("keep.glob_relative");
    }
    if glob.split('/').any(|part| part == "..") {
        return Some("keep.glob_dotdot");
    }
    let (folder, last) = folder_and_last(glob);
    if !read::is_plain_path(glob) || last.is_empty() {
        return Some("keep.glob_form");
    }
    if glob.contains(['[', ']', '{', '}', '\\', '!']) {
        return Some("keep.glob_signs");
    }
    if folder.contains(['*', '?']) {
        return Some("keep.glob_folder");
    }
    if !last.chars().any(char::is_alphanumeric) {
        return Some("keep.glob_everything");
    }
    if mount.is_some_and(|mount| !read::is_below(folder, mount)) {
        return Some("keep.glob_elsewhere");
    }
    if folder == "/" || SYSTEM_FOLDERS.iter().any(|system| read::is_below(folder, system)) {
        return Some("keep.glob_system");
    }
    None
}

/// The folder of a pattern and its last segment.
pub(crate) fn folder_and_last(glob: &str) -> (&str, &str) {
    match glob.rsplit_once('/') {
        Some(("", last)) => ("/", last),
        Some((folder, last)) => (folder, last),
        None => ("", glob),
    }
}

/// True when the pattern (with `*` and `?` in its last segment) is the name of this path.
pub(crate) fn matches_path(glob: &str, path: &str) -> bool {
    let (folder, pattern) = folder_and_last(glob);
    let (path_folder, name) = folder_and_last(path);
    folder == path_folder && matches_name(pattern, name)
}

fn matches_name(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, tried)) => {
                    star = Some((at, tried + 1));
                    p = at + 1;
                    n = tried + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        for (text, value) in [
            ("95%", Some(0.95)),
            ("0.95", Some(0.95)),
            ("100%", Some(1.0)),
            ("1", Some(1.0)),
            ("99.5%", Some(0.995)),
            ("95", None),
            ("0", None),
            ("0%", None),
            ("101%", None),
            ("-5%", None),
            ("%", None),
            ("nan", None),
            ("1e-1", None),
        ] {
            assert_eq!(share(text), value, "{text}");
        }
    }

    #[test]
    fn patterns_are_refused_with_their_reason() {
        for (glob, mount, fault) in [
            ("/data/tmp/export-*.bin", "/data", None),
            ("/data/export-?.bin", "/data", None),
            ("/data/tmp/core", "/data", None),
            ("/var/log/*.gz", "/", None),
            ("data/x*", "/data", Some("keep.glob_relative")),
            ("/data/../etc/x*", "/data", Some("keep.glob_dotdot")),
            ("/data//x*", "/data", Some("keep.glob_form")),
            ("/data/tmp/", "/data", Some("keep.glob_form")),
            ("/data/[a-z]*", "/data", Some("keep.glob_signs")),
            ("/data/{a,b}", "/data", Some("keep.glob_signs")),
            ("/data/*/x.bin", "/data", Some("keep.glob_folder")),
            ("/data/t?p/x.bin", "/data", Some("keep.glob_folder")),
            ("/data/tmp/*", "/data", Some("keep.glob_everything")),
            ("/data/tmp/**", "/data", Some("keep.glob_everything")),
            ("/data/tmp/*.*", "/data", Some("keep.glob_everything")),
            ("/data/tmp/?*", "/data", Some("keep.glob_everything")),
            ("/database/x*", "/data", Some("keep.glob_elsewhere")),
            ("/etc/x*", "/", Some("keep.glob_system")),
            ("/usr/lib/x*", "/", Some("keep.glob_system")),
            ("/vmlinuz*", "/", Some("keep.glob_system")),
        ] {
            assert_eq!(glob_fault(glob, Some(mount)), fault, "{glob} on {mount}");
        }
    }

    #[test]
    fn a_pattern_matches_within_its_folder_only() {
        for (glob, path, expected) in [
            ("/d/a*.b", "/d/a.b", true),
            ("/d/a*.b", "/d/axx.b", true),
            ("/d/a*b*c", "/d/abbc", true),
            ("/d/a?c", "/d/abc", true),
            ("/d/a?c", "/d/ac", false),
            ("/d/a*", "/d/e/a", false),
            ("/d/a*", "/d/b", false),
            ("/d/up*", "/d/uploads", true),
        ] {
            assert_eq!(matches_path(glob, path), expected, "{glob} {path}");
        }
    }
}
