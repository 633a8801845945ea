//! What is odd about the lines of one source, as they come.
//!
//! Four things are told: a template that appears after the learning period, a template whose rate leaves its usual
//! range, a template that came like a heart-beat and stopped, and a parameter value that does not fit those before.
//! All measures are medians and their deviations, so that one outage does not teach the watch that outages are
//! normal. Time is the caller's: stamps of lines and [`Watch::tick`]. What a person marked as harmless stays silent
//! and is counted.

use std::collections::{BTreeMap, BTreeSet};

use wellkept_model::{ParamKind, TemplateId};

mod beat;
mod rate;
mod saved;
mod value;

use beat::Beat;
use rate::Rate;
use value::Values;

/// How to watch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WatchConfig {
    /// From the first line on, this long nothing is new. Nanoseconds.
    pub learning_ns: i64,
    /// Lines are counted over this long for rates. Nanoseconds.
    pub bucket_ns: i64,
    /// Templates that are watched; further ones are told as new and not watched.
    pub templates: usize,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { learning_ns: 3600 * SECOND_NS, bucket_ns: 60 * SECOND_NS, templates: 20_000 }
    }
}

/// Nanoseconds in a second.
pub const SECOND_NS: i64 = 1_000_000_000;

/// Positions of a template whose values are watched.
const WATCHED_PARAMS: usize = 8;

/// What kind of oddness; together with the template the name under which it is marked harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// First line of a template after the learning period.
    NewTemplate,
    /// More or fewer lines than usual.
    Rate,
    /// No line where one was due.
    MissingBeat,
    /// A value unlike those before it, at this parameter (counted from 0).
    Value(u8),
    /// A session unlike those before it, mostly because of this template. Told by those who watch sessions.
    Session,
}

/// Something odd.
#[derive(Debug, Clone, PartialEq)]
pub struct Oddity {
    /// When it was noticed. Nanoseconds since the Unix epoch.
    pub at_ns: i64,
    /// The template.
    pub template: TemplateId,
    /// What is odd.
    pub kind: Kind,
    /// How far from usual, in deviations; for what is new or missing, how often the rule held before.
    pub score: f64,
    /// What was seen: a count per bucket, a value, or nanoseconds of silence.
    pub seen: f64,
    /// What is usual, in the unit of `seen`.
    pub usual: f64,
    /// The value, where it is no number. Bytes as they stood, at most 64.
    pub value: Option<Vec<u8>>,
}

/// Watches one source. [`Watch::save`] and [`Watch::load`] carry it over a restart.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    config: WatchConfig,
    pub(crate) first_ns: Option<i64>,
    tracks: BTreeMap<TemplateId, Track>,
    pub(crate) harmless: BTreeSet<(TemplateId, Kind)>,
    pub(crate) known: BTreeSet<TemplateId>,
    silenced: u64,
}

#[derive(Debug, Clone)]
struct Track {
    rate: Rate,
    beat: Beat,
    values: Vec<Values>,
}

impl Watch {
    /// A watch that has seen nothing.
    #[must_use]
    pub fn new(config: WatchConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// Takes one line; what is odd about it goes to `out`.
    pub fn line(
        &mut self,
        at_ns: i64,
        template: TemplateId,
        params: &[(ParamKind, &[u8])],
        out: &mut Vec<Oddity>,
    ) {
        let first_ns = *self.first_ns.get_or_insert(at_ns);
        let learning = at_ns.saturating_sub(first_ns) < self.config.learning_ns;
        let mut found = Vec::new();
        if !self.known.contains(&template) {
            if self.known.len() < self.config.templates {
                self.known.insert(template);
            }
            if !learning {
                found.push(Oddity {
                    at_ns,
                    template,
                    kind: Kind::NewTemplate,
                    score: self.known.len() as f64,
                    seen: 1.0,
                    usual: 0.0,
                    value: None,
                });
            }
        }
        if self.tracks.len() < self.config.templates || self.tracks.contains_key(&template) {
            let bucket_ns = self.config.bucket_ns;
            let track = self.tracks.entry(template).or_insert_with(|| Track {
                rate: Rate::new(at_ns, bucket_ns),
                beat: Beat::default(),
                values: Vec::new(),
            });
            track.line(at_ns, template, params, &mut found);
        }
        self.tell(found, out);
    }

    /// Time has come to `now_ns`: tells what is missing. Call it at least once a bucket.
    pub fn tick(&mut self, now_ns: i64, out: &mut Vec<Oddity>) {
        let mut found = Vec::new();
        for (&template, track) in &mut self.tracks {
            track.rate.until(now_ns, template, &mut found);
            track.beat.until(now_ns, template, &mut found);
        }
        self.tell(found, out);
    }

    /// Whether a rate that was told is still odd, or a beat that was told still missing. What is new or a value of one
    /// line does not last.
    #[must_use]
    pub fn lasts(&self, template: TemplateId, kind: Kind) -> bool {
        let track = self.tracks.get(&template);
        match kind {
            Kind::Rate => track.is_some_and(|t| t.rate.is_odd()),
            Kind::MissingBeat => track.is_some_and(|t| t.beat.is_missing()),
            Kind::NewTemplate | Kind::Value(_) | Kind::Session => false,
        }
    }

    /// Whether so many templates are known that further ones are told as new each time they come.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.known.len() >= self.config.templates
    }

    /// From now on `kind` of `template` is known and harmless.
    pub fn mark_harmless(&mut self, template: TemplateId, kind: Kind) {
        self.harmless.insert((template, kind));
    }

    /// Takes the mark back; false when there was none.
    pub fn unmark_harmless(&mut self, template: TemplateId, kind: Kind) -> bool {
        self.harmless.remove(&(template, kind))
    }

    /// What is marked as harmless.
    pub fn harmless(&self) -> impl Iterator<Item = (TemplateId, Kind)> + '_ {
        self.harmless.iter().copied()
    }

    /// Oddities that were not told because they are harmless.
    #[must_use]
    pub fn silenced(&self) -> u64 {
        self.silenced
    }

    /// Two templates became one: what was known of `old` holds for `new`.
    pub fn merged(&mut self, old: TemplateId, new: TemplateId) {
        if self.known.remove(&old) {
            self.known.insert(new);
        }
        if let Some(track) = self.tracks.remove(&old) {
            self.tracks.entry(new).or_insert(track);
        }
        let marks: Vec<Kind> =
            self.harmless.iter().filter(|(id, _)| *id == old).map(|&(_, kind)| kind).collect();
        for kind in marks {
            self.harmless.remove(&(old, kind));
            self.harmless.insert((new, kind));
        }
    }

    fn tell(&mut self, found: Vec<Oddity>, out: &mut Vec<Oddity>) {
        for oddity in found {
            if self.harmless.contains(&(oddity.template, oddity.kind)) {
                self.silenced += 1;
            } else {
                out.push(oddity);
            }
        }
    }
}

impl Track {
    fn line(
        &mut self,
        at_ns: i64,
        template: TemplateId,
        params: &[(ParamKind, &[u8])],
        found: &mut Vec<Oddity>,
    ) {
        self.rate.until(at_ns, template, found);
        self.rate.count();
        self.beat.line(at_ns);
        for (place, &(kind, value)) in params.iter().take(WATCHED_PARAMS).enumerate() {
            if self.values.len() == place {
                self.values.push(Values::new(kind));
            }
            let Some(values) = self.values.get_mut(place) else { break };
            if let Some((score, seen, usual)) = values.line(kind, value) {
                found.push(Oddity {
                    at_ns,
                    template,
                    kind: Kind::Value(place as u8),
                    score,
                    seen,
                    usual,
                    value: Some(value.get(..value::KEPT_BYTES).unwrap_or(value).to_vec()),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TemplateId = TemplateId(1);
    const B: TemplateId = TemplateId(2);

    fn config() -> WatchConfig {
        WatchConfig { learning_ns: 600 * SECOND_NS, ..WatchConfig::default() }
    }

    /// One line of A each ten seconds for `minutes`.
    fn watched(minutes: i64) -> (Watch, Vec<Oddity>) {
        let (mut watch, mut out) = (Watch::new(config()), Vec::new());
        for i in 0..minutes * 6 {
            watch.line(
                i * 10 * SECOND_NS,
                A,
                &[(ParamKind::Number, format!("{}", 100 + i % 7).as_bytes())],
                &mut out,
            );
            watch.tick(i * 10 * SECOND_NS, &mut out);
        }
        (watch, out)
    }

    #[test]
    fn a_steady_stream_is_not_odd() {
        assert_eq!(watched(60).1, []);
    }

    #[test]
    fn a_template_is_new_once_and_only_after_the_learning_period() {
        let (mut watch, mut out) = watched(11);
        watch.line(660 * SECOND_NS, B, &[], &mut out);
        watch.line(661 * SECOND_NS, B, &[], &mut out);
        assert_eq!(out.iter().map(|o| (o.template, o.kind)).collect::<Vec<_>>(), [(B, Kind::NewTemplate)]);
        let (mut watch, mut out) = watched(5);
        watch.line(300 * SECOND_NS, B, &[], &mut out);
        assert_eq!(out, []);
    }

    #[test]
    fn a_burst_and_a_drought_leave_the_usual_rate() {
        let (mut watch, mut out) = watched(60);
        for i in 0..500 {
            watch.line((3600 * SECOND_NS) + i * SECOND_NS / 10, A, &[], &mut out);
        }
        watch.tick(3661 * SECOND_NS, &mut out);
        assert!(out.iter().any(|o| o.kind == Kind::Rate && o.seen > 400.0 && o.usual < 10.0), "{out:?}");
    }

    #[test]
    fn a_heart_beat_that_stops_is_told_once() {
        let (mut watch, mut out) = watched(60);
        for second in 3600..3900 {
            watch.tick(second * SECOND_NS, &mut out);
        }
        let beats: Vec<_> = out.iter().filter(|o| o.kind == Kind::MissingBeat).collect();
        assert_eq!(beats.len(), 1);
        assert!(beats[0].seen >= 30e9 && (beats[0].usual - 10e9).abs() < 1e9);
    }

    #[test]
    fn a_number_far_out_of_its_range_and_a_rare_word_are_odd() {
        let (mut watch, mut out) = watched(60);
        watch.line(3600 * SECOND_NS, A, &[(ParamKind::Number, b"9000")], &mut out);
        assert_eq!((out[0].kind, out[0].seen), (Kind::Value(0), 9000.0));
        out.clear();
        for i in 0..400 {
            let word: &[u8] = if i % 2 == 0 { b"up" } else { b"down" };
            watch.line((3600 + i) * SECOND_NS, B, &[(ParamKind::Text, word)], &mut out);
        }
        out.clear();
        watch.line(4001 * SECOND_NS, B, &[(ParamKind::Text, b"melted")], &mut out);
        assert_eq!(out[0].value.as_deref(), Some(&b"melted"[..]));
    }

    #[test]
    fn what_is_marked_harmless_stays_silent_and_follows_a_merge() {
        let (mut watch, mut out) = watched(11);
        watch.mark_harmless(B, Kind::NewTemplate);
        watch.line(660 * SECOND_NS, B, &[], &mut out);
        assert_eq!((out.len(), watch.silenced()), (0, 1));
        watch.merged(B, A);
        assert_eq!(watch.harmless().collect::<Vec<_>>(), [(A, Kind::NewTemplate)]);
        assert!(watch.unmark_harmless(A, Kind::NewTemplate) && !watch.unmark_harmless(A, Kind::NewTemplate));
    }

    #[test]
    fn a_saved_watch_goes_on_where_it_was() {
        let (mut watch, mut out) = watched(60);
        watch.mark_harmless(B, Kind::Value(3));
        let state = watch.save();
        let mut again = Watch::load(&state, config()).unwrap();
        assert_eq!(again.save(), state);
        assert_eq!(again.harmless().collect::<Vec<_>>(), [(B, Kind::Value(3))]);
        again.line(3600 * SECOND_NS, A, &[(ParamKind::Number, b"9000")], &mut out);
        assert_eq!(out.len(), 1, "what is usual was not forgotten");
        for at in 0..state.len() {
            assert!(Watch::load(&state[..at], config()).is_err());
        }
        let mut damaged = state;
        damaged[40] ^= 1;
        assert_eq!(Watch::load(&damaged, config()).unwrap_err(), crate::StateError::Damaged);
    }

    #[test]
    fn more_templates_than_the_bound_are_not_kept() {
        let mut watch = Watch::new(WatchConfig { templates: 10, ..config() });
        let mut out = Vec::new();
        for i in 0..1000 {
            watch.line(i, TemplateId(i as u64), &[], &mut out);
        }
        assert_eq!((watch.tracks.len(), watch.known.len()), (10, 10));
    }
}
