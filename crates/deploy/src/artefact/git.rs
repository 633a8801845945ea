//! A commit of a repository as an archive: git is started by argument vector, on the controller, and nothing of the
//! repository is run (no hooks, no checkout, no submodules).

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::refused;
use crate::error::DeployError;

/// How long one call of git may take.
const WITHIN: Duration = Duration::from_secs(1800);
/// Characters of what git says that are shown.
const SAID_MAX: usize = 500;

/// Writes the commit as a tar; gives its name.
pub(super) async fn archive(
    repository: &str,
    reference: &str,
    temp: &Path,
    to: &Path,
) -> Result<String, DeployError> {
    if reference.starts_with('-') || repository.starts_with('-') {
        return refused("deploy.git", &format!("{repository} {reference}"));
    }
    let folder = temp.join("git").display().to_string();
    git(&["init", "-q", "--bare", &folder]).await?;
    let fetch = ["-C", &folder, "fetch", "-q", "--no-tags", "--no-recurse-submodules"];
    let shallow = git(&[&fetch[..], &["--depth=1", "--", repository, reference]].concat()).await;
    let commit = match shallow {
        Ok(_) => commit(&folder, "FETCH_HEAD").await?,
        Err(first) => {
            // A server need not hand out single commits; everything that has a name does then.
            let all = ["--", repository, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
            if git(&[&fetch[..], &all].concat()).await.is_err() {
                return Err(first);
            }
            commit(&folder, reference).await.map_err(|_| first)?
        }
    };
    let to = to.display().to_string();
    git(&["-C", &folder, "archive", "--format=tar", "-o", &to, &commit]).await?;
    Ok(commit)
}

async fn commit(folder: &str, name: &str) -> Result<String, DeployError> {
    let name = format!("{name}^{{commit}}");
    let said = git(&["-C", folder, "rev-parse", "--verify", "-q", "--end-of-options", &name]).await?;
    let commit = said.trim();
    if commit.len() >= 40 && commit.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(commit.to_owned());
    }
    refused("deploy.git", &name)
}

async fn git(args: &[&str]) -> Result<String, DeployError> {
    let mut command = Command::new("git");
    command
        .args(["-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null"])
        .args(args)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match timeout(WITHIN, command.output()).await {
        Err(_) => refused("deploy.git", &"git gives no answer in time"),
        Ok(Err(e)) => refused("deploy.git", &e),
        Ok(Ok(ran)) if ran.status.success() => Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
        Ok(Ok(ran)) => {
            let said = String::from_utf8_lossy(&ran.stderr);
            refused("deploy.git", &said.trim().chars().take(SAID_MAX).collect::<String>())
        }
    }
}
