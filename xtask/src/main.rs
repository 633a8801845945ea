//! Chores of the workspace, so that a fresh machine needs nothing but Rust and Node.js.
//!
//! `cargo xtask help` lists them. Each is plain code that starts programs with an argument vector; what the
//! product does is left to the product's crates.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the person who started it")]

mod arch;
mod bench;
mod clock;
mod http;
mod install;
mod mutants;
mod process;
mod test;
mod tiny;
mod torture;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
Chores of the Wellkept workspace

  cargo xtask test [--fast]      everything that must hold before a change is merged; installs what is missing
                                 (--fast: only fmt, clippy and the workspace's tests)
  cargo xtask ci                 the same with the build settings of continuous integration
  cargo xtask arch               the architecture check alone
  cargo xtask mutants            how many wrongly written guards the tests notice; half an hour
  cargo xtask bench [NAME] [--install] [--seconds N] [--repeat N]
                                 NAME: idle, store, recovery, build or all (default); results in target/bench/
                                 (--install: apt-get the peers that we are compared with)
  cargo xtask torture [NAME] [--night] [--times N] [--seed N]
                                 NAME: kills, calls, errors, power, full; the promises about data, against the real
                                 binary (--night: the large figures)
  cargo xtask help               this page
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Ends with 0 when the chore succeeded, 1 when it found something wrong; an error means wrong usage or no way to start.
fn dispatch(args: &[String]) -> Result<ExitCode> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ok = match args.as_slice() {
        ["test", rest @ ..] => test::run(test::Options::parse(rest)?)?,
        ["ci"] => test::run(test::Options { fast: false, ci: true })?,
        ["arch"] => arch::run()?,
        ["mutants"] => mutants::run()?,
        ["bench", rest @ ..] => bench::run(&bench::Options::parse(rest)?)?,
        ["torture", rest @ ..] => torture::run(&torture::Options::parse(rest)?)?.1 == 0,
        [tiny::START, rest @ ..] => return tiny::start(rest).map(|()| ExitCode::SUCCESS),
        [tiny::SERVE, rest @ ..] => return tiny::serve(rest).map(|()| ExitCode::SUCCESS),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            true
        }
        [unknown, ..] => bail!("unknown chore `{unknown}`; `cargo xtask help` lists them"),
    };
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
