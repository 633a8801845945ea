//! Templates that come at even distances, and stop.

use wellkept_model::TemplateId;

use super::{Kind, Oddity};
use crate::state::{Reader, StateError, Writer};

/// Distances remembered.
const GAPS: usize = 64;

/// Distances that outlive a restart, in milliseconds: enough to know a heart-beat again.
const GAPS_SAVED: usize = 32;
const MILLISECOND_NS: i64 = 1_000_000;

/// Distances before a template is a heart-beat.
const NEEDED: usize = 16;

/// Spread of the distances, as a share of their median, up to which they are even.
const EVEN: f64 = 0.2;

/// Distances of silence, in medians, that are one too many.
const MISSING: f64 = 3.0;

/// Distances between lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Beat {
    last_ns: Option<i64>,
    gaps: std::collections::VecDeque<i64>,
    told: bool,
}

impl Beat {
    pub(super) fn line(&mut self, at_ns: i64) {
        if let Some(last_ns) = self.last_ns {
            // The gap of an outage that was told is no example of a normal one.
            if !self.told {
                self.gaps.push_back(at_ns.saturating_sub(last_ns).max(0));
            }
            if self.gaps.len() > GAPS {
                self.gaps.pop_front();
            }
        }
        self.last_ns = Some(self.last_ns.map_or(at_ns, |last| last.max(at_ns)));
        self.told = false;
    }

    pub(super) fn is_missing(&self) -> bool {
        self.told
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.number(u64::from(self.last_ns.is_some()));
        out.signed(self.last_ns.unwrap_or_default());
        out.number(u64::from(self.told));
        let saved = self.gaps.len().min(GAPS_SAVED);
        out.number(saved as u64);
        for &gap in self.gaps.iter().skip(self.gaps.len() - saved) {
            out.signed(gap / MILLISECOND_NS);
        }
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        let seen = input.number("beat")? != 0;
        let last_ns = input.signed("beat")?;
        let told = input.number("told")? != 0;
        let gaps = input.count("gaps")?.min(GAPS);
        let gaps = (0..gaps)
            .map(|_| input.signed("gap").map(|ms| ms.saturating_mul(MILLISECOND_NS)))
            .collect::<Result<_, _>>()?;
        Ok(Self { last_ns: seen.then_some(last_ns), gaps, told })
    }

    pub(super) fn until(&mut self, now_ns: i64, template: TemplateId, found: &mut Vec<Oddity>) {
        let Some(last_ns) = self.last_ns else { return };
        if self.told || self.gaps.len() < NEEDED {
            return;
        }
        let silence = now_ns.saturating_sub(last_ns) as f64;
        let (usual, spread) = super::value::median_and_spread(self.gaps.iter().map(|&g| g as f64));
        if usual > 0.0 && spread <= EVEN * usual && silence >= MISSING * usual {
            self.told = true;
            found.push(Oddity {
                at_ns: now_ns,
                template,
                kind: Kind::MissingBeat,
                score: silence / usual,
                seen: silence,
                usual,
                value: None,
            });
        }
    }
}
