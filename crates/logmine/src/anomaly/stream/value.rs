//! Values of one parameter: numbers with a range, words from a small set.

use std::collections::BTreeSet;

use wellkept_model::ParamKind;

use crate::state::{Reader, StateError, Writer};

/// Numbers remembered.
const NUMBERS: usize = 128;

/// Numbers that outlive a restart: enough for a median.
const NUMBERS_SAVED: usize = 32;

/// Numbers after which the median is taken anew: it costs more than everything else about a line.
const REFRESH: u64 = 16;

/// Values before any is odd.
const NEEDED: u64 = 64;

/// Deviations from the median that are odd for a number.
const ODD: f64 = 12.0;

/// Different words up to which the set is small.
const WORDS: usize = 12;

/// Values in a row without a new word, as a multiple of the set, before a new word is odd.
const CALM: u64 = 20;

/// Bytes of a value that are kept.
pub(super) const KEPT_BYTES: usize = 64;

/// What one parameter was.
#[derive(Debug, Clone)]
pub(super) struct Values {
    kind: ParamKind,
    numbers: std::collections::VecDeque<f64>,
    words: BTreeSet<Box<[u8]>>,
    /// Whether there were more different words than a small set has.
    many: bool,
    seen: u64,
    since_new: u64,
    /// Median and spread of the numbers, as of the last [`REFRESH`] of them.
    usual: (f64, f64),
}

impl Values {
    pub(super) fn new(kind: ParamKind) -> Self {
        Self {
            kind,
            numbers: std::collections::VecDeque::new(),
            words: BTreeSet::new(),
            many: false,
            seen: 0,
            since_new: 0,
            usual: (0.0, 0.0),
        }
    }

    /// Takes a value; score, value and usual value when it is odd. For words the value is how many are known.
    pub(super) fn line(&mut self, kind: ParamKind, value: &[u8]) -> Option<(f64, f64, f64)> {
        if kind != self.kind {
            *self = Self::new(kind);
        }
        self.seen += 1;
        match kind {
            ParamKind::Number | ParamKind::Duration | ParamKind::Size => self.number(number(value)?),
            // Times always move, and opaque values say nothing by being new.
            ParamKind::Time | ParamKind::Hex => None,
            ParamKind::Address | ParamKind::Path | ParamKind::Id | ParamKind::Text => self.word(value),
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.kind(self.kind);
        out.number(self.seen);
        out.number(self.since_new);
        let saved = self.numbers.len().min(NUMBERS_SAVED);
        out.number(saved as u64);
        for &number in self.numbers.iter().skip(self.numbers.len() - saved) {
            out.decimal(number);
        }
        out.number(u64::from(self.many));
        out.number(self.words.len() as u64);
        for word in &self.words {
            out.bytes(word);
        }
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut values = Self::new(input.kind("kind")?);
        values.seen = input.number("seen")?;
        values.since_new = input.number("since")?;
        for _ in 0..input.count("numbers")?.min(NUMBERS) {
            values.numbers.push_back(input.decimal("number")?);
        }
        values.many = input.number("many")? != 0;
        for _ in 0..input.count("words")?.min(WORDS) {
            values.words.insert(input.bytes("word")?.into());
        }
        values.usual = median_and_spread(values.numbers.iter().copied());
        Ok(values)
    }

    fn number(&mut self, value: f64) -> Option<(f64, f64, f64)> {
        let mut odd = None;
        if self.seen > NEEDED {
            let (usual, spread) = self.usual;
            // A value that never moved may move a little before it is odd.
            let score = (value - usual).abs() / spread.max(0.05 * usual.abs()).max(1.0);
            // Counters run away from their past; only a jump that is odd against the last value too is told.
            let step = self.numbers.back().map_or(0.0, |last| (value - last).abs());
            if score >= ODD && step >= ODD * spread.max(1.0) {
                odd = Some((score, value, usual));
            }
        }
        self.numbers.push_back(value);
        if self.numbers.len() > NUMBERS {
            self.numbers.pop_front();
        }
        if self.seen.is_multiple_of(REFRESH) {
            self.usual = median_and_spread(self.numbers.iter().copied());
        }
        odd
    }

    fn word(&mut self, value: &[u8]) -> Option<(f64, f64, f64)> {
        self.since_new += 1;
        let value = value.get(..KEPT_BYTES).unwrap_or(value);
        if self.many || self.words.contains(value) {
            return None;
        }
        let known = self.words.len() as u64;
        let odd = self.seen > NEEDED && self.since_new > CALM * known.max(1);
        let score = self.since_new as f64 / known.max(1) as f64;
        self.words.insert(value.into());
        self.since_new = 0;
        if self.words.len() > WORDS {
            // No small set any more: what is in it will never be asked for again.
            (self.many, self.words) = (true, BTreeSet::new());
        }
        odd.then_some((score, known as f64 + 1.0, known as f64))
    }
}

/// The number at the start of a value with or without a unit.
fn number(value: &[u8]) -> Option<f64> {
    let end = value
        .iter()
        .enumerate()
        .position(|(i, b)| !(b.is_ascii_digit() || *b == b'.' || (i == 0 && matches!(b, b'-' | b'+'))))
        .unwrap_or(value.len());
    std::str::from_utf8(value.get(..end)?).ok()?.parse().ok().filter(|n: &f64| n.is_finite())
}

/// Median, and the median distance from it scaled to a standard deviation. Both 0 for nothing.
pub(super) fn median_and_spread(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut values: Vec<f64> = values.collect();
    let middle = median(&mut values);
    let mut away: Vec<f64> = values.iter().map(|v| (v - middle).abs()).collect();
    (middle, 1.4826 * median(&mut away))
}

fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
