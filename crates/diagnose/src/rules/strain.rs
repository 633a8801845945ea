//! The host itself is strained: memory, a disk, the table of connections, the time.
//!
//! Discriminating tests: pages that move in and out keep the disk busy, so a saturated disk is a symptom while memory
//! thrashes; and memory that one service uses up in a straight line is that service's leak.

use wellkept_model::{Cause, CauseKind, Finding, FindingKind};

use super::cause;
use crate::Situation;

/// The kernel counts all of it.
const SCORE: f64 = 0.92;
/// Something else that is known explains it.
const SCORE_SYMPTOM: f64 = 0.45;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let mut found: Vec<Cause> =
        s.of_kind(FindingKind::MemoryThrashing).map(|f| memory_thrash(s, f)).collect();
    found.extend(s.of_kind(FindingKind::DiskSaturated).map(|f| disk_io_saturation(s, f)));
    let plain = [
        (FindingKind::ConnectionsTrackedFull, CauseKind::NatTableFull),
        (FindingKind::TimeUnsynchronised, CauseKind::TimeSyncLost),
    ];
    for (of, kind) in plain {
        found.extend(s.of_kind(of).map(|f| cause(&f.key.entity, kind, "", SCORE, [f])));
    }
    found
}

fn memory_thrash(s: &Situation, finding: &Finding) -> Cause {
    let leak = s.of_kind(FindingKind::MemoryRising).next().is_some();
    let busy = s.of_kind(FindingKind::DiskSaturated).filter(|f| f.key.entity == finding.key.entity);
    let score = if leak { SCORE_SYMPTOM } else { SCORE };
    let speaks = std::iter::once(finding).chain(busy);
    let mut found = cause(&finding.key.entity, CauseKind::MemoryThrash, "", score, speaks);
    let memory = |seen: &wellkept_model::observe::ServiceSeen| -> u64 {
        seen.processes.iter().map(|p| p.rss_bytes).sum()
    };
    let biggest = s.seen.services.iter().map(|(name, seen)| (memory(seen), name)).max();
    let who = biggest.filter(|(bytes, _)| *bytes > 0).map_or("-", |(_, name)| name.as_str());
    found.detail = found.detail.with("who", who);
    found
}

fn disk_io_saturation(s: &Situation, finding: &Finding) -> Cause {
    let device = &finding.key.subject;
    let thrashes = s.of_kind(FindingKind::MemoryThrashing).next().is_some();
    let score = if thrashes { SCORE_SYMPTOM } else { SCORE };
    let mut found = cause(&finding.key.entity, CauseKind::DiskIoSaturation, device, score, [finding]);
    let users = s.seen.local.strain.iter().flat_map(|strain| &strain.disk_users);
    let who: Vec<String> = users.take(2).map(|u| format!("{} {}", u.comm, u.pid)).collect();
    let who = if who.is_empty() { "-".to_owned() } else { who.join(", ") };
    found.detail = found.detail.with("device", device).with("who", who);
    found
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::{DiskUserSeen, StrainSeen};
    use wellkept_model::{EntityId, FindingKind};

    fn case(kinds: &[FindingKind]) -> Case {
        Case::of(|s| {
            for kind in kinds {
                let subject = if *kind == FindingKind::DiskSaturated { "vda" } else { "" };
                Case::find(s, EntityId::host("h"), *kind, subject);
            }
            let user = DiskUserSeen { pid: 7, comm: "dd".into(), bytes: 9e6 };
            s.seen.local.strain = Some(StrainSeen { disk_users: vec![user], ..StrainSeen::default() });
        })
    }

    #[test]
    fn a_busy_disk_is_a_cause_by_itself_and_a_symptom_while_memory_thrashes() {
        let disk = case(&[FindingKind::DiskSaturated]);
        assert_eq!(disk.first(), "host:h disk_io_saturation");
        assert_eq!(disk.causes[0].detail.arg("who"), Some("dd 7"));
        let both = case(&[FindingKind::DiskSaturated, FindingKind::MemoryThrashing]);
        assert_eq!(both.first(), "host:h memory_thrash");
        assert_eq!(both.causes[0].explains.len(), 2);
        assert!(both.causes[1].score < 0.6);
    }

    #[test]
    fn a_service_that_leaks_is_the_root_of_thrashing() {
        let mut case = case(&[FindingKind::MemoryThrashing]);
        Case::find(&mut case.situation, EntityId::service("app"), FindingKind::MemoryRising, "");
        assert_eq!(case.again().first(), "service:app memory_leak");
    }

    #[test]
    fn each_table_and_clock_is_a_cause_of_its_own() {
        assert_eq!(case(&[FindingKind::ConnectionsTrackedFull]).first(), "host:h nat_table_full");
        assert_eq!(case(&[FindingKind::TimeUnsynchronised]).first(), "host:h time_sync_lost");
    }
}
