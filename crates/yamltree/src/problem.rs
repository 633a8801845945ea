//! What is wrong in a file, where, and what would be accepted; and the words for it, which each format has its own.

use std::marker::PhantomData;

use wellkept_model::Text;

use crate::read::{Limits, Unreadable};
use crate::tree::{At, Place, Value};

/// Problems beyond this number are only counted.
pub const PROBLEMS_MAX: usize = 100;

/// What one format says in its own words, and how much it reads.
pub trait Dialect {
    /// The errors of a file that cannot be used.
    type Errors;
    /// Bounds of a file.
    const LIMITS: Limits;

    /// A value from the file for use in a message: cut to a readable length.
    fn shown(value: &str) -> String;
    /// Why nothing of the file could be read, and what would be accepted.
    fn unreadable(why: &Unreadable) -> (Text, Text);
    /// What stands at a place where something else is needed.
    fn is(value: &Value) -> Text;
    /// That a map is needed; `keys` are those that it may have.
    fn accept_map(keys: &str) -> Text;
    /// The errors of the format.
    fn errors(mistakes: Mistakes) -> Self::Errors;
}

/// One mistake, or one thing worth saying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file as the caller named it.
    pub file: String,
    /// Where.
    pub at: At,
    /// What is wrong.
    pub message: Text,
    /// What would be accepted.
    pub accepted: Text,
}

/// All mistakes of a file in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    /// At most [`PROBLEMS_MAX`].
    pub found: Vec<Found>,
    /// How many more there were.
    pub not_shown: usize,
}

/// Collects problems and notes while a file is read.
pub struct Problems<'a, D> {
    file: &'a str,
    found: Vec<Found>,
    notes: Vec<Found>,
    not_shown: usize,
    dialect: PhantomData<D>,
}

impl<'a, D: Dialect> Problems<'a, D> {
    /// None so far; `file` is what messages call the file.
    #[must_use]
    pub fn new(file: &'a str) -> Self {
        Self { file, found: Vec::new(), notes: Vec::new(), not_shown: 0, dialect: PhantomData }
    }

    /// A mistake.
    pub fn add(&mut self, at: &At, message: Text, accepted: Text) {
        if self.found.len() >= PROBLEMS_MAX {
            self.not_shown += 1;
        } else {
            self.found.push(self.one(at, message, accepted));
        }
    }

    /// Something that is no mistake, but has no effect; beyond [`PROBLEMS_MAX`] it is dropped.
    pub fn note(&mut self, at: &At, message: Text, accepted: Text) {
        if self.notes.len() < PROBLEMS_MAX {
            self.notes.push(self.one(at, message, accepted));
        }
    }

    fn one(&self, at: &At, message: Text, accepted: Text) -> Found {
        let at = At { place: at.place, path: D::shown(&at.path) };
        Found { file: self.file.to_owned(), at, message, accepted }
    }

    /// What was read, when there are no problems.
    ///
    /// # Errors
    /// All problems in the order of the file.
    pub fn finish<T>(self, read: T) -> Result<T, D::Errors> {
        self.finish_noted(read).map(|(read, _)| read)
    }

    /// What was read with the notes, when there are no problems.
    ///
    /// # Errors
    /// All problems in the order of the file.
    pub fn finish_noted<T>(mut self, read: T) -> Result<(T, Vec<Found>), D::Errors> {
        if self.found.is_empty() {
            return Ok((read, self.notes));
        }
        self.found.sort_by_key(|f| (f.at.place.line, f.at.place.column));
        Err(D::errors(Mistakes { found: self.found, not_shown: self.not_shown }))
    }
}

/// One line for a terminal: `file:line:column: path: message; what is accepted`.
#[must_use]
pub fn one_line(file: &str, place: Place, path: &str, message: &str, accepted: &str) -> String {
    let mut out = file.to_owned();
    if place.line > 0 {
        out.push_str(&format!(":{}:{}", place.line, place.column));
    }
    if !path.is_empty() {
        out.push_str(&format!(": {path}"));
    }
    format!("{out}: {message}; {accepted}")
}

/// The first `chars` characters, and a mark where more followed.
#[must_use]
pub fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => text.get(..end).unwrap_or_default().chars().chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::tests::Plain;

    fn at(line: u32, column: u32) -> At {
        At { place: Place { line, column, width: 1 }, path: "a".repeat(99) }
    }

    #[test]
    fn problems_come_in_the_order_of_the_file() {
        let mut problems = Problems::<Plain>::new("f");
        for (line, column) in [(3, 1), (1, 9), (1, 2)] {
            problems.add(&at(line, column), Text::new("m"), Text::new("a"));
        }
        let mistakes = problems.finish(()).unwrap_err();
        let places: Vec<u32> = mistakes.found.iter().map(|f| f.at.place.column).collect();
        assert_eq!(places, [2, 9, 1]);
        assert_eq!(mistakes.found[0].at.path, format!("{}…", "a".repeat(40)), "paths are cut");
    }

    #[test]
    fn beyond_the_bound_problems_are_counted_and_notes_dropped() {
        let mut problems = Problems::<Plain>::new("f");
        for _ in 0..PROBLEMS_MAX + 7 {
            problems.note(&at(1, 1), Text::new("m"), Text::new("a"));
        }
        let mut broken = Problems::<Plain>::new("f");
        for _ in 0..PROBLEMS_MAX + 7 {
            broken.add(&at(1, 1), Text::new("m"), Text::new("a"));
        }
        assert_eq!(problems.finish_noted(()).expect("notes are no mistakes").1.len(), PROBLEMS_MAX);
        let mistakes = broken.finish(()).unwrap_err();
        assert_eq!((mistakes.found.len(), mistakes.not_shown), (PROBLEMS_MAX, 7));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("名字很长", 2), "名字…");
        assert_eq!(cut("名字", 2), "名字");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn a_line_names_the_place_only_where_there_is_one() {
        let place = Place { line: 2, column: 5, width: 1 };
        assert_eq!(one_line("f.yml", place, "a.b", "m", "x"), "f.yml:2:5: a.b: m; x");
        assert_eq!(one_line("f.yml", Place::default(), "", "m", "x"), "f.yml: m; x");
    }
}
