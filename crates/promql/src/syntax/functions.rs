//! The functions we have: names, arguments, results. How they are evaluated lies in `call` and its neighbours.

use crate::calendar;
use crate::syntax::tree::Kind;

/// How a function is evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Function {
    /// Each float of a vector by itself; the name goes.
    Map(fn(f64) -> f64),
    /// Each series' window at each step.
    Window(WindowFn),
    /// The UTC calendar of seconds since the epoch; of the step when there is no argument.
    Calendar(fn(i64) -> f64),
    /// One number out of each native histogram.
    HistogramPart(Part),
    Absent,
    AbsentOverTime,
    Clamp,
    ClampMin,
    ClampMax,
    HistogramFraction,
    HistogramQuantile,
    HistogramQuantiles,
    Info,
    LabelJoin,
    LabelReplace,
    Pi,
    QueryEnd,
    QueryRange,
    QueryStart,
    QueryStep,
    Round,
    Scalar,
    Sort,
    SortDesc,
    SortByLabel,
    SortByLabelDesc,
    Time,
    Timestamp,
    Vector,
}

/// What a histogram is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Avg,
    Count,
    Sum,
    Stddev,
    Stdvar,
}

/// A function of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowFn {
    Rate,
    Increase,
    Delta,
    Irate,
    Idelta,
    Resets,
    Changes,
    Deriv,
    PredictLinear,
    DoubleExponentialSmoothing,
    Avg,
    Sum,
    Min,
    Max,
    Count,
    /// `Count` where each value is a number of samples.
    Tally,
    Present,
    Stddev,
    Stdvar,
    Quantile,
    Mad,
    First,
    Last,
    TsOfFirst,
    TsOfLast,
    TsOfMin,
    TsOfMax,
}

impl WindowFn {
    /// Whether the result is still a value of the series itself.
    pub(crate) fn keeps_name(self) -> bool {
        matches!(self, Self::First | Self::Last)
    }

    /// Whether Prometheus looks at the metric's name for a sign that it is a counter.
    pub(crate) fn wants_counter(self) -> bool {
        matches!(self, Self::Rate | Self::Increase)
    }
}

/// A function as the parser checks it.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) function: Function,
    pub(crate) args: &'static [Kind],
    /// How often the last argument may be repeated beyond none: 0 exactly once, -1 any number of times.
    pub(crate) variadic: i32,
    pub(crate) returns: Kind,
}

impl Signature {
    /// The kind of each argument, as many as there may be.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = Kind> {
        let last = self.args.last().copied().filter(|_| self.variadic != 0);
        self.args.iter().copied().chain(std::iter::repeat_n(last, 1 << 16).flatten())
    }
}

/// The function with this name, when we have it.
pub(crate) fn find(name: &str) -> Option<&'static Signature> {
    TABLE.iter().find(|s| s.name == name)
}

const fn plain(name: &'static str, function: Function, args: &'static [Kind], returns: Kind) -> Signature {
    Signature { name, function, args, variadic: 0, returns }
}

const fn repeated(name: &'static str, function: Function, args: &'static [Kind], variadic: i32) -> Signature {
    Signature { name, function, args, variadic, returns: Kind::Vector }
}

const fn map(name: &'static str, f: fn(f64) -> f64) -> Signature {
    plain(name, Function::Map(f), &[Kind::Vector], Kind::Vector)
}

const fn window(name: &'static str, f: WindowFn) -> Signature {
    plain(name, Function::Window(f), &[Kind::Range], Kind::Vector)
}

const fn part(name: &'static str, part: Part) -> Signature {
    plain(name, Function::HistogramPart(part), &[Kind::Vector], Kind::Vector)
}

const fn calendar(name: &'static str, f: fn(i64) -> f64) -> Signature {
    repeated(name, Function::Calendar(f), &[Kind::Vector], 1)
}

const fn constant(name: &'static str, function: Function) -> Signature {
    plain(name, function, &[], Kind::Scalar)
}

fn sgn(v: f64) -> f64 {
    if v < 0.0 {
        -1.0
    } else if v > 0.0 {
        1.0
    } else {
        v
    }
}

fn degrees(v: f64) -> f64 {
    v * 180.0 / std::f64::consts::PI
}

fn radians(v: f64) -> f64 {
    v * std::f64::consts::PI / 180.0
}

/// By the logarithms that define it, with the branches of FreeBSD's `s_asinh.c`. That of the standard library needs
/// `hypot` of glibc 2.35, and with it alone our program would not start on systems with 2.34.
fn asinh(v: f64) -> f64 {
    const HUGE: f64 = (1u64 << 28) as f64;
    let size = v.abs();
    let root = || (size * size + 1.0).sqrt();
    let found = if size > HUGE {
        size.ln() + std::f64::consts::LN_2
    } else if size > 2.0 {
        (2.0 * size + 1.0 / (root() + size)).ln()
    } else {
        (size + size * size / (1.0 + root())).ln_1p()
    };
    found.copysign(v)
}

use Kind::{Range, Scalar, Text, Vector};

static TABLE: &[Signature] = &[
    map("abs", f64::abs),
    map("acos", f64::acos),
    map("acosh", f64::acosh),
    map("asin", f64::asin),
    map("asinh", asinh),
    map("atan", f64::atan),
    map("atanh", f64::atanh),
    map("ceil", f64::ceil),
    map("cos", f64::cos),
    map("cosh", f64::cosh),
    map("deg", degrees),
    map("exp", f64::exp),
    map("floor", f64::floor),
    map("ln", f64::ln),
    map("log10", f64::log10),
    map("log2", f64::log2),
    map("rad", radians),
    map("sgn", sgn),
    map("sin", f64::sin),
    map("sinh", f64::sinh),
    map("sqrt", f64::sqrt),
    map("tan", f64::tan),
    map("tanh", f64::tanh),
    window("avg_over_time", WindowFn::Avg),
    window("changes", WindowFn::Changes),
    window("count_over_time", WindowFn::Count),
    window("delta", WindowFn::Delta),
    window("deriv", WindowFn::Deriv),
    window("first_over_time", WindowFn::First),
    window("idelta", WindowFn::Idelta),
    window("increase", WindowFn::Increase),
    window("irate", WindowFn::Irate),
    window("last_over_time", WindowFn::Last),
    window("mad_over_time", WindowFn::Mad),
    window("max_over_time", WindowFn::Max),
    window("min_over_time", WindowFn::Min),
    window("present_over_time", WindowFn::Present),
    window("rate", WindowFn::Rate),
    window("resets", WindowFn::Resets),
    window("stddev_over_time", WindowFn::Stddev),
    window("stdvar_over_time", WindowFn::Stdvar),
    window("sum_over_time", WindowFn::Sum),
    window("ts_of_first_over_time", WindowFn::TsOfFirst),
    window("ts_of_last_over_time", WindowFn::TsOfLast),
    window("ts_of_max_over_time", WindowFn::TsOfMax),
    window("ts_of_min_over_time", WindowFn::TsOfMin),
    plain("predict_linear", Function::Window(WindowFn::PredictLinear), &[Range, Scalar], Vector),
    plain("quantile_over_time", Function::Window(WindowFn::Quantile), &[Scalar, Range], Vector),
    plain(
        "double_exponential_smoothing",
        Function::Window(WindowFn::DoubleExponentialSmoothing),
        &[Range, Scalar, Scalar],
        Vector,
    ),
    calendar("day_of_month", calendar::day_of_month),
    calendar("day_of_week", calendar::day_of_week),
    calendar("day_of_year", calendar::day_of_year),
    calendar("days_in_month", calendar::days_in_month),
    calendar("hour", calendar::hour),
    calendar("minute", calendar::minute),
    calendar("month", calendar::month),
    calendar("year", calendar::year),
    part("histogram_avg", Part::Avg),
    part("histogram_count", Part::Count),
    part("histogram_stddev", Part::Stddev),
    part("histogram_stdvar", Part::Stdvar),
    part("histogram_sum", Part::Sum),
    plain("absent", Function::Absent, &[Vector], Vector),
    plain("absent_over_time", Function::AbsentOverTime, &[Range], Vector),
    plain("clamp", Function::Clamp, &[Vector, Scalar, Scalar], Vector),
    plain("clamp_max", Function::ClampMax, &[Vector, Scalar], Vector),
    plain("clamp_min", Function::ClampMin, &[Vector, Scalar], Vector),
    plain("histogram_fraction", Function::HistogramFraction, &[Scalar, Scalar, Vector], Vector),
    plain("histogram_quantile", Function::HistogramQuantile, &[Scalar, Vector], Vector),
    repeated("histogram_quantiles", Function::HistogramQuantiles, &[Vector, Text, Scalar, Scalar], 9),
    repeated("info", Function::Info, &[Vector, Vector], 1),
    plain("label_replace", Function::LabelReplace, &[Vector, Text, Text, Text, Text], Vector),
    repeated("label_join", Function::LabelJoin, &[Vector, Text, Text, Text], -1),
    repeated("round", Function::Round, &[Vector, Scalar], 1),
    plain("scalar", Function::Scalar, &[Vector], Scalar),
    plain("sort", Function::Sort, &[Vector], Vector),
    plain("sort_desc", Function::SortDesc, &[Vector], Vector),
    repeated("sort_by_label", Function::SortByLabel, &[Vector, Text], -1),
    repeated("sort_by_label_desc", Function::SortByLabelDesc, &[Vector, Text], -1),
    plain("timestamp", Function::Timestamp, &[Vector], Vector),
    plain("vector", Function::Vector, &[Scalar], Vector),
    constant("pi", Function::Pi),
    constant("time", Function::Time),
    constant("start", Function::QueryStart),
    constant("end", Function::QueryEnd),
    constant("range", Function::QueryRange),
    constant("step", Function::QueryStep),
];

#[cfg(test)]
mod tests {
    use super::asinh;

    #[test]
    fn asinh_agrees_with_the_standard_library_everywhere() {
        let sizes = (-300..300).map(|power| 10f64.powi(power) * 1.234_567);
        for v in sizes.chain([0.0, 0.5, 1.0, 2.0, 2.000_1, 268_435_456.0, f64::MIN_POSITIVE]) {
            for v in [v, -v] {
                let (ours, theirs) = (asinh(v), v.asinh());
                assert!((ours - theirs).abs() <= 1e-15 * theirs.abs(), "{v}: {ours} is not {theirs}");
            }
        }
        assert!(asinh(f64::NAN).is_nan());
        assert_eq!(asinh(f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert!(asinh(-0.0).is_sign_negative());
    }
}
