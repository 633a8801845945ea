//! A score for each line of a file against another file.
//!
//! A line is odd when its template is rare or unknown in the training. The score is the surprise of the template, from
//! 0 (every line is one of it) to 1 (never seen); its p-value is the share of training lines that surprise as much
//! when each is judged without itself, so no threshold has to be guessed.

use std::collections::BTreeMap;

use wellkept_model::{TemplateId, TemplateMiner};

use crate::miner::Miner;

/// Lines of the training, as templates with counts.
#[derive(Debug, Default)]
pub struct LineModel {
    miner: Miner,
    counts: BTreeMap<TemplateId, u64>,
    lines: u64,
    settled: bool,
    params: Vec<std::ops::Range<u32>>,
}

/// What was found about a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineScore {
    /// Its template.
    pub template: TemplateId,
    /// Surprise, from 0 to 1.
    pub score: f64,
    /// Share of training lines at least as surprising, above 0.
    pub p_value: f64,
    /// Whether the template was not in the training.
    pub new: bool,
}

impl LineModel {
    /// Learns from one line.
    pub fn train(&mut self, text: &[u8]) {
        let id = self.miner.split(text, &mut self.params).template;
        *self.counts.entry(id).or_default() += 1;
        self.lines += 1;
        self.settled = false;
    }

    /// Judges one line. It is not learned; the template it may bring is new each time it comes.
    pub fn judge(&mut self, text: &[u8]) -> LineScore {
        if !self.settled {
            self.settle();
        }
        let id = self.miner.split(text, &mut self.params).template;
        let template = self.miner.resolve(id);
        // A template may be generalised by the lines that are judged; what it took in counts as seen.
        if self.miner.has_merges() {
            self.settle();
        }
        let seen = self.counts.get(&template).copied().unwrap_or_default();
        LineScore { template, score: self.surprise(seen), p_value: self.p_value(seen), new: seen == 0 }
    }

    /// Text of a template as of now.
    pub fn text(&mut self, template: TemplateId) -> Option<String> {
        self.miner.settle();
        self.settle();
        self.miner.text(template).map(str::to_owned)
    }

    fn settle(&mut self) {
        if !self.settled {
            self.miner.settle();
            self.settled = true;
        }
        self.miner.take_merges();
        let mut counts = BTreeMap::new();
        for (id, lines) in &self.counts {
            *counts.entry(self.miner.resolve(*id)).or_default() += lines;
        }
        self.counts = counts;
    }

    fn surprise(&self, seen: u64) -> f64 {
        let of = |seen: f64| ((self.lines as f64 + 1.0) / (seen + 0.5)).ln();
        (of(seen as f64) / of(0.0)).clamp(0.0, 1.0)
    }

    /// Lines of templates that without one of their lines are at most as frequent.
    fn p_value(&self, seen: u64) -> f64 {
        let as_rare: u64 = self.counts.values().filter(|&&lines| lines - 1 <= seen).sum();
        (as_rare as f64 + 1.0) / (self.lines as f64 + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_line_surprises_more_than_a_rare_one_and_a_rare_one_more_than_a_usual_one() {
        let mut model = LineModel::default();
        for n in 0..500 {
            model.train(format!("request {n} served in {n} ms").as_bytes());
        }
        model.train(b"cache rebuilt after 7 s");
        let usual = model.judge(b"request 9000 served in 3 ms");
        let rare = model.judge(b"cache rebuilt after 9 s");
        let new = model.judge(b"disk failed on /dev/sda");
        assert!(usual.score < 0.1 && usual.p_value > 0.9 && !usual.new, "{usual:?}");
        assert!(rare.score > usual.score && !rare.new);
        assert!(new.new && new.score > rare.score && new.p_value < 0.01, "{new:?}");
        assert_eq!(model.text(new.template).as_deref(), Some("disk failed on <*>"));
    }
}
