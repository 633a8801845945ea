//! What a host lets its agent do: a file of its own, that the server cannot reach.
//!
//! Without the file, or without keys in it, an agent only sends. The file is believed when it belongs to root or to the
//! agent's own user and nobody else can write it. It is read anew for each order.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use wellkept_sign::{SIGNATURES_MAX, Trust, TrustedKey};

/// Where the file is when nobody says.
pub const POLICY_FILE: &str = "/etc/wellkept/agent.yml";
/// Where the switch is when nobody says: while this file is there, nothing is begun, and what runs is stopped.
pub const KILL_FILE: &str = "/etc/wellkept/KILL";
/// Largest file, bytes.
const FILE_MAX: u64 = 256 << 10;
/// The word that allows every module.
const ANY: &str = "any";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Modules that tasks of a handed playbook may use; `None` stands for all of them.
    pub may: Option<Vec<String>>,
    /// Whose bundles are believed.
    pub trust: Trust,
    /// The switch.
    pub kill_file: PathBuf,
    /// How long a playbook may run.
    pub within: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    may: Vec<String>,
    #[serde(default)]
    trust: Vec<TrustedKey>,
    #[serde(default, deserialize_with = "signatures")]
    signatures: Option<usize>,
    kill_file: Option<PathBuf>,
    within: Option<String>,
}

/// Why a policy cannot be used; nothing is allowed then.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Somebody else could have written it.
    #[error("{0} can be written by others than root and the agent's user; nothing in it is believed")]
    Foreign(PathBuf),
    /// It is wrong.
    #[error("{path}: {why}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Policy {
    /// Reads the file. One that is not there allows nothing.
    ///
    /// # Errors
    /// A file that cannot be believed or understood.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let unreadable = |error| PolicyError::Unreadable { path: path.to_owned(), error };
        let about = match std::fs::metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::none()),
            about => about.map_err(unreadable)?,
        };
        let own = rustix::process::geteuid().as_raw();
        if (about.uid() != 0 && about.uid() != own) || about.mode() & 0o022 != 0 {
            return Err(PolicyError::Foreign(path.to_owned()));
        }
        if about.len() > FILE_MAX {
            return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text).map_err(|why| PolicyError::Wrong { path: path.to_owned(), why })
    }

    /// What holds without a file.
    #[must_use]
    pub fn none() -> Self {
        Self {
            may: Some(Vec::new()),
            trust: Trust::any_of(Vec::new()),
            kill_file: KILL_FILE.into(),
            within: Duration::from_secs(3600),
        }
    }

    /// Reads the text of a policy.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let written: Written = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
        let mut policy = Self::none();
        let plain = |word: &String| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if let Some(odd) = written.may.iter().find(|word| !plain(word)) {
            return Err(format!(
                "may: {odd:?} is no module; accepted: short names such as copy, or the word any"
            ));
        }
        let signatures = written.signatures.unwrap_or(1);
        let signers = written.trust.iter().filter(|k| !k.revoked).map(|k| k.name.as_str());
        let signers = signers.collect::<std::collections::BTreeSet<_>>().len();
        if written.signatures.is_some() && signers < signatures {
            return Err(format!(
                "signatures: {signatures} different signers are asked for and {signers} are believed"
            ));
        }
        policy.may = (!written.may.iter().any(|word| word == ANY)).then_some(written.may);
        policy.trust = Trust { keys: written.trust, signatures };
        if let Some(path) = written.kill_file {
            if !path.is_absolute() {
                return Err("kill_file: a path from the root on is accepted".to_owned());
            }
            policy.kill_file = path;
        }
        if let Some(within) = written.within {
            policy.within = duration(&within)
                .filter(|d| (Duration::from_secs(1)..=Duration::from_secs(7 * 86_400)).contains(d))
                .ok_or_else(|| format!("within: {within:?} is not accepted; 1s to 7d are"))?;
        }
        Ok(policy)
    }
}

/// Refused where it stands, so that the message tells the line.
fn signatures<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    let found = usize::deserialize(from)?;
    match (1..=SIGNATURES_MAX).contains(&found) {
        true => Ok(Some(found)),
        false => Err(serde::de::Error::custom(format!(
            "signatures: {found} is not accepted; 1 to {SIGNATURES_MAX} are"
        ))),
    }
}

/// `30s`, `5m`, `2h`, `7d`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const KEY: &str = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    #[test]
    fn what_is_not_said_is_not_allowed() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(Policy::read(&temp.path().join("none")).unwrap(), Policy::none());
        let empty = Policy::parse("{}").unwrap();
        assert_eq!((empty.may, empty.trust.keys.len()), (Some(vec![]), 0));
        let some = format!("may: [copy, service]\ntrust: [{{name: ops, key: '{KEY}'}}]\nwithin: 5m\n");
        let some = Policy::parse(&some).unwrap();
        assert_eq!(some.may, Some(vec!["copy".to_owned(), "service".to_owned()]));
        assert_eq!((some.trust.keys[0].name.as_str(), some.within), ("ops", Duration::from_secs(300)));
        assert_eq!(Policy::parse("may: [any]").unwrap().may, None);
    }

    #[test]
    fn mistakes_are_named_and_allow_nothing() {
        for bad in [
            "may: [Copy]",
            "may: ['a b']",
            "mai: [copy]",
            "trust: [{name: a, key: x}]",
            "signatures: 0",
            "signatures: 2",
            "kill_file: KILL",
            "within: 0s",
            "within: soon",
            "[",
        ] {
            assert!(Policy::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_of_signers_that_is_wrong_is_told_with_its_line() {
        let why = Policy::parse("may: [copy]\n\nsignatures: 99\n").unwrap_err();
        assert!(why.contains("99 is not accepted") && why.contains('3'), "{why}");
        let two = format!(
            "trust: [{{name: ops, key: '{KEY}'}}, {{name: boss, key: '{}'}}]\n",
            KEY.replace("AAA=", "AAE=")
        );
        assert_eq!(Policy::parse(&format!("{two}signatures: 2\n")).unwrap().trust.signatures, 2);
    }

    #[test]
    fn a_file_that_others_can_write_is_not_believed() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("agent.yml");
        std::fs::write(&path, "may: [any]").unwrap();
        for (mode, believed) in [(0o644, true), (0o664, false), (0o646, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Policy::read(&path).is_ok(), believed, "{mode:o}");
        }
    }
}
