//! The last words of a program, made fit to be shown: one line, no control characters, no obvious secrets.
//!
//! Masking is a second net, not the guard: nothing that holds a secret should print it.

/// How much of a program's output is shown, bytes.
pub(crate) const TAIL_BYTES: u64 = 4096;

/// Parts of names whose values are not shown.
const SECRET_WORDS: [&str; 7] = ["pass", "pwd", "secret", "token", "key", "credential", "auth"];
const MASK: &str = "***";

/// Lines joined with ` | `; a first line that was cut off is left out when others follow.
pub(crate) fn presentable(bytes: &[u8], cut: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|l| !l.is_empty()).collect();
    if cut && lines.len() > 1 {
        lines.remove(0);
    }
    lines.iter().map(|line| escape(&mask(line))).collect::<Vec<_>>().join(" | ")
}

/// An argument vector as one line.
pub(crate) fn command_line(argv: &[String]) -> String {
    escape(&mask(&argv.join(" ")))
}

/// Control characters and those that turn the direction of writing are shown by number.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() || is_directional(c) {
            out.extend(c.escape_unicode())
        } else {
            out.push(c)
        }
        out
    })
}

fn is_directional(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Replaces what stands after a telling name, and passwords in URLs.
fn mask(line: &str) -> String {
    let mut out = Vec::new();
    for word in line.split(' ') {
        let name_ends = word.find(['=', ':']).filter(|at| !word.get(*at..).unwrap_or("").starts_with("://"));
        let name = name_ends.and_then(|at| word.get(..=at));
        match name {
            Some(name) if is_telling(name) && name.len() == word.len() => {
                // `password: …`: the value follows, and nobody knows where it ends.
                out.push(format!("{name} {MASK}"));
                return out.join(" ");
            }
            Some(name) if is_telling(name) => out.push(format!("{name}{MASK}")),
            _ => out.push(mask_url(word)),
        }
    }
    out.join(" ")
}

fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// `scheme://user:password@host` without the part before `@`.
fn mask_url(word: &str) -> String {
    let masked = word.split_once("://").and_then(|(scheme, rest)| {
        let authority_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (_, host) = rest.get(..authority_ends)?.rsplit_once('@')?;
        Some(format!("{scheme}://{MASK}@{host}{}", rest.get(authority_ends..)?))
    });
    masked.unwrap_or_else(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_one_line_without_control_characters() {
        let got = presentable(b"one\r\n\x1b[31mtwo\n\n", false);
        assert_eq!(got, "one | \\u{1b}[31mtwo");
        assert_eq!(presentable("a\u{202e}b".as_bytes(), false), "a\\u{202e}b");
        assert_eq!(presentable(&[0xff, b'x'], false), "\u{fffd}x");
    }

    #[test]
    fn a_first_line_that_was_cut_is_left_out() {
        assert_eq!(presentable(b"f of a line\nwhole", true), "whole");
        assert_eq!(presentable(b"only", true), "only");
    }

    #[test]
    fn values_after_telling_names_are_not_shown() {
        let cases = [
            ("DB_PASSWORD=hunter2 PORT=1", "DB_PASSWORD=*** PORT=1"),
            ("password: hunter2 and more", "password: ***"),
            ("\"api_key\":\"hunter2\"", "\"api_key\":***"),
            ("cannot reach postgres://shop:hunter2@db/x", "cannot reach postgres://***@db/x"),
            ("listening on http://127.0.0.1:9000/", "listening on http://127.0.0.1:9000/"),
        ];
        for (line, want) in cases {
            assert_eq!(presentable(line.as_bytes(), false), want);
        }
    }
}
