//! The commands of a script: one line with the block that follows it.

use std::time::Duration;

use regex::{Regex, RegexBuilder};
use wellkept_model::{Labels, TimestampMs};

use super::notation::{SeriesValue, series};
use crate::Limits;
use crate::syntax::number;

/// Size limit of an expectation's pattern, bytes.
const REGEX_SIZE_MAX: usize = 1 << 20;

pub(super) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

pub(super) struct Load {
    pub(super) interval: Duration,
    pub(super) with_custom_buckets: bool,
    pub(super) series: Vec<(Labels, Vec<SeriesValue>)>,
}

/// When a query is evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    Instant(TimestampMs),
    Range { from: TimestampMs, to: TimestampMs, step: Duration },
}

#[derive(Default)]
pub(super) struct Wanted {
    pub(super) ordered: bool,
    pub(super) fail: Option<Message>,
    pub(super) warnings: Vec<Message>,
    pub(super) infos: Vec<Message>,
    pub(super) no_warning: bool,
    pub(super) no_info: bool,
    /// One number without labels.
    pub(super) scalar: Option<f64>,
    pub(super) text: Option<String>,
    /// First instant and step of the samples of an instant query that gives a range.
    pub(super) matrix: Option<(TimestampMs, Duration)>,
    pub(super) series: Vec<(Labels, Vec<SeriesValue>)>,
}

/// What a message must be.
pub(super) enum Message {
    Any,
    Exactly(String),
    Matches(Box<Regex>),
}

impl Message {
    pub(super) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => {
                wanted == text || wanted.strip_prefix('"').and_then(|w| w.strip_suffix('"')) == Some(text)
            }
            Self::Matches(pattern) => pattern.is_match(text),
        }
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Any => "anything".to_owned(),
            Self::Exactly(text) => format!("{text:?}"),
            Self::Matches(pattern) => format!("the pattern {:?}", pattern.as_str()),
        }
    }
}

pub(super) struct Eval {
    pub(super) query: String,
    pub(super) when: When,
    pub(super) wanted: Wanted,
}

/// Reads a command; also how many lines of the block belong to it.
pub(super) fn read(line: &str, block: &[&str], limits: &Limits) -> Result<(Command, usize), String> {
    let word = line.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    match word.as_str() {
        "clear" => Ok((Command::Clear, 0)),
        "load" | "load_with_nhcb" => {
            let interval =
                line.split_whitespace().nth(1).ok_or("load wants an interval, such as `load 1m`")?;
            let interval = duration(interval)?;
            let series = block.iter().map(|l| series(l, limits)).collect::<Result<Vec<_>, _>>()?;
            let with_custom_buckets = word == "load_with_nhcb";
            let mut last: Vec<(Labels, Vec<SeriesValue>)> = Vec::with_capacity(series.len());
            for one in series {
                // A series that is written twice in one block is what it was written as last.
                last.retain(|(labels, _)| *labels != one.0);
                last.push(one);
            }
            Ok((Command::Load(Load { interval, with_custom_buckets, series: last }), block.len()))
        }
        _ if word.starts_with("eval") => {
            let (eval, used) = eval(line, &word, block, limits)?;
            Ok((Command::Eval(Box::new(eval)), used))
        }
        _ => Err(format!("invalid command {word:?}; there are load, load_with_nhcb, eval and clear")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    millis(text).and_then(|ms| {
        u64::try_from(ms).map(Duration::from_millis).map_err(|_| format!("{text:?} must not be negative"))
    })
}

/// `5m`, `-5m`, `0`, or plain seconds.
fn millis(text: &str) -> Result<i64, String> {
    if let Some(rest) = text.strip_prefix('-') {
        return millis(rest).map(|ms| -ms);
    }
    match number::number(text) {
        Some(seconds) if seconds.abs() <= number::DURATION_SECONDS_MAX => {
            Ok((seconds * 1000.0).round() as i64)
        }
        _ => number::duration(text),
    }
}

/// The words of a line up to the query, and the query as it was written.
fn words(line: &str, count: usize) -> Option<(Vec<&str>, &str)> {
    let mut rest = line;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        rest = rest.trim_start();
        let end = rest.find(char::is_whitespace)?;
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after;
    }
    Some((words, rest.trim())).filter(|(_, query)| !query.is_empty())
}

fn eval(line: &str, word: &str, block: &[&str], limits: &Limits) -> Result<(Eval, usize), String> {
    let usage =
        "write `eval instant at <time> <query>` or `eval range from <from> to <to> step <step> <query>`";
    let kind = line.split_whitespace().nth(1).unwrap_or_default();
    let (when, query) = match kind {
        "instant" => {
            let (words, query) = words(line, 4).ok_or(usage)?;
            let at = words.get(3).filter(|_| words.get(2) == Some(&"at")).ok_or(usage)?;
            (When::Instant(TimestampMs(millis(at)?)), query)
        }
        "range" => {
            let (words, query) = words(line, 8).ok_or(usage)?;
            let at = |i: usize, name: &str| {
                words.get(i + 1).copied().filter(|_| words.get(i) == Some(&name)).ok_or(usage)
            };
            let (from, to) = (millis(at(2, "from")?)?, millis(at(4, "to")?)?);
            let step = duration(at(6, "step")?)?;
            (When::Range { from: TimestampMs(from), to: TimestampMs(to), step }, query)
        }
        _ => return Err(usage.to_owned()),
    };
    let mut wanted = Wanted::default();
    match word {
        "eval" => {}
        "eval_fail" => wanted.fail = Some(Message::Any),
        "eval_warn" => wanted.warnings.push(Message::Any),
        "eval_info" => wanted.infos.push(Message::Any),
        "eval_ordered" => wanted.ordered = true,
        other => return Err(format!("invalid command {other:?}")),
    }
    let mut used = 0;
    for line in block {
        used += 1;
        if !expectation(line, &mut wanted, limits)? {
            break;
        }
    }
    Ok((Eval { query: query.to_owned(), when, wanted }, used))
}

/// Reads one line of what is expected; false when it is the last one.
fn expectation(line: &str, wanted: &mut Wanted, limits: &Limits) -> Result<bool, String> {
    if let Some(text) = line.strip_prefix("expected_fail_message") {
        wanted.fail = Some(Message::Exactly(text.trim().to_owned()));
        return Ok(false);
    }
    if let Some(text) = line.strip_prefix("expected_fail_regexp") {
        wanted.fail = Some(pattern(text.trim())?);
        return Ok(false);
    }
    if let Some(rest) = line.strip_prefix("expect").filter(|r| r.starts_with([' ', '\t'])) {
        expect(rest.trim(), wanted)?;
        return Ok(true);
    }
    if let Some(value) = scalar(line) {
        wanted.scalar = Some(value);
        return Ok(false);
    }
    wanted.series.push(series(line, limits)?);
    Ok(true)
}

fn scalar(line: &str) -> Option<f64> {
    let bare = line.strip_prefix(['-', '+']).unwrap_or(line);
    let value = number::number(bare)?;
    Some(if line.starts_with('-') { -value } else { value })
}

fn expect(rest: &str, wanted: &mut Wanted) -> Result<(), String> {
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let message = || -> Result<Message, String> {
        match rest.trim().split_once(':') {
            None if rest.trim().is_empty() => Ok(Message::Any),
            Some(("msg", text)) => Ok(Message::Exactly(text.trim().to_owned())),
            Some(("regex", text)) => pattern(text.trim()),
            _ => Err(format!("invalid token in `expect {kind} {rest}`; write `msg:` or `regex:`")),
        }
    };
    match kind {
        "ordered" => wanted.ordered = true,
        "fail" => wanted.fail = Some(message()?),
        "warn" => wanted.warnings.push(message()?),
        "info" => wanted.infos.push(message()?),
        "no_warn" => wanted.no_warning = true,
        "no_info" => wanted.no_info = true,
        "string" => {
            let literal = rest.trim();
            let text = crate::syntax::quote::unquote(literal).unwrap_or_else(|_| literal.to_owned());
            wanted.text = Some(text);
        }
        "range" => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            match words.as_slice() {
                ["vector", "from", from, "to", _, "step", step] => {
                    wanted.matrix = Some((TimestampMs(millis(from)?), duration(step)?));
                }
                _ => {
                    return Err("write `expect range vector from <from> to <to> step <step>`".to_owned());
                }
            }
        }
        other => return Err(format!("invalid expected error/annotation type {other}")),
    }
    if wanted.no_warning && !wanted.warnings.is_empty() {
        return Err("invalid expect lines, warn and no_warn cannot be used together".to_owned());
    }
    if wanted.no_info && !wanted.infos.is_empty() {
        return Err("invalid expect lines, info and no_info cannot be used together".to_owned());
    }
    Ok(())
}

fn pattern(text: &str) -> Result<Message, String> {
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    let built = RegexBuilder::new(text).size_limit(REGEX_SIZE_MAX).build();
    built.map(|p| Message::Matches(Box::new(p))).map_err(|e| format!("invalid regex {text}: {e}"))
}
