//! One file per command.

pub(crate) mod agent;
pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod deploy;
mod diagnose;
mod discover;
mod doctor;
pub(crate) mod drill;
pub(crate) mod enroll;
pub(crate) mod fleet;
mod generate;
mod incidents;
mod learned;
mod logs;
mod promql;
mod replay;
mod rules;
pub(crate) mod runs;
pub(crate) mod sign;
mod status;
pub(crate) mod store;
mod tell;
mod try_it;
mod try_service;
pub(crate) mod up;
mod why;

use std::path::PathBuf;
use std::pin::Pin;

use wellkept_catalogue::Language;

use crate::cli::{Cli, Command, DiagnoseCommand, Output, PromqlCommand, Remote, RulesCommand};
use crate::client::Client;

/// Read when no keep file is named.
const KEEP_FILE_DEFAULT: &str = "/etc/wellkept/wellkept.yml";

/// What every command knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) language: Language,
}

impl Context {
    pub(crate) fn client(&self, remote: &Remote) -> Client {
        let data_dir = remote.data_dir.clone().unwrap_or_else(default_data_dir);
        Client::new(remote.address, self.language).with_token_of(&data_dir)
    }
}

/// Runs a command; gives the exit code.
pub(crate) fn run(cli: Cli) -> anyhow::Result<u8> {
    let context = Context { output: cli.output, language: language(cli.lang.as_deref())? };
    match cli.command {
        Command::Up { keep, data_dir, listen, no_collect } => {
            let data_dir = data_dir.unwrap_or_else(default_data_dir);
            block_on(up::run(context, up::Options { keep, data_dir, listen, no_collect }))
        }
        Command::Status { remote } => block_on(status::run(context, remote)),
        Command::Incidents { remote, open } => block_on(incidents::run(context, remote, open)),
        Command::Why { incident, remote } => block_on(why::run(context, remote, incident)),
        Command::Learned { reset, remote } => block_on(learned::run(context, remote, reset)),
        Command::Replay { file } => replay::run(context, &file),
        Command::Approve { incident, generation, remote } => {
            block_on(tell::approve(context, remote, incident, generation))
        }
        Command::Undo { action, remote } => block_on(tell::undo(context, remote, action)),
        Command::Freeze { reason, remote } => block_on(tell::freeze(context, remote, reason)),
        Command::Unfreeze { remote } => block_on(tell::unfreeze(context, remote)),
        Command::Change { what, kind, who, remote } => {
            block_on(tell::change(context, remote, what, kind, who))
        }
        Command::Reload { remote } => block_on(tell::reload(context, remote)),
        Command::Check { file, keep } => check::run(context, &file.or(keep).unwrap_or_default()),
        Command::Rules(RulesCommand::Check { files }) => rules::check(context, &files),
        Command::Rules(RulesCommand::Test { files }) => rules::test(context, &files),
        Command::Promql(PromqlCommand::Test { files }) => promql::test(context, &files),
        Command::Diagnose(DiagnoseCommand::Rank { cases }) => diagnose::rank_cases(context, &cases),
        Command::Logs(command) => block_on(logs::run(context, command)),
        Command::Store(command) => store::run(context, command),
        Command::Run(args) => block_on(fleet::run(context, *args)),
        Command::Copy(args) => block_on(fleet::copy(context, *args)),
        Command::Fetch(args) => block_on(fleet::fetch(context, *args)),
        Command::Script(args) => block_on(fleet::script(context, *args)),
        Command::Facts(args) => block_on(fleet::facts(context, *args)),
        Command::Shell(args) => block_on(fleet::shell(context, *args)),
        Command::Expect(args) => block_on(fleet::expect(context, *args)),
        Command::Play(args) => block_on(fleet::play(context, *args)),
        Command::Runs(args) => block_on(runs::run(context, *args)),
        Command::Inventory(args) => fleet::inventory(context, *args),
        Command::Vault(command) => fleet::vault(context, command),
        Command::Sign(command) => sign::run(context, command),
        Command::Agent(args) => block_on(agent::run(context, *args)),
        Command::Enroll(args) => block_on(enroll::run(context, *args)),
        Command::Apply(args) => block_on(apply::run(context, *args)),
        Command::Deploy(args) => block_on(deploy::deploy(context, *args)),
        Command::Rollback(args) => block_on(deploy::rollback(context, *args)),
        Command::Helper { job } => block_on(fleet::helper(job)),
        Command::Discover { to } => discover::run(context, to.as_deref()),
        Command::Doctor { data_dir } => doctor::run(context, &data_dir.unwrap_or_else(default_data_dir)),
        Command::Drill(wish) => block_on(drill::run(context, wish)),
        Command::DrillLease { fault, within } => {
            block_on(drill::hold(&fault, std::time::Duration::from_secs(within)))
        }
        Command::Try => block_on(try_it::run(context)),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man => generate::man(),
        Command::TryService { port, settings, pidfile } => try_service::serve(port, &settings, &pidfile),
        Command::TryStart { port, settings, pidfile } => try_service::start(port, &settings, &pidfile),
    }
}

/// Two worker threads: the work is waiting, and idle cost counts.
fn block_on<'a, T>(future: impl Future<Output = anyhow::Result<T>> + 'a) -> anyhow::Result<T> {
    // In a box, the runtime's loop is built once for all commands instead of around each.
    let future: Pin<Box<dyn Future<Output = anyhow::Result<T>> + 'a>> = Box::pin(future);
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(future)
}

fn language(asked: Option<&str>) -> anyhow::Result<Language> {
    if let Some(tag) = asked {
        return tag
            .parse()
            .map_err(|e| crate::exit::Failure::new(crate::exit::USAGE, format!("--lang: {e}")).into());
    }
    let named = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(variable);
    Ok(named.map_or(Language::En, |locale| Language::from_locale(&locale)))
}

/// `/var/lib/wellkept` for root, else below the user's state directory.
pub(crate) fn default_data_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/wellkept");
    }
    if let Some(state) = variable("XDG_STATE_HOME") {
        return PathBuf::from(state).join("wellkept");
    }
    PathBuf::from(variable("HOME").unwrap_or_else(|| "/".to_owned())).join(".local/state/wellkept")
}

/// A variable of the environment that is set and not empty.
#[expect(clippy::disallowed_methods, reason = "the command line is the one place that reads the environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}
