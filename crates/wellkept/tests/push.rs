//! Samples that are pushed, by every protocol: asked for again they are what was sent.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;

use common::pushed::{samples, taken, value};
use common::wire::{gzip, otlp_json, otlp_protobuf, remote_write, remote_write_of};
use common::{Home, Server, Site, Up, free_address, now_ms, query_at, rows, seconds, skipped, wait_for};
use serde_json::json;
use wellkept_intake::remote_write::{OutgoingSeries, Version};
use wellkept_model::{Exemplar, Histogram, HistogramSample, Labels, Metadata, MetricKind, Span, TimestampMs};

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
fn otlp_sums_histograms_and_differences_become_prometheus_series() {
    let home = Home::new();
    let up = Up::store(&home, None);
    let at = now_ms() - 5000;
    let send = |metric: serde_json::Value| {
        let resource = json!({"attributes": [
            {"key": "service.name", "value": {"stringValue": "pay"}},
            {"key": "service.namespace", "value": {"stringValue": "shop"}},
            {"key": "service.instance.id", "value": {"stringValue": "a1"}},
            {"key": "host.arch", "value": {"stringValue": "amd64"}}]});
        let scope = json!({"scope": {"name": "lib"}, "metrics": [metric]});
        let body = json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope]}]});
        let answer = up.call("POST", "/api/v1/otlp/v1/metrics").json(&body).send();
        taken(&answer);
        assert_eq!(answer.json, json!({}), "nothing is left out");
    };
    let (begin, time) = (format!("{}000000", at - 60_000), |ms: i64| format!("{ms}000000"));
    let point = |ms: i64, value: i64| json!({"startTimeUnixNano": begin, "timeUnixNano": time(ms), "asInt": value.to_string()});
    send(json!({"name": "http.requests", "unit": "1",
        "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [point(at, 7)]}}));
    for (ms, value) in [(at, 3), (at + 1000, 4)] {
        send(json!({"name": "data.sent", "unit": "By",
            "sum": {"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [point(ms, value)]}}));
    }
    send(
        json!({"name": "http.duration", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [{
        "startTimeUnixNano": begin, "timeUnixNano": time(at), "count": "6", "sum": 2.5,
        "bucketCounts": ["1", "2", "3"], "explicitBounds": [0.1, 0.5]}]}}),
    );
    send(json!({"name": "size", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [{
        "startTimeUnixNano": begin, "timeUnixNano": time(at), "count": "5", "sum": 9, "scale": 0, "zeroCount": "1",
        "positive": {"offset": 0, "bucketCounts": ["1", "3"]}}]}}));
    let labels = "job=\"shop/pay\",instance=\"a1\"";
    for (query, wanted) in [
        (format!("http_requests_total{{{labels}}}"), "7"),
        (format!("data_sent_bytes_total{{{labels}}}"), "7"),
        (format!("http_duration_seconds_bucket{{le=\"0.5\",{labels}}}"), "3"),
        (format!("http_duration_seconds_bucket{{le=\"+Inf\",{labels}}}"), "6"),
        (format!("http_duration_seconds_sum{{{labels}}}"), "2.5"),
        (format!("http_duration_seconds_count{{{labels}}}"), "6"),
        (format!("histogram_count(size{{{labels}}})"), "5"),
        (format!("histogram_sum(size{{{labels}}})"), "9"),
        (format!("target_info{{host_arch=\"amd64\",{labels}}}"), "1"),
    ] {
        assert_eq!(value(&up, &query, at + 1000).as_deref(), Some(wanted), "{query}");
    }
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
