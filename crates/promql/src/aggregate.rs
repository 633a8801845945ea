//! Aggregations over series: `sum`, `avg`, `count_values` and the like. Those that pick series lie in `top`.

use std::collections::HashMap;

use wellkept_model::Labels;

use crate::QueryError;
use crate::column::{Cell, Column, Grid};
use crate::eval::Evaluator;
use crate::names::{Index, Key, contains};
use crate::native::{Hints, Native, Total, display};
use crate::stats;
use crate::syntax::number::format_number;
use crate::syntax::tree::{Aggregate, AggregateOp, Expr};
use crate::totals;

/// Columns that are aggregated into one.
pub(crate) struct Group {
    pub(crate) labels: Labels,
    pub(crate) columns: Vec<Column>,
}

impl Evaluator<'_> {
    /// Evaluates an aggregation at all steps.
    pub(crate) fn aggregate(&self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Column>, QueryError> {
        use AggregateOp::{BottomK, LimitK, LimitRatio, TopK};
        let columns = self.vector(&aggregate.inner, grid)?;
        let params = match aggregate.param.as_ref().map(Expr::bare) {
            Some(Expr::Text { value, .. }) => {
                return self.count_values(self.groups(columns, aggregate), aggregate, value, grid);
            }
            Some(param) => self.scalar(param, grid)?,
            None => Vec::new(),
        };
        let groups = self.groups(columns, aggregate);
        match aggregate.op {
            TopK | BottomK | LimitK | LimitRatio => self.pick(groups, aggregate, &params, grid),
            _ => self.fold(&groups, aggregate, &params, grid),
        }
    }

    /// Groups in the order in which their first column comes.
    fn groups(&self, columns: Vec<Column>, aggregate: &Aggregate) -> Vec<Group> {
        let key =
            if aggregate.without { Key::Without(&aggregate.sorted) } else { Key::Only(&aggregate.sorted) };
        let mut index = Index::new(key, 0);
        let numbers: Vec<usize> = columns.iter().map(|c| index.insert(self.names(c))).collect();
        let mut groups: Vec<Group> =
            index.labels().map(|labels| Group { labels, columns: Vec::new() }).collect();
        for (column, number) in columns.into_iter().zip(numbers) {
            if let Some(group) = groups.get_mut(number) {
                group.columns.push(column);
            }
        }
        groups
    }

    fn fold(
        &self,
        groups: &[Group],
        aggregate: &Aggregate,
        params: &[f64],
        grid: Grid,
    ) -> Result<Vec<Column>, QueryError> {
        if let (AggregateOp::Quantile, Some(param)) = (aggregate.op, &aggregate.param) {
            for bad in params.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
                self.notes.bad_quantile(*bad, param.span());
            }
        }
        let mut scratch = Vec::new();
        let mut out = Vec::with_capacity(groups.len());
        for group in groups {
            let mut column = self.column(group.labels.clone(), grid)?;
            column.nameless = group.columns.first().is_some_and(|c| c.nameless);
            let mut any = false;
            let plain = group.columns.iter().all(|c| c.histograms.is_none());
            if plain && totals::is_total(aggregate.op) {
                self.work(group.columns.len().saturating_mul(grid.count))?;
                if totals::fold(&group.columns, aggregate.op, &mut column.values) {
                    out.push(column);
                }
                continue;
            }
            for step in 0..grid.count {
                self.work(group.columns.len() + 1)?;
                scratch.clear();
                scratch.extend(group.columns.iter().filter_map(|c| c.float(step)));
                let param = params.get(step).copied().unwrap_or(f64::NAN);
                let cell = if plain {
                    if scratch.is_empty() { Cell::None } else { floats(aggregate.op, &mut scratch, param) }
                } else {
                    self.mixed(group, aggregate, step, &mut scratch, param)
                };
                if !cell.is_none() {
                    any = true;
                    self.charge_cell(&cell)?;
                    column.set(step, cell);
                }
            }
            if any {
                out.push(column);
            }
        }
        Ok(out)
    }

    /// One step of a group that has histograms, perhaps beside floats.
    fn mixed(
        &self,
        group: &Group,
        aggregate: &Aggregate,
        step: usize,
        scratch: &mut [f64],
        param: f64,
    ) -> Cell {
        let span = aggregate.inner.span();
        let histograms = || group.columns.iter().filter_map(|c| c.histogram(step));
        let count = histograms().count();
        if count == 0 && scratch.is_empty() {
            return Cell::None;
        }
        match aggregate.op {
            AggregateOp::Sum | AggregateOp::Avg if count > 0 => {
                if !scratch.is_empty() {
                    let text = "encountered a mix of histograms and floats for aggregation";
                    self.notes.warn(span, text);
                    return Cell::None;
                }
                self.total(group, aggregate, step)
            }
            #[expect(clippy::cast_precision_loss, reason = "never 2^52 series")]
            AggregateOp::Count => Cell::Float((scratch.len() + count) as f64),
            AggregateOp::Group => Cell::Float(1.0),
            op => {
                if count > 0 {
                    self.notes.ignored_in_aggregation(op.name(), span);
                }
                if scratch.is_empty() { Cell::None } else { floats(op, scratch, param) }
            }
        }
    }

    /// Sum or mean of the histograms at a step.
    fn total(&self, group: &Group, aggregate: &Aggregate, step: usize) -> Cell {
        let span = aggregate.inner.span();
        let mut total: Option<Total> = None;
        let mut hints = Hints::default();
        for column in &group.columns {
            let Some(histogram) = column.histogram(step) else { continue };
            let next = Native::from(histogram.as_ref());
            hints.see(next.hint);
            let Some(total) = total.as_mut() else {
                total = Some(Total::new(next, aggregate.op == AggregateOp::Avg));
                continue;
            };
            self.notes.reconciled(total.so_far(), &next, "aggregation", span);
            if total.add(&next).is_err() {
                let metric = self.names(column).get(wellkept_model::METRIC_NAME);
                self.notes.mismatch(metric, span);
                return Cell::None;
            }
        }
        if hints.collide() {
            self.notes.collision("aggregation", span);
        }
        total.and_then(|t| t.finish().ok()).map_or(Cell::None, |t| Cell::Histogram(t.shared()))
    }

    fn count_values(
        &self,
        groups: Vec<Group>,
        aggregate: &Aggregate,
        label: &str,
        grid: Grid,
    ) -> Result<Vec<Column>, QueryError> {
        if label.is_empty() {
            return Err(QueryError::failed("invalid label name \"\""));
        }
        // `without` the label itself takes it away again.
        let keep = !aggregate.without || !contains(&aggregate.sorted, label);
        let mut seen: HashMap<Labels, usize> = HashMap::new();
        let mut out: Vec<Column> = Vec::new();
        for group in groups {
            for column in &group.columns {
                for step in 0..grid.count {
                    let text = match column.cell(step) {
                        Cell::None => continue,
                        Cell::Float(value) => format_number(value),
                        Cell::Histogram(histogram) => display(&histogram),
                    };
                    self.work(1)?;
                    let others = group.labels.iter().filter(|(name, _)| *name != label);
                    let labels = Labels::new(others.chain(keep.then_some((label, text.as_str()))));
                    let place = match seen.get(&labels) {
                        Some(place) => *place,
                        None => {
                            self.charge(text.len() / 8)?;
                            out.push(self.column(labels.clone(), grid)?);
                            seen.insert(labels, out.len() - 1);
                            out.len() - 1
                        }
                    };
                    if let Some(count) = out.get_mut(place) {
                        let so_far = count.float(step).unwrap_or(0.0);
                        count.set(step, Cell::Float(so_far + 1.0));
                    }
                }
            }
        }
        Ok(out)
    }
}

fn floats(op: AggregateOp, values: &mut [f64], param: f64) -> Cell {
    let all = values.iter().copied();
    Cell::Float(match op {
        AggregateOp::Sum => stats::sum(all),
        AggregateOp::Avg => stats::mean(all),
        AggregateOp::Min => stats::min(all),
        AggregateOp::Max => stats::max(all),
        #[expect(clippy::cast_precision_loss, reason = "never 2^52 series")]
        AggregateOp::Count => values.len() as f64,
        AggregateOp::Group => 1.0,
        AggregateOp::Stddev => stats::spread(all).sqrt(),
        AggregateOp::Stdvar => stats::spread(all),
        AggregateOp::Quantile => stats::quantile(param, values),
        // These are no folds; `aggregate` sends them elsewhere.
        _ => f64::NAN,
    })
}
