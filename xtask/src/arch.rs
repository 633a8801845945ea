//! The architecture check: the shape of the workspace that a compiler does not enforce.
//!
//! The rules are pure functions over what was read, so that each has a test with a workspace that breaks it.

mod layers;
mod sources;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// Prints what is wrong; true when nothing is.
pub(crate) fn run() -> Result<bool> {
    let workspace = Workspace::read()?;
    let problems = check(&workspace)?;
    for problem in &problems {
        eprintln!("arch: {problem}");
    }
    println!("arch: {} crates, {} problems", workspace.members.len(), problems.len());
    Ok(problems.is_empty())
}

/// One line for each thing that is not as it should be.
fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems = layers::check(&workspace.members);
    let reasons = read(&workspace.root.join(sources::REASONS))?;
    for member in &workspace.members {
        problems.extend(sources::unexplained(&member.name, &member.foreign, &reasons));
        let manifest = read(&member.manifest)?;
        problems.extend(sources::lints_inherited(&member.name, &manifest));
        for root in &member.roots {
            let shown = relative(&workspace.root, root);
            problems.extend(sources::unsafe_forbidden(&member.name, &shown, &read(root)?));
        }
    }
    for path in tracked(&workspace.root)? {
        let shown = relative(&workspace.root, &path);
        // A tracked file may have been deleted or be a link to nowhere; both are git's business.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        problems.extend(sources::no_machine_path(&shown, &bytes));
        if sources::needs_module_head(&shown) {
            problems.extend(sources::module_head(&shown, &String::from_utf8_lossy(&bytes)));
        }
    }
    Ok(problems)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

/// Files that git knows or would add.
fn tracked(root: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut command = Command::new("git");
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let list =
        crate::process::output(&mut command).context("the architecture check reads git's list of files")?;
    Ok(list.split('\0').filter(|name| !name.is_empty()).map(|name| root.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_has_the_shape_that_it_should_have() {
        let problems = check(&Workspace::read().unwrap()).unwrap();
        assert_eq!(problems, Vec::<String>::new());
    }
}
