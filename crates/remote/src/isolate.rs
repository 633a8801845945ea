//! Blocks a port for everybody, in a packet filter table of our own, and opens it again.
//!
//! The table holds one set of ports per protocol and two rules; blocking adds an element and opening takes it out.
//! Rules of others are neither read nor changed.

use std::path::Path;

use tokio::time::Instant;
use wellkept_model::keep::Keep;
use wellkept_model::{Text, Undo};

use crate::Outcome;
use crate::command::{End, Ran, log_path, run};

/// Makes the table where it is not there yet; all of it takes effect at once or not at all.
const TABLE: &str = "add table inet wellkept; \
    add set inet wellkept tcp_ports { type inet_service ; }; \
    add set inet wellkept udp_ports { type inet_service ; }; \
    add chain inet wellkept isolate { type filter hook input priority -150 ; policy accept ; }; \
    flush chain inet wellkept isolate; \
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
}
