//! Looks whether a job is scheduled, when it ran last by its trace, and how many runs of it go on.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use wellkept_model::TimestampMs;
use wellkept_model::keep::{Job, JobPlace, plain_line};
use wellkept_model::observe::JobSeen;

use super::{Shared, pause, program};
use crate::clock;
use crate::facts::kept::read_kept;
use crate::proc_stat;
use crate::source::read_once;

/// Longest time for a question to systemd.
const WITHIN: Duration = Duration::from_secs(5);
/// Processes that are looked at.
const PROCESSES_MAX: usize = 20_000;

pub(super) async fn watch(shared: Shared, declared: Job) {
    let mut closely = shared.closely.subscribe();
    let first_at = clock::wall();
    loop {
        let seen = JobSeen { first_at, ..look(&declared).await };
        shared.lock().jobs.insert(declared.name.clone(), seen);
        pause(declared.every, &mut closely).await;
    }
}

async fn look(declared: &Job) -> JobSeen {
    let mut seen = JobSeen { at: clock::wall(), ..JobSeen::default() };
    if let Some(JobPlace::Timer(unit)) = &declared.place {
        match timer(unit).await {
            Ok(active) => seen.scheduled = Some(active),
            Err(problem) => seen.problem = Some(problem),
        }
    }
    let job = declared.clone();
    let looked = tokio::task::spawn_blocking(move || files(&job, seen)).await;
    looked.unwrap_or_else(|e| JobSeen { problem: Some(e.to_string()), ..JobSeen::default() })
}

async fn timer(unit: &str) -> Result<bool, String> {
    let argv = ["systemctl", "show", "--property=ActiveState", "--", unit].map(str::to_owned);
    let ran = program::run(&argv, WITHIN).await?;
    is_active(&ran.output).ok_or_else(|| program::last_words(&ran.errors))
}

fn is_active(output: &str) -> Option<bool> {
    output.trim().strip_prefix("ActiveState=").map(|state| state == "active")
}

fn files(declared: &Job, mut seen: JobSeen) -> JobSeen {
    if let Some(JobPlace::Crontab { file, line }) = &declared.place {
        match holds(file, line) {
            Ok(there) => seen.scheduled = Some(there),
            Err(e) => seen.problem = Some(format!("{}: {e}", file.display())),
        }
    }
    seen.last_run = declared.trace.as_deref().and_then(written);
    if let Some(word) = &declared.process {
        (seen.runs, seen.oldest_since) = runs("/proc", word, seen.at);
    }
    seen
}

/// A crontab that is not there holds nothing.
fn holds(file: &Path, line: &str) -> std::io::Result<bool> {
    match read_kept(file) {
        Ok(kept) => Ok(String::from_utf8_lossy(&kept.bytes).lines().any(|l| plain_line(l) == line)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn written(trace: &Path) -> Option<TimestampMs> {
    let at = std::fs::metadata(trace).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(TimestampMs(i64::try_from(at.as_millis()).unwrap_or(i64::MAX)))
}

/// Processes whose command line holds the word, without those that one of them started: a run is often a shell with a
/// program in it.
fn runs(proc: &str, word: &str, now: TimestampMs) -> (u32, Option<TimestampMs>) {
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok()).take(PROCESSES_MAX);
    let of = |pid: u32| {
        let line = read_once(format!("{proc}/{pid}/cmdline")).ok()?;
        if pid == std::process::id() || !line.contains(word) {
            return None;
        }
        let text = read_once(format!("{proc}/{pid}/stat")).ok()?;
        let stat = proc_stat::parse(&text).filter(|s| s.state != 'Z')?;
        Some((pid, (stat.ppid, stat.start_ticks)))
    };
    let found: BTreeMap<u32, (u32, u64)> = pids.filter_map(of).collect();
    let first: Vec<u64> =
        found.values().filter(|(parent, _)| !found.contains_key(parent)).map(|(_, ticks)| *ticks).collect();
    let Some(oldest) = first.iter().min() else { return (0, None) };
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let began = Duration::from_millis(oldest.saturating_mul(1000) / per_second);
    let age = i64::try_from(clock::since_boot().saturating_sub(began).as_millis()).unwrap_or(0);
    (u32::try_from(first.len()).unwrap_or(u32::MAX), Some(TimestampMs(now.0 - age)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn declared(dir: &Path) -> Job {
        let line = "*/5 * * * * root /bin/job".to_owned();
        Job {
            name: "j".into(),
            place: Some(JobPlace::Crontab { file: dir.join("crontab"), line }),
            trace: Some(dir.join("trace")),
            due: Some(Duration::from_secs(600)),
            process: None,
            run: None,
            service: None,
            every: WITHIN,
            may: vec![],
        }
    }

    #[tokio::test]
    async fn an_entry_counts_by_its_words_and_a_comment_is_none() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let write = |text: &str| std::fs::write(dir.path().join("crontab"), text).expect("written");
        for (text, there) in [
            ("MAILTO=x\n*/5  * * *\t* root /bin/job\n", true),
            ("# */5 * * * * root /bin/job\n", false),
            ("*/5 * * * * root /bin/job --more\n", false),
            ("", false),
        ] {
            write(text);
            assert_eq!(look(&declared(dir.path())).await.scheduled, Some(there), "{text}");
        }
        std::fs::remove_file(dir.path().join("crontab")).expect("removed");
        assert_eq!(look(&declared(dir.path())).await.scheduled, Some(false));
    }

    #[tokio::test]
    async fn the_last_run_is_when_the_trace_was_written() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(look(&declared(dir.path())).await.last_run, None);
        let before = clock::wall();
        std::fs::write(dir.path().join("trace"), "x").expect("written");
        let last = look(&declared(dir.path())).await.last_run.expect("it ran");
        assert!(last + Duration::from_secs(1) >= before, "{last:?}");
    }

    #[test]
    fn a_timer_is_scheduled_while_it_is_active() {
        assert_eq!(is_active("ActiveState=active\n"), Some(true));
        assert_eq!(is_active("ActiveState=inactive\n"), Some(false));
        assert_eq!(is_active(""), None);
    }

    #[test]
    fn runs_are_counted_without_what_they_started() {
        let word = format!("wellkept-run-{}", std::process::id());
        let script = format!("sh -c 'sleep 611; : {word}' & wait; : {word}");
        let mut two: Vec<_> = (0..2)
            .map(|_| {
                let mut command = Command::new("sh");
                wellkept_kernel::in_new_session(command.args(["-c", &script]));
                command.spawn().expect("started")
            })
            .collect();
        let now = clock::wall();
        let seen = loop {
            let seen = runs("/proc", &word, now);
            if seen.0 == 2 {
                break seen;
            }
            std::thread::yield_now();
        };
        let end = |session: u32| {
            let done = Command::new("pkill").args(["-KILL", "-s", &session.to_string()]).status();
            done.expect("started").success()
        };
        for child in &mut two {
            assert!(end(child.id()));
            child.wait().expect("it is ours");
        }
        // One may have been born while the others were ended. Those that nobody reaps stay, as zombies that do not count.
        while runs("/proc", &word, now).0 > 0 {
            for child in &two {
                let _ = end(child.id());
            }
        }
        assert!(seen.1.is_some_and(|at| now.since(at) < Duration::from_secs(60)));
    }
}
