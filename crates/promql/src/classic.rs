//! `histogram_quantile` and `histogram_fraction`: over classic buckets (`le`) and over native histograms.

mod buckets;

use buckets::{Bucket, fraction, quantile};

use crate::QueryError;
use crate::call::{arg, text};
use crate::column::{Cell, Column, Grid};
use crate::eval::Evaluator;
use crate::names::{Index, Key, SAME_LABELS};
use crate::native::{self, Estimate, Nan, Native};
use crate::syntax::functions::Function;
use crate::syntax::number::format_number;
use crate::syntax::token::Span;
use crate::syntax::tree::{Call, Expr};
use wellkept_model::{Labels, METRIC_NAME};

/// The label that holds a bucket's upper bound.
const BOUND: &str = "le";

/// What is asked of each histogram, one value per step.
enum Question {
    Quantile(Vec<f64>),
    Fraction(Vec<f64>, Vec<f64>),
}

/// One histogram: its classic buckets by upper bound, or the column of its native form.
struct Source<'a> {
    labels: Labels,
    nameless: bool,
    buckets: Vec<(f64, &'a Column)>,
    native: Option<&'a Column>,
}

impl Evaluator<'_> {
    pub(crate) fn histogram_call(&self, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
        match call.signature.function {
            Function::HistogramQuantiles => self.quantiles(call, grid),
            Function::HistogramFraction => {
                let (lower, upper) = (self.scalar(arg(call, 0)?, grid)?, self.scalar(arg(call, 1)?, grid)?);
                let columns = self.vector(arg(call, 2)?, grid)?;
                let out = self.ask(&columns, &Question::Fraction(lower, upper), arg(call, 2)?, grid)?;
                self.drop_names(out)
            }
            _ => {
                let quantiles = self.scalar(arg(call, 0)?, grid)?;
                self.check_quantiles(&quantiles, arg(call, 0)?);
                let columns = self.vector(arg(call, 1)?, grid)?;
                let out = self.ask(&columns, &Question::Quantile(quantiles), arg(call, 1)?, grid)?;
                self.drop_names(out)
            }
        }
    }

    fn check_quantiles(&self, quantiles: &[f64], at: &Expr) {
        for bad in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            self.notes.bad_quantile(*bad, at.span());
        }
    }

    /// `histogram_quantiles(v, "label", q, …)`: one result per quantile, told apart by a label.
    fn quantiles(&self, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
        let columns = self.vector(arg(call, 0)?, grid)?;
        let label = text(call, 1)?;
        let mut out = Vec::new();
        for at in call.args.get(2..).unwrap_or_default() {
            let quantiles = self.scalar(at, grid)?;
            self.check_quantiles(&quantiles, at);
            let mut found =
                self.ask(&columns, &Question::Quantile(quantiles.clone()), arg(call, 0)?, grid)?;
            for column in &mut found {
                // The label tells the quantile of the first step; most are constant anyway.
                let value = format_number(quantiles.first().copied().unwrap_or(f64::NAN));
                let others = column.labels.iter().filter(|(name, _)| *name != label);
                column.labels = Labels::new(others.chain([(label, value.as_str())]));
            }
            out.extend(found);
        }
        let out = self.drop_names(out)?;
        self.merge(out, SAME_LABELS)
    }

    /// The answer of each histogram at each step.
    fn ask(
        &self,
        columns: &[Column],
        question: &Question,
        arg: &Expr,
        grid: Grid,
    ) -> Result<Vec<Column>, QueryError> {
        let mut out = Vec::new();
        let mut buckets = Vec::new();
        for source in self.sources(columns, arg.span()) {
            let mut column = self.column(source.labels.clone(), grid)?;
            column.nameless = source.nameless;
            let mut any = false;
            for step in 0..grid.count {
                buckets.clear();
                buckets.extend(source.buckets.iter().filter_map(|(upper, counts)| {
                    Some(Bucket { upper: *upper, count: counts.float(step)? })
                }));
                self.work(buckets.len() * 2 + 1)?;
                let native = source.native.and_then(|n| n.histogram(step));
                let answer = match (native, buckets.is_empty()) {
                    (Some(_), false) => {
                        let metric = source.labels.get(METRIC_NAME);
                        self.notes.warn(
                            arg.span(),
                            &format!(
                                "vector contains a mix of classic and native histograms for metric name {metric:?}"
                            ),
                        );
                        None
                    }
                    (Some(histogram), true) => {
                        let estimate = of_native(&Native::from(histogram.as_ref()), question, step);
                        self.tell(estimate, &source, arg.span());
                        Some(estimate.value)
                    }
                    (None, false) => Some(self.of_classic(&mut buckets, question, step, &source, arg)),
                    (None, true) => None,
                };
                if let Some(value) = answer {
                    any = true;
                    column.set(step, Cell::Float(value));
                }
            }
            if any {
                out.push(column);
            }
        }
        Ok(out)
    }

    /// Columns by histogram; floats without a usable bound are left out with a warning.
    fn sources<'c>(&self, columns: &'c [Column], span: Span) -> Vec<Source<'c>> {
        let mut index = Index::new(Key::Except(BOUND), 0);
        let mut natives = Index::new(Key::All, 0);
        let mut sources: Vec<Source<'c>> = Vec::new();
        let mut alone: Vec<Source<'c>> = Vec::new();
        for column in columns {
            let names = self.names(column);
            let has_floats = column.values.iter().any(|v| !crate::column::is_absent(*v));
            if has_floats {
                let bound = names.get(BOUND);
                match bound.parse::<f64>().ok().filter(|_| !bound.is_empty()) {
                    Some(upper) => {
                        let number = index.insert(names);
                        if let Some(source) = sources.get_mut(number) {
                            source.buckets.push((upper, column));
                        } else {
                            let labels = Key::Except(BOUND).labels(names);
                            let buckets = vec![(upper, column)];
                            sources.push(Source { labels, nameless: column.nameless, buckets, native: None });
                        }
                    }
                    None => self.bad_bound(bound, names.get(METRIC_NAME), span),
                }
            }
            if column.histograms.is_some() {
                let number = natives.insert(names);
                debug_assert_eq!(number, alone.len(), "series of a vector differ");
                let labels = names.to_labels();
                alone.push(Source {
                    labels,
                    nameless: column.nameless,
                    buckets: Vec::new(),
                    native: Some(column),
                });
            }
        }
        // A native histogram with the labels of a classic one stands beside it.
        for source in alone {
            match sources.iter_mut().find(|s| s.labels == source.labels && s.native.is_none()) {
                Some(classic) => classic.native = source.native,
                None => sources.push(source),
            }
        }
        sources
    }

    fn bad_bound(&self, bound: &str, metric: &str, span: Span) {
        self.notes.warn(
            span,
            &format!(
                "bucket label {BOUND:?} is missing or has a malformed value of {bound:?} for metric name {metric:?}"
            ),
        );
    }

    fn of_classic(
        &self,
        buckets: &mut Vec<Bucket>,
        question: &Question,
        step: usize,
        source: &Source<'_>,
        arg: &Expr,
    ) -> f64 {
        match question {
            Question::Fraction(lower, upper) => fraction(buckets, value(lower, step), value(upper, step)),
            Question::Quantile(q) => {
                let (value, forced) = quantile(value(q, step), buckets);
                if forced {
                    let metric = source.labels.get(METRIC_NAME);
                    self.notes.info(
                        arg.span(),
                        &format!(
                            "input to histogram_quantile needed to be fixed for monotonicity (see \
                             https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) \
                             for metric name {metric:?}"
                        ),
                    );
                }
                value
            }
        }
    }

    fn tell(&self, estimate: Estimate, source: &Source<'_>, span: Span) {
        let what = match estimate.note {
            None => return,
            Some(Nan::Result) => "input to histogram_quantile has NaN observations, result is NaN",
            Some(Nan::Skew) => "input to histogram_quantile has NaN observations, result is skewed higher",
            Some(Nan::Excluded) => {
                "input to histogram_fraction has NaN observations, which are excluded from all fractions"
            }
        };
        let metric = source.labels.get(METRIC_NAME);
        self.notes.info(span, &format!("{what} for metric name {metric:?}"));
    }
}

fn value(of: &[f64], step: usize) -> f64 {
    of.get(step).copied().unwrap_or(f64::NAN)
}

fn of_native(h: &Native, question: &Question, step: usize) -> Estimate {
    match question {
        Question::Quantile(q) => native::quantile(h, value(q, step)),
        Question::Fraction(lower, upper) => native::fraction(h, value(lower, step), value(upper, step)),
    }
}
