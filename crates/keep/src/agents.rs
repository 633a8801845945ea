//! `agents` and `trust`: where agents of other hosts are listened to, and whose playbooks are believed.
//!
//! Without `agents` nothing listens; without `trust` no signature is believed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::{Agents, TrustedKey};
use wellkept_sign::{PublicKey, SIGNATURES_MAX};

use crate::problem::{Problems, clean};
use crate::read;
use crate::tree::Node;

/// Most keys.
const KEYS_MAX: usize = 100;
/// How long an agent may say nothing: it speaks every few seconds.
const SILENT: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(86_400));

/// Reads the section `agents`.
pub(crate) fn agents(node: &Node, problems: &mut Problems) -> Agents {
    let Some(fields) = read::open(node, &["listen", "silent_after"], problems) else {
        return Agents::default();
    };
    let address = |n: &Node, problems: &mut Problems| {
        let help = Text::new("keep.accept.listen");
        read::parsed(n, help, problems, |t| t.parse::<SocketAddr>().ok())
    };
    Agents {
        listen: fields.get("listen").and_then(|n| address(n, problems)),
        silent_after: fields
            .get("silent_after")
            .and_then(|n| read::duration(n, SILENT.0, SILENT.1, problems)),
    }
}

/// Reads the section `trust`.
pub(crate) fn trust(node: &Node, problems: &mut Problems) -> Vec<TrustedKey> {
    let items = read::items(node);
    if let Some(extra) = items.get(KEYS_MAX) {
        let help = Text::new("keep.accept.whole").with("from", 0).with("to", KEYS_MAX);
        problems.add(&extra.at, Text::new("keep.too_many_entries").with("count", items.len()), help);
    }
    let mut keys: Vec<TrustedKey> = Vec::new();
    for item in items.iter().take(KEYS_MAX) {
        let Some(key) = one(item, problems) else { continue };
        if keys.iter().any(|k| k.key == key.key) {
            let message = Text::new("keep.duplicate_key").with("key", clean(&key.key));
            problems.add(&item.at, message, Text::new("keep.accept.public_key"));
        }
        keys.push(key);
    }
    keys
}

/// Reads `signatures`. More than there are signers would let nothing run, which is a mistake and no wish.
pub(crate) fn signatures(node: &Node, trust: &[TrustedKey], problems: &mut Problems) -> Option<u32> {
    let needed = read::whole(node, 1, SIGNATURES_MAX as u32, problems)?;
    let signers: BTreeSet<&str> = trust.iter().filter(|k| !k.revoked).map(|k| k.name.as_str()).collect();
    if signers.len() < needed as usize {
        let message = Text::new("keep.too_few_signers").with("needed", needed).with("found", signers.len());
        problems.add(&node.at, message, Text::new("keep.accept.signers"));
    }
    Some(needed)
}

fn one(node: &Node, problems: &mut Problems) -> Option<TrustedKey> {
    let fields = read::open(node, &["name", "key", "revoked"], problems)?;
    let mut needed = |name: &str, help: &str| {
        let found = fields.get(name);
        if found.is_none() {
            read::missing(&node.at, name, Text::new(help), problems);
        }
        found
    };
    let (name, key) = (needed("name", "keep.accept.text"), needed("key", "keep.accept.public_key"));
    let name = read::text(name?, false, &Text::new("keep.accept.text"), problems)?.to_owned();
    let help = Text::new("keep.accept.public_key");
    let key = read::parsed(key?, help, problems, |t| t.parse::<PublicKey>().ok())?.to_string();
    let revoked = fields
        .get("revoked")
        .and_then(|n| read::parsed(n, Text::new("keep.accept.yes_no"), problems, |t| t.parse::<bool>().ok()));
    Some(TrustedKey { name, key, revoked: revoked.unwrap_or(false) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    #[test]
    fn agents_and_trust_are_read_and_nothing_is_the_default() {
        let none = crate::parse("wellkept.yml", "{}\n").unwrap();
        assert_eq!((none.agents, none.trust.len()), (Agents::default(), 0));
        let text = format!(
            "agents: {{ listen: '10.0.0.1:7677', silent_after: 2m }}\n\
             trust:\n  - {{ name: ops, key: '{KEY}' }}\n  - {{ name: old, key: '{}', revoked: true }}\n",
            KEY.replace("AAA=", "AAE=")
        );
        let keep = crate::parse("wellkept.yml", &text).unwrap();
        assert_eq!(keep.agents.listen, "10.0.0.1:7677".parse().ok());
        assert_eq!(keep.agents.silent_after, Some(Duration::from_secs(120)));
        assert_eq!(keep.trust.iter().map(|k| k.revoked).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn so_many_signers_as_are_needed_have_to_be_known() {
        let other = KEY.replace("AAA=", "AAE=");
        let of = |second: &str| {
            let text = format!(
                "trust: [{{ name: ops, key: '{KEY}' }}, {{ {second}, key: '{other}' }}]\n\nsignatures: 2\n"
            );
            crate::parse("wellkept.yml", &text)
        };
        assert_eq!(of("name: boss").unwrap().signatures, Some(2));
        for too_few in ["name: ops", "name: boss, revoked: true"] {
            let problem = &of(too_few).unwrap_err().problems[0];
            assert_eq!(
                (problem.line, problem.message.key.as_str()),
                (3, "keep.too_few_signers"),
                "{too_few}"
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        for bad in [
            "agents: { listen: 7677 }",
            "agents: { silent_after: 1s }",
            "agents: { liste: '127.0.0.1:1' }",
            "trust: [ { name: a } ]",
            "trust: [ { name: a, key: 'ed25519:AA' } ]",
            &format!("trust: [ {{ name: a, key: '{KEY}' }}, {{ name: b, key: '{KEY}' }} ]"),
            &format!("signatures: 0\ntrust: [ {{ name: a, key: '{KEY}' }} ]"),
            &format!("signatures: two\ntrust: [ {{ name: a, key: '{KEY}' }} ]"),
        ] {
            assert!(crate::parse("wellkept.yml", &format!("{bad}\n")).is_err(), "{bad}");
        }
    }
}
