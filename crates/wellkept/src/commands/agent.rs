//! `wellkept agent`: this host as an agent of a server; and at the server: tokens, who there is, what they are handed.

mod enroll_token;
mod lines;
mod look;
mod run;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use wellkept_agent::server::{folder_of, heard_of};
use wellkept_agent::{Authority, Orders, Registry};
use wellkept_model::Text;
use wellkept_state::StateDb;

use super::{Context, default_data_dir};
use crate::agents::SILENT_AFTER;
use crate::cli::{Output, back};
use crate::exit::{DATA_DIR, Failure, NOT_WELL, OK, USAGE};
use crate::say;

/// Largest bundle that is read, bytes.
const BUNDLE_MAX: u64 = wellkept_agent::HANDED_MAX;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AgentArgs {
    #[command(subcommand)]
    command: Option<AgentCommand>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum AgentCommand {
    /// Make a token that lets one host join once. It is printed; keep it secret until it is used.
    Token {
        /// The name that the host gets.
        #[arg(long)]
        name: String,
        /// How long it is good.
        #[arg(long = "for", value_name = "TIME", value_parser = back, default_value = "1h")]
        good_for: Duration,
        #[command(flatten)]
        place: Place,
    },
    /// The agents of this server.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Send an agent away: it is refused from its next call on.
    Revoke {
        /// Its name.
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Hand a signed bundle to agents. Each host decides by its own file whether it runs it.
    Hand {
        /// The bundle.
        bundle: PathBuf,
        /// Names of agents.
        #[arg(long, required = true, value_name = "NAME")]
        to: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
    /// What an agent was handed, and what became of it.
    Orders {
        /// Its name.
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Where the server's data is.
#[derive(Debug, Args)]
struct Place {
    /// The server's data directory. Default: as for `up`.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

impl Place {
    /// The data directory; only one that is there already, so that no stray one is begun.
    fn data_dir(&self, context: Context) -> Result<PathBuf, Failure> {
        let path = self.data_dir.clone().unwrap_or_else(default_data_dir);
        match path.join("VERSION").is_file() {
            true => Ok(path),
            false => {
                let text = Text::new("agent.no_server").with("path", path.display());
                Err(Failure::new(DATA_DIR, say::text(context.language, &text)))
            }
        }
    }
}

fn bad(error: impl std::fmt::Display) -> Failure {
    Failure::new(USAGE, wellkept_catalogue::harmless(&error.to_string()).into_owned())
}

fn now_ms() -> i64 {
    crate::clock::now().0
}

pub(super) async fn run(context: Context, args: AgentArgs) -> anyhow::Result<u8> {
    match args.command {
        None => run::run(context, args.run).await,
        Some(AgentCommand::Token { name, good_for, place }) => {
            enroll_token::print(context, &name, good_for, &place.data_dir(context)?).await
        }
        Some(AgentCommand::List { place }) => list(context, &place.data_dir(context)?),
        Some(AgentCommand::Revoke { name, place }) => revoke(context, &name, &place.data_dir(context)?).await,
        Some(AgentCommand::Hand { bundle, to, place }) => {
            hand(context, &bundle, &to, &place.data_dir(context)?).await
        }
        Some(AgentCommand::Orders { name, place }) => orders(context, &name, &place.data_dir(context)?),
    }
}

fn registry(data_dir: &Path) -> anyhow::Result<Registry> {
    Ok(Registry::open(&folder_of(data_dir)).map_err(|e| Failure::of(DATA_DIR, &e))?)
}

fn list(context: Context, data_dir: &Path) -> anyhow::Result<u8> {
    let heard = heard_of(data_dir).map_err(|e| Failure::of(DATA_DIR, &e))?;
    let (now, mut rows, mut all) = (now_ms(), Vec::new(), Vec::new());
    let word = |key: &str| say::word(context.language, key);
    for agent in registry(data_dir)?.list()? {
        let heard = heard.iter().find(|h| h.name == agent.name);
        let since = now.saturating_sub(heard.map_or(agent.joined_ms, |h| h.heard_ms));
        let spoke = heard.is_some_and(|h| !h.version.is_empty());
        // A running server writes at most every fifteen seconds that an agent was heard.
        let silent = since > i64::try_from(SILENT_AFTER.as_millis()).unwrap_or(i64::MAX);
        let state = match (agent.revoked_ms.is_some(), spoke, silent) {
            (true, ..) => "revoked",
            (false, false, _) => "waited",
            (false, true, true) => "silent",
            (false, true, false) => "well",
        };
        let ago = Text::new("agent.ago").with("ms", since);
        rows.push(vec![
            agent.name.clone(),
            word(&format!("agent.state.{state}")),
            say::text(context.language, &ago),
            heard.map(|h| h.waiting).unwrap_or_default().to_string(),
            heard.map(|h| h.dropped).unwrap_or_default().to_string(),
            heard.map(|h| h.version.clone()).unwrap_or_default(),
        ]);
        all.push(json!({
            "name": agent.name, "state": state, "heard_ms": heard.map(|h| h.heard_ms),
            "joined_ms": agent.joined_ms, "revoked_ms": agent.revoked_ms, "expires_ms": agent.expires_ms,
            "waiting": heard.map(|h| h.waiting), "dropped": heard.map(|h| h.dropped),
            "refused": heard.map(|h| h.refused), "version": heard.map(|h| &h.version),
        }));
    }
    match context.output {
        Output::Json => say::line(&json!({"agents": all}).to_string()),
        Output::Table if rows.is_empty() => say::line(&word("agent.none")),
        Output::Table => {
            let head = ["name", "state", "heard", "waiting", "dropped", "version"];
            say::table(&head.map(|c| word(&format!("agent.column.{c}"))), rows);
        }
    }
    Ok(OK)
}

/// Puts an act on record; it must not be done when that fails.
pub(super) async fn audit(data_dir: &Path, acts: &[(&str, String)]) -> anyhow::Result<()> {
    let failed = |e| Failure::of(DATA_DIR, &e);
    let state = StateDb::open(data_dir).await.map_err(failed)?;
    for (what, detail) in acts {
        state.audit(crate::clock::now(), &me(), what, detail).await.map_err(failed)?;
    }
    state.close().await;
    Ok(())
}

async fn revoke(context: Context, name: &str, data_dir: &Path) -> anyhow::Result<u8> {
    if registry(data_dir)?.list()?.iter().any(|agent| agent.name == name) {
        audit(data_dir, &[("revoke agent", name.to_owned())]).await?;
    }
    let known = registry(data_dir)?.revoke(name, now_ms()).map_err(bad)?;
    let text = Text::new(if known { "agent.revoked" } else { "agent.unknown" }).with("name", name);
    let text = say::text(context.language, &text);
    match known {
        true => say::line(&text),
        false => say::error(&text),
    }
    Ok(if known { OK } else { NOT_WELL })
}

async fn hand(context: Context, path: &Path, to: &[String], data_dir: &Path) -> anyhow::Result<u8> {
    let named = |e: std::io::Error| bad(format!("{}: {e}", path.display()));
    if std::fs::metadata(path).map_err(named)?.len() > BUNDLE_MAX {
        return Err(named(std::io::ErrorKind::FileTooLarge.into()).into());
    }
    let bundle = std::fs::read(path).map_err(named)?;
    if !wellkept_sign::is_bundle(&bundle) {
        let text = Text::new("agent.not_a_bundle").with("file", path.display());
        return Err(bad(say::text(context.language, &text)).into());
    }
    let known = registry(data_dir)?.list()?;
    // All of them are looked at before the first one is handed anything.
    for name in to {
        if !known.iter().any(|agent| agent.name == *name && agent.revoked_ms.is_none()) {
            let text = Text::new("agent.unknown").with("name", name);
            return Err(bad(say::text(context.language, &text)).into());
        }
    }
    let orders = Orders::open(&folder_of(data_dir).join("orders"))?;
    let what = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let content = wellkept_sign::digest(&bundle);
    let acts: Vec<_> =
        to.iter().map(|name| ("hand to agent", format!("{name}: {what} sha256 {content}"))).collect();
    audit(data_dir, &acts).await?;
    for name in to {
        let order = orders.hand(name, &bundle, (&me(), &what), now_ms()).map_err(bad)?;
        match context.output {
            Output::Json => say::line(&json!({"agent": name, "order": order.id}).to_string()),
            Output::Table => {
                let text = Text::new("agent.handed").with("name", name).with("order", &order.id);
                say::line(&say::text(context.language, &text));
            }
        }
    }
    Ok(OK)
}

fn me() -> String {
    super::variable("USER").unwrap_or_else(|| rustix::process::geteuid().as_raw().to_string())
}

fn orders(context: Context, name: &str, data_dir: &Path) -> anyhow::Result<u8> {
    let orders = Orders::open(&folder_of(data_dir).join("orders"))?.list(name).map_err(bad)?;
    let heard = heard_of(data_dir)?.into_iter().find(|h| h.name == name).map_or(0, |h| h.heard_ms);
    let gone = now_ms().saturating_sub(heard) > i64::try_from(SILENT_AFTER.as_millis()).unwrap_or(i64::MAX);
    // What was begun by somebody who is not heard any more is unknown, and not failed.
    let stage = |order: &wellkept_agent::OrderView| match order.stage {
        wellkept_agent::wire::Stage::Taken | wellkept_agent::wire::Stage::Began if gone => "unknown",
        stage => stage.word(),
    };
    match context.output {
        Output::Json => {
            let all: Vec<_> = orders
                .iter()
                .map(|o| {
                    json!({"order": o.id, "what": o.what, "who": o.who, "stage": stage(o), "exit": o.exit,
                           "said": o.said, "handed_ms": o.handed_ms, "at_ms": o.at_ms})
                })
                .collect();
            say::line(&json!({"orders": all}).to_string());
        }
        Output::Table if orders.is_empty() => {
            let text = Text::new("agent.no_orders").with("name", name);
            say::line(&say::text(context.language, &text));
        }
        Output::Table => {
            let head = ["order", "what", "stage", "exit", "said"];
            let rows = orders.iter().map(|o| {
                let said = o.said.lines().last().unwrap_or_default();
                vec![
                    o.id.clone(),
                    wellkept_catalogue::harmless(&o.what).into_owned(),
                    stage(o).to_owned(),
                    o.exit.map(|code| code.to_string()).unwrap_or_default(),
                    wellkept_catalogue::harmless(said).into_owned(),
                ]
            });
            let head = head.map(|c| say::word(context.language, &format!("agent.column.{c}")));
            say::table(&head, rows.collect());
        }
    }
    Ok(OK)
}

/// A token of the server whose data this is.
pub(super) async fn token_of(
    data_dir: &Path,
    name: &str,
    good_for: Duration,
) -> anyhow::Result<wellkept_agent::JoinToken> {
    let detail = format!("{}, good for {} s", wellkept_catalogue::harmless(name), good_for.as_secs());
    audit(data_dir, &[("make token for agent", detail)]).await?;
    let authority = Authority::open(&folder_of(data_dir), now_ms()).map_err(|e| Failure::of(DATA_DIR, &e))?;
    let token = registry(data_dir)?.make_token(name, good_for, authority.fingerprint(), now_ms());
    Ok(token.map_err(bad)?)
}
