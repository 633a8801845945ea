//! Lines that a running Wellkept takes: through every door, searched, followed live, over restarts and kills.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "this is test code")]

mod common;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use common::{Home, Tiny, Up, encode, free_address, now_ms, query_at, run, seconds, wait_for, wellkept};
use serde_json::{Value, json};

fn append(path: &Path, text: &[u8]) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text).unwrap();
}

/// Texts of all lines that fit, oldest first.
fn texts(up: &Up, query: &str) -> Vec<String> {
    found(up, query).iter().map(|l| l["text"].as_str().unwrap().to_owned()).collect()
}

fn found(up: &Up, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let asked = encode(&[
            ("query", query),
            ("limit", "5000"),
            ("direction", "forward"),
            ("start", "1000000000"),
            ("cursor", &cursor),
        ]);
        let answer = up.call("GET", format!("/api/v1/logs/search?{asked}")).send();
        assert_eq!(answer.status, 200, "{}", answer.text);
        let data = &answer.json["data"];
        assert!(data["stopped"].is_null(), "{data}");
        all.extend(data["lines"].as_array().unwrap().iter().cloned());
        match data["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return all,
        }
    }
}

fn wait_texts(up: &Up, query: &str, wanted: &[&str]) {
    wait_for(&format!("{query} finds {wanted:?}"), || (texts(up, query) == wanted).then_some(()));
}

fn push(up: &Up, service: &str, lines: &[&str]) -> u16 {
    let at = now_ms() as i128 * 1_000_000;
    let values: Vec<Value> = lines.iter().zip(0..).map(|(l, i)| json!([(at + i).to_string(), l])).collect();
    let body = json!({"streams": [{"stream": {"service": service}, "values": values}]});
    up.call("POST", "/loki/api/v1/push").json(&body).send().status
}

#[test]
fn every_door_brings_lines_that_are_found_again() {
    let home = Home::new();
    let (udp, tcp) = (free_address(), free_address());
    let log = home.path("app.log");
    let keep = home.keep(format!(
        "logs: {{ files: [{{ path: {}, service: shop }}], journal: false, containers: false,\n  syslog: {{ udp: '{udp}', tcp: '{tcp}' }} }}\n",
        log.display()
    ));
    append(&log, b"before we came\n");
    let up = Up::start(&home, Some(&keep));
    append(&log, b"Traceback (most recent call last):\n  File \"x.py\", line 1\nValueError: bad\nnext\n");
    wait_texts(
        &up,
        r#"{service="shop"}"#,
        &[
            "before we came",
            "Traceback (most recent call last):\n  File \"x.py\", line 1\nValueError: bad",
            "next",
        ],
    );

    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .send_to(b"<11>Nov 21 12:00:00 web1 sshd[12]: over udp", udp)
        .unwrap();
    let mut stream = TcpStream::connect(tcp).unwrap();
    let message = "<165>1 2026-11-21T12:00:00Z web1 cron 7 ID1 - over tcp";
    stream.write_all(format!("{} {message}", message.len()).as_bytes()).unwrap();
    wait_texts(&up, r#"{service="sshd"} | level="error""#, &["over udp"]);
    wait_texts(&up, r#"{service="cron"}"#, &["over tcp"]);

    assert_eq!(push(&up, "loki", &["level=warn msg=slow"]), 204);
    assert_eq!(texts(&up, r#"{service="loki"} | logfmt | msg="slow""#), ["level=warn msg=slow"]);

    let bulk = "{\"create\":{\"_index\":\"beats\"}}\n{\"message\":\"from a beat\"}\n";
    let answer = up
        .call("POST", "/elasticsearch/_bulk")
        .header("content-type", "application/x-ndjson")
        .body(bulk)
        .send();
    assert_eq!((answer.status, answer.json["errors"].as_bool()), (200, Some(false)), "{}", answer.text);
    assert_eq!(answer.headers["x-elastic-product"], "Elasticsearch");
    assert_eq!(texts(&up, r#"{index="beats"}"#), ["from a beat"]);
    assert!(up.call("GET", "/elasticsearch/").send().json["version"]["number"].is_string());

    let otlp = json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "otel"}}]},
        "scopeLogs": [{"logRecords": [{"severityNumber": 17, "body": {"stringValue": "from a collector"}}]}],
    }]});
    assert_eq!(up.call("POST", "/api/v1/otlp/v1/logs").json(&otlp).send().status, 200);
    assert_eq!(texts(&up, r#"{service="otel", level="error"}"#), ["from a collector"]);
}

#[test]
fn a_restart_loses_and_doubles_nothing_and_a_reload_adds_files() {
    let home = Home::new();
    let (one, two) = (home.path("one.log"), home.path("two.log"));
    let keep = |paths: &str| {
        home.keep(format!(
            "logs: {{ files: [{{ path: [{paths}], service: s }}], journal: false, containers: false }}\n"
        ))
    };
    let file = keep(&one.display().to_string());
    let mut sent: Vec<String> = Vec::new();
    let mut write = |path: &Path, n: usize| {
        let first = sent.len();
        for i in first..first + n {
            sent.push(format!("line {i}"));
            append(path, format!("line {i}\n").as_bytes());
        }
        sent.clone()
    };
    write(&one, 500);
    let up = Up::start(&home, Some(&file));
    wait_for("all lines", || (texts(&up, "{}").len() == 500).then_some(()));
    let templates = || {
        let found = found(&up, "{}");
        found.iter().map(|l| l["template"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let template = templates();
    assert_eq!(template.len(), 1);
    up.kill();
    // A rotation while nobody looks.
    write(&one, 100);
    std::fs::rename(&one, home.path("one.log.1")).unwrap();
    write(&one, 100);
    let up = Up::start(&home, Some(&file));
    wait_for("lines of both files", || (texts(&up, "{}").len() >= 700).then_some(()));
    assert_eq!(up.terminate(), Some(0));

    let up = Up::start(&home, Some(&file));
    keep(&format!("{}, {}", one.display(), two.display()));
    let all = write(&two, 10);
    up.hang_up();
    wait_for("lines of the new file", || (texts(&up, "{}").len() >= all.len()).then_some(()));
    let mut got = texts(&up, "{}");
    got.sort();
    let mut wanted = all;
    wanted.sort();
    assert_eq!(got, wanted, "each line once");
    let after: BTreeSet<_> =
        found(&up, "{}").iter().map(|l| l["template"].as_str().unwrap().to_owned()).collect();
    assert_eq!(after, template, "the template kept its id");
}

#[test]
fn no_acknowledged_line_is_lost_by_kill_9() {
    let home = Home::new();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..3 {
        let up = Up::store(&home, None);
        let stop = Arc::new(AtomicBool::new(false));
        let address = up.address;
        let flag = Arc::clone(&stop);
        let sender = std::thread::spawn(move || {
            let mut taken = Vec::new();
            for i in 0.. {
                if flag.load(Ordering::Relaxed) {
                    break;
                }
                let lines: Vec<String> =
                    (0..50).map(|n| format!("round {round} request {i} line {n} took {n} ms")).collect();
                let at = now_ms() as i128 * 1_000_000;
                let values: Vec<Value> = lines.iter().map(|l| json!([at.to_string(), l])).collect();
                let body = json!({"streams": [{"stream": {"service": "s"}, "values": values}]});
                let call = common::Call::new(address, "POST", "/loki/api/v1/push").json(&body);
                match call.try_send() {
                    Some(answer) if answer.status == 204 => taken.extend(lines),
                    _ => break,
                }
            }
            taken
        });
        let wanted = acknowledged.len() + 500;
        wait_for("some hundred lines", || (texts(&up, "{}").len() >= wanted).then_some(()));
        up.kill();
        stop.store(true, Ordering::Relaxed);
        acknowledged.extend(sender.join().unwrap());
    }
    let up = Up::store(&home, None);
    let there: BTreeSet<String> = texts(&up, "{}").into_iter().collect();
    let missing: Vec<_> = acknowledged.iter().filter(|l| !there.contains(*l)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} are missing: {:?}",
        missing.len(),
        acknowledged.len(),
        missing.first()
    );
}

#[test]
fn a_live_tail_gives_what_fits_as_it_comes() {
    let home = Home::new();
    let up = Up::store(&home, None);
    let mut stream = TcpStream::connect(up.address).unwrap();
    let asked = encode(&[("query", r#"{service="a"} |= "wanted""#)]);
    write!(stream, "GET /api/v1/logs/tail?{asked} HTTP/1.1\r\nhost: {}\r\n\r\n", up.address).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0);
    }
    assert!(head.contains("text/event-stream"), "{head}");
    let began = Instant::now();
    assert_eq!(push(&up, "a", &["not this", "wanted one"]), 204);
    assert_eq!(push(&up, "b", &["wanted by another"]), 204);
    let mut data = String::new();
    while !data.contains("wanted one") {
        data.clear();
        assert!(reader.read_line(&mut data).unwrap() > 0);
        assert!(!data.contains("not this"), "{data}");
    }
    println!("from sending to the event: {:?}", began.elapsed());
    let line: Value = serde_json::from_str(data.trim_start_matches("data:").trim()).unwrap();
    assert_eq!((&line["labels"]["service"], &line["lossy"]), (&json!("a"), &json!(false)));
}

#[test]
fn patterns_counts_facets_context_and_loki_s_reading_agree() {
    let home = Home::new();
    let up = Up::store(&home, None);
    let lines: Vec<String> = (0..40).map(|i| format!("user {i} took {} ms", i * 7)).collect();
    let borrowed: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(push(&up, "a", &borrowed), 204);
    assert_eq!(push(&up, "b", &["something else"]), 204);
    let get = |path: &str, pairs: &[(&str, &str)]| {
        let answer = up.call("GET", format!("{path}?{}", encode(pairs))).send();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json["data"].clone()
    };
    let patterns = get("/api/v1/logs/patterns", &[]);
    let first = &patterns["patterns"][0];
    assert_eq!((&first["text"], &first["count"]), (&json!("user <*> took <*> ms"), &json!(40)));
    assert_eq!(first["trend"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 40);
    let template = first["template"].as_str().unwrap();
    let by_template = format!("{{template=\"{template}\"}}");
    assert_eq!(texts(&up, &by_template).len(), 40);

    let facets = get("/api/v1/logs/facets", &[("names", "service")]);
    assert_eq!(facets["facets"][0]["values"], json!([["a", 40], ["b", 1]]));
    let bars = get("/api/v1/logs/histogram", &[("query", r#"{service="a"}"#), ("bars", "10")]);
    let sum: u64 = bars["bars"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|b| b.as_array().unwrap())
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(sum, 40);

    let middle = &found(&up, r#"{service="a"} |= "user 20 ""#)[0];
    let context = get(
        "/api/v1/logs/context",
        &[
            ("at_ns", middle["at_ns"].as_str().unwrap()),
            ("labels", &middle["labels"].to_string()),
            ("text", middle["text"].as_str().unwrap()),
            ("before", "1"),
            ("after", "2"),
        ],
    );
    let side = |name: &str| {
        context[name]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| l["text"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!((side("before"), side("after")), (vec![lines[19].clone()], lines[21..23].to_vec()));

    let streams = get("/loki/api/v1/query_range", &[("query", r#"{service="b"}"#)]);
    assert_eq!(streams["result"][0]["values"][0][1], "something else");
    let counted = get("/loki/api/v1/query", &[("query", r#"sum(count_over_time({service=~"a|b"}[5m]))"#)]);
    assert_eq!((&counted["result"][0]["value"][1], &counted["stopped"]), (&json!("41"), &Value::Null));
    let well = get("/loki/api/v1/query", &[("query", "vector(1)+vector(1)")]);
    assert_eq!(well["result"][0]["value"][1], "2");
    assert_eq!(get("/loki/api/v1/label/service/values", &[]), json!(["a", "b"]));
    assert_eq!(get("/loki/api/v1/series", &[("match[]", r#"{service="a"}"#)]).as_array().unwrap().len(), 1);

    let refused =
        up.call("GET", format!("/api/v1/logs/search?{}", encode(&[("query", "{service=a}")]))).send();
    assert!(refused.status == 400 && refused.text.contains("at byte 9"), "{}", refused.text);

    // The counts are series, too.
    wait_for("log_lines_total", || {
        let query = format!("sum(log_lines_total{{template=\"{template}\"}})");
        let value = query_at(up.address, &query, &seconds(now_ms()));
        (value["result"][0]["value"][1] == "40").then_some(())
    });
}

#[test]
fn harmless_is_an_act_and_the_command_line_tells_it() {
    let home = Home::new();
    let up = Up::store(&home, None);
    assert_eq!(push(&up, "a", &["this is harmless"]), 204);
    let template = found(&up, "{}")[0]["template"].as_str().unwrap().to_owned();
    let body = json!({"template": template, "kind": "new_template", "harmless": true});
    assert_eq!(up.call("POST", "/api/v1/logs/harmless").json(&body).send().status, 401);
    let address = up.address.to_string();
    let data = up.data.display().to_string();
    let ask = |args: &[&str]| {
        run(wellkept().arg("logs").args(args).args(["--address", &address, "--data-dir", &data]))
    };
    let marked = ask(&["harmless", "--template", &template]);
    assert_eq!(marked.code, Some(0), "{}", marked.err);
    let listed = ask(&["harmless"]);
    assert!(listed.out.contains("this is harmless"), "{}", listed.out);
    let searched = ask(&["search", "{service=\"a\"}", "--output", "json"]);
    let line: Value = serde_json::from_str(searched.out.trim()).unwrap();
    assert_eq!(line["text"], "this is harmless");
    assert_eq!(ask(&["search", "{service=\"none\"}"]).code, Some(1));
    assert!(ask(&["patterns"]).out.contains("this is harmless"));
    assert_eq!(ask(&["harmless", "--template", &template, "--undo"]).code, Some(0));
    assert!(up.terminate() == Some(0));
    let up = Up::store(&home, None);
    let marks = up.call("GET", "/api/v1/logs/harmless").send();
    assert_eq!(marks.json["data"]["harmless"], json!([]));
}

#[test]
fn hostile_lines_harm_nobody_and_are_shown_escaped() {
    let home = Home::new();
    let log = home.path("evil.log");
    let keep = home.keep(format!(
        "logs: {{ files: [{{ path: {}, service: evil }}], journal: false, containers: false }}\n",
        log.display()
    ));
    let up = Up::start(&home, Some(&keep));
    append(&log, b"nul \0 esc \x1b[31m bad \xff\xfe rtl \xe2\x80\xae end\n");
    append(&log, &[&b"long "[..], &vec![b'x'; 10 << 20], b"\n"].concat());
    append(&log, b"2099-01-01T00:00:00Z from the future\nlast\n");
    wait_for("the last line", || texts(&up, "{}").contains(&"last".to_owned()).then_some(()));
    let future = &found(&up, r#"{} |= "future""#)[0];
    assert!(future["at_ns"].as_str().unwrap().parse::<i128>().unwrap() <= now_ms() as i128 * 1_000_000);
    let evil = &found(&up, r#"{} |= "nul""#)[0];
    assert_eq!(evil["lossy"], true);
    let address = up.address.to_string();
    let shown = run(wellkept().args(["logs", "search", "{} |= \"nul\"", "--address", &address]));
    assert!(shown.out.contains("\\u{1b}[31m") && shown.out.contains("\\u{202e}"), "{}", shown.out);
    assert!(!shown.out.contains('\x1b') && !shown.out.contains('\0'));
    let long: usize = texts(&up, r#"{} |= "xxxx""#).iter().map(String::len).sum();
    assert!(long >= 10 << 20, "{long} bytes of the long line");
}

#[test]
fn a_mistake_about_logs_is_told_before_anything_begins() {
    let home = Home::new();
    for (text, told) in [
        ("logs: { files: [{ path: /a, multiline: '(' }] }", "logs.files: file source 1"),
        ("logs: { syslog: { tls: { listen: '127.0.0.1:0', certificate: /none, key: /none } } }", "/none"),
        ("logs: { fils: [] }", "did you mean `files`"),
    ] {
        let keep = home.keep(text);
        let ended = run(wellkept()
            .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(home.data())
            .arg("--keep")
            .arg(keep));
        assert_eq!(ended.code, Some(2), "{text}: {} {}", ended.out, ended.err);
        assert!(ended.err.contains(told), "{text}: {}", ended.err);
    }
}

#[test]
fn a_file_that_shrinks_is_followed_on() {
    let home = Home::new();
    let log = home.path("a.log");
    let keep = home.keep(format!(
        "logs: {{ files: [{{ path: {}, service: s }}], journal: false, containers: false }}\n",
        log.display()
    ));
    append(&log, b"one\ntwo\n");
    let up = Up::start(&home, Some(&keep));
    wait_texts(&up, "{}", &["one", "two"]);
    std::fs::write(&log, b"three\n").unwrap();
    wait_texts(&up, "{}", &["one", "two", "three"]);
    let mut content = String::new();
    std::fs::File::open(&log).unwrap().read_to_string(&mut content).unwrap();
    assert_eq!(content, "three\n", "a tail never writes");
}

/// A program that ends with the test.
struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_rsyslog_brings_its_lines_by_syslog_and_by_bulk() {
    let home = Home::new();
    let tcp = free_address();
    let keep = home.keep(format!(
        "logs: {{ files: [], journal: false, containers: false, syslog: {{ tcp: '{tcp}' }} }}\n"
    ));
    let up = Up::start(&home, Some(&keep));
    let input = home.path("in.log");
    append(&input, b"");
    let has_bulk = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]
        .iter()
        .any(|lib| Path::new(lib).join("rsyslog/omelasticsearch.so").exists());
    let mut config = format!(
        r#"global(workDirectory="{work}")
module(load="imfile")
input(type="imfile" File="{input}" Tag="shipped:")
action(type="omfwd" target="{host}" port="{port}" protocol="tcp" tcp_framing="octet-counted"
  template="RSYSLOG_SyslogProtocol23Format")
"#,
        work = home.path("").display(),
        input = input.display(),
        host = tcp.ip(),
        port = tcp.port(),
    );
    if has_bulk {
        config += &format!(
            r#"module(load="omelasticsearch")
template(name="es" type="list" option.json="on") {{
  constant(value="{{\"message\":\"") property(name="msg") constant(value="\",\"@timestamp\":\"")
  property(name="timereported" dateFormat="rfc3339") constant(value="\"}}") }}
action(type="omelasticsearch" server="{host}" serverport="{port}" bulkmode="on" searchIndex="bulked"
  template="es" usehttps="off")
"#,
            host = up.address.ip(),
            port = up.address.port(),
        );
    }
    let file = home.path("rsyslog.conf");
    std::fs::write(&file, config).unwrap();
    let log = std::fs::File::create(home.path("rsyslog.err")).unwrap();
    let started = std::process::Command::new("rsyslogd")
        .args(["-n", "-f"])
        .arg(&file)
        .arg("-i")
        .arg(home.path("rsyslog.pid"))
        .stderr(log)
        .spawn();
    let Ok(child) = started else { return common::skipped("rsyslogd is not installed") };
    let _rsyslog = Ends(child);
    append(&input, b"a line through rsyslog\n");
    wait_texts(&up, r#"{service="shipped"}"#, &["a line through rsyslog"]);
    if has_bulk {
        wait_texts(&up, r#"{index="bulked"}"#, &["a line through rsyslog"]);
    } else {
        common::skipped("rsyslog's omelasticsearch is not installed");
    }
}

#[test]
fn an_incident_tells_what_its_lines_say_and_knows_its_like() {
    let home = Home::new();
    let (first, other_home) = (Tiny::new(&home), Home::new());
    let second = Tiny::new(&other_home);
    let logs: Vec<Value> = ["one", "two"]
        .iter()
        .map(|name| json!({"path": home.path(&format!("{name}.log")), "service": name}))
        .collect();
    let keep = json!({
        "services": {"one": first.declared(&["restart"]), "two": second.declared(&["restart"])},
        "automation": {"mode": "act", "attempts": "20 per target per hour", "verify_hold": "1s"},
        "logs": {"files": logs, "journal": false, "containers": false},
    });
    let keep = home.keep(keep.to_string());
    first.start();
    second.start();
    let up = Up::start(&home, Some(&keep));
    let well = |name: &str| {
        wait_for("it is well", || {
            let seen = up.service(name);
            (seen["state"] == "running" && seen["healthy"] == 1).then_some(())
        });
    };
    well("one");
    well("two");
    let speak = |name: &str| {
        let log = home.path(&format!("{name}.log"));
        for i in 0..5 {
            append(&log, format!("INFO request {i} served\n").as_bytes());
            append(&log, format!("ERROR quota of tenant {i} exceeded, ledger refuses writes\n").as_bytes());
        }
        append(&log, "ERROR 磁盘配额已用尽，无法写入账本\n".as_bytes());
    };
    let resolved = |name: &str| {
        let (incident, _) = wait_for("it is resolved", || {
            up.incidents_of(name).into_iter().find(|i| i["status"] == "resolved")
        });
        incident["id"].as_str().map_or_else(|| incident["id"].to_string(), str::to_owned)
    };
    speak("one");
    first.signal(rustix::process::Signal::KILL);
    let before = resolved("one");
    // What is over is remembered within some seconds.
    let stories = up.data.join("logstore/stories").join(&before);
    wait_for("the first is remembered", || stories.exists().then_some(()));
    speak("two");
    second.signal(rustix::process::Signal::KILL);
    let id = resolved("two");
    assert_ne!(id, before);
    let told = up.get(&format!("/api/v1/incidents/{id}/logs"))["data"].clone();
    let summary: Vec<&str> =
        told["summary"].as_array().unwrap().iter().map(|l| l["text"].as_str().unwrap()).collect();
    assert!(summary.iter().any(|l| l.contains("ledger refuses writes")), "{told}");
    assert!(!summary.iter().any(|l| l.contains("served")), "only what is grave: {told}");
    let line =
        told["summary"].as_array().unwrap().iter().find(|l| l["text"].as_str().unwrap().contains("ledger"));
    assert_eq!(line.unwrap()["count"], 5);
    let terms: Vec<&str> =
        told["terms"].as_array().unwrap().iter().map(|t| t["term"].as_str().unwrap()).collect();
    assert!(terms.iter().any(|t| t.contains("ledger")), "{terms:?}");
    assert!(terms.iter().any(|t| t.contains("配额") || t.contains("账本")), "{terms:?}");
    assert_eq!(told["past"][0]["id"].as_str().unwrap(), before, "{told}");
    assert!(told["past"][0]["causes"].as_array().unwrap().len() == 1, "{told}");
    let said = up.cli(&["why", &id]);
    assert!(said.out.contains("ledger refuses writes"), "{}", said.out);
}
