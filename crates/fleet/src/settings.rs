//! What `ansible.cfg` and `ANSIBLE_*` say: the common keys, read once.
//!
//! The environment wins over the file, the command line over both; the latter is left to the caller. Keys that are
//! not listed here are passed over, as Ansible does with keys of plug-ins that it has not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::values::is_yes;

/// The largest configuration file, bytes.
const FILE_MAX: u64 = 1024 * 1024;

/// A key: its name here, its section and keys in the file, its variables.
struct Key(&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const KEYS: &[Key] = &[
    Key("inventory", "defaults", &["inventory"], &["ANSIBLE_INVENTORY"]),
    Key("roles_path", "defaults", &["roles_path"], &["ANSIBLE_ROLES_PATH"]),
    Key(
        "collections_path",
        "defaults",
        &["collections_path", "collections_paths"],
        &["ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_COLLECTIONS_PATHS"],
    ),
    Key("remote_user", "defaults", &["remote_user"], &["ANSIBLE_REMOTE_USER"]),
    Key("remote_port", "defaults", &["remote_port"], &["ANSIBLE_REMOTE_PORT"]),
    Key("private_key_file", "defaults", &["private_key_file"], &["ANSIBLE_PRIVATE_KEY_FILE"]),
    Key("forks", "defaults", &["forks"], &["ANSIBLE_FORKS"]),
    Key("timeout", "defaults", &["timeout"], &["ANSIBLE_TIMEOUT"]),
    Key("transport", "defaults", &["transport"], &["ANSIBLE_TRANSPORT"]),
    Key("host_key_checking", "defaults", &["host_key_checking"], &["ANSIBLE_HOST_KEY_CHECKING"]),
    Key("ask_pass", "defaults", &["ask_pass"], &["ANSIBLE_ASK_PASS"]),
    Key("vault_password_file", "defaults", &["vault_password_file"], &["ANSIBLE_VAULT_PASSWORD_FILE"]),
    Key("vault_identity_list", "defaults", &["vault_identity_list"], &["ANSIBLE_VAULT_IDENTITY_LIST"]),
    Key("ask_vault_pass", "defaults", &["ask_vault_pass"], &["ANSIBLE_ASK_VAULT_PASS"]),
    Key("gathering", "defaults", &["gathering"], &["ANSIBLE_GATHERING"]),
    Key("force_handlers", "defaults", &["force_handlers"], &["ANSIBLE_FORCE_HANDLERS"]),
    Key("inject_facts_as_vars", "defaults", &["inject_facts_as_vars"], &["ANSIBLE_INJECT_FACT_VARS"]),
    Key("executable", "defaults", &["executable"], &["ANSIBLE_EXECUTABLE"]),
    Key(
        "broken_conditionals",
        "defaults",
        &["allow_broken_conditionals"],
        &["ANSIBLE_ALLOW_BROKEN_CONDITIONALS"],
    ),
    Key("become", "privilege_escalation", &["become"], &["ANSIBLE_BECOME"]),
    Key("become_method", "privilege_escalation", &["become_method"], &["ANSIBLE_BECOME_METHOD"]),
    Key("become_user", "privilege_escalation", &["become_user"], &["ANSIBLE_BECOME_USER"]),
    Key("become_ask_pass", "privilege_escalation", &["become_ask_pass"], &["ANSIBLE_BECOME_ASK_PASS"]),
    Key("ssh_args", "ssh_connection", &["ssh_args"], &["ANSIBLE_SSH_ARGS"]),
    Key("ssh_common_args", "ssh_connection", &["ssh_common_args"], &["ANSIBLE_SSH_COMMON_ARGS"]),
    Key("diff", "diff", &["always"], &["ANSIBLE_DIFF_ALWAYS"]),
    Key("run_tags", "tags", &["run"], &["ANSIBLE_RUN_TAGS"]),
    Key("skip_tags", "tags", &["skip"], &["ANSIBLE_SKIP_TAGS"]),
    Key("nocolor", "defaults", &["nocolor"], &["ANSIBLE_NOCOLOR"]),
    Key("force_color", "defaults", &["force_color"], &["ANSIBLE_FORCE_COLOR"]),
];

/// What was said, and relative to which folder paths are.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, (String, PathBuf)>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Why a file that is there was not read.
    pub notices: Vec<String>,
    home: PathBuf,
}

impl Settings {
    /// Reads the first file that is there (`ANSIBLE_CONFIG`, `./ansible.cfg`, `~/.ansible.cfg`,
    /// `/etc/ansible/ansible.cfg`) and the environment. `here`: the working folder.
    ///
    /// # Errors
    /// A file that is named by `ANSIBLE_CONFIG`, or is there, and cannot be read.
    pub fn read(here: &Path, home: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut settings = Self { home: home.to_owned(), ..Self::default() };
        let named = variable("ANSIBLE_CONFIG").map(|path| settings.path(&path, here));
        let named = named.map(|path| if path.is_dir() { path.join("ansible.cfg") } else { path });
        let mut files: Vec<PathBuf> = named.into_iter().collect();
        if open_to_all(here) && here.join("ansible.cfg").exists() {
            // Whoever may write the folder could put commands into it; Ansible passes over it likewise.
            settings.notices.push(format!(
                "{} is passed over, because everybody may write its folder",
                here.join("ansible.cfg").display()
            ));
        } else {
            files.push(here.join("ansible.cfg"));
        }
        files.push(home.join(".ansible.cfg"));
        files.push(PathBuf::from("/etc/ansible/ansible.cfg"));
        if let Some(file) = files.into_iter().find(|file| file.is_file()) {
            settings.file(&file)?;
            settings.file = Some(file);
        }
        for Key(name, _, _, variables) in KEYS {
            if let Some(value) = variables.iter().find_map(|name| variable(name)) {
                settings.values.insert(name, (value, here.to_owned()));
            }
        }
        Ok(settings)
    }

    fn file(&mut self, path: &Path) -> Result<(), String> {
        use std::io::Read;
        let said = |e: std::io::Error| format!("{} cannot be read: {e}", path.display());
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(said)?;
        file.take(FILE_MAX).read_to_string(&mut text).map_err(said)?;
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        for (section, key, value) in entries(&text) {
            let fits = |k: &&Key| k.1 == section && k.2.contains(&key.as_str());
            if let Some(Key(name, ..)) = KEYS.iter().find(fits) {
                self.values.insert(name, (value, folder.clone()));
            }
        }
        Ok(())
    }

    /// A value as it was written.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A switch.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(is_yes)
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.trim().parse().ok()
    }

    /// A file or folder, from the folder of who said it.
    pub fn file_of(&self, name: &str) -> Option<PathBuf> {
        let (value, folder) = self.values.get(name).filter(|(value, _)| !value.is_empty())?;
        Some(self.path(value, folder))
    }

    /// Several files or folders, between them `mark`.
    pub fn files_of(&self, name: &str, mark: char) -> Vec<PathBuf> {
        let Some((value, folder)) = self.values.get(name) else { return Vec::new() };
        let parts = value.split(mark).map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| self.path(part, folder)).collect()
    }

    fn path(&self, text: &str, folder: &Path) -> PathBuf {
        let text = text.trim();
        match text.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None if text == "~" => self.home.clone(),
            None => folder.join(text.replace("{{CWD}}", ".").replace("{{ CWD }}", ".")),
        }
    }
}

fn open_to_all(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(folder).is_ok_and(|about| about.permissions().mode() & 0o002 != 0)
}

/// Section, key, value of each entry; lines that begin with white space go on with the value before.
fn entries(text: &str) -> Vec<(String, String, String)> {
    let mut found: Vec<(String, String, String)> = Vec::new();
    let mut section = String::new();
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if line.starts_with(char::is_whitespace)
            && let Some((_, _, value)) = found.last_mut()
        {
            value.push('\n');
            value.push_str(bare);
        } else if let Some((key, value)) = bare.split_once(['=', ':']) {
            let value = value.split(" ;").next().unwrap_or_default().trim();
            found.push((section.clone(), key.trim().to_lowercase(), value.to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cfg: &str, variables: &[(&str, &str)]) -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().expect("temp");
        std::fs::write(folder.path().join("ansible.cfg"), cfg).expect("write");
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let settings = Settings::read(folder.path(), Path::new("/home/u"), &variable).expect("read");
        (folder, settings)
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let (_folder, settings) = read("[defaults]\nforks = 7\ntimeout: 3 ; so\n", &[("ANSIBLE_FORKS", "9")]);
        assert_eq!((settings.number("forks"), settings.number("timeout")), (Some(9), Some(3)));
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let (folder, settings) = read(
            "# c\n[defaults]\nroles_path = roles:~/r:/abs\ninventory=hosts,\n  more\n[privilege_escalation]\nbecome=True\n",
            &[],
        );
        let roles = settings.files_of("roles_path", ':');
        assert_eq!(roles, [folder.path().join("roles"), "/home/u/r".into(), "/abs".into()]);
        assert_eq!((settings.flag("become"), settings.get("inventory")), (Some(true), Some("hosts,\nmore")));
    }

    #[test]
    fn a_file_in_a_folder_that_all_may_write_is_passed_over() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("temp");
        std::fs::write(folder.path().join("ansible.cfg"), "[defaults]\nforks=3\n").expect("write");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).expect("mode");
        let settings = Settings::read(folder.path(), Path::new("/nowhere"), &|_| None).expect("read");
        assert_eq!((settings.number("forks"), settings.notices.len()), (None, 1));
    }
}
