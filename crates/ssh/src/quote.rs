//! Command lines: how an argument vector becomes the one string that SSH carries.
//!
//! SSH hands a command to the login shell of the user as one string. There is exactly one function that turns data
//! into such a string, [`quote`]. What a person wrote as a shell line ([`CommandLine::line`]) is run as written and is
//! never built from data.

use std::fmt;

/// The longest command line, bytes. Linux takes 128 KiB for one argument, which a line is to the shell.
const LINE_MAX: usize = 128 * 1024 - 1;

/// Why a command line cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// No program.
    #[error("the command is empty; give at least a program")]
    Empty,
    /// A zero byte ends a string for the kernel.
    #[error("word {index} of the command holds a zero byte, which no argument can")]
    ZeroByte {
        /// Counted from 0.
        index: usize,
    },
    /// Longer than a kernel takes.
    #[error(
        "the command has {bytes} bytes; at most {LINE_MAX} are accepted, larger data goes by a file or by stdin"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not a name that a variable can have.
    #[error("{name:?} is no name of an environment variable; letters, digits and `_` are accepted")]
    Variable {
        /// As it was given.
        name: String,
    },
}

/// A command as the host's shell gets it.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandLine(String);

impl CommandLine {
    /// A program with its arguments; every word arrives as it is, whatever it holds.
    ///
    /// # Errors
    /// [`LineError`] for an empty vector, zero bytes, or more than 128 KiB.
    pub fn argv<S: AsRef<str>>(words: &[S]) -> Result<Self, LineError> {
        let mut line = String::new();
        for (index, word) in words.iter().enumerate() {
            if word.as_ref().contains('\0') {
                return Err(LineError::ZeroByte { index });
            }
            if index > 0 {
                line.push(' ');
            }
            quote_into(word.as_ref(), &mut line);
        }
        Self::line(line)
    }

    /// A line that a person wrote for a shell; it is run as written.
    ///
    /// # Errors
    /// [`LineError`] for an empty line, zero bytes, or more than 128 KiB.
    pub fn line(line: impl Into<String>) -> Result<Self, LineError> {
        let line = line.into();
        if line.trim().is_empty() {
            return Err(LineError::Empty);
        }
        if line.contains('\0') {
            return Err(LineError::ZeroByte { index: 0 });
        }
        if line.len() > LINE_MAX {
            return Err(LineError::TooLong { bytes: line.len() });
        }
        Ok(Self(line))
    }

    /// The same command with environment variables, set by `env` and therefore in any login shell. Not for secrets:
    /// other users of the host see them.
    ///
    /// # Errors
    /// [`LineError`] for names that no variable can have, zero bytes, or more than 128 KiB.
    pub fn with_env<K: AsRef<str>, V: AsRef<str>>(&self, variables: &[(K, V)]) -> Result<Self, LineError> {
        let mut words = vec!["env".to_owned()];
        for (name, value) in variables {
            let name = name.as_ref();
            let first_fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !first_fits || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(LineError::Variable { name: name.to_owned() });
            }
            words.push(format!("{name}={}", value.as_ref()));
        }
        words.extend(["/bin/sh".into(), "-c".into(), self.0.clone()]);
        Self::argv(&words)
    }

    /// The same command in a directory.
    ///
    /// # Errors
    /// [`LineError`] for zero bytes, or more than 128 KiB.
    pub fn in_directory(&self, directory: &str) -> Result<Self, LineError> {
        // The directory is an argument of the shell, never part of its script; `--` and `./` keep `-` harmless.
        let script = r#"case $1 in -*) set -- "./$1" "$2";; esac; cd -- "$1" && exec /bin/sh -c "$2""#;
        Self::argv(&["/bin/sh", "-c", script, "sh", directory, self.as_str()])
    }

    /// The string for the shell.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A line can be long, and a person may have put a password into it.
        write!(f, "CommandLine({} bytes)", self.0.len())
    }
}

/// One word for a shell, which reads it as exactly this word.
///
/// Plain words stay as they are. Others stand between single quotes, with `'`, `\` and `!` outside of them behind a
/// backslash: so they mean the same to POSIX shells, fish (which knows escapes between single quotes) and csh (which
/// knows `!` there). A line break is safe in POSIX shells and fish; csh refuses the line.
pub fn quote(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    quote_into(word, &mut out);
    out
}

fn quote_into(word: &str, out: &mut String) {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | ',' | '+' | '@' | '%')
    };
    if !word.is_empty() && word.chars().all(plain) {
        out.push_str(word);
        return;
    }
    if word.is_empty() {
        out.push_str("''");
        return;
    }
    let mut inside = false;
    for c in word.chars() {
        let outside = matches!(c, '\'' | '\\' | '!');
        if outside == inside {
            out.push('\'');
            inside = !inside;
        }
        if outside {
            out.push('\\');
        }
        out.push(c);
    }
    if inside {
        out.push('\'');
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// What a real shell makes of a line that prints its words, each with a zero byte after it.
    fn words_seen(shell: &str, line: &str) -> Vec<Vec<u8>> {
        let out = Command::new(shell).args(["-c", line]).output().expect("a shell");
        assert!(out.status.success(), "{shell}: {line}: {}", String::from_utf8_lossy(&out.stderr));
        let mut words: Vec<Vec<u8>> = out.stdout.split(|&b| b == 0).map(<[u8]>::to_vec).collect();
        assert_eq!(words.pop(), Some(Vec::new()), "the last word ends, too");
        words
    }

    fn check(words: &[String]) {
        let mut argv = vec!["printf".to_owned(), "%s\\0".to_owned()];
        argv.extend_from_slice(words);
        let line = CommandLine::argv(&argv).expect("a line");
        let want: Vec<Vec<u8>> = words.iter().map(|w| w.clone().into_bytes()).collect();
        for shell in ["/bin/sh", "/bin/bash"] {
            assert_eq!(words_seen(shell, line.as_str()), want, "{shell}: {}", line.as_str());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
        #[test]
        fn a_real_shell_reads_back_any_words(words in prop::collection::vec("[^\0]{0,20}", 1..6)) {
            check(&words);
        }

        #[test]
        fn a_real_shell_reads_back_words_of_its_own_characters(
            words in prop::collection::vec("[ '\"$`\\\\!*?;&|<>(){}\\[\\]~#=%\n\t^a-]{0,12}", 1..6),
        ) {
            check(&words);
        }
    }

    #[test]
    fn plain_words_stay_readable() {
        let line = CommandLine::argv(&["ls", "-l", "/etc/hosts"]).expect("a line");
        assert_eq!(line.as_str(), "ls -l /etc/hosts");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("~"), "'~'");
        assert_eq!(quote("A=b"), "'A=b'", "an assignment would not be a program");
    }

    #[test]
    fn variables_and_a_directory_arrive_as_they_are() {
        let line = CommandLine::line(r#"printf '%s|%s' "$V" "$PWD""#).expect("a line");
        let folder = tempfile::tempdir().expect("temp");
        for name in ["it's; $(x)", "-p"] {
            let directory = folder.path().join(name);
            std::fs::create_dir(&directory).expect("dir");
            let shown = directory.to_string_lossy().into_owned();
            let full =
                line.with_env(&[("V", "$(id) 'x'\n!")]).expect("env").in_directory(&shown).expect("dir");
            let out = Command::new("/bin/sh").args(["-c", full.as_str()]).output().expect("sh");
            assert_eq!(String::from_utf8_lossy(&out.stdout), format!("$(id) 'x'\n!|{shown}"));
        }
    }

    #[test]
    fn a_directory_that_begins_with_a_dash_is_no_option() {
        let folder = tempfile::tempdir().expect("temp");
        std::fs::create_dir(folder.path().join("-L")).expect("dir");
        let line = CommandLine::line("pwd").expect("a line").in_directory("-L").expect("dir");
        let mut sh = Command::new("/bin/sh");
        let out = sh.args(["-c", line.as_str()]).current_dir(folder.path()).output().expect("sh");
        assert!(String::from_utf8_lossy(&out.stdout).trim_end().ends_with("/-L"), "{out:?}");
    }

    #[test]
    fn what_no_kernel_takes_is_refused() {
        assert_eq!(CommandLine::argv::<&str>(&[]), Err(LineError::Empty));
        assert_eq!(CommandLine::line("  "), Err(LineError::Empty));
        assert_eq!(CommandLine::argv(&["a", "b\0"]), Err(LineError::ZeroByte { index: 1 }));
        assert!(matches!(CommandLine::line("x".repeat(LINE_MAX + 1)), Err(LineError::TooLong { .. })));
        let line = CommandLine::line("true").expect("a line");
        for name in ["", "1A", "A-B", "A=B", "a b"] {
            assert!(line.with_env(&[(name, "x")]).is_err(), "{name:?}");
        }
    }
}
