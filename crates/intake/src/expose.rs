//! The writing half for `/metrics` and `/federate`: series as a page of text.
//!
//! Series of one family that follow each other share one header, so the caller gives them sorted by name. Names that
//! the classic rules do not allow are written in quotes for a client that understands this, and with underscores for
//! others.

use std::fmt::Write as _;

use wellkept_model::{Exemplar, Labels, METRIC_NAME, Metadata, MetricKind, TimestampMs};

use crate::names::Names;
use crate::number;
use crate::text::Format;

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// OpenMetrics instead of Prometheus' format 0.0.4.
    pub open_metrics: bool,
    /// The client understands names in quotes.
    pub utf8_names: bool,
}

impl Style {
    /// Chooses by the `Accept` header. Nothing, or nothing that we write, means format 0.0.4.
    #[must_use]
    pub fn from_accept(accept: Option<&str>) -> Self {
        let mut best = (Self { open_metrics: false, utf8_names: false }, 0.0);
        for offer in accept.unwrap_or("").split(',') {
            let mut parts = offer.split(';').map(str::trim);
            let media = parts.next().unwrap_or("").to_ascii_lowercase();
            let (mut quality, mut utf8_names) = (1.0, false);
            for (name, value) in parts.filter_map(|p| p.split_once('=')) {
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "escaping" => utf8_names = value.trim() == "allow-utf-8",
                    _ => {}
                }
            }
            let open_metrics = match media.as_str() {
                "application/openmetrics-text" => true,
                "text/plain" | "text/*" | "*/*" => false,
                _ => continue,
            };
            if quality > best.1 {
                best = (Self { open_metrics, utf8_names }, quality);
            }
        }
        best.0
    }

    /// The `Content-Type` header of the page.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match (self.open_metrics, self.utf8_names) {
            (true, true) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            (true, false) => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            (false, true) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            (false, false) => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The format by which [`crate::text`] reads the page.
    #[must_use]
    pub fn format(self) -> Format {
        if self.open_metrics { Format::OpenMetrics } else { Format::Prometheus }
    }
}

/// One series with its value.
#[derive(Debug, Clone, Copy)]
pub struct Exposed<'a> {
    /// Its labels, name included; a series without a name is left out.
    pub labels: &'a Labels,
    /// Its value.
    pub value: f64,
    /// When it was measured; absent where the reader's time is meant.
    pub at: Option<TimestampMs>,
    /// Labels that are written behind its own, also with empty values; names that it has not.
    pub extra: &'a [(&'a str, &'a str)],
    /// Its newest exemplar; only OpenMetrics shows it.
    pub exemplar: Option<&'a Exemplar>,
}

/// Writes a page. `series` is sorted by name; `metadata` finds what is known of a family by its name.
pub fn page<'a, 'm>(
    style: Style,
    series: impl IntoIterator<Item = Exposed<'a>>,
    metadata: impl Fn(&str) -> Option<&'m Metadata>,
) -> String {
    let mut page = Page { style, out: String::new(), family: None };
    for one in series {
        let name = one.labels.name();
        if name.is_empty() {
            continue;
        }
        page.header(name, &metadata);
        page.series(&one);
    }
    if style.open_metrics {
        page.out.push_str("# EOF\n");
    }
    page.out
}

struct Page {
    style: Style,
    out: String,
    /// The family whose header was written last.
    family: Option<String>,
}

/// Endings of a series' name that belong to its family's kind.
fn suffixes(kind: MetricKind) -> &'static [&'static str] {
    match kind {
        MetricKind::Histogram => &["_bucket", "_sum", "_count"],
        MetricKind::GaugeHistogram => &["_bucket", "_gsum", "_gcount"],
        MetricKind::Summary => &["_sum", "_count"],
        _ => &[],
    }
}

/// The family that a series belongs to.
fn family_of<'m>(name: &str, metadata: &impl Fn(&str) -> Option<&'m Metadata>) -> Option<&'m Metadata> {
    metadata(name).or_else(|| {
        let all = ["_bucket", "_sum", "_count", "_gsum", "_gcount"];
        all.iter().find_map(|suffix| {
            let found = metadata(name.strip_suffix(suffix)?)?;
            suffixes(found.kind).contains(suffix).then_some(found)
        })
    })
}

impl Page {
    fn header<'m>(&mut self, name: &str, metadata: &impl Fn(&str) -> Option<&'m Metadata>) {
        let found = family_of(name, metadata);
        let family = found.map_or(name, |m| m.family.as_str());
        if self.family.as_deref() == Some(family) {
            return;
        }
        self.family = Some(family.to_owned());
        let kind = found.map_or(MetricKind::Unknown, |m| m.kind);
        let (family, kind) =
            if self.style.open_metrics { open_metrics(family, kind) } else { (family, prometheus(kind)) };
        let mut quoted = String::new();
        self.family_name(&mut quoted, family);
        let help = found.map_or("", |m| m.help.as_str());
        if !help.is_empty() {
            let _ = write!(self.out, "# HELP {quoted} ");
            escape(&mut self.out, help, self.style.open_metrics);
            self.out.push('\n');
        }
        let _ = writeln!(self.out, "# TYPE {quoted} {kind}");
        let unit = found.map_or("", |m| m.unit.as_str());
        let fits = family.strip_suffix(unit).is_some_and(|stem| stem.ends_with('_'));
        if self.style.open_metrics && !unit.is_empty() && fits {
            let _ = writeln!(self.out, "# UNIT {quoted} {unit}");
        }
    }

    fn family_name(&self, out: &mut String, name: &str) {
        if is_classic(name, true) {
            out.push_str(name);
        } else if self.style.utf8_names {
            quote(out, name);
        } else {
            Names::Classic.metric(out, name);
        }
    }

    fn series(&mut self, one: &Exposed<'_>) {
        let mut out = std::mem::take(&mut self.out);
        let name = one.labels.name();
        let in_braces = self.style.utf8_names && !is_classic(name, true);
        let mut open = false;
        if in_braces {
            out.push('{');
            open = true;
            quote(&mut out, name);
        } else {
            self.family_name(&mut out, name);
        }
        let own = one.labels.iter().filter(|(n, _)| *n != METRIC_NAME);
        for (label, value) in own.chain(one.extra.iter().copied()) {
            out.push(if std::mem::replace(&mut open, true) { ',' } else { '{' });
            self.label(&mut out, label, value);
        }
        out.push_str(if open { "} " } else { " " });
        out.push_str(&number::shortest(one.value));
        self.time(&mut out, one.at);
        if let Some(exemplar) = one.exemplar.filter(|_| self.style.open_metrics) {
            out.push_str(" # {");
            for (i, (label, value)) in exemplar.labels.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                self.label(&mut out, label, value);
            }
            out.push_str("} ");
            out.push_str(&number::shortest(exemplar.value));
            self.time(&mut out, Some(exemplar.at));
        }
        out.push('\n');
        self.out = out;
    }

    fn label(&self, out: &mut String, label: &str, value: &str) {
        if is_classic(label, false) {
            out.push_str(label);
        } else if self.style.utf8_names {
            quote(out, label);
        } else {
            Names::Classic.label(out, label);
        }
        out.push('=');
        quote(out, value);
    }

    fn time(&self, out: &mut String, at: Option<TimestampMs>) {
        let Some(TimestampMs(ms)) = at else { return };
        let _ = if self.style.open_metrics {
            let sign = if ms < 0 { "-" } else { "" };
            let (seconds, rest) = (ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
            write!(out, " {sign}{seconds}.{rest:03}")
        } else {
            write!(out, " {ms}")
        };
    }
}

/// Kinds that format 0.0.4 has.
fn prometheus(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge | MetricKind::Info | MetricKind::StateSet => "gauge",
        MetricKind::Histogram => "histogram",
        MetricKind::Summary => "summary",
        MetricKind::GaugeHistogram | MetricKind::Unknown => "untyped",
    }
}

/// Name and kind of a family as OpenMetrics wants them: a kind whose rules its name breaks is told as `unknown`.
fn open_metrics(family: &str, kind: MetricKind) -> (&str, &'static str) {
    match kind {
        MetricKind::Counter => family.strip_suffix("_total").map_or((family, "unknown"), |f| (f, "counter")),
        MetricKind::Info => family.strip_suffix("_info").map_or((family, "unknown"), |f| (f, "info")),
        MetricKind::Gauge => (family, "gauge"),
        MetricKind::Histogram => (family, "histogram"),
        MetricKind::GaugeHistogram => (family, "gaugehistogram"),
        MetricKind::Summary => (family, "summary"),
        MetricKind::StateSet => (family, "stateset"),
        MetricKind::Unknown => (family, "unknown"),
    }
}

fn is_classic(name: &str, colons: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    escape(out, text, true);
    out.push('"');
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;
    use crate::text::{ACCEPT, Decoder, Options};

    const STYLES: [Style; 4] = [
        Style { open_metrics: false, utf8_names: false },
        Style { open_metrics: false, utf8_names: true },
        Style { open_metrics: true, utf8_names: false },
        Style { open_metrics: true, utf8_names: true },
    ];

    fn metadata(family: &str, kind: MetricKind, unit: &str) -> Metadata {
        Metadata { family: family.into(), kind, help: "A \"help\"\\\n.".into(), unit: unit.into() }
    }

    fn example(style: Style) -> String {
        let about = [
            metadata("hits_total", MetricKind::Counter, ""),
            metadata("lat_seconds", MetricKind::Histogram, "seconds"),
            metadata("odd", MetricKind::Counter, ""),
        ];
        let labels = [
            Labels::metric("hits_total", [("path", "a\\\"b\n"), ("tag.x", "é")]),
            Labels::metric("lat_seconds_bucket", [("le", "+Inf")]),
            Labels::metric("lat_seconds_count", []),
            Labels::metric("my.gauge", [("a", "1")]),
            Labels::metric("odd", []),
            Labels::new([("nameless", "x")]),
        ];
        let exemplar = Exemplar {
            series: labels[0].clone(),
            labels: Labels::new([("trace_id", "t")]),
            value: 0.5,
            at: TimestampMs(1500),
        };
        let series = labels.iter().enumerate().map(|(i, labels)| Exposed {
            labels,
            value: [4.0, 1e21, 0.1, f64::NAN, f64::NEG_INFINITY, 0.0][i],
            at: (i < 2).then_some(TimestampMs(1_700_000_000_042)),
            extra: if i == 4 { &[("instance", "")] } else { &[] },
            exemplar: (i == 0).then_some(&exemplar),
        });
        page(style, series, |name| about.iter().find(|m| m.family == name))
    }

    #[test]
    fn a_page_of_the_prometheus_format() {
        assert_eq!(
            example(STYLES[0]),
            "# HELP hits_total A \"help\"\\\\\\n.\n# TYPE hits_total counter\n\
             hits_total{path=\"a\\\\\\\"b\\n\",tag_x=\"é\"} 4 1700000000042\n\
             # HELP lat_seconds A \"help\"\\\\\\n.\n# TYPE lat_seconds histogram\n\
             lat_seconds_bucket{le=\"+Inf\"} 1e+21 1700000000042\nlat_seconds_count 0.1\n\
             # TYPE my_gauge untyped\nmy_gauge{a=\"1\"} NaN\n\
             # HELP odd A \"help\"\\\\\\n.\n# TYPE odd counter\nodd{instance=\"\"} -Inf\n"
        );
    }

    #[test]
    fn a_page_of_openmetrics_with_quoted_names() {
        assert_eq!(
            example(STYLES[3]),
            "# HELP hits A \\\"help\\\"\\\\\\n.\n# TYPE hits counter\n\
             hits_total{path=\"a\\\\\\\"b\\n\",\"tag.x\"=\"é\"} 4 1700000000.042 # {trace_id=\"t\"} 0.5 1.500\n\
             # HELP lat_seconds A \\\"help\\\"\\\\\\n.\n# TYPE lat_seconds histogram\n# UNIT lat_seconds seconds\n\
             lat_seconds_bucket{le=\"+Inf\"} 1e+21 1700000000.042\nlat_seconds_count 0.1\n\
             # TYPE \"my.gauge\" unknown\n{\"my.gauge\",a=\"1\"} NaN\n\
             # HELP odd A \\\"help\\\"\\\\\\n.\n# TYPE odd unknown\nodd{instance=\"\"} -Inf\n# EOF\n"
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for style in STYLES {
            let mut sink = Recorder::default();
            let page = example(style);
            let options = Options::scrape(TimestampMs(7));
            Decoder::default().decode(style.format(), page.as_bytes(), &options, &mut sink).unwrap();
            assert_eq!(sink.samples.len(), 5, "{page}");
            assert!(
                sink.samples[0].starts_with("hits_total{path=\"a\\\\\\\"b\\n\", tag"),
                "{}",
                sink.samples[0]
            );
            assert!(sink.samples[0].ends_with("1700000000042 4"));
            assert_eq!(sink.samples[3].starts_with("my.gauge"), style.utf8_names);
            assert_eq!(sink.metadata[0].help, "A \"help\"\\\n.");
            assert_eq!(sink.metadata[0].family, "hits_total");
        }
    }

    #[test]
    fn the_style_is_what_the_client_likes_best() {
        assert_eq!(Style::from_accept(None), STYLES[0]);
        assert_eq!(Style::from_accept(Some("text/html")), STYLES[0]);
        assert_eq!(Style::from_accept(Some(ACCEPT)), STYLES[3]);
        assert_eq!(
            Style::from_accept(Some("text/plain;q=0.9, application/openmetrics-text;q=0.3")),
            STYLES[0]
        );
        assert_eq!(Style::from_accept(Some("application/openmetrics-text; version=1.0.0")), STYLES[2]);
    }
}
