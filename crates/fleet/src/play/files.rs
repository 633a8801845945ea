//! Files of the controller that tasks name: found on the search path, and allowed for that task only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;
use wellkept_playbook::book::split_words;
use wellkept_playbook::run::Work;

use super::assign::{Deed, Script, flag, text};
use super::done;
use crate::helper::Allowed;
use crate::values::{JsonMap, failed};

/// The largest program for `script`, bytes.
const PROGRAM_MAX: u64 = 64 * 1024 * 1024;

/// Finds a file as Ansible does: in `<folder>/<kind>/` and `<folder>/` of each folder of the search path.
pub(super) fn find(work: &Work, kind: &str, name: &str) -> Result<PathBuf, JsonMap> {
    if name.starts_with('/') {
        let path = PathBuf::from(name);
        return if path.exists() { Ok(path) } else { Err(missing(name, &[])) };
    }
    let mut looked = Vec::new();
    for folder in &work.search_path {
        for path in [Path::new(folder).join(kind).join(name), Path::new(folder).join(name)] {
            if path.exists() {
                return std::path::absolute(&path).map_err(|e| failed(e.to_string()));
            }
            looked.push(path.display().to_string());
        }
    }
    Err(missing(name, &looked))
}

fn missing(name: &str, looked: &[String]) -> JsonMap {
    let looked: String = looked.iter().map(|path| format!("\n\t{path}")).collect();
    failed(format!(
        "Could not find or access '{name}'\nSearched in:{looked} on the Ansible Controller.\nIf you are using a module and expect the file to exist on the remote, see the remote_src option"
    ))
}

/// Replaces `src` by where it is here.
pub(super) fn resolve(work: &Work, args: &mut JsonMap) -> Result<Allowed, JsonMap> {
    let here = match work.module.as_str() {
        "copy" => !flag(args, "remote_src", false) && !args.contains_key("content"),
        "unarchive" => !flag(args, "remote_src", false) && flag(args, "copy", true),
        "assemble" => !flag(args, "remote_src", true),
        _ => false,
    };
    let Some(name) = text(args, "src").filter(|name| here && !name.is_empty()) else {
        return Ok(Allowed::default());
    };
    if work.module == "unarchive" && name.contains("://") {
        return Ok(Allowed::default());
    }
    let kind = if work.module == "template" { "templates" } else { "files" };
    let path = find(work, kind, &name)?;
    // A slash at the end says that what is in the folder is meant.
    let end =
        if name.ends_with('/') && !path.as_os_str().to_string_lossy().ends_with('/') { "/" } else { "" };
    args.insert("src".to_owned(), Json::String(format!("{}{end}", path.display())));
    let keep_links = !flag(args, "follow", false) && flag(args, "local_follow", true).eq(&false);
    Ok(Allowed { roots: vec![path], keep_links })
}

/// `script`: the first word is a file of ours.
pub(super) fn script(work: &Work, args: &JsonMap) -> Result<Deed, JsonMap> {
    let line = text(args, "_raw_params").or_else(|| text(args, "cmd"));
    let line = line.ok_or_else(|| failed("one of the following is required: _raw_params, cmd"))?;
    let words = split_words(&line).map_err(failed)?;
    let name = words.first().ok_or_else(|| failed("no program is named"))?;
    let bare = name.trim_matches(['"', '\'']);
    let path = find(work, "files", bare)?;
    let rest = line.trim_start().strip_prefix(name.as_str()).unwrap_or_default().trim().to_owned();
    if work.check && text(args, "creates").is_none() && text(args, "removes").is_none() {
        return Err(done::skipped("check mode is not supported for this task."));
    }
    let named = |e: std::io::Error| failed(format!("{}: {e}", path.display()));
    if std::fs::metadata(&path).map_err(named)?.len() > PROGRAM_MAX {
        return Err(named(std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(Deed::Script(Box::new(Script {
        program: std::fs::read(&path).map_err(named)?.into(),
        rest,
        executable: text(args, "executable"),
        chdir: text(args, "chdir"),
        creates: text(args, "creates"),
        removes: text(args, "removes"),
        environment: work.environment.clone(),
        within: work.timeout.map(Duration::from_secs),
    })))
}
