//! Layout of pods: `metric.csv.gz` has a row for each pod and minute; `trace.csv.gz` spans, `log.csv.gz` lines,
//! `dependency.csv` calls; `../faultfree/` holds the same of normal operation, a file a day.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use wellkept_model::Sample;

use super::files::{CaseError, CaseFiles, optional_text, text};
use super::table::{columns, field, records};
use super::{template, time};
use crate::kind::MetricKind;
use crate::scene::{Alarm, Call, MetricSeries, Names, Scene, Span, SpanEvent, SpanSet};

type Series = BTreeMap<(String, String), Vec<Sample>>;

pub(super) fn read(name: &str, files: &impl CaseFiles) -> Result<Scene, CaseError> {
    let metrics = series(&text(files, "metric.csv.gz")?);
    let day = day(name);
    let mut reference =
        match day.as_deref().map(|d| optional_text(files, &format!("../faultfree/{d}_metric.csv.gz"))) {
            Some(text) => text?.map(|t| series(&t)).unwrap_or_default(),
            None => Series::new(),
        };
    let series = metrics.into_iter().map(|(key, samples)| {
        let reference = reference.remove(&key).unwrap_or_default().into_iter().map(|s| s.value).collect();
        let (entity, metric) = key;
        MetricSeries { kind: MetricKind::of_name(&metric), entity, metric, reference, samples }
    });
    let mut scene = Scene {
        alarm: Alarm { at: time::in_name(name), ..Alarm::default() },
        series: series.collect(),
        calls: optional_text(files, "dependency.csv")?.map(|t| calls(&t)).unwrap_or_default(),
        ..Scene::default()
    };
    let mut names = Names::default();
    scene.since = span_set(files, "trace.csv.gz", "log.csv.gz", &mut names)?;
    for day in if scene.since.spans.is_empty() { Vec::new() } else { days(files) } {
        let path = |what: &str| format!("../faultfree/{day}_{what}.csv.gz");
        scene.normal.push(span_set(files, &path("trace"), &path("log"), &mut names)?);
    }
    scene.names = names;
    Ok(scene)
}

fn day(name: &str) -> Option<String> {
    let last = name.trim_end_matches('/').rsplit('/').next()?;
    time::in_name(last)?;
    last.get(last.len().checked_sub(16)?..)?.get(..10).map(str::to_owned)
}

/// Days of which normal spans are there.
fn days(files: &impl CaseFiles) -> Vec<String> {
    let mut days: Vec<String> = files
        .list("../faultfree")
        .iter()
        .filter_map(|f| f.strip_suffix("_trace.csv.gz"))
        .map(str::to_owned)
        .collect();
    days.sort_unstable();
    days.truncate(DAYS_MAX);
    days
}

/// Most stretches of normal operation that are read.
const DAYS_MAX: usize = 8;

/// Most workloads and columns of one table: a table has a list for each pair of them.
const PODS_MAX: usize = 10_000;
const COLUMNS_MAX: usize = 256;

/// Whether a column measures the pod: not its time or name, and not the node below it.
fn is_measured(column: &str) -> bool {
    !column.starts_with("Node") && !["Time", "TimeStamp", "PodName"].contains(&column)
}

fn series(text: &str) -> Series {
    let mut header: Vec<String> = Vec::new();
    let (mut when, mut pod) = (None, None);
    let mut wanted: Vec<bool> = Vec::new();
    let mut pods: HashMap<String, Vec<Vec<Sample>>> = HashMap::new();
    records(text, |record: &[Cow<'_, str>]| {
        if header.is_empty() {
            header = record.iter().take(COLUMNS_MAX).map(ToString::to_string).collect();
            [when, pod] = columns(record, ["Time", "PodName"]);
            wanted = header.iter().map(|column| is_measured(column)).collect();
            return;
        }
        let Some(at) = time::parse(field(record, when)) else { return };
        let entity = template::workload(field(record, pod));
        if !pods.contains_key(entity) && pods.len() < PODS_MAX {
            pods.insert(entity.to_owned(), vec![Vec::new(); header.len()]);
        }
        let Some(by_column) = pods.get_mut(entity) else { return };
        for ((_, samples), cell) in wanted.iter().zip(by_column).zip(record).filter(|((w, _), _)| **w) {
            if let Ok(value) = cell.parse::<f64>() {
                samples.push(Sample { at, value });
            }
        }
    });
    let mut out = Series::new();
    for (entity, by_column) in pods {
        for (column, mut samples) in header.iter().zip(by_column).filter(|(_, s)| !s.is_empty()) {
            samples.sort_by_key(|s| s.at);
            out.insert((entity.clone(), column.clone()), samples);
        }
    }
    out
}

fn calls(text: &str) -> Vec<Call> {
    let mut out = Vec::new();
    records(text, |record: &[Cow<'_, str>]| {
        let (from, to) = (field(record, Some(0)), field(record, Some(1)));
        // Rows that place a pod on an address are no calls.
        let is_address = to.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b':');
        if from != "Source" && !is_address {
            out.push(Call { from: from.to_owned(), to: to.to_owned() });
        }
    });
    out
}

/// Numbers of spans by trace and span.
#[derive(Default)]
struct Ids {
    numbers: HashMap<String, u32>,
    key: String,
}

impl Ids {
    fn number(&mut self, trace: &str, span: &str) -> u32 {
        if let Some(number) = self.get(trace, span) {
            return number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(self.key.clone(), number);
        number
    }

    fn get(&mut self, trace: &str, span: &str) -> Option<u32> {
        self.key.clear();
        self.key.extend([trace, "/", span]);
        self.numbers.get(&self.key).copied()
    }
}

fn span_set(
    files: &impl CaseFiles,
    traces: &str,
    logs: &str,
    names: &mut Names,
) -> Result<SpanSet, CaseError> {
    let mut set = SpanSet::default();
    let mut ids = Ids::default();
    if let Some(text) = optional_text(files, traces)? {
        set.spans = spans(&text, names, &mut ids);
    }
    if let Some(text) = optional_text(files, logs)? {
        set.events = events(&text, names, &mut ids);
    }
    Ok(set)
}

fn spans(text: &str, names: &mut Names, ids: &mut Ids) -> Vec<Span> {
    let mut at = [None; 7];
    let mut first = true;
    let mut out = Vec::new();
    records(text, |record: &[Cow<'_, str>]| {
        if std::mem::take(&mut first) {
            let wanted = [
                "TraceID",
                "SpanID",
                "ParentID",
                "PodName",
                "OperationName",
                "StartTimeUnixNano",
                "EndTimeUnixNano",
            ];
            at = columns(record, wanted);
            return;
        }
        let [trace, span, parent, pod, operation, start, end] = at.map(|c| field(record, c));
        let (Ok(start_ns), Ok(end_ns)) = (start.parse(), end.parse()) else { return };
        let id = ids.number(trace, span);
        let parent = (parent != "root" && !parent.is_empty()).then(|| ids.number(trace, parent));
        let (entity, operation) = (names.number(template::workload(pod)), names.number(operation));
        out.push(Span { id, parent, entity, operation, start_ns, end_ns });
    });
    out
}

fn events(text: &str, names: &mut Names, ids: &mut Ids) -> Vec<SpanEvent> {
    let mut at = [None; 4];
    let mut first = true;
    let mut out = Vec::new();
    records(text, |record: &[Cow<'_, str>]| {
        if std::mem::take(&mut first) {
            at = columns(record, ["TraceID", "SpanID", "TimeUnixNano", "Log"]);
            return;
        }
        let [trace, span, when, line] = at.map(|c| field(record, c));
        let known = ids.get(trace, span);
        if let (Some(span), Ok(at_ns)) = (known, when.parse()) {
            out.push(SpanEvent { span, at_ns, what: names.number(&template::of_line(inner(line))) });
        }
    });
    out
}

/// Container runtimes wrap a line as JSON; what the program wrote stands in `log`.
fn inner(line: &str) -> &str {
    let text = line.strip_prefix("{\"log\":\"").unwrap_or(line);
    text.rsplit_once("\\n\",\"stream\"").map_or(text, |(line, _)| line)
}
