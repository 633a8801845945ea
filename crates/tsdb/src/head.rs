//! The samples of the last hours, in memory: per target group one row of time for all its series.
//!
//! New rows are kept plain; every [`SEAL_ROWS`] of them are sealed into a compressed [`Chunk`]. A row that comes
//! late goes into the plain part like any other, so chunks may overlap in time: readers join them, the later
//! write wins. The head knows nothing of disks; log and blocks read it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use wellkept_model::{Batch, Labels};

use crate::cells::{self, Cell};
use crate::codec::Corrupt;
use crate::column::{self, COLUMN_MAX, Effort};
use crate::error::StoreError;
use crate::registry::{Registry, SeriesId};

/// Rows after which a chunk is sealed: enough for `pco` to learn a column, few enough to be cheap while plain.
const SEAL_ROWS: usize = 240;

/// Plain cells of one group after which a chunk is sealed early, so that wide groups stay bounded (64 MB).
const SEAL_CELLS: usize = 4 << 20;

/// What the log needs to know of a target group. Series are only ever added, so a slot keeps its meaning.
#[derive(Debug)]
pub(crate) struct GroupDef {
    pub(crate) target: Labels,
    series: RwLock<Vec<Labels>>,
}

impl GroupDef {
    pub(crate) fn len(&self) -> usize {
        self.series.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Labels of the slots from `first` on.
    pub(crate) fn labels_from(&self, first: usize) -> Vec<Labels> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        series.get(first..).unwrap_or_default().to_vec()
    }
}

/// A batch with its series resolved to slots, on its way to the log.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) group: Arc<GroupDef>,
    pub(crate) at: i64,
    /// Slot and value, slots rising.
    pub(crate) values: Vec<(u32, f64)>,
}

/// Sealed rows of one group.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) min: i64,
    pub(crate) max: i64,
    rows: usize,
    times_len: usize,
    data: Vec<u8>,
    /// By slot: where in `data`, and how many cells (0: none).
    columns: Vec<ChunkColumn>,
}

#[derive(Debug, Clone, Copy, Default)]
struct ChunkColumn {
    offset: u32,
    len: u32,
    count: u32,
}

impl Chunk {
    pub(crate) fn times(&self) -> Result<Vec<i64>, Corrupt> {
        column::decode_times(self.data.get(..self.times_len).unwrap_or_default(), self.rows)
    }

    /// Whether a slot has any cell here.
    pub(crate) fn has(&self, slot: u32) -> bool {
        self.columns.get(slot as usize).is_some_and(|c| c.count > 0)
    }

    /// Cells of one slot; `times` as [`Self::times`] gave them.
    pub(crate) fn cells(&self, times: &[i64], slot: u32) -> Result<Vec<Cell>, Corrupt> {
        let Some(c) = self.columns.get(slot as usize).filter(|c| c.count > 0) else { return Ok(Vec::new()) };
        let (from, to) = (c.offset as usize, c.offset as usize + c.len as usize);
        let bytes = self.data.get(from..to).ok_or(Corrupt("a chunk is too short"))?;
        cells::decode(times, c.count as usize, bytes)
    }

    fn memory(&self) -> usize {
        self.data.capacity() + self.columns.capacity() * size_of::<ChunkColumn>() + size_of::<Self>()
    }
}

/// One series of a group.
#[derive(Debug)]
pub(crate) struct HeadSeries {
    pub(crate) id: SeriesId,
    pub(crate) labels: Labels,
    /// Not yet sealed, times rising.
    pub(crate) open: Vec<Cell>,
}

/// One target group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) def: Arc<GroupDef>,
    lookup: HashMap<Labels, u32>,
    /// Slots in the order of the last batch: the next one most likely has the same.
    order: Vec<u32>,
    pub(crate) series: Vec<HeadSeries>,
    /// Times of the plain rows, rising.
    open_rows: Vec<i64>,
    open_cells: usize,
    pub(crate) chunks: Vec<Arc<Chunk>>,
    rows: usize,
    newest: i64,
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) groups: Vec<Group>,
    by_target: HashMap<Labels, usize>,
    by_series: HashMap<SeriesId, Vec<(u32, u32)>>,
    /// Samples taken, overwritten ones included.
    pub(crate) samples: usize,
    /// Earliest and latest time, when there is a sample.
    pub(crate) range: Option<(i64, i64)>,
}

impl Head {
    /// Takes a batch; a sample at a time that its series has already replaces the older value.
    ///
    /// `window` (ms): how much older than the newest row of its group a batch may be.
    ///
    /// # Errors
    /// [`StoreError::OutOfOrder`] outside the window, [`StoreError::TooLarge`] when the group has too many rows.
    pub(crate) fn insert(
        &mut self,
        registry: &mut Registry,
        batch: &Batch,
        window: i64,
    ) -> Result<Prepared, StoreError> {
        let at = batch.at.0;
        let index = self.group_for(&batch.target);
        let next_group = index as u32;
        let Some(group) = self.groups.get_mut(index) else { return Err(too_many_rows(0)) };
        let oldest = group.newest.saturating_sub(window);
        if group.rows > 0 && at < oldest {
            let oldest = wellkept_model::TimestampMs(oldest);
            return Err(StoreError::OutOfOrder { at: batch.at, oldest });
        }
        if group.rows >= COLUMN_MAX {
            return Err(too_many_rows(group.rows));
        }
        let known = group.series.len();
        let values = group.resolve(registry, batch);
        for (slot, series) in group.series.iter().enumerate().skip(known) {
            self.by_series.entry(series.id).or_default().push((next_group, slot as u32));
        }
        group.put(at, &values);
        self.samples += values.len();
        let (min, max) = self.range.unwrap_or((at, at));
        self.range = Some((min.min(at), max.max(at)));
        Ok(Prepared { group: Arc::clone(&group.def), at, values })
    }

    /// Where a series is: group and slot.
    pub(crate) fn places(&self, id: SeriesId) -> impl Iterator<Item = (&Group, u32)> {
        let places = self.by_series.get(&id).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|&(group, slot)| Some((self.groups.get(group as usize)?, slot)))
    }

    /// Ids of all its series; one id may come more than once. Each stands for one reference in the registry.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SeriesId> {
        self.groups.iter().flat_map(|g| g.series.iter().map(|s| s.id))
    }

    /// Memory of sealed chunks and plain cells, bytes; names and lists not counted.
    pub(crate) fn memory(&self) -> usize {
        let sealed: usize = self.groups.iter().flat_map(|g| &g.chunks).map(|c| c.memory()).sum();
        let open = |g: &Group| g.series.iter().map(|s| s.open.capacity() * size_of::<Cell>()).sum::<usize>();
        sealed + self.groups.iter().map(open).sum::<usize>()
    }

    fn group_for(&mut self, target: &Labels) -> usize {
        if let Some(&index) = self.by_target.get(target) {
            return index;
        }
        self.groups.push(Group {
            def: Arc::new(GroupDef { target: target.clone(), series: RwLock::new(Vec::new()) }),
            lookup: HashMap::new(),
            order: Vec::new(),
            series: Vec::new(),
            open_rows: Vec::new(),
            open_cells: 0,
            chunks: Vec::new(),
            rows: 0,
            newest: i64::MIN,
        });
        self.by_target.insert(target.clone(), self.groups.len() - 1);
        self.groups.len() - 1
    }
}

impl Group {
    /// Slots and values of a batch, slots rising, new series added. The last of two equal series wins.
    fn resolve(&mut self, registry: &mut Registry, batch: &Batch) -> Vec<(u32, f64)> {
        let mut values = Vec::with_capacity(batch.samples.len());
        let mut rising = true;
        for (position, (labels, value)) in batch.samples.iter().enumerate() {
            let slot = self.slot(registry, position, labels);
            rising &= values.last().is_none_or(|&(last, _)| last < slot);
            values.push((slot, *value));
        }
        self.order.truncate(batch.samples.len());
        if !rising {
            values.sort_by_key(|v| v.0);
            values.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    kept.1 = later.1;
                }
                same
            });
        }
        values
    }

    fn slot(&mut self, registry: &mut Registry, position: usize, labels: &Labels) -> u32 {
        let guess = self.order.get(position).copied();
        if let Some(slot) = guess
            && self.series.get(slot as usize).is_some_and(|s| s.labels == *labels)
        {
            return slot;
        }
        let slot = match self.lookup.get(labels) {
            Some(&slot) => slot,
            None => self.add(registry, labels),
        };
        match self.order.get_mut(position) {
            Some(place) => *place = slot,
            None => self.order.push(slot),
        }
        slot
    }

    fn add(&mut self, registry: &mut Registry, labels: &Labels) -> u32 {
        let slot = self.series.len() as u32;
        let id = registry.acquire(labels);
        let labels = registry.labels(id);
        self.lookup.insert(labels.clone(), slot);
        self.def.series.write().unwrap_or_else(PoisonError::into_inner).push(labels.clone());
        self.series.push(HeadSeries { id, labels, open: Vec::new() });
        slot
    }

    fn put(&mut self, at: i64, values: &[(u32, f64)]) {
        if let Err(place) = self.open_rows.binary_search(&at) {
            self.open_rows.insert(place, at);
            self.rows += 1;
        }
        for &(slot, value) in values {
            if let Some(series) = self.series.get_mut(slot as usize) {
                put_cell(&mut series.open, at, value);
            }
        }
        self.open_cells += values.len();
        self.newest = self.newest.max(at);
        if self.open_rows.len() >= SEAL_ROWS || self.open_cells >= SEAL_CELLS {
            self.seal();
        }
    }

    /// Compresses the plain rows into a chunk.
    fn seal(&mut self) {
        let times = std::mem::take(&mut self.open_rows);
        let (Some(&min), Some(&max)) = (times.first(), times.last()) else { return };
        let mut data = column::encode_times(&times);
        let times_len = data.len();
        let mut columns = Vec::with_capacity(self.series.len());
        for series in &mut self.series {
            let open = std::mem::replace(&mut series.open, Vec::with_capacity(SEAL_ROWS.min(64)));
            if open.is_empty() {
                series.open = Vec::new();
                columns.push(ChunkColumn::default());
                continue;
            }
            let bytes = cells::encode(&times, &open, Effort::Quick);
            let (offset, len) = (data.len() as u32, bytes.len() as u32);
            columns.push(ChunkColumn { offset, len, count: open.len() as u32 });
            data.extend_from_slice(&bytes);
        }
        data.shrink_to_fit();
        self.open_cells = 0;
        self.chunks.push(Arc::new(Chunk { min, max, rows: times.len(), times_len, data, columns }));
    }
}

fn put_cell(open: &mut Vec<Cell>, at: i64, value: f64) {
    if open.last().is_none_or(|c| c.0 < at) {
        open.push((at, value));
        return;
    }
    match open.binary_search_by_key(&at, |c| c.0) {
        Ok(place) => {
            if let Some(cell) = open.get_mut(place) {
                cell.1 = value;
            }
        }
        Err(place) => open.insert(place, (at, value)),
    }
}

fn too_many_rows(got: usize) -> StoreError {
    StoreError::TooLarge { what: "number of distinct times in one target group", got, limit: COLUMN_MAX }
}

#[cfg(test)]
mod tests {
    use wellkept_model::TimestampMs;

    use super::*;

    fn batch(at: i64, samples: &[(&str, f64)]) -> Batch {
        let samples = samples.iter().map(|(n, v)| (Labels::metric(n, []), *v)).collect();
        Batch { at: TimestampMs(at), samples, ..Batch::default() }
    }

    fn read(head: &Head, slot: u32) -> Vec<Cell> {
        let group = &head.groups[0];
        let mut runs: Vec<Vec<Cell>> =
            group.chunks.iter().map(|c| c.cells(&c.times().unwrap(), slot).unwrap()).collect();
        runs.push(group.series[slot as usize].open.clone());
        cells::merge(runs)
    }

    #[test]
    fn sealed_and_plain_rows_read_as_one() {
        let (mut head, mut registry) = (Head::default(), Registry::default());
        for i in 0..1000_i64 {
            let mut samples = vec![("a", i as f64)];
            if i % 3 == 0 {
                samples.push(("b", 1.0));
            }
            head.insert(&mut registry, &batch(i * 1000, &samples), 0).unwrap();
        }
        assert_eq!(head.groups[0].chunks.len(), 4);
        assert_eq!(read(&head, 0), (0..1000).map(|i| (i * 1000, i as f64)).collect::<Vec<_>>());
        assert_eq!(read(&head, 1).len(), 334);
    }

    #[test]
    fn a_late_row_finds_its_place_and_a_repeated_one_wins() {
        let (mut head, mut registry) = (Head::default(), Registry::default());
        for i in 0..300_i64 {
            head.insert(&mut registry, &batch(i * 10, &[("a", 1.0)]), 10_000).unwrap();
        }
        head.insert(&mut registry, &batch(5, &[("a", 2.0)]), 10_000).unwrap();
        head.insert(&mut registry, &batch(10, &[("a", 3.0)]), 10_000).unwrap();
        let got = read(&head, 0);
        assert_eq!(got.len(), 301);
        assert_eq!(got[..3], [(0, 1.0), (5, 2.0), (10, 3.0)]);
    }

    #[test]
    fn a_batch_before_the_window_is_refused_and_changes_nothing() {
        let (mut head, mut registry) = (Head::default(), Registry::default());
        head.insert(&mut registry, &batch(10_000, &[("a", 1.0)]), 1000).unwrap();
        let error = head.insert(&mut registry, &batch(8_999, &[("b", 1.0)]), 1000).unwrap_err();
        assert!(matches!(error, StoreError::OutOfOrder { oldest: TimestampMs(9000), .. }));
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn a_series_named_twice_in_a_batch_keeps_its_last_value() {
        let (mut head, mut registry) = (Head::default(), Registry::default());
        head.insert(&mut registry, &batch(1, &[("a", 1.0), ("b", 2.0), ("a", 3.0)]), 0).unwrap();
        assert_eq!(read(&head, 0), [(1, 3.0)]);
    }

    #[test]
    fn sealed_samples_of_a_slow_gauge_take_less_than_two_bytes() {
        let (mut head, mut registry) = (Head::default(), Registry::default());
        for i in 0..240_i64 {
            let samples: Vec<(String, f64)> =
                (0..100).map(|s| (format!("s{s}"), (i * s % 7) as f64)).collect();
            let named: Vec<(&str, f64)> = samples.iter().map(|(n, v)| (n.as_str(), *v)).collect();
            head.insert(&mut registry, &batch(i * 1000, &named), 0).unwrap();
        }
        let sealed: usize = head.groups[0].chunks.iter().map(|c| c.memory()).sum();
        assert!(sealed < 2 * 24_000, "{sealed} bytes for 24,000 samples");
    }
}
