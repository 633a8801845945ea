//! Sessions that are unlike all that went well.
//!
//! A session is the vector of how often each event happened in it. Its score is the distance to the nearest vector
//! of the training: every event adds `ln(1 + difference of counts)` times its weight, and an event whose count is
//! nearly always the same weighs more than one that wanders anyway (weight from the entropy of its counts). Order is
//! left out on purpose: replicas answer in any order, and transitions cost more false alarms than they found faults.
//! Sessions of one parent (containers of one job) borrow from each other: half of a score is the mean over the parent.
//!
//! The threshold is conformal: every training session is scored as if it (and its parent) were not in the training,
//! and a session is odd when at most a share of [`SessionConfig::false_alarms`] of those scores is as high. It needs
//! no anomalies, and promises that share of false alarms whatever the scores look like.

use std::collections::BTreeMap;

use thiserror::Error;

mod vector;

use vector::{Vector, pairs, vector, weights, with_parents};

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SessionConfig {
    /// Share of normal sessions that may be called odd, above 0 and below 1.
    pub false_alarms: f64,
    /// Different vectors that are kept; the rarest beyond it are dropped.
    pub vectors: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        // One false alarm in 400 sessions: about what a person forgives.
        Self { false_alarms: 0.0025, vectors: 4096 }
    }
}

/// Weight of an event that was never seen, and of one whose count never differs.
///
/// Events differ in how sure we are of their count, but no single one may outweigh everything else.
const MAX_WEIGHT: f64 = 3.0;

/// Normal sessions below which nothing is called odd: with fewer, everything is new.
pub const FEWEST_SESSIONS: usize = 20;

/// Why training failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TrainError {
    /// Nothing can be learned from nothing.
    #[error("training needs at least one session with an event; none was given")]
    NoSessions,
    /// The share makes no sense.
    #[error("the share of false alarms must be above 0 and below 1")]
    FalseAlarms,
}

/// A session to learn from or to judge.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// What it belongs to, if sessions come in families: the job of a container.
    pub parent: Option<&'a str>,
    /// Its events in order of time: ids of templates.
    pub events: &'a [u64],
}

/// What was found about a session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionScore {
    /// Distance from normal; 0 is as normal as can be.
    pub score: f64,
    /// Share of normal sessions that look at least as odd, above 0.
    pub p_value: f64,
    /// Odd by the threshold.
    pub odd: bool,
    /// The events that made the score, weightiest first, at most [`REASONS`].
    pub reasons: Vec<Reason>,
}

/// Reasons that are told.
pub const REASONS: usize = 5;

/// One event that is too frequent, too rare, or new.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reason {
    /// The event.
    pub event: u64,
    /// Times in this session.
    pub count: u32,
    /// Times in the most similar normal session.
    pub expected: u32,
    /// Whether the event was never seen in training.
    pub new: bool,
    /// What it adds to the distance.
    pub weight: f64,
}

/// Normal sessions, learned.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionModel {
    pub(crate) config: SessionConfig,
    pub(crate) weights: BTreeMap<u64, f64>,
    pub(crate) vectors: Vec<Normal>,
    /// Scores of the training, each without itself; highest first.
    pub(crate) calibration: Vec<f64>,
}

/// A vector of the training.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Normal {
    pub(crate) vector: Vector,
    pub(crate) sessions: u64,
    /// The family that alone has this vector, if one does.
    holder: Option<Holder>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Holder {
    Parent(String),
    Session(usize),
}

impl SessionModel {
    /// Learns what normal sessions are like.
    ///
    /// # Errors
    /// [`TrainError::NoSessions`] when no session has an event; [`TrainError::FalseAlarms`] for a share outside of 0 to 1.
    pub fn train(sessions: &[Session<'_>], config: SessionConfig) -> Result<Self, TrainError> {
        if !(config.false_alarms > 0.0 && config.false_alarms < 1.0) {
            return Err(TrainError::FalseAlarms);
        }
        let used: Vec<&Session<'_>> = sessions.iter().filter(|s| !s.events.is_empty()).collect();
        if used.is_empty() {
            return Err(TrainError::NoSessions);
        }
        let mut normals: BTreeMap<Vector, Normal> = BTreeMap::new();
        for (nth, session) in used.iter().enumerate() {
            let holder = holder(session, nth);
            let vector = vector(session.events);
            let normal = normals.entry(vector.clone()).or_insert(Normal {
                vector,
                sessions: 0,
                holder: Some(holder.clone()),
            });
            normal.sessions += 1;
            normal.holder.take_if(|h| *h != holder);
        }
        let mut vectors: Vec<Normal> = normals.into_values().collect();
        let weights = weights(&vectors, used.len() as u64);
        vectors.sort_by_key(|v| std::cmp::Reverse(v.sessions));
        vectors.truncate(config.vectors.max(1));
        let mut model = Self { config, weights, vectors, calibration: Vec::new() };
        model.calibration = model.left_out(&used);
        model.calibration.sort_by(|a, b| b.total_cmp(a));
        Ok(model)
    }

    /// Scores of sessions of the training as if neither they nor their parents had been in it.
    fn left_out(&self, sessions: &[&Session<'_>]) -> Vec<f64> {
        let mut known: BTreeMap<(Vector, Option<&str>), f64> = BTreeMap::new();
        let own: Vec<f64> = sessions
            .iter()
            .enumerate()
            .map(|(nth, session)| {
                let holder = holder(session, nth);
                let key = (vector(session.events), session.parent);
                // Without parents, a vector that is alone is alone for one session only, so the key still fits.
                *known.entry(key.clone()).or_insert_with(|| self.nearest(&key.0, Some(&holder)).0)
            })
            .collect();
        with_parents(sessions.iter().map(|s| s.parent), &own)
    }

    /// The training's own scores, each without its own family: what normal sessions look like. Highest first.
    #[must_use]
    pub fn normal_scores(&self) -> &[f64] {
        &self.calibration
    }

    /// A score above this is odd.
    ///
    /// When too few sessions were seen to promise so few false alarms, it is the highest score of the training, which
    /// promises one false alarm in as many sessions as were seen; infinite below [`FEWEST_SESSIONS`].
    #[must_use]
    pub fn threshold(&self) -> f64 {
        if self.calibration.len() < FEWEST_SESSIONS {
            return f64::INFINITY;
        }
        let allowed = (self.config.false_alarms * (self.calibration.len() as f64 + 1.0)).floor() as usize;
        self.calibration.get(allowed.max(1) - 1).copied().unwrap_or(f64::INFINITY)
    }

    /// Judges sessions; those of one parent together. One result per session, in order.
    #[must_use]
    pub fn judge(&self, sessions: &[Session<'_>]) -> Vec<SessionScore> {
        let mut known: BTreeMap<Vector, (f64, Vec<Reason>)> = BTreeMap::new();
        let own: Vec<(f64, Vec<Reason>)> = sessions
            .iter()
            .map(|s| {
                let vector = vector(s.events);
                if let Some(found) = known.get(&vector) {
                    return found.clone();
                }
                let (score, nearest) = self.nearest(&vector, None);
                let found = (score, self.reasons(&vector, nearest));
                if known.len() < self.config.vectors {
                    known.insert(vector, found.clone());
                }
                found
            })
            .collect();
        let scores: Vec<f64> = own.iter().map(|(score, _)| *score).collect();
        let scores = with_parents(sessions.iter().map(|s| s.parent), &scores);
        let threshold = self.threshold();
        scores
            .into_iter()
            .zip(own)
            .map(|(score, (_, reasons))| SessionScore {
                score,
                p_value: self.p_value(score),
                odd: score > threshold,
                reasons,
            })
            .collect()
    }

    fn p_value(&self, score: f64) -> f64 {
        let at_least = self.calibration.partition_point(|&c| c >= score);
        (at_least as f64 + 1.0) / (self.calibration.len() as f64 + 1.0)
    }

    /// Distance to the nearest vector that `without` does not hold alone.
    fn nearest(&self, vector: &Vector, without: Option<&Holder>) -> (f64, Option<&Normal>) {
        let mut best = (f64::INFINITY, None);
        for normal in &self.vectors {
            if without.is_some() && normal.holder.as_ref() == without {
                continue;
            }
            let mut distance = 0.0;
            for (event, count, expected) in pairs(vector, &normal.vector) {
                distance += self.adds(event, count, expected);
                if distance >= best.0 {
                    break;
                }
            }
            if distance < best.0 {
                best = (distance, Some(normal));
            }
        }
        if best.1.is_none() {
            // Nothing to compare with: everything about it is new.
            best.0 = vector.iter().map(|&(event, count)| self.adds(event, count, 0)).sum();
        }
        best
    }

    fn adds(&self, event: u64, count: u32, expected: u32) -> f64 {
        if count == expected {
            return 0.0;
        }
        f64::from(count.abs_diff(expected)).ln_1p() * self.weights.get(&event).copied().unwrap_or(MAX_WEIGHT)
    }

    fn reasons(&self, vector: &Vector, nearest: Option<&Normal>) -> Vec<Reason> {
        let empty = Vector::new();
        let mut reasons: Vec<Reason> = pairs(vector, nearest.map_or(&empty, |n| &n.vector))
            .filter(|(_, count, expected)| count != expected)
            .map(|(event, count, expected)| Reason {
                event,
                count,
                expected,
                new: !self.weights.contains_key(&event),
                weight: self.adds(event, count, expected),
            })
            .collect();
        reasons.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.event.cmp(&b.event)));
        reasons.truncate(REASONS);
        reasons
    }
}

fn holder(session: &Session<'_>, nth: usize) -> Holder {
    session.parent.map_or(Holder::Session(nth), |p| Holder::Parent(p.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal() -> Vec<Vec<u64>> {
        (0..400).map(|i| if i % 3 == 0 { vec![1, 2, 2, 3] } else { vec![1, 2, 2, 3, 4] }).collect()
    }

    fn model() -> SessionModel {
        let events = normal();
        let sessions: Vec<Session<'_>> = events.iter().map(|e| Session { parent: None, events: e }).collect();
        SessionModel::train(&sessions, SessionConfig::default()).unwrap()
    }

    fn judge(events: &[u64]) -> SessionScore {
        model().judge(&[Session { parent: None, events }]).remove(0)
    }

    #[test]
    fn a_session_like_the_training_is_not_odd() {
        let score = judge(&[3, 2, 1, 2]);
        assert_eq!((score.score, score.odd), (0.0, false));
        assert!(score.p_value > 0.9 && score.reasons.is_empty());
    }

    #[test]
    fn a_new_event_and_a_missing_event_are_odd_and_named() {
        let new = judge(&[1, 2, 2, 3, 99]);
        assert!(new.odd && new.reasons[0].event == 99 && new.reasons[0].new);
        let missing = judge(&[1, 2, 2]);
        assert!(missing.odd);
        assert_eq!(
            (missing.reasons[0].event, missing.reasons[0].count, missing.reasons[0].expected),
            (3, 0, 1)
        );
    }

    #[test]
    fn an_event_that_wanders_weighs_less_than_one_that_never_does() {
        assert!(judge(&[1, 2, 2, 3, 4, 4]).score < judge(&[1, 2, 2, 3, 3, 4]).score);
    }

    #[test]
    fn a_parent_lends_its_oddness_to_its_sessions() {
        let (good, bad) = (vec![1, 2, 2, 3], vec![9, 9, 9]);
        let sessions = [
            Session { parent: Some("a"), events: &good },
            Session { parent: Some("a"), events: &bad },
            Session { parent: Some("b"), events: &good },
        ];
        let scores = model().judge(&sessions);
        assert!(scores[0].score > scores[2].score && scores[1].score > scores[0].score);
    }

    #[test]
    fn too_few_sessions_never_raise_an_alarm() {
        let events = vec![1, 2];
        let one = [Session { parent: None, events: &events }];
        let model = SessionModel::train(&one, SessionConfig::default()).unwrap();
        assert!(!model.judge(&[Session { parent: None, events: &[7, 8, 9] }])[0].odd);
    }

    #[test]
    fn training_on_nothing_is_refused() {
        assert_eq!(SessionModel::train(&[], SessionConfig::default()).unwrap_err(), TrainError::NoSessions);
        let events = vec![1];
        let config = SessionConfig { false_alarms: 0.0, ..SessionConfig::default() };
        let one = [Session { parent: None, events: &events }];
        assert_eq!(SessionModel::train(&one, config).unwrap_err(), TrainError::FalseAlarms);
    }
}
