//! Commands: an argument list, a text that is split into words, or a shell line that is run as written.
//!
//! Nothing is expanded. A text that looks as if a shell were expected is refused, so that `a | b` never becomes
//! an argument by accident.

use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::Command;

use crate::problem::{Problems, clean};
use crate::read;
use crate::tree::{At, Node, Value};

/// Longest time a command may take when nothing is said.
pub(crate) const WITHIN_DEFAULT: Duration = Duration::from_secs(30);
/// Most words of a command.
pub(crate) const ARGS_MAX: usize = 256;

/// How a command is read.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// The command may say `within` itself.
    Own,
    /// The time limit is given beside it (health checks).
    Beside(Duration),
}

/// Reads a command.
pub(crate) fn command(node: &Node, limit: Limit, problems: &mut Problems) -> Option<Command> {
    let within = match limit {
        Limit::Own => WITHIN_DEFAULT,
        Limit::Beside(within) => within,
    };
    match &node.value {
        Value::Scalar { text, exact } => {
            let argv = words(node, text, *exact, problems)?;
            Some(Command { argv, within })
        }
        Value::List(_) => Some(Command { argv: list(node, problems)?, within }),
        Value::Map(_) => from_map(node, limit, within, problems),
        Value::Null => {
            read::wrong_type(node, Text::new("keep.accept.command"), problems);
            None
        }
    }
}

fn from_map(node: &Node, limit: Limit, within: Duration, problems: &mut Problems) -> Option<Command> {
    let accepted: &[&str] = match limit {
        Limit::Own => &["shell", "run", "within"],
        Limit::Beside(_) => &["shell", "run"],
    };
    let fields = read::open(node, accepted, problems)?;
    let within = match fields.get("within") {
        Some(node) if matches!(limit, Limit::Own) => {
            read::duration(node, Duration::from_millis(100), Duration::from_secs(3600), problems)?
        }
        _ => within,
    };
    let argv = match (fields.get("shell"), fields.get("run")) {
        (Some(line), None) => {
            let line = read::text(line, true, &Text::new("keep.accept.shell"), problems)?;
            vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()]
        }
        (None, Some(run)) => match &run.value {
            Value::Scalar { text, exact } => words(run, text, *exact, problems)?,
            _ => list(run, problems)?,
        },
        (None, None) | (Some(_), Some(_)) => {
            problems.add(&node.at, Text::new("keep.shell_or_run"), Text::new("keep.accept.command"));
            return None;
        }
    };
    Some(Command { argv, within })
}

fn list(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    let help = Text::new("keep.accept.command");
    let Value::List(items) = &node.value else {
        read::wrong_type(node, help, problems);
        return None;
    };
    if items.is_empty() {
        problems.add(&node.at, Text::new("keep.command_empty"), help);
        return None;
    }
    let mut argv = Vec::new();
    for item in items {
        let Value::Scalar { text, .. } = &item.value else {
            read::wrong_type(item, Text::new("keep.accept.argument"), problems);
            return None;
        };
        if !text.is_empty() {
            read::text(item, true, &Text::new("keep.accept.argument"), problems)?;
        }
        argv.push(text.clone());
    }
    let first = items.first().map_or(&node.at, |i| &i.at);
    checked(argv, first, problems)
}

/// The first word must be a program that is found without a working folder.
fn checked(argv: Vec<String>, at: &At, problems: &mut Problems) -> Option<Vec<String>> {
    let program = argv.first().map(String::as_str).unwrap_or_default();
    let bare = !program.is_empty()
        && !program.contains('/')
        && !program.starts_with('-')
        && !program.starts_with('~');
    let key = if program.split_once('=').is_some_and(|(name, _)| !name.contains('/')) {
        "keep.command_assignment"
    } else if argv.len() > ARGS_MAX {
        "keep.command_too_long"
    } else if bare || (read::is_plain_path(program) && program != "/") {
        return Some(argv);
    } else {
        "keep.command_program"
    };
    let message = Text::new(key).with("program", clean(program)).with("max", ARGS_MAX);
    problems.add(at, message, Text::new("keep.accept.program"));
    None
}

fn words(node: &Node, text: &str, exact: bool, problems: &mut Problems) -> Option<Vec<String>> {
    read::text(node, false, &Text::new("keep.accept.command"), problems)?;
    match split(text) {
        Ok(argv) => checked(argv, &node.at, problems),
        Err(SplitError { what, offset, shown }) => {
            let mut at = node.at.clone();
            if exact {
                at.place.column += offset as u32;
                at.place.width = shown.chars().count() as u32;
            }
            let key = match what {
                Refused::Quote => "keep.command_quote",
                Refused::Operator => "keep.command_operator",
                Refused::Expansion => "keep.command_expansion",
            };
            let help = match what {
                Refused::Quote => "keep.accept.quote",
                Refused::Operator | Refused::Expansion => "keep.accept.shell_map",
            };
            problems.add(&at, Text::new(key).with("shown", shown), Text::new(help));
            None
        }
    }
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Refused {
    Quote,
    Operator,
    Expansion,
}

#[derive(Debug, PartialEq, Eq)]
struct SplitError {
    what: Refused,
    /// Characters before it.
    offset: usize,
    shown: String,
}

/// Splits into words: `'…'` as it stands, `"…"` with `\"` and `\\`, `\` before any other character outside of
/// quotes. What a shell would do something with is refused.
fn split(text: &str) -> Result<Vec<String>, SplitError> {
    let mut argv = Vec::new();
    let mut word: Option<String> = None;
    let chars: Vec<char> = text.chars().collect();
    let mut i = 0;
    while let Some(&c) = chars.get(i) {
        let next = chars.get(i + 1).copied();
        let refuse = |what, shown: String| Err(SplitError { what, offset: i, shown });
        match c {
            c if c.is_whitespace() => argv.extend(word.take()),
            '\'' | '"' => i = quoted(&chars, i, word.get_or_insert_default())?,
            '\\' => match next {
                Some(next) => {
                    word.get_or_insert_default().push(next);
                    i += 1;
                }
                None => return refuse(Refused::Quote, "\\".to_owned()),
            },
            '|' | '&' | ';' | '<' | '>' | '(' | ')' => {
                let doubled = next == Some(c) && c != '(' && c != ')';
                return refuse(
                    Refused::Operator,
                    std::iter::repeat_n(c, if doubled { 2 } else { 1 }).collect(),
                );
            }
            '`' | '*' => return refuse(Refused::Expansion, c.to_string()),
            '$' if expands(next) => return refuse(Refused::Expansion, "$".to_owned()),
            '~' if word.is_none() => return refuse(Refused::Expansion, "~".to_owned()),
            c => word.get_or_insert_default().push(c),
        }
        i += 1;
    }
    argv.extend(word);
    Ok(argv)
}

/// Adds a quoted part that begins at `from`; gives the index of its closing quote.
fn quoted(chars: &[char], from: usize, word: &mut String) -> Result<usize, SplitError> {
    let quote = chars.get(from).copied().unwrap_or('\'');
    let mut i = from + 1;
    while let Some(&c) = chars.get(i) {
        let next = chars.get(i + 1).copied();
        match c {
            c if c == quote => return Ok(i),
            '\\' if quote == '"' && matches!(next, Some('"' | '\\' | '$' | '`')) => {
                word.extend(next);
                i += 1;
            }
            '$' if quote == '"' && expands(next) => {
                return Err(SplitError { what: Refused::Expansion, offset: i, shown: "$".to_owned() });
            }
            '`' if quote == '"' => {
                return Err(SplitError { what: Refused::Expansion, offset: i, shown: "`".to_owned() });
            }
            c => word.push(c),
        }
        i += 1;
    }
    Err(SplitError { what: Refused::Quote, offset: from, shown: quote.to_string() })
}

fn expands(next: Option<char>) -> bool {
    next.is_some_and(|c| {
        c.is_alphanumeric() || matches!(c, '_' | '{' | '(' | '?' | '!' | '$' | '@' | '*' | '#')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_like_a_shell_without_expanding() {
        for (text, argv) in [
            ("/bin/x start", vec!["/bin/x", "start"]),
            ("  a   b  ", vec!["a", "b"]),
            ("a 'b c' \"d e\"", vec!["a", "b c", "d e"]),
            (r#"a "say \"hi\"" b\ c"#, vec!["a", "say \"hi\"", "b c"]),
            ("a '' b", vec!["a", "", "b"]),
            ("a'b'c", vec!["abc"]),
            ("a '$HOME | x' \"a|b\"", vec!["a", "$HOME | x", "a|b"]),
            ("a 5$ b~c", vec!["a", "5$", "b~c"]),
            (r#"a "\$x" 'it"s'"#, vec!["a", "$x", "it\"s"]),
            ("a \\*", vec!["a", "*"]),
        ] {
            assert_eq!(split(text), Ok(argv.into_iter().map(str::to_owned).collect()), "{text}");
        }
    }

    #[test]
    fn refuses_what_only_a_shell_understands() {
        for (text, what, offset, shown) in [
            ("a | b", Refused::Operator, 2, "|"),
            ("a && b", Refused::Operator, 2, "&&"),
            ("a || b", Refused::Operator, 2, "||"),
            ("a > f", Refused::Operator, 2, ">"),
            ("a;b", Refused::Operator, 1, ";"),
            ("a $(b)", Refused::Expansion, 2, "$"),
            ("a \"$X\"", Refused::Expansion, 3, "$"),
            ("a `b`", Refused::Expansion, 2, "`"),
            ("a *.log", Refused::Expansion, 2, "*"),
            ("a ~/b", Refused::Expansion, 2, "~"),
            ("a 'b", Refused::Quote, 2, "'"),
            ("a \"b", Refused::Quote, 2, "\""),
            ("a \\", Refused::Quote, 2, "\\"),
        ] {
            assert_eq!(split(text), Err(SplitError { what, offset, shown: shown.to_owned() }), "{text}");
        }
    }
}
