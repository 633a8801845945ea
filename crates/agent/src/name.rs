//! Names of agents: they become names of files and labels of series.

/// A name that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name for an agent; accepted: 1 to 63 of a-z, A-Z, 0-9, dot, dash and underscore, a letter or digit first"
)]
pub struct NameError(String);

/// Checks a name.
///
/// # Errors
/// What would be accepted.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    match first && name.len() <= 63 && name.bytes().all(plain) {
        true => Ok(()),
        false => Err(NameError(name.chars().take(80).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless_as_files_and_words() {
        for good in ["web-1", "db.example.org", "A_1"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "-a", ".a", "a/b", "..", "a b", "a\n", "ü", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
