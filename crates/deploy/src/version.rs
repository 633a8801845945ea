//! The name of a version: it becomes the name of a folder, part of paths and addresses, and an argument of programs.

use std::fmt;
use std::str::FromStr;

/// Longest name, bytes: names of files end at 255.
const LENGTH_MAX: usize = 100;

/// A version whose name is safe wherever it is put: letters, digits, `.`, `_`, `+` and `-`, a letter or digit first, no
/// two dots in a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(String);

/// A name that no version may have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} cannot be a version; accepted: 1 to {LENGTH_MAX} letters, digits, `.`, `_`, `+` and `-`, a letter or digit \
     first, no two dots in a row"
)]
pub struct VersionError(String);

impl Version {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-');
        let safe = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.len() <= LENGTH_MAX
            && text.chars().all(good)
            && !text.contains("..");
        if safe { Ok(Self(text.to_owned())) } else { Err(VersionError(text.chars().take(120).collect())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_never_a_path_an_option_or_a_word_for_a_shell() {
        for good in ["1.4.2", "v1", "2026-11-21", "1.0.0-rc.1+build.5", "0a1b2c3d", "7"] {
            assert!(good.parse::<Version>().is_ok(), "{good}");
        }
        let long = "1".repeat(101);
        for bad in [
            "", ".", "..", "../x", "a/../b", "a..b", "/etc", "-rf", "--", ".hidden", "a b", "a;id", "$(id)",
            "a\n", "ä", "a/b", "a\0", &long,
        ] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }
}
