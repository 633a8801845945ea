//! Terms of a line: words that could tell one fault from another.
//!
//! Runs of letters are split where names are glued together (`NullPointerException`, `disk_full`), lower-cased and
//! freed of plural endings. Chinese is segmented with jieba's dictionary, which is loaded with the first Chinese
//! text, never before, because it takes tens of megabytes. Numbers, ids, addresses and hexadecimal are values, not
//! words, and are left out.

use std::fmt;
use std::sync::OnceLock;

use jieba_rs::Jieba;

use crate::stop::is_stop_word;

/// How much of a line is read, bytes. What tells faults apart stands in front; the rest is dumped data.
pub const LINE_BYTES_MAX: usize = 4096;
/// Terms of one line.
pub(crate) const TERMS_PER_LINE_MAX: usize = 256;
/// Longer "words" are encoded data. Bytes.
const WORD_BYTES_MAX: usize = 40;
/// A glued name may hold several words. Bytes.
const NAME_BYTES_MAX: usize = 160;

/// Splits lines into terms. Share one: it holds the dictionary.
#[derive(Default)]
pub struct Tokeniser {
    chinese: OnceLock<Jieba>,
}

impl fmt::Debug for Tokeniser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokeniser").field("dictionary_loaded", &self.is_dictionary_loaded()).finish()
    }
}

impl Tokeniser {
    /// Without a dictionary until the first Chinese text.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether Chinese text has been seen.
    #[must_use]
    pub fn is_dictionary_loaded(&self) -> bool {
        self.chinese.get().is_some()
    }

    /// The terms of a line in order.
    #[must_use]
    pub fn terms(&self, line: &[u8]) -> Vec<String> {
        let mut terms = Vec::new();
        self.each(line, &mut |term, _| terms.push(term.to_owned()));
        terms
    }

    /// Calls `take` with each term and whether it stands right behind the one before.
    pub(crate) fn each(&self, line: &[u8], take: &mut dyn FnMut(&str, bool)) {
        let line = line.get(..LINE_BYTES_MAX).unwrap_or(line);
        let mut out = Out { take, joined: false, left: TERMS_PER_LINE_MAX, word: String::new() };
        for chunk in line.utf8_chunks() {
            self.text(chunk.valid(), &mut out);
            if !chunk.invalid().is_empty() {
                out.part();
            }
        }
    }

    fn text(&self, text: &str, out: &mut Out<'_>) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let class = class(first);
            let end = rest.find(|c| self::class(c) != class).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            match class {
                Class::Han => self.han(run, out),
                Class::Word => word_run(run, out),
                Class::Space => {}
                Class::Other => out.part(),
            }
            rest = after;
        }
    }

    fn han(&self, run: &str, out: &mut Out<'_>) {
        let jieba = self.chinese.get_or_init(Jieba::new);
        for token in jieba.cut(run, true) {
            if token.word.len() > WORD_BYTES_MAX || token.word.chars().nth(1).is_none() {
                out.part();
            } else {
                out.term(token.word);
            }
        }
    }
}

/// Where terms go, and whether the next one follows the last directly.
struct Out<'a> {
    take: &'a mut dyn FnMut(&str, bool),
    joined: bool,
    left: usize,
    word: String,
}

impl Out<'_> {
    fn part(&mut self) {
        self.joined = false;
    }

    fn term(&mut self, term: &str) {
        if is_stop_word(term) {
            self.part();
        } else if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            (self.take)(term, self.joined);
            self.joined = true;
        }
    }

    fn word(&mut self, word: &str) {
        if word.len() > WORD_BYTES_MAX || word.chars().nth(1).is_none() {
            return self.part();
        }
        let mut lower = std::mem::take(&mut self.word);
        lower.clear();
        lower.extend(word.chars().flat_map(char::to_lowercase));
        stem(&mut lower);
        self.term(&lower);
        self.word = lower;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Han,
    Word,
    Space,
    Other,
}

fn class(c: char) -> Class {
    if c.is_ascii() {
        return match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => Class::Word,
            ' ' | '\t' => Class::Space,
            _ => Class::Other,
        };
    }
    match c {
        c if is_han(c) => Class::Han,
        c if c.is_alphanumeric() => Class::Word,
        c if c.is_whitespace() => Class::Space,
        _ => Class::Other,
    }
}

/// Whether a character is written without spaces around words.
pub(crate) fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

fn word_run(run: &str, out: &mut Out<'_>) {
    if is_uuid_like(run) {
        return out.part();
    }
    for piece in run.split(['_', '-']).filter(|p| !p.is_empty()) {
        match without_number(piece) {
            Some(name) => camel(name, out),
            None => out.part(),
        }
    }
}

/// Groups of hexadecimal digits with dashes between, at least one of them a digit.
fn is_uuid_like(run: &str) -> bool {
    run.bytes().filter(|b| *b == b'-').count() >= 2
        && run.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
        && run.bytes().any(|b| b.is_ascii_digit())
}

/// The name in front of a number (`worker12`), the piece itself when it has none, and nothing for values.
fn without_number(piece: &str) -> Option<&str> {
    if piece.len() > NAME_BYTES_MAX {
        return None;
    }
    let hex = piece.bytes().all(|b| b.is_ascii_hexdigit());
    let name = piece.trim_end_matches(|c: char| c.is_numeric());
    if name.len() == piece.len() {
        let value = piece.chars().any(char::is_numeric) || (hex && piece.len() >= 8);
        return (!value).then_some(piece);
    }
    (!hex && name.len() >= 3 && !name.chars().any(char::is_numeric)).then_some(name)
}

/// Splits before a capital that follows a small letter, and before the last capital of several.
fn camel(name: &str, out: &mut Out<'_>) {
    let mut start = 0;
    let mut chars = name.char_indices().peekable();
    let mut before: Option<char> = None;
    while let Some((at, c)) = chars.next() {
        let after_small = before.is_some_and(char::is_lowercase);
        let ends_capitals = before.is_some_and(char::is_uppercase)
            && chars.peek().is_some_and(|(next, n)| n.is_lowercase() && !is_plural_s(name, *next));
        if c.is_uppercase() && (after_small || ends_capitals) {
            out.word(name.get(start..at).unwrap_or(""));
            start = at;
        }
        before = Some(c);
    }
    out.word(name.get(start..).unwrap_or(""));
}

/// `URLs`: the small letter is the plural of the capitals, not the start of a word.
fn is_plural_s(name: &str, at: usize) -> bool {
    name.get(at..) == Some("s")
}

/// Takes plural endings off. Light on purpose: a term is shown to people and must stay a word.
fn stem(word: &mut String) {
    if !word.ends_with('s') || word.len() <= 3 || KEEPS_S.contains(&word.as_str()) {
        return;
    }
    let cut = |word: &mut String, n: usize| word.truncate(word.len() - n);
    let ends = |tails: &[&str]| tails.iter().any(|t| word.ends_with(t));
    if ends(&["ies"]) && word.len() > 4 {
        cut(word, 3);
        word.push('y');
    } else if word != "caches" && ends(&["sses", "shes", "ches", "xes", "zzes"]) {
        cut(word, 2);
    } else if !ends(&["ss", "us", "is", "as", "os"]) {
        cut(word, 1);
    }
}

/// No plurals, though they look so.
const KEEPS_S: &[&str] =
    &["always", "aws", "dns", "https", "kubernetes", "linux", "series", "this", "windows"];

/// One for all tests, for loading the dictionary takes a second without optimisation.
#[cfg(test)]
pub(crate) fn shared() -> &'static Tokeniser {
    static SHARED: std::sync::LazyLock<Tokeniser> = std::sync::LazyLock::new(Tokeniser::new);
    &SHARED
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(line: &str) -> Vec<String> {
        Tokeniser::new().terms(line.as_bytes())
    }

    #[test]
    fn glued_names_are_split_and_plurals_are_one_with_their_singular() {
        assert_eq!(
            terms("java.io.IOException: NullPointerException"),
            ["java", "io", "io", "exception", "null", "pointer", "exception"]
        );
        assert_eq!(
            terms("disk_full HTTPServer retries processes caches status addresses URLs"),
            ["disk", "full", "server", "retry", "process", "cache", "status", "address", "url"]
        );
    }

    #[test]
    fn values_are_left_out() {
        let line = "10.0.0.1:80 0xdeadbeef 3f2a9c 000d554a-c431-4e74-b578-5eb306d4a508 42ms blk_-160899 2024-01-02T03:04:05Z fe80::1 deadbeefcafe";
        assert_eq!(terms(line), ["blk"]);
        assert_eq!(terms("worker12 node03"), ["worker", "node"]);
    }

    #[test]
    fn the_dictionary_is_loaded_with_the_first_chinese_text_only() {
        let tokeniser = Tokeniser::new();
        let _ = tokeniser.terms("connection refused, ünïcode too".as_bytes());
        assert!(!tokeniser.is_dictionary_loaded());
        let terms = tokeniser.terms("数据库连接失败: Connection refused, 磁盘空间不足".as_bytes());
        assert!(tokeniser.is_dictionary_loaded());
        assert_eq!(terms, ["数据库", "连接", "失败", "connection", "refused", "磁盘空间", "不足"]);
    }

    proptest! {
        #[test]
        fn any_text_gives_bounded_terms_of_letters(text in "(\\PC|[a-zA-Z_0-9 -]|[一-龥]){0,120}") {
            let terms = shared().terms(text.as_bytes());
            prop_assert!(terms.iter().all(|t| !t.chars().any(char::is_whitespace) && !is_stop_word(t)), "{terms:?}");
        }

        #[test]
        fn any_bytes_give_bounded_terms(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let terms = shared().terms(&bytes);
            prop_assert!(terms.len() <= TERMS_PER_LINE_MAX);
            prop_assert!(terms.iter().all(|t| t.len() <= 3 * WORD_BYTES_MAX && !t.is_empty()));
        }
    }
}
