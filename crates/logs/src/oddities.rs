//! What was told as odd: a bounded list for people, and which of it lasts long enough to be a finding.
//!
//! A finding needs more than one odd line: lines of a new kind that say they are grave must go on for [`HOLD_NS`], a
//! rate or a missing beat must last as long. So what a restart or a deployment writes once opens no incident.

use std::collections::{BTreeMap, VecDeque};

use wellkept_logmine::anomaly::stream::{Kind, Oddity};
use wellkept_model::{Level, TemplateId};

/// Oddities that are remembered for people.
const TOLD_MAX: usize = 500;
/// Oddities that may be going on at once.
const GOING_MAX: usize = 1000;
/// Older ones are history: they stand in the list and are no finding.
const FRESH_NS: i64 = 600 * 1_000_000_000;
/// How long something must last to be a finding.
pub(crate) const HOLD_NS: i64 = 60 * 1_000_000_000;
/// A kind of line is over when none came for so long.
const QUIET_NS: i64 = 15 * 1_000_000_000;
/// What lasts longer has become the usual.
const LASTS_MAX_NS: i64 = 24 * 3600 * 1_000_000_000;

/// One oddity with whose lines it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Whose lines; empty when they say nothing of it.
    pub service: String,
    /// Gravest level of the template's lines.
    pub level: Option<Level>,
    /// What is odd.
    pub oddity: Oddity,
}

#[derive(Debug)]
struct Going {
    told: Told,
    first_ns: i64,
    last_ns: i64,
}

type Key = (String, TemplateId, Kind);

/// The list, and what goes on.
#[derive(Debug, Default)]
pub(crate) struct Oddities {
    told: VecDeque<Told>,
    going: BTreeMap<Key, Going>,
}

impl Oddities {
    pub(crate) fn tell(&mut self, told: Told, now_ns: i64) {
        let at_ns = told.oddity.at_ns;
        let key = (told.service.clone(), told.oddity.template, told.oddity.kind);
        let lasts = !matches!(told.oddity.kind, Kind::Value(_) | Kind::Session);
        if lasts && now_ns.saturating_sub(at_ns) <= FRESH_NS && self.going.len() < GOING_MAX {
            let going = Going { told: told.clone(), first_ns: at_ns, last_ns: at_ns };
            self.going.entry(key).or_insert(going);
        }
        if self.told.len() >= TOLD_MAX {
            self.told.pop_back();
        }
        self.told.push_front(told);
    }

    /// A line of a template came.
    pub(crate) fn line(&mut self, service: &str, template: TemplateId, at_ns: i64) {
        if self.going.is_empty() {
            return;
        }
        let key = (service.to_owned(), template, Kind::NewTemplate);
        if let Some(going) = self.going.get_mut(&key) {
            going.last_ns = going.last_ns.max(at_ns);
        }
    }

    /// Lets go of what is over. `lasts`: whether a rate or a beat is still as it was told.
    pub(crate) fn tick(&mut self, now_ns: i64, lasts: &dyn Fn(&Told) -> bool) {
        self.going.retain(|key, going| {
            let is_on = match key.2 {
                Kind::NewTemplate => now_ns.saturating_sub(going.last_ns) <= QUIET_NS,
                Kind::Rate | Kind::MissingBeat => lasts(&going.told),
                Kind::Value(_) | Kind::Session => false,
            };
            if is_on && key.2 != Kind::NewTemplate {
                going.last_ns = going.last_ns.max(now_ns);
            }
            is_on && now_ns.saturating_sub(going.first_ns) <= LASTS_MAX_NS
        });
    }

    pub(crate) fn forget(&mut self, template: TemplateId, kind: Kind) {
        self.going.retain(|key, _| (key.1, key.2) != (template, kind));
        self.told.retain(|t| (t.oddity.template, t.oddity.kind) != (template, kind));
    }

    /// Newest first.
    pub(crate) fn list(&self) -> Vec<Told> {
        self.told.iter().cloned().collect()
    }

    /// What lasts and is grave, with since when and until when.
    pub(crate) fn lasting(&self) -> Vec<(Told, i64, i64)> {
        let grave = |going: &&Going| {
            let (oddity, level) = (&going.told.oddity, going.told.level);
            let is_grave = match oddity.kind {
                Kind::NewTemplate => level >= Some(Level::Error),
                Kind::Rate => level >= Some(Level::Warning) && oddity.seen > oddity.usual,
                Kind::MissingBeat => true,
                Kind::Value(_) | Kind::Session => false,
            };
            is_grave && going.last_ns.saturating_sub(going.first_ns) >= HOLD_NS
        };
        self.going.values().filter(grave).map(|g| (g.told.clone(), g.first_ns, g.last_ns)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn told(kind: Kind, level: Level, at_s: i64) -> Told {
        let oddity = Oddity {
            at_ns: at_s * S,
            template: TemplateId(7),
            kind,
            score: 9.0,
            seen: 50.0,
            usual: 1.0,
            value: None,
        };
        Told { service: "app".into(), level: Some(level), oddity }
    }

    #[test]
    fn a_new_grave_line_is_a_finding_only_while_it_goes_on() {
        let mut oddities = Oddities::default();
        oddities.tell(told(Kind::NewTemplate, Level::Error, 100), 100 * S);
        for s in (100..155).step_by(5) {
            oddities.line("app", TemplateId(7), s * S);
            oddities.tick(s * S, &|_| false);
            assert!(oddities.lasting().is_empty(), "{s}");
        }
        oddities.line("app", TemplateId(7), 161 * S);
        oddities.tick(161 * S, &|_| false);
        assert_eq!(oddities.lasting().len(), 1);
        oddities.tick(180 * S, &|_| false);
        assert!(oddities.lasting().is_empty(), "quiet for longer than 15 s");
        assert_eq!(oddities.list().len(), 1, "people still see it");
    }

    #[test]
    fn lines_that_are_not_grave_and_history_are_no_findings() {
        let mut oddities = Oddities::default();
        oddities.tell(told(Kind::NewTemplate, Level::Info, 100), 100 * S);
        oddities.tell(told(Kind::Rate, Level::Error, 100), 2000 * S);
        for s in [100, 150, 170] {
            oddities.line("app", TemplateId(7), s * S);
            oddities.tick(s * S, &|_| true);
        }
        assert!(oddities.lasting().is_empty());
        assert_eq!(oddities.list().len(), 2);
    }

    #[test]
    fn a_rate_lasts_as_long_as_the_watch_says() {
        let mut oddities = Oddities::default();
        oddities.tell(told(Kind::Rate, Level::Warning, 100), 100 * S);
        oddities.tick(161 * S, &|_| true);
        assert_eq!(oddities.lasting().len(), 1);
        oddities.tick(170 * S, &|_| false);
        assert!(oddities.lasting().is_empty());
    }

    #[test]
    fn what_is_marked_harmless_is_gone_at_once() {
        let mut oddities = Oddities::default();
        oddities.tell(told(Kind::NewTemplate, Level::Error, 100), 100 * S);
        oddities.forget(TemplateId(7), Kind::NewTemplate);
        assert!(oddities.list().is_empty() && oddities.going.is_empty());
    }
}
