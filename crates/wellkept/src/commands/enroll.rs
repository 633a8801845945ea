//! `wellkept enroll`: makes hosts agents of this server, over SSH; brings them up to date, and takes them away again.
//!
//! It is a playbook of our own (`enroll/*.yml`), run by our own engine: what is in place already is left alone. The token
//! goes to the host's standard input. The binary is the helper that does the work there, which was compared by its hash.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use wellkept_agent::policy::Policy;
use wellkept_agent::server::{folder_of, heard_of};
use wellkept_agent::{Registry, check_name};
use wellkept_model::Text;

use super::fleet::args::Reaching;
use super::fleet::ours;
use super::{Context, agent, default_data_dir};
use crate::exit::{DATA_DIR, Failure, NOT_WELL, OK, USAGE};
use crate::say;

/// What is done, as tasks.
const INSTALL: &str = include_str!("enroll/install.yml");
const REMOVE: &str = include_str!("enroll/remove.yml");
/// The unit of an agent that only sends, and what differs for one that may do something.
const UNIT: &str = include_str!("enroll/agent.service");
const ACTS: &str = include_str!("enroll/acts.conf");
/// What a host allows when nobody says: nothing.
const NOTHING: &str = "# What this host lets its agent do: modules of playbooks that are signed by these keys.\n\
                       may: []\ntrust: []\n";
/// How long a token is good that goes to its host at once.
const TOKEN_FOR: Duration = Duration::from_secs(3600);
/// Longest wait for the first words of agents, and the pause between two looks.
const HEARD_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(crate) struct EnrollArgs {
    /// Hosts: a pattern of the inventory.
    hosts: String,
    /// Where agents reach this server: https://HOST:PORT, as the keep file's agents.listen says.
    #[arg(long, value_name = "URL", required_unless_present_any = ["remove", "upgrade"])]
    server: Option<String>,
    /// The server's data directory. Default: as for `up`.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// What the hosts let their agents do; replaces the file there. Without it a host that has none allows nothing.
    #[arg(long, value_name = "FILE", conflicts_with = "remove")]
    policy: Option<PathBuf>,
    /// Only bring binary and unit up to date; identities stay.
    #[arg(long, conflicts_with = "remove")]
    upgrade: bool,
    /// Stop and remove the agents, and refuse them from now on. Their policies stay.
    #[arg(long)]
    remove: bool,
    /// Join anew, also hosts that have joined before.
    #[arg(long, conflicts_with_all = ["remove", "upgrade"])]
    again: bool,
    #[command(flatten)]
    reaching: Reaching,
}

pub(super) async fn run(context: Context, args: EnrollArgs) -> anyhow::Result<u8> {
    let data_dir = args.data_dir.clone().unwrap_or_else(default_data_dir);
    if !data_dir.join("VERSION").is_file() {
        let text = Text::new("agent.no_server").with("path", data_dir.display());
        return Err(Failure::new(DATA_DIR, say::text(context.language, &text)).into());
    }
    let hosts = ours::names(context, &args.reaching, &args.hosts)?;
    if hosts.is_empty() {
        let text = Text::new("fleet.pattern.nobody").with("pattern", &args.hosts);
        return Err(Failure::new(USAGE, say::text(context.language, &text)).into());
    }
    for host in &hosts {
        check_name(host).map_err(|e| Failure::new(USAGE, e.to_string()))?;
    }
    let folder = tempfile::Builder::new().prefix("wellkept-enroll-").tempdir()?;
    let began = crate::clock::now().0;
    let variables = variables(&args, &hosts, &data_dir).await?;
    let given = private(folder.path(), "variables.json", variables.to_string().as_bytes())?;
    let playbook =
        private(folder.path(), "enroll.yml", if args.remove { REMOVE } else { INSTALL }.as_bytes())?;
    let mut reaching = args.reaching.clone();
    reaching.extra_vars.push(format!("@{}", given.display()));
    let code = ours::run(context, reaching, &playbook, &[]).await?;
    if args.remove {
        let acts: Vec<_> = hosts.iter().map(|host| ("revoke agent", host.clone())).collect();
        agent::audit(&data_dir, &acts).await?;
        let registry = Registry::open(&folder_of(&data_dir))?;
        for host in &hosts {
            registry.revoke(host, began)?;
        }
        return Ok(code);
    }
    if code != 0 {
        return Ok(code);
    }
    heard(context, &hosts, &data_dir, began).await
}

/// What the playbook is given. It holds tokens: it goes into a private file that is gone afterwards.
async fn variables(
    args: &EnrollArgs,
    hosts: &[String],
    data_dir: &Path,
) -> anyhow::Result<serde_json::Value> {
    let (policy, may) = match &args.policy {
        None => (NOTHING.to_owned(), false),
        Some(path) => {
            let named = |e: String| Failure::new(USAGE, format!("{}: {e}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|e| named(e.to_string()))?;
            let policy = Policy::parse(&text).map_err(named)?;
            (text, policy.may.is_none_or(|may| !may.is_empty()))
        }
    };
    let mut tokens = serde_json::Map::new();
    if !args.remove && !args.upgrade {
        for host in hosts {
            let token = agent::token_of(data_dir, host, TOKEN_FOR).await?;
            tokens.insert(host.clone(), token.reveal().as_str().into());
        }
    }
    Ok(json!({
        "wk_hosts": args.hosts,
        "wk_server": args.server,
        "wk_tokens": tokens,
        "wk_join": !args.upgrade,
        "wk_again": args.again,
        "wk_policy": policy,
        "wk_policy_replaces": args.policy.is_some(),
        "wk_policy_known": args.policy.is_some(),
        "wk_may": may,
        "wk_unit": UNIT,
        "wk_acts": ACTS,
    }))
}

fn private(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<PathBuf> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = folder.join(name);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(bytes)?;
    Ok(path)
}

/// Waits until each of them has spoken since.
async fn heard(context: Context, hosts: &[String], data_dir: &Path, since_ms: i64) -> anyhow::Result<u8> {
    let mut silent: Vec<&String> = hosts.iter().collect();
    let looks = HEARD_MAX.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        let heard = heard_of(data_dir)?;
        let spoke = |host: &str| {
            heard.iter().any(|h| h.name == host && h.heard_ms >= since_ms && !h.version.is_empty())
        };
        silent.retain(|host| !spoke(host));
        if silent.is_empty() {
            for host in hosts {
                say::line(&say::text(context.language, &Text::new("enroll.heard").with("name", host)));
            }
            return Ok(OK);
        }
        tokio::time::sleep(LOOK).await;
    }
    for host in silent {
        let text = Text::new("enroll.silent").with("name", host).with("ms", HEARD_MAX.as_millis());
        say::error(&say::text(context.language, &text));
    }
    Ok(NOT_WELL)
}
