//! What became of a body that was read, and the words that its sender is told.

use wellkept_intake::Tally;
use wellkept_tsdb::Refusals;

/// What became of a body that was taken.
pub(crate) struct Taken {
    pub(crate) tally: Tally,
    pub(crate) stored: u64,
    pub(crate) refused: u64,
    /// Why the first ones were refused; empty when none were.
    pub(crate) why: String,
}

impl Taken {
    /// A sentence for the client about what was left out, if anything was.
    pub(crate) fn left_out(&self) -> Option<String> {
        let refused = self.refused;
        (refused > 0).then(|| format!("samples left out: {refused}, all others are stored; {}", self.why))
    }
}

/// The first reason for which samples were left out, in words.
pub(crate) fn why(tally: &Tally, foreign: u64, ahead: u64, store: &Refusals) -> String {
    if let Some(first) = &tally.first_refusal {
        return first.to_string();
    }
    let reasons = [
        (foreign, "a sample is under the identity of this host's own collection"),
        (ahead, "a sample is more than 10 minutes in the future"),
        (store.out_of_order, "a sample is too old: before the newest of its source by more than the window"),
        (store.invalid, "a series has labels that cannot be stored, or a histogram contradicts itself"),
        (store.over_limit, "there are more new series than a source, a target or the store may have"),
        (store.too_many_times, "a source has too many different times"),
    ];
    reasons.iter().find(|(n, _)| *n > 0).map_or_else(String::new, |(_, text)| (*text).to_owned())
}
