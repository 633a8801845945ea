//! `security`: logins over SSH, folders that are looked at for malware, and who may become root.

use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::{AddressRange, Logins, Privileges, Scan, Security};

use super::{Entry, ITEMS_MAX};
use crate::problem::Problems;
use crate::read;
use crate::tree::Node;

const FAILURES: u32 = 10;
const WITHIN: Duration = Duration::from_secs(60);
const SCAN_EVERY: Duration = Duration::from_secs(5);
/// Longest time for which an address may be blocked.
const BLOCK_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Reads the section `security`.
pub(crate) fn security(node: &Node, problems: &mut Problems) -> Security {
    let Some(fields) = read::open(node, &["logins", "scan", "privileges"], problems) else {
        return Security::default();
    };
    Security {
        logins: fields.get("logins").and_then(|n| logins(&mut entry(n, problems))),
        scan: fields.get("scan").and_then(|n| scan(&mut entry(n, problems))),
        privileges: fields.get("privileges").and_then(|n| privileges(&mut entry(n, problems))),
    }
}

fn entry<'n, 'p, 'q>(node: &'n Node, problems: &'p mut Problems<'q>) -> Entry<'n, 'p, 'q> {
    Entry { at: &node.at, node, fields: None, services: &[], problems }
}

fn logins(entry: &mut Entry<'_, '_, '_>) -> Option<Logins> {
    entry.open(&["log", "failures", "within", "block_for", "never_block"])?;
    let items = entry.get("never_block").map(read::items).unwrap_or_default();
    let range = |n| read::parsed(n, Text::new("keep.accept.network"), entry.problems, AddressRange::parse);
    let never_block = items.iter().take(ITEMS_MAX).filter_map(range).collect();
    let failures = entry.get("failures").and_then(|n| read::whole(n, 3, 100_000, entry.problems));
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    Some(Logins {
        log: entry.path("log"),
        failures: failures.unwrap_or(FAILURES),
        within: entry.duration("within", second, day).unwrap_or(WITHIN),
        block_for: entry.duration("block_for", second, BLOCK_MAX),
        never_block,
    })
}

fn scan(entry: &mut Entry<'_, '_, '_>) -> Option<Scan> {
    entry.open(&["folders", "quarantine", "clamd", "every"])?;
    entry.needed("folders", "keep.accept.path");
    let quarantine = entry.get("quarantine").and_then(|n| {
        read::parsed(n, Text::new("keep.accept.yes_no"), entry.problems, |t| t.parse::<bool>().ok())
    });
    Some(Scan {
        folders: entry.paths("folders"),
        quarantine: quarantine.unwrap_or(false),
        clamd: entry.path("clamd"),
        every: entry.every(SCAN_EVERY),
    })
}

fn privileges(entry: &mut Entry<'_, '_, '_>) -> Option<Privileges> {
    entry.open(&["folders", "roots", "meant"])?;
    let (folders, roots, meant) = (entry.paths("folders"), entry.words("roots"), entry.words("meant"));
    Some(Privileges { folders, roots, meant })
}
