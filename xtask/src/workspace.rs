//! Where the workspace lies and what it consists of, as `cargo metadata` tells it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The workspace that this chore was built from.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
    pub(crate) members: Vec<Member>,
}

/// One package of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) manifest: PathBuf,
    /// Names of the packages that it is built with; those only for its tests or its build script are left out.
    pub(crate) dependencies: Vec<String>,
    /// Names of all packages from outside the workspace that it names for any purpose.
    pub(crate) foreign: Vec<String>,
    /// The first file of its library and of each of its binaries.
    pub(crate) roots: Vec<PathBuf>,
}

impl Workspace {
    /// Reads the workspace without touching the network.
    pub(crate) fn read() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let out = cargo(&root)
            .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
            .output()
            .context("failed to start `cargo metadata`")?;
        ensure!(out.status.success(), "`cargo metadata` failed: {}", String::from_utf8_lossy(&out.stderr));
        Self::parse(&serde_json::from_slice(&out.stdout).context("`cargo metadata` gave no JSON")?)
    }

    fn parse(metadata: &Value) -> Result<Self> {
        let path = |key: &str| -> Result<PathBuf> {
            Ok(metadata[key].as_str().with_context(|| format!("`cargo metadata` gave no `{key}`"))?.into())
        };
        let packages =
            metadata["packages"].as_array().context("`cargo metadata` gave no list of `packages`")?;
        Ok(Self {
            root: path("workspace_root")?,
            target: path("target_directory")?,
            members: packages.iter().map(Member::parse).collect::<Result<_>>()?,
        })
    }

    /// Whether a package of this name exists yet.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|m| m.name == name)
    }
}

impl Member {
    fn parse(package: &Value) -> Result<Self> {
        let name = package["name"].as_str().context("a package has no name")?.to_owned();
        let list = |key: &str| package[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_root = |target: &&Value| {
            target["kind"].as_array().is_some_and(|k| k.iter().any(|k| k == "lib" || k == "bin"))
        };
        let names = |wanted: fn(&Value) -> bool| -> Vec<String> {
            let chosen = list("dependencies").iter().filter(|d| wanted(d));
            chosen.filter_map(|d| d["name"].as_str().map(str::to_owned)).collect()
        };
        Ok(Self {
            manifest: package["manifest_path"].as_str().context("a package has no manifest")?.into(),
            dependencies: names(|d| d["kind"].is_null()),
            foreign: names(|d| d["path"].is_null()),
            roots: list("targets")
                .iter()
                .filter(is_root)
                .filter_map(|t| t["src_path"].as_str().map(PathBuf::from))
                .collect(),
            name,
        })
    }
}

/// The cargo that started us, else the one on the path, to be run in `folder`.
///
/// What `cargo run` tells a program about its own package is taken out of the environment: build scripts that watch
/// those variables would else run again each time that a chore and a person take turns.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    for (key, _) in std::env::vars_os() {
        let about_us =
            key.to_str().is_some_and(|k| k.starts_with("CARGO_PKG_") || k.starts_with("CARGO_MANIFEST_"));
        if about_us {
            command.env_remove(key);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dependencies_of_tests_and_build_scripts_do_not_count() {
        let package = json!({
            "name": "wellkept-x", "manifest_path": "/r/crates/x/Cargo.toml",
            "dependencies": [
                {"name": "serde", "kind": null}, {"name": "proptest", "kind": "dev"}, {"name": "cc", "kind": "build"},
                {"name": "wellkept-y", "kind": null, "path": "/r/crates/y"}
            ],
            "targets": [
                {"kind": ["lib"], "src_path": "/r/crates/x/src/lib.rs"},
                {"kind": ["test"], "src_path": "/r/crates/x/tests/t.rs"},
                {"kind": ["bin"], "src_path": "/r/crates/x/src/main.rs"}
            ]
        });
        let member = Member::parse(&package).unwrap();
        assert_eq!(member.dependencies, ["serde", "wellkept-y"]);
        assert_eq!(member.foreign, ["serde", "proptest", "cc"]);
        assert_eq!(
            member.roots,
            [PathBuf::from("/r/crates/x/src/lib.rs"), PathBuf::from("/r/crates/x/src/main.rs")]
        );
    }

    #[test]
    fn the_real_workspace_is_read_and_has_the_model() {
        let workspace = Workspace::read().unwrap();
        assert!(workspace.has("wellkept-model"));
        assert!(!workspace.has("wellkept-nonsense"));
        assert!(workspace.root.join("clippy.toml").is_file());
    }
}
