//! A service floods its log, or runs and gives no sign of progress.

use wellkept_model::keep::{Keep, LOG_RATE_DEFAULT};
use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at, seen_in};
use crate::Round;

/// How long a flood must last, milliseconds: a start or one bad request may say much at once.
const FLOOD_HOLD_MS: u64 = 5_000;

#[expect(clippy::cast_precision_loss, reason = "rates far below 2^53")]
pub(crate) fn check(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, rate) in &round.seen.local.log_growth {
        let Some((knobs, path)) = keep.knobs.get(name).and_then(|k| Some((k, k.log.as_ref()?))) else {
            continue;
        };
        let limit = knobs.log_rate.unwrap_or(LOG_RATE_DEFAULT);
        if *rate < limit as f64 {
            continue;
        }
        let (entity, kind) = (EntityId::service(name), FindingKind::LogFlooding);
        let mut f = finding(entity, kind, "", Severity::Warning, round.now, round.now);
        let (path, rate) = (path.to_string_lossy(), rate.round());
        f.text = f.text.with("rate", rate).with("path", &path);
        f.hold_ms = FLOOD_HOLD_MS;
        let text =
            Text::new("evidence.log_flooding").with("path", &path).with("rate", rate).with("limit", limit);
        let query = format!("sum(rate(log_lines_total{{service={name:?}}}[1m]))");
        f.evidence.push(seen_in(round.now, text, query));
        found.push(f);
    }
    found.extend(keep.progress.iter().filter_map(|(name, progress)| {
        let process = round.seen.services.get(name)?.processes.first()?;
        let at = *round.seen.local.progress.get(name)?;
        // One that was started anew has as long as any other.
        let since = at.max(process.started_at);
        if round.now.since(since) <= progress.within {
            return None;
        }
        let (entity, kind) = (EntityId::service(name), FindingKind::ServiceHung);
        let mut f = finding(entity, kind, "", Severity::Critical, since, round.now);
        let text = Text::new("evidence.service_hung").with("path", progress.file.display()).with("at", at.0);
        f.evidence.push(seen_at(at, text));
        Some(f)
    }));
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::checks::testing::World;
    use wellkept_model::keep::{Knobs, Progress};
    use wellkept_model::{FindingKind, TimestampMs};

    #[test]
    fn a_log_is_flooded_from_its_declared_rate_on() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        let knobs = Knobs { log: Some("/x.log".into()), log_rate: Some(1000), ..Knobs::default() };
        w.keep.knobs.insert("app".into(), knobs);
        for (rate, flooded) in [(900.0, false), (1000.0, true)] {
            w.seen.local.log_growth = [("app".to_owned(), rate)].into();
            assert_eq!(w.kinds() == [FindingKind::LogFlooding], flooded, "{rate}");
        }
    }

    #[test]
    fn a_service_hangs_when_it_runs_and_its_sign_is_old() {
        let mut w = World::new(&["app"]);
        let progress = Progress { file: "/beat".into(), within: Duration::from_secs(30) };
        w.keep.progress.insert("app".into(), progress);
        w.seen.local.progress = [("app".to_owned(), TimestampMs(900_000))].into();
        assert!(w.kinds().is_empty(), "it does not run");
        w.up("app", 1);
        assert!(w.kinds().is_empty(), "it was just started");
        w.advance(31_000);
        assert_eq!(w.kinds(), [FindingKind::ServiceHung]);
        w.seen.local.progress = [("app".to_owned(), TimestampMs(1_030_000))].into();
        assert!(w.kinds().is_empty());
    }
}
