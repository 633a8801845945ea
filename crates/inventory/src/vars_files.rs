//! `group_vars/` and `host_vars/`: beside each inventory source and beside the playbook.
//!
//! For a name the folder or file without extension comes first, then `.yml`, `.yaml`, `.json`; the first one that
//! is there counts alone. A folder's files are read in the order of their names, folders in it likewise.

use std::collections::{HashMap, HashSet};

use crate::bounds::{DEPTH_MAX, VARIABLES_MAX};
use crate::groups;
use crate::inventory::Inventory;
use crate::problem::{Place, Problem, Result, short};
use crate::source::{self, Files, extension, join};
use crate::value::{Var, Vars};
use crate::yaml::{self, Kind};

/// A whole file that is encrypted and was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The file.
    pub place: Place,
    /// The host or group it belongs to.
    pub name: String,
}

/// The variables of one folder's `group_vars` and `host_vars`.
#[derive(Debug, Clone, Default)]
pub(crate) struct FolderVars {
    pub(crate) groups: HashMap<String, Vars>,
    pub(crate) hosts: HashMap<String, Vars>,
}

/// The variable files of all sources and of the playbook.
#[derive(Debug, Clone, Default)]
pub(crate) struct VarsFiles {
    /// One for each source that has a folder, in order.
    pub(crate) inventory: Vec<FolderVars>,
    pub(crate) playbook: FolderVars,
    pub(crate) sealed: Vec<Sealed>,
}

impl VarsFiles {
    pub(crate) fn read(files: &dyn Files, inventory: &Inventory) -> Result<Self> {
        let mut all = Self::default();
        let mut reader = Reader { files, user: inventory.options.user, sealed: Vec::new(), n_variables: 0 };
        for source in &inventory.sources {
            if let Some(folder) = &source.folder {
                all.inventory.push(reader.beside(folder, inventory)?);
            }
        }
        if let Some(folder) = &inventory.options.playbook_dir {
            all.playbook = reader.beside(folder, inventory)?;
        }
        all.sealed = reader.sealed;
        Ok(all)
    }
}

struct Reader<'f> {
    files: &'f dyn Files,
    user: u32,
    sealed: Vec<Sealed>,
    n_variables: usize,
}

impl Reader<'_> {
    fn beside(&mut self, folder: &str, inventory: &Inventory) -> Result<FolderVars> {
        let groups = inventory.groups.iter().map(|group| group.name.as_str());
        let mut hosts: Vec<&str> = inventory.hosts.iter().map(|host| host.name.as_str()).collect();
        for local in crate::merge::LOCALHOST {
            if inventory.host_id(local).is_none() {
                hosts.push(local);
            }
        }
        Ok(FolderVars {
            groups: self.kind(&join(folder, "group_vars"), groups)?,
            hosts: self.kind(&join(folder, "host_vars"), hosts.into_iter())?,
        })
    }

    /// One listing answers for all names, so a thousand hosts cost no thousand look-ups.
    fn kind<'n>(
        &mut self,
        folder: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Result<HashMap<String, Vars>> {
        let mut found = HashMap::new();
        if !source::stat(self.files, folder)?.is_some_and(|meta| meta.folder) {
            return Ok(found);
        }
        let listed: HashSet<String> = source::list(self.files, folder, self.user)?.into_iter().collect();
        for name in names.filter(|name| !name.contains('/')) {
            let spellings = ["", ".yml", ".yaml", ".json"].map(|ending| format!("{name}{ending}"));
            let Some(spelling) = spellings.iter().find(|spelling| listed.contains(*spelling)) else {
                continue;
            };
            let mut vars = Vars::new();
            self.path(&join(folder, spelling), name, &mut vars, 0)?;
            found.insert(name.to_owned(), vars);
        }
        Ok(found)
    }

    fn path(&mut self, path: &str, name: &str, vars: &mut Vars, depth: usize) -> Result<()> {
        let Some(meta) = source::stat(self.files, path)? else { return Ok(()) };
        if !meta.folder {
            return self.file(path, name, vars);
        }
        if depth > DEPTH_MAX {
            return Err(Place::file(path).problem(Problem::TooDeep { max: DEPTH_MAX }));
        }
        for entry in source::list(self.files, path, self.user)? {
            if entry.starts_with('.') || entry.ends_with('~') {
                continue;
            }
            let below = join(path, &entry);
            let ending = extension(&entry);
            let folder = source::stat(self.files, &below)?.is_some_and(|meta| meta.folder);
            if ending.is_empty() || (!folder && matches!(ending, ".yml" | ".yaml" | ".json")) {
                self.path(&below, name, vars, depth + 1)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str, name: &str, vars: &mut Vars) -> Result<()> {
        let place = Place::file(path);
        let mut bytes = source::read(self.files, path, self.user)?;
        if bytes.starts_with(b"$ANSIBLE_VAULT") {
            let opened = self.files.unseal(path, &bytes);
            match opened.map_err(|detail| place.problem(Problem::Unreadable { detail: short(&detail) }))? {
                Some(open) => bytes = open,
                None => {
                    self.sealed.push(Sealed { place, name: name.to_owned() });
                    return Ok(());
                }
            }
        }
        let Some(root) = yaml::read(&source::text(path, bytes)?, &place)?.filter(|root| !root.is_null())
        else {
            return Ok(());
        };
        let root_place = root.place(&place);
        let Kind::Map(entries) = root.kind else {
            let problem = Problem::Unexpected { expected: "a map of variables", found: root.words() };
            return Err(root_place.problem(problem));
        };
        self.n_variables += entries.len();
        if self.n_variables > VARIABLES_MAX {
            return Err(place.problem(Problem::TooMany { what: "variables", max: VARIABLES_MAX }));
        }
        for (key, value) in entries {
            let (name, var): (String, Var) = groups::variable(key, value, &place)?;
            vars.insert(name, var);
        }
        Ok(())
    }
}
