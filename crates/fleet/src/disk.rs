//! The controller's files as inventory and playbook want them: with owner and mode, bounded, sealed ones opened.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::rc::Rc;

use wellkept_inventory::{Files, Meta, Seat};
use wellkept_playbook::template::Outside;

use crate::vault::Vault;

/// The most names in a folder that are read.
const NAMES_MAX: usize = 100_000;

/// Files on disk.
pub struct Disk {
    vault: Rc<Vault>,
}

impl Disk {
    /// Files, with the passwords of sealed ones.
    pub fn new(vault: Rc<Vault>) -> Self {
        Self { vault }
    }
}

fn meta(about: &Metadata) -> Meta {
    Meta {
        folder: about.is_dir(),
        owner: about.uid(),
        group: about.gid(),
        mode: about.mode() & 0o7777,
        size: about.len(),
    }
}

/// What was found; nothing when there is nothing of that name.
fn if_there(looked: std::io::Result<Metadata>) -> Result<Option<Metadata>, String> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match looked {
        Ok(about) => Ok(Some(about)),
        Err(e) if matches!(e.kind(), NotFound | NotADirectory) => Ok(None),
        // A list of hosts that is longer than any path is no path.
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NAMETOOLONG.raw_os_error()) => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

fn inode(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

impl Files for Disk {
    fn stat(&self, path: &str) -> Result<Option<Meta>, String> {
        Ok(if_there(std::fs::metadata(path))?.as_ref().map(meta))
    }

    fn seat(&self, path: &str) -> Result<Option<Seat>, String> {
        let Some(own) = if_there(std::fs::symlink_metadata(path))? else { return Ok(None) };
        let link = own.is_symlink();
        let file = if_there(std::fs::metadata(path))?.as_ref().map(inode);
        // Another device than that of the folder above, or the root, which is its own folder above.
        let above =
            if own.is_dir() { if_there(std::fs::symlink_metadata(format!("{path}/..")))? } else { None };
        let mount = above.is_some_and(|above| above.dev() != own.dev() || inode(&above) == inode(&own));
        Ok(Some(Seat { link, mount, file }))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, String> {
        let entries = std::fs::read_dir(path).map_err(|e| e.to_string())?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| e.to_string())?;
            if names.len() >= NAMES_MAX {
                return Err(format!("the folder has more than {NAMES_MAX} names"));
            }
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn read(&self, path: &str, max: u64) -> Result<(Meta, Vec<u8>), String> {
        let file = File::open(path).map_err(|e| e.to_string())?;
        let about = file.metadata().map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        file.take(max).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        Ok((meta(&about), bytes))
    }

    fn run(&self, path: &str, args: &[&str], max: u64) -> Result<Vec<u8>, String> {
        let full = std::fs::canonicalize(path).map_err(|e| e.to_string())?;
        let mut command = Command::new(&full);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        // What it complains about is read beside, so that neither pipe can fill up and stop it.
        let complaints = child.stderr.take().map(|pipe| std::thread::spawn(move || first_bytes(pipe)));
        let mut bytes = Vec::new();
        if let Some(out) = child.stdout.take() {
            out.take(max).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        }
        let status = child.wait().map_err(|e| e.to_string())?;
        let complaints = complaints.and_then(|thread| thread.join().ok()).unwrap_or_default();
        if status.success() { Ok(bytes) } else { Err(format!("{status}: {}", complaints.trim())) }
    }

    fn unseal(&self, _path: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, String> {
        if self.vault.is_empty() {
            return Ok(None);
        }
        self.vault.open(&String::from_utf8_lossy(sealed)).map(Some)
    }
}

/// What a script complains about, at most 64 KiB; the rest is read and dropped.
fn first_bytes(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    // What cannot be read adds nothing to the complaint.
    let _ = (&mut pipe).take(64 * 1024).read_to_end(&mut bytes);
    let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What templates ask of this machine.
pub struct Machine {
    vault: Rc<Vault>,
    variable: Box<Variable>,
    lookup: Box<LookUp>,
}

/// Gives a variable of the environment.
type Variable = dyn Fn(&str) -> Option<String>;

/// Answers lookups that are not built in.
pub type LookUp = dyn Fn(
    &str,
    &[wellkept_inventory::Value],
    &[(String, wellkept_inventory::Value)],
) -> Option<Result<Vec<wellkept_inventory::Value>, String>>;

impl Machine {
    /// `variable`: the environment; `lookup`: lookups that start programs or look elsewhere.
    pub fn new(
        vault: Rc<Vault>,
        variable: impl Fn(&str) -> Option<String> + 'static,
        lookup: Box<LookUp>,
    ) -> Self {
        Self { vault, variable: Box::new(variable), lookup }
    }
}

impl Outside for Machine {
    fn env(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    fn lookup(
        &self,
        name: &str,
        terms: &[wellkept_inventory::Value],
        options: &[(String, wellkept_inventory::Value)],
    ) -> Option<Result<Vec<wellkept_inventory::Value>, String>> {
        (self.lookup)(name, terms, options)
    }

    fn open_vault(&self, sealed: &str) -> Result<String, String> {
        let open = self.vault.open(sealed)?;
        String::from_utf8(open).map_err(|_| "the sealed text is not UTF-8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_mounts_and_names_of_one_file_are_told_apart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("file"), "x").expect("written");
        std::fs::hard_link(at("file"), at("same")).expect("linked");
        symlink("file", at("link")).expect("linked");
        symlink("nowhere", at("dangling")).expect("linked");
        let disk = Disk::new(Rc::new(Vault::default()));
        let seat = |path: &str| disk.seat(path).expect("it can be looked at");
        let file = seat(&at("file")).expect("it is there");
        assert!(!file.link && !file.mount);
        let [same, link] = ["same", "link"].map(|name| seat(&at(name)).expect("it is there"));
        assert_eq!((same.file, link.file, same.link, link.link), (file.file, file.file, false, true));
        let dangling = seat(&at("dangling")).expect("the link is there");
        assert!(dangling.link && dangling.file.is_none());
        assert_eq!(seat(&at("absent")), None);
        for (path, mount) in
            [("/", true), ("/proc", true), ("/proc/", true), ("/proc/self", false), (&at(""), false)]
        {
            assert_eq!(seat(path).expect("it is there").mount, mount, "{path}");
        }
    }
}
