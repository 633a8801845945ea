//! `listeners`, `strangers`, `maintenance` and `evidence`: what concerns the host as a whole.
//!
//! Each of them widens what may be done, so each is empty unless it is written: without `listeners` no socket is
//! judged, without `strangers` no process outside the declared services is ever touched.

use std::net::SocketAddr;
use std::path::PathBuf;

use wellkept_model::Text;
use wellkept_model::keep::{AllowedListener, Listeners, Strangers};

use crate::problem::{Problems, clean};
use crate::read;
use crate::service;
use crate::tree::Node;

/// Reads the section `listeners`: sockets that belong to no service, and what may be done about others.
pub(crate) fn listeners(node: &Node, problems: &mut Problems) -> Option<Listeners> {
    let fields = read::open(node, &["allow", "isolate"], problems)?;
    let items = fields.get("allow").map(read::items).unwrap_or_default();
    let allow = items
        .iter()
        .filter_map(|n| read::parsed(n, Text::new("keep.accept.allowed_listener"), problems, allowed))
        .collect();
    let isolate = fields.get("isolate").and_then(|n| yes_or_no(n, problems)).unwrap_or(false);
    Some(Listeners { allow, isolate })
}

/// `127.0.0.1:7676`, or a port alone for every address.
fn allowed(text: &str) -> Option<AllowedListener> {
    let port = |p: u16| (p > 0).then_some(p);
    match text.parse::<u16>() {
        Ok(number) => Some(AllowedListener { ip: None, port: port(number)? }),
        Err(_) => {
            let address: SocketAddr = text.parse().ok()?;
            let ip = (!address.ip().is_unspecified()).then(|| address.ip());
            Some(AllowedListener { ip, port: port(address.port())? })
        }
    }
}

/// Reads the section `strangers`: users whose processes may be ended or made nice. Root is refused: its processes
/// keep the host alive.
pub(crate) fn strangers(node: &Node, problems: &mut Problems) -> Strangers {
    let Some(fields) = read::open(node, &["kill", "slow_down"], problems) else {
        return Strangers::default();
    };
    let mut users = |name: &str| -> Vec<String> {
        let items = fields.get(name).map(read::items).unwrap_or_default();
        let user = |t: &str| (service::is_user(t) && t != "root" && t != "0").then(|| t.to_owned());
        items
            .iter()
            .filter_map(|n| read::parsed(n, Text::new("keep.accept.stranger"), problems, user))
            .collect()
    };
    Strangers { kill: users("kill"), slow_down: users("slow_down") }
}

/// Reads the section `maintenance`: files with windows.
pub(crate) fn maintenance(node: &Node, problems: &mut Problems) -> Vec<PathBuf> {
    let Some(fields) = read::open(node, &["files"], problems) else { return Vec::new() };
    let items = fields.get("files").map(read::items).unwrap_or_default();
    items.iter().filter_map(|n| read::path(n, problems)).map(PathBuf::from).collect()
}

/// Reads `evidence`: a folder of the operator's for copies of altered files.
pub(crate) fn evidence(node: &Node, problems: &mut Problems) -> Option<PathBuf> {
    let path = read::path(node, problems)?;
    if path == "/" {
        let message = Text::new("keep.mount_point").with("path", clean(&path));
        problems.add(&node.at, message, Text::new("keep.accept.path"));
        return None;
    }
    Some(PathBuf::from(path))
}

pub(crate) fn yes_or_no(node: &Node, problems: &mut Problems) -> Option<bool> {
    read::parsed(node, Text::new("keep.accept.yes_no"), problems, |t| match t {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_and_the_unspecified_address_stand_for_every_address() {
        let any = |port| Some(AllowedListener { ip: None, port });
        assert_eq!(allowed("22"), any(22));
        assert_eq!(allowed("0.0.0.0:22"), any(22));
        assert_eq!(allowed("[::]:22"), any(22));
        let ip = "127.0.0.1".parse().ok();
        assert_eq!(allowed("127.0.0.1:7676"), Some(AllowedListener { ip, port: 7676 }));
        for bad in ["0", "127.0.0.1:0", "ssh", "127.0.0.1", "70000"] {
            assert_eq!(allowed(bad), None, "{bad}");
        }
    }
}
