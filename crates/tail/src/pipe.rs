//! From bytes to lines: cuts a stream at its line ends, takes lines out of a container's wrapping, joins what belongs
//! together, and hands the result on with time and level.
//!
//! No IO and no clock. A line without end is cut into pieces at a bound, always at the same places, so that reading on
//! in its middle gives the same pieces. A last line without its end waits.

use std::sync::Arc;

use wellkept_logintake::join::{JoinConfig, Joiner};
use wellkept_logintake::wrap::{self, Parts, Stream};
use wellkept_logintake::{Limits, Zone, border, read};
use wellkept_model::{Labels, LogLine, LogSink};

use crate::ledger::{Ledger, Position, Ticket};

/// Raw lines that may be on their way while others pass; more are handed on as they are.
const HELD_LINES_MAX: usize = 2000;

/// How a stream is read.
#[derive(Debug, Clone, Default)]
pub struct PipeConfig {
    /// Bounds of lines.
    pub limits: Limits,
    /// How lines are joined.
    pub join: JoinConfig,
    /// How time stamps without a zone are read.
    pub zone: Arc<Zone>,
    /// Whether lines may stand in a container's wrapping.
    pub wrapped: bool,
}

/// What a pipe counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PipeCounts {
    /// Lines handed on; a joined group is one.
    pub lines: u64,
    /// Lines longer than allowed, handed on in pieces.
    pub split: u64,
    /// Lines whose time stamp lay too far in the future and was replaced by the time of reading.
    pub ahead: u64,
}

/// One stream on its way.
#[derive(Debug)]
pub struct Pipe {
    config: Arc<PipeConfig>,
    /// The beginning of a line whose end was not read yet.
    rest: Vec<u8>,
    /// Where `rest` begins.
    rest_at: u64,
    /// What follows is the rest of a line that was cut.
    in_long: bool,
    ledger: Ledger,
    lanes: [Lane; 3],
    counts: PipeCounts,
}

/// One of the streams that are mixed: plain, standard output, standard error.
#[derive(Debug)]
struct Lane {
    labels: Labels,
    parts: Parts,
    joiner: Joiner,
    /// Lines that what is held was made of.
    tickets: Vec<Ticket>,
    part_tickets: Vec<Ticket>,
    /// Time that the wrapping told for the first line of what is held, and for the first part.
    at_ns: Option<i64>,
    part_at_ns: Option<i64>,
}

impl Lane {
    fn new(labels: Labels, join: &JoinConfig) -> Self {
        Self {
            labels,
            parts: Parts::default(),
            joiner: Joiner::new(join.clone()),
            tickets: Vec::new(),
            part_tickets: Vec::new(),
            at_ns: None,
            part_at_ns: None,
        }
    }
}

impl Pipe {
    /// A pipe for a stream with these labels, to be read on from `at`.
    #[must_use]
    pub fn new(config: Arc<PipeConfig>, labels: &Labels, at: &Position) -> Self {
        let with = |stream: Stream| Labels::new(labels.iter().chain([("stream", stream.word())]));
        let lane = |labels| Lane::new(labels, &config.join);
        Self {
            rest: Vec::new(),
            rest_at: at.offset,
            in_long: false,
            ledger: Ledger::new(at),
            lanes: [lane(labels.clone()), lane(with(Stream::Out)), lane(with(Stream::Err))],
            counts: PipeCounts::default(),
            config,
        }
    }

    /// Where the bytes of the next [`Self::push`] stand.
    #[must_use]
    pub fn read_offset(&self) -> u64 {
        self.rest_at + self.rest.len() as u64
    }

    /// Where to read on from when everything that was handed on until now is kept.
    #[must_use]
    pub fn position(&self) -> Position {
        self.ledger.position()
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> PipeCounts {
        self.counts
    }

    /// Takes the next bytes and hands on what they complete.
    pub fn push(&mut self, bytes: &[u8], now_ns: i64, sink: &mut dyn LogSink) {
        if self.rest.is_empty() {
            let taken = self.cut(bytes, now_ns, sink);
            self.rest.extend_from_slice(bytes.get(taken..).unwrap_or_default());
            return;
        }
        let mut held = std::mem::take(&mut self.rest);
        held.extend_from_slice(bytes);
        let taken = self.cut(&held, now_ns, sink);
        held.drain(..taken);
        held.shrink_to(2 * self.config.limits.line_bytes);
        self.rest = held;
    }

    /// Passes over bytes as if they had been handed on. False, and nothing done, in the middle of a line.
    pub fn skip(&mut self, bytes: &[u8]) -> bool {
        if !self.rest.is_empty() || self.in_long {
            return false;
        }
        let start = self.rest_at;
        self.rest_at += bytes.len() as u64;
        if let Some(ticket) = self.ledger.open(start, bytes, b"") {
            self.ledger.close(ticket);
        }
        true
    }

    /// Cuts lines off the front of `bytes`, which begin at `rest_at`. How many bytes were used.
    fn cut(&mut self, bytes: &[u8], now_ns: i64, sink: &mut dyn LogSink) -> usize {
        let line_bytes = self.config.limits.line_bytes.max(16);
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|r| !r.is_empty()) {
            let window = rest.get(..=line_bytes).unwrap_or(rest);
            let (line, end) = match memchr::memchr(b'\n', window) {
                Some(at) => (at, 1),
                None if rest.len() > line_bytes => (border(rest, line_bytes), 0),
                None => break,
            };
            let (line, behind) = rest.split_at(line);
            let start = self.rest_at;
            self.rest_at += (line.len() + end) as u64;
            taken += line.len() + end;
            if !self.in_long && end == 0 {
                self.counts.split += 1;
            }
            self.in_long = end == 0;
            self.raw(start, line, behind.get(..end).unwrap_or_default(), now_ns, sink);
        }
        taken
    }

    /// Takes one raw line.
    fn raw(&mut self, start: u64, line: &[u8], end: &[u8], now_ns: i64, sink: &mut dyn LogSink) {
        let Some(ticket) = self.ledger.open(start, line, end) else { return };
        let line = line.strip_suffix(b"\r").filter(|_| !end.is_empty()).unwrap_or(line);
        let wrapped = if self.config.wrapped { wrap::unwrap(line) } else { None };
        let Some(unwrapped) = wrapped else {
            self.hold(0, line, None, &[ticket], now_ns, sink);
            return;
        };
        let index = if unwrapped.stream == Stream::Out { 1 } else { 2 };
        let line_bytes = self.config.limits.line_bytes;
        let Some(lane) = self.lanes.get_mut(index) else { return };
        lane.part_at_ns.get_or_insert(unwrapped.at_ns);
        lane.part_tickets.push(ticket);
        if !lane.parts.push(&unwrapped, line_bytes) {
            self.relieve(now_ns, sink);
            return;
        }
        let mut parts = std::mem::take(&mut lane.parts);
        let tickets = std::mem::take(&mut lane.part_tickets);
        let at_ns = lane.part_at_ns.take();
        self.hold(index, parts.line(), at_ns, &tickets, now_ns, sink);
        parts.clear();
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.parts = parts;
        }
    }

    /// Puts a whole line to the group that it continues, or hands that group on before.
    fn hold(
        &mut self,
        index: usize,
        line: &[u8],
        at_ns: Option<i64>,
        tickets: &[Ticket],
        now_ns: i64,
        sink: &mut dyn LogSink,
    ) {
        if self.lanes.get(index).is_some_and(|lane| !lane.joiner.continues(line)) {
            self.flush(index, now_ns, sink);
        }
        let Some(lane) = self.lanes.get_mut(index) else { return };
        if lane.joiner.group().is_none() {
            lane.at_ns = at_ns;
        }
        lane.joiner.hold(line, now_ns);
        lane.tickets.extend_from_slice(tickets);
        self.relieve(now_ns, sink);
    }

    /// Hands on what is held when too much is on its way.
    fn relieve(&mut self, now_ns: i64, sink: &mut dyn LogSink) {
        if self.ledger.len() > HELD_LINES_MAX {
            self.flush_all(now_ns, sink);
        }
    }

    /// Hands on what a lane holds.
    fn flush(&mut self, index: usize, now_ns: i64, sink: &mut dyn LogSink) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        let Some(text) = lane.joiner.group() else { return };
        let reading = read(text, now_ns, &self.config.zone);
        let at_ns = lane.at_ns.or(reading.at_ns).unwrap_or(now_ns);
        let ahead = at_ns > now_ns.saturating_add(self.config.limits.ahead_ns);
        let at_ns = if ahead { now_ns } else { at_ns };
        // An empty line says nothing; it counts as handed on.
        if !text.is_empty() {
            sink.line(&LogLine { at_ns, labels: &lane.labels, level: reading.level, text, fields: &[] });
            self.counts.lines += 1;
            self.counts.ahead += u64::from(ahead);
        }
        lane.joiner.clear();
        for ticket in lane.tickets.drain(..) {
            self.ledger.close(ticket);
        }
    }

    /// Hands on what is held, parts of lines too.
    fn flush_all(&mut self, now_ns: i64, sink: &mut dyn LogSink) {
        for index in 0..self.lanes.len() {
            if let Some(lane) = self.lanes.get_mut(index)
                && !lane.part_tickets.is_empty()
            {
                let mut parts = std::mem::take(&mut lane.parts);
                let tickets = std::mem::take(&mut lane.part_tickets);
                let at_ns = lane.part_at_ns.take();
                if !lane.joiner.continues(parts.line()) {
                    self.flush(index, now_ns, sink);
                }
                if let Some(lane) = self.lanes.get_mut(index) {
                    lane.joiner.hold(parts.line(), now_ns);
                    lane.at_ns = lane.at_ns.or(at_ns);
                    lane.tickets.extend(tickets);
                    parts.clear();
                    lane.parts = parts;
                }
            }
            self.flush(index, now_ns, sink);
        }
    }

    /// When [`Self::flush_due`] has something to do.
    #[must_use]
    pub fn due_ns(&self) -> Option<i64> {
        self.lanes.iter().filter_map(|lane| lane.joiner.due_ns()).min()
    }

    /// Hands on the groups whose waiting is over. Parts of a line go on waiting for their end.
    pub fn flush_due(&mut self, now_ns: i64, sink: &mut dyn LogSink) {
        for index in 0..self.lanes.len() {
            if self.lanes.get(index).is_some_and(|lane| lane.joiner.is_due(now_ns)) {
                self.flush(index, now_ns, sink);
            }
        }
    }

    /// Hands on all groups, but not a last line without its end: for a file that goes on elsewhere.
    pub fn flush_groups(&mut self, now_ns: i64, sink: &mut dyn LogSink) {
        for index in 0..self.lanes.len() {
            self.flush(index, now_ns, sink);
        }
    }

    /// Hands on everything: nothing follows.
    pub fn finish(&mut self, now_ns: i64, sink: &mut dyn LogSink) {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            let start = self.rest_at;
            self.rest_at += rest.len() as u64;
            self.raw(start, &rest, b"", now_ns, sink);
            self.in_long = false;
        }
        self.flush_all(now_ns, sink);
    }
}

#[cfg(test)]
mod tests;
