//! Names of users and their numbers, from `/etc/passwd`.
//!
//! Directory services (LDAP, SSSD) are not asked: that would be a network call from inside a collector. Where a
//! user lives there only, its number can be written instead of its name.

use std::collections::HashMap;

use crate::source::read_once;

/// The accounts of this host at one instant.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    by_uid: HashMap<u32, String>,
}

impl Accounts {
    /// Reads the file; an unreadable one gives no accounts.
    pub(crate) fn read() -> Self {
        Self::parse(&read_once("/etc/passwd").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut by_uid = HashMap::new();
        for line in text.lines() {
            let mut fields = line.split(':');
            let (Some(name), Some(uid)) = (fields.next(), fields.nth(1).and_then(|u| u.parse().ok())) else {
                continue;
            };
            // Of several names for one number the first one counts, as for ls.
            by_uid.entry(uid).or_insert_with(|| name.to_owned());
        }
        Self { by_uid }
    }

    /// The name of a user; its number where there is no name.
    pub(crate) fn name(&self, uid: u32) -> String {
        self.by_uid.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    /// The number of a user given by name or number.
    pub(crate) fn uid(&self, user: &str) -> Option<u32> {
        user.parse().ok().or_else(|| self.by_uid.iter().find(|(_, n)| *n == user).map(|(uid, _)| *uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_found_both_ways() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\nshop:x:1001:1::/:\n",
        );
        assert_eq!(accounts.name(0), "root");
        assert_eq!(accounts.name(77), "77");
        assert_eq!(accounts.uid("shop"), Some(1001));
        assert_eq!(accounts.uid("1002"), Some(1002));
        assert_eq!(accounts.uid("nobody-here"), None);
    }
}
