//! Wellkept: keeps Linux machines well.
//!
//! The binary is thin: it reads the command line and configuration, the clock, and wires the crates together.
#![forbid(unsafe_code)]

mod agents;
mod cli;
mod client;
mod clock;
mod commands;
mod elsewhere;
mod engine;
mod exit;
mod fleet_book;
mod logs;
mod metrics;
mod record;
mod say;
mod states;
mod under_way;

use std::process::ExitCode;

use clap::Parser;

use exit::Failure;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let code = error.downcast_ref::<Failure>().map_or(exit::NOT_WELL, |f| f.code);
            say::error(&format!("{error:#}"));
            ExitCode::from(code)
        }
    }
}
