//! Results in Ansible's shape, and what ends of commands mean for a step.

use serde_json::Value as Json;
use wellkept_playbook::run::Outcome;
use wellkept_ssh::{Doubt, End, NotRun, Ran};

use crate::values::{JsonMap, failed, from_json, map};

/// A task that was not run, and why.
pub(super) fn skipped(why: &str) -> JsonMap {
    map([("changed", false.into()), ("skipped", true.into()), ("msg", why.into())])
}

/// A result as the run takes it.
pub(super) fn outcome(result: JsonMap) -> Outcome {
    Outcome::Done(from_json(&Json::Object(result)))
}

/// The end of a command, when it is no result.
pub(super) fn no_result(ran: &Ran) -> Option<Outcome> {
    match &ran.end {
        End::Exited { .. } | End::Signalled { .. } => None,
        End::NotRun(NotRun::NotBecome(why)) => Some(outcome(failed(why.clone()))),
        End::NotRun(why) => Some(Outcome::Unreachable(why.to_string())),
        End::Unknown(Doubt::TimeLimit) => Some(outcome(failed(
            "Timed out: the command did not end within its time limit and may still run",
        ))),
        End::Unknown(why) => Some(Outcome::Unknown(why.to_string())),
    }
}

/// The exit status as `rc`.
pub(super) fn rc(ran: &Ran) -> i64 {
    match &ran.end {
        End::Exited { status } => i64::from(*status),
        _ => -1,
    }
}

/// Both outputs with their lines, as `command` and its like tell them.
pub(super) fn outputs(ran: &Ran, strip: bool) -> JsonMap {
    let text = |output: &wellkept_ssh::Output| {
        let text = output.text();
        if strip { text.trim_end_matches(['\n', '\r']).to_owned() } else { text }
    };
    let (stdout, stderr) = (text(&ran.stdout), text(&ran.stderr));
    let lines = |text: &str| Json::from(text.lines().map(str::to_owned).collect::<Vec<_>>());
    map([
        ("rc", rc(ran).into()),
        ("stdout_lines", lines(&stdout)),
        ("stderr_lines", lines(&stderr)),
        ("stdout", stdout.into()),
        ("stderr", stderr.into()),
    ])
}
