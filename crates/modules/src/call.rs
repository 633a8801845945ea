//! One task's module with everything rendered, and the controller's files that it may want.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One task's module. Serialisable, for it crosses to the helper on the target host.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Call {
    /// Short name, for instance `copy`.
    pub module: String,
    /// Arguments as the task gave them, rendered.
    pub args: Map<String, Value>,
    /// Only say what would change.
    #[serde(default)]
    pub check: bool,
    /// Say how texts would change.
    #[serde(default)]
    pub diff: bool,
    /// Environment variables on top of those of this process.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// Seconds after which programs are killed and the task has failed.
    #[serde(default)]
    pub timeout_seconds: Option<u64>,
    /// Folder in which programs start.
    #[serde(default)]
    pub cwd: Option<String>,
}

/// What a name in a [`Source`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceKind {
    /// A file with this many bytes.
    File(u64),
    /// A folder.
    Folder,
    /// A symbolic link that is to be made as such, with what it points to.
    Link(String),
}

/// One entry of a folder of the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceEntry {
    /// Name in the folder, without slashes.
    pub name: String,
    /// What it is. Links that are to be followed stand here as what they lead to.
    pub kind: SourceKind,
    /// Permission bits on the controller, for `mode: preserve`.
    pub mode: u32,
}

/// Files of the controller. Names are what the task's `src` says; the controller resolved them beforehand.
pub trait Source {
    /// The whole content of a file.
    ///
    /// # Errors
    /// `NotFound` when the controller has no such file, `IsADirectory` for folders.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// The entries of a folder, or, for a file, one entry with an empty name that tells its mode.
    ///
    /// # Errors
    /// `NotFound` when the controller has no such name.
    fn list(&self, folder: &str) -> io::Result<Vec<SourceEntry>>;
}

/// A controller without files.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl Source for NoFiles {
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn list(&self, _: &str) -> io::Result<Vec<SourceEntry>> {
        Err(io::ErrorKind::NotFound.into())
    }
}
