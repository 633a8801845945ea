//! Vault passwords: from files, from programs that print them, from a person.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use wellkept_playbook::vault;
use zeroize::Zeroizing;

/// The longest password file, bytes.
const FILE_MAX: u64 = 64 * 1024;

/// A password with the label it was given under.
pub struct Password {
    /// The vault id; `default` when none was said.
    pub label: String,
    /// The password itself.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// The passwords of a run, in the order in which they are tried.
#[derive(Default)]
pub struct Vault {
    passwords: Vec<Password>,
}

impl Vault {
    /// These passwords.
    pub fn new(passwords: Vec<Password>) -> Self {
        Self { passwords }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.passwords.is_empty()
    }

    /// The password that seals: that of the label, or the first.
    pub fn sealing(&self, label: Option<&str>) -> Option<&Password> {
        match label {
            Some(label) => self.passwords.iter().find(|password| password.label == label),
            None => self.passwords.first(),
        }
    }

    /// Opens a text; passwords of its own label are tried first.
    ///
    /// # Errors
    /// Why it stays closed.
    pub fn open(&self, sealed: &str) -> Result<Vec<u8>, String> {
        if self.passwords.is_empty() {
            return Err("Attempting to decrypt but no vault secrets found.".to_owned());
        }
        let label = vault::label(sealed);
        let mut ordered: Vec<&Password> = self.passwords.iter().collect();
        ordered.sort_by_key(|password| Some(password.label.as_str()) != label);
        vault::open(sealed, ordered.iter().map(|password| password.bytes.as_slice()))
            .map_err(|error| error.to_string())
    }
}

/// A password from a file, or from what an executable file prints.
///
/// # Errors
/// Why there is none, with the file's name.
pub fn from_file(path: &Path, label: &str) -> Result<Password, String> {
    let said = |why: String| format!("the vault password file {} {why}", path.display());
    let about = std::fs::metadata(path).map_err(|e| said(format!("cannot be read: {e}")))?;
    let mut bytes = Zeroizing::new(Vec::new());
    if about.permissions().mode() & 0o111 != 0 {
        let full = std::fs::canonicalize(path).map_err(|e| said(e.to_string()))?;
        let mut command = Command::new(full);
        if path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("-client")) {
            command.args(["--vault-id", label]);
        }
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|e| said(format!("cannot be run: {e}")))?;
        if let Some(out) = child.stdout.take() {
            out.take(FILE_MAX).read_to_end(&mut bytes).map_err(|e| said(e.to_string()))?;
        }
        let status = child.wait().map_err(|e| said(e.to_string()))?;
        if !status.success() {
            return Err(said(format!("ended with {status}")));
        }
    } else {
        let file = std::fs::File::open(path).map_err(|e| said(format!("cannot be read: {e}")))?;
        file.take(FILE_MAX).read_to_end(&mut bytes).map_err(|e| said(e.to_string()))?;
    }
    while bytes.last().is_some_and(u8::is_ascii_whitespace) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(said("holds no password".to_owned()));
    }
    Ok(Password { label: label.to_owned(), bytes })
}

/// Seals bytes with a fresh salt.
///
/// # Errors
/// When the system gives no random numbers.
pub fn seal(plain: &[u8], password: &Password, label: Option<&str>) -> Result<String, String> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|e| format!("no random numbers: {e}"))?;
    Ok(vault::seal(plain, &password.bytes, label, &salt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_come_from_files_and_from_what_programs_print() {
        let folder = tempfile::tempdir().expect("temp");
        let file = folder.path().join("pass");
        std::fs::write(&file, "s3cret \n").expect("write");
        let plain = from_file(&file, "default").expect("a password");
        assert_eq!(plain.bytes.as_slice(), b"s3cret");
        let script = folder.path().join("dev-client");
        std::fs::write(&script, "#!/bin/sh\necho \"$1 $2\"\n").expect("write");
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o700)).expect("mode");
        assert_eq!(from_file(&script, "dev").expect("a password").bytes.as_slice(), b"--vault-id dev");
        let sealed = seal(b"hello", &plain, Some("default")).expect("sealed");
        let vault = Vault::new(vec![from_file(&script, "dev").expect("another"), plain]);
        assert_eq!(vault.open(&sealed), Ok(b"hello".to_vec()));
        std::fs::write(&file, "\n").expect("write");
        assert!(from_file(&file, "x").err().is_some_and(|e| e.contains("no password")));
    }
}
