//! `/federate`: the newest value of selected series, for another Prometheus to scrape.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use wellkept_intake::expose::{Exposed, Style, page};
use wellkept_model::{Matcher, SeriesData, is_stale};

use super::http::MATCHES_MAX;
use super::run::run_text;
use crate::app::App;
use crate::body::Params;
use crate::error::ApiError;
use crate::promql_door as door;

/// The newest sample of each series that any `match[]` selects, unless it is stale or older than the lookback, with its own
/// time. Native histograms have no place in the text formats and are left out.
pub(crate) async fn federate(
    State(app): State<App>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let texts: Vec<&str> = params.all("match[]").take(MATCHES_MAX + 1).collect();
    if texts.is_empty() || texts.len() > MATCHES_MAX {
        let told = format!("give 1 to {MATCHES_MAX} match[] parameters");
        return Err(ApiError::bad_parameter(told));
    }
    let limits = &app.limits.promql;
    let selectors: Vec<Vec<Matcher>> =
        texts.into_iter().map(|t| door::selector(t, limits)).collect::<Result<_, _>>()?;
    let style = Style::from_accept(headers.get(ACCEPT).and_then(|v| v.to_str().ok()));
    let (to, time) = ((app.clock)(), app.limits.evaluation_time);
    let text = run_text(app, time, move |app, stop| {
        let limits = &app.limits.promql;
        let mut found: Vec<SeriesData> = Vec::new();
        for matchers in &selectors {
            if stop() {
                break;
            }
            let some = app.source.select(matchers, to - limits.lookback, to, &door::source_limits(limits));
            found.extend(some.map_err(|e| door::source_failed(&e))?);
        }
        Ok(written(style, found))
    })
    .await?;
    Ok(([(CONTENT_TYPE, style.content_type())], text).into_response())
}

fn written(style: Style, mut found: Vec<SeriesData>) -> String {
    // The page wants one family together.
    found.sort_by(|a, b| (a.labels.name(), &a.labels).cmp(&(b.labels.name(), &b.labels)));
    found.dedup_by(|a, b| a.labels == b.labels);
    let newest = found.iter().filter_map(|series| {
        let sample = series.samples.last().filter(|s| !is_stale(s.value))?;
        // Without this, a scraper with `honor_labels` would put its own.
        let extra: &[_] = if series.labels.get("instance").is_empty() { &[("instance", "")] } else { &[] };
        Some(Exposed {
            labels: &series.labels,
            value: sample.value,
            at: Some(sample.at),
            extra,
            exemplar: None,
        })
    });
    page(style, newest, |_| None)
}
