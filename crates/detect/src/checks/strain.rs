//! The host is strained: memory moves in and out, a disk does not keep up, connections are tracked to the last entry, or its
//! clock follows nobody.

use wellkept_model::keep::Keep;
use wellkept_model::observe::StrainSeen;
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at, seen_in};
use crate::Round;

/// Share of the time in which all tasks wait for memory from which it is thrashing. A service that is read from disk at
/// its start stays below it.
const MEMORY_FULL_MIN: f64 = 0.25;
/// Page faults that go to a disk and swapped pages per second that thrashing comes with.
const PAGES_MIN: f64 = 100.0;
/// How long it must last, milliseconds.
const MEMORY_HOLD_MS: u64 = 6_000;

/// Share of the time in which a saturated disk has requests, how long one takes, and how many tasks wait because of it.
const BUSY_MIN: f64 = 0.95;
const WAIT_MS_MIN: f64 = 50.0;
const IO_SOME_MIN: f64 = 0.4;
/// A health check that takes this long suffers, milliseconds.
const SLOW_MS: u64 = 500;
/// How long it must last, milliseconds: a backup or a start may use a disk to the full for a while.
const DISK_HOLD_MS: u64 = 15_000;

/// Share of the table of connections from which it is full.
const TRACKED_MIN: f64 = 0.95;
const TRACKED_HOLD_MS: u64 = 2_000;

/// How long the clock may follow nobody, milliseconds: a daemon that starts needs a while.
const TIME_HOLD_MS: u64 = 60_000;

/// Remembers whether the clock ever followed anybody: on a host without a time source it never does.
#[derive(Debug, Default)]
pub(crate) struct Strained {
    was_synchronised: bool,
}

impl Strained {
    pub(crate) fn check(&mut self, keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
        let Some(seen) = &round.seen.local.strain else { return Vec::new() };
        let mut found = Vec::new();
        found.extend(memory(seen, round));
        found.extend(disks(seen, round));
        found.extend(tracked(seen, round));
        found.extend(self.time(keep, seen, round));
        found
    }

    fn time(&mut self, keep: &Keep, seen: &StrainSeen, round: &Round<'_>) -> Option<Finding> {
        let time = seen.time?;
        self.was_synchronised |= time.synchronised;
        if time.synchronised || !(self.was_synchronised || keep.time_sync.is_some()) {
            return None;
        }
        let mut f = about_host(FindingKind::TimeUnsynchronised, "", Severity::Warning, seen, round);
        f.hold_ms = TIME_HOLD_MS;
        f.evidence
            .push(seen_at(seen.at, Text::new("evidence.time_unsynchronised").with("ms", time.max_error_ms)));
        Some(f)
    }
}

fn about_host(
    kind: FindingKind,
    subject: &str,
    severity: Severity,
    seen: &StrainSeen,
    round: &Round<'_>,
) -> Finding {
    finding(EntityId::host(round.host), kind, subject, severity, seen.at, round.now)
}

fn memory(seen: &StrainSeen, round: &Round<'_>) -> Option<Finding> {
    let share = seen.memory_full.filter(|share| *share >= MEMORY_FULL_MIN)?;
    if seen.major_faults + seen.swapped < PAGES_MIN {
        return None;
    }
    let mut f = about_host(FindingKind::MemoryThrashing, "", Severity::Critical, seen, round);
    f.hold_ms = MEMORY_HOLD_MS;
    let text = Text::new("evidence.memory_thrashing")
        .with("share", share)
        .with("faults", seen.major_faults.round())
        .with("swaps", seen.swapped.round());
    f.evidence.push(seen_in(
        seen.at,
        text,
        "rate(node_pressure_memory_stalled_seconds_total[1m])".to_owned(),
    ));
    f.evidence.extend(users(seen));
    Some(f)
}

fn disks(seen: &StrainSeen, round: &Round<'_>) -> Vec<Finding> {
    // A backup may use a disk to the full at night: that is worth an incident only when somebody suffers.
    let suffers = round.seen.health.iter().any(|h| h.failure.is_some() || h.took_ms >= SLOW_MS);
    let severity = if suffers { Severity::Warning } else { Severity::Info };
    let waits = seen.io_some.is_some_and(|share| share >= IO_SOME_MIN);
    let saturated = seen.disks.iter().filter(|d| waits && d.busy >= BUSY_MIN && d.wait_ms >= WAIT_MS_MIN);
    let found = saturated.map(|disk| {
        let mut f = about_host(FindingKind::DiskSaturated, &disk.device, severity, seen, round);
        f.text = f.text.with("device", &disk.device);
        f.hold_ms = DISK_HOLD_MS;
        let text = Text::new("evidence.disk_saturated")
            .with("device", &disk.device)
            .with("busy", disk.busy)
            .with("ms", disk.wait_ms.round())
            .with("share", seen.io_some.unwrap_or_default());
        let query = format!("rate(node_disk_io_time_seconds_total{{device={:?}}}[1m])", disk.device);
        f.evidence.push(seen_in(seen.at, text, query));
        f.evidence.extend(users(seen));
        f
    });
    found.collect()
}

fn users(seen: &StrainSeen) -> impl Iterator<Item = wellkept_model::Evidence> + '_ {
    seen.disk_users.iter().map(|user| {
        let text = Text::new("evidence.disk_user").with("comm", &user.comm).with("pid", user.pid);
        seen_at(seen.at, text.with("bytes", user.bytes.round()))
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn tracked(seen: &StrainSeen, round: &Round<'_>) -> Option<Finding> {
    let (used, limit) = seen.connections.filter(|(_, limit)| *limit > 0)?;
    if (used as f64) < limit as f64 * TRACKED_MIN {
        return None;
    }
    let kind = FindingKind::ConnectionsTrackedFull;
    let mut f = about_host(kind, "", Severity::Critical, seen, round);
    f.text = f.text.with("used", used).with("limit", limit);
    f.hold_ms = TRACKED_HOLD_MS;
    let text = Text::new("evidence.connections_tracked").with("used", used).with("limit", limit);
    f.evidence.push(seen_in(seen.at, text, "node_nf_conntrack_entries".to_owned()));
    Some(f)
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;
    use wellkept_model::keep::TimeSync;
    use wellkept_model::observe::{DiskSeen, StrainSeen, TimeSeen};

    fn kinds(strain: StrainSeen) -> Vec<FindingKind> {
        let mut w = World::new(&[]);
        w.seen.local.strain = Some(strain);
        w.kinds()
    }

    #[test]
    fn memory_thrashes_when_all_wait_and_pages_move() {
        let strain = |share, faults| StrainSeen {
            memory_full: Some(share),
            major_faults: faults,
            ..StrainSeen::default()
        };
        assert_eq!(kinds(strain(0.3, 500.0)), [FindingKind::MemoryThrashing]);
        assert!(kinds(strain(0.3, 5.0)).is_empty(), "one group at its own limit reclaims without the disk");
        assert!(kinds(strain(0.1, 500.0)).is_empty(), "a start reads its program");
    }

    #[test]
    fn a_disk_that_is_busy_and_quick_is_well() {
        let strain = |busy, wait_ms, io| StrainSeen {
            io_some: Some(io),
            disks: vec![DiskSeen { device: "vda".into(), busy, wait_ms }],
            ..StrainSeen::default()
        };
        assert_eq!(kinds(strain(0.99, 120.0, 0.7)), [FindingKind::DiskSaturated]);
        assert!(kinds(strain(0.99, 2.0, 0.7)).is_empty());
        assert!(kinds(strain(0.7, 120.0, 0.7)).is_empty());
        assert!(kinds(strain(0.99, 120.0, 0.1)).is_empty(), "nobody waits for it");
    }

    #[test]
    fn a_full_table_of_connections_is_told_before_the_last_entry() {
        let strain = |used| StrainSeen { connections: Some((used, 1000)), ..StrainSeen::default() };
        assert_eq!(kinds(strain(950)), [FindingKind::ConnectionsTrackedFull]);
        assert!(kinds(strain(800)).is_empty());
        assert!(kinds(StrainSeen { connections: Some((0, 0)), ..StrainSeen::default() }).is_empty());
    }

    #[test]
    fn a_clock_that_never_followed_anybody_is_a_finding_only_where_that_is_declared() {
        let strain = |synchronised| {
            Some(StrainSeen {
                time: Some(TimeSeen { synchronised, max_error_ms: 16_000 }),
                ..StrainSeen::default()
            })
        };
        let mut w = World::new(&[]);
        w.seen.local.strain = strain(false);
        assert!(w.kinds().is_empty());
        w.seen.local.strain = strain(true);
        assert!(w.kinds().is_empty());
        w.seen.local.strain = strain(false);
        assert_eq!(w.kinds(), [FindingKind::TimeUnsynchronised], "it was lost under our eyes");
        let mut w = World::new(&[]);
        w.keep.time_sync = Some(TimeSync::default());
        w.seen.local.strain = strain(false);
        assert_eq!(w.kinds(), [FindingKind::TimeUnsynchronised]);
    }

    #[test]
    fn a_busy_disk_is_only_worth_knowing_until_somebody_suffers() {
        use wellkept_model::Severity;
        let mut w = World::new(&["app"]);
        let disks = vec![DiskSeen { device: "vda".into(), busy: 0.99, wait_ms: 120.0 }];
        let strain = StrainSeen { io_some: Some(0.7), disks, ..StrainSeen::default() };
        w.seen.local.strain = Some(strain);
        let severity = |w: &mut World| {
            let found = w.findings();
            found.iter().find(|f| f.key.kind == FindingKind::DiskSaturated).map(|f| f.severity)
        };
        assert_eq!(severity(&mut w), Some(Severity::Info));
        w.health("app", None, 3);
        assert_eq!(severity(&mut w), Some(Severity::Info));
        w.health("app", Some("no answer within 2 s"), 1);
        assert_eq!(severity(&mut w), Some(Severity::Warning));
    }
}
