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
