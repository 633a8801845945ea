//! `store export`: samples as OpenMetrics text, or as a table with one column for each label.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use wellkept_intake::expose::{Exposed, Style, page};
use wellkept_model::{METRIC_NAME, SeriesData, Text, TimestampMs, is_stale};
use wellkept_tsdb::{ExportError, Store};

use super::Place;
use crate::cli::{ExportFormat, Output};
use crate::commands::Context;
use crate::exit::{DATA_DIR, Failure, OK, USAGE};
use crate::say::{self, Progress};

/// Columns that are no labels; names that begin so are not given to labels.
pub(super) const TIME: &str = "__timestamp_ms__";
pub(super) const VALUE: &str = "__value__";

/// What is exported, and how.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct What {
    /// Only series that this selector matches, for example '{job="web"}'.
    #[arg(long = "match", default_value = "{__name__=~\".+\"}")]
    selector: String,
    /// From this time on: RFC 3339 or seconds since 1970.
    #[arg(long)]
    from: Option<String>,
    /// Up to this time.
    #[arg(long)]
    to: Option<String>,
    /// OpenMetrics text, or CSV with one column for each label (fit for Parquet).
    #[arg(long, value_enum, default_value_t = ExportFormat::Openmetrics)]
    format: ExportFormat,
    /// Write to this file instead of standard output. An existing file is never overwritten.
    #[arg(long)]
    file: Option<PathBuf>,
}

pub(super) fn run(context: Context, place: &Place, what: &What) -> anyhow::Result<u8> {
    let limits = wellkept_promql::Limits::default();
    let matchers = wellkept_promql::selector(&what.selector, &limits)
        .map_err(|e| Failure::new(USAGE, format!("--match: {e}")))?;
    let from = time(context, what.from.as_deref())?.unwrap_or(TimestampMs(i64::MIN));
    let to = time(context, what.to.as_deref())?.unwrap_or(TimestampMs(i64::MAX));
    place.read(context, |store| {
        let mut out: Box<dyn Write> = match &what.file {
            Some(path) => Box::new(BufWriter::new(create(context, path)?)),
            None => Box::new(BufWriter::new(io::stdout().lock())),
        };
        let mut counts = Counts { progress: Progress::new(), ..Counts::default() };
        let done = match what.format {
            ExportFormat::Openmetrics => {
                let took =
                    store.export(&matchers, from, to, |s| counts.write(&s, |s| open_metrics(&mut out, s)));
                took.and_then(|()| out.write_all(b"# EOF\n").map_err(ExportError::Write))
            }
            ExportFormat::Csv => {
                let mut table = Table::new(store, &mut out)?;
                store.export(&matchers, from, to, |s| counts.write(&s, |s| table.write(s)))
            }
        };
        let done = done.and_then(|()| out.flush().map_err(ExportError::Write));
        done.map_err(|e| Failure::of(DATA_DIR, &e))?;
        counts.tell(context, what.file.as_deref());
        Ok(OK)
    })
}

/// What was written.
#[derive(Default)]
struct Counts {
    series: u64,
    samples: u64,
    /// Neither format has native histograms.
    histograms: u64,
    progress: Progress,
}

impl Counts {
    fn write(
        &mut self,
        series: &SeriesData,
        write: impl FnOnce(&SeriesData) -> io::Result<u64>,
    ) -> io::Result<()> {
        self.series += 1;
        self.histograms += series.histograms.len() as u64;
        self.samples += write(series)?;
        self.progress.at(self.series);
        Ok(())
    }

    fn tell(mut self, context: Context, file: Option<&Path>) {
        self.progress.end();
        if let (Output::Json, Some(file)) = (context.output, file) {
            let counts = json!({
                "file": file.display().to_string(), "series": self.series, "samples": self.samples,
                "histogramsLeftOut": self.histograms,
            });
            say::line(&counts.to_string());
        } else {
            let text =
                Text::new("cli.store.exported").with("series", self.series).with("samples", self.samples);
            say::error(&say::text(context.language, &text));
        }
        if self.histograms > 0 {
            let text = Text::new("cli.store.histograms_left_out").with("count", self.histograms);
            say::error(&say::text(context.language, &text));
        }
    }
}

/// Stale markers are told by no text format, and are left out.
fn samples(series: &SeriesData) -> impl Iterator<Item = (TimestampMs, f64)> {
    series.samples.iter().filter(|s| !is_stale(s.value)).map(|s| (s.at, s.value))
}

fn open_metrics(out: &mut dyn Write, series: &SeriesData) -> io::Result<u64> {
    let style = Style { open_metrics: true, utf8_names: true };
    let labels = &series.labels;
    let mut n = 0;
    let exposed = samples(series).map(|(at, value)| {
        n += 1;
        Exposed { labels, value, at: Some(at), extra: &[], exemplar: None }
    });
    let text = page(style, exposed, |_| None);
    out.write_all(text.strip_suffix("# EOF\n").unwrap_or(&text).as_bytes())?;
    Ok(n)
}

/// One row for each sample; a label that a series has not is an empty field.
struct Table<'a> {
    csv: csv::Writer<&'a mut Box<dyn Write>>,
    labels: Vec<String>,
}

impl<'a> Table<'a> {
    fn new(store: &Store, out: &'a mut Box<dyn Write>) -> anyhow::Result<Self> {
        let mut labels = store.label_names();
        labels.retain(|l| l != METRIC_NAME);
        let mut csv = csv::Writer::from_writer(out);
        let fixed = [TIME, METRIC_NAME, VALUE];
        csv.write_record(fixed.into_iter().chain(labels.iter().map(String::as_str)))?;
        Ok(Self { csv, labels })
    }

    fn write(&mut self, series: &SeriesData) -> io::Result<u64> {
        let values: Vec<&str> = self.labels.iter().map(|l| series.labels.get(l)).collect();
        let mut n = 0;
        for (at, value) in samples(series) {
            n += 1;
            let (at, value) = (at.0.to_string(), value.to_string());
            let fixed = [at.as_str(), series.labels.name(), value.as_str()];
            self.csv
                .write_record(fixed.into_iter().chain(values.iter().copied()))
                .map_err(io::Error::from)?;
        }
        self.csv.flush()?;
        Ok(n)
    }
}

fn create(context: Context, path: &Path) -> Result<File, Failure> {
    File::options().write(true).create_new(true).open(path).map_err(|e| {
        let text = Text::new("cli.error.write").with("file", path.display()).with("error", e);
        Failure::new(USAGE, say::text(context.language, &text))
    })
}

/// RFC 3339, or seconds since 1970.
fn time(context: Context, text: Option<&str>) -> Result<Option<TimestampMs>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let seconds = || text.parse::<f64>().ok().filter(|s| s.is_finite()).map(|s| (s * 1000.0).round() as i64);
    let date = || text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
    match date().or_else(seconds) {
        Some(ms) => Ok(Some(TimestampMs(ms))),
        None => {
            let text = Text::new("cli.store.bad_time").with("time", text);
            Err(Failure::new(USAGE, say::text(context.language, &text)))
        }
    }
}
