//! The one table of routes: method, path, permission, handler. The router is built from it and from nothing else.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use wellkept_model::Text;

use crate::Shared;
use crate::app::App;
use crate::error::ApiError;
use crate::finish::finish;
use crate::gate::{Gate, gate};
use crate::handlers::{acts, changes, console, events, fleet, incidents, learned, own, push};
use crate::logs;
use crate::permission::Permission::{self, Act, Private, Public, Push, Read, Stream};
use crate::prom::{federate, http as prometheus, status};

/// One line of the table.
struct Route {
    method: MethodFilter,
    name: Method,
    path: &'static str,
    permission: Permission,
    handler: MethodRouter<App>,
}

/// Answers GET (and HEAD, which is GET without its body).
fn get<H: Handler<T, App>, T: 'static>(path: &'static str, permission: Permission, handler: H) -> Route {
    let method = MethodFilter::GET;
    Route { method, name: Method::GET, path, permission, handler: on(method, handler) }
}

/// Answers POST.
fn post<H: Handler<T, App>, T: 'static>(path: &'static str, permission: Permission, handler: H) -> Route {
    let method = MethodFilter::POST;
    Route { method, name: Method::POST, path, permission, handler: on(method, handler) }
}

/// Answers PUT.
fn put<H: Handler<T, App>, T: 'static>(path: &'static str, permission: Permission, handler: H) -> Route {
    let method = MethodFilter::PUT;
    Route { method, name: Method::PUT, path, permission, handler: on(method, handler) }
}

/// Paths at which the console's page is given; it reads its own path.
const PAGES: [&str; 11] = [
    "/",
    "/host",
    "/incidents",
    "/incidents/{id}",
    "/explore",
    "/alerts",
    "/targets",
    "/store",
    "/logs",
    "/fleet",
    "/fleet/runs/{id}",
];

#[rustfmt::skip]
fn table() -> Vec<Route> {
    let mut table: Vec<Route> = PAGES.map(|path| get(path, Public, console::page)).into();
    table.extend([
        get("/assets/{*path}", Public, console::file),
        get("/{file}", Public, console::file),
        get("/-/healthy", Public, own::healthy),
        get("/-/ready", Public, own::ready),
        post("/-/reload", Act, acts::reload),
        get("/metrics", Read, own::metrics),
        get("/federate", Read, federate::federate),
        get("/api/v1/overview", Read, own::overview),
        get("/api/v1/incidents", Read, incidents::list),
        get("/api/v1/incidents/{id}", Read, incidents::one),
        get("/api/v1/incidents/{id}/logs", Read, logs::incident),
        post("/api/v1/incidents/{id}/approve", Act, acts::approve),
        post("/api/v1/incidents/{id}/undo", Act, acts::undo),
        post("/api/v1/incidents/{id}/escalate", Act, acts::escalate),
        post("/api/v1/freeze", Act, acts::freeze),
        post("/api/v1/unfreeze", Act, acts::unfreeze),
        get("/api/v1/learned", Read, learned::list),
        post("/api/v1/learned/reset", Act, learned::reset),
        get("/api/v1/changes", Read, changes::list),
        post("/api/v1/changes", Act, changes::record),
        get("/api/v1/fleet/runs", Read, fleet::runs),
        get("/api/v1/fleet/runs/{id}", Private, fleet::run_of),
        get("/api/v1/fleet/agents", Read, fleet::agents),
        get("/api/v1/fleet/deployments", Read, fleet::deployments),
        get("/api/v1/events", Stream, events::stream),
        get("/api/v1/query", Read, prometheus::query),
        post("/api/v1/query", Read, prometheus::query),
        get("/api/v1/query_range", Read, prometheus::query_range),
        post("/api/v1/query_range", Read, prometheus::query_range),
        get("/api/v1/format_query", Read, prometheus::format_query),
        post("/api/v1/format_query", Read, prometheus::format_query),
        get("/api/v1/parse_query", Read, prometheus::parse_query),
        post("/api/v1/parse_query", Read, prometheus::parse_query),
        get("/api/v1/series", Read, prometheus::series),
        post("/api/v1/series", Read, prometheus::series),
        get("/api/v1/labels", Read, prometheus::labels),
        post("/api/v1/labels", Read, prometheus::labels),
        get("/api/v1/label/{name}/values", Read, prometheus::label_values),
        get("/api/v1/query_exemplars", Read, status::exemplars),
        post("/api/v1/query_exemplars", Read, status::exemplars),
        get("/api/v1/metadata", Read, status::metadata),
        get("/api/v1/targets", Read, status::targets),
        get("/api/v1/rules", Read, status::rules),
        get("/api/v1/alerts", Read, status::alerts),
        get("/api/v1/status/buildinfo", Read, prometheus::buildinfo),
        get("/api/v1/status/config", Read, status::config),
        get("/api/v1/status/flags", Read, status::flags),
        get("/api/v1/status/runtimeinfo", Read, status::runtime),
        get("/api/v1/status/tsdb", Read, status::tsdb),
        get("/api/v1/logs/search", Read, logs::search),
        get("/api/v1/logs/count", Read, logs::count),
        get("/api/v1/logs/histogram", Read, logs::histogram),
        get("/api/v1/logs/facets", Read, logs::facets),
        get("/api/v1/logs/patterns", Read, logs::patterns),
        get("/api/v1/logs/context", Read, logs::context),
        post("/api/v1/logs/context", Read, logs::context),
        get("/api/v1/logs/tail", Stream, logs::tail),
        get("/api/v1/logs/labels", Read, logs::labels),
        get("/api/v1/logs/label/{name}/values", Read, logs::values),
        get("/api/v1/logs/oddities", Read, logs::oddities),
        get("/api/v1/logs/harmless", Read, logs::harmless),
        post("/api/v1/logs/harmless", Act, logs::mark),
        get("/api/v1/logs/status", Read, logs::status),
        post("/api/v1/otlp/v1/logs", Push, logs::otlp),
        post("/loki/api/v1/push", Push, logs::loki_push),
        get("/loki/api/v1/query", Read, logs::loki_query),
        post("/loki/api/v1/query", Read, logs::loki_query),
        get("/loki/api/v1/query_range", Read, logs::loki_query_range),
        post("/loki/api/v1/query_range", Read, logs::loki_query_range),
        get("/loki/api/v1/labels", Read, logs::loki_labels),
        get("/loki/api/v1/label/{name}/values", Read, logs::loki_values),
        get("/loki/api/v1/series", Read, logs::loki_series),
        post("/loki/api/v1/series", Read, logs::loki_series),
        get("/elasticsearch", Read, logs::elastic_root),
        get("/elasticsearch/", Read, logs::elastic_root),
        get("/elasticsearch/{*path}", Read, logs::elastic),
        post("/_bulk", Push, logs::bulk),
        put("/elasticsearch/{*path}", Push, logs::elastic_write),
        post("/elasticsearch/{*path}", Push, logs::elastic_write),
        post("/api/v1/write", Push, push::remote_write),
        post("/api/v1/import/prometheus", Push, push::import),
        post("/api/v1/otlp/v1/metrics", Push, push::otlp),
        post("/write", Push, push::influx),
        post("/api/v2/write", Push, push::influx),
        get("/ping", Read, push::ping),
        post("/api/v1/admin/flush", Push, push::flush),
        post("/api/v1/admin/tsdb/snapshot", Act, push::snapshot),
        post("/api/v1/admin/tsdb/snapshot/restore", Act, push::restore),
        post("/api/v1/admin/tsdb/snapshot/remove", Act, push::remove_snapshot),
    ]);
    table
}

/// Method, path and permission of every route, in order of the table.
#[must_use]
pub fn routes() -> Vec<(Method, &'static str, Permission)> {
    table().into_iter().map(|r| (r.name, r.path, r.permission)).collect()
}

/// The whole API with its gate.
pub fn router(shared: Shared) -> Router {
    let app = App::new(shared);
    let mut router = Router::new();
    for route in table() {
        debug_assert!(route.permission != Act || route.method != MethodFilter::GET, "no change by GET");
        let state = Gate { app: app.clone(), permission: route.permission };
        router = router.route(route.path, route.handler.layer(from_fn_with_state(state, gate)));
    }
    router
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn(finish))
        .with_state(app)
}

async fn no_such_route() -> Response {
    ApiError::not_found(Text::new("api.no_route")).into_response()
}

async fn no_such_method() -> Response {
    ApiError::method().into_response()
}
