//! `wellkept apply`: a playbook as the description of how hosts should be. Runs like `play`, and tells for each host
//! which tasks change it, or would.

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};
use wellkept_model::Text;

use super::Context;
use super::fleet::play::{PlayArgs, Told, heard};
use super::fleet::show_play::line;
use crate::cli::Output;
use crate::exit::{NOT_WELL, OK};
use crate::say;

/// The most tasks that are told of one host.
const TASKS_MAX: usize = 50;
/// Characters of a task's name, and of how it changes things.
const NAME_MAX: usize = 200;
const DIFF_MAX: usize = 2000;

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    play: PlayArgs,
}

/// What a run found, as `--output json` tells it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Playbooks, as they were named.
    pub(crate) playbooks: Vec<String>,
    /// Only looked.
    pub(crate) check: bool,
    /// The run's exit code.
    pub(crate) exit: u8,
    /// By name.
    pub(crate) hosts: BTreeMap<String, HostReport>,
}

/// One host of a report.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostReport {
    /// Tasks that changed it, or would.
    pub(crate) changed: u32,
    /// Tasks that failed.
    pub(crate) failed: u32,
    /// It could not be reached.
    pub(crate) unreachable: bool,
    /// Nobody knows whether one of its steps was done.
    #[serde(default)]
    pub(crate) doubtful: bool,
    /// Tasks that changed it, or would; not all when there are many.
    pub(crate) differs: Vec<Differs>,
}

/// A task that changes a host, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Differs {
    /// Its name.
    pub(crate) task: String,
    /// How, when it can tell; empty otherwise.
    pub(crate) diff: String,
}

pub(super) async fn run(context: Context, mut args: ApplyArgs) -> anyhow::Result<u8> {
    args.play.kind = "apply";
    let mut ear = Ear::default();
    let quiet = context.output == Output::Json;
    let mut hear = |text: &str, told: Option<&Told<'_>>| match told {
        Some(told) => ear.count(told),
        None => {
            ear.hear(text);
            if !quiet {
                line(text);
            }
        }
    };
    let exit = heard(context, &args.play, &mut hear).await?;
    let playbooks = args.play.playbooks.iter().map(|path| path.display().to_string()).collect();
    let report = Report { playbooks, check: args.play.check, exit, hosts: ear.hosts };
    tell(context, &report)?;
    let differs = report.check && report.hosts.values().any(|host| host.changed > 0);
    Ok(match exit {
        0 if differs => NOT_WELL,
        0 => OK,
        other => other,
    })
}

fn tell(context: Context, report: &Report) -> anyhow::Result<()> {
    if context.output == Output::Json {
        say::line(&serde_json::to_string(report)?);
        return Ok(());
    }
    let playbook = report.playbooks.join(", ");
    let said = |text: &Text| say::line(&say::text(context.language, text));
    for (host, found) in report.hosts.iter().filter(|(_, host)| report.check && host.changed > 0) {
        let text = Text::new("apply.differs").with("host", host).with("playbook", &playbook);
        said(&text.with("count", found.changed));
    }
    if report.check && report.exit == 0 && report.hosts.values().all(|host| host.changed == 0) {
        said(&Text::new("apply.as_described").with("playbook", &playbook));
    }
    Ok(())
}

/// Hears what a run says, text by text: a task begins, how something changes, that a host is changed by it.
#[derive(Debug, Default)]
struct Ear {
    task: String,
    diff: String,
    hosts: BTreeMap<String, HostReport>,
}

impl Ear {
    fn hear(&mut self, text: &str) {
        let banner = text.trim_start_matches('\n');
        let named = ["TASK [", "RUNNING HANDLER ["].iter().find_map(|start| banner.strip_prefix(start));
        if let Some(name) = named.and_then(|rest| Some(rest.rsplit_once(']')?.0)) {
            self.task = name.chars().take(NAME_MAX).collect();
            self.diff.clear();
        } else if text.starts_with("--- ") {
            self.diff = text.chars().take(DIFF_MAX).collect();
        } else if let Some(host) =
            text.strip_prefix("changed: [").and_then(|rest| Some(rest.split_once(']')?.0))
        {
            let host = host.split_once(" -> ").map_or(host, |(host, _)| host);
            let found = self.hosts.entry(host.to_owned()).or_default();
            if found.differs.len() < TASKS_MAX {
                let diff = std::mem::take(&mut self.diff);
                found.differs.push(Differs { task: self.task.clone(), diff });
            }
        } else {
            self.diff.clear();
        }
    }

    /// The run's own counts are what counts: what was heard of a host that it did not change came from somewhere else.
    fn count(&mut self, told: &Told<'_>) {
        let counts = told.counts;
        for (host, stats) in counts {
            let found = self.hosts.entry(host.clone()).or_default();
            found.changed += stats.changed;
            found.failed += stats.failed;
            found.unreachable |= stats.unreachable > 0;
            found.doubtful |= told.doubtful.contains(host);
        }
        self.hosts.retain(|host, found| counts.contains_key(host) || found.changed > 0);
        for found in self.hosts.values_mut().filter(|found| found.changed == 0) {
            found.differs.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use wellkept_playbook::run::Stats;

    use super::*;

    #[test]
    fn tasks_that_change_a_host_are_heard_with_how() {
        let mut ear = Ear::default();
        for text in [
            "\nPLAY [all] ***",
            "\nTASK [a [b] c] ***",
            "ok: [h2]",
            "--- before: /x\n+++ after\n@@ -1 +1 @@\n-changed: [h9]\n+b\n",
            "changed: [h1]",
            "\nRUNNING HANDLER [restart] ***",
            "changed: [h1 -> h2]",
            "changed: [h7] from nowhere",
        ] {
            ear.hear(text);
        }
        let stats = |changed| Stats { changed, ..Stats::default() };
        let counts = [("h1".to_owned(), stats(2)), ("h2".to_owned(), stats(0))].into();
        ear.count(&Told { counts: &counts, doubtful: &["h2".to_owned()].into() });
        assert!(ear.hosts["h2"].doubtful && !ear.hosts["h1"].doubtful);
        let h1 = &ear.hosts["h1"];
        let tasks: Vec<&str> = h1.differs.iter().map(|d| d.task.as_str()).collect();
        assert_eq!((h1.changed, tasks), (2, vec!["a [b] c", "restart"]));
        assert!(h1.differs[0].diff.contains("+b") && h1.differs[1].diff.is_empty());
        assert_eq!(
            ear.hosts.keys().collect::<Vec<_>>(),
            ["h1", "h2"],
            "what the run does not know is not told"
        );
    }
}
