//! The lookup `password`: a random word, made once and kept in a file of the controller.
//!
//! With a seed the word is stable from run to run, but another one than Python's generator gives.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};
use wellkept_inventory::Value;
use wellkept_playbook::book::split_words;
use wellkept_playbook::crypt::{self, Kind};

use super::Options;
use crate::values::key_text;

/// The longest word that is made.
const LENGTH_MAX: usize = 4096;
/// The largest file that is read, bytes.
const FILE_MAX: u64 = 64 * 1024;
/// Letters of a salt.
const SALT: &str = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SALT_LENGTH: usize = 16;
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const PUNCTUATION: &str = r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##;

/// What the term and the options say.
struct Wish {
    path: String,
    length: usize,
    letters: Vec<char>,
    encrypt: Option<Kind>,
    seed: Option<String>,
}

pub(super) fn answer(term: &str, said: &Options<'_>) -> Result<String, String> {
    let wish = wish(term, said)?;
    let path = Path::new(&said.folder()).join(&wish.path);
    let fresh = || -> Result<(String, Option<String>), String> {
        let mut source = Source::new(wish.seed.as_deref());
        let word = source.word(&wish.letters, wish.length)?;
        let salt = match wish.encrypt {
            None => None,
            Some(_) => Some(Source::new(None).word(&SALT.chars().collect::<Vec<_>>(), SALT_LENGTH)?),
        };
        Ok((word, salt))
    };
    if wish.path == "/dev/null" {
        let (word, salt) = fresh()?;
        return told(word, salt, wish.encrypt);
    }
    let named = |e: std::io::Error| format!("{}: {e}", path.display());
    if let Some(kept) = read(&path).map_err(named)? {
        let (word, salt) = parts(&kept);
        let salt = match (wish.encrypt, salt) {
            (Some(_), None) => {
                let salt = fresh()?.1;
                store(&path, &line(&word, salt.as_deref()), true).map_err(named)?;
                salt
            }
            (_, salt) => salt,
        };
        return told(word, salt, wish.encrypt);
    }
    let (word, salt) = fresh()?;
    if store(&path, &line(&word, salt.as_deref()), false).map_err(named)? {
        return told(word, salt, wish.encrypt);
    }
    // Somebody else was faster: theirs counts.
    let (word, salt) = parts(&read(&path).map_err(named)?.unwrap_or_default());
    told(word, salt, wish.encrypt)
}

fn wish(term: &str, said: &Options<'_>) -> Result<Wish, String> {
    let known = ["length", "encrypt", "chars", "ident", "seed"];
    let mut path: Vec<String> = Vec::new();
    let mut inline: Vec<(String, String)> = Vec::new();
    for word in split_words(term)? {
        match word.split_once('=') {
            Some((name, value)) if known.contains(&name) => {
                inline.push((name.to_owned(), value.trim_matches(['"', '\'']).to_owned()));
            }
            Some((name, _)) if !path.is_empty() => {
                return Err(format!("Unrecognized parameter(s) given to password lookup: {name}"));
            }
            _ if !inline.is_empty() => {
                let why = "Unrecognized value after key=value parameters given to password lookup";
                return Err(why.to_owned());
            }
            _ => path.push(word),
        }
    }
    let own = |name: &str| inline.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let get = |name: &str| own(name).or_else(|| said.text(name));
    let length = get("length").unwrap_or_else(|| "20".to_owned());
    let length = length.trim().parse().ok().filter(|length| (1..=LENGTH_MAX).contains(length));
    let length = length.ok_or_else(|| format!("length: a number from 1 to {LENGTH_MAX} is accepted"))?;
    let encrypt = match get("encrypt").as_deref() {
        None | Some("") => None,
        Some("sha512_crypt" | "sha512") => Some(Kind::Sha512),
        Some("sha256_crypt" | "sha256") => Some(Kind::Sha256),
        Some(other) => {
            return Err(format!("encrypt={other} is not supported; accepted: sha512_crypt, sha256_crypt"));
        }
    };
    let specs = match (own("chars"), said.get("chars")) {
        (None, Some(Value::List(items))) => items.iter().map(key_text).collect(),
        (Some(text), _) => split_chars(&text),
        (None, Some(other)) => split_chars(&key_text(other)),
        (None, None) => ["ascii_letters", "digits", ".,:-_"].map(str::to_owned).to_vec(),
    };
    let mut letters: Vec<char> =
        specs.iter().flat_map(|spec| set(spec).chars().collect::<Vec<_>>()).collect();
    letters.retain(|c| !matches!(c, '"' | '\''));
    if letters.is_empty() {
        return Err("chars names no letters".to_owned());
    }
    Ok(Wish { path: path.join(" "), length, letters, encrypt, seed: get("seed") })
}

/// With commas between; two of them are a comma itself.
fn split_chars(text: &str) -> Vec<String> {
    let comma = text.contains(",,").then(|| ",".to_owned());
    let rest = text.replace(",,", ",");
    let parts = rest.split(',').filter(|part| !part.is_empty()).map(str::to_owned);
    comma.into_iter().chain(parts).collect()
}

/// The letters of a set, by Python's names of them.
fn set(name: &str) -> String {
    match name {
        "ascii_letters" => format!("{LOWER}{UPPER}"),
        "ascii_lowercase" => LOWER.to_owned(),
        "ascii_uppercase" => UPPER.to_owned(),
        "digits" => DIGITS.to_owned(),
        "hexdigits" => format!("{DIGITS}abcdefABCDEF"),
        "octdigits" => "01234567".to_owned(),
        "punctuation" => PUNCTUATION.to_owned(),
        "printable" => format!("{DIGITS}{LOWER}{UPPER}{PUNCTUATION} \t\n\r\u{b}\u{c}"),
        "whitespace" => " \t\n\r\u{b}\u{c}".to_owned(),
        other => other.to_owned(),
    }
}

/// Random bytes of the system, or those that follow from a seed.
struct Source<'s> {
    seed: Option<&'s str>,
    number: u64,
}

impl<'s> Source<'s> {
    fn new(seed: Option<&'s str>) -> Self {
        Self { seed, number: 0 }
    }

    fn next(&mut self) -> Result<u32, String> {
        self.number += 1;
        let Some(seed) = self.seed else {
            let mut bytes = [0; 4];
            getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
            return Ok(u32::from_ne_bytes(bytes));
        };
        let hash = Sha256::new().chain_update(seed).chain_update(self.number.to_be_bytes()).finalize();
        Ok(hash.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn word(&mut self, letters: &[char], length: usize) -> Result<String, String> {
        let count = u32::try_from(letters.len()).map_err(|e| e.to_string())?;
        // Numbers above the last whole round are thrown away, so that no letter comes more often.
        let bound = u32::MAX - u32::MAX % count;
        let mut word = String::new();
        while word.chars().count() < length {
            let number = self.next()?;
            if number < bound {
                word.extend(letters.get((number % count) as usize));
            }
        }
        Ok(word)
    }
}

fn told(word: String, salt: Option<String>, encrypt: Option<Kind>) -> Result<String, String> {
    match (encrypt, salt) {
        (Some(kind), Some(salt)) => crypt::hash(kind, &word, &salt, None),
        _ => Ok(word),
    }
}

fn line(word: &str, salt: Option<&str>) -> String {
    salt.map_or_else(|| word.to_owned(), |salt| format!("{word} salt={salt}"))
}

fn parts(kept: &str) -> (String, Option<String>) {
    match kept.rsplit_once(" salt=") {
        None => (kept.to_owned(), None),
        Some((word, rest)) => {
            let salt = rest.rsplit_once(" ident=").map_or(rest, |(salt, _)| salt);
            (word.to_owned(), Some(salt.to_owned()))
        }
    }
}

fn read(path: &Path) -> std::io::Result<Option<String>> {
    match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        about => {
            if about?.len() > FILE_MAX {
                return Err(std::io::ErrorKind::FileTooLarge.into());
            }
        }
    }
    Ok(Some(std::fs::read_to_string(path)?.trim_end().to_owned()))
}

/// Appears whole under its name, for its owner only. False when there is one already that is not to be replaced.
fn store(path: &Path, line: &str, replace: bool) -> std::io::Result<bool> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".password-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    writeln!(file, "{line}")?;
    if replace {
        file.persist(path).map_err(|e| e.error)?;
        return Ok(true);
    }
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(folder: &Path, term: &str, options: &[(&str, &str)]) -> Result<String, String> {
        let base = ("_basedir".to_owned(), Value::Unsafe(folder.display().to_string()));
        let more =
            options.iter().map(|(name, value)| ((*name).to_owned(), Value::Unsafe((*value).to_owned())));
        answer(term, &Options(&std::iter::once(base).chain(more).collect::<Vec<_>>()))
    }

    #[test]
    fn a_word_is_made_once_and_kept_for_its_owner_only() {
        let folder = tempfile::tempdir().expect("temp");
        let first = ask(folder.path(), "secrets/db length=12 chars=digits,,x", &[]).expect("a word");
        assert!(
            first.len() == 12 && first.chars().all(|c| c.is_ascii_digit() || matches!(c, 'x' | ',')),
            "{first}"
        );
        assert_eq!(ask(folder.path(), "secrets/db", &[]).as_ref(), Ok(&first));
        let path = folder.path().join("secrets/db");
        assert_eq!(std::fs::read_to_string(&path).expect("kept"), format!("{first}\n"));
        let bits = std::fs::metadata(&path).expect("about").permissions().mode();
        assert_eq!(bits & 0o777, 0o600);
        assert_ne!(ask(folder.path(), "/dev/null", &[]), ask(folder.path(), "/dev/null", &[]));
        assert!(!folder.path().join("dev").exists());
    }

    #[test]
    fn a_hash_keeps_its_salt_and_a_seed_its_word() {
        let folder = tempfile::tempdir().expect("temp");
        let first = ask(folder.path(), "p encrypt=sha256_crypt", &[]).expect("a hash");
        assert!(first.starts_with("$5$"), "{first}");
        assert_eq!(ask(folder.path(), "p", &[("encrypt", "sha256_crypt")]), Ok(first));
        let seeded = || ask(folder.path(), "/dev/null", &[("seed", "host1"), ("length", "8")]);
        assert_eq!(seeded(), seeded());
        assert_eq!(seeded().map(|word| word.len()), Ok(8));
        assert!(ask(folder.path(), "p lenght=3", &[]).is_err_and(|why| why.contains("lenght")));
        assert!(ask(folder.path(), "p length=0", &[]).is_err());
        assert!(ask(folder.path(), "p encrypt=rot13", &[]).is_err_and(|why| why.contains("rot13")));
    }
}
