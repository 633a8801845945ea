//! What the lines of an incident speak of more than usual.
//!
//! Each term gets the z-score of its log-odds against the background, with the background as prior: a word that is
//! new weighs much, one that is merely frequent weighs nothing. A line that comes again and again counts ever less
//! (the nth time 1/n), so that one chatty message does not drown the single line that names the fault. Words that
//! mostly stand side by side are told as one phrase.
//!
//! Source: Monroe, Colaresi and Quinn, "Fightin' Words: Lexical Feature Selection and Evaluation for Identifying the
//! Content of Political Conflict", Political Analysis 16(4), 2008.

use std::collections::HashMap;

use crate::background::Background;
use crate::lineterms::{LineTerms, PHRASE_WORDS_MAX};
use crate::tokens::Tokeniser;

/// Lines read of one incident; of more, this many evenly spread ones are read.
pub const LINES_MAX: usize = 10_000;
/// Different terms and phrases of one incident; later ones are not counted.
const TERMS_MAX: usize = 50_000;
/// Line numbers kept with a term.
const LINES_SHOWN: usize = 16;
/// How many pseudo-counts the background puts before the incident's own.
const PRIOR: f64 = 100.0;
/// Pseudo-count of a term that was never seen (Jeffreys' prior).
const UNSEEN: f64 = 0.5;
/// Part of the lines with its most frequent word that a phrase must have to be one.
const BINDS: f64 = 0.5;
/// Part of its lines that a longer or better term must have to make a term superfluous.
const COVERS: f64 = 0.8;

/// A word or phrase that stands out.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyTerm {
    /// One to three words, lower case.
    pub term: String,
    /// The words of it one by one, which Chinese does not show.
    pub words: Vec<String>,
    /// z-score of its log-odds against the background, phrases raised by the root of their length. Above about 2 is
    /// more than chance.
    pub score: f64,
    /// Lines with it, of those read.
    pub count: u32,
    /// The first of these lines (at most 16), as indices of what was given.
    pub lines: Vec<u32>,
}

/// The `n` terms that set these lines apart from the background, best first.
#[must_use]
pub fn key_terms(tokeniser: &Tokeniser, lines: &[&[u8]], background: &Background, n: usize) -> Vec<KeyTerm> {
    let gathered = Gathered::of(tokeniser, lines);
    let mut candidates = gathered.scored(background);
    candidates
        .sort_by(|(a, a_score), (b, b_score)| b_score.total_cmp(a_score).then_with(|| a.text.cmp(&b.text)));
    let mut chosen: Vec<(&Stat, f64)> = Vec::new();
    for (stat, score) in candidates {
        if chosen.len() >= n {
            break;
        }
        if !chosen.iter().any(|(better, _)| better.covers(stat)) {
            chosen.push((stat, score));
        }
    }
    let told = |(stat, score): (&Stat, f64)| KeyTerm {
        term: stat.text.clone(),
        words: stat.words.iter().filter_map(|w| gathered.stats.get(*w)).map(|s| s.text.clone()).collect(),
        score,
        count: stat.count,
        lines: stat.lines.clone(),
    };
    chosen.into_iter().map(told).collect()
}

struct Stat {
    text: String,
    /// Its words, as places of their own statistics.
    words: Vec<usize>,
    count: u32,
    weight: f64,
    lines: Vec<u32>,
    /// The line counted last, so that each counts once.
    last: Option<usize>,
}

impl Stat {
    fn covers(&self, other: &Self) -> bool {
        other.words.iter().any(|w| self.words.contains(w))
            && f64::from(self.count) >= COVERS * f64::from(other.count)
    }
}

#[derive(Default)]
struct Gathered {
    places: HashMap<String, usize>,
    stats: Vec<Stat>,
    total: f64,
}

impl Gathered {
    fn of(tokeniser: &Tokeniser, lines: &[&[u8]]) -> Self {
        let mut out = Self::default();
        let mut seen: HashMap<u64, u32> = HashMap::new();
        let mut terms = LineTerms::default();
        let read = lines.len().min(LINES_MAX);
        for k in 0..read {
            let at = k * lines.len() / read;
            let Some(line) = lines.get(at) else { break };
            terms.read(tokeniser, line);
            let times = seen.entry(terms.hash()).or_default();
            *times += 1;
            out.add(&terms, at, 1.0 / f64::from(*times));
        }
        out
    }

    fn add(&mut self, terms: &LineTerms, line: usize, weight: f64) {
        let mut phrase = String::new();
        let words: Vec<Option<usize>> = (0..terms.len()).map(|i| self.place(terms.term(i))).collect();
        for i in 0..terms.len() {
            for n in 1..=PHRASE_WORDS_MAX {
                if !terms.phrase(i, n, &mut phrase) {
                    break;
                }
                let Some(parts) = words.get(i..i + n).and_then(|w| w.iter().copied().collect()) else {
                    break;
                };
                self.count(&phrase, parts, line, weight);
            }
        }
    }

    fn place(&mut self, text: &str) -> Option<usize> {
        if let Some(place) = self.places.get(text) {
            return Some(*place);
        }
        let place = self.stats.len();
        if place >= TERMS_MAX {
            return None;
        }
        self.places.insert(text.to_owned(), place);
        let text = text.to_owned();
        self.stats.push(Stat {
            text,
            words: vec![place],
            count: 0,
            weight: 0.0,
            lines: Vec::new(),
            last: None,
        });
        Some(place)
    }

    fn count(&mut self, text: &str, words: Vec<usize>, line: usize, weight: f64) {
        let Some(stat) = self.place(text).and_then(|place| self.stats.get_mut(place)) else { return };
        if stat.last == Some(line) {
            return;
        }
        if words.len() == 1 {
            self.total += weight;
        }
        stat.words = words;
        stat.last = Some(line);
        stat.count += 1;
        stat.weight += weight;
        if stat.lines.len() < LINES_SHOWN {
            stat.lines.push(line as u32);
        }
    }

    /// Terms that stand out, with their scores.
    fn scored(&self, background: &Background) -> Vec<(&Stat, f64)> {
        let usual_total = background.total() as f64;
        let prior = |usual: f64| UNSEEN + PRIOR * usual / usual_total.max(1.0);
        self.stats
            .iter()
            .filter(|stat| stat.count > 0 && self.binds(stat))
            .map(|stat| {
                let usual = self.usual(stat, background) as f64;
                let here = stat.weight + prior(usual);
                let there = usual + prior(usual);
                let odds = log_odds(here, self.total + PRIOR) - log_odds(there, usual_total + PRIOR);
                let z = odds / (1.0 / here + 1.0 / there).sqrt();
                (stat, z * (stat.words.len() as f64).sqrt())
            })
            .filter(|(_, score)| *score > 0.0)
            .collect()
    }

    fn binds(&self, stat: &Stat) -> bool {
        let most = stat.words.iter().filter_map(|w| self.stats.get(*w)).map(|s| s.count).max().unwrap_or(0);
        f64::from(stat.count) >= BINDS * f64::from(most)
    }

    /// The background counts words and pairs; a longer phrase is at most as usual as its rarest word.
    fn usual(&self, stat: &Stat, background: &Background) -> u64 {
        if stat.words.len() <= 2 {
            return background.count(&stat.text);
        }
        let counts = stat.words.iter().filter_map(|w| self.stats.get(*w)).map(|s| background.count(&s.text));
        counts.min().unwrap_or(0)
    }
}

fn log_odds(part: f64, whole: f64) -> f64 {
    (part / (whole - part).max(UNSEEN)).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tokens::shared;

    fn usual(tokeniser: &Tokeniser) -> Background {
        let mut background = Background::default();
        for _ in 0..500 {
            background.add(tokeniser, b"GET request served by worker in 12 ms");
            background.add(tokeniser, "用户 登录 成功, 请求 处理 完成".as_bytes());
            background.add(tokeniser, b"heartbeat received from node 7, connection open");
        }
        background
    }

    fn names(lines: &[&str], n: usize) -> Vec<String> {
        let tokeniser = shared();
        let lines: Vec<&[u8]> = lines.iter().map(|l| l.as_bytes()).collect();
        key_terms(tokeniser, &lines, &usual(tokeniser), n).into_iter().map(|t| t.term).collect()
    }

    #[test]
    fn what_is_new_comes_before_what_is_frequent() {
        let mut lines = vec!["GET request served by worker in 9 ms"; 200];
        lines.push("write failed: no space left on device");
        lines.push("checkpoint failed: no space left on device");
        let found = names(&lines, 4);
        assert!(found.iter().any(|t| t.contains("space left")), "{found:?}");
        assert!(!found.iter().any(|t| t.contains("request") || t.contains("worker")), "{found:?}");
    }

    #[test]
    fn one_chatty_message_does_not_hide_another() {
        let mut lines = vec!["peer unreachable"; 900];
        lines.push("certificate expired");
        assert_eq!(names(&lines, 2), ["peer unreachable", "certificate expired"]);
    }

    #[test]
    fn chinese_terms_are_found_beside_english_ones() {
        let found = names(&["数据库连接失败: connection refused", "数据库连接失败: connection refused"], 3);
        assert!(
            found.iter().any(|t| t.contains("数据库")) && found.iter().any(|t| t.contains("refused")),
            "{found:?}"
        );
    }

    #[test]
    fn a_term_tells_its_lines() {
        let tokeniser = shared();
        let lines: [&[u8]; 3] = [b"started", b"kernel panic", b"kernel panic again"];
        let found = key_terms(tokeniser, &lines, &Background::default(), 1);
        assert_eq!(
            (found[0].term.as_str(), found[0].count, found[0].lines.as_slice()),
            ("kernel panic", 2, &[1, 2][..])
        );
        assert!(key_terms(tokeniser, &[], &Background::default(), 5).is_empty());
    }

    proptest! {
        #[test]
        fn any_lines_give_the_same_answer_twice(
            lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..30), n in 0usize..20,
        ) {
            let tokeniser = shared();
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            let found = key_terms(tokeniser, &lines, &Background::default(), n);
            prop_assert!(found.len() <= n && found.iter().all(|t| t.score.is_finite() && t.count > 0));
            prop_assert_eq!(found, key_terms(tokeniser, &lines, &Background::default(), n));
        }
    }
}
