//! `jobs.<name>`: where a job is scheduled, how its last run is known, and how it is run.

use std::time::Duration;

use wellkept_model::keep::{Job, JobPlace, plain_line};
use wellkept_model::{ActionKind, Text};

use super::{EVERY_MAX, Entry};
use crate::read;

const KEYS: [&str; 10] =
    ["crontab", "line", "timer", "trace", "due", "process", "run", "service", "every", "may"];
const EVERY: Duration = Duration::from_secs(10);

pub(super) fn read(name: &str, entry: &mut Entry<'_, '_, '_>) -> Option<Job> {
    entry.open(&KEYS)?;
    let place_key = if entry.get("timer").is_some() { "timer" } else { "crontab" };
    let means = [(ActionKind::Restore, place_key), (ActionKind::Reconfigure, "run")];
    if entry.get("trace").is_some() {
        entry.needed("due", "keep.accept.due");
    }
    Some(Job {
        name: name.to_owned(),
        place: place(entry),
        trace: entry.path("trace"),
        due: entry.duration("due", Duration::from_secs(1), EVERY_MAX * 400),
        process: entry.word("process"),
        run: entry.command("run"),
        service: entry.services_of("service").into_iter().next(),
        every: entry.every(EVERY),
        may: entry.may(name, &means),
    })
}

fn place(entry: &mut Entry<'_, '_, '_>) -> Option<JobPlace> {
    let (crontab, line, timer) = (entry.get("crontab"), entry.get("line"), entry.get("timer"));
    match (crontab, line, timer) {
        (Some(_), Some(node), None) => {
            let help = Text::new("keep.accept.crontab_line");
            let line = read::parsed(node, help, entry.problems, |t| is_line(t).then(|| plain_line(t)))?;
            Some(JobPlace::Crontab { file: entry.path("crontab")?, line })
        }
        (None, None, Some(node)) => {
            let help = Text::new("keep.accept.timer");
            let unit = read::parsed(node, help, entry.problems, |t| is_timer(t).then(|| t.to_owned()))?;
            Some(JobPlace::Timer(unit))
        }
        (None, None, None) => None,
        _ => {
            let help = Text::new("keep.accept.crontab_line");
            entry.problems.add(entry.at, Text::new("keep.job_place"), help);
            None
        }
    }
}

/// Five times and a command, or `@daily` and a command.
fn is_line(line: &str) -> bool {
    let is_time =
        |w: &&str| w.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '*' | '/' | ',' | '-'));
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    match words.first() {
        Some(first) if first.starts_with('@') => words.len() > 1,
        Some(_) => words.len() > 5 && words.iter().take(5).all(is_time),
        None => false,
    }
}

fn is_timer(unit: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | ':');
    let good = |stem: &str| !stem.is_empty() && !stem.starts_with('-') && stem.chars().all(plain);
    unit.strip_suffix(".timer").is_some_and(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_times_and_a_command() {
        for (line, good) in [
            ("*/5 * * * * root /usr/local/bin/job", true),
            ("0 3 * * 1-5 backup", true),
            ("@daily root /x", true),
            ("MAILTO=root", false),
            ("# 0 3 * * * x", false),
            ("* * * * *", false),
            ("", false),
        ] {
            assert_eq!(is_line(line), good, "{line}");
        }
        for (unit, good) in
            [("backup@db.timer", true), ("backup.service", false), (".timer", false), ("-x.timer", false)]
        {
            assert_eq!(is_timer(unit), good, "{unit}");
        }
    }
}
