//! Functions of labels: `label_replace`, `label_join`, and sorting by them.

use std::cmp::Ordering;

use regex::Regex;
use wellkept_model::{Labels, METRIC_NAME};

use crate::QueryError;
use crate::call::{arg, text};
use crate::column::{Column, Grid};
use crate::eval::Evaluator;
use crate::names::{Names, SAME_LABELS};
use crate::syntax::tree::Call;

/// Longest label value that a function may build, bytes: `$1$1$1…` would otherwise multiply a text at will.
const LABEL_VALUE_MAX: usize = 64 << 10;

/// Work of one `label_replace`, in samples: a pattern and a replacement are about as much as a few dozen additions.
const REPLACE_COST: usize = 64;

impl Evaluator<'_> {
    pub(crate) fn label_replace(&self, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let columns = self.vector(arg(call, 0)?, grid)?;
        let (target, replacement, from) = (text(call, 1)?, text(call, 2)?, text(call, 3)?);
        // The parser has compiled the same pattern under the size limit of matchers.
        let pattern = Regex::new(&format!("^(?s:{})$", text(call, 4)?))
            .map_err(|e| QueryError::bad(format!("invalid regular expression in label_replace(): {e}")))?;
        self.relabel(columns, target, REPLACE_COST, |names| {
            let found = pattern.captures(names.get(from))?;
            let mut value = String::new();
            found.expand(replacement, &mut value);
            Some(value)
        })
    }

    pub(crate) fn label_join(&self, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let columns = self.vector(arg(call, 0)?, grid)?;
        let (target, separator) = (text(call, 1)?, text(call, 2)?);
        let from = (3..call.args.len()).map(|i| text(call, i)).collect::<Result<Vec<_>, _>>()?;
        self.relabel(columns, target, from.len(), |names| {
            let values: Vec<_> = from.iter().map(|name| names.get(name)).collect();
            Some(values.join(separator))
        })
    }

    /// Sets one label on every column for which `value` gives one; an empty value removes it. `cost` is the work of
    /// one call of `value`.
    fn relabel(
        &self,
        mut columns: Vec<Column>,
        target: &str,
        cost: usize,
        value: impl Fn(Names<'_>) -> Option<String>,
    ) -> Result<Vec<Column>, QueryError> {
        for column in &mut columns {
            self.work(cost)?;
            let names = self.names(column);
            let Some(value) = value(names) else { continue };
            if value.len() > LABEL_VALUE_MAX {
                return Err(QueryError::failed(format!(
                    "label {target} would get {} bytes; at most {LABEL_VALUE_MAX} are accepted",
                    value.len()
                )));
            }
            self.charge(value.len() / 8 + 1)?;
            let others = names.iter().filter(|(name, _)| *name != target);
            column.labels = Labels::new(others.chain([(target, value.as_str())]));
            // A name that was just set is not the one that was to go.
            column.nameless &= target != METRIC_NAME;
        }
        self.merge(columns, SAME_LABELS)
    }

    /// Sorted by the given labels, numbers inside them by their size; only a single step has an order.
    pub(crate) fn sorted_by_label(
        &self,
        call: &Call,
        grid: Grid,
        descending: bool,
    ) -> Result<Vec<Column>, QueryError> {
        let mut columns = self.vector(arg(call, 0)?, grid)?;
        let by = (1..call.args.len()).map(|i| text(call, i)).collect::<Result<Vec<_>, _>>()?;
        if grid.count == 1 {
            self.work(columns.len().saturating_mul(8))?;
            columns.sort_by(|a, b| {
                let (x, y) = (self.names(a), self.names(b));
                let by_label = by.iter().map(|name| natural(x.get(name), y.get(name))).find(|o| o.is_ne());
                let order = by_label.unwrap_or_else(|| x.iter().cmp(y.iter()));
                if descending { order.reverse() } else { order }
            });
        }
        Ok(columns)
    }
}

/// Order of texts in which numbers are compared by their size: `a2` before `a10`.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (x, y) = (chunk(a), chunk(b));
        if x.is_empty() || y.is_empty() {
            return x.len().cmp(&y.len()).then_with(|| a.len().cmp(&b.len()));
        }
        let digits = |t: &str| t.starts_with(|c: char| c.is_ascii_digit());
        let order = if digits(x) && digits(y) {
            let (m, n) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n)).then_with(|| y.len().cmp(&x.len()))
        } else {
            x.cmp(y)
        };
        if order.is_ne() {
            return order;
        }
        a = a.get(x.len()..).unwrap_or_default();
        b = b.get(y.len()..).unwrap_or_default();
    }
}

/// The longest start that is all digits or has none.
fn chunk(text: &str) -> &str {
    let digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digit).unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_are_compared_by_their_size() {
        let mut texts = ["a10", "a2", "b", "a", "", "a1b", "10", "9", "a02"];
        texts.sort_by(|a, b| natural(a, b));
        assert_eq!(texts, ["", "9", "10", "a", "a1b", "a02", "a2", "a10", "b"]);
    }
}
