//! Logged-in users: `wellkept_logged_in_users`, the number of login sessions of people.
//!
//! systemd-logind keeps one small file per session; without it the classic record file `/run/utmp` is counted.
//! Where there is neither, nothing is given: not knowing is not zero.

use std::fs;
use std::path::Path;

use crate::series::Series;
use crate::source::read_once;

/// Sessions that are looked at.
const SESSIONS_MAX: usize = 10_000;

/// Size of `struct utmp` on 64-bit Linux and on 32-bit Linux alike.
const UTMP_RECORD: usize = 384;

/// `ut_type` of a session of a person.
const USER_PROCESS: u16 = 7;

/// Longest record file that is read, bytes: [`SESSIONS_MAX`] records.
const UTMP_MAX: u64 = (SESSIONS_MAX * UTMP_RECORD) as u64;

#[derive(Debug, Default)]
pub(super) struct Users {
    last: Option<u32>,
}

impl Users {
    pub(super) fn read(&mut self, slow: bool, out: &mut Series) {
        if slow {
            self.last = sessions(Path::new("/run/systemd/sessions"))
                .or_else(|| utmp(Path::new("/run/utmp")))
                .or_else(|| utmp(Path::new("/var/run/utmp")));
        }
        if let Some(count) = self.last {
            out.put("wellkept_logged_in_users", &[], f64::from(count));
        }
    }
}

/// Sessions of class `user`; `None` without systemd-logind.
fn sessions(dir: &Path) -> Option<u32> {
    // The folder exists also where logind never ran; then it is empty and utmp knows better.
    let mut entries = fs::read_dir(dir).ok()?.flatten().take(SESSIONS_MAX).peekable();
    entries.peek()?;
    let is_person = |text: String| text.lines().any(|l| l == "CLASS=user");
    let count = entries.filter(|e| read_once(e.path()).is_ok_and(is_person)).count();
    u32::try_from(count).ok()
}

/// Records of sessions in a utmp file; `None` when there is no such file.
fn utmp(path: &Path) -> Option<u32> {
    if fs::metadata(path).ok()?.len() > UTMP_MAX {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let is_session = |record: &&[u8]| {
        record.first_chunk::<2>().is_some_and(|kind| u16::from_ne_bytes(*kind) == USER_PROCESS)
    };
    u32::try_from(bytes.chunks_exact(UTMP_RECORD).filter(is_session).count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sessions_of_people_are_counted() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(sessions(dir.path()), None, "an empty folder knows nothing");
        for (name, class) in [("1", "user"), ("c2", "greeter"), ("3", "user")] {
            fs::write(dir.path().join(name), format!("UID=0\nCLASS={class}\n")).expect("it can be written");
        }
        assert_eq!(sessions(dir.path()), Some(2));
    }

    #[test]
    fn utmp_is_counted_by_record_type_and_a_torn_record_is_left_out() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("utmp");
        let mut bytes = vec![0; UTMP_RECORD * 3];
        for (record, kind) in [(0, USER_PROCESS), (1, 2), (2, USER_PROCESS)] {
            bytes[record * UTMP_RECORD..][..2].copy_from_slice(&kind.to_ne_bytes());
        }
        bytes.extend(USER_PROCESS.to_ne_bytes());
        fs::write(&path, bytes).expect("it can be written");
        assert_eq!(utmp(&path), Some(2));
    }
}
