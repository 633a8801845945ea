//! Searching: one blocking search per request, few at once, for a bounded time, and no longer than the client stays.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};
use wellkept_logstore::{Cursor, Direction, LogEntry, LogRange, LogStore, PAGE_MAX, SearchLimits};
use wellkept_model::{Labels, Text};

use super::answer::{line, ns, word};
use super::params::{cost, limits, lines, range, stopped, whole};
use crate::app::App;
use crate::body::Params;
use crate::error::ApiError;
use crate::prom::run;

/// Most streams that are looked through for labels.
const STREAMS_MAX: usize = 100_000;
/// What a search may take beyond its time until it is given up: it then says what it found until its time was over.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a search within its time. What was found until then is the answer, and says that it was stopped.
pub(super) async fn searched<W>(app: App, work: W) -> Result<Response, ApiError>
where
    W: FnOnce(&App, &LogStore, SearchLimits<'_>) -> Result<Value, ApiError> + Send + 'static,
{
    let time = app.limits.evaluation_time;
    run(app, time + GRACE, move |app, client_left| {
        let store = app.logs.store().ok_or_else(|| ApiError::not_found(Text::new("api.no_route")))?;
        let began = now();
        let over = AtomicBool::new(false);
        let stop = || {
            // The clock is asked on every call: searches ask seldom enough.
            if client_left() || began.elapsed() >= time {
                over.store(true, Ordering::Relaxed);
            }
            over.load(Ordering::Relaxed)
        };
        let data = work(app, store, limits(&stop))?;
        serde_json::to_vec(&json!({"status": "success", "data": data})).map_err(|error| {
            tracing::error!(%error, "an answer could not be written");
            ApiError::internal(Text::new("api.internal"))
        })
    })
    .await
}

#[expect(clippy::disallowed_methods, reason = "a bound on how long one search may take, in no answer")]
fn now() -> Instant {
    Instant::now()
}

pub(crate) async fn search(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let query = lines(&app, &params)?;
    let (from_ns, to_ns) = range(&app, &params)?;
    let limit = whole(&params, "limit", 200, (1, PAGE_MAX))?;
    let direction = direction(&params)?;
    let cursor = params.get("cursor").filter(|c| !c.is_empty()).map(read_cursor).transpose()?;
    searched(app, move |app, store, limits| {
        let page = store.search(&query, &LogRange { from_ns, to_ns, direction, limit, cursor }, limits);
        let found: Vec<Value> = page.lines.iter().map(|l| line(l, app.logs.as_ref())).collect();
        Ok(json!({
            "lines": found,
            "next": page.next.map(|c| format!("{}-{}", c.at_ns, c.given)),
            "stopped": stopped(page.stopped),
            "cost": cost(&page.cost),
        }))
    })
    .await
}

/// How many lines fit. Most of it is decided by the index, so it costs far less than fetching them.
pub(crate) async fn count(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let query = lines(&app, &params)?;
    let (from, to) = range(&app, &params)?;
    searched(app, move |_, store, limits| {
        let (count, why, spent) = store.count(&query, from, to, limits);
        Ok(json!({"count": count, "stopped": stopped(why), "cost": cost(&spent)}))
    })
    .await
}

pub(super) fn direction(params: &Params) -> Result<Direction, ApiError> {
    match params.get("direction").map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "backward") => Ok(Direction::Backward),
        Some("forward") => Ok(Direction::Forward),
        Some(_) => Err(ApiError::bad_parameter("invalid parameter \"direction\": use backward or forward")),
    }
}

fn read_cursor(text: &str) -> Result<Cursor, ApiError> {
    let read = text
        .rsplit_once('-')
        .and_then(|(at, given)| Some(Cursor { at_ns: at.parse().ok()?, given: given.parse().ok()? }));
    read.ok_or_else(|| ApiError::bad_parameter("invalid parameter \"cursor\": use `next` of the page before"))
}

pub(crate) async fn histogram(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let query = lines(&app, &params)?;
    let (from, to) = range(&app, &params)?;
    let bars = whole(&params, "bars", 120, (1, 2000))?;
    searched(app, move |_, store, limits| {
        let step = (to.saturating_sub(from) / i64::try_from(bars).unwrap_or(1)).max(1);
        let found = store.histogram(&query, from, to, step, limits);
        Ok(json!({
            "from_ns": ns(found.from_ns),
            "step_ns": ns(found.step_ns),
            "bars": found.bars,
            "stopped": stopped(found.stopped),
            "cost": cost(&found.cost),
        }))
    })
    .await
}

pub(crate) async fn facets(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let query = lines(&app, &params)?;
    let range = range(&app, &params)?;
    let top = whole(&params, "top", 10, (1, 1000))?;
    let names =
        params.get("names").filter(|n| !n.is_empty()).unwrap_or("service,level,host,filename").to_owned();
    searched(app, move |_, store, limits| {
        let names: Vec<&str> = names.split(',').map(str::trim).filter(|n| !n.is_empty()).collect();
        let found = store.facets(&query, range, &names, top, limits);
        let facets: Vec<Value> = found
            .facets
            .iter()
            .map(|f| json!({"name": f.name, "values": f.values, "others": f.others}))
            .collect();
        Ok(json!({
            "facets": facets,
            "lines": found.lines,
            "stopped": stopped(found.stopped),
            "cost": cost(&found.cost),
        }))
    })
    .await
}

pub(crate) async fn patterns(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let query = lines(&app, &params)?;
    let range = range(&app, &params)?;
    let top = whole(&params, "top", 100, (1, 2000))?;
    let bars = whole(&params, "bars", 60, (1, 500))?;
    searched(app, move |app, store, limits| {
        let found = store.patterns(&query, range, top, bars, limits);
        let mut merged: Vec<wellkept_logstore::Pattern> = Vec::new();
        let mut places = BTreeMap::new();
        for mut pattern in found.patterns {
            pattern.template = app.logs.resolve(pattern.template);
            match places.get(&pattern.template).and_then(|at: &usize| merged.get_mut(*at)) {
                Some(first) => join(first, pattern),
                None => {
                    places.insert(pattern.template, merged.len());
                    merged.push(pattern);
                }
            }
        }
        merged.sort_by_key(|p| std::cmp::Reverse(p.count));
        let patterns: Vec<Value> = merged.iter().map(|p| pattern(app, p, range)).collect();
        Ok(json!({
            "patterns": patterns,
            "templates": found.templates,
            "lines": found.lines,
            "stopped": stopped(found.stopped),
            "cost": cost(&found.cost),
        }))
    })
    .await
}

/// Two ids that became one template.
fn join(into: &mut wellkept_logstore::Pattern, other: wellkept_logstore::Pattern) {
    into.count += other.count;
    into.first_ns = into.first_ns.min(other.first_ns);
    into.last_ns = into.last_ns.max(other.last_ns);
    into.trend.iter_mut().zip(&other.trend).for_each(|(a, b)| *a += b);
    // The more general form has more places for parameters.
    if other.text.matches("<*>").count() > into.text.matches("<*>").count() {
        into.text = other.text;
    }
    into.examples.extend(other.examples);
    into.examples.sort_by_key(|e| std::cmp::Reverse(e.at_ns));
    into.examples.truncate(3);
}

fn pattern(app: &App, p: &wellkept_logstore::Pattern, (from, to): (i64, i64)) -> Value {
    let known = app.logs.known(p.template);
    let is_new = known.is_new && known.first_ns.is_some_and(|first| (from..to).contains(&first));
    let examples: Vec<Value> = p.examples.iter().map(|e| line(e, app.logs.as_ref())).collect();
    json!({
        "template": word(p.template),
        "text": p.text,
        "count": p.count,
        "first_ns": ns(p.first_ns),
        "last_ns": ns(p.last_ns),
        "trend": p.trend,
        "examples": examples,
        "first_seen_ns": known.first_ns.map(ns),
        "new": is_new,
        "harmless": known.harmless,
    })
}

pub(crate) async fn context(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let at_ns = super::params::instant_ns("at_ns", params.get("at_ns").unwrap_or_default())?;
    let labels: BTreeMap<String, String> = serde_json::from_str(params.get("labels").unwrap_or_default())
        .map_err(|e| {
            ApiError::bad_parameter(format!("invalid parameter \"labels\": {e}; use a JSON object"))
        })?;
    let text = params.get("text").unwrap_or_default().to_owned();
    let before = whole(&params, "before", 20, (0, 1000))?;
    let after = whole(&params, "after", 20, (0, 1000))?;
    searched(app, move |app, store, limits| {
        let entry = LogEntry {
            at_ns,
            labels: Labels::new(labels),
            level: None,
            template: wellkept_model::TemplateId(0),
            text: as_stored(store, at_ns, &text, limits),
            fields: Vec::new(),
            extracted: Vec::new(),
        };
        let (earlier, later) = store.context(&entry, before, after, limits);
        let told =
            |lines: &[LogEntry]| -> Vec<Value> { lines.iter().map(|l| line(l, app.logs.as_ref())).collect() };
        Ok(json!({"before": told(&earlier.lines), "after": told(&later.lines)}))
    })
    .await
}

/// The bytes of a line whose text a client saw: those that are no UTF-8 were replaced in it.
fn as_stored(store: &LogStore, at_ns: i64, text: &str, limits: SearchLimits<'_>) -> Vec<u8> {
    let range = LogRange {
        from_ns: at_ns,
        to_ns: at_ns.saturating_add(1),
        direction: Direction::Forward,
        limit: PAGE_MAX,
        cursor: None,
    };
    let page = store.search(&wellkept_logstore::query::LineQuery::default(), &range, limits);
    let found = page.lines.into_iter().find(|l| String::from_utf8_lossy(&l.text) == text);
    found.map_or_else(|| text.as_bytes().to_vec(), |l| l.text)
}

/// Names and values of the labels of all streams in a range.
pub(super) fn all_labels(store: &LogStore, range: (i64, i64)) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, std::collections::BTreeSet<String>> = BTreeMap::new();
    for labels in store.streams(range, STREAMS_MAX).0 {
        for (name, value) in labels.iter() {
            if let Some(values) = found.get_mut(name) {
                if !values.contains(value) {
                    values.insert(value.to_owned());
                }
            } else {
                found.insert(name.to_owned(), [value.to_owned()].into());
            }
        }
    }
    let levels = wellkept_model::Level::ALL.into_iter().map(|l| l.word().to_owned());
    found.entry("level".to_owned()).or_default().extend(levels);
    found.into_iter().map(|(name, values)| (name, values.into_iter().collect())).collect()
}

pub(crate) async fn labels(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let range = range(&app, &params)?;
    searched(app, move |_, store, _| {
        Ok(json!({"names": all_labels(store, range).into_keys().collect::<Vec<_>>()}))
    })
    .await
}

pub(crate) async fn values(
    State(app): State<App>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let range = range(&app, &params)?;
    searched(app, move |_, store, _| {
        Ok(json!({"values": all_labels(store, range).remove(&name).unwrap_or_default()}))
    })
    .await
}
