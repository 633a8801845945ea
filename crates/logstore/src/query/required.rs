//! Texts without which a pattern cannot match.
//!
//! `session (opened|closed)` needs `session opened` or `session closed`: where neither can stand, the pattern need not
//! be tried. Anything that is unsure gives nothing, which is never wrong.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};

/// Most texts; more would cost more than they save.
const TEXTS_MAX: usize = 40;

/// Shorter texts stand nearly everywhere.
const LENGTH_MIN: usize = 3;

/// Whatever the pattern matches holds one of these; none when nothing is known.
pub(crate) fn required(pattern: &str) -> Vec<Vec<u8>> {
    let Ok(hir) = ParserBuilder::new().utf8(false).build().parse(pattern) else { return Vec::new() };
    let mut candidates = Vec::new();
    parts(&hir, &mut candidates);
    let shortest = |texts: &[Vec<u8>]| texts.iter().map(Vec::len).min().unwrap_or(0);
    // Longer texts rule out more; each further one costs a search.
    let score = |texts: &Vec<Vec<u8>>| (shortest(texts) * 8 + TEXTS_MAX).saturating_sub(texts.len());
    candidates.into_iter().max_by_key(score).unwrap_or_default()
}

/// Sets of texts, one of each of which every match holds.
fn parts(hir: &Hir, out: &mut Vec<Vec<Vec<u8>>>) {
    for kind in [ExtractKind::Prefix, ExtractKind::Suffix] {
        let mut extractor = Extractor::new();
        extractor.kind(kind).limit_total(TEXTS_MAX);
        out.extend(texts(&extractor.extract(hir)));
    }
    match hir.kind() {
        HirKind::Concat(children) => children.iter().for_each(|child| parts(child, out)),
        HirKind::Capture(capture) => parts(&capture.sub, out),
        HirKind::Repetition(repeated) if repeated.min > 0 => parts(&repeated.sub, out),
        _ => {}
    }
}

/// The texts of a finite sequence, when all are long enough to tell anything.
fn texts(seq: &Seq) -> Option<Vec<Vec<u8>>> {
    let literals = seq.literals()?;
    let is_useful = !literals.is_empty() && literals.iter().all(|l| l.len() >= LENGTH_MIN);
    is_useful.then(|| literals.iter().map(|l| l.as_bytes().to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::bytes::Regex;

    use super::*;

    fn words(pattern: &str) -> Vec<String> {
        required(pattern).into_iter().map(|t| String::from_utf8(t).unwrap()).collect()
    }

    #[test]
    fn a_pattern_names_what_it_needs() {
        assert_eq!(words("session (opened|closed) for"), ["session opened for", "session closed for"]);
        assert_eq!(words("took [0-9]+ms"), ["took "]);
        assert_eq!(words(".*timeout.*"), ["timeout"]);
        assert_eq!(words("[0-9]+ (failed)+"), ["failed"]);
        assert_eq!(words("(?i)abc").len(), 8);
        assert!(words("a|b").is_empty());
        assert!(words("(error)?").is_empty());
        assert!(words("").is_empty());
    }

    proptest! {
        #[test]
        fn whatever_matches_holds_one_of_the_texts(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "abc", "(ab+c|bcd)", "a?bcd", "[ab]cd", "(abc)*", "(bcd)+x?", "\\b", "^", "$", ".", "(?i)AbC",
                ]),
                1..5,
            ),
            text in "[abcdx]{0,12}",
        ) {
            let pattern = parts.concat();
            let texts = required(&pattern);
            let matches = Regex::new(&pattern).unwrap().is_match(text.as_bytes());
            let holds = texts.iter().any(|t| text.as_bytes().windows(t.len()).any(|w| w == t.as_slice()));
            prop_assert!(!matches || texts.is_empty() || holds, "{pattern} {text}");
        }
    }
}
