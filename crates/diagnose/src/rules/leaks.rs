//! The component keeps ever more descriptors or memory: a defect in it, which a restart only puts off.
//!
//! Discriminating tests: it rises in a straight line (the detectors see to that), and it did not begin with a release
//! (then `bad_release` speaks louder).

use wellkept_model::local::DescriptorsSeen;
use wellkept_model::{Cause, CauseKind, Evidence, FindingKind, Text};

use super::{cause, is_illness};
use crate::Situation;

/// A line towards the limit is hard to mistake.
const SCORE: f64 = 0.9;

const KINDS: [(FindingKind, CauseKind); 2] =
    [(FindingKind::FdsRising, CauseKind::FdLeak), (FindingKind::MemoryRising, CauseKind::MemoryLeak)];

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let mut found = Vec::new();
    for (sign, kind) in KINDS {
        for finding in s.of_kind(sign) {
            let entity = &finding.key.entity;
            let own = s.about(entity).filter(|f| {
                f.key == finding.key
                    || f.since >= finding.since
                        && (is_illness(f.key.kind) || f.key.kind == FindingKind::HealthUnsteady)
            });
            let mut one = cause(entity, kind, "", SCORE, own);
            let counted = s.seen.local.descriptors.get(&entity.name);
            one.evidence.extend(counted.filter(|_| kind == CauseKind::FdLeak).and_then(mostly));
            found.push(one);
        }
    }
    found
}

/// What most of the descriptors are.
fn mostly(seen: &DescriptorsSeen) -> Option<Evidence> {
    let (kind, count) = seen.kinds.iter().max_by_key(|(_, count)| **count)?;
    let (key, count) = match kind.word() {
        // Half of them lead to one place: then that is worth a name.
        word if !seen.most.is_empty() && seen.most_count >= count.div_ceil(2) => {
            (format!("evidence.descriptors.{word}.to"), seen.most_count)
        }
        word => (format!("evidence.descriptors.{word}"), *count),
    };
    let text = Text::new(&key).with("count", count).with("total", seen.total).with("pid", seen.pid);
    let text = if key.ends_with(".to") { text.with("to", &seen.most) } else { text };
    Some(Evidence { at: seen.at, text, query: None })
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{Case, check};
    use wellkept_model::TimestampMs;
    use wellkept_model::local::{DescriptorKind, DescriptorsSeen};

    #[test]
    fn what_leaks_is_named_with_where_it_leads_to() {
        let told = |most_count| {
            let mut case = Case::new("app runs since 1; app leaks descriptors");
            let kinds = [(DescriptorKind::Sockets, 9200), (DescriptorKind::Files, 100)].into();
            let most = "10.0.0.5:5432".to_owned();
            let seen = DescriptorsSeen { pid: 7, at: TimestampMs(9), total: 9300, kinds, most, most_count };
            case.situation.seen.local.descriptors.insert("app".into(), seen);
            let text = case.again().causes[0].evidence.last().expect("it is told").text.clone();
            (text.key.clone(), text.arg("count").map(str::to_owned), text.arg("to").map(str::to_owned))
        };
        let some = |t: &str| Some(t.to_owned());
        assert_eq!(
            told(9120),
            ("evidence.descriptors.sockets.to".to_owned(), some("9120"), some("10.0.0.5:5432"))
        );
        assert_eq!(told(4599), ("evidence.descriptors.sockets".to_owned(), some("9200"), None));
    }

    #[test]
    fn a_line_towards_the_limit_is_a_leak_of_the_service() {
        check("app runs since 1; app leaks memory", "service:app memory_leak 0.90");
        check("app runs since 1; app leaks descriptors; app unhealthy", "service:app fd_leak 0.90");
    }
}
