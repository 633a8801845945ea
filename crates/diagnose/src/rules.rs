//! The ordered list of rules, and what all of them share.

mod bad_release;
mod bad_setting;
mod children_not_reaped;
mod cpu_contention;
mod deleted_open_file;
mod leaks;
mod missing_file;
mod port_conflict;
mod process_crash;
mod process_down;
mod process_stopped;
mod runaway_fork;
mod unexpected_listener;
mod disk_full;
mod file_changed;
mod firewall_block;
mod backup;
mod certificate;
mod clock_skew;
mod config_syntax_error;
mod connection_exhaustion;
mod credential_mismatch;
mod dependency;
mod dependency_loop;
mod jobs;
mod link_down;
mod mounts;
mod roads;
mod security;
mod squeezed;
mod strain;
mod traces;
mod database_work;
mod missing_index;
pub(crate) mod names;
mod packet_loss;
mod replay_paused;
mod checkpoint_storm;
mod deadlock;
mod lock_contention;
mod replication_broken;
mod schema_mismatch;
mod split_brain;
mod table_bloat;
mod transaction_wraparound;
mod cache_eviction;
mod persistence_failed;
mod poison_message;
mod queue_full;
mod config_drift;
mod declared;
mod rate_limited;
mod refused;
mod wrong_upstream;
mod signals;
mod gc_pause;
mod retry_storm;
mod slow;
mod thread_pool_exhaustion;
mod traffic_surge;
#[cfg(test)]
pub(crate) mod testing;

use wellkept_model::{Cause, CauseKind, EntityId, Finding, FindingKind, Text};

use crate::Situation;

/// One rule: proposes causes with a score of its own, before the topology is looked at.
pub(crate) type Rule = fn(&Situation) -> Vec<Cause>;

/// All rules. Order matters only between causes of equal score.
pub(crate) const RULES: &[Rule] = &[
    bad_setting::propose,
    bad_release::propose,
    port_conflict::propose,
    runaway_fork::propose,
    deleted_open_file::propose,
    leaks::propose,
    children_not_reaped::propose,
    cpu_contention::propose,
    unexpected_listener::propose,
    missing_file::propose,
    disk_full::propose,
    process_stopped::propose,
    process_crash::propose,
    process_down::propose,
    file_changed::propose,
    backup::propose,
    certificate::propose,
    clock_skew::propose,
    config_syntax_error::propose,
    connection_exhaustion::propose,
    credential_mismatch::propose,
    dependency::propose,
    dependency_loop::propose,
    jobs::propose,
    link_down::propose,
    mounts::propose,
    roads::propose,
    security::propose,
    traces::propose,
    squeezed::propose,
    strain::propose,
    missing_index::propose,
    names::propose,
    firewall_block::propose,
    packet_loss::propose,
    replay_paused::propose,
    checkpoint_storm::propose,
    deadlock::propose,
    lock_contention::propose,
    replication_broken::propose,
    schema_mismatch::propose,
    split_brain::propose,
    table_bloat::propose,
    transaction_wraparound::propose,
    cache_eviction::propose,
    persistence_failed::propose,
    poison_message::propose,
    queue_full::propose,
    config_drift::propose,
    declared::propose,
    rate_limited::propose,
    refused::propose,
    wrong_upstream::propose,
    gc_pause::propose,
    retry_storm::propose,
    slow::propose,
    thread_pool_exhaustion::propose,
    traffic_surge::propose,
];

/// Findings which say that a service does not work.
pub(crate) fn is_illness(kind: FindingKind) -> bool {
    matches!(
        kind,
        FindingKind::ProcessGone
            | FindingKind::ProcessStopped
            | FindingKind::RestartingOften
            | FindingKind::HealthFailing
    )
}

/// A cause with the message `cause.<kind>`, the evidence of the findings that speak for it, and what it explains.
pub(crate) fn cause<'a>(
    entity: &EntityId,
    kind: CauseKind,
    subject: &str,
    score: f64,
    speaks_for_it: impl IntoIterator<Item = &'a Finding>,
) -> Cause {
    let mut cause = Cause {
        entity: entity.clone(),
        kind,
        subject: subject.to_owned(),
        detail: Text::new(&format!("cause.{}", kind.word())).with("name", &entity.name),
        score,
        evidence: Vec::new(),
        explains: Vec::new(),
    };
    for finding in speaks_for_it {
        cause.evidence.extend(finding.evidence.iter().cloned());
        cause.explains.push(finding.key.clone());
    }
    cause
}
