//! Lines for people: a page at a time, newest or oldest first, and those around one of them.

use std::ops::ControlFlow;

use wellkept_model::{Labels, Level, TemplateId};

use super::budget::{Budget, SearchCost, SearchLimits, Stopped};
use super::line::{Extracted, LineView};
use super::segment_view::SegmentView;
use super::source::{Hit, Need, Snapshot, Wanted, memory_fields, memory_row, scan_memory};
use crate::head::level_of;
use crate::query::LineQuery;
use crate::store::LogStore;

/// Most lines of one page.
pub const PAGE_MAX: usize = 50_000;

/// Most lines of one time that pages go through.
const GIVEN_MAX: usize = 1_000_000;

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Newest first.
    #[default]
    Backward,
    /// Oldest first.
    Forward,
}

/// A line that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// Nanoseconds since the epoch.
    pub at_ns: i64,
    /// Of its stream.
    pub labels: Labels,
    /// Its level.
    pub level: Option<Level>,
    /// Its template.
    pub template: TemplateId,
    /// Byte for byte as it came. Control characters are shown escaped by whoever shows them.
    pub text: Vec<u8>,
    /// Fields that came beside the text.
    pub fields: Vec<(String, String)>,
    /// Labels that `json` or `logfmt` found.
    pub extracted: Vec<(String, String)>,
}

impl LogEntry {
    pub(crate) fn of(at_ns: i64, view: &LineView<'_>, extracted: &Extracted) -> Self {
        Self {
            at_ns,
            labels: view.labels.clone(),
            level: view.level,
            template: view.template,
            text: view.text.to_vec(),
            fields: view.fields.to_vec(),
            extracted: extracted.clone(),
        }
    }

    fn size(&self) -> usize {
        let pairs = self.fields.iter().chain(&self.extracted).map(|(k, v)| k.len() + v.len() + 48);
        self.text.len() + pairs.sum::<usize>() + 128
    }
}

/// Where the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Time of the last line given, nanoseconds.
    pub at_ns: i64,
    /// How many lines of this time were given.
    pub given: usize,
}

/// Which part of the time, and which page of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRange {
    /// Earliest time, nanoseconds since the epoch.
    pub from_ns: i64,
    /// Time before which all lines are.
    pub to_ns: i64,
    /// Which end comes first.
    pub direction: Direction,
    /// Most lines; at most [`PAGE_MAX`].
    pub limit: usize,
    /// As the page before gave it.
    pub cursor: Option<Cursor>,
}

/// Lines that were found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogPage {
    /// In the order asked for.
    pub lines: Vec<LogEntry>,
    /// Where to go on; none when there is no more.
    pub next: Option<Cursor>,
    /// Why the search ended early; what it would have found is missing.
    pub stopped: Option<Stopped>,
    /// What it cost.
    pub cost: SearchCost,
}

/// Time, source, row: the order of lines. Sources are numbered in the order in which their lines were taken.
type Key = (i64, usize, u32);

impl LogStore {
    /// One page of the lines that fit. Lines of one time are in the order in which they were taken.
    #[must_use]
    pub fn search(&self, query: &LineQuery, range: &LogRange, limits: SearchLimits<'_>) -> LogPage {
        self.page(query, None, range, limits)
    }

    /// Lines of the same stream around one that was found: up to `before` older and `after` younger ones, oldest
    /// first, without the line itself.
    #[must_use]
    pub fn context(
        &self,
        entry: &LogEntry,
        before: usize,
        after: usize,
        limits: SearchLimits<'_>,
    ) -> (LogPage, LogPage) {
        let query = LineQuery::default();
        let stream = Some(&entry.labels);
        let range =
            |from_ns, to_ns, direction, limit| LogRange { from_ns, to_ns, direction, limit, cursor: None };
        let same = range(entry.at_ns, entry.at_ns.saturating_add(1), Direction::Forward, PAGE_MAX);
        let same = self.page(&query, stream, &same, limits);
        let place = same.lines.iter().position(|l| l.text == entry.text).unwrap_or(same.lines.len());
        let mut earlier =
            self.page(&query, stream, &range(i64::MIN, entry.at_ns, Direction::Backward, before), limits);
        earlier.lines.reverse();
        earlier.lines.extend(same.lines.iter().take(place).cloned());
        let surplus = earlier.lines.len().saturating_sub(before);
        earlier.lines.drain(..surplus);
        let from = entry.at_ns.saturating_add(1);
        let mut later = self.page(&query, stream, &range(from, i64::MAX, Direction::Forward, after), limits);
        let rest = same.lines.into_iter().skip(place + 1);
        later.lines = rest.chain(std::mem::take(&mut later.lines)).take(after).collect();
        (earlier, later)
    }

    fn page(
        &self,
        query: &LineQuery,
        stream: Option<&Labels>,
        range: &LogRange,
        limits: SearchLimits<'_>,
    ) -> LogPage {
        let mut budget = Budget::new(limits);
        let limit = range.limit.min(PAGE_MAX);
        let mut wanted = Wanted {
            query,
            stream,
            from: range.from_ns,
            to: range.to_ns,
            direction: range.direction,
            need: Need::default(),
        };
        if let Some(cursor) = range.cursor {
            match range.direction {
                Direction::Backward => wanted.to = wanted.to.min(cursor.at_ns.saturating_add(1)),
                Direction::Forward => wanted.from = wanted.from.max(cursor.at_ns),
            }
        }
        let mut left_out = None;
        let mut skip = range.cursor.map_or(0, |c| c.given);
        if let Some(cursor) = range.cursor.filter(|c| c.given > GIVEN_MAX) {
            // Too many lines of one time to page through: the rest of them is left out, and that is said.
            match range.direction {
                Direction::Backward => wanted.to = wanted.to.min(cursor.at_ns),
                Direction::Forward => wanted.from = cursor.at_ns.saturating_add(1),
            }
            left_out = Some(Stopped::Lines);
            skip = 0;
        }
        let snapshot = self.snapshot();
        let mut finder =
            Finder { keys: Vec::new(), wanted_keys: limit.saturating_add(skip), direction: range.direction };
        let mut views = finder.run(self, &snapshot, &wanted, &mut budget);
        let found_all = finder.keys.len() <= limit.saturating_add(skip);
        let keys: Vec<Key> = finder.keys.into_iter().skip(skip).take(limit).collect();
        let mut page = LogPage::default();
        let mut looked = 0;
        for &key in &keys {
            // A line whose part of a segment is damaged is left out; the damage is named.
            let entry = entry_at(&snapshot, &mut views, key, query, &mut budget);
            if entry.as_ref().is_some_and(|e| budget.result(e.size()).is_break()) {
                break;
            }
            looked += 1;
            page.lines.extend(entry);
        }
        page.stopped = budget.stopped.or(left_out);
        page.cost = budget.cost;
        let given = keys.get(..looked).unwrap_or_default();
        if let Some(&(at_ns, ..)) = given.last().filter(|_| !found_all || looked < keys.len()) {
            let here = given.iter().rev().take_while(|k| k.0 == at_ns).count();
            let before = range.cursor.filter(|c| c.at_ns == at_ns).map_or(0, |c| c.given);
            page.next = Some(Cursor { at_ns, given: here + before });
        }
        page
    }
}

/// Finds the first so many lines.
struct Finder {
    /// In the order asked for; one more than wanted when there are more.
    keys: Vec<Key>,
    wanted_keys: usize,
    direction: Direction,
}

impl Finder {
    /// Gives the segments that were opened, by their place in the snapshot.
    fn run<'s>(
        &mut self,
        store: &'s LogStore,
        snapshot: &Snapshot,
        wanted: &Wanted<'_>,
        budget: &mut Budget<'_>,
    ) -> Vec<Option<SegmentView<'s>>> {
        let memory = snapshot.segments.len();
        let mut views: Vec<Option<SegmentView<'s>>> = (0..memory).map(|_| None).collect();
        let _ = scan_memory(&snapshot.memory, wanted, budget, &mut |hit| self.take(hit, memory));
        self.settle();
        let mut order: Vec<usize> = (0..memory).collect();
        // Those that can hold the first lines come first; the others are often not needed.
        let header =
            |i: &usize| snapshot.segments.get(*i).map(|s| (s.header.min, s.header.max)).unwrap_or_default();
        match self.direction {
            Direction::Backward => order.sort_by_key(|i| std::cmp::Reverse(header(i).1)),
            Direction::Forward => order.sort_by_key(|i| header(i).0),
        }
        for number in order {
            let (min, max) = header(&number);
            let nearest = if self.direction == Direction::Backward { max } else { min };
            if max < wanted.from || min >= wanted.to || is_beyond(self.bound(), self.direction, nearest) {
                budget.cost.segments_skipped += 1;
                continue;
            }
            let Some(segment) = snapshot.segments.get(number) else { continue };
            let Some(mut view) = SegmentView::open(store, segment, budget) else { continue };
            if !budget.is_stopped() {
                let bound = self.bound();
                let mut taken = 0;
                let _ = view.scan(wanted, budget, &mut |hit| {
                    taken += 1;
                    let is_enough = taken > self.wanted_keys || is_beyond(bound, self.direction, hit.at);
                    self.keys.push((hit.at, number, hit.row));
                    if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
            }
            self.settle();
            if let Some(place) = views.get_mut(number) {
                *place = Some(view);
            }
            if budget.is_stopped() {
                break;
            }
        }
        views
    }

    fn take(&mut self, hit: &Hit<'_>, source: usize) -> ControlFlow<()> {
        self.keys.push((hit.at, source, hit.row));
        if self.keys.len() > self.wanted_keys { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Time of the last line that is still wanted, once there are enough. One more than wanted is kept: it tells
    /// whether there is another page.
    fn bound(&self) -> Option<i64> {
        self.keys.get(self.wanted_keys).map(|key| key.0)
    }

    fn settle(&mut self) {
        match self.direction {
            Direction::Backward => self.keys.sort_unstable_by(|a, b| b.cmp(a)),
            Direction::Forward => self.keys.sort_unstable(),
        }
        self.keys.truncate(self.wanted_keys.saturating_add(1));
    }
}

/// Whether lines of this time come after all that are wanted.
fn is_beyond(bound: Option<i64>, direction: Direction, at: i64) -> bool {
    bound.is_some_and(|bound| match direction {
        Direction::Backward => at < bound,
        Direction::Forward => at > bound,
    })
}

fn entry_at(
    snapshot: &Snapshot,
    views: &mut [Option<SegmentView<'_>>],
    (at, source, row): Key,
    query: &LineQuery,
    budget: &mut Budget<'_>,
) -> Option<LogEntry> {
    if let Some(view) = views.get_mut(source) {
        let view = view.as_mut()?;
        let table = view.rows()?;
        return view.with_line(&table, row, budget, query, LogEntry::of);
    }
    let (piece, row) = memory_row(&snapshot.memory, row)?;
    let fields = memory_fields(piece, row);
    let view = LineView {
        text: piece.text(row),
        labels: piece.streams.get(row.stream as usize)?,
        level: level_of(row.level),
        template: piece.template(row),
        fields: &fields,
    };
    let mut extracted = Vec::new();
    view.fits(query, &mut extracted);
    Some(LogEntry::of(at, &view, &extracted))
}
