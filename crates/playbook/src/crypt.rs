//! `$5$` and `$6$` password hashes (SHA-crypt).
//!
//! Source: Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512", version 0.6.

use sha2::{Digest, Sha256, Sha512};

/// Which hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `$5$`.
    Sha256,
    /// `$6$`.
    Sha512,
}

/// Rounds when nothing is said; what Ansible asks of its library, written out in the hash.
const ROUNDS: [(Kind, u32); 2] = [(Kind::Sha256, 535_000), (Kind::Sha512, 656_000)];
/// What the format says when it is silent.
const ROUNDS_SILENT: u32 = 5000;
/// Most rounds that are accepted: some seconds of work.
const ROUNDS_MAX: u32 = 10_000_000;
/// Longer passwords are refused: the work grows with the square of the length.
const PASSWORD_MAX: usize = 4096;
const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The hash of a password. `rounds`: `None` is Ansible's default.
///
/// # Errors
/// A salt or number of rounds that the format does not take.
pub fn hash(kind: Kind, password: &str, salt: &str, rounds: Option<u32>) -> Result<String, String> {
    if salt.len() > 16 || !salt.bytes().all(|b| LETTERS.contains(&b)) {
        return Err(format!("salt {salt:?} is refused; accepted: at most 16 of ./0-9A-Za-z"));
    }
    if password.len() > PASSWORD_MAX {
        return Err(format!("the password is too long; accepted: at most {PASSWORD_MAX} bytes"));
    }
    let default = ROUNDS.iter().find(|(k, _)| *k == kind).map_or(ROUNDS_SILENT, |(_, rounds)| *rounds);
    let rounds = rounds.unwrap_or(default);
    if !(1000..=ROUNDS_MAX).contains(&rounds) {
        return Err(format!("{rounds} rounds are refused; accepted: 1000 to {ROUNDS_MAX}"));
    }
    let digest = match kind {
        Kind::Sha256 => work::<Sha256>(password.as_bytes(), salt.as_bytes(), rounds),
        Kind::Sha512 => work::<Sha512>(password.as_bytes(), salt.as_bytes(), rounds),
    };
    let id = if kind == Kind::Sha256 { 5 } else { 6 };
    let said = if rounds == ROUNDS_SILENT { String::new() } else { format!("rounds={rounds}$") };
    Ok(format!("${id}${said}{salt}${}", encode(&digest)))
}

fn repeated(digest: &[u8], length: usize) -> Vec<u8> {
    digest.iter().copied().cycle().take(length).collect()
}

fn work<D: Digest>(password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let b = D::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut a = D::new().chain_update(password).chain_update(salt);
    a.update(repeated(&b, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        if bits & 1 == 1 {
            a.update(&b)
        } else {
            a.update(password)
        }
        bits >>= 1;
    }
    let a = a.finalize();
    let mut dp = D::new();
    for _ in 0..password.len() {
        dp.update(password);
    }
    let p = repeated(&dp.finalize(), password.len());
    let mut ds = D::new();
    for _ in 0..16 + usize::from(a.first().copied().unwrap_or_default()) {
        ds.update(salt);
    }
    let s = repeated(&ds.finalize(), salt.len());
    let mut last = a.to_vec();
    for round in 0..rounds {
        let mut c = D::new();
        if round % 2 == 1 {
            c.update(&p)
        } else {
            c.update(&last)
        }
        if round % 3 != 0 {
            c.update(&s);
        }
        if round % 7 != 0 {
            c.update(&p);
        }
        if round % 2 == 1 {
            c.update(&last)
        } else {
            c.update(&p)
        }
        last = c.finalize().to_vec();
    }
    last
}

/// The digest in the format's own order of bytes and letters.
fn encode(digest: &[u8]) -> String {
    let at = |n: usize| u32::from(digest.get(n).copied().unwrap_or_default());
    let mut out = String::new();
    let mut group = |mut bits: u32, letters: usize| {
        for _ in 0..letters {
            out.extend(LETTERS.get((bits & 63) as usize).map(|b| char::from(*b)));
            bits >>= 6;
        }
    };
    let third = digest.len() / 3;
    let long = digest.len() == 64;
    let mut order = [0, third, third * 2];
    for _ in 0..third {
        let [a, b, c] = order;
        group(at(a) << 16 | at(b) << 8 | at(c), 4);
        // The three columns take turns in coming first.
        order = if long { [b + 1, c + 1, a + 1] } else { [c + 1, a + 1, b + 1] };
    }
    if long {
        group(at(63), 2)
    } else {
        group(at(31) << 8 | at(30), 3)
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_specification() {
        let sha512 = hash(Kind::Sha512, "Hello world!", "saltstring", Some(5000));
        assert_eq!(
            sha512.as_deref(),
            Ok(
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
            )
        );
        let sha256 = hash(Kind::Sha256, "Hello world!", "saltstringsaltst", Some(10_000));
        assert_eq!(
            sha256.as_deref(),
            Ok("$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA")
        );
    }

    #[test]
    fn what_the_format_does_not_take_is_refused() {
        assert!(hash(Kind::Sha512, "x", "a$b", None).is_err());
        assert!(hash(Kind::Sha512, "x", "ab", Some(1)).is_err());
    }
}
