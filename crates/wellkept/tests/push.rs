//! Samples that are pushed, by every protocol: asked for again they are what was sent, and nobody else pays for one
//! bad sender.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::wire::{gzip, one, otlp_json, otlp_protobuf, remote_write, remote_write_of};
use common::{
    Answer, Call, Home, Mounted, Reply, Server, Site, Up, free_address, now_ms, query_at, rows, seconds,
    skipped,
};
use common::{query_value, wait_for};
use serde_json::{Value, json};
use wellkept_intake::remote_write::{OutgoingSeries, Version};
use wellkept_model::{Exemplar, Histogram, HistogramSample, Labels, Metadata, MetricKind, Span, TimestampMs};

#[track_caller]
fn taken(answer: &Answer) {
    assert!(matches!(answer.status, 200 | 204), "{}: {}", answer.status, answer.text);
}

/// What the store says a selector has at an instant, `None` when nothing or more than one series.
fn value(up: &Up, selector: &str, at: i64) -> Option<String> {
    query_value(up.address, selector, &seconds(at))
}

/// Every sample of one series in the hour before `at`.
fn samples(up: &Up, selector: &str, at: i64) -> Vec<(i64, String)> {
    let data = query_at(up.address, &format!("{selector}[1h]"), &seconds(at));
    let values = data["result"][0]["values"].as_array().cloned().unwrap_or_default();
    let ms = |v: &serde_json::Value| (v.as_f64().unwrap() * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this century")]
    values.iter().map(|v| (ms(&v[0]) as i64, v[1].as_str().unwrap().to_owned())).collect()
}

#[test]
fn remote_write_of_both_versions_comes_back_as_it_was_sent() {
    let home = Home::new();
    let up = Up::store(&home, None);
    let now = now_ms();
    for (version, name) in [(Version::V1, "one"), (Version::V2, "two")] {
        let floats: Vec<(i64, f64)> = [0.1, -0.0, 1e300, f64::INFINITY, 5e-324]
            .iter()
            .zip(0..)
            .map(|(v, i)| (now - 9000 + i, *v))
            .collect();
        let labels = Labels::metric(name, [("job", "shop"), ("path", "/a \"b\"\n\\ é")]);
        taken(&remote_write(up.call("POST", "/api/v1/write"), version, &[(labels, floats.clone())]).send());
        let sent: Vec<(i64, f64)> = floats;
        let read: Vec<(i64, f64)> = samples(&up, name, now)
            .into_iter()
            .map(|(at, text)| (at, text.replace("+Inf", "inf").parse().unwrap()))
            .collect();
        let bits = |all: &[(i64, f64)]| all.iter().map(|(at, v)| (*at, v.to_bits())).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&sent), "{name}");
        let found = query_at(up.address, name, &seconds(now));
        assert_eq!(found["result"][0]["metric"]["path"], "/a \"b\"\n\\ é");
    }
}

#[test]
fn histograms_exemplars_and_metadata_come_beside_floats() {
    let home = Home::new();
    let up = Up::store(&home, None);
    let at = TimestampMs(now_ms() - 1000);
    let histogram = Histogram {
        count: 7.0,
        sum: 12.5,
        schema: 0,
        zero_threshold: 0.001,
        zero_count: 2.0,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive: vec![4.0, 1.0],
        ..Histogram::default()
    };
    for (version, name) in [(Version::V1, "one_seconds"), (Version::V2, "two_seconds")] {
        let labels = Labels::metric(name, [("job", "shop")]);
        let histograms = [HistogramSample { at, histogram: Arc::new(histogram.clone()) }];
        let exemplars =
            [Exemplar { series: labels.clone(), labels: Labels::new([("trace_id", "abc")]), value: 0.7, at }];
        let metadata = Metadata {
            family: name.to_owned(),
            kind: MetricKind::Histogram,
            help: "Time of an order.".to_owned(),
            unit: "seconds".to_owned(),
        };
        let series = OutgoingSeries {
            labels: Some(&labels),
            histograms: &histograms,
            exemplars: &exemplars,
            metadata: Some(&metadata),
            ..OutgoingSeries::default()
        };
        let answer = remote_write_of(up.call("POST", "/api/v1/write"), version, &[series]).send();
        taken(&answer);
        if matches!(version, Version::V2) {
            for (header, count) in [("samples", "0"), ("histograms", "1"), ("exemplars", "1")] {
                let header = format!("x-prometheus-remote-write-{header}-written");
                assert_eq!(answer.headers[header.as_str()], count, "{header}");
            }
        }
        let found = query_at(up.address, name, &seconds(at.0));
        let seen = &found["result"][0]["histogram"][1];
        assert_eq!((&seen["count"], &seen["sum"]), (&json!("7"), &json!("12.5")), "{name}: {found}");
        let buckets = json!([[3, "-0.001", "0.001", "2"], [0, "0.5", "1", "4"], [0, "1", "2", "1"]]);
        assert_eq!(seen["buckets"], buckets, "{name}");
        let told = up.get(&format!("/api/v1/metadata?metric={name}"));
        let wanted = json!({"type": "histogram", "help": "Time of an order.", "unit": "seconds"});
        assert_eq!(told["data"][name][0], wanted, "{told}");
        let shown = up.get(&format!("/api/v1/query_exemplars?query={name}"));
        assert_eq!(shown["data"][0]["exemplars"][0]["labels"]["trace_id"], "abc", "{shown}");
    }
}

#[test]
fn a_real_prometheus_sends_what_it_scrapes() {
    let home = Home::new();
    let page = Site::page(
        "# HELP shop_orders_total Orders.\n# TYPE shop_orders_total counter\n\
         shop_orders_total{code=\"200\"} 17\nshop_orders_total{code=\"500\"} 3\nshop_odd NaN\n",
    );
    let up = Up::store(&home, None);
    let config = format!(
        "global: {{ scrape_interval: 1s, external_labels: {{ site: north }} }}\n\
         scrape_configs: [{{ job_name: shop, static_configs: [{{ targets: ['{}'] }}] }}]\n\
         remote_write: [{{ url: 'http://{}/api/v1/write', queue_config: {{ batch_send_deadline: 200ms }}, \
         metadata_config: {{ send_interval: 1s }} }}]\n",
        page.address, up.address
    );
    let Some(server) = Server::prometheus(&home, "prometheus", &config, &[]) else {
        return skipped("prometheus is not installed");
    };
    wait_for("samples have come", || (samples(&up, "up", now_ms()).len() > 3).then_some(()));
    // What is at least a second old has been sent.
    let at = samples(&up, "up", now_ms())[2].0;
    for query in ["shop_orders_total", "up", "scrape_samples_scraped", "shop_odd", "count({job=\"shop\"})"] {
        let site = |text: String| text.replace(",\"site\":\"north\"", "");
        let ours: Vec<_> = rows(&query_at(up.address, query, &seconds(at))).into_iter().map(site).collect();
        assert_eq!(ours, rows(&server.query(query, &seconds(at))), "{query}");
        assert!(!ours.is_empty(), "{query}");
    }
    let sites = up.get("/api/v1/label/site/values");
    assert_eq!(sites["data"], json!(["north"]));
    wait_for("metadata has come", || {
        let told = up.get("/api/v1/metadata?metric=shop_orders_total");
        (told["data"]["shop_orders_total"][0]["help"] == "Orders.").then_some(())
    });
}

#[test]
fn a_real_prometheus_with_a_token_loses_nothing_when_we_are_killed() {
    let home = Home::new();
    let count = AtomicU64::new(0);
    let page = Site::start(move |_| {
        Reply::metrics(format!("shop_count {}\n", count.fetch_add(1, Ordering::SeqCst)))
    });
    let address = free_address();
    let everywhere = format!("0.0.0.0:{}", address.port());
    let start = || Up::start_with(&home, None, &["--no-collect", "--listen", &everywhere]);
    let up = start();
    let token = up.token();
    let config = format!(
        "global: {{ scrape_interval: 100ms, scrape_timeout: 100ms }}\n\
         scrape_configs: [{{ job_name: shop, static_configs: [{{ targets: ['{}'] }}] }}]\n\
         remote_write: [{{ url: 'http://{address}/api/v1/write', authorization: {{ credentials: '{token}' }}, \
         queue_config: {{ batch_send_deadline: 100ms, max_backoff: 300ms }} }}]\n",
        page.address
    );
    let Some(server) = Server::prometheus(&home, "prometheus", &config, &[]) else {
        return skipped("prometheus is not installed");
    };
    let here = |at: i64| -> Vec<(String, String)> {
        let form = [("query", "shop_count[10m]"), ("time", &seconds(at))];
        let answer = Call::new(address, "POST", "/api/v1/query").token(&token).form(&form).send();
        pairs(&answer.json["data"])
    };
    let grows = |more: usize| {
        let before = here(now_ms()).len();
        wait_for("samples come", || (here(now_ms()).len() >= before + more).then_some(()));
    };
    grows(5);
    up.kill();
    // What it sends meanwhile goes nowhere.
    let at_kill = now_ms();
    wait_for("it goes on scraping", || {
        let theirs = pairs(&server.query("shop_count[10m]", &seconds(now_ms())));
        let last: f64 = theirs.last()?.0.parse().ok()?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century")]
        (last * 1000.0 > at_kill as f64 + 500.0).then_some(())
    });
    let up = start();
    grows(5);
    let at = now_ms() - 500;
    let theirs = pairs(&server.query("shop_count[10m]", &seconds(at)));
    wait_for("all has come", || (here(at).len() >= theirs.len()).then_some(()));
    assert_eq!(here(at), theirs);
    drop(up);
}

/// Time and value of the samples of the first series.
fn pairs(data: &Value) -> Vec<(String, String)> {
    let values = data["result"][0]["values"].as_array().cloned().unwrap_or_default();
    values.iter().map(|v| (v[0].to_string(), v[1].as_str().unwrap().to_owned())).collect()
}

#[test]
fn senders_that_are_answered_while_it_is_killed_find_every_answered_sample() {
    let home = Home::new();
    let up = Up::store(&home, None);
    let (address, start) = (up.address, now_ms() - 60_000);
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            std::thread::spawn(move || {
                let name = sender.to_string();
                let mut answered = 0;
                loop {
                    let at = start + answered;
                    let all = [
                        one("acked", &[("sender", &name)], at, 1.0),
                        one("new", &[("at", &at.to_string())], at, 1.0),
                    ];
                    let call = Call::new(address, "POST", "/api/v1/write");
                    match remote_write(call, Version::V2, &all).try_send() {
                        Some(answer) if answer.status == 204 => answered += 1,
                        _ => return answered,
                    }
                }
            })
        })
        .collect();
    wait_for("some are answered", || {
        let count = query_value(address, "sum(count_over_time(acked[5m]))", &seconds(now_ms()))?;
        (count.parse::<f64>().unwrap() > 40.0).then_some(())
    });
    up.kill();
    let answered: Vec<i64> = senders.into_iter().map(|s| s.join().unwrap()).collect();
    let up = Up::store(&home, None);
    for (sender, answered) in answered.iter().enumerate() {
        let got = samples(&up, &format!("acked{{sender=\"{sender}\"}}"), now_ms());
        let wanted: Vec<i64> = (start..start + answered).collect();
        let times: Vec<i64> = got.iter().map(|(at, _)| *at).collect();
        assert!(*answered > 0 && times.starts_with(&wanted), "{answered} answered: {times:?}");
        assert!(times.len() <= wanted.len() + 1, "at most the one under way is there besides");
    }
}

#[test]
fn with_a_full_disk_senders_are_told_to_come_again_and_nothing_answered_is_lost() {
    let home = Home::new();
    let disk = match Mounted::new(&home.path("disk"), 16 << 10) {
        Ok(disk) => disk,
        Err(why) => return skipped(&why),
    };
    let up = Up::start_on(&home, &disk, None);
    let start = now_ms() - 60_000;
    let push = |i: i64| {
        let series = [one("kept", &[("job", "a")], start + i, 1.0)];
        remote_write(up.call("POST", "/api/v1/write"), Version::V1, &series).send().status
    };
    assert_eq!(push(0), 204);
    disk.fill();
    let mut answered = vec![0];
    let (refused, _) = wait_for("storing fails", || {
        let next = answered.last().unwrap() + 1;
        match push(next) {
            204 => {
                answered.push(next);
                None
            }
            status => Some((next, status)),
        }
    });
    assert_eq!(refused.1, 503);
    let queried = samples(&up, "kept", now_ms());
    assert!(answered.iter().all(|i| queried.iter().any(|(at, _)| *at == start + i)), "queries go on");
    disk.empty();
    wait_for("the same is taken later", || (push(refused.0) == 204).then_some(()));
    answered.push(refused.0);
    up.kill();
    let up = Up::start_on(&home, &disk, None);
    let after: Vec<i64> = samples(&up, "kept", now_ms()).iter().map(|(at, _)| at - start).collect();
    assert_eq!(after, answered);
}

#[test]
fn otlp_comes_as_protobuf_and_as_json() {
    let home = Home::new();
    let up = Up::store(&home, None);
    let at = now_ms() - 1000;
    let path = "/api/v1/otlp/v1/metrics";
    let json = up.call("POST", path).json(&otlp_json("room.temperature", at, 21.5)).send();
    taken(&json);
    assert_eq!(json.json, json!({}));
    let binary = otlp_protobuf("hall.temperature", at, 22.5);
    let call =
        |body: Vec<u8>| up.call("POST", path).header("content-type", "application/x-protobuf").body(body);
    taken(&call(binary).send());
    taken(&call(gzip(&otlp_protobuf("packed", at, 1.0))).header("content-encoding", "gzip").send());
    for (name, wanted) in [("room_temperature", "21.5"), ("hall_temperature", "22.5"), ("packed", "1")] {
        let selector = format!("{name}{{job=\"shop\",instance=\"a1\",room=\"hall\"}}");
        assert_eq!(value(&up, &selector, at).as_deref(), Some(wanted), "{name}");
    }
    let broken = call(b"\x0a\xff\xff".to_vec()).send();
    assert_eq!(broken.status, 400, "{}", broken.text);
    assert_eq!(up.call("POST", path).header("content-type", "text/plain").body("x").send().status, 415);
}

#[test]
fn influx_lines_come_in_every_precision() {
    let home = Home::new();
    let up = Up::store(&home, None);
    let at = now_ms() / 1000 * 1000 - 5000;
    for (path, time) in [
        ("/write?db=shop", format!("{at}000000")),
        ("/write?db=shop&precision=ms", format!("{at}")),
        ("/api/v2/write?org=o&bucket=shop&precision=s", format!("{}", at / 1000)),
    ] {
        let body = format!("room,hall=a\\ b temperature=21.5,people=3i,open=true {time}\n");
        let answer = up.call("POST", path).body(body).send();
        assert_eq!(answer.status, 204, "{path}: {}", answer.text);
        for (field, wanted) in [("temperature", "21.5"), ("people", "3"), ("open", "1")] {
            let got = samples(&up, &format!("room_{field}{{hall=\"a b\"}}"), now_ms());
            assert_eq!(got, [(at, wanted.to_owned())], "{path} {field}");
        }
    }
    let partly = up.call("POST", "/write?precision=ms").body(format!("good v=1 {at}\nbad v= {at}\n")).send();
    assert_eq!(partly.status, 400);
    assert!(partly.json["error"].as_str().is_some_and(|e| e.contains("line 2")), "{}", partly.text);
    assert_eq!(value(&up, "good_v", at).as_deref(), Some("1"));
    assert_eq!(up.call("GET", "/ping").send().status, 204);
}

#[test]
fn graphite_lines_come_over_tcp_and_udp() {
    let home = Home::new();
    let address = free_address();
    let up = Up::store(&home, Some(&home.keep(format!("metrics: {{ graphite: '{address}' }}\n"))));
    let at = now_ms() / 1000 * 1000 - 3000;
    let mut stream = TcpStream::connect(address).unwrap();
    // A line that comes in two pieces, one that is wrong, and one without an end.
    write!(stream, "shop.queue.len").unwrap();
    stream.flush().unwrap();
    write!(stream, "gth;room=hall 4.5 {}\nnonsense\nshop.now 7 -1\n", at / 1000).unwrap();
    wait_for("the stream is read while it is open", || value(&up, "{__name__=\"shop.now\"}", now_ms()));
    write!(stream, "shop.last 9 {}", at / 1000).unwrap();
    drop(stream);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(format!("shop.udp 5 {}\n", at / 1000).as_bytes(), address).unwrap();
    for (selector, wanted) in [
        ("{__name__=\"shop.queue.length\",room=\"hall\"}", "4.5"),
        ("{__name__=\"shop.last\"}", "9"),
        ("{__name__=\"shop.udp\"}", "5"),
    ] {
        let (seen, _) = wait_for(selector, || value(&up, selector, at));
        assert_eq!(seen, wanted, "{selector}");
    }
}

#[test]
fn statsd_is_added_up_and_what_is_in_hand_is_stored_at_the_end() {
    let home = Home::new();
    let address = free_address();
    let keep = home.keep(format!("metrics: {{ statsd: '{address}' }}\n"));
    let up = Up::store(&home, Some(&keep));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in
        ["orders:1|c\norders:4|c|@0.5", "queue:7|g", "queue:-2|g", "nonsense", "pay:250|ms|#by:card"]
    {
        socket.send_to(datagram.as_bytes(), address).unwrap();
    }
    wait_for("a first sum is stored", || value(&up, "orders", now_ms()));
    let read =
        |up: &Up| ["orders", "queue", "pay_count{by=\"card\"}", "pay_sum"].map(|q| value(up, q, now_ms()));
    assert_eq!(read(&up).map(Option::unwrap), ["9", "5", "1", "0.25"]);
    socket.send_to(b"orders:2|c", address).unwrap();
    socket.send_to(b"last:1|c", address).unwrap();
    // The datagrams wait in the socket or in the sums; neither may be lost by a good end.
    assert_eq!(up.terminate(), Some(0));
    let up = Up::store(&home, Some(&keep));
    let (at, wanted) = (now_ms(), [Some("11".to_owned()), Some("1".to_owned())]);
    assert_eq!(["orders", "last"].map(|q| value(&up, q, at)), wanted);
}

#[test]
fn text_is_imported_with_and_without_times() {
    let home = Home::new();
    let up = Up::store(&home, None);
    let path = "/api/v1/import/prometheus";
    let at = now_ms() - 60_000;
    let text = format!(
        "# HELP a_total Things.\n# TYPE a_total counter\na_total{{x=\"1\"}} 4 {at}\n\
         a_total{{x=\"1\"}} 5 {}\nb 2.5\n",
        at + 1000
    );
    taken(&up.call("POST", path).body(text).send());
    let got = samples(&up, "a_total", now_ms());
    assert_eq!(got, [(at, "4".to_owned()), (at + 1000, "5".to_owned())]);
    assert_eq!(value(&up, "b", now_ms()).as_deref(), Some("2.5"));
    taken(&up.call("POST", path).header("content-encoding", "gzip").body(gzip(b"packed 3\n")).send());
    assert_eq!(value(&up, "packed", now_ms()).as_deref(), Some("3"));
    let broken = up.call("POST", path).body("good 1\nbad{ 1\n").send();
    assert_eq!(broken.status, 400);
    assert!(broken.text.contains("line 2"), "{}", broken.text);
    assert_eq!(value(&up, "good", now_ms()).as_deref(), Some("1"), "the good lines are taken");
}

#[test]
fn what_was_answered_is_there_after_kill_minus_nine() {
    let home = Home::new();
    let up = Up::store(&home, None);
    let at = now_ms() - 2000;
    let post = |path: &'static str| up.call("POST", path);
    taken(&remote_write(post("/api/v1/write"), Version::V1, &[one("v1", &[("job", "a")], at, 1.0)]).send());
    taken(&post("/api/v1/otlp/v1/metrics").json(&otlp_json("otlp", at, 3.0)).send());
    taken(&post("/write?precision=ms").body(format!("influx v=4 {at}\n")).send());
    taken(&post("/api/v1/import/prometheus").body(format!("text 5 {at}\n")).send());
    let many: Vec<_> = (0..500).map(|i| one("v2", &[("n", &i.to_string())], at, f64::from(i))).collect();
    taken(&remote_write(post("/api/v1/write"), Version::V2, &many).send());
    up.kill();
    let up = Up::store(&home, None);
    for (query, wanted) in [
        ("v1", "1"),
        ("otlp", "3"),
        ("influx_v", "4"),
        ("text", "5"),
        ("count(v2)", "500"),
        ("sum(v2)", "124750"),
    ] {
        assert_eq!(value(&up, query, at).as_deref(), Some(wanted), "{query}");
    }
    // The same series go on where they were.
    let next = [one("v1", &[("job", "a")], at + 1000, 2.0)];
    taken(&remote_write(up.call("POST", "/api/v1/write"), Version::V1, &next).send());
    let both = [(at, "1".to_owned()), (at + 1000, "2".to_owned())];
    assert_eq!(samples(&up, "v1", at + 1000), both);
}

#[test]
fn beyond_loopback_only_the_token_opens_the_doors() {
    let home = Home::new();
    let up = Up::start_with(&home, None, &["--no-collect", "--listen", "0.0.0.0:0"]);
    let address = SocketAddr::from(([127, 0, 0, 1], up.address.port()));
    let doors = [
        ("/api/v1/write", "x"),
        ("/api/v1/import/prometheus", "a 1\n"),
        ("/api/v1/otlp/v1/metrics", "x"),
        ("/write", "a v=1\n"),
        ("/api/v2/write", "b v=1\n"),
        ("/api/v1/admin/flush", ""),
    ];
    for (path, body) in doors {
        let call = || Call::new(address, "POST", path).body(body);
        let without = call().send();
        assert_eq!((without.status, &without.json["errorType"]), (401, &json!("unauthorized")), "{path}");
        assert_eq!(call().token("wrong").send().status, 401, "{path}");
        assert_eq!(call().header("authorization", "Basic eDp5").send().status, 401, "{path}");
        let elsewhere = call().token(&up.token()).header("origin", "http://evil.example").send();
        assert_eq!(elsewhere.status, 403, "{path}");
    }
    assert_eq!(Call::new(address, "GET", "/api/v1/query?query=1").send().status, 401);
    let import = |authorization: String, text: &'static str| {
        let call = Call::new(address, "POST", "/api/v1/import/prometheus");
        call.header("authorization", authorization).body(text).send().status
    };
    assert_eq!(import(format!("Bearer {}", up.token()), "right 1\n"), 204);
    assert_eq!(import(format!("Token {}", up.token()), "influx_style 1\n"), 204);
    let count =
        Call::new(address, "GET", "/api/v1/query?query=count(%7B__name__=~%22.%2B%22%7D)").token(&up.token());
    assert_eq!(count.send().json["data"]["result"][0]["value"][1], "2", "nothing else was stored");
}

#[test]
fn samples_older_than_the_window_are_refused_in_words_and_the_rest_is_taken() {
    let home = Home::new();
    let up = Up::store(&home, Some(&home.keep("metrics: { out_of_order: 10m }\n")));
    let now = now_ms();
    let write = |series: &[common::wire::Series]| {
        remote_write(up.call("POST", "/api/v1/write"), Version::V1, series).send()
    };
    let labels = [("job", "a"), ("instance", "1")];
    taken(&write(&[one("a", &labels, now, 1.0)]));
    taken(&write(&[one("a", &labels, now - 300_000, 0.5)]));
    taken(&write(&[one("a", &labels, now - 300_000, 0.75)]));
    let late = write(&[
        one("a", &labels, now - 1_200_000, 9.0),
        one("b", &labels, now, 2.0),
        one("a", &[("job", "b")], now - 1_200_000, 3.0),
    ]);
    assert_eq!(late.status, 400);
    assert!(late.text.contains('1') && late.text.contains("too old"), "{}", late.text);
    let wanted = [(now - 300_000, "0.75".to_owned()), (now, "1".to_owned())];
    assert_eq!(samples(&up, "a{instance=\"1\"}", now), wanted, "the last write holds");
    assert_eq!(value(&up, "b", now).as_deref(), Some("2"), "what came beside it is taken");
    let other = samples(&up, "a{job=\"b\"}", now);
    assert_eq!(other, [(now - 1_200_000, "3".to_owned())], "another source has a window of its own");
}

#[test]
fn one_bad_sender_harms_no_other() {
    let home = Home::new();
    let mut up = Up::store(&home, None);
    let now = now_ms();
    let good = |at: i64| {
        let series = [one("good", &[("job", "good")], at, 1.0)];
        taken(&remote_write(up.call("POST", "/api/v1/write"), Version::V2, &series).send());
    };
    good(now - 5000);
    let bad = |body: &[u8]| {
        let call = up.call("POST", "/api/v1/write").header("content-encoding", "snappy").body(body);
        call.header("content-type", "application/x-protobuf").send().status
    };
    assert_eq!(bad(b"no snappy at all"), 400);
    assert_eq!(bad(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]), 413, "a body that claims 4 GiB");
    assert_eq!(bad(&vec![0; 33 << 20]), 413);
    good(now - 4000);
    // Too many labels, a label that is too long, no name: left out and named; what stands beside them is taken.
    let many: Vec<(String, String)> = (0..400).map(|i| (format!("l{i}"), "x".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let long = "x".repeat(100 << 10);
    for (labels, word) in [(many.as_slice(), "label"), (&[("long", long.as_str())], "long")] {
        let series = [one("bad", labels, now, 1.0), one("beside", &[("n", word)], now, 1.0)];
        let answer = remote_write(up.call("POST", "/api/v1/write"), Version::V1, &series).send();
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.text.contains(word) && answer.text.len() < 1000, "{}", answer.text);
        assert_eq!(value(&up, &format!("beside{{n=\"{word}\"}}"), now).as_deref(), Some("1"));
    }
    assert_eq!(value(&up, "count(bad)", now), None);
    good(now - 3000);
    assert_eq!(samples(&up, "good", now).len(), 3);
    assert!(up.is_alive());
}

#[test]
fn a_sample_from_the_far_future_is_refused_and_costs_nobody_anything() {
    let home = Home::new();
    let up = Up::store(&home, None);
    let now = now_ms();
    taken(&up.call("POST", "/api/v1/import/prometheus").body(format!("good 1 {now}\n")).send());
    let future = now + 400 * 86_400_000;
    let series = [one("evil", &[("job", "evil")], future, 1.0)];
    let answer = remote_write(up.call("POST", "/api/v1/write"), Version::V1, &series).send();
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.text.contains("future"), "{}", answer.text);
    up.call("POST", "/api/v1/import/prometheus").body(format!("evil 1 {future}\n")).send();
    up.call("POST", "/write?precision=ms").body(format!("evil v=1 {future}\n")).send();
    up.call("POST", "/api/v1/otlp/v1/metrics").json(&otlp_json("evil", future, 1.0)).send();
    assert_eq!(up.call("POST", "/api/v1/admin/flush").send().status, 204);
    let range =
        format!("/api/v1/series?match[]=%7B__name__=~%22evil.*%22%7D&start=0&end={}", future / 1000 + 10);
    assert_eq!(up.get(&range)["data"], json!([]), "nothing of it is stored");
    assert_eq!(value(&up, "good", now).as_deref(), Some("1"));
}

#[test]
fn nobody_can_push_what_this_host_measures_itself() {
    let home = Home::new();
    let up = Up::start(&home, None);
    let host = up.overview()["host"].as_str().unwrap().to_owned();
    let at = now_ms();
    let ours = [one("node_load1", &[("instance", &host), ("job", "wellkept")], at, 4711.0)];
    let answer = remote_write(up.call("POST", "/api/v1/write"), Version::V1, &ours).send();
    assert_eq!(answer.status, 400, "{}", answer.text);
    let line = format!("node_load1{{instance=\"{host}\",job=\"wellkept\"}} 4711 {at}\n");
    up.call("POST", "/api/v1/import/prometheus").body(line).send();
    wait_for("its own value is there", || value(&up, "node_load1", now_ms()));
    let max = value(&up, "max(max_over_time(node_load1[1h]))", now_ms()).unwrap();
    assert!(max.parse::<f64>().unwrap() < 4711.0, "{max}");
}
