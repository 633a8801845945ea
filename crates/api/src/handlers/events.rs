//! Server-sent events: what changes, as it changes.
//!
//! A stream keeps no queue of events. It remembers which incidents a client has not seen in their latest form and
//! renders them when the client can take more, so that a slow client costs one set of ids, never a backlog. A
//! client that takes nothing at all is cut by the server (`patience`).

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};
use wellkept_catalogue::Language;
use wellkept_model::{Incident, IncidentId, Overview, Text};

use crate::app::{App, count};
use crate::error::ApiError;
use crate::serve::Closing;
use crate::views::incident::{Fingerprint, IncidentSummary};
use crate::views::overview::OverviewView;

/// A comment this often keeps middle boxes and the browser from giving up.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The overview changes each round; more often than this nobody can read it.
const OVERVIEW_EVERY: Duration = Duration::from_secs(1);
/// Sent by browsers when they connect again.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(crate) async fn stream(
    State(app): State<App>,
    Extension(language): Extension<Language>,
    closing: Option<Extension<Closing>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let permit = app.inner().streams.clone().try_acquire_owned().map_err(|_| {
        count(&app.inner().counters.busy_streams);
        let text = Text::new("api.too_many_streams").with("limit", app.limits.streams);
        ApiError::unavailable(text)
    })?;
    let since = headers.get(LAST_EVENT_ID).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<i64>().ok());
    let mut feed = Feed::new(app, language, permit, closing.map(|Extension(c)| c));
    feed.catch_up(since);
    let events = unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("still here");
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    let unbuffered = axum::http::HeaderValue::from_static("no");
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), unbuffered);
    Ok(response)
}

/// One client's view of what it has not seen yet.
struct Feed {
    app: App,
    language: Language,
    overview: watch::Receiver<Arc<Overview>>,
    incidents: watch::Receiver<Arc<Vec<Incident>>>,
    closing: Option<Closing>,
    /// The latest form of each incident that was sent or queued.
    known: BTreeMap<IncidentId, Fingerprint>,
    /// Incidents to send, longest unchanged first; each id at most once.
    pending: VecDeque<IncidentId>,
    overview_due: bool,
    overview_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    fn new(app: App, language: Language, permit: OwnedSemaphorePermit, closing: Option<Closing>) -> Self {
        let mut overview = app.overview.clone();
        overview.mark_unchanged();
        Self {
            language,
            overview,
            incidents: app.incidents.clone(),
            closing,
            known: BTreeMap::new(),
            pending: VecDeque::new(),
            overview_due: true,
            // Any instant that has passed: the first overview goes out at once.
            overview_at: tokio_now(),
            app,
            _permit: permit,
        }
    }

    /// Takes the present incidents as seen, except those that changed at or after `since`.
    fn catch_up(&mut self, since: Option<i64>) {
        let list = self.incidents.borrow_and_update().clone();
        for incident in list.iter().rev() {
            self.known.insert(incident.id, Fingerprint::of(incident));
            if since.is_some_and(|since| incident.updated_at.0 >= since) {
                self.pending.push_back(incident.id);
            }
        }
    }

    /// Queues what differs from what the client knows.
    fn compare(&mut self) {
        let list = self.incidents.borrow_and_update().clone();
        let before = std::mem::take(&mut self.known);
        for incident in list.iter().rev() {
            let now = Fingerprint::of(incident);
            if before.get(&incident.id) != Some(&now) && !self.pending.contains(&incident.id) {
                self.pending.push_back(incident.id);
            }
            self.known.insert(incident.id, now);
        }
    }

    /// The next event; `None` when the engine or the server ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(id) = self.pending.pop_front() {
                if let Some(event) = self.incident_event(id) {
                    return Some(event);
                }
                continue;
            }
            tokio::select! {
                changed = self.incidents.changed() => {
                    changed.ok()?;
                    self.compare();
                }
                () = sleep_until(self.overview_at), if self.overview_due => {
                    self.overview_due = false;
                    self.overview_at = tokio_now() + OVERVIEW_EVERY;
                    return self.overview_event();
                }
                changed = self.overview.changed(), if !self.overview_due => {
                    changed.ok()?;
                    self.overview_due = true;
                }
                () = closed(&mut self.closing) => return None,
            }
        }
    }

    fn incident_event(&self, id: IncidentId) -> Option<Event> {
        let list = self.incidents.borrow().clone();
        let incident = list.iter().find(|i| i.id == id)?;
        let event = Event::default().event("incident").id(incident.updated_at.to_string());
        logged(event.json_data(IncidentSummary::new(self.language, incident)))
    }

    fn overview_event(&mut self) -> Option<Event> {
        let overview = self.overview.borrow_and_update().clone();
        let incidents = self.incidents.borrow().clone();
        let view = OverviewView::new(&overview, &incidents, self.app.version, (self.app.clock)());
        logged(Event::default().event("overview").json_data(view))
    }
}

fn logged(event: Result<Event, axum::Error>) -> Option<Event> {
    event.inspect_err(|error| tracing::error!(%error, "an event could not be written as JSON")).ok()
}

/// Waits until the server closes; for ever when nobody told us how to know.
async fn closed(closing: &mut Option<Closing>) {
    match closing {
        Some(closing) => closing.wait().await,
        None => std::future::pending().await,
    }
}

/// The timer's own clock: it paces the stream and appears in no answer. In tests it is the paused one.
fn tokio_now() -> Instant {
    Instant::now()
}
