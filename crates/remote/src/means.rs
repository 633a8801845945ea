//! Steps that are done by what a section of the keep file declares: a command, a statement, one call about a link.
//!
//! The subject of the step names the declaration. It is looked up again here, at the moment of the effect: what is no
//! longer declared is not done. Names that come from elsewhere (the id of a change) are only ever one argument, and
//! only when they are plain.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wellkept_model::keep::{Backup, Command, Database, Job, JobPlace, Keep, Network};
use wellkept_model::{ActionKind, EntityKind, Means, PlannedAction, Text};

use crate::Outcome;
use crate::command::{End, log_path, run};
use crate::crontab;
use crate::evidence::Evidence;
use crate::isolate;
use crate::packet_filter;
use crate::quarantine;
use crate::service::ended_badly;
use crate::tail::command_line;

/// How often a restore test is tried: somebody else may be testing at the same time.
const TESTS_MAX: u32 = 4;
const TEST_AGAIN: Duration = Duration::from_secs(8);
/// Longest id of a change.
const ID_MAX: usize = 128;

/// One step.
pub(crate) struct ByMeans<'a> {
    pub(crate) keep: &'a Keep,
    pub(crate) data_dir: &'a Path,
    pub(crate) action: &'a PlannedAction,
    pub(crate) deadline: Instant,
}

impl ByMeans<'_> {
    /// The means of a step; `None` when it is done in another way.
    pub(crate) fn of(action: &PlannedAction) -> Option<Means> {
        let kinds = [
            ActionKind::Reconfigure,
            ActionKind::Rollback,
            ActionKind::Restore,
            ActionKind::TerminateSession,
            ActionKind::FreeSpace,
            ActionKind::Isolate,
        ];
        action.subject.parse().ok().filter(|_| kinds.contains(&action.kind))
    }

    /// Does it.
    pub(crate) async fn act(&self, means: &Means, evidence: &mut Evidence) -> Outcome {
        let (name, watched) = (&self.action.target.name, &self.keep.watched);
        let by_command = self.keep.command_for(&self.action.target, means);
        if let Some(declared) = by_command.filter(|d| d.kind == self.action.kind) {
            if let Some(refused) = self.mount_refused(means) {
                return refused;
            }
            return self.command(declared.command).await;
        }
        match means {
            Means::Block(address) => {
                return isolate::block_address(self.keep, address, self.data_dir, self.deadline).await;
            }
            Means::Admit(address) => {
                return isolate::admit_address(address, self.data_dir, self.deadline).await;
            }
            Means::Quarantine(path) => {
                return quarantine::move_aside(self.keep, self.action, path, self.data_dir);
            }
            Means::PutBack(path) => return quarantine::put_back(self.action, path, self.data_dir),
            _ => {}
        }
        if let Means::JobEntry(job) = means {
            return match watched.jobs.get(job).filter(|j| j.is_of(&self.action.target)) {
                Some(job) => self.job_entry(job, evidence).await,
                None => self.undeclared(),
            };
        }
        match (self.action.target.kind, means) {
            (EntityKind::Service | EntityKind::Backup, Means::Credential(credential)) => {
                let sync = watched.credentials.get(credential).and_then(|c| c.sync.as_ref());
                self.declared(sync).await
            }
            (EntityKind::Backup, Means::KeepOld(_)) => {
                self.declared(watched.backups.get(name).and_then(|b| b.keep_old.as_ref())).await
            }
            (EntityKind::Dependency, Means::FallbackOn(_)) => {
                self.declared(watched.dependencies.get(name).and_then(|d| d.fallback_on.as_ref())).await
            }
            (EntityKind::Dependency, Means::FallbackOff(_)) => {
                self.declared(watched.dependencies.get(name).and_then(|d| d.fallback_off.as_ref())).await
            }
            (EntityKind::Service, Means::Migration(id)) => match watched.databases.get(name) {
                Some(database) => self.migration(database, id).await,
                None => self.undeclared(),
            },
            (EntityKind::Service, Means::Sessions(application)) => match watched.databases.get(name) {
                Some(database) => self.sessions(database, application, evidence).await,
                None => self.undeclared(),
            },
            (EntityKind::Service, Means::Renew(key)) => {
                let key = watched.keys.get(key).filter(|k| k.used_by.contains(name));
                self.declared(key.and_then(|k| k.renew.as_ref())).await
            }
            (EntityKind::Service, Means::Memory(bytes)) => self.memory(bytes, evidence).await,
            (EntityKind::Service, Means::DeadLetter(entry)) => self.dead_letter(entry).await,
            (EntityKind::Service, Means::Requeue(entry)) => self.requeue(entry).await,
            (EntityKind::Service, Means::Blockers(application)) => match watched.databases.get(name) {
                Some(database) => self.blockers(database, application, evidence).await,
                None => self.undeclared(),
            },
            (EntityKind::Service, Means::Vacuum(table)) => {
                let declared = watched.databases.get(name).filter(|d| d.care.vacuum.contains(table));
                match declared {
                    Some(database) => self.vacuum(database, table).await,
                    None => self.undeclared(),
                }
            }
            (EntityKind::Service, Means::Replay) => match watched.databases.get(name).filter(|d| d.standby) {
                Some(database) => {
                    self.sql(database, "SELECT pg_wal_replay_resume()", database.sql.within).await
                }
                None => self.undeclared(),
            },
            (EntityKind::Network, means) => match watched.networks.get(name) {
                Some(network) => self.network(network, means, evidence).await,
                None => self.undeclared(),
            },
            _ => self.undeclared(),
        }
    }

    /// Makes a backup and restores it elsewhere; only then it is one.
    pub(crate) async fn run_backup(&self) -> Outcome {
        let declared = self.keep.watched.backups.get(&self.action.target.name);
        let Some(backup) = declared.filter(|_| self.action.target.kind == EntityKind::Backup) else {
            return self.undeclared();
        };
        let before = newest(backup);
        let ran = self.declared(backup.run.as_ref()).await;
        if ran.status != wellkept_model::ActionStatus::Succeeded {
            return ran;
        }
        let Some(file) = newest(backup).filter(|f| before.as_ref() != Some(f)).map(|(f, _)| f) else {
            return Outcome::failed(Text::new("outcome.backup_no_file").with("glob", &backup.glob));
        };
        let size = std::fs::metadata(&file).map_or(0, |m| m.len());
        let text = |key: &str| Text::new(key).with("path", file.display()).with("bytes", size);
        if size < backup.min_size {
            return Outcome::failed(text("outcome.backup_small"));
        }
        let Some(test) = &backup.test else { return Outcome::succeeded(text("outcome.backup_made")) };
        let path = file.to_string_lossy();
        let argv = test.argv.iter().map(|a| a.replace("{file}", &path)).collect();
        let test = Command { argv, within: test.within };
        for attempt in 1..=TESTS_MAX {
            let tested = self.command(&test).await;
            if tested.status == wellkept_model::ActionStatus::Succeeded {
                return Outcome::succeeded(text("outcome.backup_proven"));
            }
            if attempt == TESTS_MAX || Instant::now() + TEST_AGAIN >= self.deadline {
                return Outcome::failed(text("outcome.backup_not_restored"));
            }
            sleep(TEST_AGAIN).await;
        }
        Outcome::failed(text("outcome.backup_not_restored"))
    }

    /// Appends the declared line to its crontab, or starts the declared timer.
    async fn job_entry(&self, job: &Job, evidence: &mut Evidence) -> Outcome {
        match &job.place {
            Some(JobPlace::Timer(unit)) => {
                let argv =
                    ["systemctl", "--no-ask-password", "start", "--", unit].map(str::to_owned).to_vec();
                self.command(&Command { argv, within: Duration::from_secs(30) }).await
            }
            Some(JobPlace::Crontab { file, line }) => crontab::put(file, line, &job.name, evidence),
            None => self.undeclared(),
        }
    }

    /// A mount on top of another one, or of files, would hide what is there.
    fn mount_refused(&self, means: &Means) -> Option<Outcome> {
        if *means != Means::Mount {
            return None;
        }
        let place = Path::new(&self.action.target.name);
        let text = |key: &str| Text::new(key).with("target", &self.action.target);
        let there = std::fs::symlink_metadata(place).ok()?;
        let above = place.parent().and_then(|p| std::fs::symlink_metadata(p).ok());
        let is_mounted = above.is_some_and(|above| there.dev() != above.dev());
        if is_mounted {
            return Some(Outcome::failed(text("outcome.mount_there")));
        }
        let holds = std::fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_some());
        holds.then(|| Outcome::failed(text("outcome.mount_covers")))
    }

    async fn declared(&self, command: Option<&Command>) -> Outcome {
        match command {
            Some(command) => self.command(command).await,
            None => self.undeclared(),
        }
    }

    pub(crate) async fn command(&self, command: &Command) -> Outcome {
        let until = (Instant::now() + command.within).min(self.deadline);
        let ran = run(&command.argv, &log_path(self.data_dir, &self.action.target.name), until).await;
        match &ran.end {
            End::Exited(status) if status.success() => Outcome::succeeded(
                Text::new("outcome.declared_done")
                    .with("target", &self.action.target)
                    .with("command", command_line(&command.argv)),
            ),
            _ => ended_badly(&command.argv, &ran, Outcome::unknown),
        }
    }

    async fn migration(&self, database: &Database, id: &str) -> Outcome {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let good = id.len() <= ID_MAX && !id.starts_with(['-', '.']) && id.chars().all(plain);
        let Some(undo) = database.undo_migration.as_ref().filter(|_| good) else { return self.undeclared() };
        let argv = undo.argv.iter().map(|a| a.replace("{id}", id)).collect();
        self.command(&Command { argv, within: undo.within }).await
    }

    async fn network(&self, network: &Network, means: &Means, evidence: &mut Evidence) -> Outcome {
        let inside = |program: &str| -> Vec<String> {
            let enter = network.namespace.iter().flat_map(|n| ["-n".to_owned(), n.clone()]);
            std::iter::once(program.to_owned()).chain(enter).collect()
        };
        let within = Duration::from_secs(5);
        let words = |argv: Vec<String>, rest: &[&str]| Command {
            argv: argv.into_iter().chain(rest.iter().map(|&w| w.to_owned())).collect(),
            within,
        };
        match means {
            Means::Link(link) if network.links.contains_key(link) => {
                self.command(&words(inside("ip"), &["link", "set", "dev", link, "up"])).await
            }
            Means::Route(to) if network.wanted.routes.iter().any(|r| r.to_string() == *to) => {
                let rest: Vec<&str> = ["route", "replace"].into_iter().chain(to.split(' ')).collect();
                self.command(&words(inside("ip"), &rest)).await
            }
            Means::Mtu(link) => match network.wanted.mtu.get(link) {
                Some(mtu) => {
                    let mtu = mtu.to_string();
                    self.command(&words(inside("ip"), &["link", "set", "dev", link, "mtu", &mtu])).await
                }
                None => self.undeclared(),
            },
            Means::Queue(link) => match network.links.get(link) {
                Some(Some(queue)) if queue == "noqueue" => {
                    self.command(&words(inside("tc"), &["qdisc", "del", "dev", link, "root"])).await
                }
                Some(Some(queue)) => {
                    self.command(&words(inside("tc"), &["qdisc", "replace", "dev", link, "root", queue]))
                        .await
                }
                _ => self.undeclared(),
            },
            Means::Rules(table) => match packet_filter::script(network, table) {
                Some(script) => self.filter(network, table, &script, evidence).await,
                None => self.undeclared(),
            },
            _ => self.undeclared(),
        }
    }

    /// What is there is kept, then the change is made in one transaction.
    async fn filter(&self, network: &Network, table: &str, script: &str, evidence: &mut Evidence) -> Outcome {
        let enter = || network.namespace.iter().flat_map(|n| ["ip", "netns", "exec", n].map(str::to_owned));
        let command = |words: &[&str]| Command {
            argv: enter().chain(words.iter().map(|&w| w.to_owned())).collect(),
            within: Duration::from_secs(5),
        };
        let log = log_path(self.data_dir, &format!("{}.rules", self.action.target.name));
        let list: Vec<&str> = ["nft", "list", "table"].into_iter().chain(table.split(' ')).collect();
        let until = (Instant::now() + Duration::from_secs(5)).min(self.deadline);
        // One that is gone has nothing to keep.
        let there = run(&command(&list).argv, &log, until).await;
        let kept = evidence
            .add("table.nft", there.output.as_bytes())
            .and_then(|()| evidence.add("change.nft", script.as_bytes()));
        if let Err(e) = kept {
            return Outcome::failed(Text::new("outcome.evidence_failed").with("error", e));
        }
        let file = evidence.path("change.nft");
        self.command(&command(&["nft", "-f", &file.to_string_lossy()])).await
    }

    pub(crate) fn undeclared(&self) -> Outcome {
        Outcome::failed(Text::new("outcome.not_declared").with("target", &self.action.target))
    }
}

/// The newest file of a backup, with when it was written.
fn newest(backup: &Backup) -> Option<(PathBuf, std::time::SystemTime)> {
    let files = glob::glob(&backup.glob).ok()?.flatten();
    let dated = files.filter_map(|p| {
        let meta = std::fs::symlink_metadata(&p).ok().filter(std::fs::Metadata::is_file)?;
        Some((p, meta.modified().ok()?))
    });
    dated.max_by_key(|(_, at)| *at)
}
