//! The last step of every decoder: bounds a line, completes its time and level, and hands it on.

use std::collections::HashMap;

use wellkept_model::{Labels, Level, LogLine, LogSink};

use crate::{DecodeError, Limits, Refusal, Tally, Zone, reading};

/// When and through which door something came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The time of arrival, nanoseconds since the epoch: for lines that tell no time, and to complete those that tell
    /// half of one.
    pub now_ns: i64,
    /// How time stamps without a zone are read.
    pub zone: &'a Zone,
    /// Labels that the door itself knows. They win over what the sender says, so that nobody can speak under the
    /// identity of another.
    pub labels: &'a [(&'a str, &'a str)],
}

/// Makes label sets, and knows those again that it made before.
#[derive(Debug, Default)]
pub(crate) struct LabelMaker {
    made: HashMap<String, Labels>,
    key: String,
}

/// Label sets that are remembered; more begin anew.
const LABEL_SETS_MAX: usize = 4096;

impl LabelMaker {
    /// The set of what the sender says and the door knows.
    pub(crate) fn make(
        &mut self,
        sent: &[(&str, &str)],
        arrival: &Arrival<'_>,
        limits: &Limits,
    ) -> Result<Labels, Refusal> {
        self.key.clear();
        // The packed form says every length, so different lists have different keys.
        Labels::pack(&mut self.key, sent.iter().chain(arrival.labels).copied());
        if let Some(labels) = self.made.get(&self.key) {
            return Ok(labels.clone());
        }
        check(sent, arrival, limits)?;
        let labels = Labels::new(sent.iter().chain(arrival.labels).copied());
        if self.made.len() >= LABEL_SETS_MAX {
            self.made.clear();
        }
        self.made.insert(self.key.clone(), labels.clone());
        Ok(labels)
    }
}

fn check(sent: &[(&str, &str)], arrival: &Arrival<'_>, limits: &Limits) -> Result<(), Refusal> {
    let told = sent.iter().filter(|(_, value)| !value.is_empty()).count();
    if told + arrival.labels.len() > limits.labels {
        return Err(Refusal::TooManyLabels { limit: limits.labels });
    }
    for (name, value) in sent {
        if name.is_empty() || name.len() > limits.name_bytes {
            return Err(Refusal::LabelName { limit: limits.name_bytes });
        }
        if value.len() > limits.label_bytes {
            return Err(Refusal::LabelValue {
                name: crate::tally::readable(name),
                limit: limits.label_bytes,
            });
        }
    }
    Ok(())
}

/// Hands the lines of one body on.
pub(crate) struct Emitter<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) arrival: &'a Arrival<'a>,
    pub(crate) tally: Tally,
    sink: &'a mut dyn LogSink,
    expanded: usize,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(limits: &'a Limits, arrival: &'a Arrival<'a>, sink: &'a mut dyn LogSink) -> Self {
        Self { limits, arrival, tally: Tally::default(), sink, expanded: 0 }
    }

    /// Which entry comes next, counted from 1.
    pub(crate) fn place(&self) -> u64 {
        self.tally.accepted + self.tally.refused + 1
    }

    /// Leaves out one entry.
    pub(crate) fn refuse(&mut self, why: Refusal) -> Result<(), DecodeError> {
        self.refuse_many(1, why)
    }

    /// Leaves out entries that stand together.
    pub(crate) fn refuse_many(&mut self, lines: u64, why: Refusal) -> Result<(), DecodeError> {
        if lines == 0 {
            return Ok(());
        }
        let place = self.place();
        self.tally.refuse(place, lines, why);
        self.check_lines()
    }

    fn check_lines(&self) -> Result<(), DecodeError> {
        if self.tally.accepted + self.tally.refused > self.limits.lines as u64 {
            return Err(DecodeError::TooManyLines { limit: self.limits.lines });
        }
        Ok(())
    }

    /// Hands a line on. What the protocol does not say of time and level is read from the text.
    pub(crate) fn line(
        &mut self,
        labels: &Labels,
        at_ns: Option<i64>,
        level: Option<Level>,
        text: &[u8],
        fields: &[(&str, &str)],
    ) -> Result<(), DecodeError> {
        self.tally.accepted += 1;
        self.check_lines()?;
        let fields_bytes: usize = fields.iter().map(|(n, v)| n.len() + v.len() + 2).sum();
        self.expanded = self.expanded.saturating_add(labels.packed().len()).saturating_add(fields_bytes);
        if self.expanded > self.limits.expanded_bytes {
            return Err(DecodeError::Expands { limit: self.limits.expanded_bytes });
        }
        let (at_ns, level) = self.complete(at_ns, level, text);
        let kept = self.trim(fields);
        let fields = kept.as_deref().unwrap_or(fields);
        let mut pieces = 0;
        for piece in pieces_of(text, self.limits.line_bytes) {
            pieces += 1;
            self.sink.line(&LogLine { at_ns, labels, level, text: piece, fields });
        }
        self.tally.split += u64::from(pieces > 1);
        Ok(())
    }

    fn complete(&mut self, at_ns: Option<i64>, level: Option<Level>, text: &[u8]) -> (i64, Option<Level>) {
        let Arrival { now_ns, zone, .. } = *self.arrival;
        let reading = match (at_ns, level) {
            (Some(_), Some(_)) => reading::Reading { at_ns, level },
            _ => reading::read(text, now_ns, zone),
        };
        let at_ns = at_ns.or(reading.at_ns).unwrap_or(now_ns);
        let ahead = at_ns > now_ns.saturating_add(self.limits.ahead_ns);
        self.tally.ahead += u64::from(ahead);
        (if ahead { now_ns } else { at_ns }, level.or(reading.level))
    }

    /// The fields within their bounds, when some are not.
    fn trim<'f>(&mut self, fields: &'f [(&'f str, &'f str)]) -> Option<Vec<(&'f str, &'f str)>> {
        let Limits { name_bytes, field_bytes, .. } = *self.limits;
        let fits = |(n, v): &(&str, &str)| n.len() <= name_bytes && v.len() <= field_bytes;
        if fields.len() <= self.limits.fields && fields.iter().all(fits) {
            return None;
        }
        let cut = |(n, v): &(&'f str, &'f str)| {
            let cut = |text: &'f str, max| text.get(..crate::fields::floor(text, max)).unwrap_or_default();
            (cut(n, name_bytes), cut(v, field_bytes))
        };
        self.tally.trimmed += fields.iter().take(self.limits.fields).filter(|f| !fits(f)).count() as u64;
        self.tally.trimmed += fields.len().saturating_sub(self.limits.fields) as u64;
        Some(fields.iter().take(self.limits.fields).map(cut).collect())
    }
}

/// A text in pieces of at most `max` bytes, not cut inside a UTF-8 character; one empty piece for an empty text.
pub fn pieces_of(text: &[u8], max: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        if text.len() <= max {
            return rest.take();
        }
        let (piece, left) = text.split_at_checked(border(text, max))?;
        rest = Some(left);
        Some(piece)
    })
}

/// Where a text that is longer than `max` is cut: at `max`, or up to three bytes before, where a character begins.
#[must_use]
pub fn border(text: &[u8], max: usize) -> usize {
    let max = max.max(4);
    let inside = |at: usize| text.get(at).is_some_and(|b| (0x80..0xc0).contains(b));
    (max.saturating_sub(3)..=max).rev().find(|at| !inside(*at)).unwrap_or(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_whole_and_do_not_cut_characters() {
        for text in ["", "abc", "abcdefgh", "aéééééé", "日本語日本語"] {
            let pieces: Vec<_> = pieces_of(text.as_bytes(), 5).collect();
            assert_eq!(pieces.concat(), text.as_bytes());
            assert!(pieces.iter().all(|p| p.len() <= 5 && std::str::from_utf8(p).is_ok()), "{text}");
        }
        let noise = [0x80_u8; 23];
        assert_eq!(pieces_of(&noise, 5).map(<[u8]>::len).collect::<Vec<_>>(), [5, 5, 5, 5, 3]);
    }

    #[test]
    fn the_doors_own_labels_win_and_lists_are_bounded() {
        let mut maker = LabelMaker::default();
        let zone = Zone::utc();
        let arrival = Arrival { now_ns: 0, zone: &zone, labels: &[("door", "loki")] };
        let limits = Limits { labels: 3, name_bytes: 5, label_bytes: 5, ..Limits::default() };
        let mut make = |sent: &[(&str, &str)]| maker.make(sent, &arrival, &limits);
        for _ in 0..2 {
            let labels = make(&[("b", "1"), ("door", "x"), ("a", "2")]).unwrap_err();
            assert_eq!(labels, Refusal::TooManyLabels { limit: 3 });
            assert_eq!(make(&[("b", "1"), ("door", "x")]), Ok(Labels::new([("b", "1"), ("door", "loki")])));
            assert!(make(&[("b", "1"), ("c", ""), ("a", "")]).is_ok(), "an empty label is none");
        }
        assert_eq!(make(&[("", "1")]), Err(Refusal::LabelName { limit: 5 }));
        assert_eq!(make(&[("a", "123456")]), Err(Refusal::LabelValue { name: "a".into(), limit: 5 }));
    }
}
