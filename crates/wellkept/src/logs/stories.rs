//! What the logs say of an incident: its lines in short, its words, and whether the like was seen before.
//!
//! Asked for when somebody looks, and once when an incident is over, so that later ones can be compared with it. What is
//! remembered of an incident is a fingerprint of at most some kilobytes beside the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wellkept_api::{IncidentLogs, PastIncident, StoryLine, StoryTerm};
use wellkept_logs::Logs;
use wellkept_logstore::query::LineQuery;
use wellkept_logstore::{Direction, LogEntry, LogRange, SearchLimits};
use wellkept_model::{EntityKind, Incident, IncidentStatus, Level, MatchOp, Matcher, TemplateId};
use wellkept_textmine::{
    Background, Fingerprint, IncidentLine, KeyTerm, Tokeniser, key_terms, similar, summarise,
};

const S: i64 = 1_000_000_000;
/// Lines from so long before the first sign on belong to the story.
const BEFORE_NS: i64 = 120 * S;
/// Lines until so long after the end.
const AFTER_NS: i64 = 10 * S;
/// What is usual is taken from the hours before.
const USUAL_NS: i64 = 6 * 3600 * S;
/// Lines that are read of one incident.
const LINES_MAX: usize = 5000;
/// Templates of the usual time.
const TEMPLATES_MAX: usize = 2000;
/// Fingerprints that are remembered, newest incidents.
const PRINTS_MAX: usize = 1000;
/// Bytes that one look may unpack.
const BYTES_MAX: u64 = 1 << 30;
const SUMMARY_LINES: usize = 8;
const TERMS: usize = 12;
const PAST: usize = 5;

/// Fingerprints of what was, and what is needed to make them.
pub(crate) struct Stories {
    logs: Arc<Logs>,
    folder: PathBuf,
    prints: Mutex<BTreeMap<u64, Fingerprint>>,
}

/// What was read of an incident. The tokeniser goes with it: the dictionary of Chinese, which comes with the first Chinese
/// line, takes more memory than all else of an idle host.
struct Story {
    tokeniser: Tokeniser,
    lines: Vec<LogEntry>,
    background: Background,
    terms: Vec<KeyTerm>,
    range: (i64, i64),
    query: String,
}

impl Stories {
    /// Takes up what is remembered below the data directory.
    pub(crate) fn open(logs: &Arc<Logs>, data_dir: &Path) -> std::io::Result<Self> {
        let folder = data_dir.join(super::FOLDER).join("stories");
        std::fs::create_dir_all(&folder)?;
        let mut prints = BTreeMap::new();
        for file in std::fs::read_dir(&folder)?.flatten() {
            let id = file.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            let print = std::fs::read(file.path()).ok().and_then(|b| Fingerprint::from_bytes(&b).ok());
            match (id, print) {
                (Some(id), Some(print)) => drop(prints.insert(id, print)),
                _ => tracing::warn!(file = %file.path().display(), "this is no fingerprint of an incident"),
            }
        }
        let (logs, prints) = (Arc::clone(logs), Mutex::new(prints));
        Ok(Self { logs, folder, prints })
    }

    /// Remembers incidents that are over and are not yet remembered. `stop`: when to end early.
    pub(crate) fn remember(&self, incidents: &[Incident], stop: &(dyn Fn() -> bool + Sync)) {
        for incident in incidents.iter().take(PRINTS_MAX) {
            let is_over = incident.status == IncidentStatus::Resolved;
            if !is_over || stop() || self.prints().contains_key(&incident.id.0) {
                continue;
            }
            let print = self.print(incident, &self.read(incident, stop));
            if let Err(error) = std::fs::write(self.folder.join(incident.id.to_string()), print.to_bytes()) {
                tracing::warn!(%error, "the fingerprint of an incident could not be stored");
                return;
            }
            let mut prints = self.prints();
            prints.insert(incident.id.0, print);
            while prints.len() > PRINTS_MAX {
                if let Some((id, _)) = prints.pop_first() {
                    // One that stays is read again and forgotten again.
                    let _ = std::fs::remove_file(self.folder.join(id.to_string()));
                }
            }
        }
    }

    /// What is to be told of an incident.
    pub(crate) fn tell(&self, incident: &Incident, stop: &(dyn Fn() -> bool + Sync)) -> IncidentLogs {
        let story = self.read(incident, stop);
        let news =
            |id: TemplateId| self.logs.seen(id).is_some_and(|s| s.is_new && s.first_ns >= story.range.0);
        let lines: Vec<IncidentLine<'_>> = story
            .lines
            .iter()
            .map(|l| {
                let template = self.logs.resolve(l.template);
                let (at_ns, level) = (l.at_ns, l.level);
                IncidentLine { text: &l.text, template, at_ns, level, is_new: news(template) }
            })
            .collect();
        let summary = summarise(&story.tokeniser, &lines, &story.background, SUMMARY_LINES);
        let print = self.print(incident, &story);
        let past: Vec<(u64, Fingerprint)> = {
            let prints = self.prints();
            let others = prints.iter().filter(|(id, _)| **id < incident.id.0);
            others.map(|(id, print)| (*id, print.clone())).collect()
        };
        let alike = similar(&print, &past, PAST).into_iter().map(|m| PastIncident {
            id: m.id,
            score: m.score,
            causes: m.why.causes,
            templates: m.why.templates.iter().filter_map(|t| self.logs.text(*t)).collect(),
            terms: m.why.terms,
        });
        IncidentLogs {
            query: story.query,
            from_ns: story.range.0,
            to_ns: story.range.1,
            lines: story.lines.len(),
            summary: summary
                .into_iter()
                .map(|l| StoryLine {
                    text: l.text,
                    template: l.template,
                    level: l.level,
                    count: l.count,
                    first_ns: l.first_ns,
                    last_ns: l.last_ns,
                })
                .collect(),
            terms: story
                .terms
                .into_iter()
                .map(|t| StoryTerm { term: t.term, score: t.score, count: t.count })
                .collect(),
            past: alike.collect(),
        }
    }

    fn print(&self, incident: &Incident, story: &Story) -> Fingerprint {
        let causes: Vec<&str> = incident.causes.iter().take(3).map(|c| c.kind.word()).collect();
        let kinds: Vec<&str> = incident.findings.iter().map(|f| f.key.kind.word()).collect();
        let mut templates: BTreeMap<TemplateId, u64> = BTreeMap::new();
        for line in &story.lines {
            *templates.entry(self.logs.resolve(line.template)).or_default() += 1;
        }
        let templates: Vec<(TemplateId, u64)> = templates.into_iter().collect();
        Fingerprint::new(&causes, &kinds, &templates, &story.terms)
    }

    fn read(&self, incident: &Incident, stop: &(dyn Fn() -> bool + Sync)) -> Story {
        let (query, text) = query_of(incident);
        let ns = |ms: i64| ms.saturating_mul(1_000_000);
        let from = ns(incident.began_at.0.min(incident.opened_at.0)).saturating_sub(BEFORE_NS);
        let end = incident.resolved_at.unwrap_or(incident.updated_at).0.max(incident.opened_at.0);
        let to = ns(end).saturating_add(AFTER_NS);
        let limits = SearchLimits { bytes_max: BYTES_MAX, stop, ..SearchLimits::default() };
        let store = self.logs.store();
        let range = LogRange {
            from_ns: from,
            to_ns: to,
            direction: Direction::Forward,
            limit: LINES_MAX,
            cursor: None,
        };
        let mut lines = store.search(&grave(&query), &range, limits).lines;
        if lines.is_empty() {
            // Nobody said how grave it is: then all lines count.
            lines = store.search(&query, &range, limits).lines;
        }
        let usual = (from.saturating_sub(USUAL_NS), from);
        let tokeniser = Tokeniser::new();
        let mut background = Background::default();
        for pattern in store.patterns(&LineQuery::default(), usual, TEMPLATES_MAX, 1, limits).patterns {
            background.add_times(&tokeniser, pattern.text.as_bytes(), pattern.count);
        }
        let texts: Vec<&[u8]> = lines.iter().map(|l| l.text.as_slice()).collect();
        let terms = key_terms(&tokeniser, &texts, &background, TERMS);
        Story { tokeniser, lines, background, terms, range: (from, to), query: text }
    }

    fn prints(&self) -> MutexGuard<'_, BTreeMap<u64, Fingerprint>> {
        self.prints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines of the services that an incident is about; all lines when it is about no service.
fn query_of(incident: &Incident) -> (LineQuery, String) {
    let entities = incident.findings.iter().map(|f| &f.key.entity).chain([&incident.entity]);
    let mut services: Vec<&str> =
        entities.filter(|e| e.kind == EntityKind::Service).map(|e| e.name.as_str()).collect();
    services.sort_unstable();
    services.dedup();
    // Names of services have no letters that mean something in a pattern but the dot.
    let pattern = services.iter().map(|s| s.replace('.', "\\.")).collect::<Vec<_>>().join("|");
    let matcher = Matcher::new("service", MatchOp::Regex, &pattern).ok().filter(|_| !services.is_empty());
    let text = match &matcher {
        Some(_) => format!("{{service=~\"{}\"}}", pattern.replace('\\', "\\\\")),
        None => "{}".to_owned(),
    };
    (LineQuery { selector: matcher.into_iter().collect(), ..LineQuery::default() }, text)
}

/// Only lines that say that something is wrong.
fn grave(query: &LineQuery) -> LineQuery {
    let words: Vec<&str> = Level::ALL.into_iter().filter(|l| *l >= Level::Warning).map(Level::word).collect();
    let mut query = query.clone();
    query.selector.extend(Matcher::new("level", MatchOp::Regex, &words.join("|")));
    query
}
