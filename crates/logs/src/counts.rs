//! `log_lines_total`: lines by service, level and template, for rules and graphs.

use std::collections::HashMap;

use wellkept_model::{Labels, Level, TemplateId};

/// Name of the series.
pub(crate) const NAME: &str = "log_lines_total";
/// Most series. Lines of further templates of a service are counted together, under an empty `template`.
const SERIES_MAX: usize = 2000;
/// Most series without a template: services times levels.
const TOGETHER_MAX: usize = 2000;

type Key = (String, Option<Level>, Option<TemplateId>);

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    lines: HashMap<Key, u64>,
    /// Lines for which there was no series any more.
    beyond: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, service: &str, level: Option<Level>, template: TemplateId) {
        // A key is made for new series only; lookups by parts would need one map more.
        let key = (service.to_owned(), level, Some(template));
        if let Some(count) = self.lines.get_mut(&key) {
            *count += 1;
            return;
        }
        let key = if self.lines.len() < SERIES_MAX { key } else { (key.0, key.1, None) };
        if self.lines.len() < SERIES_MAX + TOGETHER_MAX || self.lines.contains_key(&key) {
            *self.lines.entry(key).or_default() += 1;
        } else {
            self.beyond += 1;
        }
    }

    /// The series with their values.
    pub(crate) fn samples(&self) -> Vec<(Labels, f64)> {
        let series = self.lines.iter().map(|((service, level, template), count)| {
            let template = template.map(|t| format!("{:016x}", t.0)).unwrap_or_default();
            let level = level.map_or("", Level::word);
            let pairs = [("level", level), ("service", service), ("template", &template)];
            let said = pairs.into_iter().filter(|(_, value)| !value.is_empty());
            #[expect(clippy::cast_precision_loss, reason = "counts of lines stay below 2^53")]
            let value = *count as f64;
            (Labels::metric(NAME, said), value)
        });
        series.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_bounded_and_no_line_is_lost_from_the_sum() {
        let mut counts = Counts::default();
        for i in 0..10_000 {
            counts.add("app", Some(Level::Info), TemplateId(i));
        }
        let samples = counts.samples();
        assert_eq!(samples.len(), SERIES_MAX + 1);
        assert_eq!(samples.iter().map(|(_, v)| v).sum::<f64>(), 10_000.0);
        let first = samples.iter().find(|(l, _)| l.get("template") == "0000000000000007").unwrap();
        assert_eq!(
            first.0.to_string(),
            r#"log_lines_total{level="info", service="app", template="0000000000000007"}"#
        );
    }
}
