//! Arguments in one text: `src=a dest="b c" mode={{ m }}`, and free words before them.

use wellkept_inventory::Value;

/// Most bytes of such a text.
const BYTES_MAX: usize = 1 << 20;

/// Words parted by white space outside quotes and template marks; quotes stay.
///
/// # Errors
/// A quote or a template mark that is not closed.
pub fn split_words(text: &str) -> Result<Vec<String>, String> {
    if text.len() > BYTES_MAX {
        return Err(format!("the arguments have {} bytes; accepted: at most {BYTES_MAX}", text.len()));
    }
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut marks: Vec<char> = Vec::new();
    let mut chars = text.chars().peekable();
    let mut escaped = false;
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        if marks.is_empty() && quote.is_none() && c.is_whitespace() {
            if c == '\n' && !word.is_empty() {
                words.push(std::mem::take(&mut word));
                words.push("\n".to_owned());
            } else if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            escaped = false;
            continue;
        }
        if c == '{' && matches!(next, Some('{' | '%' | '#')) {
            marks.extend(next);
            word.push(c);
            word.extend(chars.next());
            continue;
        }
        let closes = matches!(
            (marks.last(), c, next),
            (Some('{'), '}', Some('}')) | (Some('%'), '%', Some('}')) | (Some('#'), '#', Some('}'))
        );
        if closes {
            marks.pop();
            word.push(c);
            word.extend(chars.next());
            continue;
        }
        if marks.is_empty() && !escaped && (c == '"' || c == '\'') {
            match quote {
                Some(open) if open == c => quote = None,
                None => quote = Some(c),
                Some(_) => {}
            }
        }
        escaped = c == '\\' && !escaped;
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    if quote.is_some() || !marks.is_empty() {
        return Err("failed at splitting arguments, either an unbalanced jinja2 block or quotes".to_owned());
    }
    words.retain(|word| word != "\n" || text.contains('\n'));
    Ok(words)
}

fn unquote(text: &str) -> &str {
    for quote in ['"', '\''] {
        if text.len() > 1
            && let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote))
        {
            return inner;
        }
    }
    text
}

/// Named arguments; with `free`, words that are none become `_raw_params`, and only names in `known` are taken.
///
/// # Errors
/// As [`split_words`], and a word that is no pair where only pairs are taken.
pub fn parse_pairs(text: &str, free: bool, known: Option<&[&str]>) -> Result<Vec<(String, Value)>, String> {
    let mut pairs: Vec<(String, Value)> = Vec::new();
    let mut raw: Vec<String> = Vec::new();
    let mut line_start = true;
    for word in split_words(text)? {
        if word == "\n" {
            if free {
                raw.push(word);
                line_start = true;
            }
            continue;
        }
        let name = pair_name(&word).filter(|name| known.is_none_or(|known| known.contains(name)));
        match name {
            Some(name) => {
                let value = unquote(word.get(name.len() + 1..).unwrap_or_default().trim()).to_owned();
                pairs.push((name.to_owned(), Value::Text(value)));
            }
            None if free => {
                if !line_start || raw.last().is_some_and(|last| last != "\n") && !raw.is_empty() {
                    raw.push(" ".to_owned());
                }
                raw.push(word.replacen("\\=", "=", 1));
            }
            None => {
                return Err(format!(
                    "this module does not take a free text; found {word:?}, accepted: name=value"
                ));
            }
        }
        line_start = false;
    }
    let raw = raw.concat();
    if !raw.trim().is_empty() {
        pairs.push(("_raw_params".to_owned(), Value::Text(raw.trim().to_owned())));
    }
    Ok(pairs)
}

/// The name before the first `=` that is not escaped.
fn pair_name(word: &str) -> Option<&str> {
    let (name, _) = word.split_once('=')?;
    let good =
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-' || c == '.');
    good.then_some(name)
}

/// What `command` and its like take by name inside their text.
pub(crate) const COMMAND_NAMES: &[&str] = &[
    "creates",
    "removes",
    "chdir",
    "executable",
    "warn",
    "stdin",
    "stdin_add_newline",
    "strip_empty_ends",
    "expand_argument_vars",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, free: bool, known: Option<&[&str]>) -> Vec<String> {
        let pairs = parse_pairs(text, free, known).expect("good arguments");
        pairs.iter().map(|(name, value)| format!("{name}={}", value.as_text().unwrap_or_default())).collect()
    }

    #[test]
    fn pairs_keep_what_stands_in_quotes_and_templates_together() {
        assert_eq!(
            shown("src=a dest=\"b c\" mode={{ m | default('x y') }}", false, None),
            ["src=a", "dest=b c", "mode={{ m | default('x y') }}"]
        );
    }

    #[test]
    fn a_command_takes_only_its_own_names_out_of_the_text() {
        let known = Some(COMMAND_NAMES);
        assert_eq!(shown("ls x chdir=/", true, known), ["chdir=/", "_raw_params=ls x"]);
        assert_eq!(shown("FOO=bar echo 'a  b'", true, known), ["_raw_params=FOO=bar echo 'a  b'"]);
    }

    #[test]
    fn what_is_not_closed_is_an_error() {
        assert!(parse_pairs("a='b", false, None).is_err());
        assert!(parse_pairs("a={{ b", false, None).is_err());
        assert!(parse_pairs("word", false, None).is_err());
    }
}
