//! `store import`: samples of any age from OpenMetrics or Prometheus text, or from a table as `export` writes it.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::json;
use wellkept_intake::text::{BadLines, Decoder, Format, Options};
use wellkept_intake::{DecodeError, Limits};
use wellkept_model::{METRIC_NAME, Sink as _, Text, TimestampMs};
use wellkept_tsdb::{Refusals, Store};

use super::Place;
use super::export::{TIME, VALUE};
use crate::cli::{ImportFormat, Output};
use crate::clock::now;
use crate::commands::Context;
use crate::exit::{DATA_DIR, Failure, NOT_WELL, OK, USAGE};
use crate::say::{self, Progress};

/// Bytes that are read at once.
const PART: usize = 4 << 20;
/// Longest line.
const LINE_MAX: usize = 1 << 20;
/// Rows of a table that are stored at once.
const ROWS: usize = 1 << 16;
/// Samples in memory beyond which a block is written.
const HEAD_MAX: usize = 20_000_000;

/// What was taken and what not.
#[derive(Default)]
struct Taken {
    samples: u64,
    refused: u64,
    bad_lines: u64,
    first_bad: Option<String>,
    progress: Progress,
}

pub(super) fn run(
    context: Context,
    place: &Place,
    path: &Path,
    format: Option<ImportFormat>,
) -> anyhow::Result<u8> {
    let unread = |e: io::Error| {
        let text = Text::new("cli.error.read").with("file", path.display()).with("error", e);
        Failure::new(USAGE, say::text(context.language, &text))
    };
    let (input, guessed): (Box<dyn Read>, _) = if path == Path::new("-") {
        (Box::new(io::stdin().lock()), ImportFormat::Openmetrics)
    } else {
        let mut file = File::open(path).map_err(unread)?;
        let guessed = guess(path, &mut file).map_err(unread)?;
        (Box::new(file), guessed)
    };
    let store = place.open(context)?;
    let mut taken = Taken { progress: Progress::new(), ..Taken::default() };
    let done = match format.unwrap_or(guessed) {
        ImportFormat::Csv => table(&store, input, &mut taken),
        ImportFormat::Openmetrics => pages(&store, input, Format::OpenMetrics, &mut taken),
        ImportFormat::Prometheus => pages(&store, input, Format::Prometheus, &mut taken),
    };
    taken.progress.end();
    // What came before a mistake is stored: taking the same file again changes nothing.
    taken.tell(context);
    done?;
    store.flush_all().map_err(|e| Failure::of(DATA_DIR, &e))?;
    Ok(if taken.refused + taken.bad_lines == 0 { OK } else { NOT_WELL })
}

/// By the name's ending, else by OpenMetrics' last line.
fn guess(path: &Path, file: &mut File) -> io::Result<ImportFormat> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
        return Ok(ImportFormat::Csv);
    }
    let mut tail = Vec::new();
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(16)))?;
    file.take(16).read_to_end(&mut tail)?;
    file.rewind()?;
    let is_open = tail.trim_ascii_end().ends_with(b"# EOF");
    Ok(if is_open { ImportFormat::Openmetrics } else { ImportFormat::Prometheus })
}

/// Text in parts of whole lines.
fn pages(store: &Store, mut input: impl Read, format: Format, taken: &mut Taken) -> anyhow::Result<()> {
    let mut decoder = Decoder::new(Limits::default());
    let options = Options { bad_lines: BadLines::Skip, ..Options::import(now()) };
    let mut rest = Vec::new();
    let mut lines = 0_u64;
    loop {
        let read = input.by_ref().take(PART as u64).read_to_end(&mut rest)?;
        let end =
            if read == 0 { rest.len() } else { rest.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1) };
        if end == 0 && read == 0 {
            return Ok(());
        }
        if rest.len() - end > LINE_MAX {
            anyhow::bail!("the line after line {lines} is longer than {LINE_MAX} bytes");
        }
        let later = rest.split_off(end);
        let mut part = std::mem::replace(&mut rest, later);
        let here = part.iter().filter(|b| **b == b'\n').count() as u64;
        if format == Format::OpenMetrics && !part.trim_ascii_end().ends_with(b"# EOF") {
            if !part.ends_with(b"\n") {
                part.push(b'\n');
            }
            part.extend_from_slice(b"# EOF\n");
        }
        page(store, &mut decoder, format, &part, &options, lines, taken)?;
        lines += here;
        if read == 0 {
            return Ok(());
        }
    }
}

fn page(
    store: &Store,
    decoder: &mut Decoder,
    format: Format,
    part: &[u8],
    options: &Options,
    lines: u64,
    taken: &mut Taken,
) -> anyhow::Result<()> {
    let mut appender = store.appender(0, "import").of_any_age();
    let tally = decoder
        .decode(format, part, options, &mut appender)
        .map_err(|e: DecodeError| anyhow::anyhow!("after line {lines}: {e}"))?;
    taken.bad_lines += tally.refused + tally.skipped;
    if taken.first_bad.is_none() {
        taken.first_bad = tally.first_refusal.map(|r| format!("after line {lines}: {r}"));
    }
    taken.add(store, appender)
}

/// A table: the time in milliseconds, the name, the value, and labels, in any order of columns.
fn table(store: &Store, input: impl Read, taken: &mut Taken) -> anyhow::Result<()> {
    let mut reader = csv::Reader::from_reader(input);
    let head: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let find = |name: &str| {
        head.iter().position(|h| h == name).ok_or_else(|| {
            anyhow::anyhow!(
                "line 1: there is no column `{name}`; a table has {TIME}, {METRIC_NAME}, {VALUE} and labels"
            )
        })
    };
    let (time, value) = (find(TIME)?, find(VALUE)?);
    find(METRIC_NAME)?;
    let mut record = csv::StringRecord::new();
    let mut more = true;
    while more {
        let mut appender = store.appender(0, "import").of_any_age();
        while appender.len() < ROWS {
            more = reader.read_record(&mut record)?;
            if !more {
                break;
            }
            let at = record.get(time).and_then(|t| t.parse::<i64>().ok());
            let number = record.get(value).and_then(|v| v.parse::<f64>().ok());
            let (Some(at), Some(number)) = (at, number) else {
                taken.bad_line(reader.position().line());
                continue;
            };
            let labels = head.iter().zip(record.iter()).enumerate();
            let labels: Vec<(&str, &str)> = labels
                .filter(|(i, (_, v))| *i != time && *i != value && !v.is_empty())
                .map(|(_, (n, v))| (n.as_str(), v))
                .collect();
            appender.series(&[], &labels);
            appender.float(TimestampMs(at), number);
        }
        taken.add(store, appender)?;
    }
    Ok(())
}

impl Taken {
    fn add(&mut self, store: &Store, appender: wellkept_tsdb::Appender<'_>) -> anyhow::Result<()> {
        let accepted = appender.finish_durable().map_err(|e| Failure::of(DATA_DIR, &e))?;
        self.samples += accepted.samples;
        let Refusals { out_of_order, invalid, over_limit, too_many_times, .. } = accepted.refused;
        self.refused += out_of_order + invalid + over_limit + too_many_times;
        self.progress.at(self.samples);
        if store.stats().head_samples > HEAD_MAX {
            store.write_block().map_err(|e| Failure::of(DATA_DIR, &e))?;
        }
        Ok(())
    }

    fn bad_line(&mut self, line: u64) {
        self.bad_lines += 1;
        self.first_bad.get_or_insert_with(|| format!("line {line}: time or value is no number"));
    }

    fn tell(&self, context: Context) {
        if context.output == Output::Json {
            let counts = json!({
                "samples": self.samples, "refused": self.refused, "badLines": self.bad_lines,
                "firstBad": self.first_bad,
            });
            say::line(&counts.to_string());
            return;
        }
        let text =
            Text::new("cli.store.imported").with("samples", self.samples).with("refused", self.refused);
        say::line(&say::text(context.language, &text));
        if let Some(first) = &self.first_bad {
            let text = Text::new("cli.store.bad_lines").with("count", self.bad_lines).with("first", first);
            say::error(&say::text(context.language, &text));
        }
    }
}
