//! What rules about declared signals share: which of them are high, and whether something below is ill.

use wellkept_model::{Cause, CauseKind, EntityId, FindingKind};

use super::{cause, is_illness};
use crate::Situation;

/// A service that suffers, and what is high about it.
pub(super) struct Suffering<'a> {
    pub(super) entity: &'a EntityId,
    high: Vec<&'a str>,
    /// Something that it leans on has a finding of its own.
    pub(super) below: bool,
}

impl Suffering<'_> {
    pub(super) fn is_high(&self, signal: &str) -> bool {
        self.high.contains(&signal)
    }

    /// A cause that explains all signals and the illness of the service.
    pub(super) fn cause(&self, s: &Situation, kind: CauseKind, score: f64) -> Cause {
        let speaks = s.about(self.entity);
        let speaks = speaks.filter(|f| f.key.kind == FindingKind::SignalHigh || is_illness(f.key.kind));
        let mut found = cause(self.entity, kind, "", score, speaks);
        found.detail = found.detail.with("signals", self.high.join(", "));
        found
    }
}

/// One for each service with high signals.
pub(super) fn suffering(s: &Situation) -> Vec<Suffering<'_>> {
    let mut found: Vec<Suffering<'_>> = Vec::new();
    for finding in s.of_kind(FindingKind::SignalHigh) {
        let (entity, signal) = (&finding.key.entity, finding.key.subject.as_str());
        if let Some(known) = found.iter_mut().find(|f| f.entity == entity) {
            known.high.push(signal);
            continue;
        }
        let leans_on = s.topology.leans_on(entity);
        let below = s.findings.iter().any(|f| leans_on.contains_key(&f.key.entity));
        found.push(Suffering { entity, high: vec![signal], below });
    }
    found
}

#[cfg(test)]
pub(super) mod testing {
    use wellkept_model::{EntityId, FindingKind};

    use crate::rules::testing::Case;

    /// A situation in words with these high signals of `app`.
    pub(in crate::rules) fn case(words: &str, high: &[&str]) -> Case {
        let mut case = Case::new(words);
        for signal in high {
            Case::find(&mut case.situation, EntityId::service("app"), FindingKind::SignalHigh, signal);
        }
        case.again()
    }
}
