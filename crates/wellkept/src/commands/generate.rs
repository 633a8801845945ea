//! `wellkept completions` and `wellkept man`.

use clap::{Arg, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::cli::Cli;
use crate::exit::OK;
use crate::say;

pub(super) fn completions(shell: clap_complete::Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut for_people(), "wellkept", &mut script);
    say::line(String::from_utf8_lossy(&script).trim_end());
    Ok(OK)
}

/// One page for all commands, so that one file is all there is to install.
pub(super) fn man() -> anyhow::Result<u8> {
    let mut page = Vec::new();
    let mut whole = for_people().disable_help_subcommand(true);
    whole.build();
    let head = Man::new(whole.clone());
    head.render_title(&mut page)?;
    head.render_name_section(&mut page)?;
    head.render_synopsis_section(&mut page)?;
    head.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    rest.control("SH", ["COMMANDS"]);
    for command in whole.get_subcommands() {
        describe(command, &mut rest);
    }
    if let Some(codes) = whole.get_after_help() {
        rest.control("SH", ["EXIT STATUS"]).text([roman(codes.to_string())]);
    }
    rest.to_writer(&mut page)?;
    say::line(String::from_utf8_lossy(&page).trim_end());
    Ok(OK)
}

/// The command line without what is only for ourselves.
fn for_people() -> Command {
    let whole = Cli::command();
    let shown = whole.get_subcommands().filter(|c| !c.is_hide_set()).cloned();
    let mut built = Command::new("wellkept").args(whole.get_arguments().cloned()).subcommands(shown);
    built = built.version(env!("CARGO_PKG_VERSION")).subcommand_required(true);
    if let Some(about) = whole.get_about() {
        built = built.about(about.clone());
    }
    if let Some(after) = whole.get_after_help() {
        built = built.after_help(after.clone());
    }
    built
}

/// One command with what is its own; the options of all commands stand above.
fn describe(command: &Command, page: &mut Roff) {
    let usage = command.clone().render_usage().to_string();
    page.control("SS", [usage.trim_start_matches("Usage: ")]);
    page.text([roman(sentence(command.get_about()))]);
    let general = |arg: &&Arg| arg.is_global_set() || matches!(arg.get_id().as_str(), "help" | "version");
    for arg in command.get_arguments().filter(|a| !general(a)) {
        page.control("TP", []);
        let value = arg.get_value_names().unwrap_or_default().join(" ");
        match arg.get_long() {
            Some(long) if arg.get_action().takes_values() => {
                page.text([bold(format!("--{long} ")), italic(value)])
            }
            Some(long) => page.text([bold(format!("--{long}"))]),
            None => page.text([italic(value)]),
        };
        let default: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
        let mut help = sentence(arg.get_help());
        if !default.is_empty() && arg.get_action().takes_values() {
            help.push_str(&format!(" Default: {}.", default.join(", ")));
        }
        page.text([roman(help)]);
    }
}

/// Help with the full stop that clap takes away.
fn sentence(help: Option<&clap::builder::StyledStr>) -> String {
    let text = help.map(ToString::to_string).unwrap_or_default();
    if text.is_empty() || text.ends_with(['.', '?', '!']) { text } else { format!("{text}.") }
}
