//! The samples of the last hours, in memory: per target group rows in the order in which they came.
//!
//! New rows are kept as they are; when there are enough, they are sealed into a packed [`Chunk`], outside of the
//! store's lock. A row that comes late goes behind the others like any other, so chunks may overlap in time: readers
//! join them, the later write wins. When the head becomes a block, its groups stay and only their rows go: series that
//! are still there need not be looked up again. The head knows nothing of disks; log and blocks read it.

use std::collections::HashMap;
use std::sync::Arc;

use wellkept_model::Labels;

use crate::chunk::Chunk;
use crate::column::COLUMN_MAX;
use crate::registry::{HeadPlace, Registry, SeriesId};
use crate::row::{GroupDef, Prepared, Row};
use crate::wal_record::GROUP_SERIES_MAX;

/// Rows after which a group is sealed: enough to pack well, few enough to be cheap while plain.
const SEAL_ROWS: usize = 40;

/// Cells after which a group is sealed, even when its rows have few of its series.
const SEAL_CELLS: usize = 1 << 15;

/// Cells after which a group is sealed however few rows they are: a very wide group stays bounded (16 MB).
const SEAL_CELLS_MAX: usize = 1 << 21;

/// One target group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) def: Arc<GroupDef>,
    /// By slot. Each stands for one reference in the registry.
    pub(crate) ids: Vec<SeriesId>,
    /// Not yet sealed, in order of coming.
    pub(crate) rows: Vec<Arc<Row>>,
    pub(crate) chunks: Vec<Arc<Chunk>>,
    /// How many of the first rows are being sealed.
    sealing: usize,
    open_cells: usize,
    /// Rows since the last block, sealed ones included.
    n_rows: usize,
    newest: i64,
    /// One bit per slot: has a sample since the last block.
    seen: Vec<u64>,
}

/// Rows that are to become a chunk.
pub(crate) struct SealJob {
    group: Arc<GroupDef>,
    rows: Vec<Arc<Row>>,
}

impl SealJob {
    /// Packs the rows: the work that needs no lock.
    pub(crate) fn run(self) -> (Self, Option<Chunk>) {
        let chunk = Chunk::seal(&self.rows);
        (self, chunk)
    }
}

/// Why a row was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Older than the window allows; the oldest time that it does.
    OutOfOrder(i64),
    /// The group has too many rows for one block.
    TooManyRows(usize),
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// A place that a group has left is used again.
    groups: Vec<Option<Group>>,
    free: Vec<u32>,
    /// The group that takes new series of a target.
    by_target: HashMap<Labels, u32>,
    /// Places of series that a second group has: two targets wrote them.
    elsewhere: HashMap<SeriesId, Vec<HeadPlace>>,
    /// Samples taken, overwritten ones included.
    pub(crate) samples: usize,
    /// Earliest and latest time, when there is a sample.
    pub(crate) range: Option<(i64, i64)>,
}

/// A group's rows, taken out of the head.
#[derive(Debug)]
pub(crate) struct FrozenGroup {
    pub(crate) def: Arc<GroupDef>,
    pub(crate) rows: Vec<Arc<Row>>,
    pub(crate) chunks: Vec<Arc<Chunk>>,
}

/// What the head held, while it becomes a block.
#[derive(Debug, Default)]
pub(crate) struct Frozen {
    /// At the places that they have in the head.
    pub(crate) groups: Vec<Option<FrozenGroup>>,
    /// Places of series whose group has been replaced since.
    moved: HashMap<SeriesId, Vec<HeadPlace>>,
    pub(crate) samples: usize,
    pub(crate) range: Option<(i64, i64)>,
}

impl Head {
    pub(crate) fn group(&self, index: u32) -> Option<&Group> {
        self.groups.get(index as usize)?.as_ref()
    }

    fn group_mut(&mut self, index: u32) -> Option<&mut Group> {
        self.groups.get_mut(index as usize)?.as_mut()
    }

    /// Groups that there are.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().flatten()
    }

    /// Whether `def` is what the head has at its place: slots of another must be looked up again.
    pub(crate) fn has(&self, def: &Arc<GroupDef>) -> bool {
        self.group(def.index).is_some_and(|g| Arc::ptr_eq(&g.def, def))
    }

    /// The group that takes new series of a target, when there is one.
    pub(crate) fn of_target(&self, target: &Labels) -> Option<&Arc<GroupDef>> {
        self.group(*self.by_target.get(target)?).map(|g| &g.def)
    }

    /// The group that takes new series of a target.
    pub(crate) fn group_for(&mut self, target: &Labels) -> Arc<GroupDef> {
        if let Some(def) = self.of_target(target)
            && def.len() < GROUP_SERIES_MAX
        {
            return Arc::clone(def);
        }
        let index = self.free.pop().unwrap_or(self.groups.len() as u32);
        let def = Arc::new(GroupDef::new(index, target.clone()));
        let group = Some(Group::new(Arc::clone(&def)));
        match self.groups.get_mut(index as usize) {
            Some(place) => *place = group,
            None => self.groups.push(group),
        }
        self.by_target.insert(target.clone(), index);
        def
    }

    /// All places of a series.
    pub(crate) fn places(&self, registry: &Registry, id: SeriesId) -> impl Iterator<Item = HeadPlace> {
        registry.place(id).into_iter().chain(self.elsewhere.get(&id).into_iter().flatten().copied())
    }

    /// The slot of a series in one group.
    pub(crate) fn slot(&self, registry: &Registry, id: SeriesId, group: u32) -> Option<u32> {
        self.places(registry, id).find(|p| p.group == group).map(|p| p.slot)
    }

    /// The slot of a series in a group that the head has, made when it is new there.
    pub(crate) fn slot_for(&mut self, registry: &mut Registry, def: &Arc<GroupDef>, labels: &Labels) -> u32 {
        if let Some(id) = registry.lookup(labels.packed())
            && let Some(slot) = self.slot(registry, id, def.index)
        {
            return slot;
        }
        let id = registry.acquire(labels);
        // The registry's own copy, so that equal labels share memory.
        let labels = registry.labels(id).unwrap_or(labels).clone();
        let place = HeadPlace { group: def.index, slot: def.add(labels) };
        if registry.place(id).is_none() {
            registry.set_place(id, Some(place));
        } else {
            self.elsewhere.entry(id).or_default().push(place);
        }
        if let Some(group) = self.group_mut(def.index) {
            group.ids.push(id);
        }
        place.slot
    }

    /// Gives a row of a group that the head no longer has the slots of the one in its place.
    pub(crate) fn adopt(&mut self, registry: &mut Registry, row: Prepared) -> Prepared {
        if self.has(&row.group) {
            return row;
        }
        let group = self.group_for(&row.group.target);
        let old: Vec<Labels> = row.group.labels().clone();
        let slot = |slot: u32| old.get(slot as usize).map(|labels| self.slot_for(registry, &group, labels));
        let row = Arc::new(row.row.renamed(slot));
        Prepared { group, row }
    }

    /// Takes a row of a group that the head has. Gives true when the group wants to be sealed.
    ///
    /// `window` (ms): how much older than the newest row of its group it may be.
    pub(crate) fn push(&mut self, row: &Prepared, window: i64) -> Result<bool, Refused> {
        let at = row.row.at;
        let Some(group) = self.group_mut(row.group.index) else { return Ok(false) };
        let oldest = group.newest.saturating_sub(window);
        if group.newest > i64::MIN && at < oldest {
            return Err(Refused::OutOfOrder(oldest));
        }
        if group.n_rows >= COLUMN_MAX {
            return Err(Refused::TooManyRows(group.n_rows));
        }
        group.push(Arc::clone(&row.row));
        let full = group.wants_seal();
        self.samples += row.row.len();
        let (min, max) = self.range.unwrap_or((at, at));
        self.range = Some((min.min(at), max.max(at)));
        Ok(full)
    }

    /// The rows of a group that are to be sealed, when it is still full and nobody seals it.
    pub(crate) fn begin_seal(&mut self, index: u32) -> Option<SealJob> {
        let group = self.group_mut(index).filter(|g| g.wants_seal())?;
        group.sealing = group.rows.len();
        Some(SealJob { group: Arc::clone(&group.def), rows: group.rows.clone() })
    }

    /// Puts a chunk in the place of its rows, if they are still there.
    pub(crate) fn end_seal(&mut self, job: &SealJob, chunk: Chunk) {
        let Some(group) = self.group_mut(job.group.index) else { return };
        let first = |rows: &[Arc<Row>]| rows.first().map(Arc::as_ptr);
        if group.sealing != job.rows.len() || first(&group.rows) != first(&job.rows) {
            return;
        }
        group.rows.drain(..job.rows.len().min(group.rows.len()));
        group.rows.shrink_to(SEAL_ROWS);
        group.chunks.push(Arc::new(chunk));
        group.sealing = 0;
        group.open_cells = group.rows.iter().map(|r| r.len()).sum();
    }

    /// Memory of sealed chunks and plain rows, bytes; names and lists not counted.
    pub(crate) fn memory(&self) -> usize {
        let group = |g: &Group| {
            g.chunks.iter().map(|c| c.memory()).sum::<usize>()
                + g.rows.iter().map(|r| r.memory()).sum::<usize>()
        };
        self.groups().map(group).sum()
    }

    /// Rows of the group with the most of them, since the last block.
    pub(crate) fn most_rows(&self) -> usize {
        self.groups().map(|g| g.n_rows).max().unwrap_or(0)
    }

    /// Takes all rows out. Series without a sample since the last time are forgotten, where a quarter of a group or
    /// more are such.
    pub(crate) fn freeze(&mut self, registry: &mut Registry) -> Frozen {
        let mut frozen = Frozen { samples: self.samples, range: self.range, ..Frozen::default() };
        for index in 0..self.groups.len() as u32 {
            frozen.groups.push(self.freeze_group(registry, index, &mut frozen.moved));
        }
        self.samples = 0;
        self.range = None;
        frozen
    }

    fn freeze_group(
        &mut self,
        registry: &mut Registry,
        index: u32,
        moved: &mut HashMap<SeriesId, Vec<HeadPlace>>,
    ) -> Option<FrozenGroup> {
        let group = self.group_mut(index)?;
        let frozen = group.take();
        let seen = std::mem::take(&mut group.seen);
        let is_seen = |slot: usize| seen.get(slot / 64).is_some_and(|w| w >> (slot % 64) & 1 == 1);
        let n_seen: usize = seen.iter().map(|w| w.count_ones() as usize).sum();
        if n_seen * 4 > group.ids.len() * 3 {
            return Some(frozen);
        }
        let newest = group.newest;
        let ids = std::mem::take(&mut group.ids);
        self.drop_group(&frozen.def);
        for (slot, id) in (0..).zip(ids) {
            let place = HeadPlace { group: index, slot };
            self.forget_place(registry, id, place);
            if is_seen(slot as usize) {
                moved.entry(id).or_default().push(place);
                let Some(labels) = registry.labels(id).cloned() else { continue };
                let def = self.group_for(&frozen.def.target);
                self.slot_for(registry, &def, &labels);
                if let Some(group) = self.group_mut(def.index) {
                    group.newest = group.newest.max(newest);
                }
            }
            registry.release(id);
        }
        (n_seen > 0).then_some(frozen)
    }

    /// Forgets all groups; only while none has rows.
    pub(crate) fn forget_all(&mut self, registry: &mut Registry) {
        for index in 0..self.groups.len() as u32 {
            self.freeze_group(registry, index, &mut HashMap::new());
        }
    }

    fn drop_group(&mut self, def: &GroupDef) {
        if self.by_target.get(&def.target) == Some(&def.index) {
            self.by_target.remove(&def.target);
        }
        if let Some(place) = self.groups.get_mut(def.index as usize) {
            *place = None;
        }
        self.free.push(def.index);
    }

    fn forget_place(&mut self, registry: &mut Registry, id: SeriesId, place: HeadPlace) {
        if let Some(others) = self.elsewhere.get_mut(&id) {
            if registry.place(id) == Some(place) {
                registry.set_place(id, others.pop());
            } else {
                others.retain(|p| *p != place);
            }
            if others.is_empty() {
                self.elsewhere.remove(&id);
            }
        } else {
            registry.set_place(id, None);
        }
    }
}

impl Frozen {
    /// Where the frozen head has a series.
    pub(crate) fn places(
        &self,
        head: &Head,
        registry: &Registry,
        id: SeriesId,
    ) -> impl Iterator<Item = HeadPlace> {
        // The place of a group that was dropped may have been given to another.
        let same = |p: &HeadPlace| self.group(p.group).is_some_and(|g| head.has(&g.def));
        let moved = self.moved.get(&id).into_iter().flatten().copied();
        moved.chain(head.places(registry, id).filter(same))
    }

    pub(crate) fn group(&self, index: u32) -> Option<&FrozenGroup> {
        self.groups.get(index as usize)?.as_ref()
    }

    /// As [`Head::memory`].
    pub(crate) fn memory(&self) -> usize {
        let group = |g: &FrozenGroup| {
            g.chunks.iter().map(|c| c.memory()).sum::<usize>()
                + g.rows.iter().map(|r| r.memory()).sum::<usize>()
        };
        self.groups.iter().flatten().map(group).sum()
    }
}

impl Group {
    fn new(def: Arc<GroupDef>) -> Self {
        Self {
            def,
            ids: Vec::new(),
            rows: Vec::new(),
            chunks: Vec::new(),
            sealing: 0,
            open_cells: 0,
            n_rows: 0,
            newest: i64::MIN,
            seen: Vec::new(),
        }
    }

    fn push(&mut self, row: Arc<Row>) {
        self.newest = self.newest.max(row.at);
        self.n_rows += 1;
        self.open_cells += row.len();
        self.mark_seen(&row);
        self.rows.push(row);
    }

    fn mark_seen(&mut self, row: &Row) {
        let end = row.histograms.last().map_or(0, |h| h.0 + 1).max(row.slots_end().unwrap_or(0)) as usize;
        if self.seen.len() < end.div_ceil(64) {
            self.seen.resize(end.div_ceil(64), 0);
        }
        if row.is_dense() {
            let mut left = row.n_values();
            for word in &mut self.seen {
                let bits = left.min(64);
                *word |= if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
                left -= bits;
                if left == 0 {
                    break;
                }
            }
        }
        let sparse = row.iter().map(|c| c.0).take(if row.is_dense() { 0 } else { usize::MAX });
        for slot in sparse.chain(row.histograms.iter().map(|h| h.0)) {
            if let Some(word) = self.seen.get_mut(slot as usize / 64) {
                *word |= 1 << (slot % 64);
            }
        }
    }

    fn wants_seal(&self) -> bool {
        let enough = (self.ids.len() * SEAL_ROWS / 4).min(SEAL_CELLS);
        // The first time at different numbers of rows: else all groups of a fleet would be full of plain rows at once.
        let early = if self.chunks.is_empty() { self.def.index as usize % (SEAL_ROWS / 4 * 3) } else { 0 };
        let is_full = self.rows.len() >= SEAL_ROWS - early && self.open_cells >= enough;
        self.sealing == 0 && (is_full || self.open_cells >= SEAL_CELLS_MAX)
    }

    fn take(&mut self) -> FrozenGroup {
        self.sealing = 0;
        self.open_cells = 0;
        self.n_rows = 0;
        FrozenGroup {
            def: Arc::clone(&self.def),
            rows: std::mem::take(&mut self.rows),
            chunks: std::mem::take(&mut self.chunks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        head: Head,
        registry: Registry,
    }

    impl Fixture {
        fn new() -> Self {
            Self { head: Head::default(), registry: Registry::default() }
        }

        fn push(&mut self, at: i64, samples: &[(&str, f64)]) -> Result<bool, Refused> {
            let group = self.head.group_for(&Labels::default());
            let mut cells = Vec::new();
            for (name, value) in samples {
                let labels = Labels::metric(name, []);
                cells.push((self.head.slot_for(&mut self.registry, &group, &labels), *value));
            }
            self.head.push(&Prepared { group, row: Arc::new(Row::new(at, cells, Vec::new())) }, 100_000)
        }
    }

    #[test]
    fn a_row_outside_the_window_is_refused() {
        let mut f = Fixture::new();
        f.push(200_000, &[("x", 1.0)]).unwrap();
        assert_eq!(f.push(99_999, &[("x", 1.0)]), Err(Refused::OutOfOrder(100_000)));
        f.push(100_000, &[("x", 1.0)]).unwrap();
        assert_eq!(f.head.samples, 2);
    }

    #[test]
    fn full_rows_are_sealed_and_freed() {
        let mut f = Fixture::new();
        let names: Vec<String> = (0..100).map(|i| format!("m{i}")).collect();
        for at in 0..SEAL_ROWS as i64 {
            let samples: Vec<(&str, f64)> = names.iter().map(|n| (n.as_str(), (at % 3) as f64)).collect();
            let full = f.push(at * 1000, &samples).unwrap();
            assert_eq!(full, at + 1 == SEAL_ROWS as i64);
        }
        let plain = f.head.memory();
        let (job, chunk) = f.head.begin_seal(0).unwrap().run();
        assert!(f.head.begin_seal(0).is_none(), "one at a time");
        f.push(60_000, &[("m0", 7.0)]).unwrap();
        f.head.end_seal(&job, chunk.unwrap());
        assert!(f.head.memory() < plain / 4, "{} of {plain} bytes", f.head.memory());
        let group = f.head.group(0).unwrap();
        assert_eq!((group.rows.len(), group.chunks.len()), (1, 1));
    }

    #[test]
    fn a_seal_that_ends_after_a_freeze_changes_nothing() {
        let mut f = Fixture::new();
        for at in 0..SEAL_ROWS as i64 {
            f.push(at, &[("x", 1.0)]).unwrap();
        }
        let (job, chunk) = f.head.begin_seal(0).unwrap().run();
        let frozen = f.head.freeze(&mut f.registry);
        assert_eq!(frozen.group(0).unwrap().rows.len(), SEAL_ROWS);
        f.push(60, &[("x", 1.0)]).unwrap();
        f.head.end_seal(&job, chunk.unwrap());
        assert_eq!(f.head.group(0).unwrap().rows.len(), 1);
        assert!(f.head.group(0).unwrap().chunks.is_empty());
    }

    #[test]
    fn series_that_have_ended_are_forgotten_and_the_others_keep_their_samples() {
        let mut f = Fixture::new();
        f.push(0, &[("a", 1.0), ("b", 1.0), ("c", 1.0)]).unwrap();
        let old = f.head.group_for(&Labels::default());
        f.head.freeze(&mut f.registry);
        assert_eq!(f.registry.len(), 3);
        f.push(1, &[("c", 2.0)]).unwrap();
        let frozen = f.head.freeze(&mut f.registry);
        assert_eq!(f.registry.len(), 1, "a and b had no sample");
        let id = f.registry.lookup(Labels::metric("c", []).packed()).unwrap();
        let place = f.registry.place(id).unwrap();
        let then: Vec<HeadPlace> = frozen.places(&f.head, &f.registry, id).collect();
        assert_eq!(then, [HeadPlace { group: old.index, slot: 2 }]);
        assert!(!f.head.has(&old));
        // A row that was made for the old group finds its series again.
        let row = Prepared { group: old, row: Arc::new(Row::new(2, vec![(0, 5.0), (2, 6.0)], Vec::new())) };
        let row = f.head.adopt(&mut f.registry, row);
        assert_eq!(row.row.get(place.slot), Some(6.0));
        assert_eq!(f.registry.len(), 2);
    }
}
