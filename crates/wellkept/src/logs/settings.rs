//! What the keep file says of logs, in the words of those who do it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use wellkept_logintake::Zone;
use wellkept_logintake::mapping::{Mapping, SourceRule};
use wellkept_logintake::rate::Rate;
use wellkept_logs::LogsConfig;
use wellkept_logstore::{LogStoreConfig, RetentionRule};
use wellkept_model::Matcher;
use wellkept_model::keep::{Keep, LogFiles};
use wellkept_tail::files::{FileSource, Multiline, Start};

use crate::exit::{Failure, USAGE};

/// What hosts without a journal usually have.
const USUAL_FILES: [&str; 7] = [
    "/var/log/syslog",
    "/var/log/messages",
    "/var/log/auth.log",
    "/var/log/secure",
    "/var/log/kern.log",
    "/var/log/daemon.log",
    "/var/log/cron.log",
];
/// Where a journal is.
const JOURNALS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// Where the logs of containers are: folder that must be there, and pattern.
const CONTAINERS: [(&str, &str); 2] = [
    ("/var/log/containers", "/var/log/containers/*.log"),
    ("/var/lib/docker/containers", "/var/lib/docker/containers/*/*-json.log"),
];

/// What is followed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) files: Vec<FileSource>,
    pub(crate) journal: bool,
}

/// What is to be followed on this host, checked. `usual`: what is not said is what hosts usually have; else nothing.
///
/// # Errors
/// A rule or a pattern that cannot be used.
pub(crate) fn plan(keep: &Keep, data_dir: &Path, usual: bool) -> anyhow::Result<Plan> {
    let has_journal = || usual && JOURNALS.iter().any(|f| Path::new(f).is_dir());
    let journal = keep.logs.journal.unwrap_or_else(has_journal);
    let mut files = match &keep.logs.files {
        Some(files) => files.iter().map(|f| source(f, keep)).collect(),
        // The journal has the same lines.
        None if journal || !usual => Vec::new(),
        None => vec![FileSource {
            include: USUAL_FILES.map(str::to_owned).to_vec(),
            start: Start::End,
            ..FileSource::default()
        }],
    };
    for (folder, pattern) in CONTAINERS {
        if keep.logs.containers.unwrap_or_else(|| usual && Path::new(folder).is_dir()) {
            let lines_per_second = rate_of(keep).map(|r| r.per_second);
            let include = vec![pattern.to_owned()];
            files.push(FileSource { include, start: Start::End, lines_per_second, ..FileSource::default() });
        }
    }
    files.push(outputs(data_dir));
    // Patterns and expressions are checked by those who use them, before anything is begun.
    let options = wellkept_tail::files::FilesOptions { inotify: false, ..Default::default() };
    wellkept_tail::files::Files::new(&files, options, &[])
        .map_err(|e| Failure::new(USAGE, format!("logs.files: {}", Failure::of(0, &e).message)))?;
    mapping(keep)?;
    Ok(Plan { files, journal })
}

/// What services write that we started.
fn outputs(data_dir: &Path) -> FileSource {
    let include = vec![format!("{}/logs/*.log", data_dir.display())];
    FileSource {
        include,
        labels: [("source".to_owned(), "stdout".to_owned())].into(),
        ..FileSource::default()
    }
}

fn source(files: &LogFiles, keep: &Keep) -> FileSource {
    let mut labels: BTreeMap<String, String> = files.labels.clone();
    if let Some(service) = &files.service {
        labels.insert("service".to_owned(), service.clone());
    }
    let multiline = match files.multiline.as_deref() {
        None | Some("auto") => Multiline::Auto,
        Some("off") => Multiline::Off,
        Some("stamp") => Multiline::Stamp,
        Some(pattern) => Multiline::Begins(pattern.to_owned()),
    };
    FileSource {
        include: files.paths.clone(),
        exclude: files.exclude.clone(),
        labels,
        multiline,
        start: if files.from_end { Start::End } else { Start::Beginning },
        lines_per_second: files.lines_per_second.or(keep.logs.lines_per_second).map(f64::from),
    }
}

/// How much one source may bring, when the keep file says so.
pub(super) fn rate_of(keep: &Keep) -> Option<Rate> {
    keep.logs.lines_per_second.map(|n| {
        let per_second = f64::from(n);
        Rate { per_second, burst: per_second.max(100.0) * 2.0 }
    })
}

/// Whose lines they are.
///
/// # Errors
/// A rule that cannot be used.
pub(super) fn mapping(keep: &Keep) -> anyhow::Result<Arc<Mapping>> {
    let rules = keep.logs.entities.iter().map(|e| SourceRule {
        path: e.path.clone(),
        labels: e.labels.clone(),
        service: e.service.clone(),
        host: e.host.clone(),
        set: BTreeMap::new(),
    });
    let outputs = SourceRule {
        path: Some("/**/logs/*.log".to_owned()),
        labels: [("source".to_owned(), "stdout".to_owned())].into(),
        service: Some("${2}".to_owned()),
        ..SourceRule::default()
    };
    let rules: Vec<SourceRule> = rules.chain([outputs]).collect();
    let mapping = Mapping::new(&rules)
        .map_err(|e| Failure::new(USAGE, format!("logs.entities: {}", Failure::of(0, &e).message)))?;
    Ok(Arc::new(mapping))
}

/// How the store, the miner and the doors are set.
///
/// # Errors
/// As [`plan`].
pub(crate) fn config(keep: &Keep) -> anyhow::Result<LogsConfig> {
    let logs = &keep.logs;
    let defaults = LogsConfig::of_a_host();
    let rules = logs.streams.iter().map(|s| {
        let matchers = s.matchers.iter().map(|(name, op, value)| Matcher::new(name, *op, value));
        Ok(RetentionRule { matchers: matchers.collect::<Result<_, _>>()?, keep: s.keep })
    });
    let store = LogStoreConfig {
        retention: logs.retention.unwrap_or(defaults.store.retention),
        rules: rules.collect::<anyhow::Result<_>>()?,
        bytes_max: logs.size.unwrap_or(defaults.store.bytes_max),
        ..defaults.store
    };
    let mut watch = defaults.watch;
    if let Some(learning) = logs.learning {
        watch.learning_ns = i64::try_from(learning.as_nanos()).unwrap_or(i64::MAX);
    }
    let rate = rate_of(keep).or(defaults.rate);
    Ok(LogsConfig { store, watch, rate, zone: zone(), mapping: mapping(keep)?, ..defaults })
}

/// How this host's clock on the wall differs from UTC, over the years whose lines may still be read.
pub(super) fn zone() -> Arc<Zone> {
    let zone = jiff::tz::TimeZone::system();
    let Ok(first) = "1990-01-01T00:00:00Z".parse::<jiff::Timestamp>() else { return Arc::new(Zone::utc()) };
    let Ok(last) = "2100-01-01T00:00:00Z".parse::<jiff::Timestamp>() else { return Arc::new(Zone::utc()) };
    let transitions = zone.following(first).take_while(|t| t.timestamp() < last);
    let transitions = transitions.map(|t| (t.timestamp().as_second(), t.offset().seconds())).collect();
    Arc::new(Zone::from_transitions(zone.to_offset(first).seconds(), transitions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_of_services_are_always_followed_and_carry_the_service() {
        let plan = plan(&Keep::default(), Path::new("/var/lib/wellkept"), false).unwrap();
        let last = plan.files.last().unwrap();
        assert_eq!(last.include, ["/var/lib/wellkept/logs/*.log"]);
        let mapping = mapping(&Keep::default()).unwrap();
        let labels = wellkept_model::Labels::new([
            ("filename", "/var/lib/wellkept/logs/app.log"),
            ("source", "stdout"),
        ]);
        assert_eq!(mapping.apply(&labels).get("service"), "app");
        let other = wellkept_model::Labels::new([("filename", "/srv/logs/app.log")]);
        assert_eq!(mapping.apply(&other).get("service"), "", "only what we wrote ourselves");
    }

    #[test]
    fn a_pattern_that_is_none_is_told_with_its_place() {
        let mut keep = Keep::default();
        let files = LogFiles { paths: vec!["/a".into()], multiline: Some("(".into()), ..LogFiles::default() };
        keep.logs.files = Some(vec![files]);
        let error = plan(&keep, Path::new("/d"), true).unwrap_err().to_string();
        assert!(error.starts_with("logs.files: file source 1: `(` is no pattern"), "{error}");
    }
}
