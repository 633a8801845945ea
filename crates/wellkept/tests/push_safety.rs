//! What was answered is kept, whatever happens; what must not come in is refused; and nobody else pays for one bad
//! sender.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use common::pushed::{pairs, samples, taken, value};
use common::wire::{one, otlp_json, remote_write};
use common::{Call, Home, Mounted, Reply, Server, Site, Up, free_address, now_ms, query_value, seconds};
use common::{skipped, wait_for};
use serde_json::json;
use wellkept_intake::remote_write::Version;

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
