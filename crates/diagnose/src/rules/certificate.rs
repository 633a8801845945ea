//! A certificate has run out, is for another name, or is not the one that lies on disk.
//!
//! Discriminating test: is the one on disk good? Then the service only has to load it; else there is none, which is for a
//! person. An old one that still holds while a good one lies on disk is drift and no illness yet.

use wellkept_model::observe::CertificateSeen;
use wellkept_model::{Cause, CauseKind, Finding, FindingKind};

use super::cause;
use crate::Situation;

/// The handshake was made by us.
const SCORE: f64 = 0.96;
/// It still holds.
const SCORE_DRIFT: f64 = 0.85;
/// The chain is not trusted: by whom it should be is a matter of opinion.
const SCORE_CHAIN: f64 = 0.7;

pub(crate) fn propose(s: &Situation) -> Vec<Cause> {
    s.of_kind(FindingKind::CertificateUnfit).filter_map(|finding| of(s, finding)).collect()
}

fn of(s: &Situation, finding: &Finding) -> Option<Cause> {
    let name = &finding.key.subject;
    let seen = s.seen.watched.certificates.get(name)?;
    let served = seen.served.as_ref()?;
    let (kind, score) = match finding.text.arg("way")? {
        "name" => (CauseKind::TlsNameMismatch, SCORE),
        "stale" => (CauseKind::ConfigDrift, SCORE_DRIFT),
        "chain" if lies_ready(s, seen) => (CauseKind::ConfigDrift, SCORE_DRIFT),
        "chain" => (CauseKind::BadSetting, SCORE_CHAIN),
        _ => (CauseKind::TlsCertificateExpired, SCORE),
    };
    let mut found = cause(&finding.key.entity, kind, name, score, [finding]);
    if kind == CauseKind::ConfigDrift {
        found.detail.key = "cause.config_drift.certificate".to_owned();
    } else if lies_ready(s, seen) {
        found.detail.key = format!("{}.loaded", found.detail.key);
    }
    found.detail = found
        .detail
        .with("server", finding.text.arg("server").unwrap_or_default())
        .with("names", served.names.join(", "))
        .with("until", served.not_after.0)
        .with("path", path_of(finding));
    Some(found)
}

/// A good certificate lies on disk, and it is not the one that is served.
fn lies_ready(s: &Situation, seen: &CertificateSeen) -> bool {
    let (Some(served), Some(disk)) = (&seen.served, &seen.on_disk) else { return false };
    disk.is_good(s.now) && disk.sha256 != served.sha256
}

fn path_of(finding: &Finding) -> &str {
    finding.evidence.iter().find_map(|e| e.text.arg("path")).unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Case;
    use wellkept_model::observe::{CertSeen, CertificateSeen};
    use wellkept_model::{EntityId, FindingKind, TimestampMs};

    fn cert(sha256: &str, until: i64, names_match: bool) -> CertSeen {
        CertSeen {
            sha256: sha256.into(),
            not_before: TimestampMs(0),
            not_after: TimestampMs(until),
            names: vec!["www.test".into()],
            names_match,
            untrusted: None,
        }
    }

    fn case(way: &str, served: CertSeen, on_disk: Option<CertSeen>) -> Case {
        Case::of(|s| {
            Case::find(s, EntityId::service("web"), FindingKind::CertificateUnfit, "www");
            if let Some(finding) = s.findings.last_mut() {
                finding.text = finding.text.clone().with("way", way);
            }
            let seen = CertificateSeen { served: Some(served), on_disk, ..CertificateSeen::default() };
            s.seen.watched.certificates.insert("www".into(), seen);
        })
    }

    #[test]
    fn one_that_ran_out_is_told_with_whether_a_good_one_lies_ready() {
        let old = || cert("aa", 1, true);
        let with = case("expired", old(), Some(cert("bb", 900_000, true)));
        assert_eq!(with.first(), "service:web tls_certificate_expired");
        assert_eq!(with.causes[0].detail.key, "cause.tls_certificate_expired.loaded");
        for disk in [None, Some(old()), Some(cert("bb", 2, true)), Some(cert("bb", 900_000, false))] {
            assert_eq!(case("expired", old(), disk).causes[0].detail.key, "cause.tls_certificate_expired");
        }
    }

    #[test]
    fn another_name_is_another_cause() {
        let case = case("name", cert("aa", 900_000, false), None);
        assert_eq!(case.first(), "service:web tls_name_mismatch");
    }

    #[test]
    fn an_old_one_that_still_holds_is_drift() {
        let case = case("stale", cert("aa", 900_000, true), Some(cert("bb", 950_000, true)));
        assert_eq!(case.first(), "service:web config_drift");
        assert!(!case.kinds().contains(&"tls_certificate_expired".to_owned()));
    }
}
