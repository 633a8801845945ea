//! Packs a folder: sorted, owned by nobody in particular, without bits of other people's rights, and without a way
//! out of it.

use std::fs::{File, Metadata};
use std::io::BufWriter;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use wellkept_model::Text;

use super::refused;
use crate::error::DeployError;

/// The most entries of a release.
const ENTRIES_MAX: usize = 500_000;
/// The most bytes of a release, unpacked.
const BYTES_MAX: u64 = 8 << 30;
/// The most levels of folders.
const DEPTH_MAX: usize = 100;

/// One entry, by its name below the folder.
struct Entry {
    name: PathBuf,
    about: Metadata,
}

type Packer = Builder<GzEncoder<BufWriter<File>>>;

/// Packs `tree` into `file` and gives it back, written through. Names in `shared` become links into the app's `shared`.
pub(super) fn pack(tree: &Path, shared: &[String], links_out: bool, file: File) -> Result<File, DeployError> {
    let shared: Vec<PathBuf> = shared.iter().map(|name| PathBuf::from(name.trim_end_matches('/'))).collect();
    let entries = walk(tree, &shared)?;
    if entries.is_empty() {
        return refused("deploy.empty", &tree.display());
    }
    // Folders change with what is put into them; the newest file gives one time that does not.
    let files = entries.iter().filter(|e| e.about.is_file());
    let newest = files.map(|e| e.about.mtime()).max().unwrap_or(0).max(0).unsigned_abs();
    let failed = DeployError::disk("pack", tree);
    let mut packer = Builder::new(GzEncoder::new(BufWriter::new(file), Compression::fast()));
    for entry in &entries {
        one(&mut packer, tree, entry, newest, links_out)?;
    }
    for name in &shared {
        links(&mut packer, &entries, name, newest)?;
    }
    let written = packer.into_inner().and_then(GzEncoder::finish);
    written
        .and_then(|buffer| buffer.into_inner().map_err(std::io::IntoInnerError::into_error))
        .map_err(failed)
}

/// Everything below the folder but what is shared, and but a repository's own folder at the top.
fn walk(tree: &Path, shared: &[PathBuf]) -> Result<Vec<Entry>, DeployError> {
    let (mut found, mut open, mut bytes) = (Vec::new(), vec![PathBuf::new()], 0u64);
    while let Some(folder) = open.pop() {
        let at = tree.join(&folder);
        if folder.components().count() > DEPTH_MAX {
            return refused("deploy.too_deep", &at.display());
        }
        for entry in std::fs::read_dir(&at).map_err(DeployError::disk("read", &at))? {
            let entry = entry.map_err(DeployError::disk("read", &at))?;
            let name = folder.join(entry.file_name());
            if name == Path::new(".git") || shared.contains(&name) {
                continue;
            }
            let about = entry.metadata().map_err(DeployError::disk("read", &entry.path()))?;
            if about.is_dir() {
                open.push(name.clone());
            } else if about.is_file() {
                bytes = bytes.saturating_add(about.len());
            } else if !about.is_symlink() {
                return refused("deploy.odd_entry", &name.display());
            }
            found.push(Entry { name, about });
            if found.len() > ENTRIES_MAX || bytes > BYTES_MAX {
                return refused("deploy.too_large", &tree.display());
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn header(kind: EntryType, mode: u32, size: u64, mtime: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    // Neither set-user-id nor set-group-id, and nobody else may write.
    header.set_mode(mode & 0o755);
    header.set_size(size);
    header.set_mtime(mtime);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn one(
    packer: &mut Packer,
    tree: &Path,
    entry: &Entry,
    newest: u64,
    links_out: bool,
) -> Result<(), DeployError> {
    let (from, about) = (tree.join(&entry.name), &entry.about);
    let failed = DeployError::disk("pack", &from);
    let packed = if about.is_symlink() {
        let to = std::fs::read_link(&from).map_err(DeployError::disk("read", &from))?;
        if !links_out && !stays_inside(&entry.name, &to) {
            let text = Text::new("deploy.link_out");
            return DeployError::refused(text.with("name", entry.name.display()).with("to", to.display()));
        }
        packer.append_link(&mut header(EntryType::Symlink, 0o777, 0, newest), &entry.name, to)
    } else if about.is_dir() {
        let mut header = header(EntryType::Directory, about.mode() | 0o700, 0, newest);
        packer.append_data(&mut header, &entry.name, std::io::empty())
    } else {
        let file = File::open(&from).map_err(DeployError::disk("read", &from))?;
        let mtime = about.mtime().max(0).unsigned_abs();
        let mut header = header(EntryType::Regular, about.mode() | 0o400, about.len(), mtime);
        packer.append_data(&mut header, &entry.name, std::io::Read::take(file, about.len()))
    };
    packed.map_err(failed)
}

/// Whether a link at `name` leads to something within the release: relative, and up no further than to its top. A way
/// up after a way down could lead through another link, and is refused as well.
fn stays_inside(name: &Path, to: &Path) -> bool {
    let (mut up, mut down) = (0, false);
    for part in to.components() {
        match part {
            Component::ParentDir if !down => up += 1,
            Component::Normal(_) => down = true,
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    up < name.components().count()
}

/// The link into `shared`, with the folders that lead to it.
fn links(packer: &mut Packer, entries: &[Entry], name: &Path, newest: u64) -> Result<(), DeployError> {
    let depth = name.components().count();
    for above in name.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
        match entries.iter().find(|entry| entry.name == above) {
            Some(entry) if !entry.about.is_dir() => {
                return refused("deploy.shared_below_file", &name.display());
            }
            Some(_) => {}
            None => {
                let mut header = header(EntryType::Directory, 0o755, 0, newest);
                let made = packer.append_data(&mut header, above, std::io::empty());
                made.map_err(DeployError::disk("pack", above))?;
            }
        }
    }
    let mut to = PathBuf::new();
    // From the link's own folder up to the release, to `releases`, and to the app's folder.
    (0..depth + 1).for_each(|_| to.push(".."));
    to.push("shared");
    to.push(name);
    let linked = packer.append_link(&mut header(EntryType::Symlink, 0o777, 0, newest), name, to);
    linked.map_err(DeployError::disk("pack", name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn packed(tree: &Path, shared: &[&str]) -> Result<Vec<u8>, DeployError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let shared: Vec<String> = shared.iter().map(|s| (*s).to_owned()).collect();
        pack(tree, &shared, false, file.reopen().unwrap())?;
        Ok(std::fs::read(file.path()).unwrap())
    }

    fn listed(bytes: &[u8]) -> BTreeMap<String, (u32, Option<String>)> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let link = entry.link_name().unwrap().map(|l| l.display().to_string());
            let name = entry.path().unwrap().display().to_string();
            (name, (entry.header().mode().unwrap(), link))
        });
        entries.collect()
    }

    #[test]
    fn equal_content_gives_equal_bytes_without_rights_of_others() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("bin")).unwrap();
        std::fs::create_dir_all(tree.path().join(".git/hooks")).unwrap();
        std::fs::write(tree.path().join("bin/app"), "x").unwrap();
        std::fs::set_permissions(tree.path().join("bin/app"), PermissionsExt::from_mode(0o4777)).unwrap();
        symlink("bin/app", tree.path().join("run")).unwrap();
        let first = packed(tree.path(), &[]).unwrap();
        std::fs::write(tree.path().join("bin/y"), "").unwrap();
        std::fs::remove_file(tree.path().join("bin/y")).unwrap();
        assert_eq!(first, packed(tree.path(), &[]).unwrap());
        let listed = listed(&first);
        assert_eq!(listed.keys().collect::<Vec<_>>(), ["bin", "bin/app", "run"], "no repository");
        assert_eq!(listed["bin/app"].0, 0o755);
    }

    #[test]
    fn shared_names_become_links_and_their_content_is_left_out() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("log/old")).unwrap();
        std::fs::write(tree.path().join("app"), "x").unwrap();
        let listed = listed(&packed(tree.path(), &["log/", "tmp/up", ".env"]).unwrap());
        assert_eq!(listed["log"].1.as_deref(), Some("../../shared/log"));
        assert_eq!(listed["tmp/up"].1.as_deref(), Some("../../../shared/tmp/up"));
        assert_eq!(listed[".env"].1.as_deref(), Some("../../shared/.env"));
        assert!(listed.contains_key("tmp") && !listed.contains_key("log/old"));
        std::fs::write(tree.path().join("tmp"), "a file").unwrap();
        assert!(packed(tree.path(), &["tmp/up"]).is_err());
    }

    #[test]
    fn a_link_that_leads_out_or_might_is_refused() {
        for (name, to, good) in [
            ("a", "b", true),
            ("d/a", "../b", true),
            ("d/a", "../d/b", true),
            ("a", "./b", true),
            ("a", "/etc/passwd", false),
            ("a", "..", false),
            ("a", "../shared", false),
            ("d/a", "../../x", false),
            ("a", "d/../b", false),
        ] {
            assert_eq!(stays_inside(Path::new(name), Path::new(to)), good, "{name} -> {to}");
        }
        let tree = tempfile::tempdir().unwrap();
        std::fs::write(tree.path().join("x"), "").unwrap();
        symlink("/etc", tree.path().join("out")).unwrap();
        assert!(
            matches!(packed(tree.path(), &[]), Err(DeployError::Refused(t)) if t.key == "deploy.link_out")
        );
    }

    #[test]
    fn what_is_neither_file_folder_nor_link_is_refused() {
        let tree = tempfile::tempdir().unwrap();
        let socket = std::os::unix::net::UnixListener::bind(tree.path().join("socket")).unwrap();
        assert!(
            matches!(packed(tree.path(), &[]), Err(DeployError::Refused(t)) if t.key == "deploy.odd_entry")
        );
        drop(socket);
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(packed(empty.path(), &[]), Err(DeployError::Refused(t)) if t.key == "deploy.empty"));
    }
}
