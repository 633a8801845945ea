//! What PromQL means here, case by case; the cases lie in `scripts/`, in the format of Prometheus' promqltest.

use wellkept_promql::{Limits, script};

fn check(text: &str, limits: &Limits) {
    let report = script::run(text, limits, &|| false);
    let failures: Vec<String> = report
        .failed()
        .map(|c| format!("line {}: {}\n  {}", c.line, c.query, c.failure.as_deref().unwrap_or_default()))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} failed\n{}",
        failures.len(),
        report.cases.len(),
        failures.join("\n")
    );
    assert!(!report.cases.is_empty(), "a script without a case checks nothing");
}

macro_rules! scripts {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(include_str!(concat!("scripts/", stringify!($name), ".test")), &Limits::default());
        }
    )*};
}

scripts! {
    aggregations
    edges
    fill
    functions
    histograms
    info
    labels
    literals
    native
    newer
    operators
    over_time
    rates
    refused
    selectors
    subqueries
    trim
}

#[test]
fn names_can_be_kept_until_the_end() {
    let limits = Limits { delayed_name_removal: true, ..Limits::default() };
    check(include_str!("scripts/delayed/names.test"), &limits);
}

#[test]
fn the_selectors_of_an_expression_are_found_wherever_they_stand() {
    let text = "sum by (a) (rate(b_total{x=\"1\"}[5m] offset 1h)) / on(a) group_left c \
                + max_over_time((d - c)[1h:1m]) > bool scalar(e) or topk(scalar(f), vector(1))";
    let found = wellkept_promql::selectors(text, &Limits::default()).unwrap();
    let name = |matchers: &Vec<wellkept_model::Matcher>| {
        matchers.iter().find(|m| m.name() == "__name__").unwrap().value().to_owned()
    };
    assert_eq!(found.iter().map(name).collect::<Vec<_>>(), ["b_total", "c", "d", "e", "f"]);
    assert_eq!(found[0].len(), 2);
}
