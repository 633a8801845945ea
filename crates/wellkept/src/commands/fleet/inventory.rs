//! `wellkept inventory`: what ansible-inventory prints.

use std::path::PathBuf;

use clap::Args;
use wellkept_inventory::Detail;

use super::args::Reaching;
use super::bad;
use super::scene::Stage;
use crate::commands::Context;
use crate::exit::OK;
use crate::say;

#[derive(Debug, Args)]
#[group(id = "action", required = true, multiple = false, args = ["list", "host", "graph"])]
pub(crate) struct InventoryArgs {
    /// The group for --graph. Default: all.
    group: Option<String>,
    #[command(flatten)]
    reaching: Reaching,
    /// Everything.
    #[arg(long)]
    list: bool,
    /// The variables of one host.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Groups and hosts as a tree.
    #[arg(long)]
    graph: bool,
    /// Each variable where it was said, so that it can be read again.
    #[arg(long)]
    export: bool,
    /// YAML instead of JSON.
    #[arg(short, long)]
    yaml: bool,
    /// Write --list to this file instead of standard output.
    #[arg(long = "output-file", value_name = "FILE")]
    to: Option<PathBuf>,
    /// Variables beside this folder count as those of a playbook do.
    #[arg(long, value_name = "FOLDER")]
    playbook_dir: Option<String>,
}

pub(in crate::commands) fn run(context: Context, args: InventoryArgs) -> anyhow::Result<u8> {
    let stage = Stage::new(context, &args.reaching)?;
    let scene = stage.scene(context, &args.reaching, args.playbook_dir)?;
    for notice in &scene.inventory.notices {
        say::error(&format!("{}: {}", notice.place, notice.text));
    }
    let inventory = &scene.inventory;
    let detail = if args.export { Detail::Export } else { Detail::Merged };
    let told = if let Some(host) = &args.host {
        let id = inventory.host_id(host);
        let id = id.ok_or_else(|| bad(format!("Could not match supplied host pattern: {host}")))?;
        let vars = inventory.host_vars(id);
        let map: serde_json::Map<_, _> = vars
            .iter()
            .map(|(name, var)| (name.clone(), wellkept_fleet::values::to_json(&var.value)))
            .collect();
        serde_json::to_string_pretty(&map)?.replace("\n  ", "\n    ")
    } else if args.graph {
        inventory.to_graph(args.group.as_deref().unwrap_or("all")).map_err(bad)?
    } else if args.yaml {
        inventory.to_yaml(detail)
    } else {
        inventory.to_json(detail)
    };
    match args.to {
        Some(path) => std::fs::write(&path, told).map_err(|e| bad(format!("{}: {e}", path.display())))?,
        None => say::line(told.trim_end_matches('\n')),
    }
    Ok(OK)
}
