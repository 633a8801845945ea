//! Makes another release of a service current: by the declared command, or by the link and a restart.

use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use tokio::time::Instant;
use wellkept_model::keep::{Release, Service};
use wellkept_model::{Text, TimestampMs, Undo};

use crate::Outcome;
use crate::command::{End, log_path, run};
use crate::place::{open_dir, private_name};
use crate::service::{Restarting, ended_badly};

/// Stands for the name of the release in a declared command.
const PLACE: &str = "{release}";

/// One change of a service's release.
pub(crate) struct Switching<'a> {
    pub(crate) service: &'a Service,
    pub(crate) processes: &'a [u32],
    pub(crate) data_dir: &'a Path,
    pub(crate) now: TimestampMs,
    pub(crate) deadline: Instant,
}

impl Switching<'_> {
    /// Makes `to` (as the link would hold it) current. `expected`: what the plan saw; when the link holds something
    /// else, somebody has deployed since, and we leave it to them.
    pub(crate) async fn switch(&self, to: &str, expected: Option<&str>) -> Outcome {
        let name = &self.service.name;
        let Some(release) = &self.service.release else {
            return Outcome::failed(Text::new("outcome.not_declared").with("target", name));
        };
        let failed = |error: String| {
            Outcome::failed(Text::new("outcome.release_failed").with("service", name).with("error", error))
        };
        let current = match std::fs::read_link(&release.current) {
            Ok(current) => current,
            Err(e) => return failed(format!("{}: {e}", release.current.display())),
        };
        if expected.is_some_and(|e| Path::new(e) != current) {
            return Outcome::failed(Text::new("outcome.release_changed_since").with("service", name));
        }
        let folder = match folder_of(release, to) {
            Ok(folder) => folder,
            Err(e) => return failed(e),
        };
        let back = Undo::Release { to: current.to_string_lossy().into_owned() };
        let short = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let outcome = match &release.rollback {
            Some(command) => {
                let argv: Vec<String> = command.argv.iter().map(|w| w.replace(PLACE, &short)).collect();
                let until = (Instant::now() + command.within).min(self.deadline);
                let ran = run(&argv, &log_path(self.data_dir, name), until).await;
                match &ran.end {
                    End::Exited(status) if status.success() => Outcome::succeeded(
                        Text::new("outcome.release_switched").with("service", name).with("release", to),
                    ),
                    _ => {
                        let ended = ended_badly(&argv, &ran, Outcome::unknown);
                        let moved = std::fs::read_link(&release.current).is_ok_and(|link| link != current);
                        return if moved { ended.with_undo(back) } else { ended };
                    }
                }
            }
            None => {
                if let Err(e) = relink(&release.current, Path::new(to)) {
                    return failed(e.to_string());
                }
                let hands =
                    Restarting::new(self.service, self.processes, self.data_dir, self.now, self.deadline);
                let restarted = hands.restart().await;
                if restarted.status != wellkept_model::ActionStatus::Succeeded {
                    return restarted.with_undo(back);
                }
                Outcome::succeeded(
                    Text::new("outcome.release_switched").with("service", name).with("release", to),
                )
            }
        };
        if std::fs::canonicalize(&release.current).ok().as_ref() != Some(&folder) {
            return failed(format!("{} does not lead to {}", release.current.display(), folder.display()));
        }
        outcome.with_undo(back)
    }
}

/// The folder of a release: one that is there, directly among the releases.
fn folder_of(release: &Release, to: &str) -> Result<PathBuf, String> {
    let plain = Path::new(to)
        .components()
        .all(|c| matches!(c, Component::Normal(_) | Component::RootDir | Component::CurDir));
    if to.is_empty() || !plain {
        return Err(format!("{to:?} names no release"));
    }
    let base = release.current.parent().unwrap_or(Path::new("/"));
    let real = |path: &Path| std::fs::canonicalize(path).map_err(|e| format!("{}: {e}", path.display()));
    let (folder, from) = (real(&base.join(to))?, real(&release.from)?);
    if folder.parent() == Some(&from) && folder.is_dir() {
        Ok(folder)
    } else {
        Err(format!("{} is no release in {}", folder.display(), from.display()))
    }
}

/// Replaces the link in one step.
fn relink(link: &Path, to: &Path) -> std::io::Result<()> {
    let parent = link.parent().unwrap_or(Path::new("/"));
    let temp = parent.join(private_name()?);
    symlink(to, &temp)?;
    if let Err(e) = std::fs::rename(&temp, link) {
        // It is ours by its random name.
        let _ = std::fs::remove_file(&temp);
        return Err(e);
    }
    Ok(rustix::fs::fsync(open_dir(&std::fs::canonicalize(parent)?)?)?)
}
