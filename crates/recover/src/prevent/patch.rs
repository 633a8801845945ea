//! Pieces of YAML for the keep file: keys one below the other, then lines.

/// Spaces for each level.
const INDENT: usize = 2;

/// A piece that is being written.
#[derive(Debug, Clone)]
pub(super) struct Patch {
    text: String,
    depth: usize,
}

impl Patch {
    /// Opens these keys, one below the other.
    pub(super) fn at(keys: &[&str]) -> Self {
        let mut patch = Self { text: String::new(), depth: 0 };
        for key in keys {
            patch = patch.line(0, &format!("{}:", quote(key)));
            patch.depth += 1;
        }
        patch.depth = keys.len().saturating_sub(1);
        patch
    }

    /// Adds a line, `deeper` levels below the last key's own.
    pub(super) fn line(mut self, deeper: usize, text: &str) -> Self {
        let indent = (self.depth + deeper) * INDENT;
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.text.push_str(text);
        self.text.push('\n');
        self
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// A text as YAML reads it as exactly this text: bare where that is safe, else in double quotes.
pub(super) fn quote(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let begins_bare = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '/');
    let is_word = matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if begins_bare && text.chars().all(bare) && !is_word {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_nest_and_lines_follow_below_the_last_one() {
        let patch = Patch::at(&["services", "a"]).line(1, "health:").line(2, "tcp: x");
        assert_eq!(patch.finish(), "services:\n  a:\n    health:\n      tcp: x\n");
        assert_eq!(
            Patch::at(&["unusual"]).line(1, "- a: 1").line(2, "b: 2").finish(),
            "unusual:\n  - a: 1\n    b: 2\n"
        );
        assert_eq!(Patch::at(&[]).line(0, "evidence: /e").finish(), "evidence: /e\n");
    }

    #[test]
    fn what_yaml_would_read_otherwise_is_quoted() {
        for (text, written) in [
            ("app", "app"),
            ("/data/x-1.gz", "/data/x-1.gz"),
            ("no", "\"no\""),
            ("1", "\"1\""),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a: b", "\"a: b\""),
            ("a\"\\\n", "\"a\\\"\\\\\\u000a\""),
            ("~", "\"~\""),
            ("/a#b", "\"/a#b\""),
        ] {
            assert_eq!(quote(text), written);
        }
    }
}
