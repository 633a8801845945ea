//! Runs one module on this host and prints its result: `module copy '{"content": "x", "dest": "/tmp/x"}' [--check]`.
#![allow(clippy::print_stdout)]

use wellkept_modules::{Call, Context, NoFiles, run};

#[expect(clippy::disallowed_methods, reason = "the host's clock")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let module = words.next().ok_or("a module's name is wanted")?;
    let args = serde_json::from_str(&words.next().unwrap_or_else(|| "{}".to_owned()))?;
    let check = words.any(|word| word == "--check");
    let temp = tempfile::tempdir()?;
    let mut ctx = Context::new(temp.path().to_owned(), std::time::SystemTime::now);
    let result = run(&Call { module, args, check, diff: true, ..Call::default() }, &NoFiles, &mut ctx);
    println!("{}", serde_json::to_string_pretty(&result)?);
    Ok(())
}
