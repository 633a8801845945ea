//! A real proxy: what its processes tell of when its configuration was loaded.

#![expect(clippy::disallowed_methods, reason = "a test has no caller that could give it the time")]

#[path = "../src/watch/testing.rs"]
mod servers;

use std::collections::BTreeMap;
use std::sync::Arc;

use servers::{Nginx, wait_for};
use wellkept_collect::Collector;
use wellkept_model::TimestampMs;
use wellkept_model::keep::{Identity, Keep, Service};

/// Beginnings are told in ticks of 10 ms, and in milliseconds of a clock that is read again for each process.
const NEAR_MS: i64 = 20;

/// When the main process and its youngest worker began.
fn began(collector: &mut Collector) -> Option<(TimestampMs, TimestampMs)> {
    let now = jiff::Timestamp::now().as_millisecond();
    let seen = collector.observe_service("web", TimestampMs(now))?.seen;
    let (main, workers) = seen.processes.split_first()?;
    Some((main.started_at, workers.iter().map(|w| w.started_at).max()?))
}

#[tokio::test]
async fn a_reload_is_seen_by_its_young_workers_and_a_written_file_is_not() {
    let web = Nginx::start("return 200;").await;
    let service = Service::named("web", Identity::Pidfile(web.dir.join("pid")));
    let keep = Keep { services: BTreeMap::from([("web".to_owned(), service)]), ..Keep::default() };
    let mut collector = Collector::new(Arc::new(keep), "h");
    let (main, worker) = wait_for("a worker is seen", async || began(&mut collector)).await;
    assert!(worker.0 >= main.0 - NEAR_MS);
    std::fs::write(web.dir.join("other.conf"), "x").expect("written");
    let (_, still) = began(&mut collector).expect("it is seen");
    assert!((still.0 - worker.0).abs() <= NEAR_MS, "nothing was loaded");
    web.load("return 204;");
    let again = wait_for("a younger worker is seen", async || {
        began(&mut collector).filter(|(_, youngest)| youngest.0 > worker.0 + NEAR_MS)
    });
    assert!((again.await.0.0 - main.0).abs() <= NEAR_MS, "the main process stays");
    wait_for("it answers as it is told now", async || web.get().contains(" 204 ").then_some(())).await;
}
