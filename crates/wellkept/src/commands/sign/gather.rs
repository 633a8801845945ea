//! Which files go into a bundle: everything in the playbook's folder that is not hidden, and roles from elsewhere that the
//! playbook uses. What was packed is put into an empty place and read there, so that nothing of it leads outside.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use glob::Pattern;
use wellkept_agent::unpack::place;
use wellkept_fleet::disk::{Disk, Machine};
use wellkept_fleet::play::supported;
use wellkept_fleet::settings::Settings;
use wellkept_fleet::vault::Vault;
use wellkept_model::Text;
use wellkept_playbook::book::Loader;
use wellkept_playbook::template::Engine;
use wellkept_sign::{
    Check, Draft, FILE_MAX, FILES_MAX, Seen, SigningKey, TOTAL_MAX, Trust, TrustedKey, verify,
};

use super::{BundleArgs, bad, now_s, told};
use crate::commands::{Context, variable};

/// Files by path, with whether they may be started.
type Files = BTreeMap<String, (Vec<u8>, bool)>;

/// What was found.
pub(super) struct Gathered {
    pub(super) playbook: String,
    pub(super) inventory: Option<String>,
    pub(super) files: Files,
}

pub(super) fn gather(context: Context, args: &BundleArgs) -> anyhow::Result<Gathered> {
    let named =
        |path: &Path| std::fs::canonicalize(path).map_err(|e| bad(format!("{}: {e}", path.display())));
    let playbook = named(&args.playbook)?;
    let folder = playbook.parent().unwrap_or(Path::new("/")).to_owned();
    let leave_out: Vec<Pattern> =
        args.leave_out.iter().map(|p| Pattern::new(p).map_err(bad)).collect::<Result<_, _>>()?;
    let out = std::path::absolute(&args.out)?;
    let mut walk = Walk { context, leave_out, out, files: Files::new(), bytes: 0, top: folder.clone() };
    walk.folder(&folder, "")?;
    for (path, into) in roles_elsewhere(&playbook, &folder)? {
        walk.top.clone_from(&path);
        walk.folder(&path, &into)?;
    }
    let below = |path: &Path| -> anyhow::Result<String> {
        let full = named(path)?;
        let inside = full.strip_prefix(&folder).ok().and_then(Path::to_str).map(str::to_owned);
        let text = Text::new("sign.outside").with("file", path.display()).with("folder", folder.display());
        inside.ok_or_else(|| told(context, &text).into())
    };
    let inventory = args.inventory.as_deref().map(below).transpose()?;
    Ok(Gathered { playbook: below(&playbook)?, inventory, files: walk.files })
}

struct Walk {
    context: Context,
    leave_out: Vec<Pattern>,
    /// The bundle itself is never part of it.
    out: PathBuf,
    files: Files,
    bytes: u64,
    top: PathBuf,
}

impl Walk {
    /// Takes a folder in, under `into`. Links are not followed: what they lead to may not be what was meant.
    fn folder(&mut self, folder: &Path, into: &str) -> anyhow::Result<()> {
        let mut entries = std::fs::read_dir(folder)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| bad(format!("{}: {e}", folder.display())))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| bad(format!("{}: not UTF-8", path.display())))?;
            let inside = if into.is_empty() { name.to_owned() } else { format!("{into}/{name}") };
            let left_out = self.leave_out.iter().any(|p| p.matches(&inside));
            if name.starts_with('.') || left_out || path == self.out {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.folder(&path, &inside)?;
            } else if kind.is_file() {
                self.file(&path, inside)?;
            } else {
                let text = Text::new("sign.odd_file").with("file", path.display());
                return Err(told(self.context, &text).into());
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, inside: String) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let about = std::fs::symlink_metadata(path)?;
        self.bytes = self.bytes.saturating_add(about.len());
        if about.len() > FILE_MAX || self.bytes > TOTAL_MAX || self.files.len() >= FILES_MAX {
            let what = format!("{inside}: {} files, {} bytes", self.files.len() + 1, self.bytes);
            let text = Text::new("sign.too_much").with("folder", self.top.display()).with("what", what);
            return Err(told(self.context, &text).into());
        }
        let bytes = super::read(path, FILE_MAX)?;
        self.files.insert(inside, (bytes, about.permissions().mode() & 0o111 != 0));
        Ok(())
    }
}

/// Reads a playbook; `usual`: whether roles are searched where the user has them.
fn read_book(playbook: &Path, usual: bool) -> anyhow::Result<wellkept_playbook::book::Playbook> {
    let here = std::env::current_dir()?;
    let home = PathBuf::from(variable("HOME").unwrap_or_else(|| "/".to_owned()));
    let vault = Rc::new(Vault::default());
    let machine = Machine::new(Rc::clone(&vault), variable, Box::new(|_, _, _| None));
    let engine = Rc::new(Engine::new(Rc::new(Disk::new(vault)), Rc::new(machine)));
    let mut loader = Loader::new(engine, supported);
    if usual {
        let settings = Settings::read(&here, &home, &variable).map_err(bad)?;
        let said = |name: &str, usual: [&str; 2]| -> Vec<String> {
            let said = settings.files_of(name, ':');
            let usual = usual.iter().map(|p| p.strip_prefix("~/").map_or_else(|| p.into(), |r| home.join(r)));
            let all: Vec<PathBuf> = if said.is_empty() { usual.collect() } else { said };
            all.iter().map(|path| path.display().to_string()).collect()
        };
        loader.roles_path = said("roles_path", ["~/.ansible/roles", "/etc/ansible/roles"]);
        loader.collections_path =
            said("collections_path", ["~/.ansible/collections", "/usr/share/ansible/collections"]);
    }
    loader.lookups = vec!["pipe".to_owned()];
    Ok(loader.playbook(&playbook.display().to_string()).map_err(bad)?)
}

/// Roles that the playbook uses and that are not in its folder: where they are, and where they go.
fn roles_elsewhere(playbook: &Path, folder: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let book = read_book(playbook, true)?;
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for role in book.plays.iter().flat_map(|play| &play.used_roles) {
        let path = std::fs::canonicalize(&role.path).map_err(|e| bad(format!("{}: {e}", role.path)))?;
        if path.starts_with(folder) {
            continue;
        }
        let parts: Vec<&str> = role.name.split('.').collect();
        let into = match parts.as_slice() {
            [namespace, collection, role] => {
                format!("collections/ansible_collections/{namespace}/{collection}/roles/{role}")
            }
            _ => format!("roles/{}", role.name.rsplit('/').next().unwrap_or_default()),
        };
        found.insert(into, path);
    }
    Ok(found.into_iter().map(|(into, path)| (path, into)).collect())
}

/// Puts the bundle into an empty place and reads it there, with nothing else around it.
pub(super) fn stands_alone(
    context: Context,
    draft: &Draft,
    bytes: &[u8],
    keys: &[SigningKey],
) -> anyhow::Result<()> {
    let trusted =
        keys.iter().map(|k| TrustedKey { name: "own".to_owned(), key: k.public(), revoked: false }).collect();
    let (trust, seen) = (Trust::any_of(trusted), Seen::default());
    let now = now_s().clamp(draft.not_before, draft.expires);
    let bundle = verify(bytes, &Check { trust: &trust, now, seen: &seen, again: true, host: None })?;
    let folder = tempfile::Builder::new().prefix("wellkept-sign-").tempdir()?;
    let placed = place(&bundle, &folder.path().join("files"))?;
    read_book(&placed.playbook, false).map(drop).map_err(|error| {
        told(context, &Text::new("sign.not_closed").with("error", format!("{error:#}"))).into()
    })
}

/// Puts the bundle in place as a whole.
pub(super) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let full = std::path::absolute(path)?;
    let mut fresh = tempfile::NamedTempFile::new_in(full.parent().unwrap_or(Path::new("/")))?;
    fresh.write_all(bytes)?;
    fresh.as_file().sync_all()?;
    fresh.persist(&full).map(drop).map_err(|e| e.error)
}
