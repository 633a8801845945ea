//! Arrows point down: who may build on whom, and which crates stay free of IO.

use crate::workspace::Member;

/// One crate's place. A crate may depend on crates of a lower layer only.
struct Place {
    name: &'static str,
    layer: u8,
    /// Data in, data out: no dependency that does IO.
    pure: bool,
}

const fn pure(name: &'static str, layer: u8) -> Place {
    Place { name, layer, pure: true }
}

const fn does_io(name: &'static str, layer: u8) -> Place {
    Place { name, layer, pure: false }
}

/// The whole workspace from the bottom up; a new crate gets its line here with its first commit.
const PLACES: &[Place] = &[
    pure("wellkept-model", 0),
    does_io("wellkept-console", 0),
    does_io("wellkept-kernel", 0),
    pure("wellkept-catalogue", 1),
    pure("wellkept-detect", 1),
    pure("wellkept-diagnose", 1),
    pure("wellkept-intake", 1),
    pure("wellkept-inventory", 1),
    pure("wellkept-logmine", 1),
    pure("wellkept-promql", 1),
    pure("wellkept-recover", 1),
    pure("wellkept-rootcause", 1),
    pure("wellkept-sign", 1),
    pure("wellkept-textmine", 1),
    pure("wellkept-upstream", 1),
    pure("wellkept-yamltree", 1),
    does_io("wellkept-egress", 1),
    does_io("wellkept-resp", 1),
    does_io("wellkept-tsdb", 1),
    does_io("wellkept-collect", 2),
    does_io("wellkept-logstore", 2),
    does_io("wellkept-doors", 2),
    pure("wellkept-keep", 2),
    does_io("wellkept-modules", 2),
    pure("wellkept-playbook", 2),
    pure("wellkept-logintake", 2),
    does_io("wellkept-remote", 2),
    pure("wellkept-rules", 2),
    does_io("wellkept-scrape", 2),
    does_io("wellkept-ssh", 2),
    does_io("wellkept-state", 2),
    does_io("wellkept-agent", 3),
    does_io("wellkept-api", 3),
    does_io("wellkept-deploy", 3),
    does_io("wellkept-discover", 3),
    does_io("wellkept-fleet", 3),
    does_io("wellkept-logs", 3),
    does_io("wellkept-tail", 3),
    does_io("wellkept", 4),
    does_io("xtask", 4),
];

/// Crates that open files or sockets, start processes, draw randomness, or bring a runtime that does.
const DOES_IO: &[&str] = &[
    "async-std",
    "axum",
    "getrandom",
    "glob",
    "hyper",
    "hyper-util",
    "libc",
    "memmap2",
    "mio",
    "nix",
    "notify",
    "procfs",
    "rand",
    "reqwest",
    "russh",
    "russh-sftp",
    "rusqlite",
    "rustix",
    "rustls-native-certs",
    "smol",
    "socket2",
    "sqlx",
    "tempfile",
    "tokio",
    "tokio-rustls",
    "tower-http",
    "ureq",
    "walkdir",
];

/// Problems with the arrows between crates.
pub(super) fn check(members: &[Member]) -> Vec<String> {
    let mut problems = Vec::new();
    for member in members {
        let Some(place) = place(&member.name) else {
            problems.push(format!("{} has no place in xtask/src/arch/layers.rs; give it one", member.name));
            continue;
        };
        for dependency in &member.dependencies {
            problems.extend(arrow(place, dependency));
        }
    }
    problems
}

fn arrow(from: &Place, dependency: &str) -> Option<String> {
    if from.pure && DOES_IO.contains(&dependency) {
        return Some(format!("{} is pure, but depends on {dependency}, which does IO", from.name));
    }
    let to = place(dependency)?;
    if from.pure && !to.pure {
        return Some(format!("{} is pure, but depends on {dependency}, which is not", from.name));
    }
    (to.layer >= from.layer).then(|| {
        format!(
            "{} (layer {}) depends on {dependency} (layer {}); arrows point down",
            from.name, from.layer, to.layer
        )
    })
}

fn place(name: &str) -> Option<&'static Place> {
    PLACES.iter().find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, dependencies: &[&str]) -> Member {
        Member {
            name: name.into(),
            manifest: "Cargo.toml".into(),
            dependencies: dependencies.iter().map(|d| (*d).to_owned()).collect(),
            foreign: Vec::new(),
            roots: Vec::new(),
        }
    }

    fn check_one(name: &str, dependencies: &[&str]) -> Vec<String> {
        check(&[member(name, dependencies)])
    }

    #[test]
    fn arrows_that_point_down_are_fine() {
        assert!(check_one("wellkept-api", &["wellkept-promql", "wellkept-model", "axum"]).is_empty());
        assert!(check_one("wellkept-detect", &["wellkept-model", "serde"]).is_empty());
    }

    #[test]
    fn an_arrow_that_points_up_or_sideways_is_a_problem() {
        for (from, to) in [
            ("wellkept-remote", "wellkept-api"),
            ("wellkept-detect", "wellkept-diagnose"),
            ("wellkept-model", "wellkept-keep"),
        ] {
            let problems = check_one(from, &[to]);
            assert!(problems.iter().any(|p| p.contains(from) && p.contains(to)), "{problems:?}");
        }
    }

    #[test]
    fn a_pure_crate_names_nothing_that_does_io() {
        for to in ["tokio", "sqlx", "wellkept-kernel"] {
            assert_eq!(check_one("wellkept-recover", &[to]).len(), 1, "{to}");
        }
        assert!(check_one("wellkept-collect", &["tokio", "wellkept-kernel"]).is_empty());
    }

    #[test]
    fn a_crate_without_a_place_is_a_problem() {
        assert!(check_one("wellkept-new", &[]).iter().any(|p| p.contains("wellkept-new has no place")));
    }
}
