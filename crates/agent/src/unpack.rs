//! Puts the files of a bundle that was found good into a folder of their own.
//!
//! Paths were checked when the bundle was opened; here every file is new, in a folder that only we may look into, so that
//! what is run is what was signed.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use wellkept_sign::Bundle;

use crate::folder;

/// A bundle in its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The folder.
    pub folder: PathBuf,
    /// The playbook.
    pub playbook: PathBuf,
    /// The inventory, when the bundle has one. It is never executable: an inventory of a bundle is data.
    pub inventory: Option<PathBuf>,
}

/// Writes all files below `into`, which must not be there yet.
///
/// # Errors
/// The disk, or something is there already.
pub fn place(bundle: &Bundle<'_>, into: &Path) -> io::Result<Placed> {
    if let Some(above) = into.parent() {
        folder::make(above)?;
    }
    let mut made = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut made, 0o700);
    made.create(into)?;
    let manifest = bundle.manifest();
    for (file, bytes) in bundle.files() {
        let path = into.join(&file.path);
        if let Some(above) = path.parent() {
            folder::make(above)?;
        }
        let is_inventory = manifest.inventory.as_deref() == Some(file.path.as_str());
        let mode = if file.executable && !is_inventory { 0o700 } else { 0o600 };
        let mut fresh = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        fresh.write_all(bytes)?;
    }
    Ok(Placed {
        folder: into.to_owned(),
        playbook: into.join(&manifest.playbook),
        inventory: manifest.inventory.as_ref().map(|path| into.join(path)),
    })
}
