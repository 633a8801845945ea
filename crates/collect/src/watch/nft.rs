//! Compares the packet filter of a namespace with its declared rules, table by table.
//!
//! `nft` prints rules in a form of its own. To compare like with like, the declared file is loaded into an empty
//! network namespace that lives as long as that one command, and printed there. Tables of our own (their names begin
//! with `wellkept`) and counters do not count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use wellkept_model::keep::Network;
use wellkept_model::observe::TableState;

use super::{Shared, pause, program};
use crate::clock;

/// Time between two looks while nothing is wrong: each starts a program.
const EVERY: Duration = Duration::from_secs(30);
const WITHIN: Duration = Duration::from_secs(5);
/// Tables that we make ourselves.
const OURS: &str = "wellkept";

pub(super) async fn watch(shared: Shared, declared: Network, rules: PathBuf) {
    let mut closely = shared.closely.subscribe();
    let mut wanted: Option<(SystemTime, BTreeMap<String, String>)> = None;
    loop {
        let modified = std::fs::metadata(&rules).and_then(|m| m.modified()).ok();
        if wanted.as_ref().map(|(at, _)| *at) != modified {
            wanted = match modified {
                Some(at) => declared_tables(&rules).await.map(|tables| (at, tables)),
                None => None,
            };
        }
        if let (Some((_, wanted)), Some(there)) = (&wanted, present_tables(&declared).await) {
            let tables = compare(wanted, &there);
            shared.with_network(&declared.name, |n| (n.tables, n.rules_at) = (tables, clock::wall()));
        }
        pause(EVERY, &mut closely).await;
    }
}

async fn declared_tables(rules: &Path) -> Option<BTreeMap<String, String>> {
    let script = "nft -f \"$1\" && nft -s list ruleset";
    let argv = ["unshare", "-n", "--", "/bin/sh", "-c", script, "sh"].map(str::to_owned);
    let argv: Vec<String> = argv.into_iter().chain([rules.to_string_lossy().into_owned()]).collect();
    tables_of(&argv).await
}

async fn present_tables(declared: &Network) -> Option<BTreeMap<String, String>> {
    let list = ["nft", "-s", "list", "ruleset"].map(str::to_owned);
    let enter = declared.namespace.iter().flat_map(|n| ["ip", "netns", "exec", n].map(str::to_owned));
    tables_of(&enter.chain(list).collect::<Vec<_>>()).await
}

async fn tables_of(argv: &[String]) -> Option<BTreeMap<String, String>> {
    let ran = program::run(argv, WITHIN).await.ok().filter(|r| r.good)?;
    Some(split(&ran.output))
}

/// Tables by `family name`, with all that stands between their braces.
fn split(ruleset: &str) -> BTreeMap<String, String> {
    let mut tables = BTreeMap::new();
    let mut current: Option<(String, String)> = None;
    for line in ruleset.lines() {
        if let Some(head) = line.strip_prefix("table ").and_then(|l| l.strip_suffix('{')) {
            current = Some((head.trim().to_owned(), String::new()));
        } else if line == "}" {
            tables.extend(current.take());
        } else if let Some((_, body)) = &mut current {
            body.push_str(line.trim());
            body.push('\n');
        }
    }
    tables
}

fn compare(
    wanted: &BTreeMap<String, String>,
    there: &BTreeMap<String, String>,
) -> BTreeMap<String, TableState> {
    let ours = |name: &str| name.split_whitespace().nth(1).is_some_and(|n| n.starts_with(OURS));
    let here = there.iter().filter(|(name, _)| !ours(name)).filter_map(|(name, body)| {
        let state = match wanted.get(name) {
            None => TableState::Undeclared,
            Some(want) if want != body => TableState::Changed,
            Some(_) => return None,
        };
        Some((name.clone(), state))
    });
    let missing = wanted.keys().filter(|n| !there.contains_key(*n));
    here.chain(missing.map(|n| (n.clone(), TableState::Missing))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "table inet shop {\n\tchain input {\n\t\ttype filter hook input priority 0;\n\t}\n}\n\
                         table ip f {\n}\n";

    #[test]
    fn tables_are_told_apart_by_family_and_name() {
        let tables = split(RULES);
        assert_eq!(tables.keys().collect::<Vec<_>>(), ["inet shop", "ip f"]);
        assert!(tables["inet shop"].contains("hook input"));
    }

    #[test]
    fn what_differs_is_named_and_our_own_tables_do_not_count() {
        let wanted = split(RULES);
        let there =
            split("table inet shop {\n\tchain x {\n\t}\n}\ntable inet f {\n}\ntable inet wellkept {\n}\n");
        let got = compare(&wanted, &there);
        let want = [
            ("inet f".to_owned(), TableState::Undeclared),
            ("inet shop".to_owned(), TableState::Changed),
            ("ip f".to_owned(), TableState::Missing),
        ];
        assert_eq!(got, want.into());
        assert!(compare(&wanted, &wanted).is_empty());
    }
}
