//! Reads the sources in order: files, folders, scripts, and lists of hosts such as `web1,web2,`.

use crate::bounds::DEPTH_MAX;
use crate::inventory::{Inventory, UNGROUPED};
use crate::names::expand;
use crate::problem::{Place, Problem, Result};
use crate::source::{self, Files, Meta, Options, check_trust, extension, join, parent};
use crate::vars_files::VarsFiles;
use crate::{groups, ini, script, yaml};

/// A source that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceRead {
    /// The folder whose `group_vars` and `host_vars` belong to it; none for a list of hosts.
    pub(crate) folder: Option<String>,
}

/// Endings of names that a folder's listing passes over.
const IGNORED_ENDINGS: &[&str] =
    &[".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];

impl Inventory {
    /// Reads all sources and the variable files beside them and beside the playbook.
    ///
    /// A source is the path of a file or folder, best an absolute one, because `inventory_file` and
    /// `inventory_dir` are taken from it; or, when it holds a comma and no such file is there, a list of hosts.
    ///
    /// # Errors
    /// The first mistake, with file, line and column.
    pub fn read(files: &dyn Files, sources: &[&str], options: &Options) -> Result<Self> {
        let mut inventory = Self::empty(options.clone())?;
        for source in sources {
            let place = Place::file(source);
            let meta = source::stat(files, source)?;
            let folder = match meta {
                None if source.contains(',') => {
                    host_list(&mut inventory, source)?;
                    None
                }
                None => return Err(place.problem(Problem::Missing)),
                Some(meta) => {
                    let mut reader = Reader { inventory: &mut inventory, files };
                    reader.any(source, &meta, 0)?;
                    Some(if meta.folder { (*source).to_owned() } else { parent(source).to_owned() })
                }
            };
            inventory.sources.push(SourceRead { folder });
        }
        inventory.reconcile()?;
        inventory.files = VarsFiles::read(files, &inventory)?;
        Ok(inventory)
    }
}

fn host_list(inventory: &mut Inventory, list: &str) -> Result<()> {
    let place = Place::file(list);
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let (names, port) = expand(name).map_err(|problem| place.problem(problem))?;
        for name in names {
            inventory.add_host(&name, UNGROUPED, port, &place)?;
        }
    }
    Ok(())
}

struct Reader<'i> {
    inventory: &'i mut Inventory,
    files: &'i dyn Files,
}

impl Reader<'_> {
    fn any(&mut self, path: &str, meta: &Meta, depth: usize) -> Result<()> {
        if !meta.folder {
            return self.file(path, meta);
        }
        if depth > DEPTH_MAX {
            return Err(Place::file(path).problem(Problem::TooDeep { max: DEPTH_MAX }));
        }
        for name in source::list(self.files, path, self.inventory.options.user)? {
            let special = matches!(name.as_str(), "host_vars" | "group_vars" | "vars_plugins");
            if special || name.starts_with('.') || IGNORED_ENDINGS.iter().any(|end| name.ends_with(end)) {
                continue;
            }
            let path = join(path, &name);
            if let Some(meta) = source::stat(self.files, &path)? {
                self.any(&path, &meta, depth + 1)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str, meta: &Meta) -> Result<()> {
        let place = Place::file(path);
        let user = self.inventory.options.user;
        if meta.mode & 0o111 != 0 {
            let bytes = source::read(self.files, path, user)?;
            if bytes.starts_with(b"#!") || bytes.starts_with(b"\x7fELF") {
                if !self.inventory.options.scripts {
                    return Err(place.problem(Problem::ScriptNotAllowed));
                }
                check_trust(path, meta, user, true)?;
                return script::read(self.inventory, self.files, path);
            }
            return self.text(path, bytes);
        }
        let bytes = source::read(self.files, path, user)?;
        self.text(path, bytes)
    }

    fn text(&mut self, path: &str, bytes: Vec<u8>) -> Result<()> {
        let place = Place::file(path);
        let bytes = open(self.files, path, bytes)?;
        let extension = extension(path);
        if extension == ".toml" {
            return Err(place.problem(Problem::Toml));
        }
        let text = lines_as_text(path, bytes)?;
        match extension {
            ".yml" | ".yaml" | ".json" => groups::read(self.inventory, yaml::read(&text, &place)?, &place),
            // Without an extension it may be either; YAML counts when it is a map, as INI hardly ever is.
            "" => match yaml::read(&text, &place) {
                Ok(Some(root)) if matches!(root.kind, yaml::Kind::Map(_)) => {
                    groups::read(self.inventory, Some(root), &place)
                }
                _ => ini::read(self.inventory, &text, &place),
            },
            _ => ini::read(self.inventory, &text, &place),
        }
    }
}

/// Opens a sealed inventory by the caller's key; one that stays closed cannot be read as hosts.
fn open(files: &dyn Files, path: &str, bytes: Vec<u8>) -> Result<Vec<u8>> {
    if !bytes.starts_with(b"$ANSIBLE_VAULT") {
        return Ok(bytes);
    }
    let refuse = |detail: String| Place::file(path).problem(Problem::Unreadable { detail });
    match files.unseal(path, &bytes) {
        Ok(Some(open)) => Ok(open),
        Ok(None) => Err(refuse("it is encrypted, and no vault password was given".to_owned())),
        Err(detail) => Err(refuse(crate::problem::short(&detail))),
    }
}

/// Comments may hold any bytes, everything else must be UTF-8.
fn lines_as_text(path: &str, bytes: Vec<u8>) -> Result<String> {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error.into_bytes(),
    };
    let mut text = String::with_capacity(bytes.len());
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if !line.starts_with(b"#") && !line.starts_with(b";") {
            let line = std::str::from_utf8(line);
            text.push_str(line.map_err(|error| {
                let place = Place::file(path).at(number as u32 + 1, error.valid_up_to() as u32 + 1);
                place.problem(Problem::NotText)
            })?);
        }
        text.push('\n');
    }
    Ok(text)
}
