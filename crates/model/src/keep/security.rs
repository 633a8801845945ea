//! What is declared about logins, malware and rights.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Keep;

/// Section `security`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// Logins over SSH.
    pub logins: Option<Logins>,
    /// Folders that are looked at for malware.
    pub scan: Option<Scan>,
    /// Who may become root.
    pub privileges: Option<Privileges>,
}

/// Logins over SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logins {
    /// The authentication log; without it, or while it is not there, the journal is asked.
    pub log: Option<PathBuf>,
    /// Failed logins from one address that make a finding.
    pub failures: u32,
    /// In which time.
    pub within: Duration,
    /// How long an address may be blocked; naming it is the permission.
    pub block_for: Option<Duration>,
    /// Addresses that are never blocked.
    pub never_block: Vec<AddressRange>,
}

/// An address, or a network with the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    /// Address.
    pub address: IpAddr,
    /// Bits that count.
    pub prefix: u8,
}

impl AddressRange {
    /// `10.0.0.0/8`, `192.0.2.1`, `fd00::/8`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(most), |p| p.parse().ok()).filter(|p| *p <= most)?;
        Some(Self { address, prefix })
    }

    /// True when the address lies in it.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let bits = |a: IpAddr| match a {
            IpAddr::V4(a) => (u128::from(a.to_bits()) << 96, 32),
            IpAddr::V6(a) => (a.to_bits(), 128),
        };
        let ((ours, width), (theirs, other)) = (bits(self.address), bits(address));
        let mask = if self.prefix == 0 { 0 } else { u128::MAX << (128 - u32::from(self.prefix)) };
        width == other && ours & mask == theirs & mask
    }
}

impl Logins {
    /// How long this address may be blocked; `None`: not at all. Addresses of this host and of nobody never are.
    #[must_use]
    pub fn may_block(&self, address: IpAddr) -> Option<Duration> {
        let address = address.to_canonical();
        let link_local = match address {
            IpAddr::V4(a) => a.is_link_local() || a.is_broadcast(),
            IpAddr::V6(a) => a.is_unicast_link_local(),
        };
        let ours = address.is_loopback() || address.is_unspecified() || address.is_multicast() || link_local;
        self.block_for.filter(|_| !ours && !self.never_block.iter().any(|range| range.holds(address)))
    }
}

/// Folders that are looked at for malware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Looked at with all that lies below them.
    pub folders: Vec<PathBuf>,
    /// What is found may be moved aside.
    pub quarantine: bool,
    /// Socket of clamd.
    pub clamd: Option<PathBuf>,
    /// Shortest time between two looks.
    pub every: Duration,
}

/// Who may become root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Privileges {
    /// Folders in which no new file may run with the rights of its owner.
    pub folders: Vec<PathBuf>,
    /// Accounts besides root that may have its number.
    pub roots: Vec<String>,
    /// Rights that came later and are meant: paths of files, `GROUP:ACCOUNT`, and `END-OF-KEY:ACCOUNT`.
    pub meant: Vec<String>,
}

impl Keep {
    /// True when what lies at this path may be moved aside: below a folder that is looked at, and nothing else that is
    /// declared.
    #[must_use]
    pub fn may_quarantine(&self, path: &Path) -> bool {
        let plain =
            path.is_absolute() && path.components().all(|c| !matches!(c, std::path::Component::ParentDir));
        let scan = self.security.scan.as_ref().filter(|s| s.quarantine && plain);
        let within = scan.is_some_and(|s| s.folders.iter().any(|f| path.starts_with(f) && path != f));
        let protected = self.filesystems.values().flat_map(|f| &f.never_touch).any(|p| path.starts_with(p));
        let kept = self.services.values().flat_map(|s| &s.files).any(|f| f.path == path);
        within && !protected && !kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(never: &[&str]) -> Logins {
        Logins {
            log: Some("/x".into()),
            failures: 10,
            within: Duration::from_secs(60),
            block_for: Some(Duration::from_secs(600)),
            never_block: never.iter().map(|n| AddressRange::parse(n).expect("a range")).collect(),
        }
    }

    #[test]
    fn our_own_and_named_addresses_are_never_blocked() {
        let logins = logins(&["10.0.0.0/8", "192.0.2.7", "fd00::/8"]);
        for (address, may) in [
            ("203.0.113.9", true),
            ("2001:db8::1", true),
            ("10.200.3.4", false),
            ("192.0.2.7", false),
            ("192.0.2.8", true),
            ("fd12::1", false),
            ("::ffff:10.1.1.1", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("0.0.0.0", false),
            ("169.254.1.1", false),
            ("fe80::1", false),
        ] {
            assert_eq!(logins.may_block(address.parse().expect("an address")).is_some(), may, "{address}");
        }
        let not = Logins { block_for: None, ..logins };
        assert_eq!(not.may_block("203.0.113.9".parse().expect("an address")), None);
    }

    #[test]
    fn ranges_are_read_with_their_prefix() {
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "x", "10.0.0.0/"] {
            assert_eq!(AddressRange::parse(bad), None, "{bad}");
        }
        assert!(AddressRange::parse("0.0.0.0/0").is_some_and(|r| r.holds("9.9.9.9".parse().expect("one"))));
    }

    #[test]
    fn only_what_lies_in_a_scanned_folder_and_is_declared_nowhere_else_is_moved() {
        let mut keep = Keep::default();
        let scan = |quarantine| {
            let (folders, every) = (vec!["/up".into()], Duration::from_secs(5));
            Some(Scan { folders, quarantine, clamd: None, every })
        };
        keep.security.scan = scan(false);
        assert!(!keep.may_quarantine(Path::new("/up/x")));
        keep.security.scan = scan(true);
        for (path, may) in [
            ("/up/a b", true),
            ("/up/d/x", true),
            ("/up", false),
            ("/upper/x", false),
            ("/up/../etc/x", false),
            ("x", false),
        ] {
            assert_eq!(keep.may_quarantine(Path::new(path)), may, "{path}");
        }
        let fs = super::super::Filesystem { never_touch: vec!["/up/d".into()], ..Default::default() };
        keep.filesystems.insert("/".into(), fs);
        assert!(!keep.may_quarantine(Path::new("/up/d/x")));
    }
}
