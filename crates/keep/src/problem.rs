//! What is wrong in a keep file, where, and what would be accepted.
//!
//! A [`Problem`] names catalogue messages, so that it can be shown in every language; the English texts are
//! embedded, so that an error can be printed before anything else works. Colours are left to
//! [`KeepErrors::render`], JSON to the caller.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};

use unicode_width::UnicodeWidthChar;
use wellkept_model::Text;
use wellkept_yamltree::{Found, cut};

pub use wellkept_yamltree::PROBLEMS_MAX;

use crate::tree::Words;

/// Characters of a value or source line that are shown.
const SHOWN_CHARS_MAX: usize = 100;

/// One mistake in a keep file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the caller named it.
    pub file: String,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Column in characters, from 1; 0 when the whole file is meant.
    pub column: u32,
    /// Characters that are wrong, for underlining.
    pub width: u32,
    /// Keys that lead there, for example `services.app.health[1].within`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: Text,
    /// What would be accepted.
    pub help: Text,
    /// The line of the file, cut to a readable length around the column, control characters replaced.
    pub source: String,
    /// Characters cut off at the left of `source`.
    pub source_from: u32,
}

impl Problem {
    /// What is wrong, in English.
    #[must_use]
    pub fn message_en(&self) -> String {
        English::load().say(&self.message)
    }

    /// What would be accepted, in English.
    #[must_use]
    pub fn help_en(&self) -> String {
        English::load().say(&self.help)
    }
}

/// All mistakes of a keep file, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepErrors {
    /// At most [`PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// How many more there were.
    pub not_shown: usize,
}

impl std::error::Error for KeepErrors {}

impl fmt::Display for KeepErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl KeepErrors {
    /// All problems in English for a terminal, with the line of the file and a mark below the place.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let english = English::load();
        self.render_with(&|text| english.say(text), color)
    }

    /// The same in the language of `say`.
    #[must_use]
    pub fn render_with(&self, say: &dyn Fn(&Text) -> String, color: bool) -> String {
        let paint = Paint { color };
        let mut out = String::new();
        for problem in &self.problems {
            render_problem(problem, say, &paint, &mut out);
        }
        let count = self.problems.len() + self.not_shown;
        let file = self.problems.first().map_or("", |p| p.file.as_str());
        let key = if count == 1 { "keep.sum.one" } else { "keep.sum.many" };
        let sum = Text::new(key).with("count", count).with("file", file).with("not_shown", self.not_shown);
        out.push_str(&say(&sum));
        if self.not_shown > 0 {
            out.push(' ');
            out.push_str(&say(&Text::new("keep.sum.not_shown").with("count", self.not_shown)));
        }
        out.push('\n');
        out
    }
}

fn render_problem(problem: &Problem, say: &dyn Fn(&Text) -> String, paint: &Paint, out: &mut String) {
    let message = say(&problem.message);
    let place = match problem.line {
        0 => problem.file.clone(),
        line => format!("{}:{line}:{}", problem.file, problem.column),
    };
    let path = if problem.path.is_empty() { String::new() } else { format!(" {}:", problem.path) };
    out.push_str(&format!(
        "{}: {}:{path} {}\n",
        paint.place(&place),
        paint.error(&say(&Text::new("keep.error"))),
        message
    ));
    let gutter = problem.line.to_string();
    let blank = " ".repeat(gutter.len());
    if problem.line > 0 {
        let (pad, mark) = underline(problem);
        let bar = paint.faint("|");
        out.push_str(&format!(" {} {bar} {}\n", paint.faint(&gutter), problem.source));
        out.push_str(&format!(" {blank} {bar} {pad}{}\n", paint.error(&mark)));
    }
    out.push_str(&format!(" {blank} {} {}\n\n", paint.faint("="), say(&problem.help)));
}

/// Blank space up to the column and the marks below the place; wide characters take two cells.
fn underline(problem: &Problem) -> (String, String) {
    let before = problem.column.saturating_sub(1).saturating_sub(problem.source_from) as usize;
    let mut pad = String::new();
    for c in problem.source.chars().take(before) {
        pad.push_str(&" ".repeat(c.width().unwrap_or(1)));
    }
    let marked: usize = problem
        .source
        .chars()
        .skip(before)
        .take(problem.width.max(1) as usize)
        .map(|c| c.width().unwrap_or(1))
        .sum();
    (pad, "^".repeat(marked.max(1)))
}

struct Paint {
    color: bool,
}

impl Paint {
    fn wrap(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
    fn error(&self, text: &str) -> String {
        self.wrap("1;31", text)
    }
    fn place(&self, text: &str) -> String {
        self.wrap("1", text)
    }
    fn faint(&self, text: &str) -> String {
        self.wrap("2", text)
    }
}

/// The English catalogue of this crate.
struct English(BTreeMap<String, String>);

impl English {
    fn load() -> Self {
        let texts = include_str!("../../../messages/en/keep.json");
        // A test reads the file too; should it ever be broken, the keys are shown instead of sentences.
        Self(serde_json::from_str(texts).unwrap_or_default())
    }

    /// Values are inserted once and never looked at again.
    fn say(&self, text: &Text) -> String {
        let Some(template) = self.0.get(&text.key) else {
            return text.args.iter().fold(text.key.clone(), |s, (k, v)| format!("{s} {k}={v}"));
        };
        let mut out = String::new();
        let mut rest = template.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            match after.split_once('}').and_then(|(name, tail)| Some((text.arg(name)?, tail))) {
                Some((value, tail)) => {
                    out.push_str(value);
                    rest = tail;
                }
                None => {
                    out.push('{');
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        out
    }
}

/// Collects problems while a file is read, and shows each with its line.
pub(crate) struct Problems<'a> {
    places: wellkept_yamltree::Problems<'a, Words>,
    lines: Vec<&'a str>,
    /// Users of the host, when the caller knows them.
    users: Option<&'a [String]>,
}

impl<'a> Deref for Problems<'a> {
    type Target = wellkept_yamltree::Problems<'a, Words>;

    fn deref(&self) -> &Self::Target {
        &self.places
    }
}

impl DerefMut for Problems<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.places
    }
}

impl<'a> Problems<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = if text.len() > crate::TEXT_MAX { Vec::new() } else { yaml_lines(text) };
        Self { places: wellkept_yamltree::Problems::new(file), lines, users: None }
    }

    /// The same where the users of the host are known.
    pub(crate) fn with_users(self, users: Option<&'a [String]>) -> Self {
        Self { users, ..self }
    }

    /// True when the host is known and has no such user. A number needs no account.
    pub(crate) fn lacks_user(&self, name: &str) -> bool {
        self.users.is_some_and(|users| name.parse::<u32>().is_err() && users.iter().all(|u| u != name))
    }

    /// The problems in the order of the file, or `kept` when there are none.
    pub(crate) fn finish<T>(self, kept: T) -> Result<T, KeepErrors> {
        let Self { places, lines, .. } = self;
        places.finish(kept).map_err(|mistakes| KeepErrors {
            problems: mistakes.found.into_iter().map(|found| with_line(found, &lines)).collect(),
            not_shown: mistakes.not_shown,
        })
    }
}

fn with_line(found: Found, lines: &[&str]) -> Problem {
    let place = found.at.place;
    let (source, source_from) = line_around(lines, place.line, place.column);
    Problem {
        file: found.file,
        line: place.line,
        column: place.column,
        width: place.width,
        path: found.at.path,
        message: found.message,
        help: found.accepted,
        source,
        source_from,
    }
}

fn line_around(lines: &[&str], line: u32, column: u32) -> (String, u32) {
    let Some(text) = (line as usize).checked_sub(1).and_then(|i| lines.get(i)) else {
        return (String::new(), 0);
    };
    let column = column.saturating_sub(1) as usize;
    let from = if column > SHOWN_CHARS_MAX * 2 / 3 { column - SHOWN_CHARS_MAX / 3 } else { 0 };
    (text.chars().skip(from).take(SHOWN_CHARS_MAX).map(visible).collect(), from as u32)
}

/// Lines as YAML counts them: a carriage return alone ends one too.
pub(crate) fn yaml_lines(text: &str) -> Vec<&str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')).collect()
}

/// A value from the file for use in a message: short, and without control characters.
pub(crate) fn clean(value: &str) -> String {
    cut(value, SHOWN_CHARS_MAX).chars().map(visible).collect()
}

/// A terminal must not obey what stands in a file; also the marks that turn the direction of writing are replaced.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{At, Place};

    fn shown(text: &str, line: u32, column: u32, width: u32) -> String {
        let mut problems = Problems::new("k.yml", text);
        let at = At { place: Place { line, column, width }, path: "a.b".to_owned() };
        problems.add(&at, Text::new("keep.duplicate_key").with("key", "b"), Text::new("keep.accept.once"));
        problems.finish(()).unwrap_err().render(false)
    }

    #[test]
    fn shows_the_line_with_a_mark_below_the_place() {
        let lines: Vec<String> = shown("x: 1\na: { bcd: 2 }\n", 2, 6, 3).lines().map(str::to_owned).collect();
        assert!(lines[0].starts_with("k.yml:2:6: error: a.b: "), "{}", lines[0]);
        assert_eq!(lines[1], " 2 | a: { bcd: 2 }");
        assert_eq!(lines[2], "   |      ^^^");
    }

    #[test]
    fn lines_end_as_in_yaml() {
        for (text, lines) in [
            ("a\nb", vec!["a", "b"]),
            ("a\r\nb\r\n", vec!["a", "b", ""]),
            ("a\rb\r\n\nc", vec!["a", "b", "", "c"]),
            ("", vec![""]),
        ] {
            assert_eq!(yaml_lines(text), lines, "{text:?}");
        }
    }

    #[test]
    fn wide_characters_take_two_cells() {
        let text = shown("名字: 值\n", 1, 5, 1);
        assert!(text.contains("\n   |       ^^\n"), "{text}");
    }

    #[test]
    fn a_terminal_is_not_given_control_characters() {
        let text = shown("a: \u{1b}[31mred\u{202e}\tx\n", 1, 1, 1);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && !text.contains('\t'), "{text:?}");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let long = format!("{}wrong{}", "x".repeat(5000), "y".repeat(5000));
        let text = shown(&long, 1, 5001, 5);
        let mark = text.lines().nth(2).expect("mark");
        let line = text.lines().nth(1).expect("line");
        assert!(line.chars().count() < 120);
        let at = mark.find('^').expect("mark");
        assert_eq!(&line[at..at + 5], "wrong");
    }

    #[test]
    fn beyond_the_bound_problems_are_counted() {
        let mut problems = Problems::new("k.yml", "a: 1");
        for _ in 0..PROBLEMS_MAX + 7 {
            problems.add(&At::default(), Text::new("keep.duplicate_key"), Text::new("keep.accept.once"));
        }
        let errors = problems.finish(()).unwrap_err();
        assert_eq!((errors.problems.len(), errors.not_shown), (PROBLEMS_MAX, 7));
        assert!(errors.to_string().contains("107 problems"), "{errors}");
    }

    #[test]
    fn values_are_inserted_once() {
        let text = Text::new("keep.duplicate_key").with("key", "{key}{file}");
        assert!(English::load().say(&text).contains("{key}{file}"));
    }
}
