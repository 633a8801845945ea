//! Blocks become larger blocks, and old samples become consolidated rows.
//!
//! Both read group by group and one series at a time, so memory follows the number of series and not of samples. A
//! merged block names those that it stands for: a crash before their removal leaves both, and the next start removes
//! them. Only blocks that stand side by side in precedence are merged, so for equal times the same sample holds before
//! and after. Consolidated rows of a day are made from all blocks that touch it, once no sample of that day can come
//! any more in the usual way; should one come after all, the day is made again and the newer rows hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use wellkept_model::{HistogramSample, Labels, TimestampMs};

use crate::block::{self, Block, BlockError, SharedBlock};
use crate::block_format::Header;
use crate::block_write::{BlockWriter, Columns};
use crate::cells::{self, Cell};
use crate::column::Effort;
use crate::error::StoreError;
use crate::maintain::Upkeep;
use crate::open::quarantine;
use crate::rollup;
use crate::store::Store;

/// Length of time whose rows are made at once, milliseconds.
pub(crate) const DAY: i64 = 86_400_000;

/// A merged block may be longer than asked by this part of it: blocks are never exactly two hours long.
const SLACK: i64 = 10;

/// The places of one target's series in some blocks: number of the block, and place in it.
type Series = BTreeMap<Labels, Vec<(usize, usize)>>;

/// What the series of some blocks are, by target.
#[derive(Default)]
struct Contents {
    floats: BTreeMap<Labels, Series>,
    histograms: BTreeMap<Labels, Series>,
}

/// Reads the series of one target from several blocks, in order of precedence.
struct Merged<'a> {
    store: &'a Store,
    blocks: &'a [SharedBlock],
    target: &'a Labels,
    series: Vec<(&'a Labels, &'a [(usize, usize)])>,
    times: HashMap<(usize, u32), Option<Arc<Vec<i64>>>>,
    /// Samples before this time are left out.
    keep_from: &'a dyn Fn(&Labels) -> i64,
}

impl Store {
    /// Makes one larger block of some, where that is due. Gives its name; the empty text when nothing of them was left.
    pub(crate) fn merge_once(
        &self,
        upkeep: &mut Upkeep,
        now: Option<TimestampMs>,
        all: bool,
    ) -> Result<Option<String>, StoreError> {
        let mut resolutions = vec![(0, self.config.merge_spans.clone())];
        for level in &self.config.consolidate {
            // About as many rows as a day of raw samples.
            let spans = [16, 64].map(|n| level.every.saturating_mul(96 * n)).to_vec();
            resolutions.push((millis(level.every), spans));
        }
        for (resolution, spans) in resolutions {
            let blocks = self.blocks_of(resolution);
            for span in spans {
                if let Some(run) = run_to_merge(&blocks, millis(span), all) {
                    return self.merge(upkeep, &run, now).map(Some);
                }
            }
        }
        Ok(None)
    }

    pub(crate) fn blocks_of(&self, resolution: i64) -> Vec<SharedBlock> {
        self.state().blocks.iter().filter(|b| b.header.resolution == resolution).cloned().collect()
    }

    /// Writes the blocks anew as one, without what has expired, and removes them.
    pub(crate) fn merge(
        &self,
        upkeep: &mut Upkeep,
        run: &[SharedBlock],
        now: Option<TimestampMs>,
    ) -> Result<String, StoreError> {
        let Some(header) = merged_header(run, upkeep.take_number()) else { return Ok(String::new()) };
        let keep_from = |labels: &Labels| self.oldest_kept(labels, header.resolution, now);
        let contents = self.contents(run);
        let mut writer = BlockWriter::begin(self.disk.as_ref(), header, Effort::Best)?;
        let mut write = || {
            for (target, series) in &contents.floats {
                let mut merged = self.merged(run, target, series, &keep_from);
                if header.resolution == 0 {
                    writer.floats(&mut merged)?;
                } else {
                    merged.write_rows(&mut writer)?;
                }
            }
            for (target, series) in &contents.histograms {
                let all = self.merged(run, target, series, &keep_from).histograms()?;
                writer.histograms(target, all)?;
            }
            Ok(())
        };
        let written = write();
        let name = match written {
            Ok(()) if writer.is_empty() => {
                writer.abandon();
                String::new()
            }
            Ok(()) => writer.finish(run.iter().map(|b| b.header.number).collect())?,
            Err(e) => {
                writer.abandon();
                return Err(e);
            }
        };
        self.replace(run, &name, header)?;
        Ok(name)
    }

    /// Puts a written block in the place of others and removes their files.
    fn replace(&self, old: &[SharedBlock], name: &str, header: Header) -> Result<(), StoreError> {
        let loaded = match name {
            "" => None,
            _ => Some(self.load_written(name, header.number, (header.min, header.max))?),
        };
        {
            let mut state = self.state_mut();
            let state = &mut *state;
            if let Some(loaded) = loaded {
                let block = Arc::new(loaded.register(&mut state.registry));
                state.add_block(block);
            }
            let gone = |b: &SharedBlock| old.iter().any(|o| Arc::ptr_eq(o, b));
            state.blocks.retain(|b| !gone(b));
            old.iter().for_each(|b| b.release(&mut state.registry));
        }
        for block in old {
            if block.has_damage() {
                // What could not be read is not in the new one: the file is kept apart.
                quarantine(self.disk.as_ref(), &block.name);
            } else {
                self.disk.remove(&block.name).map_err(StoreError::io("remove", &block.name))?;
            }
        }
        self.disk.sync_dir(block::DIR).map_err(StoreError::io("sync folder", block::DIR))
    }

    /// Makes the rows of one day that has none yet, at all resolutions. Gives the names of the blocks.
    pub(crate) fn consolidate_once(
        &self,
        upkeep: &mut Upkeep,
        now: TimestampMs,
    ) -> Result<Vec<String>, StoreError> {
        let levels: Vec<i64> =
            self.config.consolidate.iter().map(|c| millis(c.every)).filter(|&r| r > 0).collect();
        let (Some(&finest), Some(day)) = (levels.first(), self.day_to_consolidate(now)) else {
            return Ok(Vec::new());
        };
        let _ = finest;
        let raw: Vec<SharedBlock> =
            self.blocks_of(0).into_iter().filter(|b| b.overlaps(day - DAY + 1, day)).collect();
        let precedence = raw.iter().map(|b| b.header.precedence).max().unwrap_or(0);
        let mut names = Vec::new();
        let contents = self.contents(&raw);
        for resolution in levels {
            let number = upkeep.take_number();
            let (min, max) = (day - DAY + 1, day);
            let header = Header { number, min, max, covers: 0, precedence, resolution };
            let mut writer = BlockWriter::begin(self.disk.as_ref(), header, Effort::Best)?;
            let keep_from =
                |labels: &Labels| self.oldest_kept(labels, resolution, Some(now)).max(day - DAY + 1);
            let mut write = || {
                for (target, series) in &contents.floats {
                    self.merged(&raw, target, series, &keep_from).write_consolidated(
                        &mut writer,
                        resolution,
                        day,
                    )?;
                }
                Ok(())
            };
            match write() {
                // An empty block too: it says that the day is done.
                Ok(()) => names.push(writer.finish(Vec::new())?),
                Err(e) => {
                    writer.abandon();
                    return Err(e);
                }
            }
            if let Some(name) = names.last() {
                self.replace(&[], name, header)?;
            }
        }
        Ok(names)
    }

    /// End of the oldest day whose rows are missing or older than a block of its samples.
    fn day_to_consolidate(&self, now: TimestampMs) -> Option<i64> {
        let finest = millis(self.config.consolidate.iter().map(|c| c.every).min()?);
        let settled = (now - self.config.out_of_order - self.config.block_span).0;
        let (raw, rows) = (self.blocks_of(0), self.blocks_of(finest));
        let raw_kept = (now - self.config.retention).0;
        let first = raw.iter().map(|b| b.header.min).min()?.max(raw_kept);
        let last = raw.iter().map(|b| b.header.max).max()?;
        let mut day = rollup::stretch_end(first, DAY);
        // A day that is partly gone from the raw samples is not made again.
        while day <= settled && day - DAY < last {
            let touching = |b: &&SharedBlock| b.overlaps(day - DAY + 1, day);
            let newest = raw.iter().filter(touching).map(|b| b.header.precedence).max();
            let done = rows.iter().filter(touching).map(|b| b.header.precedence).max();
            let whole = day - DAY >= raw_kept || done.is_none();
            if newest > done && whole {
                return Some(day);
            }
            day += DAY;
        }
        None
    }

    fn contents(&self, blocks: &[SharedBlock]) -> Contents {
        let state = self.state();
        let mut contents = Contents::default();
        for (number, block) in blocks.iter().enumerate() {
            for (place, series) in block.all_series().iter().enumerate() {
                let (Some(group), Some(labels)) =
                    (block.groups().get(series.group as usize), state.registry.labels(series.id))
                else {
                    continue;
                };
                let kind = if group.histograms { &mut contents.histograms } else { &mut contents.floats };
                if !kind.contains_key(&group.target) {
                    kind.insert(group.target.clone(), Series::new());
                }
                if let Some(target) = kind.get_mut(&group.target) {
                    target.entry(labels.clone()).or_default().push((number, place));
                }
            }
        }
        contents
    }

    fn merged<'a>(
        &'a self,
        blocks: &'a [SharedBlock],
        target: &'a Labels,
        series: &'a Series,
        keep_from: &'a dyn Fn(&Labels) -> i64,
    ) -> Merged<'a> {
        let series = series.iter().map(|(labels, places)| (labels, places.as_slice())).collect();
        Merged { store: self, blocks, target, series, times: HashMap::new(), keep_from }
    }

    /// Notes damage that a merge met: the column is left out, its file will be kept.
    fn note_damage(&self, error: BlockError) -> Result<(), StoreError> {
        match error {
            BlockError::Damaged(damage) => {
                self.state_mut().counters.note(damage);
                Ok(())
            }
            BlockError::Store(e) => Err(e),
        }
    }
}

impl Merged<'_> {
    fn times_of(&mut self, number: usize, group: u32) -> Result<Option<Arc<Vec<i64>>>, StoreError> {
        if let Some(times) = self.times.get(&(number, group)) {
            return Ok(times.clone());
        }
        let Some(block) = self.blocks.get(number) else { return Ok(None) };
        let times = match block.times(group) {
            Ok(times) => times.map(Arc::new),
            Err(e) => {
                self.store.note_damage(e)?;
                None
            }
        };
        self.times.insert((number, group), times.clone());
        Ok(times)
    }

    /// Reads one column with `decode`; nothing when it is damaged.
    fn column<T>(
        &mut self,
        (number, place): (usize, usize),
        decode: impl Fn(&[i64], u32, &[u8]) -> Result<Vec<T>, crate::codec::Corrupt>,
    ) -> Result<Vec<T>, StoreError> {
        let blocks = self.blocks;
        let Some(block) = blocks.get(number) else { return Ok(Vec::new()) };
        let Some(times) = self.times_of(number, block.series(place).map_or(0, |s| s.group))? else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let read = block.read(&[place], |_, count, bytes| {
            found = decode(&times, count, bytes)?;
            Ok(())
        });
        if let Err(e) = read {
            self.store.note_damage(e)?;
        }
        Ok(found)
    }

    fn rows_of(&mut self, place: usize) -> Result<Vec<rollup::Row>, StoreError> {
        let Some(&(labels, places)) = self.series.get(place) else { return Ok(Vec::new()) };
        let keep_from = (self.keep_from)(labels);
        let mut by_time = BTreeMap::new();
        for &at in places {
            for row in self.column(at, rollup::decode)? {
                if row.at >= keep_from {
                    by_time.insert(row.at, row);
                }
            }
        }
        Ok(by_time.into_values().collect())
    }

    /// Writes consolidated rows that were read as such.
    fn write_rows(&mut self, writer: &mut BlockWriter<'_>) -> Result<(), StoreError> {
        let mut all = Vec::with_capacity(self.series.len());
        for place in 0..self.series.len() {
            all.push(self.rows_of(place)?);
        }
        self.write_encoded(writer, &all)
    }

    /// Writes consolidated rows made of samples up to `end`.
    fn write_consolidated(
        &mut self,
        writer: &mut BlockWriter<'_>,
        resolution: i64,
        end: i64,
    ) -> Result<(), StoreError> {
        let mut all = Vec::with_capacity(self.series.len());
        for place in 0..self.series.len() {
            let mut cells = self.cells(place)?.1;
            cells.truncate(cells.partition_point(|c| c.0 <= end));
            all.push(rollup::consolidate(&cells, resolution));
        }
        self.write_encoded(writer, &all)
    }

    fn write_encoded(
        &self,
        writer: &mut BlockWriter<'_>,
        all: &[Vec<rollup::Row>],
    ) -> Result<(), StoreError> {
        let mut times: Vec<i64> = all.iter().flatten().map(|r| r.at).collect();
        times.sort_unstable();
        times.dedup();
        if times.is_empty() {
            return Ok(());
        }
        let rows = self.series.iter().zip(all).filter(|(_, rows)| !rows.is_empty());
        let columns = rows
            .map(|((labels, _), rows)| {
                ((*labels).clone(), rows.len() as u32, rollup::encode(&times, rows, Effort::Best))
            })
            .collect();
        writer.encoded(self.target, &times, columns)
    }

    fn histograms(&mut self) -> Result<Vec<(Labels, Vec<HistogramSample>)>, StoreError> {
        let mut all = Vec::with_capacity(self.series.len());
        for (labels, places) in self.series.clone() {
            let keep_from = TimestampMs((self.keep_from)(labels));
            let mut by_time = BTreeMap::new();
            for &at in places {
                for sample in self.column(at, block::decode_histograms)? {
                    if sample.at >= keep_from {
                        by_time.insert(sample.at, sample);
                    }
                }
            }
            all.push((labels.clone(), by_time.into_values().collect()));
        }
        Ok(all)
    }
}

impl Columns for Merged<'_> {
    fn target(&self) -> &Labels {
        self.target
    }

    fn len(&self) -> usize {
        self.series.len()
    }

    fn times(&mut self) -> Result<Vec<i64>, StoreError> {
        let mut groups: Vec<(usize, u32)> = Vec::new();
        for (_, places) in &self.series {
            let of = |&(n, p): &(usize, usize)| Some((n, self.blocks.get(n)?.series(p)?.group));
            groups.extend(places.iter().filter_map(of));
        }
        groups.sort_unstable();
        groups.dedup();
        let oldest = self.series.iter().map(|(labels, _)| (self.keep_from)(labels)).min().unwrap_or(i64::MIN);
        let mut times = Vec::new();
        for (number, group) in groups {
            if let Some(own) = self.times_of(number, group)? {
                times.extend(own.iter().copied().filter(|&t| t >= oldest));
            }
        }
        times.sort_unstable();
        times.dedup();
        Ok(times)
    }

    fn cells(&mut self, place: usize) -> Result<(Labels, Vec<Cell>), StoreError> {
        let Some(&(labels, places)) = self.series.get(place) else {
            return Ok((Labels::default(), Vec::new()));
        };
        let keep_from = (self.keep_from)(labels);
        let mut runs = Vec::with_capacity(places.len());
        for &at in places {
            runs.push(self.column(at, block::decode_cells)?);
        }
        let mut cells = cells::merge(runs);
        cells.drain(..cells.partition_point(|c| c.0 < keep_from));
        Ok((labels.clone(), cells))
    }

    fn samples(&self) -> u64 {
        let count =
            |&(n, p): &(usize, usize)| self.blocks.get(n).and_then(|b| b.series(p)).map_or(0, |s| s.count);
        self.series.iter().flat_map(|(_, places)| places.iter().map(count)).map(u64::from).sum()
    }
}

/// The oldest blocks side by side that together are no longer than `span`. Unless `all`, only where the block behind
/// them would be too much: they will not get more.
fn run_to_merge(blocks: &[SharedBlock], span: i64, all: bool) -> Option<Vec<SharedBlock>> {
    let most = span.saturating_add(span / SLACK);
    let length = |run: &[SharedBlock]| {
        let min = run.iter().map(|b| b.header.min).min().unwrap_or(0);
        run.iter().map(|b| b.header.max).max().unwrap_or(0).saturating_sub(min)
    };
    let mut rest = blocks;
    while !rest.is_empty() {
        let fits = |n: usize| rest.get(..n).is_some_and(|run| length(run) <= most);
        let n = (1..=rest.len()).take_while(|&n| fits(n)).last().unwrap_or(1);
        let (run, later) = rest.split_at(n.min(rest.len()));
        if n >= 2 && (all || !later.is_empty()) {
            return Some(run.to_vec());
        }
        rest = later;
    }
    None
}

fn merged_header(run: &[SharedBlock], number: u64) -> Option<Header> {
    let headers = || run.iter().map(|b: &Arc<Block>| b.header);
    Some(Header {
        number,
        min: headers().map(|h| h.min).min()?,
        max: headers().map(|h| h.max).max()?,
        covers: headers().map(|h| h.covers).max()?,
        precedence: headers().map(|h| h.precedence).max()?,
        resolution: headers().map(|h| h.resolution).next()?,
    })
}

/// A length of time as the files have it.
pub(crate) fn millis(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
