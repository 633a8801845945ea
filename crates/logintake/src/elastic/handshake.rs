//! What shippers ask before they send: who is there, under which licence, and whether their templates are in place.
//!
//! The official clients refuse a server that does not name the product in a header, so every answer of this door carries
//! [`PRODUCT_HEADER`]. Templates, pipelines and policies are a store's own affair here: asked for, they are there;
//! sent, they are acknowledged and not used.

/// Name and value of the header that every answer of this door must carry.
pub const PRODUCT_HEADER: (&str, &str) = ("X-Elastic-Product", "Elasticsearch");

/// Media type of the answers.
pub const CONTENT_TYPE: &str = "application/json";

/// The version whose wire format is spoken. Shippers of version 7 and 8 accept it.
const VERSION: &str = "8.17.0";

/// An answer that does not depend on what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON body; not to be sent for `HEAD`.
    pub body: String,
}

/// Answers a request to `path` (without its query) that is not `_bulk`; nothing when this door does not know the path.
#[must_use]
pub fn answer(method: &str, path: &str) -> Option<Answer> {
    let mut parts = path.trim_matches('/').split('/');
    let first = parts.next().unwrap_or("");
    let reads = matches!(method, "GET" | "HEAD");
    let body = match first {
        "" if reads => root(),
        "_license" if reads => LICENCE.to_owned(),
        "_xpack" if reads => r#"{"license":{"type":"basic","mode":"basic","status":"active"},"features":{}}"#.to_owned(),
        "_cluster" if reads => r#"{"cluster_name":"wellkept","status":"green","timed_out":false,"number_of_nodes":1,"number_of_data_nodes":1,"active_shards":1,"unassigned_shards":0}"#.to_owned(),
        "_nodes" if reads => nodes(),
        "_index_template" | "_component_template" | "_template" | "_ilm" | "_ingest" | "_data_stream"
            if matches!(method, "GET" | "HEAD" | "PUT" | "POST") =>
        {
            r#"{"acknowledged":true}"#.to_owned()
        }
        _ => return None,
    };
    Some(Answer { status: 200, body })
}

const LICENCE: &str = r#"{"license":{"status":"active","uid":"00000000-0000-0000-0000-000000000000","type":"basic","mode":"basic","issued_to":"wellkept","issuer":"wellkept","max_nodes":1}}"#;

fn version() -> serde_json::Value {
    serde_json::json!({
        "number": VERSION,
        "build_flavor": "default",
        "build_type": "tar",
        "build_hash": "0000000000000000000000000000000000000000",
        "build_date": "2024-01-01T00:00:00.000000000Z",
        "build_snapshot": false,
        "lucene_version": "9.12.0",
        "minimum_wire_compatibility_version": "7.17.0",
        "minimum_index_compatibility_version": "7.0.0",
    })
}

fn root() -> String {
    serde_json::json!({
        "name": "wellkept",
        "cluster_name": "wellkept",
        "cluster_uuid": "d2VsbGtlcHQtbG9ncy0wMQ",
        "version": version(),
        "tagline": "You Know, for Search",
    })
    .to_string()
}

/// Logstash asks for the nodes' versions when it looks for neighbours.
fn nodes() -> String {
    serde_json::json!({
        "cluster_name": "wellkept",
        "nodes": { "wellkept": { "name": "wellkept", "version": VERSION, "roles": ["master", "data", "ingest"] } },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shippers_are_told_what_they_ask() {
        let body =
            |path| serde_json::from_str::<serde_json::Value>(&answer("GET", path).unwrap().body).unwrap();
        assert_eq!(body("/")["version"]["number"], "8.17.0");
        assert_eq!(body("/")["tagline"], "You Know, for Search");
        assert_eq!(body("/_license")["license"]["status"], "active");
        assert_eq!(body("/_cluster/health")["status"], "green");
        assert_eq!(body("/_nodes/http")["nodes"]["wellkept"]["version"], "8.17.0");
        assert_eq!(body("/_xpack")["license"]["type"], "basic");
        assert_eq!(answer("HEAD", "").unwrap().status, 200);
        assert_eq!(
            answer("PUT", "/_index_template/filebeat-8.17.0").unwrap().body,
            r#"{"acknowledged":true}"#
        );
    }

    #[test]
    fn other_paths_and_methods_are_not_known() {
        for (method, path) in
            [("GET", "/_search"), ("DELETE", "/"), ("DELETE", "/_index_template/x"), ("GET", "/logs/_doc/1")]
        {
            assert_eq!(answer(method, path), None, "{method} {path}");
        }
    }
}
