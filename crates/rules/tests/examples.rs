//! The example rule files are right, and their unit tests pass.

use std::path::{Path, PathBuf};

use wellkept_promql::Limits;
use wellkept_rules::{check, unit};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/rules")
}

#[test]
fn the_example_rules_have_no_mistakes_and_no_warnings() {
    let text = std::fs::read_to_string(examples().join("host.rules.yml")).unwrap();
    let checked = check("host.rules.yml", &text).unwrap_or_else(|e| panic!("{e}"));
    assert!(checked.alerting >= 12 && checked.warnings.is_empty(), "{:?}", checked.warnings);
}

#[test]
fn the_unit_tests_of_the_example_rules_pass() {
    let text = std::fs::read_to_string(examples().join("host.test.yml")).unwrap();
    let mut load = |name: &str| {
        let text = std::fs::read_to_string(examples().join(name)).map_err(|e| e.to_string())?;
        Ok(vec![(name.to_owned(), text)])
    };
    let report = unit::run("host.test.yml", &text, &mut load, &Limits::default(), &|| false);
    let report = report.unwrap_or_else(|e| panic!("{e}"));
    assert!(report.passed() && report.tests.len() == 5, "{report}");
}

#[test]
fn every_alert_of_the_example_rules_is_tested() {
    let rules = std::fs::read_to_string(examples().join("host.rules.yml")).unwrap();
    let tests = std::fs::read_to_string(examples().join("host.test.yml")).unwrap();
    let checked = check("host.rules.yml", &rules).unwrap();
    for rule in checked.file.groups.iter().flat_map(|g| &g.rules).filter(|r| r.alert().is_some()) {
        assert!(tests.contains(&format!("alertname: {}\n", rule.name)), "{} has no test", rule.name);
    }
}
