//! Lines of one stream put together to sessions by the identifier they carry.
//!
//! The session of a line is named by its first parameter that is an identifier: a block, a request, a job. That is
//! how people follow a thing through a log, and needs no list of field names. A session is done when nothing came for
//! it for a while; the number of open sessions and of their events is bounded, and what is dropped is counted.

use std::collections::BTreeMap;

use wellkept_model::{ParamKind, TemplateId};

/// Bounds of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectConfig {
    /// Sessions open at a time; the one that was silent longest is closed for a new one.
    pub sessions: usize,
    /// Events kept of one session; further ones are counted only.
    pub events: usize,
    /// Silence after which a session is done. Nanoseconds.
    pub idle_ns: i64,
}

impl Default for CollectConfig {
    fn default() -> Self {
        Self { sessions: 10_000, events: 2_000, idle_ns: 300_000_000_000 }
    }
}

/// A session that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// Its identifier as it stood in the lines.
    pub name: Vec<u8>,
    /// Its events in order: ids of templates.
    pub events: Vec<u64>,
}

/// Bytes of an identifier that count.
const NAME_BYTES: usize = 128;

#[derive(Debug, Clone, Default)]
struct Open {
    last_ns: i64,
    events: Vec<u64>,
}

/// Sessions under way.
#[derive(Debug, Clone, Default)]
pub struct Collector {
    config: CollectConfig,
    open: BTreeMap<Vec<u8>, Open>,
    dropped: u64,
}

impl Collector {
    /// A collector without sessions.
    #[must_use]
    pub fn new(config: CollectConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// Takes a line; the session that had to be closed to make room, if one had to.
    pub fn line(
        &mut self,
        at_ns: i64,
        template: TemplateId,
        params: &[(ParamKind, &[u8])],
    ) -> Option<Collected> {
        let (_, name) = params.iter().find(|(kind, _)| *kind == ParamKind::Id)?;
        let name = name.get(..NAME_BYTES).unwrap_or(name);
        let mut closed = None;
        if !self.open.contains_key(name) && self.open.len() >= self.config.sessions.max(1) {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.last_ns).map(|(name, _)| name.clone());
            closed = oldest.and_then(|name| self.close(name));
        }
        let open = self.open.entry(name.to_vec()).or_default();
        open.last_ns = open.last_ns.max(at_ns);
        if open.events.len() < self.config.events {
            open.events.push(template.0);
        } else {
            self.dropped += 1;
        }
        closed
    }

    /// Sessions that were silent for long enough at `now_ns`, by name.
    pub fn done(&mut self, now_ns: i64) -> Vec<Collected> {
        let idle = |open: &Open| now_ns.saturating_sub(open.last_ns) >= self.config.idle_ns;
        let names: Vec<Vec<u8>> =
            self.open.iter().filter(|(_, open)| idle(open)).map(|(name, _)| name.clone()).collect();
        names.into_iter().filter_map(|name| self.close(name)).collect()
    }

    /// Events that were not kept.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn close(&mut self, name: Vec<u8>) -> Option<Collected> {
        self.open.remove(&name).map(|open| Collected { name, events: open.events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_one_identifier_are_one_session_until_it_is_silent() {
        let mut collector = Collector::new(CollectConfig { idle_ns: 10, ..CollectConfig::default() });
        for (at, id, name) in [(0, 1, "blk_1"), (1, 2, "blk_2"), (5, 3, "blk_1"), (8, 9, "")] {
            let params: Vec<(ParamKind, &[u8])> = if name.is_empty() {
                vec![]
            } else {
                vec![(ParamKind::Number, b"7"), (ParamKind::Id, name.as_bytes())]
            };
            assert_eq!(collector.line(at, TemplateId(id), &params), None);
        }
        assert_eq!(collector.done(11), [Collected { name: b"blk_2".to_vec(), events: vec![2] }]);
        assert_eq!(collector.done(15), [Collected { name: b"blk_1".to_vec(), events: vec![1, 3] }]);
        assert_eq!(collector.done(99), []);
    }

    #[test]
    fn sessions_and_their_events_are_bounded() {
        let mut collector = Collector::new(CollectConfig { sessions: 2, events: 3, idle_ns: 10 });
        for at in 0..5 {
            collector.line(at, TemplateId(1), &[(ParamKind::Id, b"a1")]);
        }
        assert_eq!(collector.dropped(), 2);
        collector.line(9, TemplateId(1), &[(ParamKind::Id, b"b1")]);
        let closed = collector.line(10, TemplateId(1), &[(ParamKind::Id, b"c1")]);
        assert_eq!(closed, Some(Collected { name: b"a1".to_vec(), events: vec![1, 1, 1] }));
    }
}
