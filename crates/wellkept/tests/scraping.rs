//! Targets that a Prometheus configuration names: found, scraped, relabeled, shown, and ended when they die.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::path::PathBuf;

use common::wire::gzip;
use common::{Home, Reply, Server, Site, Up, free_address, now_ms, query_value, rows, run, seconds, skipped};
use common::{wait_for, wellkept};
use serde_json::{Value, json};

const PAGE: &str = "# HELP shop_orders_total Orders.\n# TYPE shop_orders_total counter\n\
    shop_orders_total{code=\"200\"} 17\nshop_orders_total{code=\"500\"} 3\n\
    # TYPE shop_queue_length gauge\nshop_queue_length 4.5\nnoise_a 1\nnoise_b 2\n";

/// Keep file and configuration; the latter scrapes five times a second.
fn files(home: &Home, jobs: &str) -> PathBuf {
    let path = home.path("prometheus.yml");
    let global = "global: { scrape_interval: 200ms, scrape_timeout: 200ms }\nscrape_configs:\n";
    std::fs::write(&path, format!("{global}{jobs}")).unwrap();
    home.keep(format!("metrics: {{ scrape: {} }}\n", path.display()))
}

fn start(home: &Home, jobs: &str) -> Up {
    Up::store(home, Some(&files(home, jobs)))
}

fn now(up: &Up, query: &str) -> Option<String> {
    query_value(up.address, query, &seconds(now_ms()))
}

#[track_caller]
fn becomes(up: &Up, query: &str, wanted: &str) {
    wait_for(&format!("{query} is {wanted}"), || (now(up, query).as_deref() == Some(wanted)).then_some(()));
}

#[track_caller]
fn ends(up: &Up, query: &str) {
    wait_for(&format!("{query} ends"), || rows(&up.query(query).json["data"]).is_empty().then_some(()));
}

fn active(up: &Up) -> Vec<Value> {
    up.get("/api/v1/targets?state=active")["data"]["activeTargets"].as_array().unwrap().clone()
}

#[test]
fn static_targets_are_scraped_relabeled_and_shown() {
    let home = Home::new();
    let page = Site::page(PAGE);
    let address = page.address;
    let up = start(
        &home,
        &format!(
            "- job_name: shop
  metrics_path: /m
  params: {{ module: [a b] }}
  static_configs: [{{ targets: ['{address}', 'dropped.invalid:1'], labels: {{ site: north }} }}]
  relabel_configs:
  - {{ source_labels: [__address__], regex: 'dropped.*', action: drop }}
  - {{ source_labels: [site], target_label: place, replacement: 'the-$1' }}
  - {{ target_label: __tmp_x, replacement: gone }}
  metric_relabel_configs:
  - {{ source_labels: [__name__], regex: 'noise_.*', action: drop }}
  - {{ source_labels: [code], regex: '(.)..', target_label: class, replacement: '${{1}}xx' }}
"
        ),
    );
    let labels = format!("instance=\"{address}\",job=\"shop\",place=\"the-north\",site=\"north\"");
    becomes(&up, &format!("up{{{labels}}}"), "1");
    becomes(&up, &format!("shop_orders_total{{class=\"5xx\",code=\"500\",{labels}}}"), "3");
    becomes(&up, "count({job=\"shop\"})", "8");
    for (automatic, wanted) in
        [("samples_scraped", "5"), ("samples_post_metric_relabeling", "3"), ("series_added", "0")]
    {
        becomes(&up, &format!("scrape_{automatic}"), wanted);
    }
    let duration: f64 = now(&up, "scrape_duration_seconds").unwrap().parse().unwrap();
    assert!((0.0..0.2).contains(&duration), "{duration}");
    assert_eq!(
        up.get("/api/v1/label/__name__/values?match[]=%7B__name__=~%22noise.*%22%7D")["data"],
        json!([])
    );
    let asked = page.seen()[0].clone();
    assert_eq!(asked.path, "/m?module=a+b");
    assert!(asked.header("accept").contains("application/openmetrics-text"), "{asked:?}");
    assert_eq!(asked.header("x-prometheus-scrape-timeout-seconds"), "0.2");

    let all = up.get("/api/v1/targets")["data"].clone();
    let target = &all["activeTargets"][0];
    let own = json!({"instance": address.to_string(), "job": "shop", "place": "the-north", "site": "north"});
    assert_eq!(target["labels"], own);
    assert_eq!(target["scrapeUrl"], format!("http://{address}/m?module=a+b"));
    assert_eq!((&target["health"], &target["lastError"]), (&json!("up"), &json!("")));
    assert_eq!((&target["scrapePool"], &target["scrapeInterval"]), (&json!("shop"), &json!("200ms")));
    assert_eq!(target["discoveredLabels"]["__address__"], address.to_string());
    assert_eq!(target["discoveredLabels"]["__param_module"], "a b");
    assert!(target["lastScrape"].as_str().unwrap().starts_with("20"), "{target}");
    assert_eq!(all["droppedTargets"][0]["discoveredLabels"]["__address__"], "dropped.invalid:1");
    assert_eq!(all["droppedTargetCounts"], json!({"shop": 1}));
    assert_eq!(up.get("/api/v1/targets?state=dropped")["data"]["activeTargets"], json!([]));
    assert_eq!(up.get("/api/v1/targets?scrapePool=other")["data"]["activeTargets"], json!([]));
    assert_eq!(up.call("GET", "/targets").send().status, 200, "the page of the console");
    let told = up.get("/api/v1/metadata?metric=shop_orders_total");
    let wanted = json!([{"type": "counter", "help": "Orders.", "unit": ""}]);
    assert_eq!(told["data"]["shop_orders_total"], wanted);
}

#[test]
fn targets_from_files_come_and_go_while_it_runs() {
    let home = Home::new();
    let (one, two) = (Site::page("page 1\n"), Site::page("page 2\n"));
    let list = home.path("targets.json");
    let write = |text: String| {
        // Replaced as a whole, as configuration tools do it.
        std::fs::write(home.path("new.tmp"), text).unwrap();
        std::fs::rename(home.path("new.tmp"), &list).unwrap();
    };
    let target =
        |a: &Site| format!("{{\"targets\": [\"{}\"], \"labels\": {{\"from\": \"file\"}}}}", a.address);
    write(format!("[{}]", target(&one)));
    let jobs =
        "- job_name: files\n  file_sd_configs: [{ files: ['targets*.json'], refresh_interval: 300ms }]\n";
    let up = start(&home, jobs);
    becomes(&up, "page{from=\"file\"}", "1");
    write(format!("[{},{}]", target(&one), target(&two)));
    becomes(&up, "sum(page{from=\"file\"})", "3");
    write("[{ this is no JSON".to_owned());
    let asked = two.seen().len();
    wait_for("a broken file changes nothing", || (two.seen().len() > asked + 5).then_some(()));
    assert_eq!(now(&up, "sum(page)").as_deref(), Some("3"));
    write(format!("[{}]", target(&two)));
    becomes(&up, "sum(page)", "2");
    ends(&up, &format!("{{instance=\"{}\"}}", one.address));
    assert_eq!(active(&up).len(), 1);
    assert!(
        active(&up)[0]["discoveredLabels"]["__meta_filepath"].as_str().unwrap().ends_with("targets.json")
    );
}

#[test]
fn targets_from_a_server_come_and_stay_when_it_errs() {
    let home = Home::new();
    let (one, two) = (Site::page("page 1\n"), Site::page("page 2\n"));
    let answer = std::sync::Arc::new(std::sync::Mutex::new(Reply::json(format!(
        "[{{\"targets\": [\"{}\"], \"labels\": {{\"__meta_room\": \"hall\"}}}}]",
        one.address
    ))));
    let told = std::sync::Arc::clone(&answer);
    let list = Site::start(move |_| told.lock().unwrap().clone());
    let jobs = format!(
        "- job_name: http\n  http_sd_configs: [{{ url: 'http://{}/list', refresh_interval: 300ms }}]\n  \
         relabel_configs: [{{ source_labels: [__meta_room], target_label: room }}]\n",
        list.address
    );
    let up = start(&home, &jobs);
    becomes(&up, "page{room=\"hall\"}", "1");
    assert_eq!(list.seen()[0].header("accept"), "application/json");
    assert!(!list.seen()[0].header("x-prometheus-refresh-interval-seconds").is_empty());
    *answer.lock().unwrap() = Reply::status(500);
    let asked = list.seen().len();
    wait_for("the server errs", || (list.seen().len() > asked + 2).then_some(()));
    assert_eq!(now(&up, "page").as_deref(), Some("1"), "the last good list holds");
    *answer.lock().unwrap() = Reply::json(format!("[{{\"targets\": [\"{}\"]}}]", two.address));
    becomes(&up, "sum(page)", "2");
}

#[test]
fn packed_pages_open_metrics_own_times_and_bearer_tokens() {
    let home = Home::new();
    std::fs::write(home.path("token"), "s3cret\n").unwrap();
    let at = now_ms() - 30_000;
    let page = Site::start(move |seen| {
        if seen.header("authorization") != "Bearer s3cret" {
            return Reply::status(401);
        }
        let text = format!(
            "# TYPE shop_orders counter\n# HELP shop_orders Orders.\nshop_orders_total 17 # {{trace_id=\"abc\"}} 1\n\
             # TYPE old gauge\nold 5 {}\n# EOF\n",
            seconds(at)
        );
        let packed = seen.header("accept-encoding").contains("gzip");
        assert!(packed, "gzip is asked for");
        let reply =
            Reply::of("application/openmetrics-text; version=1.0.0; charset=utf-8", gzip(text.as_bytes()));
        reply.header("content-encoding", "gzip")
    });
    let target = format!("  static_configs: [{{ targets: ['{}'] }}]\n", page.address);
    let up = start(
        &home,
        &format!(
            "- job_name: right\n  authorization: {{ credentials_file: token }}\n{target}\
             - job_name: wrong\n  authorization: {{ credentials: nonsense }}\n{target}"
        ),
    );
    becomes(&up, "up{job=\"right\"}", "1");
    becomes(&up, "up{job=\"wrong\"}", "0");
    becomes(&up, "shop_orders_total", "17");
    assert_eq!(
        query_value(up.address, "timestamp(old)", &seconds(now_ms())),
        Some(seconds(at).trim_end_matches(".000").trim_end_matches('0').to_owned())
    );
    let wrong = active(&up).into_iter().find(|t| t["scrapePool"] == "wrong").unwrap();
    assert_eq!(wrong["health"], "down");
    assert!(wrong["lastError"].as_str().unwrap().contains("401"), "{wrong}");
    let shown = up.get("/api/v1/query_exemplars?query=shop_orders_total");
    assert_eq!(shown["data"][0]["exemplars"][0]["labels"]["trace_id"], "abc", "{shown}");
    let config = up.get("/api/v1/status/config").to_string();
    assert!(!config.contains("nonsense") && !config.contains("s3cret"), "{config}");
}

#[test]
fn a_node_exporter_behind_tls_and_a_password() {
    let home = Home::new();
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/../scrape/tests/tls");
    // The password is `test`.
    let web = format!(
        "tls_server_config: {{ cert_file: {tls}/server.pem, key_file: {tls}/server.key }}\n\
         basic_auth_users: {{ alice: '$2b$04$abcdefghijklmnopqrstuuoD8yw7MmybLKVooaTGGZAt3HXugv2.a' }}\n"
    );
    std::fs::write(home.path("web.yml"), web).unwrap();
    let address = free_address();
    let arguments = [
        format!("--web.listen-address={address}"),
        format!("--web.config.file={}", home.path("web.yml").display()),
    ];
    let exporter =
        Server::start("prometheus-node-exporter", address, "/", &arguments, &home.path("exporter.log"));
    if exporter.is_none() {
        return skipped("prometheus-node-exporter is not installed");
    }
    let target = format!(
        "  scheme: https\n  scrape_interval: 2s\n  scrape_timeout: 2s\n  static_configs: [{{ targets: ['{address}'] }}]\n"
    );
    let right = "  basic_auth: { username: alice, password: test }\n";
    let trusted = format!("  tls_config: {{ ca_file: {tls}/ca.pem, server_name: target.test }}\n");
    let up = start(
        &home,
        &format!(
            "- job_name: node\n{target}{right}{trusted}\
             - job_name: password\n{target}{trusted}  basic_auth: {{ username: alice, password: wrong }}\n\
             - job_name: stranger\n{target}{right}  tls_config: {{ server_name: target.test }}\n\
             - job_name: name\n{target}{right}  tls_config: {{ ca_file: {tls}/ca.pem }}\n"
        ),
    );
    becomes(&up, "up{job=\"node\"}", "1");
    becomes(&up, "sum(up)", "1");
    becomes(&up, "count(up)", "4");
    let cpus: u32 =
        now(&up, "count(node_cpu_seconds_total{mode=\"idle\",job=\"node\"})").unwrap().parse().unwrap();
    assert!(cpus >= 1);
    for (job, words) in [("password", "401"), ("stranger", "certificate"), ("name", "certificate")] {
        let target = active(&up).into_iter().find(|t| t["scrapePool"] == job).unwrap();
        let said = target["lastError"].as_str().unwrap().to_lowercase();
        assert!(said.contains(words), "{job}: {said}");
    }
}

#[test]
fn a_target_that_gives_too_much_is_down_and_harms_no_other() {
    let home = Home::new();
    let (good, much) = (Site::page(PAGE), Site::page(PAGE));
    let long = Site::start(|_| Reply::metrics("# a comment\n".repeat(10_000)));
    let broken = Site::page("shop_queue_length 1\nthis is { no metric\n");
    let job = |name: &str, site: &Site, keys: &str| {
        format!("- job_name: {name}\n{keys}  static_configs: [{{ targets: ['{}'] }}]\n", site.address)
    };
    let jobs = [
        job("good", &good, ""),
        job("much", &much, "  sample_limit: 4\n"),
        job("long", &long, "  body_size_limit: 1KB\n"),
        job("labels", &much, "  label_value_length_limit: 10\n"),
        job("broken", &broken, ""),
    ];
    let up = start(&home, &jobs.concat());
    becomes(&up, "count(up)", "5");
    for (name, wanted) in [("good", "1"), ("much", "0"), ("long", "0"), ("labels", "0"), ("broken", "0")] {
        becomes(&up, &format!("up{{job=\"{name}\"}}"), wanted);
    }
    let shops = up.query("count by (job) ({__name__=~\"shop_.*\"})").json;
    assert_eq!(shops["data"]["result"].as_array().unwrap().len(), 1, "a page counts as a whole: {shops}");
    let said = |job: &str| {
        let target = active(&up).into_iter().find(|t| t["scrapePool"] == job).unwrap();
        target["lastError"].as_str().unwrap().to_owned()
    };
    assert!(
        said("much").contains("sample_limit") || said("much").contains("sample limit"),
        "{}",
        said("much")
    );
    assert!(
        said("long").contains("body_size_limit") || said("long").contains("body size"),
        "{}",
        said("long")
    );
    assert!(said("broken").contains("line 2"), "{}", said("broken"));
    assert_eq!(said("good"), "");
    assert_eq!(now(&up, "scrape_samples_scraped{job=\"much\"}").as_deref(), Some("5"));
}

#[test]
fn the_series_of_a_target_that_dies_end_at_once_and_go_on_when_it_is_back() {
    let home = Home::new();
    let page = Site::page(PAGE);
    let address = page.address;
    let up = start(&home, &format!("- job_name: shop\n  static_configs: [{{ targets: ['{address}'] }}]\n"));
    becomes(&up, "count({__name__=~\"shop_.*\"})", "3");
    drop(page);
    becomes(&up, "up", "0");
    ends(&up, "{__name__=~\"shop_.*\"}");
    assert!(active(&up)[0]["lastError"].as_str().unwrap().contains("refused"), "{:?}", active(&up));
    let past = up.query("count_over_time(shop_queue_length[1m])").json;
    assert!(!rows(&past["data"]).is_empty(), "the past is still there");
    // One of its series is gone when it comes back.
    let page = Site::start_at(address, |_| Reply::metrics("shop_queue_length 9\n"));
    becomes(&up, "shop_queue_length", "9");
    ends(&up, "shop_orders_total");
    drop(page);
    drop(up);
}

#[test]
fn when_wellkept_itself_stops_no_series_ends() {
    let home = Home::new();
    let page = Site::page(PAGE);
    let jobs = format!("- job_name: shop\n  static_configs: [{{ targets: ['{}'] }}]\n", page.address);
    let up = start(&home, &jobs);
    becomes(&up, "shop_queue_length", "4.5");
    assert_eq!(up.terminate(), Some(0));
    drop(page);
    let up = Up::store(&home, None);
    assert_eq!(now(&up, "shop_queue_length").as_deref(), Some("4.5"));
}

#[test]
fn a_configuration_with_mistakes_is_refused_at_the_start() {
    let home = Home::new();
    let start = |jobs: &str| {
        let keep = files(&home, jobs);
        let mut command = wellkept();
        command
            .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(home.data())
            .arg("--keep")
            .arg(keep);
        run(&mut command)
    };
    let ended = start("- job_name: a\n  scrape_intervall: 1s\n");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.out.is_empty() && !home.data().exists(), "nothing was begun or announced: {}", ended.out);
    for word in ["prometheus.yml:4:3", "scrape_intervall", "scrape_interval"] {
        assert!(ended.err.contains(word), "`{word}` is missing: {}", ended.err);
    }
    let ended = start("- job_name: a\n  kubernetes_sd_configs: [{ role: pod }]\n");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("kubernetes_sd_configs"), "{}", ended.err);
    std::fs::remove_file(home.path("prometheus.yml")).unwrap();
    let mut command = wellkept();
    command.args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(home.data());
    let ended = run(command.arg("--keep").arg(home.path("wellkept.yml")));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("prometheus.yml") && ended.err.lines().count() == 1, "{ended:?}");
}
