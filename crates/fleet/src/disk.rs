//! The controller's files as inventory and playbook want them: with owner and mode, bounded, sealed ones opened.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::rc::Rc;

use wellkept_inventory::{Files, Meta};
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

fn meta(about: &std::fs::Metadata) -> Meta {
    Meta {
        folder: about.is_dir(),
        owner: about.uid(),
        group: about.gid(),
        mode: about.mode() & 0o7777,
        size: about.len(),
    }
}

impl Files for Disk {
    fn stat(&self, path: &str) -> Result<Option<Meta>, String> {
        match std::fs::metadata(path) {
            Ok(about) => Ok(Some(meta(&about))),
            Err(e)
                if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            // A list of hosts that is longer than any path is no path.
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NAMETOOLONG.raw_os_error()) => Ok(None),
            Err(e) => Err(e.to_string()),
        }
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
