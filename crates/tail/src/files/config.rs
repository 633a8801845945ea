//! Which files are followed, and how.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wellkept_logintake::join::{Begins, JoinConfig};
use wellkept_logintake::mapping::Mapping;
use wellkept_logintake::rate::Rate;
use wellkept_logintake::{Limits, Zone};

/// Most patterns of one source.
const PATTERNS_MAX: usize = 1000;

/// A set of files as it is written in the keep file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileSource {
    /// Patterns of paths: `/var/log/**/*.log`.
    pub include: Vec<String>,
    /// Patterns of paths that are left out.
    pub exclude: Vec<String>,
    /// Labels of every line.
    pub labels: BTreeMap<String, String>,
    /// What belongs together.
    pub multiline: Multiline,
    /// Where a file is begun that was there before it was ever followed.
    pub start: Start,
    /// Lines per second of one file beyond which they are dropped and counted; no limit when it is left out.
    pub lines_per_second: Option<f64>,
}

/// What begins a new line of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Multiline {
    /// Whatever is not indented and belongs to no stack trace.
    #[default]
    Auto,
    /// Every line.
    Off,
    /// A line with a time stamp.
    Stamp,
    /// A line in which this expression is found.
    Begins(String),
}

/// Where to begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Read what is there.
    #[default]
    Beginning,
    /// Only what is added from now on.
    End,
}

/// A source that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileSourceError {
    /// No pattern, or too many.
    #[error("file source {number}: {count} patterns in `include`; 1 to {PATTERNS_MAX} are accepted")]
    Patterns {
        /// Counted from 1.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// A pattern that is none.
    #[error("file source {number}: `{pattern}` is no pattern: {problem}")]
    Pattern {
        /// Counted from 1.
        number: usize,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A pattern that depends on where the process stands.
    #[error("file source {number}: `{pattern}` must begin with /")]
    Relative {
        /// Counted from 1.
        number: usize,
        /// The pattern.
        pattern: String,
    },
    /// A rate that is none.
    #[error("file source {number}: `lines_per_second` must be a number above 0")]
    Rate {
        /// Counted from 1.
        number: usize,
    },
}

/// What holds for all files.
#[derive(Debug, Clone)]
pub struct FilesOptions {
    /// Name of this host, for the label `host`.
    pub host: String,
    /// Bounds of lines.
    pub limits: Limits,
    /// How time stamps without a zone are read.
    pub zone: Arc<Zone>,
    /// Which entity a file belongs to.
    pub mapping: Arc<Mapping>,
    /// How often patterns are looked up anew when nothing tells of new files.
    pub scan_every: Duration,
    /// How often everything is looked up when the kernel does not tell of changes.
    pub poll_every: Duration,
    /// How long a file that was renamed or removed is still read when nothing is added to it.
    pub linger: Duration,
    /// The same for one that has no name any more: as long as it is read, its room on the disk is not given back.
    pub linger_nameless: Duration,
    /// Files followed at once; more are counted.
    pub files_max: usize,
    /// Files held open at once.
    pub open_max: usize,
    /// Bytes of one file that are read before the next file has its turn.
    pub turn_bytes: usize,
    /// Bytes of a batch.
    pub batch_bytes: usize,
    /// Whether the kernel is asked to tell of changes.
    pub inotify: bool,
}

impl Default for FilesOptions {
    fn default() -> Self {
        Self {
            host: String::new(),
            limits: Limits::default(),
            zone: Arc::new(Zone::utc()),
            mapping: Arc::new(Mapping::default()),
            scan_every: Duration::from_secs(10),
            poll_every: Duration::from_millis(500),
            linger: Duration::from_secs(60),
            linger_nameless: Duration::from_secs(5),
            files_max: 10_000,
            open_max: 1000,
            turn_bytes: 256 << 10,
            batch_bytes: 1 << 20,
            inotify: true,
        }
    }
}

/// A source, checked.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) include: Vec<glob::Pattern>,
    pub(super) exclude: Vec<glob::Pattern>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) join: JoinConfig,
    pub(super) start: Start,
    pub(super) rate: Option<Rate>,
}

impl Source {
    pub(super) fn check(
        number: usize,
        source: &FileSource,
        limits: &Limits,
    ) -> Result<Self, FileSourceError> {
        let count = source.include.len();
        if count == 0 || count > PATTERNS_MAX {
            return Err(FileSourceError::Patterns { number, count });
        }
        let begins =
            match &source.multiline {
                Multiline::Auto => Begins::Auto,
                Multiline::Off => Begins::Every,
                Multiline::Stamp => Begins::Stamp,
                Multiline::Begins(pattern) => {
                    Begins::Pattern(regex::bytes::Regex::new(pattern).map_err(|e| {
                        FileSourceError::Pattern { number, pattern: pattern.clone(), problem: e.to_string() }
                    })?)
                }
            };
        let rate = match source.lines_per_second {
            None => None,
            Some(rate) if rate.is_finite() && rate > 0.0 => {
                Some(Rate { per_second: rate, burst: rate.max(100.0) * 2.0 })
            }
            Some(_) => return Err(FileSourceError::Rate { number }),
        };
        Ok(Self {
            include: patterns(number, &source.include)?,
            exclude: patterns(number, &source.exclude)?,
            labels: source.labels.iter().map(|(n, v)| (n.clone(), v.clone())).collect(),
            join: JoinConfig { begins, bytes: limits.line_bytes, ..JoinConfig::default() },
            start: source.start,
            rate,
        })
    }
}

fn patterns(number: usize, texts: &[String]) -> Result<Vec<glob::Pattern>, FileSourceError> {
    let pattern = |text: &String| {
        if !text.starts_with('/') {
            return Err(FileSourceError::Relative { number, pattern: text.clone() });
        }
        let wrong = |e: glob::PatternError| FileSourceError::Pattern {
            number,
            pattern: text.clone(),
            problem: e.msg.to_owned(),
        };
        glob::Pattern::new(text).map_err(wrong)
    };
    texts.iter().map(pattern).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &FileSource) -> Result<(), String> {
        Source::check(2, source, &Limits::default()).map(drop).map_err(|e| e.to_string())
    }

    #[test]
    fn sources_that_cannot_be_used_say_why() {
        let with = |include: &str| FileSource { include: vec![include.to_owned()], ..FileSource::default() };
        assert_eq!(check(&with("/var/log/**/*.log")), Ok(()));
        assert!(check(&FileSource::default()).unwrap_err().contains("0 patterns"));
        assert!(check(&with("log/*.log")).unwrap_err().contains("must begin with /"));
        assert!(check(&with("/a/***")).unwrap_err().contains("is no pattern"));
        let rate = FileSource { lines_per_second: Some(0.0), ..with("/a") };
        assert!(check(&rate).unwrap_err().contains("above 0"));
        let begins = FileSource { multiline: Multiline::Begins("(".into()), ..with("/a") };
        assert!(check(&begins).unwrap_err().contains("`(` is no pattern"));
    }

    #[test]
    fn a_source_is_read_from_its_written_form() {
        let text = r#"{"include":["/a"],"multiline":{"begins":"^x"},"start":"end","lines_per_second":5}"#;
        let source: FileSource = serde_json::from_str(text).unwrap();
        assert_eq!((source.start, source.multiline), (Start::End, Multiline::Begins("^x".into())));
        assert!(serde_json::from_str::<FileSource>(r#"{"includ":[]}"#).is_err());
    }
}
