//! Prometheus' rule files: recorded, waited for, told, and refused when they are wrong.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use std::path::{Path, PathBuf};

use common::{Home, Up, now_ms, query_value, rows, run, seconds, wait_for, wellkept};
use serde_json::{Value, json};

const RULES: &str = r#"groups:
- name: shop
  interval: 200ms
  rules:
  - record: shop:queue:double
    expr: 2 * shop_queue_length
    labels: { by: rule }
  - alert: QueueLong
    expr: shop:queue:double > 10
    for: 1s
    keep_firing_for: 1s
    labels: { severity: critical, team: '{{ $labels.room | toUpper }}' }
    annotations:
      summary: 'queue in {{ $labels.room }} is {{ $value | printf "%.1f" }}'
      more: '{{ range query "shop_queue_length" }}{{ .Value }}{{ end }}'
  - alert: Hint
    expr: shop_queue_length > 1
    labels: { severity: none }
"#;

fn keep(home: &Home, rules: &str) -> PathBuf {
    std::fs::write(home.path("shop.rules.yml"), rules).unwrap();
    let files = home.path("*.rules.yml");
    home.keep(format!("metrics: {{ rules: [{}] }}\nautomation: {{ verify_hold: 1s }}\n", files.display()))
}

fn push(up: &Up, value: &str) {
    let line = format!("shop_queue_length{{room=\"hall\"}} {value}\n");
    assert_eq!(up.call("POST", "/api/v1/import/prometheus").body(line).send().status, 204);
}

fn now(up: &Up, query: &str) -> Option<String> {
    query_value(up.address, query, &seconds(now_ms()))
}

fn alert(up: &Up, name: &str) -> Value {
    let all = up.get("/api/v1/alerts")["data"]["alerts"].as_array().unwrap().clone();
    all.into_iter().find(|a| a["labels"]["alertname"] == name).unwrap_or(Value::Null)
}

/// Findings of alerts in all incidents.
fn incidents(up: &Up, word: &str) -> Vec<Value> {
    let ids: Vec<String> = up.incidents().iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect();
    ids.iter().map(|id| up.incident(id)).filter(|i| i.to_string().contains(word)).collect()
}

#[test]
fn an_alert_is_pending_fires_keeps_firing_and_ends() {
    let home = Home::new();
    let up = Up::start(&home, Some(&keep(&home, RULES)));
    push(&up, "3");
    wait_for("the rule records", || {
        (now(&up, "shop:queue:double{by=\"rule\"}").as_deref() == Some("6")).then_some(())
    });
    assert_eq!(alert(&up, "QueueLong"), Value::Null);
    push(&up, "7.25");
    wait_for("it is pending first", || (alert(&up, "QueueLong")["state"] == "pending").then_some(()));
    assert!(incidents(&up, "QueueLong").is_empty(), "what is pending is no finding");
    let (firing, _) =
        wait_for("it fires", || Some(alert(&up, "QueueLong")).filter(|a| a["state"] == "firing"));
    let labels = json!({"alertname": "QueueLong", "by": "rule", "room": "hall", "severity": "critical", "team": "HALL"});
    assert_eq!(firing["labels"], labels);
    assert_eq!(firing["annotations"], json!({"summary": "queue in hall is 14.5", "more": "7.25"}));
    assert_eq!(firing["value"], "1.45e+01");
    assert!(firing["activeAt"].as_str().unwrap().starts_with("20"));
    wait_for("it is a series", || now(&up, "ALERTS{alertname=\"QueueLong\",alertstate=\"firing\"}"));
    wait_for("its wait is a series", || now(&up, "ALERTS_FOR_STATE{alertname=\"QueueLong\"}"));

    let (incident, _) = wait_for("it opens an incident", || incidents(&up, "QueueLong").pop());
    assert_eq!(incident["severity"], "critical", "{incident:#}");
    assert!(incident.to_string().contains("queue in hall is 14.5"), "{incident:#}");
    assert!(incidents(&up, "Hint").is_empty(), "severity none is no finding");
    assert_eq!(alert(&up, "Hint")["state"], "firing");

    push(&up, "1");
    wait_for("its cause is over", || (now(&up, "shop:queue:double").as_deref() == Some("2")).then_some(()));
    let kept = alert(&up, "QueueLong");
    assert!(kept["state"] == "firing" && kept["keepFiringSince"].is_string(), "{kept}");
    wait_for("it ends", || alert(&up, "QueueLong").is_null().then_some(()));
    wait_for("its series ends", || {
        rows(&up.query("ALERTS{alertname=\"QueueLong\"}").json["data"]).is_empty().then_some(())
    });
    wait_for("its incident closes", || {
        let seen = incidents(&up, "QueueLong").pop()?;
        (seen["status"] == "resolved").then_some(())
    });
}

#[test]
fn the_rules_page_tells_what_prometheus_tells() {
    let home = Home::new();
    let up = Up::store(&home, Some(&keep(&home, RULES)));
    push(&up, "7");
    wait_for("all is evaluated", || (alert(&up, "QueueLong")["state"] == "firing").then_some(()));
    let groups = |query: &str| up.get(&format!("/api/v1/rules{query}"))["data"]["groups"].clone();
    let all = groups("");
    let group = &all[0];
    assert_eq!(
        (&group["name"], &group["interval"], &group["limit"]),
        (&json!("shop"), &json!(0.2), &json!(0))
    );
    assert!(group["file"].as_str().unwrap().ends_with("shop.rules.yml"));
    assert!(group["evaluationTime"].is_number() && group["lastEvaluation"].is_string(), "{group}");
    let (record, alert) = (&group["rules"][0], &group["rules"][1]);
    assert_eq!((&record["type"], &record["name"]), (&json!("recording"), &json!("shop:queue:double")));
    assert_eq!((&record["health"], &record["query"]), (&json!("ok"), &json!("2 * shop_queue_length")));
    assert_eq!((&alert["type"], &alert["state"]), (&json!("alerting"), &json!("firing")));
    assert_eq!((&alert["duration"], &alert["keepFiringFor"]), (&json!(1), &json!(1)));
    assert_eq!(alert["alerts"][0]["labels"]["room"], "hall");
    let names = |groups: &Value| -> Vec<String> {
        let rules = groups.as_array().unwrap().iter().flat_map(|g| g["rules"].as_array().unwrap().clone());
        rules.map(|r| r["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&groups("?type=alert")), ["QueueLong", "Hint"]);
    assert_eq!(names(&groups("?type=record")), ["shop:queue:double"]);
    assert_eq!(names(&groups("?rule_name[]=Hint")), ["Hint"]);
    assert!(names(&groups("?rule_group[]=other")).is_empty());
    assert_eq!(groups("?exclude_alerts=true")[0]["rules"][1]["alerts"], json!([]));
    assert_eq!(up.call("GET", "/api/v1/rules?type=nonsense").send().status, 400);
    assert_eq!(up.call("GET", "/alerts").send().status, 200, "the page of the console");
}

#[test]
fn a_rule_that_fails_is_shown_and_the_others_go_on() {
    let home = Home::new();
    let rules = "groups: [{ name: g, interval: 200ms, rules: [\
        { record: bad, expr: 'shop_queue_length + on() (shop_queue_length or other)' },\
        { record: good, expr: shop_queue_length } ] }]\n";
    let up = Up::store(&home, Some(&keep(&home, rules)));
    let lines = "shop_queue_length{room=\"a\"} 1\nshop_queue_length{room=\"b\"} 1\n";
    assert_eq!(up.call("POST", "/api/v1/import/prometheus").body(lines).send().status, 204);
    wait_for("the good one records", || (now(&up, "count(good)").as_deref() == Some("2")).then_some(()));
    let rules = up.get("/api/v1/rules")["data"]["groups"][0]["rules"].clone();
    assert_eq!((&rules[0]["health"], &rules[1]["health"]), (&json!("err"), &json!("ok")), "{rules}");
    assert!(rules[0]["lastError"].as_str().unwrap().contains("match"), "{rules}");
}

#[test]
fn a_rule_file_with_mistakes_is_refused_at_the_start() {
    let home = Home::new();
    let keep = keep(
        &home,
        "groups:\n- name: g\n  rules:\n  - record: a\n    expr: sum(\n  - alert: B\n    exprr: up\n",
    );
    let mut command = wellkept();
    command.args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(home.data()).arg("--keep").arg(&keep);
    let ended = run(&mut command);
    let checked = run(wellkept().arg("check").arg(&keep));
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.out.contains("shop.rules.yml:7:5"), "`check` says what `up` says: {checked:?}");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for word in ["shop.rules.yml:5:11", "shop.rules.yml:7:5", "exprr"] {
        assert!(ended.err.contains(word), "`{word}` is missing: {}", ended.err);
    }
    assert!(ended.out.is_empty() && !home.data().exists(), "nothing was begun or announced: {}", ended.out);
}

fn rules_command(what: &str, file: &Path, more: &[&str]) -> common::Ended {
    run(wellkept().args(["rules", what]).arg(file).args(more))
}

#[test]
fn rule_files_are_checked_by_command() {
    let home = Home::new();
    let file = home.path("a.yml");
    std::fs::write(&file, RULES).unwrap();
    let good = rules_command("check", &file, &[]);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.out.contains("a.yml") && good.out.contains('2') && good.out.contains('1'), "{good:?}");
    let shown: Value =
        serde_json::from_str(&rules_command("check", &file, &["--output", "json"]).out).unwrap();
    assert_eq!((&shown["ok"], &shown["files"][0]["alerting"]), (&json!(true), &json!(2)));
    std::fs::write(&file, "groups:\n- name: g\n  rules:\n  - record: a\n    expr: rate(x)\n").unwrap();
    let bad = rules_command("check", &file, &[]);
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.out.contains("a.yml:5:") && bad.out.contains("rate"), "{bad:?}");
    let bad = rules_command("check", &file, &["--lang", "zh-CN"]);
    assert!(bad.code == Some(1) && !bad.out.is_ascii(), "{bad:?}");
    let absent = rules_command("check", &home.path("absent.yml"), &[]);
    assert_eq!(absent.code, Some(2), "{absent:?}");
    assert!(absent.err.contains("absent.yml"), "{absent:?}");
}

#[test]
fn unit_tests_of_rules_run_by_command_and_agree_with_promtool() {
    let home = Home::new();
    std::fs::write(home.path("a.yml"), RULES).unwrap();
    let test = |wanted: &str| {
        let text = format!(
            "rule_files: [a.yml]\nevaluation_interval: 1s\ntests:\n- interval: 1s\n  input_series:\n  \
             - {{ series: 'shop_queue_length{{room=\"hall\"}}', values: '1 7 7 7 7' }}\n  promql_expr_test:\n  \
             - {{ expr: 'shop:queue:double', eval_time: 2s, exp_samples: [{{ labels: 'shop:queue:double{{by=\"rule\",room=\"hall\"}}', value: {wanted} }}] }}\n"
        );
        let path = home.path("t.yml");
        std::fs::write(&path, text).unwrap();
        path
    };
    // keep_firing_for came to promtool after 2.42.
    let theirs_read = RULES.replace("    keep_firing_for: 1s\n", "");
    for (wanted, code) in [("14", 0), ("15", 1)] {
        let path = test(wanted);
        let ours = rules_command("test", &path, &[]);
        assert_eq!(ours.code, Some(code), "{ours:?}");
        if code == 1 {
            assert!(ours.out.contains("14") && ours.out.contains("15"), "{ours:?}");
        }
        std::fs::write(home.path("a.yml"), &theirs_read).unwrap();
        if let Ok(theirs) = std::process::Command::new("promtool").args(["test", "rules"]).arg(&path).output()
        {
            assert_eq!(theirs.status.success(), code == 0, "{theirs:?}");
        }
        std::fs::write(home.path("a.yml"), RULES).unwrap();
    }
    let broken = home.path("broken.yml");
    std::fs::write(&broken, "rule_files: [absent.yml]\ntests: [{ nonsense: 1 }]\n").unwrap();
    let ended = rules_command("test", &broken, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("nonsense"), "{ended:?}");
}

#[test]
fn an_alert_that_waits_long_goes_on_waiting_after_a_restart() {
    let home = Home::new();
    let up = Up::store(&home, None);
    push(&up, "5");
    // What an evaluation left behind a minute ago: it had waited for half an hour.
    let now = now_ms();
    let (at, since) = (now - 60_000, now / 1000 - 1860);
    let line = format!("ALERTS_FOR_STATE{{alertname=\"Long\",room=\"hall\"}} {since} {at}\n");
    assert_eq!(up.call("POST", "/api/v1/import/prometheus").body(line).send().status, 204);
    up.kill();
    let rules = "groups: [{ name: g, interval: 200ms, rules: [\
        { alert: Long, expr: shop_queue_length > 1, for: 1h } ] }]\n";
    let up = Up::store(&home, Some(&keep(&home, rules)));
    // The time of the outage does not count.
    let wanted = f64::from(i32::try_from(since + 60).unwrap());
    wait_for("it waits since then", || {
        let at: f64 = query_value(up.address, "ALERTS_FOR_STATE", &seconds(now_ms()))?.parse().unwrap();
        ((at - wanted).abs() < 10.0 && alert(&up, "Long")["state"] == "pending").then_some(())
    });
}
