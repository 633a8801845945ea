//! Runs test scripts: `cargo run -p wellkept-promql --example scripts -- FILE…`.

use wellkept_promql::{Limits, script};

#[expect(clippy::print_stdout, reason = "an example that answers on the terminal")]
fn main() {
    let delayed = std::env::args().any(|a| a == "--delayed-name-removal");
    let limits = Limits { delayed_name_removal: delayed, ..Limits::default() };
    let files = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    for file in files {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                println!("{file}: {error}");
                continue;
            }
        };
        let report = script::run(&text, &limits, &|| false);
        for case in report.failed() {
            let why = case.failure.as_deref().unwrap_or_default();
            println!("{file}:{}: {}\n  {why}", case.line, case.query);
        }
        println!("{file}: {} of {} passed", report.passed(), report.cases.len());
    }
}
