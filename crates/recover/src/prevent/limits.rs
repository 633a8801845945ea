//! Bounds that come down a step: the same trouble is then told with some room left, and never below a least value.

use std::time::Duration;

use wellkept_model::keep::{DatabaseCare, FULL_AT_DEFAULT, Keep};
use wellkept_model::{Cause, CauseKind, EntityKind, Means, Prevention, PreventionKind, Text};

use super::made;
use super::patch::{Patch, quote};

/// A file system counts as full this much earlier after it has been full.
const EARLIER: f64 = 0.05;
/// It never counts as full below this.
const FULL_AT_MIN: f64 = 0.7;
/// Connection slots never count as exhausted below this.
const SLOTS_AT_MIN: f64 = 0.6;
/// Dead rows, and used transaction numbers, never count below these.
const BLOATED_AT_MIN: f64 = 0.2;
const WRAPAROUND_AT_MIN: f64 = 0.1;
/// Waiting for a lock never counts before this.
const LOCK_WAIT_MIN: Duration = Duration::from_secs(2);
/// Certificates and keys are told no earlier than this.
const BEFORE_MAX: Duration = Duration::from_secs(60 * 86_400);
/// Failed logins never count below this.
const FAILURES_MIN: u32 = 5;

/// The proposal for causes with a bound; `None` where it is at its least.
pub(super) fn of(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    match cause.kind {
        CauseKind::DiskFull | CauseKind::InodeExhaustion => full_earlier(cause, keep),
        CauseKind::ConnectionExhaustion => slots(cause, keep),
        CauseKind::LockContention => lock_wait(cause, keep),
        CauseKind::Deadlock => deadlocks(cause, keep),
        CauseKind::TableBloat => {
            let key = ("bloated_at", "prevention.bloated_at", BLOATED_AT_MIN);
            share_of_care(cause, keep, key, |care| care.bloated_at)
        }
        CauseKind::TransactionWraparound => {
            let key = ("wraparound_at", "prevention.wraparound_at", WRAPAROUND_AT_MIN);
            share_of_care(cause, keep, key, |care| care.wraparound_at)
        }
        CauseKind::QueueFull => queue_limit(cause, keep),
        CauseKind::PoisonMessage => dead_letter(cause, keep),
        CauseKind::TlsCertificateExpired => certificate(cause, keep),
        CauseKind::KeyExpired => ending_key(cause, keep),
        CauseKind::SshBruteforce => failures(keep),
        _ => None,
    }
}

fn full_earlier(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    if cause.entity.kind != EntityKind::Filesystem {
        return None;
    }
    let mountpoint = &cause.entity.name;
    let present = keep.filesystems.get(mountpoint).map_or(FULL_AT_DEFAULT, |f| f.full_at);
    let earlier = percent(present - EARLIER, FULL_AT_MIN, present)?;
    let patch = Patch::at(&["filesystems", mountpoint]).line(1, &format!("full_at: {earlier}"));
    let text = Text::new("prevention.full_at").with("name", mountpoint).with("share", earlier);
    Some(made(PreventionKind::Limit, text, patch))
}

fn slots(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let database = keep.watched.databases.get(&cause.entity.name)?;
    let earlier = percent(database.full_at - 2.0 * EARLIER, SLOTS_AT_MIN, database.full_at)?;
    let patch = Patch::at(&["databases", &database.service]).line(1, &format!("full_at: {earlier}"));
    let text = Text::new("prevention.slots").with("name", &database.service).with("share", earlier);
    Some(made(PreventionKind::Limit, text, patch))
}

fn lock_wait(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let database = keep.watched.databases.get(&cause.entity.name)?;
    let earlier = (database.care.lock_wait / 2).max(LOCK_WAIT_MIN);
    of_database(cause, "lock_wait", &seconds(earlier), "prevention.lock_wait")
        .filter(|_| earlier < database.care.lock_wait)
}

fn deadlocks(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let present = keep.watched.databases.get(&cause.entity.name)?.care.deadlocks;
    let earlier = present.saturating_sub(1).max(1);
    of_database(cause, "deadlocks", &earlier.to_string(), "prevention.deadlocks")
        .filter(|_| earlier < present)
}

fn share_of_care(
    cause: &Cause,
    keep: &Keep,
    (key, text, least): (&str, &str, f64),
    present: impl Fn(&DatabaseCare) -> f64,
) -> Option<Prevention> {
    let present = present(&keep.watched.databases.get(&cause.entity.name)?.care);
    of_database(cause, key, &percent(present - 2.0 * EARLIER, least, present)?, text)
}

fn of_database(cause: &Cause, key: &str, value: &str, text: &str) -> Option<Prevention> {
    let name = &cause.entity.name;
    let patch = Patch::at(&["databases", name]).line(1, &format!("{key}: {value}"));
    Some(made(PreventionKind::Limit, Text::new(text).with("name", name).with("value", value), patch))
}

/// A queue counts as full a fifth earlier.
fn queue_limit(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let (name, key) = (&cause.entity.name, &cause.subject);
    let limit = keep.watched.caches.get(name)?.queues.get(key)?.limit;
    let earlier = limit - limit / 5;
    let patch = Patch::at(&["caches", name, "queues", key]).line(1, &format!("limit: {earlier}"));
    let text =
        Text::new("prevention.queue_limit").with("name", name).with("queue", key).with("value", earlier);
    (earlier < limit).then(|| made(PreventionKind::Limit, text, patch))
}

/// A place for entries that nobody can do; moving one there needs a permission of its own.
fn dead_letter(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let (name, key) = (&cause.entity.name, &cause.subject);
    let queue = keep.watched.caches.get(name)?.queues.get(key).filter(|q| q.dead_letter.is_none())?;
    let list = format!("{key}-dead");
    let patch = Patch::at(&["caches", name, "queues", key])
        .line(1, &format!("limit: {}", queue.limit))
        .line(1, &format!("dead_letter: {}", quote(&list)));
    let text = Text::new("prevention.dead_letter").with("name", name).with("queue", key).with("list", list);
    Some(made(PreventionKind::Limit, text, patch))
}

fn certificate(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let declared = keep.watched.certificates.get(&cause.subject)?;
    earlier_end("certificates", &declared.name, "warn_before", declared.warn_before)
}

fn ending_key(cause: &Cause, keep: &Keep) -> Option<Prevention> {
    let Ok(Means::Renew(name)) = cause.subject.parse::<Means>() else { return None };
    let declared = keep.watched.keys.get(&name)?;
    earlier_end("keys", &name, "before", declared.before)
}

/// Told twice as long before its end.
fn earlier_end(section: &str, name: &str, key: &str, present: Duration) -> Option<Prevention> {
    let earlier = (present * 2).clamp(Duration::from_secs(86_400), BEFORE_MAX);
    let value = seconds(earlier);
    let patch = Patch::at(&[section, name]).line(1, &format!("{key}: {value}"));
    let text = Text::new("prevention.before").with("name", name).with("value", value);
    (earlier > present).then(|| made(PreventionKind::Limit, text, patch))
}

fn failures(keep: &Keep) -> Option<Prevention> {
    let present = keep.security.logins.as_ref()?.failures;
    let earlier = (present / 2).max(FAILURES_MIN);
    let patch = Patch::at(&["security", "logins"]).line(1, &format!("failures: {earlier}"));
    let text = Text::new("prevention.failures").with("value", earlier);
    (earlier < present).then(|| made(PreventionKind::Limit, text, patch))
}

/// As the keep file writes it, in the largest unit that leaves nothing over.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let fits = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{seconds}s"), |(unit, letter)| format!("{}{letter}", seconds / unit))
}

/// A share as whole percent, not below `least`; `None` when that is not less than it is now.
fn percent(share: f64, least: f64, present: f64) -> Option<String> {
    let whole = (share.max(least) * 100.0).round();
    (whole < (present * 100.0).round()).then(|| format!("{whole:.0}%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_keep_file_reads_them() {
        for (seconds_, text) in [(5, "5s"), (90, "90s"), (120, "2m"), (7200, "2h"), (28 * 86_400, "28d")] {
            assert_eq!(seconds(Duration::from_secs(seconds_)), text);
        }
    }
}
