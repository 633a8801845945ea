//! The head as a block's writer sees it.

use std::collections::BTreeMap;

use wellkept_model::{HistogramSample, Labels, TimestampMs};

use crate::block_write::Columns;
use crate::cells::{self, Cell};
use crate::chunk::Chunk;
use crate::codec::Corrupt;
use crate::error::StoreError;
use crate::head::FrozenGroup;

/// Floats of one group.
pub(crate) struct FrozenColumns<'a> {
    target: &'a Labels,
    labels: Vec<Labels>,
    /// Each with its times; the last one holds the rows that were not sealed.
    chunks: Vec<(&'a Chunk, Vec<i64>)>,
    rest: Option<(Chunk, Vec<i64>)>,
}

impl<'a> FrozenColumns<'a> {
    pub(crate) fn new(group: &'a FrozenGroup) -> Result<Self, StoreError> {
        let chunks = group.chunks.iter().map(|c| Ok((c.as_ref(), c.times().map_err(in_memory)?)));
        let chunks = chunks.collect::<Result<_, StoreError>>()?;
        let rest = match Chunk::seal(&group.rows) {
            Some(chunk) => {
                let times = chunk.times().map_err(in_memory)?;
                Some((chunk, times))
            }
            None => None,
        };
        Ok(Self { target: &group.def.target, labels: group.def.labels().clone(), chunks, rest })
    }

    fn all(&self) -> impl Iterator<Item = (&Chunk, &[i64])> {
        let chunks = self.chunks.iter().map(|(c, t)| (*c, t.as_slice()));
        chunks.chain(self.rest.iter().map(|(c, t)| (c, t.as_slice())))
    }
}

impl Columns for FrozenColumns<'_> {
    fn target(&self) -> &Labels {
        self.target
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn times(&mut self) -> Result<Vec<i64>, StoreError> {
        let mut times: Vec<i64> = self.all().flat_map(|(_, times)| times.iter().copied()).collect();
        times.sort_unstable();
        times.dedup();
        Ok(times)
    }

    fn cells(&mut self, place: usize) -> Result<(Labels, Vec<Cell>), StoreError> {
        let labels = self.labels.get(place).cloned().unwrap_or_default();
        let mut runs = Vec::new();
        for (chunk, times) in self.all() {
            let mut run = Vec::new();
            chunk.cells(times, place as u32, |cell| run.push(cell)).map_err(in_memory)?;
            runs.push(run);
        }
        Ok((labels, cells::merge(runs)))
    }

    fn samples(&self) -> u64 {
        self.all().map(|(chunk, _)| chunk.n_values()).sum()
    }
}

/// Histograms of one group by series; the last written of each time.
pub(crate) fn histograms_of(group: &FrozenGroup) -> Vec<(Labels, Vec<HistogramSample>)> {
    let mut by_slot: BTreeMap<u32, BTreeMap<i64, HistogramSample>> = BTreeMap::new();
    let mut put = |at: i64, slot: u32, histogram: &std::sync::Arc<wellkept_model::Histogram>| {
        let sample = HistogramSample { at: TimestampMs(at), histogram: std::sync::Arc::clone(histogram) };
        by_slot.entry(slot).or_default().insert(at, sample);
    };
    for (at, (slot, histogram)) in group.chunks.iter().flat_map(|c| c.histograms()) {
        put(*at, *slot, histogram);
    }
    for row in &group.rows {
        row.histograms.iter().for_each(|(slot, histogram)| put(row.at, *slot, histogram));
    }
    let labels = group.def.labels();
    let series =
        by_slot.into_iter().filter_map(|(slot, all)| Some((labels.get(slot as usize)?.clone(), all)));
    series.map(|(labels, all)| (labels, all.into_values().collect())).collect()
}

/// A chunk in memory that does not decode: only a fault of memory or of this program can do that.
fn in_memory(e: Corrupt) -> StoreError {
    StoreError::io("unpack", "the head")(std::io::Error::other(e))
}
