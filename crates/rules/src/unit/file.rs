//! The unit-test file, checked as it is read.

use std::time::Duration;

use wellkept_model::{Labels, Text, TimestampMs};
use wellkept_yamltree::At;

use super::series;
use crate::ask::{self, Point};
use crate::problem::{FileErrors, Problems, short};
use crate::time::parse_instant;
use crate::yaml::{self, Fields, Node, ReadFields, ReadNode};

/// Most evaluations of one test.
const EVALUATIONS_MAX: u128 = 100_000;
/// Most values of all series of one test.
const VALUES_MAX: usize = 5_000_000;
/// Interval where none is told, as in promtool.
const INTERVAL: Duration = Duration::from_secs(60);

const FILE_KEYS: [&str; 5] =
    ["rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare"];
const TEST_KEYS: [&str; 8] = [
    "name",
    "start_timestamp",
    "interval",
    "input_series",
    "alert_rule_test",
    "promql_expr_test",
    "external_labels",
    "external_url",
];

/// A unit-test file.
#[derive(Debug)]
pub(crate) struct TestFile {
    /// Patterns with their places.
    pub(crate) rule_files: Vec<(String, At)>,
    pub(crate) evaluation_interval: Duration,
    pub(crate) order: Vec<String>,
    pub(crate) fuzzy: bool,
    pub(crate) tests: Vec<Test>,
}

#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) interval: Duration,
    /// The instant that all others count from.
    pub(crate) start: TimestampMs,
    /// Values one interval apart, from the start.
    pub(crate) series: Vec<(Labels, Vec<Option<Point>>)>,
    pub(crate) alerts: Vec<AlertCase>,
    pub(crate) exprs: Vec<ExprCase>,
    pub(crate) external_labels: Labels,
    pub(crate) external_url: String,
}

impl Test {
    /// The latest instant that a case asks for.
    pub(crate) fn end(&self) -> Duration {
        let alerts = self.alerts.iter().map(|c| c.at);
        alerts.chain(self.exprs.iter().map(|c| c.at)).max().unwrap_or_default()
    }
}

/// Pairs of names and values, sorted by name.
pub(crate) type Pairs = Vec<(String, String)>;

#[derive(Debug)]
pub(crate) struct AlertCase {
    pub(crate) at: Duration,
    pub(crate) alert: String,
    /// Labels without `alertname`, and annotations.
    pub(crate) wanted: Vec<(Pairs, Pairs)>,
}

#[derive(Debug)]
pub(crate) struct ExprCase {
    pub(crate) at: Duration,
    pub(crate) expr: String,
    pub(crate) wanted: Vec<(Labels, Point)>,
}

impl TestFile {
    pub(crate) fn read(name: &str, text: &str) -> Result<Self, FileErrors> {
        let mut problems = Problems::new(name);
        let mut file = Self {
            rule_files: Vec::new(),
            evaluation_interval: INTERVAL,
            order: Vec::new(),
            fuzzy: false,
            tests: Vec::new(),
        };
        if let Some(root) = yaml::read(text, &mut problems)
            && let Some(fields) = root.fields(&FILE_KEYS, &mut problems)
        {
            file.fill(&fields, &mut problems);
        }
        problems.finish(file)
    }

    fn fill(&mut self, fields: &Fields<'_>, problems: &mut Problems<'_>) {
        for node in fields.items("rule_files", problems) {
            let text = node.text(problems).unwrap_or_default().to_owned();
            self.rule_files.push((text, node.at.clone()));
        }
        let told = fields.duration("evaluation_interval", problems);
        self.evaluation_interval = told.filter(|d| !d.is_zero()).unwrap_or(INTERVAL);
        for node in fields.items("group_eval_order", problems) {
            let group = node.text(problems).unwrap_or_default().to_owned();
            if self.order.contains(&group) {
                let message = Text::new("rules.order_twice").with("name", short(&group));
                node.refuse(problems, message, Text::new("rules.accept.group_once"));
            }
            self.order.push(group);
        }
        let fuzzy = fields.get("fuzzy_compare");
        self.fuzzy =
            fuzzy.and_then(|n| n.parsed("rules.accept.truth", problems, |t| t.parse().ok())).unwrap_or(false);
        for node in fields.items("tests", problems) {
            let test = test(node, self.evaluation_interval, problems);
            self.tests.extend(test);
        }
    }
}

fn test(node: &Node, evaluation_interval: Duration, problems: &mut Problems<'_>) -> Option<Test> {
    let fields = node.fields(&TEST_KEYS, problems)?;
    let told = fields.duration("interval", problems);
    let labels = fields.texts("external_labels", problems);
    let test = Test {
        name: fields.text("name", problems),
        start: fields.get("start_timestamp").and_then(|n| start(n, problems)).unwrap_or_default(),
        interval: told.filter(|d| !d.is_zero()).unwrap_or(evaluation_interval),
        series: fields
            .items("input_series", problems)
            .iter()
            .filter_map(|n| series_of(n, problems))
            .collect(),
        alerts: fields
            .items("alert_rule_test", problems)
            .iter()
            .filter_map(|n| alert_case(n, problems))
            .collect(),
        exprs: fields
            .items("promql_expr_test", problems)
            .iter()
            .filter_map(|n| expr_case(n, problems))
            .collect(),
        external_labels: Labels::new(labels.into_iter().map(|(k, _, v)| (k.text.clone(), v))),
        external_url: fields.text("external_url", problems),
    };
    let evaluations = test.end().as_nanos() / evaluation_interval.as_nanos().max(1);
    let values: usize = test.series.iter().map(|(_, v)| v.len()).sum();
    if evaluations > EVALUATIONS_MAX || values > VALUES_MAX {
        let message = Text::new("rules.too_long_test").with("count", evaluations.max(values as u128));
        let max = if evaluations > EVALUATIONS_MAX { EVALUATIONS_MAX } else { VALUES_MAX as u128 };
        node.refuse(problems, message, Text::new("rules.accept.test_length").with("max", max));
        return None;
    }
    Some(test)
}

/// Seconds since the epoch, or a date and time.
fn start(node: &Node, problems: &mut Problems<'_>) -> Option<TimestampMs> {
    let text = node.text(problems)?;
    let at = parse_instant(text);
    if at.is_none() {
        let message = Text::new("rules.is_value").with("value", short(text));
        node.refuse(problems, message, Text::new("rules.accept.instant"));
    }
    at
}

fn series_of(node: &Node, problems: &mut Problems<'_>) -> Option<(Labels, Vec<Option<Point>>)> {
    let fields = node.fields(&["series", "values"], problems)?;
    let labels = metric(&fields, "series", problems);
    let text = fields.text("values", problems);
    match series::values(&text) {
        Ok(values) => Some((labels?, values)),
        Err(e) => {
            let at = fields.get("values").unwrap_or(node);
            let message = Text::new("rules.bad_values").with("detail", short(&e));
            at.refuse(problems, message, Text::new("rules.accept.values"));
            None
        }
    }
}

fn metric(fields: &Fields<'_>, key: &str, problems: &mut Problems<'_>) -> Option<Labels> {
    let text = fields.text(key, problems);
    if text.trim().is_empty() && key == "labels" {
        return Some(Labels::default());
    }
    match ask::metric(&text) {
        Ok(labels) => Some(labels),
        Err(e) => {
            let at = fields.get(key).unwrap_or(fields.node);
            let message = Text::new("rules.bad_series").with("detail", e);
            at.refuse(problems, message, Text::new("rules.accept.series"));
            None
        }
    }
}

fn alert_case(node: &Node, problems: &mut Problems<'_>) -> Option<AlertCase> {
    let fields = node.fields(&["eval_time", "alertname", "exp_alerts"], problems)?;
    let alert = fields.text("alertname", problems);
    if alert.is_empty() {
        node.refuse(problems, Text::new("rules.no_alertname"), Text::new("rules.accept.alertname"));
    }
    let mut wanted = Vec::new();
    for node in fields.items("exp_alerts", problems) {
        let Some(fields) = node.fields(&["exp_labels", "exp_annotations"], problems) else { continue };
        wanted.push((pairs(&fields, "exp_labels", problems), pairs(&fields, "exp_annotations", problems)));
    }
    Some(AlertCase { at: fields.duration("eval_time", problems).unwrap_or_default(), alert, wanted })
}

fn pairs(fields: &Fields<'_>, key: &str, problems: &mut Problems<'_>) -> Pairs {
    let mut pairs: Pairs =
        fields.texts(key, problems).into_iter().map(|(k, _, v)| (k.text.clone(), v)).collect();
    pairs.sort();
    pairs
}

fn expr_case(node: &Node, problems: &mut Problems<'_>) -> Option<ExprCase> {
    let fields = node.fields(&["expr", "eval_time", "exp_samples"], problems)?;
    let mut wanted = Vec::new();
    for node in fields.items("exp_samples", problems) {
        let Some(fields) = node.fields(&["labels", "value", "histogram"], problems) else { continue };
        let value = match fields.get("histogram") {
            Some(histogram) => histogram_of(histogram, problems),
            None => fields.get("value").map_or(Some(0.0), |n| number(n, problems)).map(Point::Float),
        };
        wanted.extend(metric(&fields, "labels", problems).zip(value));
    }
    Some(ExprCase {
        at: fields.duration("eval_time", problems).unwrap_or_default(),
        expr: fields.text("expr", problems),
        wanted,
    })
}

/// One native histogram in the notation of values.
fn histogram_of(node: &Node, problems: &mut Problems<'_>) -> Option<Point> {
    let text = node.text(problems)?;
    let detail = match series::values(text) {
        Ok(values) => match values.as_slice() {
            [Some(histogram @ Point::Histogram(_))] => return Some(histogram.clone()),
            _ => format!("`{text}` is not one native histogram"),
        },
        Err(e) => e,
    };
    let message = Text::new("rules.bad_values").with("detail", short(&detail));
    node.refuse(problems, message, Text::new("rules.accept.values"));
    None
}

/// YAML writes `.inf` and `.nan`.
fn number(node: &Node, problems: &mut Problems<'_>) -> Option<f64> {
    let text = node.text(problems)?.to_ascii_lowercase();
    match text.trim_start_matches(['+', '-']) {
        ".nan" => Some(f64::NAN),
        ".inf" => Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        _ => node.parsed("rules.accept.number", problems, |t| t.parse().ok()),
    }
}
