//! This host as an agent: joins once, then looks, sends, and does what it is handed as far as its own file allows.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rustix::fs::{FlockOperation, flock};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use wellkept_agent::JoinToken;
use wellkept_agent::agent::{Agent, Executor, Identity, Start, join};
use wellkept_agent::policy::{POLICY_FILE, Policy};
use wellkept_agent::queue::{Bounds, Queue};
use wellkept_agent::unpack::Placed;
use wellkept_model::Text;
use wellkept_model::keep::Keep;
use zeroize::Zeroizing;

use super::{bad, lines, look, now_ms};
use crate::cli::back;
use crate::commands::{Context, check, default_data_dir, up};
use crate::exit::{DATA_DIR, Failure, OK, UNREACHABLE, USAGE};
use crate::say;

/// Longest token, bytes.
const TOKEN_MAX: u64 = 4096;
/// What programs that a playbook starts find by their names.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Join the server at this address first: https://HOST:PORT.
    #[arg(long, value_name = "URL", requires = "token_file")]
    join: Option<String>,
    /// Where the token is; - for standard input.
    #[arg(long, value_name = "FILE", requires = "join")]
    token_file: Option<PathBuf>,
    /// Only join; another start then runs it.
    #[arg(long, requires = "join")]
    join_only: bool,
    /// Where its identity and its queue are. Default: /var/lib/wellkept-agent for root.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// What this host lets its agent do.
    #[arg(long, value_name = "FILE", default_value = POLICY_FILE)]
    policy: PathBuf,
    /// A keep file with what is watched here. Nothing is done by it on an agent.
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// Time between two pushes.
    #[arg(long, value_name = "TIME", value_parser = back, default_value = "5s")]
    every: Duration,
    /// The most that waits on disk while the server is away, MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    queue_mib: u64,
    /// How old something may be that waits.
    #[arg(long, value_name = "TIME", value_parser = back, default_value = "7d")]
    queue_age: Duration,
}

pub(super) async fn run(context: Context, args: RunArgs) -> anyhow::Result<u8> {
    let folder = args.data_dir.clone().unwrap_or_else(|| default_data_dir().with_file_name("wellkept-agent"));
    let folder = std::path::absolute(folder)?;
    let identity = match (&args.join, &args.token_file) {
        (Some(url), Some(file)) => {
            let identity = join(url, &token(context, file)?, &folder).await;
            let identity = identity.map_err(|e| Failure::of(UNREACHABLE, &e))?;
            let text = Text::new("agent.joined").with("url", &identity.url).with("name", &identity.name);
            say::line(&say::text(context.language, &text));
            identity
        }
        _ => Identity::read(&folder)
            .map_err(|e| Failure::of(DATA_DIR, &e))?
            .ok_or_else(|| Failure::new(USAGE, say::word(context.language, "agent.not_joined")))?,
    };
    if args.join_only {
        return Ok(OK);
    }
    up::start_log();
    let _lock = lock(&folder)?;
    work(context, &args, &folder, identity).await
}

/// Reads a token; it is never part of a command line, which others can see.
fn token(context: Context, file: &Path) -> anyhow::Result<JoinToken> {
    let mut text = Zeroizing::new(String::new());
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin().take(TOKEN_MAX).read_to_string(&mut text),
        false => File::open(file).and_then(|f| f.take(TOKEN_MAX).read_to_string(&mut text)),
    };
    read.map_err(|e| bad(format!("{}: {e}", file.display())))?;
    let wrong = |_| {
        let text = Text::new("agent.token_wrong").with("source", file.display());
        bad(say::text(context.language, &text))
    };
    Ok(text.parse().map_err(wrong)?)
}

/// One agent at a time works on a folder.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("RUNNING");
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|e| Failure::new(DATA_DIR, format!("{}: another agent works here: {e}", path.display())))?;
    Ok(file)
}

async fn work(context: Context, args: &RunArgs, folder: &Path, identity: Identity) -> anyhow::Result<u8> {
    let keep = match &args.keep {
        Some(path) => check::load(path, context.language)?.0,
        None => Keep::default(),
    };
    let policy = Policy::read(&args.policy).map_err(bad)?;
    let bounds = Bounds { bytes: args.queue_mib.max(1) << 20, age: args.queue_age };
    let queue = Queue::open(&folder.join("queue"), bounds).map_err(|e| Failure::of(DATA_DIR, &e))?;
    let notes = lines::Notes::read(folder, &queue)?;
    let plays = folder.join("plays");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&plays)?;
    // So that plays find a place for their journals.
    std::fs::write(plays.join("VERSION"), "1\n")?;
    let start = start(std::env::current_exe()?, folder.to_owned(), plays);
    let executor = Executor::open(folder, &identity.name, &args.policy, start, now_ms);
    let executor = executor.map_err(|e| Failure::of(DATA_DIR, &e))?;
    let text = Text::new("agent.runs").with("name", &identity.name).with("url", &identity.url);
    say::line(&say::text(context.language, &text));
    if policy.may.as_ref().is_some_and(Vec::is_empty) {
        let text = Text::new("agent.may_nothing").with("file", args.policy.display());
        say::line(&say::text(context.language, &text));
    }
    let name = identity.name.clone();
    let agent = Agent::new(identity, queue, executor, now_ms, (args.every, env!("CARGO_PKG_VERSION")));
    let following = lines::follow(&keep, &name, folder, (agent.sending(), notes))?;
    let rounds = args.every.as_secs().max(1);
    let looking = tokio::spawn(look::look(keep, name, agent.sending(), rounds));
    let (end, ended) = watch::channel(false);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        // Gone already is as good.
        let _ = end.send(true);
    });
    agent.run(ended).await.map_err(|e| Failure::of(UNREACHABLE, &e))?;
    looking.abort();
    drop(following);
    Ok(OK)
}

/// Our own `play`, on this host alone, with a clean environment and the modules that the policy names.
fn start(exe: PathBuf, home: PathBuf, plays: PathBuf) -> Box<Start> {
    Box::new(move |placed: &Placed, policy: &Policy, name: &str| {
        let mut command = Command::new(&exe);
        command.env_clear().env("PATH", PATH).env("HOME", &home).env("LANG", "C.UTF-8").current_dir("/");
        command.args(["play", "--connection", "local", "--extra-vars", "ansible_connection=local"]);
        command.args(["--limit", name, "--inventory"]);
        match &placed.inventory {
            Some(inventory) => command.arg(inventory),
            None => command.arg(format!("{name},")),
        };
        command.arg("--data-dir").arg(&plays);
        if let Some(may) = &policy.may {
            command.args(["--only-modules", &may.join(",")]);
        }
        command.arg(&placed.playbook);
        command
    })
}
