//! One segment while it is searched: what was unpacked of it so far.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use wellkept_model::{Labels, TemplateId};

use super::budget::Budget;
use super::entries::Direction;
use super::line::{LineView, stream_label};
use super::needle::Verdict;
use super::rows::{RowTable, fields_of};
use super::source::{Hit, Take, Wanted};
use super::verdicts::ShapeVerdicts;
use crate::cache::Part;
use crate::column::Column;
use crate::error::SetAside;
use crate::head::level_of;
use crate::index::{Index, Kind, Param, SegmentShape};
use crate::query::{Condition, LineQuery, Stage};
use crate::segment::{ReadError, Segment, columns, write_text};
use crate::store::LogStore;

/// Memory of unpacked columns beyond which all are given up, bytes.
const COLUMNS_MAX: usize = 192 << 20;

/// Rows between two looks at the budget when nothing is unpacked.
const LOOK_EVERY: usize = 1 << 16;

/// Columns of a shape, once they were asked for; `None` in it when they are damaged.
type ShapeColumns = Option<Vec<Option<Column>>>;

/// A segment while it is searched.
pub(crate) struct SegmentView<'s> {
    store: &'s LogStore,
    pub(crate) segment: Arc<Segment>,
    pub(crate) index: Arc<Index>,
    columns: Vec<Option<ShapeColumns>>,
    columns_memory: usize,
}

impl<'s> SegmentView<'s> {
    pub(crate) fn open(store: &'s LogStore, segment: &Arc<Segment>, budget: &mut Budget<'_>) -> Option<Self> {
        let index = store.index_or_set_aside(segment)?;
        budget.cost.segments += 1;
        // A stop is seen by the caller, who asks the budget.
        let _ = budget.bytes(index.memory());
        let columns = (0..index.shapes.len()).map(|_| None).collect();
        Some(Self { store, segment: Arc::clone(segment), index, columns, columns_memory: 0 })
    }

    pub(crate) fn rows(&self) -> Option<Arc<RowTable>> {
        self.store.rows_or_set_aside(&self.segment, &self.index)
    }

    /// For each kind whether its lines fit.
    pub(crate) fn verdicts(&self, wanted: &Wanted<'_>) -> Vec<Verdict> {
        let mut of_shape = ShapeVerdicts::new(wanted.query, &self.index);
        let none = Labels::default();
        let verdict = |kind: &Kind| {
            let Some(shape) = self.index.shapes.heads.get(kind.shape as usize) else { return Verdict::None };
            let labels = self.index.streams.get(kind.stream as usize).unwrap_or(&none);
            let (level, template) = (level_of(kind.level), shape.template);
            if !wanted.selects(labels, level, template) {
                return Verdict::None;
            }
            let mut found = of_shape.get(kind.shape);
            let mut extracts = false;
            for stage in &wanted.query.stages {
                match stage {
                    Stage::Json | Stage::Logfmt => extracts = true,
                    Stage::Labels(condition) => {
                        let is_known =
                            !extracts && (!shape.has_fields || self.asks_only_streams(condition, kind.shape));
                        let holds = is_known.then(|| {
                            condition.holds(&mut |n| {
                                Cow::Owned(stream_label(labels, level, template, n).into_owned())
                            })
                        });
                        found = found.and(holds.map_or(Verdict::Maybe, Verdict::from));
                    }
                    Stage::Contains { .. } | Stage::Pattern { .. } => {}
                }
            }
            found
        };
        self.index.kinds.iter().map(verdict).collect()
    }

    /// Whether a condition asks only for what the stream, level and template say.
    fn asks_only_streams(&self, condition: &Condition, shape: u32) -> bool {
        let Some(shape) = self.index.shapes.get(shape as usize) else { return false };
        let mut only = true;
        condition.names(&mut |name| only &= !shape.keys.iter().any(|k| k == name));
        only
    }

    /// Hands on the lines that fit, by time.
    pub(crate) fn scan(
        &mut self,
        wanted: &Wanted<'_>,
        budget: &mut Budget<'_>,
        take: &mut Take<'_>,
    ) -> ControlFlow<()> {
        let verdicts = self.verdicts(wanted);
        if verdicts.iter().all(|v| *v == Verdict::None) {
            return ControlFlow::Continue(());
        }
        let Some(table) = self.rows() else { return ControlFlow::Continue(()) };
        budget.bytes(table.memory())?;
        let start = table.times.partition_point(|&t| t < wanted.from);
        let end = table.times.partition_point(|&t| t < wanted.to);
        let index = Arc::clone(&self.index);
        let mut line = LineBuffer::default();
        let mut extracted = Vec::new();
        let mut looked = 0;
        let mut visit = |row: usize| {
            looked += 1;
            if looked % LOOK_EVERY == 0 {
                budget.bytes(0)?;
            }
            let kind_number = table.order.get(row).copied().unwrap_or(0);
            let verdict = verdicts.get(kind_number as usize).copied().unwrap_or(Verdict::None);
            let Some(kind) = index.kinds.get(kind_number as usize).filter(|_| verdict != Verdict::None)
            else {
                return ControlFlow::Continue(());
            };
            let at = table.times.get(row).copied().unwrap_or(0);
            let has_fields = index.shapes.heads.get(kind.shape as usize).is_some_and(|s| s.has_fields);
            let need_text = verdict == Verdict::Maybe
                || wanted.need.text
                || (wanted.need.fields && has_fields)
                || (wanted.need.extracted && wanted.extracts());
            line.clear();
            if need_text && !self.fill(&table, kind.shape, row, &mut line, budget)? {
                return ControlFlow::Continue(());
            }
            let view = line.view(&index, kind);
            let must_run = verdict == Verdict::Maybe || wanted.extracts();
            if need_text {
                budget.line(view.text.len())?;
            }
            if need_text && must_run && !view.fits(wanted.query, &mut extracted) {
                return ControlFlow::Continue(());
            }
            take(&Hit { at, row: row as u32, view: &view, extracted: &extracted })
        };
        match wanted.direction {
            Direction::Forward => (start..end).try_for_each(&mut visit),
            Direction::Backward => (start..end).rev().try_for_each(&mut visit),
        }
    }

    /// The number of lines that fit, for queries of texts and patterns over the whole segment. `None` when they must be
    /// gone through one by one.
    pub(crate) fn count(&mut self, wanted: &Wanted<'_>, budget: &mut Budget<'_>) -> Option<u64> {
        let header = &self.segment.header;
        let is_whole = header.min >= wanted.from && header.max < wanted.to;
        let only_text = |s: &Stage| matches!(s, Stage::Contains { .. } | Stage::Pattern { .. });
        if !is_whole || !wanted.query.stages.iter().all(only_text) {
            return None;
        }
        let verdicts = self.verdicts(wanted);
        let index = Arc::clone(&self.index);
        // A shape whose lines fit only in some streams needs the order of rows.
        let mut shapes: Vec<Option<Verdict>> = vec![None; index.shapes.len()];
        let mut sum = 0;
        for (kind, &verdict) in index.kinds.iter().zip(&verdicts) {
            let of_shape = shapes.get_mut(kind.shape as usize)?;
            if of_shape.is_some_and(|v| v != verdict)
                && (verdict == Verdict::Maybe || *of_shape == Some(Verdict::Maybe))
            {
                return None;
            }
            *of_shape = Some(verdict);
            sum += if verdict == Verdict::All { u64::from(kind.rows) } else { 0 };
        }
        let maybe: Vec<usize> =
            shapes.iter().enumerate().filter(|(_, v)| **v == Some(Verdict::Maybe)).map(|(i, _)| i).collect();
        if maybe.is_empty() {
            return Some(sum);
        }
        let table = self.rows()?;
        let none = Labels::default();
        let mut extracted = Vec::new();
        let mut line = LineBuffer::default();
        for number in maybe {
            for &row in table.of_shape(number) {
                line.clear();
                let ControlFlow::Continue(filled) =
                    self.fill(&table, number as u32, row as usize, &mut line, budget)
                else {
                    return Some(sum);
                };
                let template = TemplateId(0);
                let view = LineView { text: &line.text, labels: &none, level: None, template, fields: &[] };
                sum += u64::from(filled && view.fits(wanted.query, &mut extracted));
                if budget.line(line.text.len()).is_break() {
                    return Some(sum);
                }
            }
            self.columns_memory = 0;
            self.columns.iter_mut().for_each(|c| *c = None);
        }
        Some(sum)
    }

    /// Text and fields of a row. False when they are damaged.
    fn fill(
        &mut self,
        table: &RowTable,
        shape_number: u32,
        row: usize,
        line: &mut LineBuffer,
        budget: &mut Budget<'_>,
    ) -> ControlFlow<(), bool> {
        let number = shape_number as usize;
        let index = Arc::clone(&self.index);
        let Some(shape) = index.shapes.get(number) else { return ControlFlow::Continue(false) };
        if self.columns.get(number).is_some_and(Option::is_none) {
            self.unpack(table, number, shape, budget)?;
        }
        let Some(Some(Some(columns))) = self.columns.get(number) else { return ControlFlow::Continue(false) };
        let place = table.place.get(row).copied().unwrap_or(0) as usize;
        write_text(shape, columns, place, &mut line.text);
        if !shape.keys.is_empty() {
            line.fields = fields_of(shape, columns, place);
        }
        ControlFlow::Continue(true)
    }

    fn unpack(
        &mut self,
        table: &RowTable,
        number: usize,
        shape: &SegmentShape,
        budget: &mut Budget<'_>,
    ) -> ControlFlow<()> {
        if self.columns_memory > COLUMNS_MAX {
            self.columns.iter_mut().for_each(|c| *c = None);
            self.columns_memory = 0;
        }
        let unpacked = self.columns_of(table, number, shape, budget)?;
        if let Some(columns) = &unpacked {
            let memory = columns.iter().flatten().map(Column::memory).sum::<usize>();
            self.columns_memory += memory;
            budget.bytes(memory)?;
        }
        if let Some(place) = self.columns.get_mut(number) {
            *place = Some(unpacked);
        }
        ControlFlow::Continue(())
    }

    fn columns_of(
        &self,
        table: &RowTable,
        number: usize,
        shape: &SegmentShape,
        budget: &mut Budget<'_>,
    ) -> ControlFlow<(), ShapeColumns> {
        if shape.params.iter().all(|p| matches!(p, Param::Constant(_))) {
            return ControlFlow::Continue(Some(shape.params.iter().map(|_| None).collect()));
        }
        let mut unpacked = 0;
        let pack = self.store.cache.get(self.segment.header.number, Part::Pack(shape.pack), || {
            let pack = self.segment.pack(&self.index, shape.pack)?;
            unpacked = pack.memory();
            Ok::<_, ReadError>((pack, unpacked))
        });
        budget.bytes(unpacked)?;
        let times: Vec<i64> =
            table.of_shape(number).iter().filter_map(|&r| table.times.get(r as usize).copied()).collect();
        let read = pack.and_then(|pack| Ok(columns(shape, &pack, &times)?));
        ControlFlow::Continue(read.map_err(|e| self.note_damage(shape, &e)).ok())
    }

    fn note_damage(&self, shape: &SegmentShape, error: &ReadError) {
        let stretch = self.index.packs.get(shape.pack).copied().unwrap_or_default();
        self.store.state_mut().counters.note(SetAside {
            file: self.segment.name.clone(),
            offset: stretch.offset,
            len: u64::from(stretch.len),
            range_ns: Some((self.segment.header.min, self.segment.header.max)),
            what: error.to_string(),
        });
    }

    /// One line, for the page of a result.
    pub(crate) fn with_line<T>(
        &mut self,
        table: &RowTable,
        row: u32,
        budget: &mut Budget<'_>,
        query: &LineQuery,
        make: impl FnOnce(i64, &LineView<'_>, &super::line::Extracted) -> T,
    ) -> Option<T> {
        let row = row as usize;
        let index = Arc::clone(&self.index);
        let kind = index.kinds.get(*table.order.get(row)? as usize)?;
        let mut line = LineBuffer::default();
        let filled = self.fill(table, kind.shape, row, &mut line, budget);
        if filled != ControlFlow::Continue(true) {
            return None;
        }
        let view = line.view(&index, kind);
        let mut extracted = Vec::new();
        view.fits(query, &mut extracted);
        Some(make(table.times.get(row).copied()?, &view, &extracted))
    }
}

/// The line that is looked at.
#[derive(Default)]
struct LineBuffer {
    text: Vec<u8>,
    fields: Vec<(String, String)>,
    /// For a stream that is not there.
    none: Labels,
}

impl LineBuffer {
    fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
    }

    fn view<'a>(&'a self, index: &'a Index, kind: &Kind) -> LineView<'a> {
        LineView {
            text: &self.text,
            labels: index.streams.get(kind.stream as usize).unwrap_or(&self.none),
            level: level_of(kind.level),
            template: index.shapes.heads.get(kind.shape as usize).map_or(TemplateId(0), |s| s.template),
            fields: &self.fields,
        }
    }
}
