//! The functions we have: names, arguments, results.

use crate::QueryError;
use crate::calendar;
use crate::expr::{Call, Expr, Kind};
use crate::guard;
use crate::window::{self, WindowFn};

/// How a function is evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Function {
    /// Each value of a vector by itself; the name goes.
    Map(fn(f64) -> f64),
    /// Each series' window at each step.
    Window(WindowCall),
    /// The UTC calendar of seconds since the epoch; of the step when there is no argument.
    Calendar(fn(i64) -> f64),
    Absent,
    AbsentOverTime,
    Clamp,
    ClampMin,
    ClampMax,
    HistogramQuantile,
    LabelJoin,
    LabelReplace,
    Pi,
    Round,
    Scalar,
    Sort,
    SortDesc,
    Time,
    Timestamp,
    Vector,
}

/// A function of windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowCall {
    pub(crate) apply: WindowFn,
    /// Whether the result is still a value of the series itself.
    pub(crate) keeps_name: bool,
}

/// A function as `lower` checks it.
#[derive(Debug)]
pub(crate) struct Signature {
    name: &'static str,
    pub(crate) function: Function,
    pub(crate) args: &'static [Kind],
    /// How many arguments may not be left out.
    pub(crate) required: usize,
    /// Whether the last argument may come any number of times.
    pub(crate) repeats_last: bool,
    pub(crate) returns: Kind,
}

impl Signature {
    /// The number of arguments in words.
    pub(crate) fn expected(&self) -> String {
        match (self.repeats_last, self.required == self.args.len()) {
            (true, _) => format!("at least {}", self.required),
            (false, true) => self.required.to_string(),
            (false, false) => format!("{} to {}", self.required, self.args.len()),
        }
    }
}

/// The function with this name, when we have it.
pub(crate) fn find(name: &str) -> Option<&'static Signature> {
    TABLE.iter().find(|s| s.name == name)
}

/// Checks text arguments that can be wrong in themselves, so that a bad one is refused before data is read.
pub(crate) fn check_texts(call: &Call) -> Result<(), QueryError> {
    let text = |i: usize| match call.args.get(i) {
        Some(Expr::Text(text)) => text.as_str(),
        _ => "",
    };
    match call.function {
        Function::LabelReplace => {
            guard::matcher("pattern", wellkept_model::MatchOp::Regex, text(4))?;
            label_name(text(1), "label_replace()")
        }
        Function::LabelJoin => label_name(text(1), "label_join()"),
        _ => Ok(()),
    }
}

fn label_name(name: &str, place: &str) -> Result<(), QueryError> {
    if name.is_empty() {
        return Err(QueryError::bad(format!("invalid destination label name in {place}: it is empty")));
    }
    Ok(())
}

const fn plain(name: &'static str, function: Function, args: &'static [Kind], returns: Kind) -> Signature {
    Signature { name, function, args, required: args.len(), repeats_last: false, returns }
}

const fn map(name: &'static str, f: fn(f64) -> f64) -> Signature {
    plain(name, Function::Map(f), &[Kind::Vector], Kind::Vector)
}

const fn of_range(name: &'static str, apply: WindowFn) -> Signature {
    plain(name, Function::Window(WindowCall { apply, keeps_name: false }), &[Kind::Range], Kind::Vector)
}

const fn pick(name: &'static str, apply: WindowFn) -> Signature {
    plain(name, Function::Window(WindowCall { apply, keeps_name: true }), &[Kind::Range], Kind::Vector)
}

const fn of_range_and_scalar(name: &'static str, apply: WindowFn, args: &'static [Kind]) -> Signature {
    plain(name, Function::Window(WindowCall { apply, keeps_name: false }), args, Kind::Vector)
}

const fn calendar(name: &'static str, f: fn(i64) -> f64) -> Signature {
    let args = &[Kind::Vector];
    Signature {
        name,
        function: Function::Calendar(f),
        args,
        required: 0,
        repeats_last: false,
        returns: Kind::Vector,
    }
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

use Kind::{Range, Scalar, Text, Vector};

static TABLE: &[Signature] = &[
    map("abs", f64::abs),
    map("acos", f64::acos),
    map("acosh", f64::acosh),
    map("asin", f64::asin),
    map("asinh", f64::asinh),
    map("atan", f64::atan),
    map("atanh", f64::atanh),
    map("ceil", f64::ceil),
    map("cos", f64::cos),
    map("cosh", f64::cosh),
    map("deg", f64::to_degrees),
    map("exp", f64::exp),
    map("floor", f64::floor),
    map("ln", f64::ln),
    map("log10", f64::log10),
    map("log2", f64::log2),
    map("rad", f64::to_radians),
    map("sgn", sgn),
    map("sin", f64::sin),
    map("sinh", f64::sinh),
    map("sqrt", f64::sqrt),
    map("tan", f64::tan),
    map("tanh", f64::tanh),
    of_range("avg_over_time", window::avg_over_time),
    of_range("changes", window::changes),
    of_range("count_over_time", window::count_over_time),
    of_range("delta", window::delta),
    of_range("deriv", window::deriv),
    of_range("idelta", window::idelta),
    of_range("increase", window::increase),
    of_range("irate", window::irate),
    of_range("mad_over_time", window::mad_over_time),
    of_range("max_over_time", window::max_over_time),
    of_range("min_over_time", window::min_over_time),
    of_range("present_over_time", window::present_over_time),
    of_range("rate", window::rate),
    of_range("resets", window::resets),
    of_range("stddev_over_time", window::stddev_over_time),
    of_range("stdvar_over_time", window::stdvar_over_time),
    of_range("sum_over_time", window::sum_over_time),
    of_range_and_scalar("predict_linear", window::predict_linear, &[Range, Scalar]),
    of_range_and_scalar("quantile_over_time", window::quantile_over_time, &[Scalar, Range]),
    pick("first_over_time", window::first_over_time),
    pick("last_over_time", window::last_over_time),
    calendar("day_of_month", calendar::day_of_month),
    calendar("day_of_week", calendar::day_of_week),
    calendar("day_of_year", calendar::day_of_year),
    calendar("days_in_month", calendar::days_in_month),
    calendar("hour", calendar::hour),
    calendar("minute", calendar::minute),
    calendar("month", calendar::month),
    calendar("year", calendar::year),
    plain("absent", Function::Absent, &[Vector], Vector),
    plain("absent_over_time", Function::AbsentOverTime, &[Range], Vector),
    plain("clamp", Function::Clamp, &[Vector, Scalar, Scalar], Vector),
    plain("clamp_max", Function::ClampMax, &[Vector, Scalar], Vector),
    plain("clamp_min", Function::ClampMin, &[Vector, Scalar], Vector),
    plain("histogram_quantile", Function::HistogramQuantile, &[Scalar, Vector], Vector),
    plain("label_replace", Function::LabelReplace, &[Vector, Text, Text, Text, Text], Vector),
    plain("pi", Function::Pi, &[], Scalar),
    plain("scalar", Function::Scalar, &[Vector], Scalar),
    plain("sort", Function::Sort, &[Vector], Vector),
    plain("sort_desc", Function::SortDesc, &[Vector], Vector),
    plain("time", Function::Time, &[], Scalar),
    plain("timestamp", Function::Timestamp, &[Vector], Vector),
    plain("vector", Function::Vector, &[Scalar], Vector),
    Signature {
        name: "label_join",
        function: Function::LabelJoin,
        args: &[Vector, Text, Text, Text],
        required: 3,
        repeats_last: true,
        returns: Vector,
    },
    Signature {
        name: "round",
        function: Function::Round,
        args: &[Vector, Scalar],
        required: 1,
        repeats_last: false,
        returns: Vector,
    },
];
