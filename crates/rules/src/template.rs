//! Templates of alert labels and annotations: Go's `text/template` with Prometheus' functions.
//!
//! A template is parsed once, when its rule file is read, and expanded for every alert at every evaluation. Values
//! (labels above all) come from hosts: they are inserted as text and never parsed. Output, steps, nesting, queries
//! and patterns are bounded, so that a template can neither fill memory nor run on. What we leave out: HTML mode,
//! methods of Go's types (`(toTime $value).Format`), complex numbers, `{{block}}` over several files.

mod error;
mod execute;
mod format;
mod functions;
mod lex;
mod number;
mod parse;
mod prometheus;
mod tree;
mod value;

use std::fmt;
use std::sync::Arc;

use wellkept_model::{Labels, TimestampMs};

pub use error::TemplateError;
pub(crate) use number::scientific;
pub use value::TemplateSample;

use execute::{Executor, Surroundings};
use tree::Tree;
use value::{Root, Value};

/// Longest template, bytes.
pub const TEMPLATE_MAX: usize = 64 << 10;

/// Variables that every alert template has.
const VARIABLES: [&str; 5] = ["$", "$labels", "$externalLabels", "$externalURL", "$value"];

/// A parsed template; cheap to clone.
#[derive(Clone)]
pub struct Template {
    text: Arc<str>,
    tree: Arc<Tree>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.text)
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// What an alert's template is expanded with.
#[derive(Clone, Copy)]
pub struct TemplateData<'a> {
    /// Labels of the sample that the alert's expression gave, its metric name included.
    pub labels: &'a Labels,
    /// Labels of this whole installation.
    pub external_labels: &'a Labels,
    /// Where people reach this installation.
    pub external_url: &'a str,
    /// Value of the sample.
    pub value: f64,
    /// The instant of the evaluation.
    pub now: TimestampMs,
    /// Answers the `query` function: an instant query's samples, or what went wrong.
    pub query: &'a dyn Fn(&str) -> Result<Vec<TemplateSample>, String>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] for a text that is too long, nested too deep or no template, or that names a variable or
    /// function that does not exist.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_MAX {
            let message =
                format!("the template has {} bytes, at most {TEMPLATE_MAX} are accepted", text.len());
            return Err(TemplateError { line: 1, column: 1, at: String::new(), message });
        }
        let tree = parse::parse(text, &VARIABLES).map_err(|fault| fault.within(text))?;
        Ok(Self { text: text.into(), tree: Arc::new(tree) })
    }

    /// The text that was parsed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Expands the template.
    ///
    /// # Errors
    /// [`TemplateError`] with the place that failed: a function that refuses its arguments, a field that does not
    /// exist, a bound that was hit.
    pub fn expand(&self, data: &TemplateData<'_>) -> Result<String, TemplateError> {
        let external_url: Arc<str> = data.external_url.into();
        let dot = Value::Root(Arc::new(Root {
            labels: data.labels.clone(),
            external_labels: data.external_labels.clone(),
            external_url: external_url.clone(),
            value: data.value,
        }));
        let values = [
            dot.clone(),
            Value::Labels(data.labels.clone()),
            Value::Labels(data.external_labels.clone()),
            Value::Text(external_url),
            Value::Float(data.value),
        ];
        let variables = VARIABLES.iter().map(|v| (*v).to_owned()).zip(values).collect();
        let around = Surroundings { now: data.now, external_url: data.external_url, query: data.query };
        Executor::run(&self.tree, &self.text, dot, variables, around)
            .map_err(|fault| fault.within(&self.text))
    }

    /// Expands the template of the alert `name`; a failure becomes a text that says so, as in Prometheus, because an
    /// alert with a broken description is better than none.
    #[must_use]
    pub fn expand_or_say(&self, name: &str, data: &TemplateData<'_>) -> String {
        self.expand(data).unwrap_or_else(|e| {
            let at = if e.at.is_empty() { String::new() } else { format!(" at <{}>", e.at) };
            format!(
                "<error expanding template: error executing template __alert_{name}: template: __alert_{name}:{}:{}: executing \"__alert_{name}\"{at}: {}>",
                e.line, e.column, e.message
            )
        })
    }
}

#[cfg(test)]
mod tests;
