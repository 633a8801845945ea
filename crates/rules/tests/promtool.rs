//! Our verdicts beside promtool's, on the same files. Without promtool on this machine each test says so by name.

use std::path::{Path, PathBuf};
use std::process::Command;

use wellkept_promql::Limits;
use wellkept_rules::{check, unit};

/// The working folder of one test, empty; `None` when promtool is not installed.
#[expect(clippy::print_stdout, reason = "a test that did not run must say so")]
fn folder(test: &str) -> Option<PathBuf> {
    if Command::new("promtool").arg("--version").output().is_err() {
        println!("skipped: {test} needs promtool, which is not installed");
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    Some(folder)
}

/// promtool's verdict and what it said.
fn promtool(folder: &Path, what: &str, file: &str) -> (bool, String) {
    let done =
        Command::new("promtool").args([what, "rules", file]).current_dir(folder).output().expect("promtool");
    let said = [done.stdout, done.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    (done.status.success(), said)
}

/// Our verdict on a unit-test file and what we said.
fn ours(folder: &Path, file: &str) -> (bool, String) {
    let text = std::fs::read_to_string(folder.join(file)).expect("the test file");
    let mut load = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).map_err(|e| e.to_string())?;
        Ok(vec![(name.to_owned(), text)])
    };
    match unit::run(file, &text, &mut load, &Limits::default(), &|| false) {
        Ok(report) => (report.passed(), report.to_string()),
        Err(e) => (false, e.to_string()),
    }
}

#[test]
fn example_files_are_judged_alike() {
    if folder("example_files").is_none() {
        return;
    }
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/rules");
    assert!(promtool(&examples, "check", "host.rules.yml").0);
    let (theirs, said) = promtool(&examples, "test", "host.test.yml");
    let (passed, report) = ours(&examples, "host.test.yml");
    assert!(theirs && passed, "{said}\n{report}");
}

#[test]
fn rule_files_are_accepted_and_refused_alike() {
    let Some(folder) = folder("rule_files") else { return };
    let rule = |lines: &str| {
        let lines: String = lines.split('|').map(|l| format!("    {l}\n")).collect();
        format!("groups:\n- name: g\n  rules:\n  -\n{lines}")
    };
    let cases = [
        "groups:\n".to_owned(),
        "groups: []\n".to_owned(),
        "groups:\n- name: a\n  rules: []\n".to_owned(),
        "groups:\n- name: a\n".to_owned(),
        "groups:\n- rules: []\n".to_owned(),
        "groups:\n- {name: a, rules: []}\n- {name: a, rules: []}\n".to_owned(),
        "gruops: []\n".to_owned(),
        "groups:\n- {name: a, interval: 5, rules: []}\n".to_owned(),
        "groups:\n- {name: a, interval: 1m30s, limit: 3, rules: []}\n".to_owned(),
        "groups:\n- {name: a, interval: 30s1m, rules: []}\n".to_owned(),
        "groups:\n- {name: a, limit: x, rules: []}\n".to_owned(),
        rule("record: a|expr: up"),
        rule("record: 'a:b:c'|expr: sum(up)|labels: {x: 1, y: true}"),
        rule("record: 'a{b}'|expr: up"),
        rule("record: a|alert: b|expr: up"),
        rule("expr: up"),
        rule("record: a"),
        rule("record: a|expr: ''"),
        rule("record: a|expr: sum("),
        rule("record: a|expr: rate(up)"),
        rule("record: a|expr: up|for: 5m"),
        rule("record: a|expr: up|for: 0s"),
        rule("record: a|expr: up|annotations: {a: b}"),
        rule("record: a|expr: up|annotations: {}"),
        rule("alert: a|expr: up|for: 1h30m|keep_firing_for: 5m"),
        rule("alert: a|expr: up|for: 5"),
        rule("alert: a|expr: up|for: 0"),
        rule("alert: 'any name at all'|expr: up"),
        rule("alert: a|expr: up|labels: {__name__: x}"),
        rule("alert: a|expr: up|labels: [x]"),
        rule("alert: a|expr: up|unknown: x"),
        rule("alert: a|expr: up|annotations: {s: '{{ $labels.x }} {{ $value | humanize }}'}"),
        rule("alert: a|expr: up|annotations: {s: '{{ $lables.x }}'}"),
        rule("alert: a|expr: up|annotations: {s: '{{ humanise $value }}'}"),
        rule("alert: a|expr: up|annotations: {s: '{{ if }}x{{ end }}'}"),
        rule("alert: a|expr: up|annotations: {s: '{{ range query \"up\" }}x'}"),
        rule("alert: a|expr: up|annotations: {s: '{{ .Nope }}'}"),
        rule("alert: a|expr: up|annotations: {s: '{{ printf \"%d\" }}'}"),
        rule("alert: a|expr: up|annotations: {s: '{{'}"),
        rule("alert: a|expr: up|annotations: {s: '}}'}"),
        rule("alert: a|expr: up|annotations: {s: '{{ \"a }}'}"),
        rule("alert: a|expr: up|annotations: {s: '{{ 1 | 2 }}'}"),
        rule("alert: a|expr: up|annotations: {s: '{{/* x */}} {{- 3 -}} {{ -3 }}'}"),
        rule("alert: a|expr: up|annotations: {s: '{{ $x := 1 }}{{ $y = 2 }}'}"),
        rule("alert: a|expr: up|labels: {severity: '{{ if gt $value 1.0 }}page{{ else }}x{{ end }}'}"),
        "groups:\n- name: g\n  rules:\n  - &a {alert: A, expr: up, labels: &l {s: p}}\n  - {alert: B, expr: up, labels: *l}\n"
            .to_owned(),
        "groups:\n- name: g\n  rules:\n  - {record: a, expr: up}\n  - {record: a, expr: up}\n".to_owned(),
        "groups: {\n".to_owned(),
    ];
    let mut wrong = Vec::new();
    for (i, text) in cases.iter().enumerate() {
        let name = format!("{i}.yml");
        std::fs::write(folder.join(&name), text).unwrap();
        let (theirs, said) = promtool(&folder, "check", &name);
        let own = check(&name, text);
        if own.is_ok() != theirs {
            wrong.push(format!("{text}\npromtool: {said}\nours: {:?}", own.map(|c| c.recording)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

/// Templates whose output must be the same to the byte. promtool gives the samples of a query in any order, so each
/// template asks for one or sorts. Left out: `pathPrefix` and `externalURL`, which promtool
/// cannot do, and words on which Debian's build and Prometheus' own differ in `title`.
const TEMPLATES: &[&str] = &[
    r#"{{ $value }} {{ .Value }} {{ $labels }} {{ $labels.nope }}|{{ $externalLabels.dc }} {{ $externalURL }}"#,
    r#"{{ 1e6 }} {{ 1e20 }} {{ 1e21 }} {{ 123456789.0 }} {{ 0.00001 }} {{ 100000.0 }} {{ 1234567.5 }} {{ -0.5 }} {{ 1e-7 }}"#,
    r#"{{ printf "%v|%5.1f|%q|%x|%d|%s|%t|%T" 1e21 2.55 "a\"b" 255 42 "x" true 1.5 }}"#,
    r#"{{ printf "%06.2f|%+d|%-6d|%6s|%-6s|%.2s|%e|%E|%g|%G|%.3g|%8.3e" 3.14159 5 7 "ab" "cd" "efgh" 12345.678 0.00012 1e9 1e-9 1234.5 99.5 }}"#,
    r#"{{ printf "%d %s %d %z" 1.5 2.5 }}|{{ printf "x" 1 "a" }}|{{ printf "%" }}|{{ printf "%!" 1 }}|{{ printf "%[2]d %[1]d" 1 2 }}"#,
    r#"{{ printf "%x %X %#x %c %U %b %o %08b %q" 3735928559 255 255 233 233 5 8 5 65 }}|{{ printf "%5t|%v|%s" true nil nil }}"#,
    r#"{{ printf "%v %s" $externalLabels $externalLabels }} {{ printf "%5d|%05d|%+.1e|% d" 42 -42 12345.0 7 }}"#,
    r#"{{ print 1 2 "a" "b" 3 4.5 true nil }}|{{ println "x" 1 "y" }}|{{ print }}"#,
    r#"{{ humanize 0.0 }} {{ humanize 1.0 }} {{ humanize 999.96 }} {{ humanize 1234567.0 }} {{ humanize -1500.0 }} {{ humanize 0.0001234 }} {{ humanize 1e30 }} {{ humanize 1e-30 }}"#,
    r#"{{ humanize1024 0.0 }} {{ humanize1024 1.0 }} {{ humanize1024 1048576.0 }} {{ humanize1024 1500000.0 }} {{ humanize1024 -2048.0 }} {{ "1024" | humanize1024 }}"#,
    r#"{{ humanizeDuration 0.0 }}|{{ humanizeDuration 1.0 }}|{{ humanizeDuration 59.9 }}|{{ humanizeDuration 3600.0 }}|{{ humanizeDuration 90061.5 }}|{{ humanizeDuration -90.0 }}|{{ humanizeDuration 0.00025 }}|{{ humanizeDuration 31536000.0 }}"#,
    r#"{{ humanizePercentage 0.1234567 }} {{ humanizePercentage 1.0 }} {{ humanizePercentage 123.456 }} {{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp 0.0 }} {{ humanizeTimestamp -1.5 }}"#,
    r#"{{ toTime 1435065584.128 }} {{ parseDuration "1h30m" }} {{ parseDuration "1d" | humanizeDuration }}"#,
    r#"{{ title "foo bAR" }}|{{ title "a-b c_d x2y don’t é" }}|{{ toUpper "aé" }}|{{ toLower "AÉ" }}"#,
    r#"{{ stripPort "a:80" }} {{ stripPort "[::1]:80" }} {{ stripPort "a" }} {{ stripPort "a:b:c" }} {{ stripDomain "a.b.c:80" }} {{ stripDomain "a.b" }} {{ stripDomain "10.0.0.1:80" }} {{ stripDomain "[2001:db8::1]:80" }}"#,
    r#"{{ match "a+" "caat" }} {{ match "^b" "ab" }} {{ reReplaceAll "(.*):(.*)" "$2-${1}x" "a:b" }} {{ reReplaceAll "b" "$$" "abc" }} {{ reReplaceAll "" "-" "ab" }}"#,
    r#"{{ graphLink "up{a=\"b c\"}" }} {{ tableLink "a + b" }}"#,
    r#"{{ query "up > 0" | first | value }} {{ query "up > 0" | first | label "job" }} {{ (query "up > 0" | first).Labels.instance }} {{ query "up" | len }}"#,
    r#"{{ range query "up" | sortByLabel "instance" }}{{ .Labels.instance }}={{ .Value }};{{ end }}"#,
    r#"{{ range $i, $s := sortByLabel "instance" (query "up") }}{{ if $i }}, {{ end }}{{ $i }}:{{ $s.Labels.instance }}{{ end }}"#,
    r#"{{ with query "absent(up)" }}a{{ else }}b{{ end }}{{ with $labels.job }}{{ . }}{{ end }}{{ range query "nothing" }}x{{ else }}y{{ end }}"#,
    r#"{{ range $k, $v := $externalLabels }}{{ $k }}={{ $v }} {{ end }}{{ range $v := $externalLabels }}{{ $v }}{{ end }}"#,
    r#"{{ $x := "a" }}{{ if true }}{{ $x = "b" }}{{ $x := "c" }}{{ $x }}{{ end }}{{ $x }}"#,
    r#"{{ if and true (eq 1 1) (not false) }}1{{ else if true }}2{{ end }}{{ if or false "" }}3{{ else }}4{{ end }}{{ and 1 0 2 }}{{ or 0 "" 5 }}"#,
    r#"{{ eq "a" "b" "a" }} {{ ne 1 2 }} {{ lt 1.5 2.5 }} {{ le "a" "a" }} {{ gt 2 1 }} {{ ge 1 2 }} {{ eq true true }} {{ not "" }}"#,
    r#"{{ define "t" }}<{{ .arg0 }}{{ .arg1 }}>{{ end }}{{ template "t" args 1 "x" }}{{ template "t" (args "y" 2.5) }}"#,
    r#"{{ args 1 "a" }} {{ (args 1).nope }} {{ len "héé" }} {{ len $externalLabels }} {{ index $labels "job" }} {{ index "abc" 1 }} {{ slice "abcdef" 1 3 }} {{ slice "abc" 1 }}"#,
    r#"{{ html "<a>&'\"" }} {{ urlquery "a b&c/é~" }} {{ js "it's <b> \"x\" = \\ é" }} {{ "x" | html | print }}"#,
    "a {{- 1 -}} b {{ 2 -}}  c\n {{- /* no */ -}} d {{/* x */}} e",
    r#"{{ "\u00e9\t\x41\\" }}{{ `raw\n{{ }}` }}{{ 'a' }}{{ 0x1F }}{{ 1_000 }}{{ 0b11 }}{{ 0o17 }}{{ 017 }}{{ +5 }}{{ .5 }}{{ 5. }}"#,
    r#"{{ printf "%s is %.1f" $labels.instance $value | toUpper | printf "%q" }}{{ $labels.instance | reReplaceAll ":.*" "" }}"#,
    r#"{{ with $x := "v" }}{{ $x }}{{ . }}{{ $.Value }}{{ end }}{{ safeHtml "<b>" }}{{ query "up" | first | strvalue }}"#,
    r#"{{ range $i, $e := query "up" }}{{ if eq $i 1 }}{{ break }}{{ end }}[{{ $i }}]{{ continue }}x{{ end }}"#,
    r#"{{ $labels.evil }} {{ $labels.evil | html }}"#,
];

#[test]
fn templates_give_the_same_text() {
    let Some(folder) = folder("templates") else { return };
    let series = r#"
  interval: 1m
  external_url: http://w.example:9090/prom
  external_labels: {dc: eu, az: "1"}
  input_series:
  - {series: 'up{job="node", instance="b:9100", evil="{{ $value }}"}', values: '0x5'}
  - {series: 'up{job="node", instance="a:9100"}', values: '1x5'}
"#;
    let mut wrong = Vec::new();
    for (i, template) in TEMPLATES.iter().enumerate() {
        let (rules, test) = (format!("{i}.rules.yml"), format!("{i}.test.yml"));
        let quoted = serde_json::to_string(template).unwrap();
        let rule = format!(
            "groups:\n- name: g\n  rules:\n  - {{alert: A, expr: up == 0, annotations: {{t: {quoted}}}}}\n"
        );
        std::fs::write(folder.join(&rules), rule).unwrap();
        let labels = r#"{job: node, instance: "b:9100", evil: "{{ $value }}"}"#;
        let case = |text: &str| {
            let text = serde_json::to_string(text).unwrap();
            format!(
                "rule_files: [{rules}]\ntests:\n-{}  alert_rule_test:\n  - {{eval_time: 1m, alertname: A, exp_alerts: [{{exp_labels: {labels}, exp_annotations: {{t: {text}}}}}]}}\n",
                &series[2..]
            )
        };
        // What we expand it to, taken from our own report.
        std::fs::write(folder.join(&test), case("?")).unwrap();
        let text = std::fs::read_to_string(folder.join(&test)).unwrap();
        let mut load = |name: &str| {
            Ok(vec![(
                name.to_owned(),
                std::fs::read_to_string(folder.join(name)).map_err(|e| e.to_string())?,
            )])
        };
        let report = match unit::run(&test, &text, &mut load, &Limits::default(), &|| false) {
            Ok(report) => report,
            Err(e) => {
                wrong.push(format!("{template}\nours: {e}"));
                continue;
            }
        };
        let line = report.tests[0].failures[0].diff.iter().find_map(|line| match line {
            unit::DiffLine::Unwanted(line) => Some(line.clone()),
            _ => None,
        });
        let line = line.expect("the alert fires");
        let shown = line.rsplit_once("{t=").map(|(_, t)| t.trim_end_matches('}').to_owned());
        let expanded = annotation(&line);
        std::fs::write(folder.join(&test), case(&expanded)).unwrap();
        let (same, said) = promtool(&folder, "test", &test);
        if !same {
            let got = said.lines().filter(|l| l.contains("Annotations")).collect::<Vec<_>>().join("\n");
            wrong.push(format!(
                "{template}\nours: {}\n{got}\n{}",
                shown.unwrap_or_default(),
                if got.is_empty() { said } else { String::new() }
            ));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n----\n"));
}

/// The annotation `t` of a line of a comparison: it is written there as Rust writes texts.
fn annotation(line: &str) -> String {
    let start = line.rfind("{t=\"").expect("the annotation is shown") + 4;
    let mut out = String::new();
    let mut chars = line[start..].chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('u') => {
                    let hex: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                    out.extend(u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32));
                }
                Some(c) => out.push(c),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

#[test]
fn unit_tests_pass_and_fail_alike() {
    let Some(folder) = folder("unit_tests") else { return };
    let rules = r#"
groups:
- name: one
  rules:
  - {record: a, expr: sum(x)}
  - {alert: A, expr: x > 2, for: 2m, labels: {n: "{{ $value }}", s: p}, annotations: {i: "{{ $labels.i }}"}}
- name: two
  rules:
  - {alert: B, expr: a > 3, keep_firing_for: 3m}
  - {record: c, expr: 'count(ALERTS) by (alertname, alertstate)'}
"#;
    std::fs::write(folder.join("rules.yml"), rules).unwrap();
    let series = "input_series:\n  - {series: 'x{i=\"1\"}', values: '0+1x5 _x2 stale 3 4'}\n  - {series: 'x{i=\"2\"}', values: '1x9'}\n";
    let mut tests = Vec::new();
    for minute in 0..=10 {
        for (alert, labels) in [("A", "{i: '1', s: p, n: '3'}"), ("A", "{i: '1', s: p, n: '4'}"), ("B", "{}")]
        {
            let i = if alert == "A" { "{i: '1'}" } else { "{}" };
            tests.push(format!("  alert_rule_test:\n  - {{eval_time: {minute}m, alertname: {alert}, exp_alerts: [{{exp_labels: {labels}, exp_annotations: {i}}}]}}\n"));
            tests.push(format!(
                "  alert_rule_test:\n  - {{eval_time: {minute}m, alertname: {alert}, exp_alerts: []}}\n"
            ));
        }
        for (expr, labels, values) in [
            ("a", "a", [1, 2, 3, 4, 5, 6, 7]),
            ("x", "x{i=\"1\"}", [0, 1, 2, 3, 4, 5, 6]),
            (
                "c{alertstate=\"pending\"}",
                "c{alertname=\"A\", alertstate=\"pending\"}",
                [0, 1, 2, 3, 4, 5, 6],
            ),
            ("count({__name__=~\"ALERTS.*\"})", "{}", [0, 1, 2, 3, 4, 5, 6]),
            (
                "ALERTS_FOR_STATE{alertname=\"B\"}",
                "ALERTS_FOR_STATE{alertname=\"B\"}",
                [60, 120, 180, 240, 300, 480, 540],
            ),
        ] {
            for value in values {
                tests.push(format!("  promql_expr_test:\n  - {{expr: '{expr} #N', eval_time: {minute}m30s, exp_samples: [{{labels: '{labels}', value: {value}}}]}}\n"));
            }
            tests.push(format!(
                "  promql_expr_test:\n  - {{expr: '{expr} #N', eval_time: {minute}m, exp_samples: []}}\n"
            ));
        }
    }
    // promtool names the test of an alert that fails, and the expression of one that does; hence the comments.
    let body: String = tests
        .iter()
        .enumerate()
        .map(|(i, t)| {
            format!("- name: case{i}\n  interval: 1m\n  {series}{}", t.replace("#N", &format!("# case{i};")))
        })
        .collect();
    let text = format!("rule_files: [rules.yml]\ngroup_eval_order: [one, two]\ntests:\n{body}");
    std::fs::write(folder.join("test.yml"), &text).unwrap();
    let mut load = |_: &str| Ok(vec![("rules.yml".to_owned(), rules.to_owned())]);
    let report = unit::run("test.yml", &text, &mut load, &Limits::default(), &|| false).unwrap();
    let (_, said) = promtool(&folder, "test", "test.yml");
    let mut wrong = Vec::new();
    let mut passed = 0;
    for (i, test) in tests.iter().enumerate() {
        let theirs = !said.contains(&format!("name: case{i},")) && !said.contains(&format!("# case{i};"));
        let own = report.tests[i].failures.is_empty();
        passed += usize::from(own);
        if own != theirs {
            wrong.push(format!("{test}promtool passes: {theirs}\nours: {:?}", report.tests[i].failures));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), tests.len(), wrong.join("\n----\n"));
    assert!(passed > 30 && passed < tests.len(), "the cases hold both kinds: {passed} of {}", tests.len());
}
