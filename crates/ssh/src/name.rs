//! Names of hosts and users that may be used: never an option, never anything for a shell.
//!
//! Inventories, configuration files and people give names. Whatever reaches a socket, a log or a command line has gone
//! through here, so that no later place has to think about `-oProxyCommand=…` or `$(…)`.

use std::fmt;

/// The longest name of a host, bytes; that of DNS.
const HOST_MAX: usize = 253;
/// The longest name of a user, bytes.
const USER_MAX: usize = 255;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("the name of a {what} is empty")]
    Empty {
        /// `host` or `user`.
        what: &'static str,
    },
    /// Longer than any real name.
    #[error("the name of a {what} has {bytes} bytes; at most {max} are accepted")]
    TooLong {
        /// `host` or `user`.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// It would be read as an option.
    #[error("the {what} {name:?} begins with `-`, so that programs would take it for an option")]
    Dash {
        /// `host` or `user`.
        what: &'static str,
        /// As it was given.
        name: String,
    },
    /// A character that no name has.
    #[error("the {what} {name:?} holds {character:?}; accepted are {accepted}")]
    Character {
        /// `host` or `user`.
        what: &'static str,
        /// As it was given.
        name: String,
        /// The first one.
        character: char,
        /// What is accepted.
        accepted: &'static str,
    },
}

/// A name or address of a host, checked.
///
/// Letters of any language, digits, `.`, `_`, `-`; for IPv6 addresses also `:` and a zone after `%`. Lower case, as
/// names of hosts do not differ by case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] for names that begin with `-`, hold shell or control characters, or have no or too many bytes.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        bounded("host", bare, HOST_MAX)?;
        let address = bare.contains(':');
        let fits = |c: char| {
            c.is_alphanumeric() || matches!(c, '.' | '_' | '-') || (address && matches!(c, ':' | '%'))
        };
        characters("host", bare, fits, "letters, digits, `.`, `_` and `-`, or an IPv6 address")?;
        Ok(Self(bare.to_lowercase()))
    }

    /// The name, without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name of a user on a host, checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

impl UserName {
    /// Checks a name. Besides letters and digits `.`, `_`, `-`, `@`, `+` and a `$` at the end are accepted, and `\`
    /// between a Windows domain and a name.
    ///
    /// # Errors
    /// [`NameError`] as for hosts.
    pub fn new(name: &str) -> Result<Self, NameError> {
        bounded("user", name, USER_MAX)?;
        let body = name.strip_suffix('$').unwrap_or(name);
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+' | '\\');
        characters("user", body, fits, "letters, digits, `.`, `_`, `-`, `@`, `+` and a `$` at the end")?;
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn bounded(what: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    if name.len() > max {
        return Err(NameError::TooLong { what, bytes: name.len(), max });
    }
    if name.starts_with('-') {
        return Err(NameError::Dash { what, name: name.to_owned() });
    }
    Ok(())
}

fn characters(
    what: &'static str,
    name: &str,
    fits: impl Fn(char) -> bool,
    accepted: &'static str,
) -> Result<(), NameError> {
    match name.chars().find(|&c| !fits(c)) {
        None => Ok(()),
        Some(character) => Err(NameError::Character { what, name: name.to_owned(), character, accepted }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_hosts_are_accepted_in_lower_case() {
        for (given, is) in [
            ("db1.Example.org", "db1.example.org"),
            ("10.0.0.7", "10.0.0.7"),
            ("[::1]", "::1"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("münchen.de", "münchen.de"),
            ("my_host-2", "my_host-2"),
        ] {
            assert_eq!(HostName::new(given).expect(given).as_str(), is);
        }
    }

    #[test]
    fn options_shell_and_control_characters_are_refused() {
        for name in [
            "",
            "-oProxyCommand=id",
            "a b",
            "a;b",
            "$(id)",
            "`id`",
            "a|b",
            "a&b",
            "a\nb",
            "a\0b",
            "a'b",
            "a/b",
            "a%b",
            "\u{1b}[2J",
            "a\u{202e}b",
            "a>b",
            "~root",
            "a\\b",
            "*",
            "{a}",
            "a#b",
            "a!",
        ] {
            assert!(HostName::new(name).is_err(), "{name:?}");
        }
        assert!(HostName::new(&"a".repeat(254)).is_err());
    }

    #[test]
    fn users_are_checked_too() {
        for name in ["root", "www-data", "j.doe@corp.example", "machine$", "CORP\\jane"] {
            assert_eq!(UserName::new(name).expect(name).as_str(), name);
        }
        for name in ["", "-l", "a b", "a$b", "a;b", "a\n", "a'b", "a\"b"] {
            assert!(UserName::new(name).is_err(), "{name:?}");
        }
    }
}
