//! One check per file; adding one touches its file, this list and `detectors.rs`.

pub(crate) mod process_gone;
pub(crate) mod process_stopped;
pub(crate) mod restarting;
pub(crate) mod health;
pub(crate) mod silent;
pub(crate) mod filesystem_full;
pub(crate) mod filesystem_filling;
pub(crate) mod file_changed;
pub(crate) mod deleted_open;
pub(crate) mod health_unsteady;
pub(crate) mod listeners;
pub(crate) mod process_table;
pub(crate) mod refused;
pub(crate) mod rising;
pub(crate) mod jobs;
pub(crate) mod mounts;
pub(crate) mod roads;
pub(crate) mod security;
pub(crate) mod traces;
pub(crate) mod squeezed;
pub(crate) mod strain;
pub(crate) mod unusual;
pub(crate) mod backup_unusable;
pub(crate) mod certificate_unfit;
pub(crate) mod clock_off;
pub(crate) mod config_invalid;
pub(crate) mod connections_full;
pub(crate) mod credential_refused;
pub(crate) mod dependency_slow;
pub(crate) mod index_missing;
pub(crate) mod link_down;
pub(crate) mod names_wrong;
pub(crate) mod network_altered;
pub(crate) mod replay_paused;
pub(crate) mod signals;
pub(crate) mod proxies;
pub(crate) mod declared;
pub(crate) mod queues;
pub(crate) mod persistence_failing;
pub(crate) mod cache_evicting;
pub(crate) mod wraparound_near;
pub(crate) mod two_primaries;
pub(crate) mod table_bloated;
pub(crate) mod schema_differs;
pub(crate) mod replication_broken;
pub(crate) mod locks_held;
pub(crate) mod deadlocks_often;
pub(crate) mod checkpoints_forced;
pub(crate) mod waiting_in_circle;
#[cfg(test)]
pub(crate) mod testing;

use wellkept_model::keep::{Database, Keep};
use wellkept_model::observe::DatabaseSeen;
use wellkept_model::{EntityId, Evidence, Finding, FindingKey, FindingKind, Severity, Text, TimestampMs};

use crate::Round;

/// A finding with the message `finding.<kind>`; checks add arguments, evidence and a hold time.
pub(crate) fn finding(
    entity: EntityId,
    kind: FindingKind,
    subject: &str,
    severity: Severity,
    since: TimestampMs,
    now: TimestampMs,
) -> Finding {
    let text = Text::new(&format!("finding.{}", kind.word())).with("name", &entity.name);
    Finding {
        key: FindingKey { entity, kind, subject: subject.to_owned() },
        severity,
        since: since.min(now),
        at: now,
        text,
        evidence: Vec::new(),
        hold_ms: 0,
    }
}

/// Declared databases that answered the last look.
pub(crate) fn databases<'a>(
    keep: &'a Keep,
    round: &Round<'a>,
) -> impl Iterator<Item = (EntityId, &'a Database, &'a DatabaseSeen)> {
    let seen = round.seen.watched.databases.iter().filter(|(_, s)| s.problem.is_none());
    seen.filter_map(|(name, s)| Some((EntityId::service(name), keep.watched.databases.get(name)?, s)))
}

/// Evidence in words.
pub(crate) fn seen_at(at: TimestampMs, text: Text) -> Evidence {
    Evidence { at, text, query: None }
}

/// Evidence that a chart can show.
pub(crate) fn seen_in(at: TimestampMs, text: Text, query: String) -> Evidence {
    Evidence { at, text, query: Some(query) }
}
