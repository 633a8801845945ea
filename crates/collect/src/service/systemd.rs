//! Units of systemd, asked through `systemctl show`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// Longest time that systemctl may take.
const WITHIN: Duration = Duration::from_secs(5);

/// What is asked of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnitState {
    pub(super) main_pid: Option<u32>,
    /// How often systemd itself started it again.
    pub(super) restarts: u64,
}

/// The state of a unit; why not, when systemd does not run here or does not answer.
pub(super) async fn show(unit: &str) -> Result<UnitState, String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(format!("unit {unit}: systemd does not run here; use `pidfile:` or `program:`"));
    }
    let mut command = Command::new("systemctl");
    command.args(["show", "--property=MainPID,NRestarts,LoadState", "--", unit]);
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(WITHIN, command.output());
    let output = match output.await {
        Err(_) => return Err(format!("unit {unit}: systemctl did not answer within {WITHIN:?}")),
        Ok(Err(e)) => return Err(format!("unit {unit}: systemctl: {e}")),
        Ok(Ok(output)) => output,
    };
    parse(unit, &String::from_utf8_lossy(&output.stdout))
}

fn parse(unit: &str, text: &str) -> Result<UnitState, String> {
    let value = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
    if value("LoadState") == Some("not-found") {
        return Err(format!("unit {unit}: systemd does not know it"));
    }
    let main_pid: u32 = value("MainPID")
        .and_then(|v| v.parse().ok())
        .ok_or_else(|| format!("unit {unit}: systemctl named no main process"))?;
    let restarts = value("NRestarts").and_then(|v| v.parse().ok()).unwrap_or(0);
    Ok(UnitState { main_pid: Some(main_pid).filter(|pid| *pid > 0), restarts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_a_stopped_and_an_unknown_unit_are_told_apart() {
        let running = parse("a", "MainPID=812\nNRestarts=3\nLoadState=loaded\n");
        assert_eq!(running, Ok(UnitState { main_pid: Some(812), restarts: 3 }));
        let stopped = parse("a", "MainPID=0\nNRestarts=0\nLoadState=loaded\n");
        assert_eq!(stopped, Ok(UnitState { main_pid: None, restarts: 0 }));
        assert!(parse("a", "MainPID=0\nLoadState=not-found\n").is_err());
        assert!(parse("a", "").is_err());
    }

    #[tokio::test]
    async fn without_systemd_it_is_said_what_to_use_instead() {
        if Path::new("/run/systemd/system").is_dir() {
            assert!(show("no-such-unit.service").await.is_err());
        } else {
            let error = show("a.service").await.expect_err("systemd does not run");
            assert!(error.contains("pidfile"), "{error}");
        }
    }
}
