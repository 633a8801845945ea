//! Prompts that are answered by a declared script: changing a password, logging in to an appliance.
//!
//! A script is a list of steps, each a pattern and an answer. They are waited for in order; a step may be optional or
//! repeat. What was heard before a step's prompt is not looked at again, so that an echo of an answer never counts as
//! the next prompt. Answers come from the script, from a file or from a person, and are never shown.

use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use wellkept_ssh::{CommandLine, Connection, Doubt, End, PtySize};
use zeroize::Zeroizing;

/// The most that is kept of what was heard, bytes.
const HEARD_MAX: usize = 256 * 1024;
/// The most steps of a script.
const STEPS_MAX: usize = 100;

/// A script as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The command; the login shell without one.
    #[serde(default)]
    pub command: Option<String>,
    /// Seconds for each step unless it says otherwise.
    #[serde(default = "usual_seconds")]
    pub timeout: u64,
    /// What is waited for, in order.
    pub steps: Vec<Step>,
    /// After the last step: wait until the command ends by itself. `false` hangs up.
    #[serde(default = "yes")]
    pub wait: bool,
}

/// A prompt and its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A regular expression that the prompt fits.
    pub expect: String,
    /// What is typed.
    #[serde(default)]
    pub send: Option<String>,
    /// A file whose first line is typed.
    #[serde(default)]
    pub send_file: Option<PathBuf>,
    /// A person is asked this, once for all hosts, without echo.
    #[serde(default)]
    pub ask: Option<String>,
    /// A line end is typed behind it.
    #[serde(default = "yes")]
    pub enter: bool,
    /// It may not come: when a later step's prompt comes first, this one is passed over.
    #[serde(default)]
    pub optional: bool,
    /// What it means that this was heard: the whole has failed, with this reason.
    #[serde(default)]
    pub fail: Option<String>,
    /// Seconds.
    #[serde(default)]
    pub timeout: Option<u64>,
}

fn usual_seconds() -> u64 {
    30
}

fn yes() -> bool {
    true
}

/// A script with every answer known.
#[derive(Clone)]
pub struct Dialogue {
    command: Option<CommandLine>,
    steps: Vec<Ready>,
    wait: bool,
    timeout: Duration,
}

#[derive(Clone)]
struct Ready {
    pattern: Regex,
    shown: String,
    answer: Option<Zeroizing<String>>,
    optional: bool,
    fail: Option<String>,
    within: Duration,
}

impl Script {
    /// Checks it and gets the answers. `read`: a file's first line; `ask`: a person.
    ///
    /// # Errors
    /// What is wrong, and in which step, counted from 1.
    pub fn ready(
        &self,
        read: &dyn Fn(&PathBuf) -> Result<Zeroizing<String>, String>,
        ask: &dyn Fn(&str) -> Option<Zeroizing<String>>,
    ) -> Result<Dialogue, String> {
        if self.steps.is_empty() || self.steps.len() > STEPS_MAX {
            return Err(format!("steps: 1 to {STEPS_MAX} are accepted"));
        }
        let command =
            self.command.as_ref().map(CommandLine::line).transpose().map_err(|e| format!("command: {e}"))?;
        let mut steps = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            let said = |why: String| format!("step {}: {why}", at + 1);
            let pattern = Regex::new(&step.expect).map_err(|e| said(format!("expect: {e}")))?;
            let answer = match (&step.send, &step.send_file, &step.ask, &step.fail) {
                (Some(text), None, None, None) => Some(Zeroizing::new(text.clone())),
                (None, Some(file), None, None) => Some(read(file).map_err(said)?),
                (None, None, Some(question), None) => {
                    let answer = ask(question);
                    Some(answer.ok_or_else(|| said("nobody is there to be asked".to_owned()))?)
                }
                (None, None, None, _) => None,
                _ => return Err(said("one of send, send_file, ask and fail is accepted".to_owned())),
            };
            let enter = if step.enter { "\r" } else { "" };
            steps.push(Ready {
                pattern,
                shown: step.expect.clone(),
                answer: answer.map(|text| Zeroizing::new(format!("{}{enter}", text.as_str()))),
                optional: step.optional || step.fail.is_some(),
                fail: step.fail.clone(),
                within: Duration::from_secs(step.timeout.unwrap_or(self.timeout).clamp(1, 86_400)),
            });
        }
        let timeout = Duration::from_secs(self.timeout.clamp(1, 86_400));
        Ok(Dialogue { command, steps, wait: self.wait, timeout })
    }
}

/// What came of a dialogue.
pub struct Held {
    /// The exit status when it ended by itself.
    pub end: Option<End>,
    /// Why it failed.
    pub failure: Option<String>,
    /// What was heard; the host's words.
    pub heard: Vec<u8>,
}

impl Dialogue {
    /// Holds it over a connection.
    pub async fn hold(&self, connection: &Connection) -> Held {
        let size = PtySize { columns: 200, rows: 50 };
        let mut held = Held { end: None, failure: None, heard: Vec::new() };
        let mut process = match connection.shell(self.command.as_ref(), Some(("dumb", size))).await {
            Ok(process) => process,
            Err(end) => {
                held.end = Some(end);
                return held;
            }
        };
        let (mut at, mut from) = (0, 0);
        while let Some(next) = self.steps.get(at) {
            let deadline = Instant::now() + next.within;
            let found = loop {
                if let Some(found) = self.found(at, &held.heard, from) {
                    break Some(found);
                }
                match timeout_at(deadline, process.next()).await {
                    Err(_) | Ok(None) => break None,
                    Ok(Some(piece)) => hear(&mut held.heard, &mut from, &piece.bytes),
                }
            };
            let Some((step, end)) = found else {
                // Nothing but optional steps is left: they did not come.
                if self.steps.iter().skip(at).all(|step| step.optional) {
                    break;
                }
                held.failure = Some(format!("{:?} was not heard within {:?}", next.shown, next.within));
                held.end = process.end().cloned();
                return held;
            };
            from = end;
            at = step + 1;
            let Some(step) = self.steps.get(step) else { break };
            if let Some(why) = &step.fail {
                held.failure = Some(why.clone());
                return held;
            }
            if let Some(answer) = &step.answer
                && let Err(end) = process.write(answer.as_bytes().to_vec()).await
            {
                held.end = Some(end);
                return held;
            }
        }
        if self.wait {
            let deadline = Instant::now() + self.timeout;
            held.end = loop {
                match timeout_at(deadline, process.next()).await {
                    Err(_) => break Some(End::Unknown(Doubt::TimeLimit)),
                    Ok(None) => break process.end().cloned(),
                    Ok(Some(piece)) => hear(&mut held.heard, &mut from, &piece.bytes),
                }
            };
        }
        held
    }

    /// The step whose prompt has come, and where it ends: the next one, or a later one when all between may be missing.
    fn found(&self, at: usize, heard: &[u8], from: usize) -> Option<(usize, usize)> {
        let text = String::from_utf8_lossy(heard.get(from..).unwrap_or_default()).into_owned();
        for (index, step) in self.steps.iter().enumerate().skip(at) {
            if step.pattern.is_match(&text) {
                // All that was heard until now belongs to this prompt.
                return Some((index, heard.len()));
            }
            if !step.optional {
                return None;
            }
        }
        None
    }
}

fn hear(heard: &mut Vec<u8>, from: &mut usize, bytes: &[u8]) {
    heard.extend_from_slice(bytes);
    let over = heard.len().saturating_sub(HEARD_MAX);
    if over > 0 {
        heard.drain(..over);
        *from = from.saturating_sub(over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(steps: Vec<Step>) -> Script {
        Script { command: None, timeout: 5, steps, wait: true }
    }

    fn step(expect: &str) -> Step {
        Step {
            expect: expect.to_owned(),
            send: None,
            send_file: None,
            ask: None,
            enter: true,
            optional: false,
            fail: None,
            timeout: None,
        }
    }

    #[test]
    fn wrong_scripts_are_refused_with_the_step() {
        let ready =
            |steps| script(steps).ready(&|_| Err("no file".into()), &|_| None).err().unwrap_or_default();
        assert!(ready(vec![]).contains("1 to 100"));
        assert!(ready(vec![step("a"), step("(")]).starts_with("step 2: expect"));
        let both = Step { send: Some("x".into()), ask: Some("y".into()), ..step("a") };
        assert!(ready(vec![both]).contains("one of send"));
        assert!(ready(vec![Step { ask: Some("y".into()), ..step("a") }]).contains("nobody"));
    }

    #[test]
    fn optional_steps_are_passed_over_and_others_are_not() {
        let steps = vec![Step { optional: true, ..step("yes/no") }, step("word:"), step("again:")];
        let dialogue = script(steps).ready(&|_| Err(String::new()), &|_| None).expect("a dialogue");
        assert_eq!(dialogue.found(0, b"Pass word:", 0), Some((1, 10)));
        assert_eq!(dialogue.found(0, b"again:", 0), None);
        assert_eq!(dialogue.found(0, b"word: heard before", 6), None);
    }
}
