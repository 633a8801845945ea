//! The terms of one line and the phrases that they make, in buffers that are used again for the next line.

use crate::tokens::{Tokeniser, is_han};

/// Words in a phrase.
pub(crate) const PHRASE_WORDS_MAX: usize = 3;

#[derive(Default)]
pub(crate) struct LineTerms {
    text: String,
    /// Start and end in `text`, and whether it follows the one before directly.
    spans: Vec<(usize, usize, bool)>,
}

impl LineTerms {
    /// Reads a line; what was read before is forgotten.
    pub(crate) fn read(&mut self, tokeniser: &Tokeniser, line: &[u8]) {
        self.text.clear();
        self.spans.clear();
        tokeniser.each(line, &mut |term, joined| {
            let start = self.text.len();
            self.text.push_str(term);
            self.spans.push((start, self.text.len(), joined));
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Hash of all terms in order: lines that say the same have the same.
    pub(crate) fn hash(&self) -> u64 {
        // FNV-1a; the borders count too.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut mix = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for i in 0..self.len() {
            self.term(i).bytes().for_each(&mut mix);
            mix(0);
        }
        hash
    }

    pub(crate) fn term(&self, i: usize) -> &str {
        self.spans.get(i).and_then(|(start, end, _)| self.text.get(*start..*end)).unwrap_or("")
    }

    /// Writes the phrase of `n` terms from `i` on; false where they do not stand side by side.
    pub(crate) fn phrase(&self, i: usize, n: usize, into: &mut String) -> bool {
        into.clear();
        for at in i..i + n {
            let Some((_, _, joined)) = self.spans.get(at) else { return false };
            let term = self.term(at);
            if at > i {
                if !joined || term == self.term(at - 1) {
                    return false;
                }
                if !(into.ends_with(is_han) && term.starts_with(is_han)) {
                    into.push(' ');
                }
            }
            into.push_str(term);
        }
        true
    }

    /// Terms and phrases of up to `words` words, each once.
    pub(crate) fn distinct(&self, words: usize) -> Vec<(String, usize)> {
        let mut out = Vec::with_capacity(self.len() * words);
        let mut phrase = String::new();
        for i in 0..self.len() {
            for n in 1..=words {
                if !self.phrase(i, n, &mut phrase) {
                    break;
                }
                out.push((phrase.clone(), n));
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }
}
