//! The way in for pushing clients: one request's series, recognised by their bytes on the wire.
//!
//! While a request is decoded, an [`Appender`] only notes (series, time, value): a known series costs one keyed hash and
//! one look into a shared table, and no label is touched. [`Appender::finish`] makes rows of it, one for each target and
//! time, before it takes the store's lock for a moment. Only series that the store has never seen are built as label
//! sets; they are limited in number for each source and each target, so that one bad sender cannot fill the index.

use std::collections::HashMap;
use std::sync::Arc;

use wellkept_model::{Histogram, Labels, Sink, TimestampMs};

use crate::error::StoreError;
use crate::fingerprint::Fingerprint;
use crate::histogram;
use crate::row::{GroupDef, Prepared, Row, RowHistogram};
use crate::store::{AppendTicket, LABEL_BYTES_MAX, State, Store};
use crate::wire::Known;

/// Most labels of one series that a pushing client may send.
pub const LABELS_MAX: usize = 256;

/// What became of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Names the append; [`Store::commit`] says how far things are durable.
    pub ticket: AppendTicket,
    /// Samples taken, floats and histograms.
    pub samples: u64,
    /// Series that were new.
    pub new_series: u64,
    /// Samples that were not taken, by reason.
    pub refused: Refusals,
}

/// Samples that were not taken, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Older than the newest sample of their target by more than the window.
    pub out_of_order: u64,
    /// Of a series whose labels are not a series: none at all, a repeated or empty name, too many or too long ones; or a
    /// histogram whose spans do not fit its buckets.
    pub invalid: u64,
    /// Of a new series beyond a limit: of its source, of its target, or of the store.
    pub over_limit: u64,
    /// Of a target that has too many distinct times for one block.
    pub too_many_times: u64,
}

impl Refusals {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.out_of_order + self.invalid + self.over_limit + self.too_many_times
    }
}

/// The series that the next samples belong to.
#[derive(Clone, Copy)]
enum Current {
    Refused,
    /// Of the group that was noted last.
    Slot(u32),
    New(u32),
}

/// Cells of one group at one time that came one after the other.
struct Run {
    group: u32,
    at: i64,
    first: u32,
    end: u32,
}

struct NewSeries {
    labels: Labels,
    wire: Option<Fingerprint>,
}

/// Takes the series of one request. Nothing is stored before [`Self::finish`].
pub struct Appender<'a> {
    store: &'a Store,
    door: u8,
    source: String,
    current: Current,
    /// Groups in the order in which they were met; one may come again.
    groups: Vec<Arc<GroupDef>>,
    runs: Vec<Run>,
    cells: Vec<(u32, f64)>,
    histograms: Vec<(u32, i64, RowHistogram)>,
    new: Vec<NewSeries>,
    new_by_labels: HashMap<Labels, u32>,
    new_cells: Vec<(u32, i64, f64)>,
    new_histograms: Vec<(u32, i64, Arc<Histogram>)>,
    refused: Refusals,
    packed: String,
    window: std::time::Duration,
    /// Names of the series of the last group, and the slot whose turn it is.
    names: Arc<Vec<Fingerprint>>,
    next: u32,
}

impl Store {
    /// An appender for one request. `door`: the kind of door, so that equal bytes of two protocols are told apart;
    /// `source`: who sends, as far as that is known, for [`crate::StoreConfig::source_series_max`].
    #[must_use]
    pub fn appender(&self, door: u8, source: &str) -> Appender<'_> {
        Appender {
            store: self,
            door,
            source: source.to_owned(),
            current: Current::Refused,
            groups: Vec::new(),
            runs: Vec::new(),
            cells: Vec::new(),
            histograms: Vec::new(),
            new: Vec::new(),
            new_by_labels: HashMap::new(),
            new_cells: Vec::new(),
            new_histograms: Vec::new(),
            refused: Refusals::default(),
            packed: String::new(),
            window: self.config.out_of_order,
            names: Arc::default(),
            next: u32::MAX,
        }
    }
}

impl Sink for Appender<'_> {
    fn known(&mut self, wire: &[u8]) -> bool {
        if wire.is_empty() {
            return false;
        }
        let Some(name) = self.store.wires.name(self.door, wire) else { return false };
        if name != 0 && self.names.get(self.next as usize) == Some(&name) {
            self.current = Current::Slot(self.next);
            self.next += 1;
            return true;
        }
        let slot = match self.store.wires.find(name, self.groups.last()) {
            Some(Known::Same(slot)) => slot,
            Some(Known::Other(group, slot)) => {
                self.enter(group);
                slot
            }
            None => return false,
        };
        self.current = Current::Slot(slot);
        self.next = slot + 1;
        true
    }

    fn series(&mut self, wire: &[u8], labels: &[(&str, &str)]) {
        self.current = Current::Refused;
        if !self.pack(labels) {
            return;
        }
        let name = if wire.is_empty() { None } else { self.store.wires.name(self.door, wire) };
        if let Some((group, slot)) = self.store.state().in_head(&self.packed) {
            if let Some(name) = name {
                self.store.wires.remember(name, &group, slot);
            }
            self.enter(group);
            self.current = Current::Slot(slot);
            return;
        }
        let labels = Labels::from_packed(&self.packed);
        let next = self.new.len() as u32;
        let number = *self.new_by_labels.entry(labels.clone()).or_insert(next);
        if number == next {
            self.new.push(NewSeries { labels, wire: name });
        }
        self.current = Current::New(number);
    }

    fn float(&mut self, at: TimestampMs, value: f64) {
        match self.current {
            Current::Refused => self.refused.invalid += 1,
            Current::New(number) => self.new_cells.push((number, at.0, value)),
            Current::Slot(slot) => {
                let group = self.groups.len() as u32 - 1;
                let end = self.cells.len() as u32;
                self.cells.push((slot, value));
                match self.runs.last_mut() {
                    Some(run) if run.group == group && run.at == at.0 => run.end = end + 1,
                    _ => self.runs.push(Run { group, at: at.0, first: end, end: end + 1 }),
                }
            }
        }
    }

    fn histogram(&mut self, at: TimestampMs, histogram: Histogram) {
        if !histogram::is_sound(&histogram) {
            self.refused.invalid += 1;
            return;
        }
        let histogram = Arc::new(histogram);
        match self.current {
            Current::Refused => self.refused.invalid += 1,
            Current::New(number) => self.new_histograms.push((number, at.0, histogram)),
            Current::Slot(slot) => {
                let group = self.groups.len() as u32 - 1;
                self.histograms.push((group, at.0, (slot, histogram)));
            }
        }
    }
}

impl Appender<'_> {
    /// Stores what was taken: queries see it at once, a crash may still lose it until [`Store::commit`].
    ///
    /// # Errors
    /// [`StoreError::Full`] when too much waits for a disk that does not take it: nothing is stored then, and the client
    /// should come again. Samples that are refused by themselves are only counted.
    pub fn finish(mut self) -> Result<Accepted, StoreError> {
        let new_series = self.make_new();
        let rows = self.rows();
        let taken = self.store.push(rows, self.window)?;
        let mut refused = self.refused;
        refused.out_of_order += taken.out_of_order;
        refused.too_many_times += taken.too_many_times;
        if self.refused.total() > 0 {
            self.store.state_mut().counters.refuse(&self.refused);
        }
        Ok(Accepted { ticket: taken.ticket, samples: taken.samples, new_series, refused })
    }

    /// As [`Self::finish`], and returns when it is on disk. Requests that come at the same time share one sync.
    ///
    /// # Errors
    /// As [`Self::finish`] and [`Store::commit`]. After an error of the latter the samples may be visible and may become
    /// durable later; taking them again changes nothing.
    pub fn finish_durable(self) -> Result<Accepted, StoreError> {
        let store = self.store;
        let accepted = self.finish()?;
        store.make_durable(accepted.ticket)?;
        Ok(accepted)
    }

    /// Takes samples of any age: for an import, not for a door that is open to strangers.
    #[must_use]
    pub fn of_any_age(mut self) -> Self {
        self.window = std::time::Duration::MAX;
        self
    }

    /// Samples noted so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len() + self.histograms.len() + self.new_cells.len() + self.new_histograms.len()
    }

    /// True when no sample was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn enter(&mut self, group: Arc<GroupDef>) {
        if !self.groups.last().is_some_and(|last| Arc::ptr_eq(last, &group)) {
            self.names = group.names();
            self.groups.push(group);
        }
        self.next = u32::MAX;
    }

    /// Puts labels in order into `packed`; false when they are not those of a series.
    fn pack(&mut self, labels: &[(&str, &str)]) -> bool {
        self.packed.clear();
        if labels.len() > LABELS_MAX
            || labels.iter().any(|(n, v)| n.is_empty() || n.len().max(v.len()) > LABEL_BYTES_MAX)
        {
            return false;
        }
        if labels.is_sorted_by(|a, b| a.0 < b.0) {
            Labels::pack(&mut self.packed, labels.iter().copied());
        } else {
            let mut sorted: Vec<(&str, &str)> = labels.to_vec();
            sorted.sort_unstable_by_key(|p| p.0);
            if !sorted.is_sorted_by(|a, b| a.0 < b.0) {
                return false;
            }
            Labels::pack(&mut self.packed, sorted);
        }
        !self.packed.is_empty()
    }

    /// Gives new series their places and moves their samples to the others. Returns how many were made.
    fn make_new(&mut self) -> u64 {
        if self.new.is_empty() {
            return 0;
        }
        let new = std::mem::take(&mut self.new);
        let mut places = Vec::with_capacity(new.len());
        let mut made = 0;
        {
            let mut state = self.store.state_mut();
            let before = state.registry.len();
            for series in &new {
                places.push(self.store.place_for(&mut state, &self.source, &series.labels));
            }
            made += state.registry.len().saturating_sub(before) as u64;
        }
        for (series, place) in new.iter().zip(&places) {
            if let (Some(name), Some((group, slot))) = (series.wire, place) {
                self.store.wires.remember(name, group, *slot);
            }
        }
        for (number, at, value) in std::mem::take(&mut self.new_cells) {
            self.at_place(&places, number);
            match self.current {
                Current::Refused => self.refused.over_limit += 1,
                _ => self.float(TimestampMs(at), value),
            }
        }
        for (number, at, histogram) in std::mem::take(&mut self.new_histograms) {
            self.at_place(&places, number);
            if let Current::Slot(slot) = self.current {
                self.histograms.push((self.groups.len() as u32 - 1, at, (slot, histogram)));
            } else {
                self.refused.over_limit += 1;
            }
        }
        made
    }

    fn at_place(&mut self, places: &[Option<(Arc<GroupDef>, u32)>], number: u32) {
        match places.get(number as usize).and_then(Option::as_ref) {
            Some((group, slot)) => {
                self.enter(Arc::clone(group));
                self.current = Current::Slot(*slot);
            }
            None => self.current = Current::Refused,
        }
    }

    /// One row for each group and time.
    fn rows(&mut self) -> Vec<Prepared> {
        let mut rows = Vec::with_capacity(self.runs.len());
        let groups = &self.groups;
        let group = |run: &Run| groups.get(run.group as usize);
        let key = |run: &Run| (group(run).map_or(0, |g| Arc::as_ptr(g).addr()), run.at);
        // Stable: of two values for one series and time the later one is later still.
        self.runs.sort_by_key(key);
        for same in self.runs.chunk_by(|a, b| key(a) == key(b)) {
            let Some(group) = same.first().and_then(group) else { continue };
            let cells = |run: &Run| self.cells.get(run.first as usize..run.end as usize).unwrap_or_default();
            let at = same.first().map_or(0, |r| r.at);
            let row = match same {
                [run] if cells(run).is_sorted_by(|a, b| a.0 < b.0) => {
                    Row::of_sorted(at, cells(run), Vec::new())
                }
                _ => Row::new(at, same.iter().flat_map(cells).copied().collect(), Vec::new()),
            };
            rows.push(Prepared { group: Arc::clone(group), row: Arc::new(row) });
        }
        let address = |number: u32| groups.get(number as usize).map_or(0, |g| Arc::as_ptr(g).addr());
        self.histograms.sort_by_key(|h| (address(h.0), h.1));
        for same in self.histograms.chunk_by(|a, b| (address(a.0), a.1) == (address(b.0), b.1)) {
            let Some((number, at, _)) = same.first() else { continue };
            let Some(group) = groups.get(*number as usize) else { continue };
            let row = Row::new(*at, Vec::new(), same.iter().map(|h| h.2.clone()).collect());
            rows.push(Prepared { group: Arc::clone(group), row: Arc::new(row) });
        }
        rows
    }
}

impl State {
    /// Group and slot of a series that the head has.
    fn in_head(&self, packed: &str) -> Option<(Arc<GroupDef>, u32)> {
        let place = self.registry.place(self.registry.lookup(packed)?)?;
        Some((Arc::clone(&self.head.group(place.group)?.def), place.slot))
    }
}

impl Store {
    /// The place of a series in the head, made when it is new. `None` when a limit forbids that.
    fn place_for(&self, state: &mut State, source: &str, labels: &Labels) -> Option<(Arc<GroupDef>, u32)> {
        if let Some(found) = state.in_head(labels.packed()) {
            return Some(found);
        }
        let identity = &self.config.identity;
        let target = labels.filter(|name| identity.iter().any(|i| i == name));
        let in_target = state.head.of_target(&target).map_or(0, |def| def.len());
        if !state.limits.may_add(source, in_target, state.registry.len(), &self.config) {
            return None;
        }
        let group = state.head.group_for(&target);
        let slot = state.head.slot_for(&mut state.registry, &group, labels);
        Some((group, slot))
    }
}
