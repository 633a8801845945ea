//! Every route against every sort of caller.
#![allow(clippy::unwrap_used, reason = "this is test code, outside of test functions")]

mod common;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use common::*;
use wellkept_api::{Permission, routes};

/// Who knocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    NoToken,
    WrongToken,
    RightToken,
    OwnOrigin,
    ForeignOrigin,
    NullOrigin,
    CrossSite,
    ForeignHost,
    OtherLoopbackPort,
    NoHost,
    TwoHosts,
    FormBody,
}

use Caller::*;

const CALLERS: [Caller; 12] = [
    NoToken,
    WrongToken,
    RightToken,
    OwnOrigin,
    ForeignOrigin,
    NullOrigin,
    CrossSite,
    ForeignHost,
    OtherLoopbackPort,
    NoHost,
    TwoHosts,
    FormBody,
];

/// A path that the route's pattern matches.
fn example(path: &str) -> String {
    path.replace("{id}", "12")
        .replace("{*path}", "app-123.js")
        .replace("{file}", "favicon.svg")
        .replace("{name}", "job")
}

fn knock(method: &Method, path: &str, caller: Caller) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(example(path));
    let acts = method == Method::POST;
    request = match caller {
        NoHost => request,
        ForeignHost => request.header("host", "evil.example:7676"),
        OtherLoopbackPort => request.header("host", "localhost:9999"),
        TwoHosts => request.header("host", HOST).header("host", "evil.example"),
        _ => request.header("host", HOST),
    };
    request = match caller {
        NoToken => request,
        WrongToken => request.header("authorization", "Bearer wk_wrong_token"),
        _ => request.header("authorization", format!("Bearer {TOKEN}")),
    };
    request = match caller {
        OwnOrigin => {
            request.header("origin", format!("http://{HOST}")).header("sec-fetch-site", "same-origin")
        }
        ForeignOrigin => request.header("origin", "http://evil.example"),
        NullOrigin => request.header("origin", "null"),
        CrossSite => request.header("sec-fetch-site", "cross-site"),
        _ => request,
    };
    let body = if acts && caller == FormBody { "generation=1" } else { "" };
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(Body::from(body)).unwrap()
}

/// The gate's refusal; `None` when the request must get through it.
fn refusal(permission: Permission, caller: Caller) -> Option<u16> {
    let hosts = matches!(caller, ForeignHost | NoHost | TwoHosts);
    let exact = hosts || matches!(caller, OtherLoopbackPort | ForeignOrigin | NullOrigin | CrossSite);
    match permission {
        Permission::Public => None,
        Permission::Read => hosts.then_some(403),
        Permission::Private if hosts => Some(403),
        Permission::Private => matches!(caller, NoToken | WrongToken).then_some(401),
        Permission::Push => {
            (hosts || matches!(caller, ForeignOrigin | NullOrigin | CrossSite)).then_some(403)
        }
        Permission::Stream => exact.then_some(403),
        Permission::Act if exact => Some(403),
        Permission::Act if matches!(caller, NoToken | WrongToken) => Some(401),
        Permission::Act if caller == FormBody => Some(415),
        Permission::Act => None,
    }
}

#[tokio::test]
async fn every_route_lets_in_only_whom_its_permission_allows() {
    let mut world = World::new();
    let commands = world.engine();
    let router = world.router();
    let mut tried = 0;
    for (method, path, permission) in routes() {
        for caller in CALLERS {
            let before = commands.lock().unwrap().len();
            let response = send(&router, knock(&method, path, caller)).await;
            let status = response.status().as_u16();
            let case = format!("{method} {path} {permission:?} {caller:?} gave {status}");
            match refusal(permission, caller) {
                Some(expected) => {
                    assert_eq!(status, expected, "{case}");
                    assert_eq!(commands.lock().unwrap().len(), before, "{case}");
                    let (_, body) = answer(response).await;
                    assert_eq!(body["status"], "error", "{case}");
                    assert!(!body["error"].as_str().unwrap().is_empty(), "{case}");
                }
                None => assert!(![401, 403, 415].contains(&status), "{case}"),
            }
            tried += 1;
        }
    }
    assert!(tried >= 300, "{tried}");
}

#[tokio::test]
async fn an_act_with_the_token_reaches_the_engine() {
    let mut world = World::new();
    let commands = world.engine();
    let router = world.router();
    for (path, body, word) in [
        (
            "/api/v1/incidents/12/approve",
            r#"{"generation":2}"#,
            "Approve { incident: IncidentId(12), generation: 2",
        ),
        (
            "/api/v1/incidents/12/undo",
            r#"{"action":"12-1"}"#,
            "Undo { action: ActionId { incident: IncidentId(12), number: 1 }",
        ),
        ("/api/v1/incidents/12/escalate", "", "Escalate { incident: IncidentId(12)"),
        ("/api/v1/freeze", r#"{"reason":"storm"}"#, "Freeze { reason: \"storm\""),
        ("/api/v1/unfreeze", "", "Unfreeze"),
        ("/-/reload", "", "Reload"),
        (
            "/api/v1/changes",
            r#"{"kind":"setting","what":"/srv/x","who":"ann","before":"","after":""}"#,
            "RecordChange",
        ),
    ] {
        let (status, body) = answer(send(&router, act(path, body)).await).await;
        assert_eq!((status, &body["status"]), (StatusCode::OK, &"success".into()), "{path}: {body}");
        let last = commands.lock().unwrap().last().cloned().unwrap();
        assert!(last.starts_with(word) && last.contains("who: \"operator\""), "{path}: {last}");
    }
}

#[test]
fn nothing_is_changed_by_get() {
    for (method, path, permission) in routes() {
        assert!(permission != Permission::Act || method == Method::POST, "{method} {path}");
    }
}

#[test]
fn only_what_says_nothing_is_public_and_events_are_a_stream() {
    let with = |wanted: Permission| {
        let chosen = routes().into_iter().filter(move |(_, _, permission)| *permission == wanted);
        chosen.map(|(_, path, _)| path).collect::<Vec<_>>()
    };
    let files = [
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
        "/assets/{*path}",
        "/{file}",
    ];
    assert_eq!(with(Permission::Public), [&files[..], &["/-/healthy", "/-/ready"]].concat());
    assert_eq!(with(Permission::Private), ["/api/v1/fleet/runs/{id}"]);
    assert_eq!(with(Permission::Stream), ["/api/v1/events", "/api/v1/logs/tail"]);
    let pushes = [
        "/api/v1/write",
        "/api/v1/import/prometheus",
        "/api/v1/otlp/v1/metrics",
        "/write",
        "/api/v2/write",
        "/api/v1/admin/flush",
    ];
    let of_logs = [
        "/api/v1/otlp/v1/logs",
        "/loki/api/v1/push",
        "/_bulk",
        "/elasticsearch/{*path}",
        "/elasticsearch/{*path}",
    ];
    assert_eq!(with(Permission::Push), [&of_logs[..], &pushes].concat());
    for (method, path, permission) in routes() {
        let queries = [
            "/api/v1/query",
            "/api/v1/query_range",
            "/api/v1/series",
            "/api/v1/labels",
            "/api/v1/query_exemplars",
            "/api/v1/format_query",
            "/api/v1/parse_query",
            "/loki/api/v1/query",
            "/loki/api/v1/query_range",
            "/loki/api/v1/series",
            "/api/v1/logs/context",
        ];
        if method == Method::POST && !queries.contains(&path) {
            assert!(matches!(permission, Permission::Act | Permission::Push), "{path}");
        }
    }
}

#[tokio::test]
async fn reading_can_be_made_to_need_the_token() {
    let mut world = World::new();
    world.shared.reading_needs_token = true;
    let router = world.router();
    for (method, path, permission) in routes() {
        let status = send(&router, knock(&method, path, NoToken)).await.status().as_u16();
        let expected = permission != Permission::Public;
        assert_eq!(status == 401, expected, "{method} {path} gave {status}");
    }
    let status = send(&router, knock(&Method::GET, "/api/v1/overview", RightToken)).await.status();
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let world = World::new();
    let router = world.router();
    for path in [
        "/",
        "/assets/app-123.js",
        "/api/v1/overview",
        "/api/v1/nothing",
        "/nothing",
        "/api/v1/freeze",
        "/-/healthy",
    ] {
        let response = send(&router, request("GET", path).body(Body::empty()).unwrap()).await;
        let header =
            |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap()).unwrap_or_default();
        let csp = header("content-security-policy");
        assert!(csp.starts_with("default-src 'none'; script-src 'self';"), "{path}: {csp}");
        assert!(csp.ends_with("frame-ancestors 'none'") && !csp.contains("unsafe"), "{path}: {csp}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert!(!header("cache-control").is_empty(), "{path}");
        assert_eq!(header("access-control-allow-origin"), "", "{path}");
    }
}

#[tokio::test]
async fn a_request_in_absolute_form_must_name_one_host_only() {
    let router = World::new().router();
    let knock = |uri: &str| Request::get(uri).header("host", HOST).body(Body::empty()).unwrap();
    assert_eq!(send(&router, knock("http://127.0.0.1:7676/metrics")).await.status(), StatusCode::OK);
    assert_eq!(send(&router, knock("http://evil.example/metrics")).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    let router = World::new().router();
    send(&router, knock(&Method::POST, "/-/reload", NoToken)).await;
    send(&router, knock(&Method::GET, "/metrics", ForeignHost)).await;
    let metrics = text(send(&router, knock(&Method::GET, "/metrics", NoToken)).await).await;
    assert!(metrics.starts_with("wellkept_up 1\n"), "{metrics}");
    assert!(metrics.contains("wellkept_api_refused_total{reason=\"token\"} 1\n"), "{metrics}");
    assert!(metrics.contains("wellkept_api_refused_total{reason=\"host\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn files_outside_the_console_cannot_be_asked_for() {
    let router = World::new().router();
    for path in [
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/..%2fetc%2fpasswd",
        "/assets//etc/passwd",
        "/token",
    ] {
        let (status, _) = get(&router, path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_console_is_served_for_its_deep_links_and_kept_by_its_tag() {
    let router = World::new().router();
    for path in ["/", "/host", "/incidents", "/incidents/12"] {
        let response = send(&router, request("GET", path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()["cache-control"], "no-cache", "{path}");
        assert_eq!(text(response).await, "<!doctype html>", "{path}");
    }
    let response = send(&router, request("GET", "/assets/app-123.js").body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()["cache-control"], "public, max-age=31536000, immutable");
    let again = request("GET", "/").header("if-none-match", "W/\"x\", \"i1\"").body(Body::empty()).unwrap();
    assert_eq!(send(&router, again).await.status(), StatusCode::NOT_MODIFIED);
}
