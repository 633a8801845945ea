//! What PromQL means here, case by case; the cases lie in `cases/`.

mod harness;

use harness::check;

macro_rules! cases {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(include_str!(concat!("cases/", stringify!($name), ".test")));
        }
    )*};
}

cases! {
    aggregations
    functions
    histograms
    labels
    literals
    operators
    over_time
    rates
    refused
    selectors
    subqueries
}
