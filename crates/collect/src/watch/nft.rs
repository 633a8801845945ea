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
/// Blocking rules that are told.
const BLOCKING_MAX: usize = 20;
/// A rule with one of these words meets a share of the packets only.
const SHARE_WORDS: [&str; 4] = ["numgen", "limit", "jhash", "symhash"];

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
            let blocking = blocking(wanted, &there, &tables);
            shared.with_network(&declared.name, |n| {
                (n.tables, n.blocking, n.rules_at) = (tables, blocking, clock::wall());
            });
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

/// What those tables drop and the declared ones do not. A rule that drops a share of the packets only loses them: that is
/// a bad road and no closed one.
fn blocking(
    wanted: &BTreeMap<String, String>,
    there: &BTreeMap<String, String>,
    differing: &BTreeMap<String, TableState>,
) -> Vec<String> {
    let mut found = Vec::new();
    for name in differing.keys() {
        let (declared, present) = (lines(wanted, name), lines(there, name));
        let policy_drops = present.iter().any(|l| l.contains("policy drop"));
        let added = present.iter().filter(|l| !declared.contains(l) && stops(l)).map(|l| (*l).to_owned());
        let lacks = declared.iter().filter(|l| policy_drops && !present.contains(l) && accepts(l));
        let lacking = lacks.map(|l| format!("policy drop, without {l}"));
        found.extend(added.chain(lacking).map(|rule| format!("{name}: {rule}")));
    }
    found.truncate(BLOCKING_MAX);
    found
}

fn lines<'a>(tables: &'a BTreeMap<String, String>, name: &str) -> Vec<&'a str> {
    tables.get(name).into_iter().flat_map(|body| body.lines()).collect()
}

/// Words of a rule outside of its quotes: what somebody wrote as a comment is no verdict.
fn words(rule: &str) -> impl Iterator<Item = &str> {
    let bare = rule.split('"').step_by(2);
    bare.flat_map(|part| part.split(|c: char| c.is_whitespace() || matches!(c, ';' | ',' | '{' | '}' | ':')))
}

fn stops(rule: &str) -> bool {
    words(rule).any(|w| matches!(w, "drop" | "reject")) && !words(rule).any(|w| SHARE_WORDS.contains(&w))
}

fn accepts(rule: &str) -> bool {
    words(rule).any(|w| w == "accept") && !rule.starts_with("type ")
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

    fn blocked(wanted: &str, there: &str) -> Vec<String> {
        let (wanted, there) = (split(wanted), split(there));
        blocking(&wanted, &there, &compare(&wanted, &there))
    }

    fn table(rules: &str) -> String {
        format!("table inet f {{\n\tchain i {{\n\t\t{}\n\t}}\n}}\n", rules.replace('|', "\n\t\t"))
    }

    #[test]
    fn a_rule_that_drops_whole_flows_blocks_and_one_that_drops_a_share_does_not() {
        for (rule, blocks) in [
            ("tcp dport 5432 drop", true),
            ("ip saddr 10.0.0.7 reject with tcp reset", true),
            ("type filter hook input priority filter; policy drop;", true),
            ("ip saddr vmap { 10.0.0.7 : drop }", true),
            ("oifname \"veth\" numgen random mod 100 < 20 drop", false),
            ("limit rate over 10/second drop", false),
            ("tcp dport 5432 accept comment \"drop later\"", false),
            ("type filter hook input priority filter; policy accept;", false),
        ] {
            assert_eq!(!blocked("", &table(rule)).is_empty(), blocks, "{rule}");
        }
        assert_eq!(blocked("", &table("tcp dport 80 drop")), ["inet f: tcp dport 80 drop"]);
    }

    #[test]
    fn what_the_declared_rules_drop_themselves_is_wanted() {
        let wanted = table("tcp dport 22 drop");
        assert!(blocked(&wanted, &table("tcp dport 22 drop|tcp dport 80 accept")).is_empty());
        assert_eq!(
            blocked(&wanted, &table("tcp dport 22 drop|tcp dport 80 drop")),
            ["inet f: tcp dport 80 drop"]
        );
    }

    #[test]
    fn a_missing_exception_blocks_where_the_chain_drops_the_rest() {
        let drops = "type filter hook input priority filter; policy drop;";
        let wanted = table(&format!("{drops}|tcp dport 80 accept"));
        assert_eq!(blocked(&wanted, &table(drops)), ["inet f: policy drop, without tcp dport 80 accept"]);
        let open = "type filter hook input priority filter; policy accept;";
        assert!(blocked(&table(&format!("{open}|tcp dport 80 accept")), &table(open)).is_empty());
    }
}
