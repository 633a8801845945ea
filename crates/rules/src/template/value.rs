//! What templates compute with, under Go's names for the types.

use std::collections::BTreeMap;
use std::sync::Arc;

use wellkept_model::{Labels, TimestampMs};

use super::number::plain_float;
use crate::time::{go_duration, go_time};

/// One sample of a query: the metric's name is the label `__name__`.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateSample {
    /// All labels.
    pub labels: Labels,
    /// The number.
    pub value: f64,
}

/// A value of a template. What holds much is shared, because values are copied freely.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A field or key that is not there: shown as `<no value>`.
    Missing,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    Labels(Labels),
    /// From `args`.
    Map(Arc<Map>),
    Sample(Arc<TemplateSample>),
    Samples(Arc<Vec<TemplateSample>>),
    Time(TimestampMs),
    /// Nanoseconds.
    Duration(i64),
    /// `.` of an alert's template.
    Root(Arc<Root>),
}

/// Deepest nesting of `args` in `args`: showing and dropping them recurses.
const MAP_DEPTH_MAX: usize = 16;

/// Named values.
#[derive(Debug)]
pub(crate) struct Map {
    entries: BTreeMap<String, Value>,
    /// 1 when no value is a map.
    depth: usize,
}

impl Map {
    pub(crate) fn new(entries: BTreeMap<String, Value>) -> Result<Self, String> {
        let below = entries.values().map(|v| if let Value::Map(map) = v { map.depth } else { 0 }).max();
        let depth = below.unwrap_or(0) + 1;
        if depth > MAP_DEPTH_MAX {
            return Err(format!("maps within maps more than {MAP_DEPTH_MAX} deep"));
        }
        Ok(Self { entries, depth })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.entries.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The fields of `.`.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) labels: Labels,
    pub(crate) external_labels: Labels,
    pub(crate) external_url: Arc<str>,
    pub(crate) value: f64,
}

impl Value {
    pub(crate) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// Go's name of the type, for messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Missing | Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Labels(_) => "map[string]string",
            Self::Map(_) => "map[string]interface {}",
            Self::Sample(_) => "*template.sample",
            Self::Samples(_) => "template.queryResult",
            Self::Time(_) => "*time.Time",
            Self::Duration(_) => "*time.Duration",
            Self::Root(_) => {
                "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }"
            }
        }
    }

    /// What `if` and `with` ask.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Missing | Self::Nil => false,
            Self::Bool(b) => *b,
            Self::Int(i) | Self::Duration(i) => *i != 0,
            Self::Float(f) => *f != 0.0,
            Self::Text(t) => !t.is_empty(),
            Self::Labels(l) => !l.is_empty(),
            Self::Map(m) => m.len() > 0,
            Self::Samples(s) => !s.is_empty(),
            Self::Sample(_) | Self::Time(_) | Self::Root(_) => true,
        }
    }

    /// `.name` of this value.
    pub(crate) fn field(&self, name: &str) -> Result<Self, String> {
        let found = match (self, name) {
            (Self::Labels(labels), _) => Some(Self::text(labels.get(name))),
            (Self::Map(map), _) => Some(map.get(name).cloned().unwrap_or(Self::Missing)),
            (Self::Sample(sample), "Labels") => Some(Self::Labels(sample.labels.clone())),
            (Self::Sample(sample), "Value") => Some(Self::Float(sample.value)),
            (Self::Root(root), "Labels") => Some(Self::Labels(root.labels.clone())),
            (Self::Root(root), "ExternalLabels") => Some(Self::Labels(root.external_labels.clone())),
            (Self::Root(root), "ExternalURL") => Some(Self::Text(root.external_url.clone())),
            (Self::Root(root), "Value") => Some(Self::Float(root.value)),
            (Self::Missing | Self::Nil, _) => {
                return Err(format!("nil pointer evaluating interface {{}}.{name}"));
            }
            _ => None,
        };
        found.ok_or_else(|| format!("can't evaluate field {name} in type {}", self.type_name()))
    }

    /// As `%v` shows it, at most about `room` bytes.
    pub(crate) fn show(&self, out: &mut String, room: usize) {
        match self {
            Self::Missing => out.push_str("<no value>"),
            Self::Nil => out.push_str("<nil>"),
            Self::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Self::Int(i) => out.push_str(&i.to_string()),
            Self::Float(f) => out.push_str(&plain_float(*f)),
            Self::Text(t) => out.push_str(t),
            Self::Labels(labels) => show_labels(labels, out),
            Self::Map(map) => {
                out.push_str("map[");
                for (i, (key, value)) in map.iter().enumerate() {
                    if out.len() > room {
                        break;
                    }
                    out.push_str(if i > 0 { " " } else { "" });
                    out.push_str(key);
                    out.push(':');
                    value.show(out, room);
                }
                out.push(']');
            }
            Self::Sample(sample) => show_sample(sample, out),
            Self::Samples(samples) => {
                out.push('[');
                for (i, sample) in samples.iter().enumerate() {
                    if out.len() > room {
                        break;
                    }
                    out.push_str(if i > 0 { " " } else { "" });
                    show_sample(sample, out);
                }
                out.push(']');
            }
            Self::Time(at) => out.push_str(&go_time(*at)),
            Self::Duration(nanos) => out.push_str(&go_duration(*nanos)),
            Self::Root(root) => {
                out.push('{');
                show_labels(&root.labels, out);
                out.push(' ');
                show_labels(&root.external_labels, out);
                out.push_str(&format!(" {} {}}}", root.external_url, plain_float(root.value)));
            }
        }
    }
}

fn show_labels(labels: &Labels, out: &mut String) {
    out.push_str("map[");
    for (i, (name, value)) in labels.iter().enumerate() {
        out.push_str(if i > 0 { " " } else { "" });
        out.push_str(name);
        out.push(':');
        out.push_str(value);
    }
    out.push(']');
}

fn show_sample(sample: &TemplateSample, out: &mut String) {
    out.push('{');
    show_labels(&sample.labels, out);
    out.push(' ');
    out.push_str(&plain_float(sample.value));
    out.push('}');
}
