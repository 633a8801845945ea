//! `wellkept completions` and `wellkept man`.

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::exit::OK;

pub(super) fn completions(shell: clap_complete::Shell) -> anyhow::Result<u8> {
    clap_complete::generate(shell, &mut Cli::command(), "wellkept", &mut std::io::stdout());
    Ok(OK)
}

pub(super) fn man() -> anyhow::Result<u8> {
    clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?;
    Ok(OK)
}
