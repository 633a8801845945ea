//! Owner, group, mode and flags of files: set only where they differ, and told in results.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use serde_json::{Map, Value};

use super::result::{Fail, Result};
use super::task::Task;
use super::{accounts, files, mode, python};

/// What a task wants of a file; nothing given changes nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) owner: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) mode: Option<Value>,
    pub(crate) flags: Option<String>,
}

/// Texts before and after, as results show them under `diff`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sides {
    pub(crate) before: Map<String, Value>,
    pub(crate) after: Map<String, Value>,
}

impl Sides {
    pub(crate) fn note(&mut self, key: &str, before: impl Into<Value>, after: impl Into<Value>) {
        self.before.insert(key.to_owned(), before.into());
        self.after.insert(key.to_owned(), after.into());
    }

    pub(crate) fn into_value(self) -> Value {
        serde_json::json!({"before": self.before, "after": self.after})
    }
}

impl Wanted {
    /// From the arguments that modules for files have in common.
    pub(crate) fn of(task: &Task<'_>) -> Self {
        let text = |name: &str| task.args.text(name).map(str::to_owned);
        Self {
            owner: text("owner"),
            group: text("group"),
            mode: task.args.get("mode").cloned(),
            flags: text("attributes"),
        }
    }

    /// Makes the file so; true when that changed (or would change) something. Links are not followed.
    pub(crate) fn apply(&self, task: &Task<'_>, path: &Path, sides: &mut Sides) -> Result<bool> {
        let mut changed = self.owner_and_group(task, path, sides)?;
        if let Some(wanted) = &self.mode {
            changed |= set_mode(task, path, wanted, sides)?;
        }
        if let Some(flags) = &self.flags {
            changed |= set_flags(task, path, flags, sides)?;
        }
        Ok(changed)
    }

    /// Owner and group alone.
    pub(crate) fn owner_and_group(&self, task: &Task<'_>, path: &Path, sides: &mut Sides) -> Result<bool> {
        let mut changed = false;
        if let Some(owner) = &self.owner {
            changed |= set_owner(task, path, owner, sides)?;
        }
        if let Some(group) = &self.group {
            changed |= set_group(task, path, group, sides)?;
        }
        Ok(changed)
    }
}

/// In check mode a file that would have been made is not there yet.
fn not_yet(task: &Task<'_>, path: &Path) -> bool {
    task.check() && !files::exists(path)
}

fn about(path: &Path, msg: String) -> Fail {
    Fail::new(msg).with("path", files::shown(path))
}

fn meta(path: &Path) -> Result<fs::Metadata> {
    fs::symlink_metadata(path)
        .map_err(|error| about(path, format!("{}: '{}'", python::errno(&error), files::shown(path))))
}

fn set_owner(task: &Task<'_>, path: &Path, owner: &str, sides: &mut Sides) -> Result<bool> {
    if not_yet(task, path) {
        return Ok(true);
    }
    let now = meta(path)?.uid();
    let uid = match owner.trim().parse::<u32>() {
        Ok(uid) => uid,
        Err(_) => {
            accounts::user_named(&task.ctx.root, owner)
                .ok_or_else(|| about(path, format!("chown failed: failed to look up user {owner}")))?
                .uid
        }
    };
    if now == uid {
        return Ok(false);
    }
    sides.note("owner", now, uid);
    if !task.check() {
        lchown(path, Some(uid), None)
            .map_err(|error| Fail::caused("chown failed", &error).with("path", files::shown(path)))?;
    }
    Ok(true)
}

fn set_group(task: &Task<'_>, path: &Path, group: &str, sides: &mut Sides) -> Result<bool> {
    if not_yet(task, path) {
        return Ok(true);
    }
    let now = meta(path)?.gid();
    let gid = match group.trim().parse::<u32>() {
        Ok(gid) => gid,
        Err(_) => {
            accounts::group_named(&task.ctx.root, group)
                .ok_or_else(|| about(path, format!("chgrp failed: failed to look up group {group}")))?
                .gid
        }
    };
    if now == gid {
        return Ok(false);
    }
    sides.note("group", now, gid);
    if !task.check() {
        lchown(path, None, Some(gid)).map_err(|_| about(path, "chgrp failed".to_owned()))?;
    }
    Ok(true)
}

/// Sets permission bits. Those of a link cannot be set on Linux, which is no failure.
pub(crate) fn set_mode(task: &Task<'_>, path: &Path, wanted: &Value, sides: &mut Sides) -> Result<bool> {
    if not_yet(task, path) {
        return Ok(true);
    }
    let meta = meta(path)?;
    let now = meta.mode() & 0o7777;
    let bits = mode::parse(wanted, meta.mode(), meta.is_dir(), files::umask()).map_err(|why| {
        about(path, "mode must be in octal or symbolic form".to_owned()).with("details", why)
    })?;
    if now == bits {
        return Ok(false);
    }
    sides.note("mode", mode::shown(now), format!("0{bits:03o}"));
    if task.check() {
        return Ok(true);
    }
    if meta.is_symlink() {
        return Ok(false);
    }
    match fs::set_permissions(path, Permissions::from_mode(bits & 0o7777)) {
        Ok(()) => Ok(self::meta(path)?.mode() & 0o7777 != now),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(about(path, "chmod failed".to_owned())
            .with("details", format!("{}: '{}'", python::errno(&error), files::shown(path)))),
    }
}

fn set_flags(task: &Task<'_>, path: &Path, flags: &str, sides: &mut Sides) -> Result<bool> {
    if not_yet(task, path) {
        return Ok(true);
    }
    let (sign, flags) = match flags.chars().next() {
        Some(sign @ ('+' | '-')) => (sign, flags.get(1..).unwrap_or_default()),
        _ => ('=', flags),
    };
    let now = read_flags(task, path, false).flags;
    if flags.is_empty() || (now == flags && sign != '-') {
        return Ok(false);
    }
    let Some(chattr) = task.find("chattr") else { return Ok(false) };
    sides.note("attributes", now, format!("{sign}{flags}"));
    if !task.check() {
        let change = format!("{sign}{flags}");
        let ran = task.run([chattr.as_os_str(), change.as_ref(), path.as_os_str()])?;
        if ran.rc != 0 || !ran.err.is_empty() {
            return Err(about(path, "chattr failed".to_owned()).with(
                "details",
                format!("Error while setting attributes: {}{}", ran.out_text(), ran.err_text()),
            ));
        }
    }
    Ok(true)
}

/// What `lsattr` says of a file.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    pub(crate) version: Option<String>,
    pub(crate) flags: String,
}

/// Version and flags; without `version` only the flags.
pub(crate) fn read_flags(task: &Task<'_>, path: &Path, version: bool) -> Flags {
    let Some(lsattr) = task.find("lsattr") else { return Flags::default() };
    let Ok(ran) =
        task.run([lsattr.as_os_str(), if version { "-vd" } else { "-d" }.as_ref(), path.as_os_str()])
    else {
        return Flags::default();
    };
    if ran.rc != 0 {
        return Flags::default();
    }
    let text = ran.out_text();
    let mut words = text.split_whitespace();
    let version = if version { words.next().map(str::to_owned) } else { None };
    Flags { version, flags: words.next().unwrap_or_default().replace('-', "") }
}

/// Adds owner, group, mode, state and size of the file that the result names in `path` or `dest`.
pub(crate) fn tell(task: &Task<'_>, result: &mut Map<String, Value>) {
    let named = ["path", "dest"].iter().find_map(|key| result.get(*key).and_then(Value::as_str));
    let Some(name) = named else { return };
    let path = Path::new(name);
    let (Ok(target), Ok(meta)) = (fs::metadata(path), fs::symlink_metadata(path)) else { return };
    let root = &task.ctx.root;
    let (uid, gid) = (meta.uid(), meta.gid());
    let owner = accounts::user_with(root, uid).map_or_else(|| uid.to_string(), |user| user.name);
    let group = accounts::group_with(root, gid).map_or_else(|| gid.to_string(), |group| group.name);
    let state = if meta.is_symlink() {
        "link"
    } else if target.is_dir() {
        "directory"
    } else if target.nlink() > 1 {
        "hard"
    } else {
        "file"
    };
    let told = [
        ("uid", Value::from(uid)),
        ("gid", gid.into()),
        ("owner", owner.into()),
        ("group", group.into()),
        ("mode", mode::shown(meta.mode()).into()),
        ("state", state.into()),
        ("size", meta.len().into()),
    ];
    result.extend(told.into_iter().map(|(key, value)| (key.to_owned(), value)));
}
