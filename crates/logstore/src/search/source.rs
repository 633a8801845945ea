//! Where lines come from, and how each that fits is handed on.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wellkept_model::{Labels, Level, TemplateId};

use super::budget::Budget;
use super::entries::Direction;
use super::line::{Extracted, LineView, stream_label};
use super::segment_view::SegmentView;
use crate::head::{Piece, Row, level_of};
use crate::query::condition_matches;
use crate::query::{LineQuery, Stage};
use crate::segment::Segment;
use crate::store::LogStore;

/// Whether the selector of a query accepts lines of this stream, level and template.
pub(crate) fn selects(
    query: &LineQuery,
    labels: &Labels,
    level: Option<Level>,
    template: TemplateId,
) -> bool {
    let fits =
        |m: &wellkept_model::Matcher| condition_matches(m, &stream_label(labels, level, template, m.name()));
    query.selector.iter().all(fits)
}

/// Which lines are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'q> {
    pub(crate) query: &'q LineQuery,
    /// Only this very stream.
    pub(crate) stream: Option<&'q Labels>,
    /// Earliest time, and the time before which all lines must be, nanoseconds.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) direction: Direction,
    /// What the taker looks at beside time and kind.
    pub(crate) need: Need,
}

impl Wanted<'_> {
    pub(crate) fn selects(&self, labels: &Labels, level: Option<Level>, template: TemplateId) -> bool {
        self.stream.is_none_or(|s| s == labels) && selects(self.query, labels, level, template)
    }

    /// Whether labels can come out of the text.
    pub(crate) fn extracts(&self) -> bool {
        self.query.stages.iter().any(|s| matches!(s, Stage::Json | Stage::Logfmt))
    }
}

/// What a taker looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// The text.
    pub(crate) text: bool,
    /// Fields that came beside the text.
    pub(crate) fields: bool,
    /// Labels found in the text.
    pub(crate) extracted: bool,
}

/// A line that fits.
pub(crate) struct Hit<'a> {
    pub(crate) at: i64,
    /// Its place in the source.
    pub(crate) row: u32,
    /// Text and fields are empty when they were not needed.
    pub(crate) view: &'a LineView<'a>,
    pub(crate) extracted: &'a Extracted,
}

/// Takes lines that fit until it has enough.
pub(crate) type Take<'t> = dyn FnMut(&Hit<'_>) -> ControlFlow<()> + 't;

/// What there was when a search began.
pub(crate) struct Snapshot {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) memory: Vec<Arc<Piece>>,
}

impl LogStore {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.state();
        let mut memory = state.frozen.as_ref().map(|f| f.pieces.clone()).unwrap_or_default();
        memory.extend(state.head.snapshot());
        Snapshot { segments: state.segments.clone(), memory }
    }
}

/// Most threads that read indexes.
const THREADS_MAX: usize = 4;

/// Most indexes that are read ahead: they must all fit into the cache.
const AHEAD_MAX: usize = 48;

impl Snapshot {
    /// Reads the indexes that will be needed, on all processors: unpacking them is most of a search for a rare word.
    pub(crate) fn warm(&self, store: &LogStore, wanted: &Wanted<'_>) {
        let is_needed = |s: &&Arc<Segment>| s.header.max >= wanted.from && s.header.min < wanted.to;
        let segments: Vec<&Arc<Segment>> = self.segments.iter().filter(is_needed).take(AHEAD_MAX).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        if threads < 2 || segments.len() < threads * 2 {
            return;
        }
        let next = AtomicUsize::new(0);
        let read = || {
            while let Some(segment) = segments.get(next.fetch_add(1, Ordering::Relaxed)) {
                let _ = store.index_or_set_aside(segment);
            }
        };
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(read)));
            read();
        });
    }

    /// Hands on every line that fits, source by source; within a source by time. Sources that lie outside of the time
    /// are not opened.
    pub(crate) fn scan(
        &self,
        store: &LogStore,
        wanted: &Wanted<'_>,
        budget: &mut Budget<'_>,
        take: &mut Take<'_>,
    ) {
        self.warm(store, wanted);
        for segment in &self.segments {
            if segment.header.max < wanted.from || segment.header.min >= wanted.to {
                budget.cost.segments_skipped += 1;
                continue;
            }
            let Some(mut view) = SegmentView::open(store, segment, budget) else { continue };
            if budget.is_stopped() || view.scan(wanted, budget, take).is_break() {
                return;
            }
        }
        let _ = scan_memory(&self.memory, wanted, budget, take);
    }
}

/// Place of a line in memory, by its number over all pieces.
pub(crate) fn memory_row(pieces: &[Arc<Piece>], row: u32) -> Option<(&Piece, &Row)> {
    let mut row = row as usize;
    for piece in pieces {
        match piece.rows.get(row) {
            Some(found) => return Some((piece, found)),
            None => row -= piece.rows.len(),
        }
    }
    None
}

/// Hands on the lines in memory that fit.
pub(crate) fn scan_memory(
    pieces: &[Arc<Piece>],
    wanted: &Wanted<'_>,
    budget: &mut Budget<'_>,
    take: &mut Take<'_>,
) -> ControlFlow<()> {
    let mut rows: Vec<(i64, u32, &Piece, &Row)> = Vec::new();
    let mut number = 0;
    for piece in pieces {
        for row in &piece.rows {
            if (wanted.from..wanted.to).contains(&row.at) {
                rows.push((row.at, number, piece, row));
            }
            number += 1;
        }
    }
    rows.sort_by_key(|r| r.0);
    if wanted.direction == Direction::Backward {
        rows.reverse();
    }
    let mut extracted = Vec::new();
    let none = Labels::default();
    for (at, row_number, piece, row) in rows {
        let labels = piece.streams.get(row.stream as usize).unwrap_or(&none);
        let (level, template) = (level_of(row.level), piece.template(row));
        if !wanted.selects(labels, level, template) {
            continue;
        }
        let fields = memory_fields(piece, row);
        let view = LineView { text: piece.text(row), labels, level, template, fields: &fields };
        budget.line(view.text.len())?;
        if view.fits(wanted.query, &mut extracted) {
            take(&Hit { at, row: row_number, view: &view, extracted: &extracted })?;
        }
    }
    ControlFlow::Continue(())
}

/// Fields of a line in memory.
pub(crate) fn memory_fields(piece: &Piece, row: &Row) -> Vec<(String, String)> {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    piece.fields(row).map(|(k, v)| (text(k), text(v))).collect()
}
