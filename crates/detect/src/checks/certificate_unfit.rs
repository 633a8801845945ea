//! A served certificate has run out or will soon, is for another name, is not trusted, or is not the one on disk.

use wellkept_model::keep::{Certificate, Keep};
use wellkept_model::observe::{CertSeen, CertificateSeen};
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text, TimestampMs};

use super::{finding, seen_at};
use crate::Round;

const DAY_MS: i64 = 86_400_000;
/// Looks that must see another certificate than the one on disk: a renewal writes the file first and reloads then.
const STALE_LOOKS: u32 = 2;

pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let declared = keep.watched.certificates.values();
    let found = declared.filter_map(|certificate| {
        let seen = round.seen.watched.certificates.get(&certificate.name)?;
        let served = seen.served.as_ref()?;
        let way = way(certificate, seen, served, round.now)?;
        let severity = match way {
            "soon" | "stale" => Severity::Warning,
            _ => Severity::Critical,
        };
        let entity = EntityId::service(&certificate.service);
        let (kind, subject) = (FindingKind::CertificateUnfit, &certificate.name);
        let mut f = finding(entity, kind, subject, severity, seen.at, round.now);
        f.text.key = format!("{}.{way}", f.text.key);
        let days = served.not_after.0.saturating_sub(round.now.0) / DAY_MS;
        f.text = f.text.with("server", &certificate.server_name).with("days", days).with("way", way);
        f.evidence.push(seen_at(
            seen.at,
            describe("evidence.certificate_served", served, "address", &certificate.connect),
        ));
        if let (Some(disk), Some(path)) = (&seen.on_disk, &certificate.file) {
            let path = path.to_string_lossy();
            f.evidence.push(seen_at(seen.at, describe("evidence.certificate_on_disk", disk, "path", &path)));
        }
        if let Some(why) = &served.untrusted {
            f.evidence.push(seen_at(seen.at, Text::new("evidence.certificate_chain").with("why", why)));
        }
        Some(f)
    });
    found.collect()
}

/// In which way it is unfit, the worst first.
fn way(
    declared: &Certificate,
    seen: &CertificateSeen,
    served: &CertSeen,
    now: TimestampMs,
) -> Option<&'static str> {
    if served.not_after <= now {
        return Some("expired");
    }
    if served.not_before > now {
        return Some("early");
    }
    if !served.names_match {
        return Some("name");
    }
    if served.untrusted.is_some() {
        return Some("chain");
    }
    if served.not_after < now + declared.warn_before {
        return Some("soon");
    }
    let differs = seen.on_disk.as_ref().is_some_and(|d| d.sha256 != served.sha256);
    (differs && seen.in_a_row >= STALE_LOOKS).then_some("stale")
}

fn describe(key: &str, cert: &CertSeen, what: &str, place: &str) -> Text {
    let text = Text::new(key).with(what, place).with("names", cert.names.join(", "));
    text.with("until", cert.not_after.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::checks::testing::World;
    use wellkept_model::TimestampMs;
    use wellkept_model::keep::Certificate;
    use wellkept_model::observe::{CertSeen, CertificateSeen};

    fn cert() -> CertSeen {
        CertSeen {
            sha256: "aa".into(),
            not_before: TimestampMs(0),
            not_after: TimestampMs(1_000_000 + 30 * 86_400_000),
            names: vec!["www.test".into()],
            names_match: true,
            untrusted: None,
        }
    }

    fn keys(served: CertSeen, disk: Option<CertSeen>, in_a_row: u32) -> Vec<String> {
        let mut w = World::new(&["web"]);
        w.up("web", 1);
        let declared = Certificate {
            name: "www".into(),
            service: "web".into(),
            connect: "127.0.0.1:443".into(),
            server_name: "www.test".into(),
            file: Some("/etc/www.pem".into()),
            ca: None,
            warn_before: Duration::from_secs(14 * 86_400),
            every: Duration::from_secs(60),
        };
        w.keep.watched.certificates.insert("www".into(), declared);
        let at = w.now();
        let seen = CertificateSeen { at, served: Some(served), on_disk: disk, in_a_row, problem: None };
        w.seen.watched.certificates.insert("www".into(), seen);
        w.findings().into_iter().map(|f| f.text.key.replace("finding.certificate_unfit.", "")).collect()
    }

    #[test]
    fn one_that_holds_for_the_name_is_no_finding() {
        assert!(keys(cert(), Some(cert()), 9).is_empty());
        assert!(keys(cert(), None, 9).is_empty());
    }

    #[test]
    fn each_way_is_told() {
        assert_eq!(keys(CertSeen { not_after: TimestampMs(999_999), ..cert() }, None, 1), ["expired"]);
        assert_eq!(keys(CertSeen { not_before: TimestampMs(1_000_001), ..cert() }, None, 1), ["early"]);
        assert_eq!(keys(CertSeen { names_match: false, ..cert() }, None, 1), ["name"]);
        assert_eq!(keys(CertSeen { untrusted: Some("x".into()), ..cert() }, None, 1), ["chain"]);
        let soon = TimestampMs(1_000_000 + 13 * 86_400_000);
        assert_eq!(keys(CertSeen { not_after: soon, ..cert() }, None, 1), ["soon"]);
    }

    #[test]
    fn a_renewal_that_is_under_way_is_left_alone() {
        let new = CertSeen { sha256: "bb".into(), ..cert() };
        assert!(keys(cert(), Some(new.clone()), 1).is_empty());
        assert_eq!(keys(cert(), Some(new), 2), ["stale"]);
    }
}
