//! A watch for each service, and since when each template is known.
//!
//! Services are told apart by labels that senders choose, so their number is bounded: those beyond share one watch.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use wellkept_logmine::anomaly::stream::{Kind, Oddity, Watch, WatchConfig};
use wellkept_logmine::{Merge, StateError};
use wellkept_model::{Labels, Level, LogLine, ParamKind, Shape, TemplateId};

use crate::learned::Part;
use crate::marks::Mark;
use crate::oddities::{Oddities, Told};
use crate::sessions::Sessions;

/// Services with a watch of their own.
const SERVICES_MAX: usize = 32;
/// Templates whose first line is remembered.
const SEEN_MAX: usize = 100_000;
/// Bytes of a remembered template on disk: id, time, flags.
const SEEN_BYTES: usize = 18;
/// Labels that say whose lines they are; the first that is there counts.
const SERVICE_LABELS: [&str; 8] =
    ["service", "service_name", "app", "unit", "program", "container", "job", "filename"];

const WATCH: &str = "watch:";
const SESSIONS: &str = "sessions:";
const SEEN: &str = "seen";

/// What is known of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Time of its first line, nanoseconds since the epoch.
    pub first_ns: i64,
    /// It came after the learning period of its service.
    pub is_new: bool,
    /// Gravest level of its lines.
    pub level: Option<Level>,
}

/// All watches.
#[derive(Debug)]
pub(crate) struct Watches {
    config: WatchConfig,
    services: BTreeMap<String, Watch>,
    sessions: BTreeMap<String, Sessions>,
    seen: HashMap<TemplateId, Seen>,
    oddities: Oddities,
    found: Vec<Oddity>,
}

/// Whose lines they are.
pub(crate) fn service_of(labels: &Labels) -> &str {
    let found = SERVICE_LABELS.into_iter().map(|name| labels.get(name)).find(|value| !value.is_empty());
    found.map_or("", |name| name.strip_suffix(".service").unwrap_or(name))
}

impl Watches {
    pub(crate) fn new(config: WatchConfig) -> Self {
        Self {
            config,
            services: BTreeMap::new(),
            sessions: BTreeMap::new(),
            seen: HashMap::new(),
            oddities: Oddities::default(),
            found: Vec::new(),
        }
    }

    /// Takes one line as it was split. Time runs by the lines' own stamps, so that a history that is read in one go is
    /// learned from as it was, but never ahead of `now_ns`.
    pub(crate) fn line(
        &mut self,
        line: &LogLine<'_>,
        shape: &Shape,
        params: &[Range<u32>],
        marks: &[Mark],
        now_ns: i64,
    ) {
        let (template, at_ns) = (shape.template, line.at_ns.min(now_ns));
        let service = service_of(line.labels);
        self.note(template, at_ns, line.level);
        let values: Vec<(ParamKind, &[u8])> = shape
            .kinds
            .iter()
            .zip(params)
            .map(|(kind, p)| (*kind, line.text.get(p.start as usize..p.end as usize).unwrap_or_default()))
            .collect();
        let begin = || {
            let mut watch = Watch::new(self.config);
            apply(marks, &mut watch);
            watch
        };
        let Some(watch) = of_service(&mut self.services, service, begin) else { return };
        if let Some(sessions) = of_service(&mut self.sessions, service, Sessions::default) {
            sessions.line(at_ns, template, &values);
        }
        let is_full = watch.is_full();
        watch.line(at_ns, template, &values, &mut self.found);
        self.oddities.line(service, template, at_ns);
        for oddity in std::mem::take(&mut self.found) {
            if oddity.kind == Kind::NewTemplate {
                if is_full {
                    continue;
                }
                if let Some(seen) = self.seen.get_mut(&template) {
                    seen.is_new = true;
                }
            }
            self.tell(service, oddity, now_ns);
        }
    }

    fn note(&mut self, template: TemplateId, at_ns: i64, level: Option<Level>) {
        if let Some(seen) = self.seen.get_mut(&template) {
            seen.first_ns = seen.first_ns.min(at_ns);
            seen.level = seen.level.max(level);
        } else if self.seen.len() < SEEN_MAX {
            self.seen.insert(template, Seen { first_ns: at_ns, is_new: false, level });
        }
    }

    fn tell(&mut self, service: &str, oddity: Oddity, now_ns: i64) {
        let level = self.seen.get(&oddity.template).and_then(|s| s.level);
        self.oddities.tell(Told { service: service.to_owned(), level, oddity }, now_ns);
    }

    /// Time has come to `now_ns`: tells what is missing.
    pub(crate) fn tick(&mut self, now_ns: i64, marks: &[Mark]) {
        let mut found = Vec::new();
        for (service, sessions) in &mut self.sessions {
            let mut some = Vec::new();
            sessions.tick(now_ns, self.config.learning_ns, &mut some);
            let is_harmless =
                |o: &Oddity| marks.iter().any(|m| m.template == o.template && m.kind == "session");
            some.retain(|o| !is_harmless(o));
            found.extend(some.into_iter().map(|oddity| (service.clone(), oddity)));
        }
        for (service, watch) in &mut self.services {
            let mut some = Vec::new();
            watch.tick(now_ns, &mut some);
            found.extend(some.into_iter().map(|oddity| (service.clone(), oddity)));
        }
        for (service, oddity) in found {
            self.tell(&service, oddity, now_ns);
        }
        let services = &self.services;
        let lasts =
            |t: &Told| services.get(&t.service).is_some_and(|w| w.lasts(t.oddity.template, t.oddity.kind));
        self.oddities.tick(now_ns, &lasts);
    }

    /// Two templates became one.
    pub(crate) fn merged(&mut self, merge: Merge) {
        self.services.values_mut().for_each(|watch| watch.merged(merge.old, merge.new));
        self.sessions.values_mut().for_each(|sessions| sessions.merged(merge.old, merge.new));
        if let Some(old) = self.seen.remove(&merge.old) {
            let new = self.seen.entry(merge.new).or_insert(old);
            new.first_ns = new.first_ns.min(old.first_ns);
            new.is_new &= old.is_new;
            new.level = new.level.max(old.level);
        }
    }

    pub(crate) fn mark(&mut self, template: TemplateId, kind: Kind, harmless: bool) {
        for watch in self.services.values_mut() {
            if harmless {
                watch.mark_harmless(template, kind);
            } else {
                watch.unmark_harmless(template, kind);
            }
        }
        if harmless {
            self.oddities.forget(template, kind);
        }
    }

    pub(crate) fn seen(&self, template: TemplateId) -> Option<Seen> {
        self.seen.get(&template).copied()
    }

    pub(crate) fn oddities(&self) -> &Oddities {
        &self.oddities
    }

    /// Everything learned.
    pub(crate) fn save(&self) -> Vec<Part> {
        let watches = self.services.iter().map(|(name, watch)| (format!("{WATCH}{name}"), watch.save()));
        let mut seen = Vec::with_capacity(self.seen.len() * SEEN_BYTES);
        for (template, s) in &self.seen {
            seen.extend_from_slice(&template.0.to_le_bytes());
            seen.extend_from_slice(&s.first_ns.to_le_bytes());
            let level = s.level.and_then(|l| Level::ALL.iter().position(|x| *x == l)).map_or(0, |n| n + 1);
            seen.push(u8::try_from(level).unwrap_or(0));
            seen.push(u8::from(s.is_new));
        }
        let sessions = self.sessions.iter().map(|(name, s)| (format!("{SESSIONS}{name}"), s.save()));
        watches.chain(sessions).chain([(SEEN.to_owned(), seen)]).collect()
    }

    /// Takes up what was learned. A part that cannot be read is told and begins anew.
    pub(crate) fn load(
        parts: &[Part],
        config: WatchConfig,
        marks: &[Mark],
    ) -> (Self, Vec<(String, StateError)>) {
        let mut watches = Self::new(config);
        let mut failed = Vec::new();
        for (name, bytes) in parts {
            if let Some(service) = name.strip_prefix(WATCH) {
                match Watch::load(bytes, config) {
                    Ok(watch) => {
                        watches.services.insert(service.to_owned(), watch);
                    }
                    Err(error) => failed.push((service.to_owned(), error)),
                }
            } else if let Some(service) = name.strip_prefix(SESSIONS) {
                watches.sessions.insert(service.to_owned(), Sessions::load(bytes));
            } else if name == SEEN {
                watches.seen = bytes.chunks_exact(SEEN_BYTES).filter_map(read_seen).collect();
            }
        }
        watches.services.values_mut().for_each(|watch| apply(marks, watch));
        (watches, failed)
    }
}

fn read_seen(bytes: &[u8]) -> Option<(TemplateId, Seen)> {
    let (id, rest) = bytes.split_first_chunk::<8>()?;
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let [level, is_new] = rest else { return None };
    let level = usize::from(*level).checked_sub(1).and_then(|n| Level::ALL.get(n)).copied();
    let seen = Seen { first_ns: i64::from_le_bytes(*first), is_new: *is_new != 0, level };
    Some((TemplateId(u64::from_le_bytes(*id)), seen))
}

/// The service's own place, or the one that those beyond the bound share. A name is copied for a new place only: this is asked
/// for every line.
fn of_service<'a, T>(
    places: &'a mut BTreeMap<String, T>,
    service: &str,
    begin: impl FnOnce() -> T,
) -> Option<&'a mut T> {
    let has_place = places.len() < SERVICES_MAX || places.contains_key(service);
    let name = if has_place { service } else { "" };
    if !places.contains_key(name) {
        places.insert(name.to_owned(), begin());
    }
    places.get_mut(name)
}

fn apply(marks: &[Mark], watch: &mut Watch) {
    for mark in marks {
        if let Some(kind) = crate::marks::kind_of_word(&mark.kind, mark.parameter) {
            watch.mark_harmless(mark.template, kind);
        }
    }
}
