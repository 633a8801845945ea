//! Templates as people write them, and what must not be possible with one.

use super::*;

fn samples() -> Vec<TemplateSample> {
    let sample = |instance, value| TemplateSample {
        labels: Labels::metric("up", [("instance", instance), ("job", "j")]),
        value,
    };
    vec![sample("b", 0.0), sample("a", 1.0)]
}

fn try_expand(text: &str) -> Result<String, TemplateError> {
    let labels = Labels::new([("instance", "db-1:9100"), ("job", "node"), ("evil", "{{ $value }}")]);
    let external = Labels::new([("dc", "eu")]);
    let query = |text: &str| match text {
        "up" => Ok(samples()),
        "none" => Ok(Vec::new()),
        _ => Err("parse error".to_owned()),
    };
    let data = TemplateData {
        labels: &labels,
        external_labels: &external,
        external_url: "http://w.example:9090/prom",
        value: 0.9137,
        now: TimestampMs(1_500_000),
        query: &query,
    };
    Template::parse(text)?.expand(&data)
}

fn check(text: &str, wanted: &str) {
    assert_eq!(try_expand(text).as_deref(), Ok(wanted), "{text}");
}

fn fails(text: &str, part: &str) {
    let e = try_expand(text).expect_err(text);
    assert!(e.to_string().contains(part), "{text}: {e}");
}

#[test]
fn labels_and_values_are_inserted() {
    check("Instance {{ $labels.instance }} of {{.Labels.job}}", "Instance db-1:9100 of node");
    check(
        "{{ $value }} {{ .Value }} {{ $externalLabels.dc }} {{ $externalURL }}",
        "0.9137 0.9137 eu http://w.example:9090/prom",
    );
    check("{{ $labels.nope }}|{{ index $labels \"job\" }}|{{ $.Labels.job }}", "|node|node");
    check("{{ $labels }}", "map[evil:{{ $value }} instance:db-1:9100 job:node]");
}

#[test]
fn values_are_data_and_never_expanded_again() {
    check("{{ $labels.evil }}", "{{ $value }}");
    check("{{ printf \"%s\" $labels.evil | toUpper }}", "{{ $VALUE }}");
}

#[test]
fn pipelines_variables_and_blocks() {
    check("{{ $x := \"a\" }}{{ $x }}{{ $x = \"b\" }}{{ $x }}", "ab");
    check("{{ if eq $labels.job \"x\" }}1{{ else if eq $labels.job \"node\" }}2{{ else }}3{{ end }}", "2");
    check("{{ if gt $value 0.9 }}high{{ end }}", "high");
    check("{{ with query \"none\" }}x{{ else }}none{{ end }}", "none");
    check("{{ with query \"up\" }}{{ . | first | value }}{{ end }}", "0");
    check(
        "{{ range query \"up\" | sortByLabel \"instance\" }}{{ .Labels.instance }}={{ .Value }} {{ end }}",
        "a=1 b=0 ",
    );
    check("{{ range $i, $s := query \"up\" }}{{ $i }}{{ label \"instance\" $s }}{{ end }}", "0b1a");
    check("{{ range $k, $v := $externalLabels }}{{ $k }}={{ $v }}{{ end }}", "dc=eu");
    check("{{ range query \"none\" }}x{{ else }}-{{ end }}", "-");
    check("{{ range 4 }}{{ if eq . 2 }}{{ break }}{{ end }}{{ . }}{{ end }}", "01");
    check("{{ range 3 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ . }}{{ end }}", "02");
    check("{{ $n := 0 }}{{ range query \"up\" }}{{ $n = .Value }}{{ end }}{{ $n }}", "1");
    check("{{ define \"t\" }}<{{ .arg0 }}{{ .arg1 }}>{{ end }}{{ template \"t\" args 1 \"x\" }}", "<1x>");
    check("{{ block \"b\" .Labels }}{{ .job }}{{ end }}{{ tmpl \"b\" $externalLabels }}", "node");
    check("{{ and 1 0 2 }}{{ or 0 \"\" 3 }}{{ not 1 }}{{ and true (gt $value 2.0) }}", "03falsefalse");
}

#[test]
fn blanks_are_trimmed_and_comments_left_out() {
    check("a  {{- \" b \" -}}  c", "a b c");
    check("a {{/* no */}} b {{- /* no */ -}} c", "a  bc");
    check("{{ \"}}\" }}{{ `raw \\n` }}{{ \"\\u00e9\\n\" }}", "}}raw \\né\n");
    check("{{ -3 }} {{ 0x10 }} {{ 1e3 }} {{ 'a' }}", "-3 16 1000 97");
}

#[test]
fn gos_functions() {
    check(
        "{{ printf \"%.2f%% %v %q %5d|%-5s|\" 12.345 $value \"x\" 7 \"ab\" }}",
        "12.35% 0.9137 \"x\"     7|ab   |",
    );
    check(
        "{{ print 1 2 \"a\" \"b\" 3 }}|{{ println \"x\" 1 }}",
        "1 2a b3|x 1\n".replace("2a b3", "2ab3").as_str(),
    );
    check("{{ len \"hé\" }}{{ len $labels }}{{ slice \"abcdef\" 1 3 }}", "33bc");
    check(
        "{{ eq 1 2 1 }}{{ ne 1 2 }}{{ lt \"a\" \"b\" }}{{ le 2 2 }}{{ ge 1.5 2.5 }}",
        "truetruetruetruefalse",
    );
    check(
        "{{ html \"<a>&'\" }} {{ urlquery \"a b&c\" }} {{ \"it's\" | js }}",
        "&lt;a&gt;&amp;&#39; a+b%26c it\\'s",
    );
    check("{{ (index (query \"up\") 1).Labels.instance }}", "a");
}

#[test]
fn prometheus_functions() {
    for (text, wanted) in [
        (
            "{{ humanize 1234567.0 }} {{ humanize 0.00123 }} {{ humanize 0 }} {{ \"1500\" | humanize }}",
            "1.235M 1.23m 0 1.5k",
        ),
        (
            "{{ humanize1024 1048576 }} {{ humanize1024 1 }} {{ humanizePercentage 0.1234567 }}",
            "1Mi 1 12.35%",
        ),
        (
            "{{ humanizeDuration 90061 }}|{{ humanizeDuration 61.5 }}|{{ humanizeDuration 0.0015 }}|{{ humanizeDuration -5.25 }}",
            "1d 1h 1m 1s|1m 1s|1.5ms|-5.25s",
        ),
        ("{{ humanizeTimestamp 1435065584.128 }}", "2015-06-23 13:19:44.128 +0000 UTC"),
        (
            "{{ toTime 1.5 }} {{ toDuration 90 }} {{ now }} {{ parseDuration \"1h30m\" }}",
            "1970-01-01 00:00:01.5 +0000 UTC 1m30s 1500 5400",
        ),
        ("{{ title \"foo bAR it's\" }} {{ toUpper \"é\" }} {{ toLower \"AB\" }}", "Foo BAR It's É ab"),
        (
            "{{ stripPort $labels.instance }} {{ stripDomain \"a.b.c:80\" }} {{ stripDomain \"10.0.0.1:80\" }} {{ stripPort \"[::1]:80\" }} {{ stripPort \"a\" }}",
            "db-1 a:80 10.0.0.1:80 ::1 a",
        ),
        (
            "{{ match \"d.*1\" $labels.instance }} {{ reReplaceAll \"(.*):(.*)\" \"$2-${1}\" $labels.instance }}",
            "true 9100-db-1",
        ),
        (
            "{{ graphLink \"up{}\" }} {{ tableLink \"a b\" }}",
            "/graph?g0.expr=up%7B%7D&g0.tab=0 /graph?g0.expr=a+b&g0.tab=1",
        ),
        ("{{ pathPrefix }} {{ externalURL }}", "/prom http://w.example:9090/prom"),
        (
            "{{ query \"up\" | first | label \"instance\" }}{{ query \"up\" | first | strvalue }}{{ safeHtml \"<b>\" }}",
            "b<b>",
        ),
        ("{{ (args 1).nope }} {{ args 1 \"a\" }}", "<no value> map[arg0:1 arg1:a]"),
    ] {
        check(text, wanted);
    }
}

#[test]
fn a_broken_template_is_refused_with_its_place() {
    for (text, part) in [
        ("{{ $labels.x", "1:13: unclosed action"),
        ("a\n {{ $lables.x }}", "2:5: undefined variable \"$lables\""),
        ("{{ humanise 1 }}", "1:4: function \"humanise\" not defined"),
        ("{{ if 1 }}", "if without {{end}}"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ else }}", "unexpected {{else}}"),
        ("{{ break }}", "outside {{range}}"),
        ("{{ 1 | 2 }}", "non executable command"),
        ("{{ }}", "missing value for command"),
        ("{{ ( 1 }}", "unclosed left paren"),
        ("{{ 1 ) }}", "unexpected right paren"),
        ("{{ \"a }}", "unterminated quoted string"),
        ("{{/* x }}", "unclosed comment"),
        ("{{ 1x }}", "bad number syntax"),
        ("{{ $x := 1 }}{{ if 1 }}{{ $y := 1 }}{{ end }}{{ $y }}", "undefined variable \"$y\""),
        ("{{ define \"a\" }}{{ $labels.x }}{{ end }}", "undefined variable"),
        ("{{ $a, $b := 1 }}", "too many declarations"),
    ] {
        let e = Template::parse(text).expect_err(text).to_string();
        assert!(e.contains(part), "{text}: {e}");
    }
}

#[test]
fn a_failing_expansion_says_where_and_why() {
    fails(
        "{{ gt $value 80 }}",
        "1:4: at <gt $value 80>: error calling gt: incompatible types for comparison",
    );
    fails("{{ .Nope }}", "can't evaluate field Nope in type struct");
    fails("{{ query \"none\" | first }}", "first() called on vector with no elements");
    fails("{{ query \"(\" }}", "error calling query: parse error");
    fails("{{ toUpper 1 }}", "wrong type for value; expected string; got int");
    fails("{{ \"x\" | humanize }}", "invalid syntax");
    fails("{{ $nope = 1 }}", "undefined variable: $nope");
    fails("{{ $value 1 }}", "can't give argument to non-function $value");
    fails("{{ template \"x\" }}", "template \"x\" not defined");
    fails("{{ range $value }}{{ end }}", "range can't iterate over 0.9137");
    fails("{{ match \"(\" \"a\" }}", "is not accepted");
}

#[test]
fn no_template_fills_memory_or_runs_on() {
    fails("{{ range 90000 }}aaaaaaaaaaaaaaaaaaaa{{ end }}", "bytes");
    fails("{{ range 90000 }}{{ end }}{{ range 100000000 }}{{ $x := 1 }}{{ end }}", "steps");
    fails("{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}", "more than 32 deep");
    fails("{{ range 100 }}{{ query \"up\" }}{{ end }}", "at most 20 queries");
    fails("{{ range 1000 }}{{ $x := match \"a\" \"b\" }}{{ end }}", "at most 100 regular");
    fails("{{ $x := 1 }}{{ range 90000 }}{{ $x = args $x }}{{ end }}", "more than 16 deep");
    fails(
        "{{ range 10000 }}{{ with $x := query \"up\" }}{{ break }}{{ end }}{{ end }}{{ $x := query \"up\" }}{{ range 199990 }}{{ $x = sortByLabel \"a\" $x }}{{ end }}",
        "steps",
    );
    let nested = format!("{}{{{{ template \"a\" }}}}{}", "{{ if 1 }}".repeat(28), "{{ end }}".repeat(28));
    fails(
        &format!("{{{{ define \"a\" }}}}{nested}{{{{ end }}}}{{{{ template \"a\" }}}}"),
        "more than 100 deep",
    );
    let double = "{{ $x := \"aaaaaaaaaaaaaaaa\" }}".to_owned() + &"{{ $x = print $x $x }}".repeat(40);
    fails(&double, "bytes");
    fails(
        "{{ $x := printf \"%1000d\" 1 }}{{ $x := print $x $x $x $x $x $x $x $x }}{{ reReplaceAll \".\" $x $x }}",
        "bytes",
    );
    fails(
        "{{ $x := printf \"%1000d\" 1 }}{{ $y := reReplaceAll \" \" \"$0$0$0$0\" $x }}{{ $z := reReplaceAll \" \" \"$$0\" $y }}{{ reReplaceAll \".*\" $z $z }}",
        "too long",
    );
    fails("{{ match \"((a{1000}){1000}){1000}\" \"a\" }}", "is not accepted");
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(Template::parse(&deep).unwrap_err().message.contains("deep"));
    let deep = "{{ if 1 }}".repeat(5000);
    assert!(Template::parse(&deep).unwrap_err().message.contains("deep"));
    assert!(Template::parse(&"a".repeat(TEMPLATE_MAX + 1)).unwrap_err().message.contains("at most"));
}

#[test]
fn a_failure_becomes_a_text_that_says_so() {
    let data = TemplateData {
        labels: &Labels::default(),
        external_labels: &Labels::default(),
        external_url: "",
        value: 1.0,
        now: TimestampMs(0),
        query: &|_| Ok(Vec::new()),
    };
    let text = Template::parse("{{ .Nope }}").unwrap().expand_or_say("A", &data);
    assert!(text.starts_with("<error expanding template: error executing template __alert_A: template: __alert_A:1:4: executing \"__alert_A\" at <.Nope>: can't evaluate field Nope"), "{text}");
}

proptest::proptest! {
    #[test]
    fn no_text_ends_the_process(text in "(\\{\\{|\\}\\}|-| |\\$labels|\\.|x|\\||\\(|\\)|\"|'|`|if|end|range|else|with|define|printf|:=|=|1|0x|e|,|/\\*|\\*/|é|\n){0,40}") {
        if let Ok(done) = try_expand(&text) {
            proptest::prop_assert!(done.len() < 1 << 20);
        }
    }
}
