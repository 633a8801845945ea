//! Each action of relabeling, and the rules that are refused.

use super::*;

fn text(action: &str) -> RuleText {
    RuleText { action: Action::from_word(action).expect("a known action"), ..RuleText::default() }
}

fn labels(written: &str) -> Labels {
    Labels::new(written.split_whitespace().filter_map(|pair| pair.split_once('=')))
}

/// What becomes of a set; `None` in `after` means that it is dropped.
#[track_caller]
fn check(rule: RuleText, before: &str, after: Option<&str>) {
    let rule = Rule::new(rule).expect("a good rule");
    let result = relabel(&labels(before), &[rule]).map(Cow::into_owned);
    assert_eq!(result, after.map(labels));
}

fn replace(sources: &[&str], regex: Option<&str>, target: &str, replacement: Option<&str>) -> RuleText {
    RuleText {
        source_labels: sources.iter().map(|s| (*s).to_owned()).collect(),
        regex: regex.map(str::to_owned),
        target_label: target.into(),
        replacement: replacement.map(str::to_owned),
        ..RuleText::default()
    }
}

#[test]
fn replace_writes_what_the_expression_found() {
    check(replace(&["a"], None, "d", None), "a=foo", Some("a=foo d=foo"));
    check(replace(&["a"], Some("f(.*)"), "d", Some("ch${1}-ch${1}")), "a=foo", Some("a=foo d=choo-choo"));
    check(
        replace(&["a", "b"], Some("f(.*);(.*)r"), "a", Some("b${1}${2}m")),
        "a=foo b=bar",
        Some("a=boobam b=bar"),
    );
    check(replace(&["a"], Some("(?P<x>f)oo"), "d", Some("${x}$$1")), "a=foo", Some("a=foo d=f$1"));
    check(replace(&["a"], Some("oo"), "d", Some("x")), "a=foo", Some("a=foo"));
    check(replace(&["a"], Some("f|foo"), "d", Some("x")), "a=foo", Some("a=foo d=x"));
}

#[test]
fn a_name_after_the_sign_is_as_long_as_it_can_be() {
    check(replace(&["a"], Some("(f)oo"), "d", Some("$1x")), "a=foo d=old", Some("a=foo"));
}

#[test]
fn an_empty_result_removes_the_label() {
    check(replace(&["a"], Some("(f)(x)?.*"), "a", Some("$2")), "a=foo b=1", Some("b=1"));
    check(replace(&[], None, "a", Some("")), "a=foo b=1", Some("b=1"));
    check(replace(&[], None, "a", Some("v")), "b=1", Some("a=v b=1"));
}

#[test]
fn the_target_can_be_made_by_the_expression() {
    check(
        replace(&["a"], Some("some-([^-]+)-([^,]+)"), "${1}", Some("${2}")),
        "a=some-name-value",
        Some("a=some-name-value name=value"),
    );
    check(replace(&["a"], Some("(x)?.*"), "${1}", Some("v")), "a=foo", Some("a=foo"));
}

#[test]
fn keep_and_drop_judge_the_whole_set() {
    let with = |action, regex: &str| RuleText {
        source_labels: vec!["a".into()],
        regex: Some(regex.into()),
        ..text(action)
    };
    check(with("keep", "foo|bar"), "a=foo", Some("a=foo"));
    check(with("keep", "fo"), "a=foo", None);
    check(with("drop", "f.o"), "a=foo", None);
    check(with("drop", "fo"), "a=foo", Some("a=foo"));
    check(with("keep", ""), "b=1", Some("b=1"));
    let equal =
        |action| RuleText { source_labels: vec!["a".into()], target_label: "b".into(), ..text(action) };
    check(equal("keepequal"), "a=1 b=1", Some("a=1 b=1"));
    check(equal("keepequal"), "a=1 b=2", None);
    check(equal("dropequal"), "a=1 b=1", None);
    check(equal("dropequal"), "a=1", Some("a=1"));
}

#[test]
fn a_line_break_is_matched_by_a_dot_and_not_by_an_anchor() {
    let rule =
        Rule::new(RuleText { source_labels: vec!["a".into()], regex: Some("x.y".into()), ..text("keep") });
    let rules = [rule.expect("a good rule")];
    assert!(relabel(&Labels::new([("a", "x\ny")]), &rules).is_some());
    assert!(relabel(&Labels::new([("a", "x-y\n")]), &rules).is_none());
}

#[test]
fn names_are_mapped_dropped_and_kept() {
    let with = |action, regex: &str, replacement: Option<&str>| RuleText {
        regex: Some(regex.into()),
        replacement: replacement.map(str::to_owned),
        ..text(action)
    };
    check(with("labelmap", "meta_(.+)", None), "meta_ns=x b=1", Some("meta_ns=x ns=x b=1"));
    check(with("labelmap", "b(.*)", Some("c_$1")), "b1=x b=1", Some("b1=x b=1 c_1=x c_=1"));
    check(with("labeldrop", "b.*", None), "a=1 b1=2 b=3", Some("a=1"));
    check(with("labelkeep", "b.*", None), "a=1 b1=2 b=3", Some("b1=2 b=3"));
}

#[test]
fn letters_change_case_and_hashes_are_those_of_prometheus() {
    let with =
        |action| RuleText { source_labels: vec!["a".into()], target_label: "t".into(), ..text(action) };
    check(with("lowercase"), "a=BaR", Some("a=BaR t=bar"));
    check(with("uppercase"), "a=BaR", Some("a=BaR t=BAR"));
    check(with("uppercase"), "t=old", Some(""));
    // Prometheus' own test: the labels foo, bar and baz joined give 976 of 1000.
    let hashed = RuleText {
        source_labels: vec!["c".into()],
        target_label: "d".into(),
        separator: Some(";".into()),
        modulus: 1000,
        ..text("hashmod")
    };
    check(hashed, "a=foo b=bar c=baz", Some("a=foo b=bar c=baz d=976"));
}

#[test]
fn rules_are_applied_in_order_until_one_drops() {
    let rules: Vec<Rule> = [
        replace(&["a"], None, "b", None),
        RuleText { source_labels: vec!["b".into()], regex: Some("foo".into()), ..text("drop") },
        replace(&[], None, "c", Some("never")),
    ]
    .into_iter()
    .map(|t| Rule::new(t).expect("a good rule"))
    .collect();
    assert_eq!(relabel(&labels("a=foo"), &rules), None);
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    for (rule, error) in [
        (text("replace"), RuleError::Needs("target_label")),
        (text("lowercase"), RuleError::Needs("target_label")),
        (RuleText { target_label: "a".into(), ..text("hashmod") }, RuleError::Needs("modulus")),
        (
            RuleText { source_labels: vec!["a".into()], ..text("labeldrop") },
            RuleError::TakesNo("source_labels"),
        ),
        (
            RuleText { target_label: "a".into(), regex: Some("x".into()), ..text("keepequal") },
            RuleError::TakesNo("regex"),
        ),
        (
            RuleText { target_label: "a".into(), replacement: Some("x".into()), ..text("uppercase") },
            RuleError::TakesNo("replacement"),
        ),
        (RuleText { replacement: Some(String::new()), ..text("labelmap") }, RuleError::Name(String::new())),
    ] {
        assert_eq!(Rule::new(rule).map(|_| ()), Err(error));
    }
    for regex in ["(", "a{1000}{1000}"] {
        let rule = RuleText { regex: Some(regex.into()), ..text("keep") };
        assert!(matches!(Rule::new(rule), Err(RuleError::Regex(_))), "{regex}");
    }
}
