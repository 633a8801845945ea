//! Runs blocking work for a request: few at once, for a bounded time, and no longer than its client stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use wellkept_model::Text;

use crate::app::{App, count};
use crate::error::ApiError;
use crate::promql_door::Stop;

/// How long a query waits for its turn. A dashboard asks for twenty panels at once, and each takes milliseconds.
const TURN_MAX: Duration = Duration::from_secs(2);

/// Tells the evaluation to stop when it is dropped: the request was answered, timed out, or its client left.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on a thread that may block and answers with the JSON it gives. The permit is held until the work
/// has really ended, also when nobody waits for it any more.
pub(crate) async fn run<W>(app: App, time: Duration, work: W) -> Result<Response, ApiError>
where
    W: FnOnce(&App, Stop<'_>) -> Result<Vec<u8>, ApiError> + Send + 'static,
{
    let body = run_text(app, time, work).await?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// The same for what is no JSON.
pub(super) async fn run_text<T, W>(app: App, time: Duration, work: W) -> Result<T, ApiError>
where
    T: Send + 'static,
    W: FnOnce(&App, Stop<'_>) -> Result<T, ApiError> + Send + 'static,
{
    let turn = tokio::time::timeout(TURN_MAX, app.inner().evaluations.clone().acquire_owned()).await;
    let Ok(Ok(permit)) = turn else {
        count(&app.inner().counters.busy_evaluations);
        let text = Text::new("api.too_many_queries").with("limit", app.limits.evaluations);
        return Err(ApiError::unavailable(text));
    };
    let stop = Arc::new(AtomicBool::new(false));
    let guard = StopOnDrop(stop.clone());
    let task = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work(&app, &|| stop.load(Ordering::Relaxed))
    });
    let result = tokio::time::timeout(time, task).await;
    drop(guard);
    match result {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => {
            tracing::error!(%error, "an evaluation broke off");
            Err(ApiError::internal(Text::new("api.internal")))
        }
        Err(_) => Err(ApiError::timeout(Text::new("api.query_time").with("ms", time.as_millis()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_flag_is_raised_when_the_request_is_dropped() {
        let stop = Arc::new(AtomicBool::new(false));
        let guard = StopOnDrop(stop.clone());
        let request = tokio::spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        assert!(!stop.load(Ordering::Relaxed));
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        assert!(stop.load(Ordering::Relaxed));
    }
}
