//! No space, or no inode, is left on a file system; by whom, as far as the declared rules and a look tell.

use wellkept_model::observe::SpaceUse;
use wellkept_model::{Cause, CauseKind, Evidence, FindingKind, Text, TimestampMs};

use super::cause;
use crate::Situation;

/// A full file system is a fact.
const SCORE: f64 = 0.95;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    let full = s.of_kind(FindingKind::FilesystemFull).map(|finding| {
        let entity = &finding.key.entity;
        let kind =
            if finding.key.subject.is_empty() { CauseKind::DiskFull } else { CauseKind::InodeExhaustion };
        let look = s.space.iter().find(|u| u.mountpoint == entity.name);
        let rule = look.and_then(|u| u.rules.iter().filter(|r| r.files > 0).max_by_key(|r| r.bytes));
        let subject = rule.map_or("", |r| r.glob.as_str());
        let mut found = cause(entity, kind, subject, SCORE, [finding]);
        if let Some(rule) = rule {
            found.detail = Text::new(&format!("cause.{}.by", kind.word()))
                .with("name", &entity.name)
                .with("glob", &rule.glob)
                .with("owners", rule.owners.join(", "));
        }
        found.evidence.extend(look.into_iter().flat_map(|u| describe(u, s.now)));
        found
    });
    full.collect()
}

fn describe(look: &SpaceUse, at: TimestampMs) -> Vec<Evidence> {
    let rules = look.rules.iter().map(|r| {
        Text::new("evidence.rule_matches")
            .with("glob", &r.glob)
            .with("files", r.files)
            .with("bytes", r.bytes)
            .with("open", r.open)
            .with("owners", r.owners.join(", "))
    });
    let biggest = look
        .biggest
        .iter()
        .take(3)
        .map(|(dir, bytes)| Text::new("evidence.directory_holds").with("path", dir).with("bytes", bytes));
    rules.chain(biggest).map(|text| Evidence { at, text, query: None }).collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;

    #[test]
    fn the_pattern_that_could_free_most_is_named_with_its_owner() {
        let case = Case::new("/data full by /data/tmp/export-*.bin of batch");
        assert_eq!(case.first(), "filesystem:/data disk_full");
        assert_eq!(case.causes[0].subject, "/data/tmp/export-*.bin");
        assert_eq!(case.causes[0].detail.arg("owners"), Some("batch"));
        assert_eq!(case.causes[0].entity.component(), "host");
    }

    #[test]
    fn a_service_that_suffers_from_a_full_disk_is_a_symptom() {
        let case =
            Case::new("app uses /data; /data full by /data/x-* of batch; app runs since 1; app unhealthy");
        assert_eq!(case.first(), "filesystem:/data disk_full");
        assert_eq!(case.causes[0].explains.len(), 2);
    }
}
