//! Restart and start of a service by its declared commands.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;
use wellkept_model::keep::{Command, Identity, Service};
use wellkept_model::{Text, TimestampMs};

use crate::Outcome;
use crate::command::{End, Ran, log_path, run, run_start};
use crate::procs::{stat, survivors};
use crate::signals::{TERM_WAIT, end_all, list, open_all, refusal};
use crate::tail::command_line;
use crate::who::starts_as;

/// How long systemctl may take for a unit when the action leaves more time.
const SYSTEMCTL_WITHIN: Duration = Duration::from_secs(90);

/// What restarting one service needs to know.
pub(crate) struct Restarting<'a> {
    service: &'a Service,
    alive: Vec<u32>,
    log: PathBuf,
    now: TimestampMs,
    deadline: Instant,
}

impl<'a> Restarting<'a> {
    /// `processes`: those of the service as seen at `now`.
    pub(crate) fn new(
        service: &'a Service,
        processes: &[u32],
        data_dir: &Path,
        now: TimestampMs,
        deadline: Instant,
    ) -> Self {
        let alive = processes.iter().copied().filter(|pid| stat(*pid).is_some_and(|s| s.lives())).collect();
        Self { service, alive, log: log_path(data_dir, &service.name), now, deadline }
    }

    /// Starts a service that has ended; one that runs again by itself is left alone.
    pub(crate) async fn start_if_down(&self) -> Outcome {
        match self.alive.first() {
            Some(pid) => Outcome::succeeded(self.text("outcome.already_runs").with("pid", pid)),
            None => self.start().await,
        }
    }

    /// `restart` when it is declared and the service runs; else stop and start.
    pub(crate) async fn restart(&self) -> Outcome {
        if self.alive.is_empty() {
            return self.start().await;
        }
        if let Some(command) = &self.service.restart {
            return self.restart_by(command).await;
        }
        if self.service.start.is_none() {
            // Never stop what could not be started again.
            return match &self.service.identity {
                Identity::Unit(unit) => self.systemctl("restart", unit).await,
                _ => Outcome::failed(self.text("outcome.no_start")),
            };
        }
        match self.stop().await {
            Ok(()) => self.start().await,
            Err(stopped) => stopped,
        }
    }

    async fn start(&self) -> Outcome {
        let Some(command) = &self.service.start else {
            return match (&self.service.identity, &self.service.restart) {
                (Identity::Unit(unit), _) => self.systemctl("start", unit).await,
                (_, Some(restart)) => self.restart_by(restart).await,
                (_, None) => Outcome::failed(self.text("outcome.no_start")),
            };
        };
        let began = Instant::now();
        let who = match starts_as(self.service) {
            Ok(who) => who,
            Err(user) => return Outcome::failed(self.text("outcome.user_unknown").with("user", user)),
        };
        let (log, identity) = (&self.log, &self.service.identity);
        let ran = run_start(&command.argv, log, identity, who.as_ref(), self.until(command)).await;
        let text = |key: &str| self.text(key).with("command", command_line(&command.argv));
        match &ran.end {
            End::Exited(status) if status.success() => Outcome::succeeded(text("outcome.started")),
            End::IsService => Outcome::succeeded(text("outcome.start_is_service")),
            End::GoesOn => Outcome::unknown(
                text("outcome.start_goes_on").with("seconds", began.elapsed().as_secs_f64().round()),
            ),
            _ => ended_badly(&command.argv, &ran, Outcome::failed),
        }
    }

    async fn restart_by(&self, command: &Command) -> Outcome {
        let ran = run(&command.argv, &self.log, self.until(command)).await;
        match &ran.end {
            End::Exited(status) if status.success() => Outcome::succeeded(
                self.text("outcome.restarted").with("command", command_line(&command.argv)),
            ),
            _ => ended_badly(&command.argv, &ran, Outcome::unknown),
        }
    }

    /// Has the service open its files again.
    pub(crate) async fn reopen(&self) -> Outcome {
        let Some(command) = &self.service.reopen else {
            return Outcome::failed(self.text("outcome.no_reopen"));
        };
        self.read_again(command, "outcome.reopened").await
    }

    /// Has the service read its configuration again, once its test passes.
    pub(crate) async fn reload(&self) -> Outcome {
        let Some(command) = &self.service.reload else {
            return Outcome::failed(self.text("outcome.no_reload"));
        };
        if let Some(test) = &self.service.config_test {
            let ran = run(&test.argv, &self.log, self.until(test)).await;
            if !matches!(&ran.end, End::Exited(status) if status.success()) {
                return ended_badly(&test.argv, &ran, Outcome::failed);
            }
        }
        self.read_again(command, "outcome.reloaded").await
    }

    async fn read_again(&self, command: &Command, done: &str) -> Outcome {
        let ran = run(&command.argv, &self.log, self.until(command)).await;
        match &ran.end {
            End::Exited(status) if status.success() => {
                Outcome::succeeded(self.text(done).with("command", command_line(&command.argv)))
            }
            _ => ended_badly(&command.argv, &ran, Outcome::unknown),
        }
    }

    async fn systemctl(&self, verb: &str, unit: &str) -> Outcome {
        let command = Command {
            argv: ["systemctl", "--no-ask-password", verb, "--", unit].map(str::to_owned).to_vec(),
            within: SYSTEMCTL_WITHIN,
        };
        self.restart_by(&command).await
    }

    /// Ends the service: by its `stop` command when declared, else by signals. An error is the outcome of all.
    async fn stop(&self) -> Result<(), Outcome> {
        if let Some(text) = refusal(&self.alive) {
            return Err(Outcome::failed(text));
        }
        let processes = open_all(&self.alive, self.now)?;
        let Some(command) = &self.service.stop else {
            // The main process first: a master takes its workers with it and hands on what they hold.
            let main = processes.get(..1).unwrap_or(&processes);
            end_all(main, self.deadline).await.map_err(Outcome::unknown)?;
            let rest = processes.get(1..).unwrap_or(&[]);
            return end_all(rest, self.deadline).await.map(drop).map_err(Outcome::unknown);
        };
        let ran = run(&command.argv, &self.log, self.until(command)).await;
        let patience = match &ran.end {
            End::Exited(status) if status.success() => (Instant::now() + TERM_WAIT).min(self.deadline),
            _ => Instant::now(),
        };
        let alive: Vec<u32> = survivors(&processes, patience).await.iter().map(|p| p.pid).collect();
        match &ran.end {
            // What counts is that it has ended, not what the command said about it.
            _ if alive.is_empty() => Ok(()),
            End::Exited(status) if status.success() => {
                Err(Outcome::failed(self.text("outcome.still_runs").with("pids", list(&alive))))
            }
            _ => Err(ended_badly(&command.argv, &ran, Outcome::failed)),
        }
    }

    fn until(&self, command: &Command) -> Instant {
        (Instant::now() + command.within).min(self.deadline)
    }

    fn text(&self, key: &str) -> Text {
        Text::new(key).with("service", &self.service.name)
    }
}

/// What a command that did not end well tells. `cut_off`: the status when it was ended at its deadline, because then
/// nobody knows how far it came.
pub(crate) fn ended_badly(argv: &[String], ran: &Ran, cut_off: impl Fn(Text) -> Outcome) -> Outcome {
    use std::os::unix::process::ExitStatusExt;
    let text = |key: &str| Text::new(key).with("command", command_line(argv));
    let with_output = |key: &str, name: &str, value: i32| {
        if ran.output.is_empty() {
            return text(&format!("{key}_silent")).with(name, value);
        }
        text(key).with(name, value).with("output", &ran.output)
    };
    match &ran.end {
        End::NotStarted(e) => Outcome::failed(text("outcome.command_not_started").with("error", e)),
        End::Exited(status) => Outcome::failed(match (status.code(), status.signal()) {
            (Some(code), _) => with_output("outcome.command_exit", "status", code),
            (None, signal) => with_output("outcome.command_signal", "signal", signal.unwrap_or(0)),
        }),
        End::Deadline | End::GoesOn | End::IsService => cut_off(text("outcome.command_deadline")),
    }
}
