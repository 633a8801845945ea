//! The templates of the lines that fit: first seen, how many, trend, examples.

use std::ops::ControlFlow;

use hashbrown::HashMap;
use wellkept_model::{Shape, TemplateId};

use super::budget::{Budget, SearchCost, SearchLimits, Stopped};
use super::entries::{Direction, LogEntry};
use super::source::{Need, Wanted};
use crate::query::LineQuery;
use crate::store::LogStore;

/// Most templates that are told apart; lines of further ones are counted together.
const TEMPLATES_MAX: usize = 100_000;

/// Most bars of a trend.
const BARS_MAX: usize = 500;

/// Most examples of one template.
const EXAMPLES_MAX: usize = 3;

/// A template and its lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// The template.
    pub template: TemplateId,
    /// Its text with `<*>` for each parameter; of the form that was seen last.
    pub text: String,
    /// Lines.
    pub count: u64,
    /// Time of the first line in the range, nanoseconds.
    pub first_ns: i64,
    /// Time of the last.
    pub last_ns: i64,
    /// Lines by time, in equal parts of the range.
    pub trend: Vec<u64>,
    /// Newest lines.
    pub examples: Vec<LogEntry>,
}

/// Templates of the lines that fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patterns {
    /// Most lines first.
    pub patterns: Vec<Pattern>,
    /// Different templates in all.
    pub templates: usize,
    /// Lines in all.
    pub lines: u64,
    /// Why the search ended early; what it would have counted is missing.
    pub stopped: Option<Stopped>,
    /// What it cost.
    pub cost: SearchCost,
}

struct Found {
    count: u64,
    first: i64,
    last: i64,
    trend: Vec<u64>,
}

impl LogStore {
    /// The `top` templates with most lines that fit; `bars`: parts of the trend.
    #[must_use]
    pub fn patterns(
        &self,
        query: &LineQuery,
        (from, to): (i64, i64),
        top: usize,
        bars: usize,
        limits: SearchLimits<'_>,
    ) -> Patterns {
        let bars = bars.clamp(1, BARS_MAX);
        let mut found: HashMap<TemplateId, Found> = HashMap::new();
        let mut budget = Budget::new(limits);
        let most = (budget.result_left() / (bars * 8 + 64)).min(TEMPLATES_MAX);
        let mut out = Patterns::default();
        let wanted =
            Wanted { query, stream: None, from, to, direction: Direction::Forward, need: Need::default() };
        let snapshot = self.snapshot();
        let width = (to.saturating_sub(from) / bars as i64).max(1);
        snapshot.scan(self, &wanted, &mut budget, &mut |hit| {
            out.lines += 1;
            let template = hit.view.template;
            if found.len() >= most && !found.contains_key(&template) {
                return ControlFlow::Continue(());
            }
            let found = found.entry(template).or_insert_with(|| Found {
                count: 0,
                first: hit.at,
                last: hit.at,
                trend: vec![0; bars],
            });
            found.count += 1;
            found.first = found.first.min(hit.at);
            found.last = found.last.max(hit.at);
            let bar = usize::try_from(hit.at.saturating_sub(from) / width).unwrap_or(0).min(bars - 1);
            if let Some(bar) = found.trend.get_mut(bar) {
                *bar += 1;
            }
            ControlFlow::Continue(())
        });
        out.templates = found.len();
        let mut found: Vec<(TemplateId, Found)> = found.into_iter().collect();
        found.sort_by(|a, b| b.1.count.cmp(&a.1.count).then(a.0.cmp(&b.0)));
        found.truncate(top);
        let texts = self.template_texts(&snapshot, found.iter().map(|f| f.0).collect());
        for (template, found) in found {
            let text = texts.get(&template).cloned().unwrap_or_default();
            let Found { count, first, last, trend } = found;
            let examples = self.examples(query, template, (first, last), limits);
            let (first_ns, last_ns) = (first, last);
            out.patterns.push(Pattern { template, text, count, first_ns, last_ns, trend, examples });
        }
        (out.stopped, out.cost) = (budget.stopped, budget.cost);
        out
    }

    fn examples(
        &self,
        query: &LineQuery,
        template: TemplateId,
        (first, last): (i64, i64),
        limits: SearchLimits<'_>,
    ) -> Vec<LogEntry> {
        let mut query = query.clone();
        let word = super::line::template_word(template);
        let Ok(only) = wellkept_model::Matcher::new("template", wellkept_model::MatchOp::Equal, &word) else {
            return Vec::new();
        };
        query.selector.push(only);
        let range = super::entries::LogRange {
            from_ns: first,
            to_ns: last.saturating_add(1),
            direction: Direction::Backward,
            limit: EXAMPLES_MAX,
            cursor: None,
        };
        self.search(&query, &range, limits).lines
    }

    fn template_texts(
        &self,
        snapshot: &super::source::Snapshot,
        wanted: Vec<TemplateId>,
    ) -> HashMap<TemplateId, String> {
        let mut out: HashMap<TemplateId, String> = HashMap::new();
        let wanted: hashbrown::HashSet<TemplateId> = wanted.into_iter().collect();
        let mut put = |shape: &Shape| {
            if wanted.contains(&shape.template) {
                out.insert(shape.template, shape_text(shape));
            }
        };
        for index in snapshot.segments.iter().filter_map(|s| self.index_or_set_aside(s)) {
            let heads = index.shapes.heads.iter().enumerate().filter(|(_, h)| wanted.contains(&h.template));
            heads.filter_map(|(i, _)| index.shapes.get(i)).for_each(|s| put(&s.unrefined()));
        }
        snapshot.memory.iter().flat_map(|p| &p.shapes).for_each(|s| put(s));
        out
    }
}

/// A shape for people: `<*>` for each parameter, longest texts cut.
fn shape_text(shape: &Shape) -> String {
    const LITERAL_MAX: usize = 4096;
    let literal = |l: &[u8]| String::from_utf8_lossy(l.get(..LITERAL_MAX).unwrap_or(l)).into_owned();
    shape.literals.iter().map(|l| literal(l)).collect::<Vec<_>>().join("<*>")
}
