//! Files to a tree of lines: blocks, settings, and the files that they include, within bounds.

use std::path::{Path, PathBuf};

use super::keyword::{self, Key, Kind};
use super::{ConfigError, Place, words};
use crate::pattern;

/// How deep files may include each other; as in OpenSSH.
const DEPTH_MAX: usize = 16;
/// The most files that are read for one configuration.
const FILES_MAX: usize = 512;
/// The most lines of all files.
const LINES_MAX: usize = 100_000;

/// Where files come from.
pub trait Files {
    /// The text of a file; `None` when it is not there.
    ///
    /// # Errors
    /// Why it cannot be read or may not be believed.
    fn read(&self, path: &Path) -> Result<Option<String>, String>;

    /// The files that a pattern with `*` and `?` names, sorted.
    fn matching(&self, pattern: &str) -> Vec<PathBuf>;
}

/// A configuration, read but not yet asked.
#[derive(Debug, Clone, Default)]
pub struct SshConfig {
    pub(super) files: Vec<Vec<Line>>,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Host(Vec<String>),
    Match(Vec<Criterion>),
    Set(Key, Vec<String>),
    LeftOut(String, &'static str),
    Include(Vec<Vec<Line>>),
}

#[derive(Debug, Clone)]
pub(super) struct Criterion {
    pub(super) negated: bool,
    pub(super) test: Test,
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    All,
    Final,
    /// Only when names are canonicalised, which they never are.
    Canonical,
    Host(Vec<String>),
    OriginalHost(Vec<String>),
    User(Vec<String>),
    LocalUser(Vec<String>),
    /// One that `ssh` would answer by running a program or looking at the network.
    Refused(String),
}

impl SshConfig {
    /// Reads configurations in order; `roots`: each file with the folder that relative includes are in. One that is
    /// not there is empty.
    ///
    /// # Errors
    /// The first line that `ssh` would refuse, too, or a file that may not be believed.
    pub fn read(files: &dyn Files, roots: &[(PathBuf, PathBuf)], home: &Path) -> Result<Self, ConfigError> {
        let mut reader = Reader { files, home, read: 0, lines: 0, may_be_unknown: Vec::new() };
        let mut config = Self::default();
        for (path, base) in roots {
            let place = Place { file: path.clone(), line: 0 };
            if let Some(lines) = reader.file(path, base, 0, &place)? {
                config.files.push(lines);
            }
        }
        Ok(config)
    }
}

struct Reader<'a> {
    files: &'a dyn Files,
    home: &'a Path,
    read: usize,
    lines: usize,
    /// Patterns of `IgnoreUnknown`.
    may_be_unknown: Vec<String>,
}

impl Reader<'_> {
    fn file(
        &mut self,
        path: &Path,
        base: &Path,
        depth: usize,
        from: &Place,
    ) -> Result<Option<Vec<Line>>, ConfigError> {
        self.read += 1;
        if self.read > FILES_MAX {
            return Err(ConfigError::new(from, format!("more than {FILES_MAX} files are included")));
        }
        let text = self.files.read(path);
        let text =
            text.map_err(|e| ConfigError::new(from, format!("{} cannot be used: {e}", path.display())))?;
        let Some(text) = text else { return Ok(None) };
        let mut lines = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let place = Place { file: path.to_owned(), line: index + 1 };
            self.lines += 1;
            if self.lines > LINES_MAX {
                return Err(ConfigError::new(&place, format!("there are more than {LINES_MAX} lines")));
            }
            if let Some((word, rest)) = words::keyword(text) {
                let arguments = words::arguments(rest).map_err(|e| ConfigError::new(&place, e))?;
                if let Some(what) = self.line(&word, arguments, base, depth, &place)? {
                    lines.push(Line { place, what });
                }
            }
        }
        Ok(Some(lines))
    }

    fn line(
        &mut self,
        word: &str,
        arguments: Vec<String>,
        base: &Path,
        depth: usize,
        place: &Place,
    ) -> Result<Option<What>, ConfigError> {
        let missing = || ConfigError::new(place, format!("`{word}` has no value"));
        if arguments.is_empty() {
            return Err(missing());
        }
        Ok(Some(match word {
            "host" => What::Host(arguments),
            "match" => What::Match(criteria(&arguments).map_err(|e| ConfigError::new(place, e))?),
            "include" => What::Include(self.include(&arguments, base, depth, place)?),
            _ => match keyword::kind(word) {
                Kind::Followed(key) => {
                    one_value(key, &arguments)
                        .map_err(|e| ConfigError::new(place, format!("`{word}` {e}")))?;
                    What::Set(key, arguments)
                }
                Kind::LeftOut(why) => {
                    if word == "ignoreunknown" {
                        let patterns = arguments.iter().flat_map(|a| a.split(','));
                        self.may_be_unknown.extend(patterns.map(str::to_lowercase));
                    }
                    What::LeftOut(word.to_owned(), why)
                }
                Kind::Unknown => {
                    if pattern::list_matches(self.may_be_unknown.iter().map(String::as_str), word) {
                        return Ok(None);
                    }
                    let problem =
                        format!("`{word}` is no keyword of ssh_config; `IgnoreUnknown` would let it pass");
                    return Err(ConfigError::new(place, problem));
                }
            },
        }))
    }

    fn include(
        &mut self,
        patterns: &[String],
        base: &Path,
        depth: usize,
        place: &Place,
    ) -> Result<Vec<Vec<Line>>, ConfigError> {
        if depth >= DEPTH_MAX {
            return Err(ConfigError::new(
                place,
                format!("files include each other more than {DEPTH_MAX} deep"),
            ));
        }
        let mut included = Vec::new();
        for pattern in patterns {
            let full = match pattern.strip_prefix("~/") {
                Some(below) => self.home.join(below),
                None => base.join(pattern),
            };
            for path in self.files.matching(&full.to_string_lossy()) {
                included.extend(self.file(&path, base, depth + 1, place)?);
            }
        }
        Ok(included)
    }
}

/// `ssh` refuses words that it would not look at.
fn one_value(key: Key, arguments: &[String]) -> Result<(), &'static str> {
    let several = matches!(key, Key::UserKnownHostsFile | Key::GlobalKnownHostsFile | Key::ProxyCommand);
    if !several && arguments.len() > 1 {
        return Err("takes one value; put quotes around one with blanks");
    }
    Ok(())
}

fn criteria(words: &[String]) -> Result<Vec<Criterion>, String> {
    let mut criteria = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, attached) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v)));
        let negated = name.starts_with('!');
        let name = name.trim_start_matches('!').to_lowercase();
        let simple = match name.as_str() {
            "all" => Some(Test::All),
            "final" => Some(Test::Final),
            "canonical" => Some(Test::Canonical),
            _ => None,
        };
        if let Some(test) = simple {
            criteria.push(Criterion { negated, test });
            continue;
        }
        let value = match attached {
            Some(value) => value.to_owned(),
            None => words.next().cloned().ok_or_else(|| format!("`Match {name}` has no value"))?,
        };
        let list: Vec<String> = value.split(',').map(str::to_owned).collect();
        let test = match name.as_str() {
            "host" => Test::Host(list),
            "originalhost" => Test::OriginalHost(list),
            "user" => Test::User(list),
            "localuser" => Test::LocalUser(list),
            "exec" | "localnetwork" | "tagged" | "command" | "version" | "sessiontype" => Test::Refused(name),
            _ => {
                return Err(format!(
                    "`Match {name}` is unknown; all, host, originalhost, user and localuser are followed"
                ));
            }
        };
        criteria.push(Criterion { negated, test });
    }
    Ok(criteria)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Asked, Caller};

    /// One file that includes itself wherever it includes anything.
    struct Only(String);

    impl Files for Only {
        fn read(&self, _: &Path) -> Result<Option<String>, String> {
            Ok(Some(self.0.clone()))
        }

        fn matching(&self, pattern: &str) -> Vec<PathBuf> {
            vec![pattern.into()]
        }
    }

    fn words() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "Host",
            "Match",
            "Include",
            "all",
            "host",
            "!final",
            "exec",
            "user=",
            "*",
            "!a",
            "a",
            "Port",
            "User",
            "HostName",
            "%h",
            "%",
            "\"",
            "'",
            "=",
            "\\",
            "#",
            "\n",
            "\n",
            "\n",
            "ProxyJump",
            "a,b@c:1",
            "[",
            "ssh://",
            "IdentityFile",
            "~/x",
            "${A}",
            "${",
            "ConnectTimeout",
            "1m",
            "9999999999999999999999",
            "\t",
            "名",
        ]);
        prop::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in words(), noise in "\\PC{0,60}") {
            for text in [text.clone(), noise.clone(), format!("{text}\n{noise}")] {
                let read = SshConfig::read(&Only(text), &[("/c".into(), "/".into())], Path::new("/home"));
                if let Ok(config) = read {
                    let caller = Caller { user: "me".into(), home: "/home".into(), ..Caller::default() };
                    let asked = Asked { host: "a".into(), ..Asked::default() };
                    let _ = config.route(&asked, &caller);
                }
            }
        }
    }
}
