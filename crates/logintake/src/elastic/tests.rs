//! Bodies as the shippers send them.

use wellkept_model::Level;

use super::*;
use crate::testing::Kept;

fn decode(body: &str) -> (Result<Bulk, DecodeError>, Kept) {
    let mut kept = Kept::default();
    let limits = Limits { lines: 20, ..Limits::default() };
    let bulk = Decoder::new(limits).decode(None, body.as_bytes(), &Kept::ARRIVAL, &mut kept);
    (bulk, kept)
}

const THEN: i64 = 1_704_164_645_000_000_000;

#[test]
fn a_body_of_filebeat() {
    let (bulk, kept) = decode(concat!(
        r#"{"create":{"_index":"filebeat-8.17.0"}}"#,
        "\n",
        r#"{"@timestamp":"2024-01-02T03:04:05.000Z","log":{"offset":12,"file":{"path":"/var/log/app.log"},"level":"error"},"message":"no \"stock\"","host":{"name":"web-1"},"agent":{"type":"filebeat"}}"#,
        "\n"
    ));
    let bulk = bulk.unwrap();
    let line = &kept.lines[0];
    assert_eq!(
        line.labels.to_string(),
        r#"{filename="/var/log/app.log", host="web-1", index="filebeat-8.17.0"}"#
    );
    assert_eq!(
        (line.at_ns, line.level, kept.texts()),
        (THEN, Some(Level::Error), vec!["no \"stock\"".to_owned()])
    );
    assert_eq!(line.fields(), [("log.offset", "12"), ("log.level", "error"), ("agent.type", "filebeat")]);
    let answer: serde_json::Value = serde_json::from_str(&bulk.answer).unwrap();
    assert_eq!(answer["errors"], false);
    let item = &answer["items"][0]["create"];
    assert_eq!((&item["status"], &item["_index"]), (&201.into(), &"filebeat-8.17.0".into()));
    assert!(item["_id"].is_string());
}

#[test]
fn bodies_of_fluent_bit_vector_and_logstash() {
    let (bulk, kept) = decode(concat!(
        "{\"index\":{\"_index\":\"fluent-bit\",\"_type\":\"_doc\"}}\r\n",
        "{\"@timestamp\":\"2024-01-02T03:04:05Z\",\"log\":\"a\",\"stream\":\"stderr\",\"kubernetes\":{\"pod_name\":\"p-1\",\"namespace_name\":\"n\"}}\r\n",
        "{\"create\":{\"_index\":\"vector-2024.01.02\",\"_id\":\"x1\"}}\n",
        "{\"timestamp\":\"2024-01-02T03:04:05Z\",\"message\":\"b\",\"host\":\"web-1\",\"source_type\":\"file\"}\n",
        "{\"index\":{}}\n",
        "{\"@timestamp\":1704164645000,\"event\":{\"original\":\"WARN c\"},\"@version\":\"1\"}\n\n"
    ));
    let bulk = bulk.unwrap();
    assert_eq!((bulk.tally.accepted, kept.texts()), (3, vec!["a".into(), "b".into(), "WARN c".into()]));
    assert!(kept.lines.iter().all(|l| l.at_ns == THEN));
    let labels = kept.lines[0].labels.to_string();
    assert_eq!(labels, r#"{index="fluent-bit", namespace="n", pod="p-1", stream="stderr"}"#);
    assert_eq!(kept.lines[1].labels.get("host"), "web-1");
    assert_eq!((kept.lines[2].labels.get("index"), kept.lines[2].level), ("logs", Some(Level::Warning)));
    assert!(bulk.answer.contains(r#""_id":"x1""#));
}

#[test]
fn a_document_without_a_message_is_its_own_text() {
    let document = r#"{"user":"bob","action":"login","severity":"NOTICE"}"#;
    let (bulk, kept) = decode(&format!("{{\"index\":{{}}}}\n{document}\n"));
    assert_eq!(bulk.unwrap().tally.accepted, 1);
    assert_eq!((kept.texts(), kept.lines[0].level), (vec![document.to_owned()], Some(Level::Notice)));
}

#[test]
fn each_entry_is_answered_for_itself() {
    let (bulk, kept) = decode(concat!(
        "{\"index\":{}}\n{\"message\":\"a\"}\n",
        "{\"delete\":{\"_id\":\"1\"}}\n",
        "{\"update\":{\"_id\":\"2\"}}\n{\"doc\":{}}\n",
        "{\"index\":{}}\nno json\n",
        "{\"index\":{}}\n{\"message\":\"b\"}"
    ));
    let bulk = bulk.unwrap();
    assert_eq!((bulk.tally.accepted, bulk.tally.refused), (2, 3));
    assert_eq!(kept.texts(), ["a", "b"]);
    let answer: serde_json::Value = serde_json::from_str(&bulk.answer).unwrap();
    assert_eq!(answer["errors"], true);
    let verbs = ["index", "delete", "update", "index", "index"];
    let statuses: Vec<_> =
        verbs.iter().enumerate().map(|(i, v)| answer["items"][i][v]["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 400, 400, 400, 201]);
    assert_eq!(answer["items"][3]["index"]["error"]["type"], "document");
}

#[test]
fn bodies_that_are_no_bulk_are_errors_with_their_line() {
    for (body, message) in [
        ("x\n", "line 1: expected an action such as {\"create\":{}}"),
        ("{\"index\":{}}\n{}\n{\"index\":1}\n", "line 3: expected an action such as {\"create\":{}}"),
        ("{\"index\":{}}\n", "line 1: an action without its document"),
    ] {
        let wrong = decode(body).0.unwrap_err();
        assert_eq!((wrong.to_string(), wrong.status()), (message.to_owned(), 400));
        let told: serde_json::Value = serde_json::from_str(&error(&wrong)).unwrap();
        assert_eq!(told["error"]["reason"], message);
    }
    let many = "{\"delete\":{}}\n".repeat(21);
    assert_eq!(decode(&many).0, Err(DecodeError::TooManyLines { limit: 20 }));
    assert_eq!(decode("").0.unwrap().answer, r#"{"took":0,"errors":false,"items":[]}"#);
}

#[test]
fn what_a_sender_names_cannot_break_the_answer() {
    let (bulk, _) = decode("{\"x\\\"},\":{\"_index\":\"\\\"]}\",\"_id\":\"\\n\"}}\n{}\n");
    let answer: serde_json::Value = serde_json::from_str(&bulk.unwrap().answer).unwrap();
    assert_eq!(answer["items"][0]["x\"},"]["_index"], "\"]}");
}
