//! `info(v, {…})`: joins the labels of info metrics such as `target_info` to series of the same target.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wellkept_model::{Labels, METRIC_NAME, MatchOp, Matcher};

use crate::QueryError;
use crate::call::arg;
use crate::column::{Cell, Column, Grid};
use crate::eval::Evaluator;
use crate::names::SAME_LABELS;
use crate::select::Pick;
use crate::syntax::tree::{Call, Expr, Shift};

/// Labels that say which target a series is from: fixed in Prometheus, too.
const IDENTITY: [&str; 2] = ["instance", "job"];

/// The info metric when none is named.
const TARGET_INFO: &str = "target_info";

/// What an info series is found by: its metric's name and its target.
type Key<'a> = (&'a str, [&'a str; 2]);

fn identity(labels: &Labels) -> [&str; 2] {
    IDENTITY.map(|name| labels.get(name))
}

impl Evaluator<'_> {
    pub(crate) fn info(&self, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let base = self.vector(arg(call, 0)?, grid)?;
        let mut matchers = match call.args.get(1).map(Expr::bare) {
            Some(Expr::Vector(selector)) => selector.matchers.clone(),
            _ => Vec::new(),
        };
        let data: BTreeSet<String> =
            matchers.iter().map(|m| m.name().to_owned()).filter(|n| n != METRIC_NAME).collect();
        let optional = matchers.iter().filter(|m| m.name() != METRIC_NAME).all(|m| m.matches(""));
        if matchers.iter().all(|m| m.name() != METRIC_NAME) {
            matchers.push(equal(METRIC_NAME, TARGET_INFO)?);
        }
        let is_info = |column: &Column| {
            let name = self.names(column).get(METRIC_NAME);
            matchers.iter().any(|m| m.name() == METRIC_NAME && m.matches(name))
        };
        let (infos, base): (Vec<Column>, Vec<Column>) = base.into_iter().partition(is_info);
        let found = self.info_series(&base, matchers, grid)?;
        let mut join = Join { eval: self, grid, data, optional, out: infos };
        let by_key = join.by_key(&found)?;
        for column in base {
            join.one(&column, &found, &by_key)?;
        }
        self.merge(join.out, SAME_LABELS)
    }

    /// The times of the info series of the base's targets; nothing when no base tells its target.
    fn info_series(
        &self,
        base: &[Column],
        mut matchers: Vec<Matcher>,
        grid: Grid,
    ) -> Result<Vec<Column>, QueryError> {
        let mut any = false;
        for name in IDENTITY {
            let values: BTreeSet<&str> =
                base.iter().map(|c| c.labels.get(name)).filter(|v| !v.is_empty()).collect();
            any |= !values.is_empty();
            // One target is asked for by its name; of many, those that do not fit are left out later.
            if let (Some(value), 1) = (values.first(), values.len()) {
                matchers.push(equal(name, value)?);
            }
        }
        if !any {
            return Ok(Vec::new());
        }
        self.matched(&matchers, self.fixed(&Shift::default())?, grid, Pick::Time)
    }
}

fn equal(name: &str, value: &str) -> Result<Matcher, QueryError> {
    Matcher::new(name, MatchOp::Equal, value).map_err(|e| QueryError::bad(e.to_string()))
}

struct Join<'e> {
    eval: &'e Evaluator<'e>,
    grid: Grid,
    /// Only these labels are joined, when there are any.
    data: BTreeSet<String>,
    /// Whether a series without any joined label stays.
    optional: bool,
    out: Vec<Column>,
}

impl Join<'_> {
    fn by_key<'f>(&self, found: &'f [Column]) -> Result<BTreeMap<Key<'f>, Vec<usize>>, QueryError> {
        let mut by_key: BTreeMap<Key<'f>, Vec<usize>> = BTreeMap::new();
        for (place, column) in found.iter().enumerate() {
            self.eval.work(1)?;
            by_key.entry((column.labels.name(), identity(&column.labels))).or_default().push(place);
        }
        Ok(by_key)
    }

    /// Joins the info series of one base series: another set of labels wherever another one is the newest.
    fn one(
        &mut self,
        base: &Column,
        found: &[Column],
        by_key: &BTreeMap<Key<'_>, Vec<usize>>,
    ) -> Result<(), QueryError> {
        let names: BTreeSet<&str> = by_key.keys().map(|(name, _)| *name).collect();
        let target = identity(&base.labels);
        let of_target: Vec<(&str, &Vec<usize>)> =
            names.into_iter().filter_map(|name| Some((name, by_key.get(&(name, target))?))).collect();
        let mut places: HashMap<Vec<usize>, Option<usize>> = HashMap::new();
        for step in (0..self.grid.count).filter(|step| base.has(*step)) {
            self.eval.work(of_target.len() * 4 + 1)?;
            let mut newest = Vec::new();
            for (name, places) in &of_target {
                newest.extend(self.newest(found, places, step, name)?);
            }
            let place = match places.get(&newest) {
                Some(place) => *place,
                None => {
                    let place = self.joined(base, found, &newest)?;
                    places.insert(newest, place);
                    place
                }
            };
            if let Some(column) = place.and_then(|p| self.out.get_mut(p)) {
                column.set(step, base.cell(step));
            }
        }
        Ok(())
    }

    /// The info series with the newest sample at a step.
    fn newest(
        &self,
        found: &[Column],
        places: &[usize],
        step: usize,
        name: &str,
    ) -> Result<Option<usize>, QueryError> {
        let mut best: Option<(f64, usize)> = None;
        for place in places {
            let cell = found.get(*place).map_or(Cell::None, |c| c.cell(step));
            let Cell::Float(at) = cell else { continue };
            match best {
                #[expect(clippy::float_cmp, reason = "times are whole milliseconds")]
                Some((newest, _)) if newest == at => {
                    return Err(QueryError::failed(format!("found duplicate series for info metric {name}")));
                }
                Some((newest, _)) if newest > at => {}
                _ => best = Some((at, *place)),
            }
        }
        Ok(best.map(|(_, place)| place))
    }

    /// The column for a base series with the labels of these info series; nothing where it has to go.
    fn joined(
        &mut self,
        base: &Column,
        found: &[Column],
        newest: &[usize],
    ) -> Result<Option<usize>, QueryError> {
        let own = self.eval.names(base);
        let mut added: BTreeMap<&str, &str> = BTreeMap::new();
        for info in newest.iter().filter_map(|place| found.get(*place)) {
            for (name, value) in info.labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
                if !self.data.is_empty() && !self.data.contains(name) {
                    continue;
                }
                if added.get(name).is_some_and(|other| *other != value) {
                    return Err(QueryError::failed(format!("conflicting label: {name}")));
                }
                if own.get(name).is_empty() {
                    added.insert(name, value);
                }
            }
        }
        if added.is_empty() && !self.optional {
            return Ok(None);
        }
        let labels = Labels::new(own.iter().chain(added));
        let mut column = self.eval.column(labels, self.grid)?;
        column.nameless = base.nameless;
        self.out.push(column);
        Ok(Some(self.out.len() - 1))
    }
}
