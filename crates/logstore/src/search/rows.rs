//! The rows of a segment: time, kind and place of each, and all of them at once for those who write them anew.

use std::ops::Range;
use std::sync::Arc;

use crate::cache::Part;
use crate::codec::Corrupt;
use crate::column::Column;
use crate::head::{Head, level_of};
use crate::index::{Index, Param, SegmentShape};
use crate::pack::Pack;
use crate::segment::{ReadError, Segment, columns, write_param};
use crate::store::LogStore;

/// Time, kind and place of every row.
pub(crate) struct RowTable {
    pub(crate) times: Vec<i64>,
    pub(crate) order: Vec<u32>,
    /// How many rows before have the same shape.
    pub(crate) place: Vec<u32>,
    /// Where the rows of each shape begin in `by_shape`.
    starts: Vec<u32>,
    by_shape: Vec<u32>,
}

impl RowTable {
    pub(crate) fn new(index: &Index, times: Vec<i64>, order: Vec<u32>) -> Self {
        let mut starts = Vec::with_capacity(index.shapes.len() + 1);
        let mut sum = 0;
        for shape in &index.shapes.heads {
            starts.push(sum);
            sum += shape.rows;
        }
        starts.push(sum);
        let mut next = starts.clone();
        let mut by_shape = vec![0; order.len()];
        let mut place = Vec::with_capacity(order.len());
        for (row, &kind) in order.iter().enumerate() {
            let shape = index.kinds.get(kind as usize).map_or(0, |k| k.shape as usize);
            let start = starts.get(shape).copied().unwrap_or(0);
            if let Some(at) = next.get_mut(shape) {
                place.push(*at - start);
                if let Some(cell) = by_shape.get_mut(*at as usize) {
                    *cell = row as u32;
                }
                *at += 1;
            }
        }
        Self { times, order, place, starts, by_shape }
    }

    /// The rows of a shape, in order.
    pub(crate) fn of_shape(&self, shape: usize) -> &[u32] {
        let start = self.starts.get(shape).copied().unwrap_or(0) as usize;
        let end = self.starts.get(shape + 1).copied().unwrap_or(0) as usize;
        self.by_shape.get(start..end).unwrap_or_default()
    }

    pub(crate) fn memory(&self) -> usize {
        self.times.len() * 20 + self.starts.len() * 4
    }
}

impl LogStore {
    /// The index of a segment; a damaged segment is set aside.
    pub(crate) fn index_or_set_aside(&self, segment: &Arc<Segment>) -> Option<Arc<Index>> {
        let read = self.cache.get(segment.header.number, Part::Index, || {
            let index = segment.index()?;
            let memory = index.memory();
            Ok::<_, ReadError>((index, memory))
        });
        read.map_err(|e| self.set_aside(segment, &e.to_string())).ok()
    }

    pub(crate) fn rows_or_set_aside(&self, segment: &Arc<Segment>, index: &Index) -> Option<Arc<RowTable>> {
        let read = self.cache.get(segment.header.number, Part::Rows, || {
            let table = RowTable::new(index, segment.times(index)?, segment.order(index)?);
            let memory = table.memory();
            Ok::<_, ReadError>((table, memory))
        });
        read.map_err(|e| self.set_aside(segment, &e.to_string())).ok()
    }

    /// All lines of some streams of a segment, into a head.
    pub(crate) fn read_whole(
        &self,
        segment: &Arc<Segment>,
        is_kept: &dyn Fn(u32) -> bool,
        head: &mut Head,
    ) -> Result<(), ReadError> {
        let index = segment.index()?;
        let table = RowTable::new(&index, segment.times(&index)?, segment.order(&index)?);
        let mut packs: Vec<Option<Arc<Pack>>> = vec![None; index.packs.len()];
        let mut all = Vec::with_capacity(index.shapes.len());
        for (number, shape) in index.shapes.iter().enumerate() {
            let times: Vec<i64> =
                table.of_shape(number).iter().filter_map(|&r| table.times.get(r as usize).copied()).collect();
            if shape.params.iter().all(|p| matches!(p, Param::Constant(_))) {
                all.push((Arc::new(shape.unrefined()), shape.params.iter().map(|_| None).collect()));
                continue;
            }
            let pack = match packs.get_mut(shape.pack) {
                Some(Some(pack)) => Arc::clone(pack),
                Some(place) => Arc::clone(place.insert(Arc::new(segment.pack(&index, shape.pack)?))),
                None => return Err(Corrupt("a shape names an unknown pack").into()),
            };
            all.push((Arc::new(shape.unrefined()), columns(shape, &pack, &times)?));
        }
        let mut text = Vec::new();
        for (row, (&at_ns, &kind)) in table.times.iter().zip(&table.order).enumerate() {
            let Some(kind) = index.kinds.get(kind as usize).filter(|k| is_kept(k.stream)) else { continue };
            let place = table.place.get(row).copied().unwrap_or(0) as usize;
            let (Some(shape), Some((shared, columns)), Some(labels)) = (
                index.shapes.get(kind.shape as usize),
                all.get(kind.shape as usize),
                index.streams.get(kind.stream as usize),
            ) else {
                continue;
            };
            let params = params_of(shape, columns, place, &mut text);
            let fields = fields_of(shape, columns, place);
            let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let line = wellkept_model::LogLine {
                at_ns,
                labels,
                level: level_of(kind.level),
                text: &text,
                fields: &fields,
            };
            head.push(&line, shared, &params);
        }
        Ok(())
    }
}

/// Writes the text of a row; gives where the parameters of its template stand.
fn params_of(
    shape: &SegmentShape,
    columns: &[Option<Column>],
    place: usize,
    text: &mut Vec<u8>,
) -> Vec<Range<u32>> {
    text.clear();
    let mut out = Vec::with_capacity(shape.shape.kinds.len());
    let mut params = shape.params.iter().enumerate().take(shape.shape.kinds.len());
    for literal in &shape.shape.literals {
        text.extend_from_slice(literal);
        if let Some((i, param)) = params.next() {
            let start = text.len() as u32;
            write_param(param, columns.get(i).and_then(Option::as_ref), place, text);
            let end = text.len() as u32;
            match out.last_mut() {
                Some(Range { end: last, .. }) if shape.joined.get(i) == Some(&true) => *last = end,
                _ => out.push(start..end),
            }
        }
    }
    out
}

/// Fields of a row.
pub(crate) fn fields_of(
    shape: &SegmentShape,
    columns: &[Option<Column>],
    place: usize,
) -> Vec<(String, String)> {
    let first = shape.shape.kinds.len();
    let params = shape.params.iter().enumerate().skip(first);
    let value = |(i, param)| {
        let mut value = Vec::new();
        write_param(param, columns.get(i).and_then(Option::as_ref), place, &mut value);
        String::from_utf8_lossy(&value).into_owned()
    };
    shape.keys.iter().cloned().zip(params.map(value)).collect()
}
