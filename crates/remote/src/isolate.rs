//! Blocks a port for everybody, in a packet filter table of our own, and opens it again.
//!
//! The table holds one set of ports per protocol and two rules; blocking adds an element and opening takes it out.
//! Rules of others are neither read nor changed.

use std::net::IpAddr;
use std::path::Path;

use tokio::time::Instant;
use wellkept_model::keep::Keep;
use wellkept_model::{Means, Text, Undo};

use crate::Outcome;
use crate::command::{End, Ran, log_path, run};

/// Makes the table where it is not there yet; all of it takes effect at once or not at all.
const TABLE: &str = "add table inet wellkept; \
    add set inet wellkept tcp_ports { type inet_service ; }; \
    add set inet wellkept udp_ports { type inet_service ; }; \
    add chain inet wellkept isolate { type filter hook input priority -150 ; policy accept ; }; \
    flush chain inet wellkept isolate; \
    add set inet wellkept blocked4 { type ipv4_addr ; flags timeout ; }; \
    add set inet wellkept blocked6 { type ipv6_addr ; flags timeout ; }; \
    add rule inet wellkept isolate ip saddr @blocked4 drop; \
    add rule inet wellkept isolate ip6 saddr @blocked6 drop; \
    add rule inet wellkept isolate tcp dport @tcp_ports drop; \
    add rule inet wellkept isolate udp dport @udp_ports drop";

/// Blocks the port that `name` (`tcp 0.0.0.0:31337`) names. A port that anything declared uses is refused.
pub(crate) async fn block(keep: &Keep, name: &str, data_dir: &Path, deadline: Instant) -> Outcome {
    let Some((protocol, port)) = parse(name) else {
        return Outcome::failed(Text::new("outcome.no_target").with("target", name).with("error", name));
    };
    let isolate = keep.listeners.as_ref().is_some_and(|l| l.isolate);
    let mut declared = keep.services.values().flat_map(|s| &s.listens);
    let allowed = keep.listeners.iter().flat_map(|l| &l.allow).any(|a| a.port == port);
    if !isolate || allowed || declared.any(|a| a.port() == port) {
        return Outcome::failed(Text::new("outcome.refuse_port").with("name", name));
    }
    let ruleset = format!("{TABLE}; add element inet wellkept {protocol}_ports {{ {port} }}");
    match nft(ruleset, data_dir, deadline).await {
        Ok(()) => Outcome::succeeded(Text::new("outcome.port_blocked").with("name", name))
            .with_undo(Undo::Unblock { protocol: protocol.to_owned(), port }),
        Err(text) => Outcome::failed(text),
    }
}

/// Opens it again.
pub(crate) async fn unblock(protocol: &str, port: u16, data_dir: &Path, deadline: Instant) -> Outcome {
    let name = format!("{protocol} {port}");
    if !matches!(protocol, "tcp" | "udp") {
        return Outcome::failed(Text::new("outcome.no_target").with("target", &name).with("error", protocol));
    }
    let ruleset = format!("delete element inet wellkept {protocol}_ports {{ {port} }}");
    match nft(ruleset, data_dir, deadline).await {
        Ok(()) => Outcome::succeeded(Text::new("outcome.port_open").with("name", name)),
        Err(text) => Outcome::failed(text),
    }
}

/// Blocks what comes from an address for the declared time. One that must not be blocked is refused.
pub(crate) async fn block_address(keep: &Keep, address: &str, data_dir: &Path, deadline: Instant) -> Outcome {
    let parsed = address.parse::<IpAddr>().ok().map(|a| a.to_canonical());
    let time = parsed.and_then(|a| keep.security.logins.as_ref()?.may_block(a));
    let (Some(parsed), Some(time)) = (parsed, time) else {
        return Outcome::failed(Text::new("outcome.refuse_address").with("address", address));
    };
    let (set, seconds) = (set_of(parsed), time.as_secs().max(1));
    // One that is there already gets its whole time again.
    let ruleset = format!(
        "{TABLE}; add element inet wellkept {set} {{ {parsed} timeout {seconds}s }}; \
         delete element inet wellkept {set} {{ {parsed} }}; \
         add element inet wellkept {set} {{ {parsed} timeout {seconds}s }}"
    );
    match nft(ruleset, data_dir, deadline).await {
        Ok(()) => Outcome::succeeded(
            Text::new("outcome.address_blocked").with("address", parsed).with("seconds", seconds),
        )
        .with_undo(Undo::Means { subject: Means::Admit(parsed.to_string()).to_string() }),
        Err(text) => Outcome::failed(text),
    }
}

/// Lets an address in again; one whose time is over already is let in as well.
pub(crate) async fn admit_address(address: &str, data_dir: &Path, deadline: Instant) -> Outcome {
    let Ok(parsed) = address.parse::<IpAddr>() else {
        return Outcome::failed(Text::new("outcome.refuse_address").with("address", address));
    };
    let set = set_of(parsed);
    let ruleset = format!(
        "{TABLE}; add element inet wellkept {set} {{ {parsed} }}; delete element inet wellkept {set} {{ {parsed} }}"
    );
    match nft(ruleset, data_dir, deadline).await {
        Ok(()) => Outcome::succeeded(Text::new("outcome.address_free").with("address", parsed)),
        Err(text) => Outcome::failed(text),
    }
}

fn set_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "blocked4" } else { "blocked6" }
}

fn parse(name: &str) -> Option<(&'static str, u16)> {
    let (protocol, address) = name.split_once(' ')?;
    let protocol = ["tcp", "udp"].into_iter().find(|p| *p == protocol)?;
    let address: std::net::SocketAddr = address.parse().ok()?;
    (address.port() > 0).then(|| (protocol, address.port()))
}

async fn nft(ruleset: String, data_dir: &Path, deadline: Instant) -> Result<(), Text> {
    let argv = ["nft".to_owned(), ruleset];
    let Ran { end, output } = run(&argv, &log_path(data_dir, "nft"), deadline).await;
    let failed = |error: String| Text::new("outcome.filter_failed").with("error", error);
    match end {
        End::Exited(status) if status.success() => Ok(()),
        End::NotStarted(e) => Err(failed(e.to_string())),
        End::Exited(status) => Err(failed(format!("{status}: {output}"))),
        End::Deadline | End::GoesOn | End::IsService => Err(failed(output)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_protocol_with_an_address_and_a_port_is_a_place() {
        assert_eq!(parse("tcp 0.0.0.0:31337"), Some(("tcp", 31337)));
        assert_eq!(parse("udp [::]:53"), Some(("udp", 53)));
        for bad in ["", "tcp", "tcp 0.0.0.0:0", "ip 0.0.0.0:1", "tcp *:1", "tcp 1 ; flush ruleset"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_packet_filter_takes_the_rules_as_they_are_written() {
        // In a network namespace of its own, and only checked.
        let ruleset = format!("{TABLE}; add element inet wellkept tcp_ports {{ 31337 }}");
        let done = std::process::Command::new("unshare").args(["-n", "nft", "-c", &ruleset]).output();
        let done = done.expect("util-linux is there");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    #[tokio::test]
    async fn a_port_that_is_declared_or_not_allowed_to_be_blocked_is_refused() {
        let temp = tempfile::tempdir().expect("temp");
        let deadline = Instant::now() + std::time::Duration::from_secs(5);
        let mut keep = Keep::default();
        let outcome = block(&keep, "tcp 0.0.0.0:31337", temp.path(), deadline).await;
        assert_eq!(outcome.text.key, "outcome.refuse_port");
        let allow = vec![wellkept_model::keep::AllowedListener { ip: None, port: 31337 }];
        keep.listeners = Some(wellkept_model::keep::Listeners { allow, isolate: true });
        let outcome = block(&keep, "tcp 0.0.0.0:31337", temp.path(), deadline).await;
        assert_eq!(outcome.text.key, "outcome.refuse_port");
    }

    #[tokio::test]
    async fn an_address_that_must_not_be_blocked_is_refused() {
        let temp = tempfile::tempdir().expect("temp");
        let deadline = Instant::now() + std::time::Duration::from_secs(5);
        let mut keep = Keep::default();
        for address in ["203.0.113.9", "127.0.0.1", "x; flush ruleset", ""] {
            let outcome = block_address(&keep, address, temp.path(), deadline).await;
            assert_eq!(outcome.text.key, "outcome.refuse_address", "{address}");
            let second = std::time::Duration::from_secs(1);
            keep.security.logins = Some(wellkept_model::keep::Logins {
                log: Some("/x".into()),
                failures: 3,
                within: second,
                block_for: Some(second),
                never_block: vec![],
            });
        }
    }

    #[test]
    fn the_packet_filter_takes_addresses_of_both_kinds_for_a_time() {
        for address in ["203.0.113.9", "2001:db8::1"] {
            let set = set_of(address.parse().expect("an address"));
            let ruleset = format!("{TABLE}; add element inet wellkept {set} {{ {address} timeout 600s }}");
            let add_and_list = "nft \"$0\" && nft list set inet wellkept \"$1\"";
            let mut command = std::process::Command::new("unshare");
            command.args(["-n", "sh", "-c", add_and_list, &ruleset, set]);
            let done = command.output().expect("util-linux is there");
            let listed = String::from_utf8_lossy(&done.stdout).into_owned();
            assert!(
                done.status.success() && listed.contains(address) && listed.contains("timeout"),
                "{done:?}"
            );
        }
    }
}
