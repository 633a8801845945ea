//! For what no rule knows: whose series moved most since it began.
//!
//! Looked for once per incident, when a person is about to be called, because it reads ten minutes of all series. The
//! result goes into the situation, so that a record can be replayed without the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wellkept_diagnose::Suspect;
use wellkept_model::{
    CauseKind, IncidentId, METRIC_NAME, MatchOp, Matcher, SeriesSource, SourceLimits, TimestampMs, Topology,
};
use wellkept_rootcause::live::{entity_id, entity_of, scene};
use wellkept_rootcause::{Alarm, Confidence, SignKind, rank};

use super::Engine;

/// How old a riddle must be: a little younger than when a person is called.
const AFTER: Duration = Duration::from_secs(9);
/// How far before its beginning series are compared with.
const BEFORE: Duration = Duration::from_secs(600);
/// Suspects that are told.
const TOLD: usize = 5;
/// What the look may cost.
const LIMITS: SourceLimits =
    SourceLimits { series: 20_000, samples: 8_000_000, time: Duration::from_secs(3) };

/// Suspects of incidents that are open; empty: nobody stands out.
pub(super) type Suspects = BTreeMap<IncidentId, Vec<Suspect>>;

impl Engine {
    /// Looks for suspects of an incident that is unknown for long enough, unless that was done.
    pub(super) async fn suspect(&mut self, id: IncidentId, at: TimestampMs) {
        let Some(incident) = self.book.incident(id) else { return };
        let unknown = incident.causes.first().is_some_and(|c| c.kind == CauseKind::Unknown);
        let holding = incident.findings.iter().filter(|f| incident.holding.contains(&f.key));
        let Some(since) = holding.map(|f| f.since).min() else { return };
        if !unknown || at.since(since) < AFTER || self.suspects.contains_key(&id) {
            return;
        }
        let alarm = Alarm { at: Some(since), entity: Some(incident.entity.to_string()), kind: None };
        let (source, topology) = (Arc::clone(&self.source), self.topology.clone());
        let look = tokio::task::spawn_blocking(move || look(source.as_ref(), &topology, alarm, since, at));
        let found = look.await.unwrap_or_default();
        let open = |id: &IncidentId| self.book.incident(*id).is_some_and(|i| i.resolved_at.is_none());
        self.suspects.retain(|id, _| open(id));
        self.suspects.insert(id, found);
    }
}

fn look(
    source: &dyn SeriesSource,
    topology: &Topology,
    alarm: Alarm,
    since: TimestampMs,
    at: TimestampMs,
) -> Vec<Suspect> {
    let Ok(all) = Matcher::new(METRIC_NAME, MatchOp::NotEqual, "") else { return Vec::new() };
    let series = match source.select(&[all], since - BEFORE, at, &LIMITS) {
        Ok(series) => series,
        Err(error) => {
            tracing::warn!(%error, "no suspects: the series could not be read");
            return Vec::new();
        }
    };
    let ranking = rank(&scene(&series, topology, alarm, entity_of));
    if ranking.confidence == Confidence::Unknown {
        return Vec::new();
    }
    let told = ranking.candidates.iter().filter_map(|candidate| {
        let sign = candidate.signs.first()?;
        let word = match sign.kind {
            SignKind::Slow => "slow",
            SignKind::Failing => "failing",
            SignKind::Full => "full",
            SignKind::Changed => "changed",
        };
        Some(Suspect {
            entity: entity_id(candidate)?,
            score: candidate.score,
            sign: word.to_owned(),
            series: sign.series.clone(),
            before: sign.before,
            after: sign.after,
            onset: candidate.onset,
        })
    });
    told.take(TOLD).collect()
}
