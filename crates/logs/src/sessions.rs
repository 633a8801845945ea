//! Sessions of each service: the lines that carry one identifier, against those that went before.
//!
//! For the learning period all sessions are taken as normal; then each that is done is judged, and only those that are not odd
//! are learned from. What waits to be judged and what is remembered is bounded; a stream that opens sessions faster than they can be
//! judged loses some, which are counted.

use std::collections::VecDeque;

use wellkept_logmine::anomaly::collect::{CollectConfig, Collected, Collector};
use wellkept_logmine::anomaly::session::{Session, SessionConfig, SessionModel, SessionScore};
use wellkept_logmine::anomaly::stream::{Kind, Oddity};
use wellkept_model::{ParamKind, TemplateId};

/// Sessions under way, events of one, and the silence after which it is done.
const COLLECT: CollectConfig = CollectConfig { sessions: 1000, events: 200, idle_ns: 120 * 1_000_000_000 };
/// Normal sessions that are remembered of one service.
const LEARNED_MAX: usize = 1000;
/// Sessions before anything is odd: with fewer, no threshold promises much.
const LEARNED_MIN: usize = 50;
/// New normal sessions after which the model is made anew.
const RETRAIN_EVERY: usize = 200;
/// Sessions that may wait to be judged.
const WAITING_MAX: usize = 2000;
/// Sessions that are judged in one go.
const JUDGED_MAX: usize = 300;
/// A session of one line has no order and no counts that could be odd.
const EVENTS_MIN: usize = 2;

/// Sessions of one service.
#[derive(Debug)]
pub(crate) struct Sessions {
    collector: Collector,
    waiting: VecDeque<Collected>,
    learned: VecDeque<Vec<u64>>,
    model: Option<SessionModel>,
    since_trained: usize,
    first_ns: Option<i64>,
    skipped: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            collector: Collector::new(COLLECT),
            waiting: VecDeque::new(),
            learned: VecDeque::new(),
            model: None,
            since_trained: 0,
            first_ns: None,
            skipped: 0,
        }
    }
}

impl Sessions {
    pub(crate) fn line(&mut self, at_ns: i64, template: TemplateId, params: &[(ParamKind, &[u8])]) {
        self.first_ns.get_or_insert(at_ns);
        // Where one identifier once looked like a word (`cafe-babe`), the place as a whole is a text: each value is looked at.
        let name = params.iter().find(|(kind, value)| *kind == ParamKind::Id || looks_like_id(*kind, value));
        let Some((_, name)) = name else { return };
        if let Some(closed) = self.collector.line(at_ns, template, &[(ParamKind::Id, name)]) {
            self.wait(closed);
        }
    }

    fn wait(&mut self, session: Collected) {
        if session.events.len() < EVENTS_MIN {
            return;
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(session);
        } else {
            self.skipped += 1;
        }
    }

    /// Judges what is done; odd sessions go to `out`.
    pub(crate) fn tick(&mut self, now_ns: i64, learning_ns: i64, out: &mut Vec<Oddity>) {
        for session in self.collector.done(now_ns) {
            self.wait(session);
        }
        let share = self.waiting.len().min(JUDGED_MAX);
        let sessions: Vec<Collected> = self.waiting.drain(..share).collect();
        let is_learning = self.first_ns.is_none_or(|first| now_ns.saturating_sub(first) < learning_ns);
        if is_learning || self.learned.len() < LEARNED_MIN {
            return sessions.into_iter().for_each(|s| self.learn(s.events));
        }
        if self.model.is_none() || self.since_trained >= RETRAIN_EVERY {
            self.train();
        }
        let Some(model) = &self.model else { return };
        let asked: Vec<Session<'_>> =
            sessions.iter().map(|s| Session { parent: None, events: &s.events }).collect();
        let scores = model.judge(&asked);
        for (session, score) in sessions.into_iter().zip(scores) {
            match odd(&session, &score, now_ns) {
                Some(oddity) => out.push(oddity),
                None => self.learn(session.events),
            }
        }
    }

    fn learn(&mut self, events: Vec<u64>) {
        if self.learned.len() >= LEARNED_MAX {
            self.learned.pop_front();
        }
        self.learned.push_back(events);
        self.since_trained += 1;
    }

    fn train(&mut self) {
        let sessions: Vec<Session<'_>> =
            self.learned.iter().map(|events| Session { parent: None, events }).collect();
        // Without an event in any session there is nothing to learn yet.
        self.model = SessionModel::train(&sessions, SessionConfig::default()).ok();
        self.since_trained = 0;
    }

    /// Two templates became one.
    pub(crate) fn merged(&mut self, old: TemplateId, new: TemplateId) {
        let mut any = false;
        for event in self.learned.iter_mut().flatten().filter(|event| **event == old.0) {
            *event = new.0;
            any = true;
        }
        if any {
            self.model = None;
        }
    }

    /// What was learned: first line, then each session as its length and its events.
    pub(crate) fn save(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.first_ns.unwrap_or(i64::MIN).to_le_bytes());
        for events in &self.learned {
            out.extend_from_slice(&(events.len() as u64).to_le_bytes());
            events.iter().for_each(|event| out.extend_from_slice(&event.to_le_bytes()));
        }
        out
    }

    /// Takes up what was learned; what is cut off is left out.
    pub(crate) fn load(bytes: &[u8]) -> Self {
        let mut numbers = bytes.chunks_exact(8).filter_map(|b| b.try_into().ok()).map(u64::from_le_bytes);
        let first = numbers.next().map(u64::cast_signed).filter(|first| *first != i64::MIN);
        let mut sessions = Self { first_ns: first, ..Self::default() };
        while let Some(length) = numbers.next() {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let events: Vec<u64> = numbers.by_ref().take(length.min(COLLECT.events)).collect();
            if events.len() != length {
                break;
            }
            sessions.learn(events);
        }
        sessions
    }
}

/// Letters and digits in one word of some length.
fn looks_like_id(kind: ParamKind, value: &[u8]) -> bool {
    let is_word = value.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let has = |wanted: fn(&u8) -> bool| value.iter().any(wanted);
    matches!(kind, ParamKind::Text | ParamKind::Hex)
        && (8..=128).contains(&value.len())
        && is_word
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
}

/// The oddity of an odd session: told by the event that made it most.
fn odd(session: &Collected, score: &SessionScore, now_ns: i64) -> Option<Oddity> {
    let reason = score.reasons.first().filter(|_| score.odd)?;
    Some(Oddity {
        at_ns: now_ns,
        template: TemplateId(reason.event),
        kind: Kind::Session,
        score: score.score,
        seen: f64::from(reason.count),
        usual: f64::from(reason.expected),
        value: Some(session.name.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn run(sessions: &mut Sessions, name: &str, events: &[u64], at_ns: i64) {
        for event in events {
            sessions.line(at_ns, TemplateId(*event), &[(ParamKind::Id, name.as_bytes())]);
        }
    }

    fn learned() -> (Sessions, i64) {
        let mut sessions = Sessions::default();
        let mut out = Vec::new();
        let mut at = 0;
        for i in 0..200 {
            at = i * 10 * S;
            run(&mut sessions, &format!("blk_{i}"), if i % 3 == 0 { &[1, 2, 2, 3] } else { &[1, 2, 3] }, at);
            sessions.tick(at, 500 * S, &mut out);
        }
        sessions.tick(at + 200 * S, 500 * S, &mut out);
        assert!(out.is_empty(), "{out:?}");
        (sessions, at + 300 * S)
    }

    #[test]
    fn a_session_with_another_end_is_odd_and_named() {
        let (mut sessions, at) = learned();
        let mut out = Vec::new();
        run(&mut sessions, "blk_good", &[1, 2, 3], at);
        run(&mut sessions, "blk_bad", &[1, 2, 9, 9], at);
        sessions.tick(at + 121 * S, 0, &mut out);
        assert_eq!(out.len(), 1, "{out:?}");
        assert_eq!(out[0].value.as_deref(), Some(&b"blk_bad"[..]));
        assert_eq!((out[0].kind, out[0].template, out[0].seen), (Kind::Session, TemplateId(9), 2.0));
    }

    #[test]
    fn what_was_learned_outlives_a_restart_and_a_merge() {
        let (sessions, at) = learned();
        let mut sessions = Sessions::load(&sessions.save());
        sessions.merged(TemplateId(3), TemplateId(30));
        let mut out = Vec::new();
        run(&mut sessions, "blk_good", &[1, 2, 30], at);
        run(&mut sessions, "blk_bad", &[1, 7, 7, 7], at);
        sessions.tick(at + 121 * S, 500 * S, &mut out);
        assert_eq!(out.len(), 1, "{out:?}");
        assert_eq!(out[0].value.as_deref(), Some(&b"blk_bad"[..]));
        for cut in 0..40 {
            let saved = sessions.save();
            let _ = Sessions::load(&saved[..saved.len() - cut]);
        }
    }

    #[test]
    fn lines_without_an_identifier_and_single_lines_are_no_sessions() {
        let (mut sessions, at) = learned();
        let mut out = Vec::new();
        sessions.line(at, TemplateId(99), &[(ParamKind::Number, b"5")]);
        run(&mut sessions, "blk_single", &[99], at);
        sessions.tick(at + 121 * S, 0, &mut out);
        assert!(out.is_empty(), "{out:?}");
    }
}
