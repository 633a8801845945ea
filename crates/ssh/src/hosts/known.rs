//! Files of known hosts as OpenSSH keeps them: plain and hashed names, patterns, ports, authorities, revoked keys.
//!
//! Text in, verdicts out. Unlike `ssh`, a host that is known by one kind of key and shows another is *changed*, not
//! new: else whoever answers in its place would only have to choose a kind that was never seen.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{KeyInit as _, Mac as _};
use russh::keys::PublicKey;

use super::{At, HostId, fingerprint};
use crate::pattern;

/// The largest file that is read, bytes.
pub const FILE_MAX: usize = 16 * 1024 * 1024;
/// The longest line, bytes; an RSA key of 16384 bits takes under 3 KiB.
const LINE_MAX: usize = 64 * 1024;
/// The most lines that are kept of all files together.
const LINES_MAX: usize = 200_000;
/// Bytes of an HMAC-SHA1.
const HASH_BYTES: usize = 20;

/// What stands before a line's hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    Key,
    Authority,
    Revoked,
}

#[derive(Debug, Clone)]
enum Names {
    Patterns(Vec<String>),
    Hashed { salt: Vec<u8>, hash: [u8; HASH_BYTES] },
}

#[derive(Debug, Clone)]
struct Line {
    file: usize,
    line: usize,
    marker: Marker,
    names: Names,
    key: PublicKey,
}

/// A line that says nothing we can use; `ssh` skips such lines, too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct LineProblem {
    /// Where.
    pub at: At,
    /// What is wrong.
    pub problem: &'static str,
}

/// What the files say about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This host has this key.
    Known,
    /// No line has this host.
    Unknown,
    /// The host has another key.
    Changed {
        /// The first line with the host.
        at: At,
        /// Kind and fingerprint of the key there.
        known: String,
    },
    /// The key is revoked for this host.
    Revoked {
        /// The line that says so.
        at: At,
    },
}

/// All lines of some files, in order.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    files: Vec<PathBuf>,
    lines: Vec<Line>,
    problems: Vec<LineProblem>,
}

impl KnownHosts {
    /// Adds the lines of one file. Lines that cannot be read are left out and told by [`Self::problems`].
    pub fn add_file(&mut self, path: &Path, text: &str) {
        let file = self.files.len();
        self.files.push(path.to_owned());
        for (index, raw) in text.lines().enumerate() {
            let text = raw.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            match read_line(text, file, index + 1) {
                Ok(line) if self.lines.len() < LINES_MAX => self.lines.push(line),
                Ok(_) => self.problem(path, index + 1, "there are too many lines before it"),
                Err(problem) => self.problem(path, index + 1, problem),
            }
        }
    }

    fn problem(&mut self, file: &Path, line: usize, problem: &'static str) {
        // As many as a person would read.
        if self.problems.len() < 100 {
            self.problems.push(LineProblem { at: At { file: file.to_owned(), line }, problem });
        }
    }

    /// Lines that were left out, at most 100.
    pub fn problems(&self) -> &[LineProblem] {
        &self.problems
    }

    /// Judges a plain key of a host.
    ///
    /// A host on another port than 22 is also known by its bare name when that has exactly this key, as for `ssh`.
    pub fn check(&self, host: &HostId, key: &PublicKey) -> Verdict {
        if let Some(at) = self.revoked(host, key) {
            return Verdict::Revoked { at };
        }
        let same = |line: &&Line| line.key.key_data() == key.key_data();
        if self.lines_of(host, Marker::Key).any(|l| same(&l)) {
            return Verdict::Known;
        }
        if let Some(line) = self.lines_of(host, Marker::Key).next() {
            return Verdict::Changed { at: self.at(line), known: shown(&line.key) };
        }
        let bare = HostId { host: host.host.clone(), port: 22 };
        if host.port != 22 && self.lines_of(&bare, Marker::Key).any(|l| same(&l)) {
            return Verdict::Known;
        }
        Verdict::Unknown
    }

    /// The line that revokes the key for this host, if any.
    pub fn revoked(&self, host: &HostId, key: &PublicKey) -> Option<At> {
        let bare = HostId { host: host.host.clone(), port: 22 };
        let mut lines = self.lines_of(host, Marker::Revoked).chain(self.lines_of(&bare, Marker::Revoked));
        lines.find(|l| l.key.key_data() == key.key_data()).map(|l| self.at(l))
    }

    /// Whether the key may sign certificates for this host.
    pub fn is_authority(&self, host: &HostId, key: &PublicKey) -> bool {
        self.authorities(host).any(|known| known.key_data() == key.key_data())
    }

    /// The keys that may sign certificates for this host.
    pub fn authorities<'a>(&'a self, host: &HostId) -> impl Iterator<Item = &'a PublicKey> + use<'a> {
        let bare = HostId { host: host.host.clone(), port: 22 };
        let lines: Vec<&Line> =
            self.lines_of(host, Marker::Authority).chain(self.lines_of(&bare, Marker::Authority)).collect();
        lines.into_iter().map(|l| &l.key)
    }

    /// The keys by which the host is known, so that the host can be asked for one of their kinds.
    pub fn keys<'a>(&'a self, host: &HostId) -> impl Iterator<Item = &'a PublicKey> + use<'a> {
        let bare = HostId { host: host.host.clone(), port: 22 };
        let mut lines: Vec<&Line> = self.lines_of(host, Marker::Key).collect();
        if lines.is_empty() && host.port != 22 {
            lines = self.lines_of(&bare, Marker::Key).collect();
        }
        lines.into_iter().map(|l| &l.key)
    }

    fn lines_of<'a>(&'a self, host: &HostId, marker: Marker) -> impl Iterator<Item = &'a Line> + use<'a> {
        let entry = host.entry();
        self.lines.iter().filter(move |l| l.marker == marker && l.names.has(&entry))
    }

    fn at(&self, line: &Line) -> At {
        At { file: self.files.get(line.file).cloned().unwrap_or_default(), line: line.line }
    }
}

fn shown(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), fingerprint(key))
}

impl Names {
    fn has(&self, entry: &str) -> bool {
        match self {
            Self::Patterns(patterns) => pattern::list_matches(patterns.iter().map(String::as_str), entry),
            Self::Hashed { salt, hash } => hash_of(salt, entry) == *hash,
        }
    }
}

fn hash_of(salt: &[u8], entry: &str) -> [u8; HASH_BYTES] {
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(salt).expect("HMAC takes keys of any length");
    mac.update(entry.as_bytes());
    mac.finalize().into_bytes().into()
}

fn read_line(text: &str, file: usize, line: usize) -> Result<Line, &'static str> {
    if text.len() > LINE_MAX {
        return Err("it is longer than any key");
    }
    let mut words = text.split([' ', '\t']).filter(|w| !w.is_empty());
    let mut names = words.next().unwrap_or_default();
    let marker = match names {
        "@cert-authority" => Marker::Authority,
        "@revoked" => Marker::Revoked,
        other if other.starts_with('@') => {
            return Err("its marker is none; `@cert-authority` and `@revoked` are");
        }
        _ => Marker::Key,
    };
    if marker != Marker::Key {
        names = words.next().unwrap_or_default();
    }
    let (Some(kind), Some(encoded)) = (words.next(), words.next()) else {
        return Err("a line has hosts, a kind of key and a key");
    };
    let key = crate::keys::public_key(encoded).ok_or("the key cannot be read")?;
    if key.algorithm().as_str() != kind {
        return Err("the key is not of the kind that stands before it");
    }
    Ok(Line { file, line, marker, names: read_names(names)?, key })
}

fn read_names(names: &str) -> Result<Names, &'static str> {
    let Some(hashed) = names.strip_prefix("|1|") else {
        if names.starts_with('|') {
            return Err("its hash is of a kind that is not known; `|1|` is");
        }
        return Ok(Names::Patterns(names.split(',').map(str::to_lowercase).collect()));
    };
    let (salt, hash) = hashed.split_once('|').ok_or("a hashed name is `|1|salt|hash`")?;
    let salt = STANDARD.decode(salt).map_err(|_| "the salt is no base64")?;
    let hash = STANDARD.decode(hash).map_err(|_| "the hash is no base64")?;
    let hash = hash.try_into().map_err(|_| "the hash is not 20 bytes long")?;
    Ok(Names::Hashed { salt, hash })
}

/// The line that makes a key known, with an end of line; the name hashed when a salt is given.
pub fn line_for(host: &HostId, key: &PublicKey, salt: Option<[u8; HASH_BYTES]>) -> String {
    let entry = host.entry();
    let name = match salt {
        None => entry,
        Some(salt) => {
            format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hash_of(&salt, &entry)))
        }
    };
    format!("{name} {} {}\n", key.algorithm(), STANDARD.encode(crate::keys::blob(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::HostName;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";
    const C: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMxBTpMIGvo7CnordO7\
        wP0QQRqpBwUjOLl4eMhfucfE1sjTYyK5wmTl1UqoSDS1PtRVTBdl+0+9pquFb46U7fwg=";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).expect("a key")
    }

    fn host(name: &str, port: u16) -> HostId {
        HostId { host: HostName::new(name).expect("a name"), port }
    }

    fn known(text: &str) -> KnownHosts {
        let mut known = KnownHosts::default();
        known.add_file(Path::new("known_hosts"), text);
        known
    }

    fn check(text: &str, name: &str, port: u16, shown: &str) -> Verdict {
        let known = known(text);
        assert!(known.problems().is_empty(), "{:?}", known.problems());
        known.check(&host(name, port), &key(shown))
    }

    #[test]
    fn plain_names_addresses_ports_and_patterns_are_found() {
        for (names, name, port) in [
            ("db1", "db1", 22),
            ("db1,10.0.0.1", "10.0.0.1", 22),
            ("DB1", "db1", 22),
            ("[db1]:2222", "db1", 2222),
            ("*.example.org,!bad.example.org", "a.example.org", 22),
            ("[*]:2222", "any", 2222),
            ("db1", "db1", 2222),
        ] {
            assert_eq!(check(&format!("{names} {A} comment\n"), name, port, A), Verdict::Known, "{names}");
        }
        for (names, name, port) in [
            ("db1", "db2", 22),
            ("[db1]:2222", "db1", 22),
            ("[db1]:2222", "db1", 2223),
            ("*.example.org,!bad.example.org", "bad.example.org", 22),
        ] {
            assert_eq!(check(&format!("{names} {A}\n"), name, port, A), Verdict::Unknown, "{names}");
        }
    }

    #[test]
    fn another_key_or_another_kind_of_key_has_changed() {
        let text = format!("# who\n\ndb1 {A}\n");
        for shown in [B, C] {
            let Verdict::Changed { at, known } = check(&text, "db1", 22, shown) else { panic!("{shown}") };
            assert_eq!(at.to_string(), "known_hosts:3");
            assert!(known.starts_with("ssh-ed25519 SHA256:"), "{known}");
        }
        assert_eq!(
            check(&format!("db1 {A}\ndb1 {C}\n"), "db1", 22, C),
            Verdict::Known,
            "it may have several"
        );
    }

    #[test]
    fn a_key_of_the_bare_name_does_not_make_another_port_changed() {
        assert_eq!(check(&format!("db1 {A}\n"), "db1", 2222, B), Verdict::Unknown);
    }

    #[test]
    fn hashed_names_are_found_as_ssh_keygen_writes_them() {
        // `ssh-keygen -H` on `example.org` and `[example.org]:2222`.
        let folder = tempfile::tempdir().expect("temp");
        let path = folder.path().join("known_hosts");
        std::fs::write(&path, format!("example.org {A}\n[example.org]:2222 {B}\n")).expect("write");
        let made =
            std::process::Command::new("ssh-keygen").arg("-Hf").arg(&path).output().expect("ssh-keygen");
        assert!(made.status.success(), "{made:?}");
        let text = std::fs::read_to_string(&path).expect("read");
        assert!(!text.contains("example"), "{text}");
        assert_eq!(check(&text, "example.org", 22, A), Verdict::Known);
        assert_eq!(check(&text, "example.org", 2222, B), Verdict::Known);
        assert!(matches!(check(&text, "example.org", 2222, A), Verdict::Changed { .. }));
        assert_eq!(check(&text, "example.com", 22, A), Verdict::Unknown);
    }

    #[test]
    fn a_line_that_we_write_is_found_by_ssh_keygen() {
        let folder = tempfile::tempdir().expect("temp");
        let path = folder.path().join("known_hosts");
        let text =
            line_for(&host("db1", 22), &key(A), None) + &line_for(&host("db2", 2222), &key(C), Some([7; 20]));
        std::fs::write(&path, &text).expect("write");
        for name in ["db1", "[db2]:2222"] {
            let found = std::process::Command::new("ssh-keygen").args(["-F", name, "-f"]).arg(&path).output();
            assert!(found.expect("ssh-keygen").status.success(), "{name} in {text}");
        }
        assert_eq!(check(&text, "db2", 2222, C), Verdict::Known);
    }

    #[test]
    fn a_revoked_key_is_refused_even_where_it_is_known() {
        let text = format!("db1 {A}\n@revoked * {A}\n");
        let Verdict::Revoked { at } = check(&text, "db1", 22, A) else { panic!("accepted") };
        assert_eq!(at.line, 2);
        assert!(matches!(check(&text, "db1", 2222, A), Verdict::Revoked { .. }), "on any port");
        assert_eq!(check(&format!("@revoked db2 {A}\ndb1 {A}\n"), "db1", 22, A), Verdict::Known);
    }

    #[test]
    fn an_authority_is_no_key_of_a_host() {
        let text = format!("@cert-authority *.example.org {A}\n");
        let known = known(&text);
        assert!(known.is_authority(&host("a.example.org", 22), &key(A)));
        assert!(known.is_authority(&host("a.example.org", 2222), &key(A)));
        assert!(!known.is_authority(&host("a.example.com", 22), &key(A)));
        assert_eq!(known.check(&host("a.example.org", 22), &key(A)), Verdict::Unknown);
    }

    #[test]
    fn lines_that_cannot_be_read_are_left_out_and_told() {
        let rsa_named = A.replace("ssh-ed25519", "ssh-rsa");
        let text = format!(
            "db1\n@other db1 {A}\ndb1 ssh-ed25519 %%%\n|2|x|y {A}\n|1|AA==|AA== {A}\ndb1 {rsa_named}\n|1|x {A}\ndb1 {B}\n"
        );
        let known = known(&text);
        let lines: Vec<usize> = known.problems().iter().map(|p| p.at.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(known.check(&host("db1", 22), &key(B)), Verdict::Known);
        assert!(known.problems()[0].to_string().starts_with("known_hosts:1: "));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic_and_knows_nobody(text in "[ @|,!*1a\\[\\]:=#\\n/+A-D]{0,200}") {
            let mut known = KnownHosts::default();
            known.add_file(Path::new("k"), &text);
            proptest::prop_assert_eq!(known.check(&host("a", 22), &key(A)), Verdict::Unknown);
        }
    }
}
