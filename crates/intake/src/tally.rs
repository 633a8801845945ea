//! What a decoder found in a body.

use crate::Refusal;

/// Counts of one decoded body. They say what was handed to the sink, not what the sink stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs of samples that belong to one series.
    pub series: u64,
    /// Floats.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
    /// Samples whose series, point or line was left out; at least 1 for each of these.
    pub refused: u64,
    /// Fields that carry nothing a time series could hold (text fields, events), left out as documented.
    pub skipped: u64,
    /// The first thing that was left out, for the answer to the client.
    pub first_refusal: Option<Refusal>,
}

impl Tally {
    /// Counts something that was left out.
    pub(crate) fn refuse(&mut self, samples: u64, why: Refusal) {
        self.refused += samples.max(1);
        self.first_refusal.get_or_insert(why);
    }
}
