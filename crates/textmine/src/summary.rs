//! The few lines that best stand for an incident, as they were written.
//!
//! Lines are grouped by template. A group weighs by its gravity, by being new, by how well its words set the
//! incident apart, and a little by how often it came. Groups are taken one by one; what a taken line has already
//! said counts against the next, so that a summary tells different things.
//!
//! Source of the choice by turns: Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking", SIGIR 1998.

use std::collections::{BTreeMap, HashSet};

use wellkept_model::{Level, TemplateId};

use crate::background::Background;
use crate::keyterms::{KeyTerm, key_terms};
use crate::lineterms::{LineTerms, PHRASE_WORDS_MAX};
use crate::shown::{cut, shown};
use crate::tokens::Tokeniser;

/// Longest text of a summary's line, bytes.
pub const SUMMARY_BYTES_MAX: usize = 240;
/// Groups considered; of more, those that began first.
const GROUPS_MAX: usize = 4096;
/// Lines of a summary.
const LINES_OUT_MAX: usize = 50;
/// Key terms that are looked for in the lines.
const TERMS: usize = 48;
/// Weight of being new.
const NEW: f64 = 2.0;
/// Weight of the best line's key terms.
const TERMS_WEIGHT: f64 = 3.0;

/// What a line loses that only says what was said.
const REPEATED: f64 = 0.6;

/// A line of an incident, as its caller knows it.
#[derive(Debug, Clone, Copy)]
pub struct IncidentLine<'a> {
    /// The line; any bytes.
    pub text: &'a [u8],
    /// Its template.
    pub template: TemplateId,
    /// Its time, nanoseconds since the Unix epoch, UTC.
    pub at_ns: i64,
    /// Its gravity, if known.
    pub level: Option<Level>,
    /// Whether its template was first seen in or shortly before the incident.
    pub is_new: bool,
}

/// A line that stands for its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryLine {
    /// The line, harmless and at most [`SUMMARY_BYTES_MAX`] bytes.
    pub text: String,
    /// The group's template.
    pub template: TemplateId,
    /// The gravest level of its group.
    pub level: Option<Level>,
    /// Lines of its group.
    pub count: u64,
    /// Time of the group's first line.
    pub first_ns: i64,
    /// Time of the group's last line.
    pub last_ns: i64,
    /// Which of the given lines this is: the earliest of the gravest of its group.
    pub index: usize,
}

struct Group {
    index: usize,
    at_ns: i64,
    level: Option<Level>,
    count: u64,
    first_ns: i64,
    last_ns: i64,
    is_new: bool,
}

/// The `n` (at most 50) lines that best stand for the incident, in order of their groups' first occurrence.
#[must_use]
pub fn summarise(
    tokeniser: &Tokeniser,
    lines: &[IncidentLine<'_>],
    background: &Background,
    n: usize,
) -> Vec<SummaryLine> {
    let texts: Vec<&[u8]> = lines.iter().map(|l| l.text).collect();
    let terms = key_terms(tokeniser, &texts, background, TERMS);
    let mut groups: Vec<(TemplateId, Group)> = grouped(lines).into_iter().collect();
    groups.sort_by_key(|(id, g)| (g.first_ns, g.index, *id));
    groups.truncate(GROUPS_MAX);
    let said: Vec<Vec<usize>> = groups
        .iter()
        .map(|(_, g)| terms_in(tokeniser, texts.get(g.index).copied().unwrap_or(b""), &terms))
        .collect();
    let mut chosen = choose(&groups, &said, &terms, n.min(LINES_OUT_MAX));
    chosen.sort_unstable();
    let told = |(id, group): &(TemplateId, Group)| SummaryLine {
        text: text_of(texts.get(group.index).copied().unwrap_or(b"")),
        template: *id,
        level: group.level,
        count: group.count,
        first_ns: group.first_ns,
        last_ns: group.last_ns,
        index: group.index,
    };
    chosen.into_iter().filter_map(|i| groups.get(i)).map(told).collect()
}

fn text_of(line: &[u8]) -> String {
    // A byte becomes at least one byte, so more cannot be shown; a little more keeps the mark of the cut.
    let head = line.get(..SUMMARY_BYTES_MAX * 2).unwrap_or(line);
    cut(&shown(head), SUMMARY_BYTES_MAX)
}

fn grouped(lines: &[IncidentLine<'_>]) -> BTreeMap<TemplateId, Group> {
    let mut groups: BTreeMap<TemplateId, Group> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        let IncidentLine { at_ns, level, is_new, .. } = *line;
        let first = Group { index, at_ns, level, count: 0, first_ns: at_ns, last_ns: at_ns, is_new: false };
        let group = groups.entry(line.template).or_insert(first);
        if level > group.level || (level == group.level && at_ns < group.at_ns) {
            (group.index, group.at_ns, group.level) = (index, at_ns, level);
        }
        group.count += 1;
        group.first_ns = group.first_ns.min(at_ns);
        group.last_ns = group.last_ns.max(at_ns);
        group.is_new |= is_new;
    }
    groups
}

/// Places of the key terms that a line holds.
fn terms_in(tokeniser: &Tokeniser, line: &[u8], terms: &[KeyTerm]) -> Vec<usize> {
    let mut read = LineTerms::default();
    read.read(tokeniser, line);
    let held: HashSet<String> = read.distinct(PHRASE_WORDS_MAX).into_iter().map(|(t, _)| t).collect();
    (0..terms.len()).filter(|i| terms.get(*i).is_some_and(|t| held.contains(&t.term))).collect()
}

fn choose(groups: &[(TemplateId, Group)], held: &[Vec<usize>], terms: &[KeyTerm], n: usize) -> Vec<usize> {
    let worth = |term: &usize| terms.get(*term).map_or(0.0, |t| t.score);
    let all: Vec<f64> = held.iter().map(|held| held.iter().map(worth).sum()).collect();
    let best = all.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut said: HashSet<usize> = HashSet::new();
    let mut chosen: Vec<usize> = Vec::new();
    let mut left: Vec<usize> = (0..groups.len()).collect();
    while chosen.len() < n && !left.is_empty() {
        let weight = |i: usize| {
            let (Some((_, group)), Some(held), Some(all)) = (groups.get(i), held.get(i), all.get(i)) else {
                return f64::NEG_INFINITY;
            };
            let again: f64 = held.iter().filter(|t| said.contains(t)).map(worth).sum();
            let weight = plain_weight(group) + TERMS_WEIGHT * (all - again) / best;
            if again > 0.0 { weight - weight.abs() * REPEATED * again / all } else { weight }
        };
        // Of equals the earlier: `max_by` takes the last of them, so the order is turned round.
        let next = (0..left.len()).rev().max_by(|a, b| {
            let weight_at = |at: &usize| left.get(*at).map_or(f64::NEG_INFINITY, |i| weight(*i));
            weight_at(a).total_cmp(&weight_at(b))
        });
        let Some(next) = next else { break };
        let next = left.remove(next);
        said.extend(held.get(next).into_iter().flatten());
        chosen.push(next);
    }
    chosen
}

fn plain_weight(group: &Group) -> f64 {
    let gravity = match group.level {
        Some(Level::Critical) => 4.0,
        Some(Level::Error) => 3.0,
        Some(Level::Warning) => 1.5,
        Some(Level::Notice) => 0.3,
        None | Some(Level::Info) => 0.0,
        Some(Level::Debug | Level::Trace) => -1.0,
    };
    gravity + if group.is_new { NEW } else { 0.0 } + 0.1 * (group.count as f64).ln_1p()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tokens::shared;

    fn line(text: &str, template: u64, at_ns: i64, level: Level) -> IncidentLine<'_> {
        IncidentLine {
            text: text.as_bytes(),
            template: TemplateId(template),
            at_ns,
            level: Some(level),
            is_new: false,
        }
    }

    #[test]
    fn the_grave_line_stands_before_the_frequent_one() {
        let mut lines = vec![line("request served", 1, 5, Level::Info); 100];
        lines.push(line("cannot write: no space left on device", 2, 7, Level::Error));
        lines.push(line("cannot write: no space left on device", 2, 6, Level::Error));
        let found = summarise(shared(), &lines, &Background::default(), 1);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text, "cannot write: no space left on device");
        assert_eq!((found[0].count, found[0].first_ns, found[0].last_ns, found[0].index), (2, 6, 7, 101));
    }

    #[test]
    fn a_summary_tells_different_things_in_order_of_time() {
        let lines = [
            line("磁盘空间不足, 写入失败", 3, 30, Level::Error),
            line("disk write failed on sda", 1, 10, Level::Error),
            line("disk write failed on sda again", 2, 11, Level::Error),
            line("主节点切换", 4, 20, Level::Error),
        ];
        let found = summarise(shared(), &lines, &Background::default(), 3);
        assert_eq!(found.iter().map(|l| l.template.0).filter(|t| *t > 2).collect::<Vec<_>>(), [4, 3]);
    }

    #[test]
    fn what_is_new_goes_before_what_is_known() {
        let mut lines = [line("alpha beta", 1, 1, Level::Info), line("gamma delta", 2, 2, Level::Info)];
        lines[1].is_new = true;
        let found = summarise(shared(), &lines, &Background::default(), 1);
        assert_eq!(found[0].template, TemplateId(2));
    }

    #[test]
    fn long_and_harmful_lines_are_cut_and_made_harmless() {
        let text = format!("\u{1b}[31m磁盘\u{202e}{}", "é".repeat(100_000));
        let found = summarise(shared(), &[line(&text, 1, 1, Level::Error)], &Background::default(), 1);
        assert!(found[0].text.len() <= SUMMARY_BYTES_MAX && found[0].text.ends_with('…'));
        assert!(found[0].text.starts_with("\\u{1b}[31m磁盘\\u{202e}"));
    }

    proptest! {
        #[test]
        fn any_lines_give_a_bounded_summary_and_the_same_one_twice(
            given in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..90), 0u64..9, any::<i64>()), 0..40),
            n in 0usize..60,
        ) {
            let lines: Vec<IncidentLine<'_>> = given
                .iter()
                .map(|(text, id, at_ns)| IncidentLine { text, template: TemplateId(*id), at_ns: *at_ns, level: None, is_new: false })
                .collect();
            let tokeniser = shared();
            let found = summarise(tokeniser, &lines, &Background::default(), n);
            prop_assert!(found.len() <= n.min(9));
            prop_assert!(found.iter().all(|l| l.text.len() <= SUMMARY_BYTES_MAX && l.first_ns <= l.last_ns));
            prop_assert!(found.is_sorted_by_key(|l| l.first_ns));
            prop_assert_eq!(found, summarise(tokeniser, &lines, &Background::default(), n));
        }
    }
}
