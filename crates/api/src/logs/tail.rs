//! Live tail: lines that fit, as they are taken, as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use wellkept_logstore::{LogEntry, Tail};
use wellkept_model::Text;

use super::answer::line;
use super::params::lines;
use crate::app::{App, count};
use crate::body::Params;
use crate::error::ApiError;
use crate::serve::Closing;

/// Lines that wait for a client; beyond that they are dropped and counted.
const WAITING_MAX: usize = 10_000;
/// A comment this often keeps middle boxes and the browser from giving up.
const HEARTBEAT: Duration = Duration::from_secs(15);

struct Feed {
    app: App,
    tail: Tail,
    woken: Arc<Notify>,
    lines: VecDeque<LogEntry>,
    dropped: u64,
    closing: Option<Closing>,
    _permit: OwnedSemaphorePermit,
}

pub(crate) async fn tail(
    State(app): State<App>,
    closing: Option<Extension<Closing>>,
    params: Params,
) -> Result<Response, ApiError> {
    let query = lines(&app, &params)?;
    let busy = || {
        count(&app.inner().counters.busy_streams);
        ApiError::unavailable(Text::new("api.too_many_streams").with("limit", app.limits.streams))
    };
    let permit = app.inner().streams.clone().try_acquire_owned().map_err(|_| busy())?;
    let woken = Arc::new(Notify::new());
    let wake = Arc::clone(&woken);
    let store = app.logs.store().ok_or_else(|| ApiError::not_found(Text::new("api.no_route")))?;
    let tail = store.tail(query, WAITING_MAX, Some(Box::new(move || wake.notify_one()))).ok_or_else(busy)?;
    let closing = closing.map(|Extension(c)| c);
    let feed = Feed { app, tail, woken, lines: VecDeque::new(), dropped: 0, closing, _permit: permit };
    let events = unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("still here");
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    let unbuffered = HeaderValue::from_static("no");
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), unbuffered);
    Ok(response)
}

impl Feed {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(entry) = self.lines.pop_front() {
                let event = Event::default().event("line").json_data(line(&entry, self.app.logs.as_ref()));
                return event
                    .inspect_err(|error| tracing::error!(%error, "a line could not be written"))
                    .ok();
            }
            if self.dropped > 0 {
                let dropped = std::mem::take(&mut self.dropped);
                return Some(Event::default().event("dropped").data(format!("{{\"count\":{dropped}}}")));
            }
            let taken = self.tail.take();
            self.lines = taken.lines.into();
            self.dropped = taken.dropped;
            if self.lines.is_empty() && self.dropped == 0 {
                tokio::select! {
                    () = self.woken.notified() => {}
                    () = closed(&mut self.closing) => return None,
                }
            }
        }
    }
}

async fn closed(closing: &mut Option<Closing>) {
    match closing {
        Some(closing) => closing.wait().await,
        None => std::future::pending().await,
    }
}
