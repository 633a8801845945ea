//! Hears what a playbook's run says, text by text, and keeps which tasks failed where, and what they said.
//!
//! Only what was said is heard: what `no_log` hides from people never reaches a record. What a host says stands inside the
//! JSON of a result and cannot be taken for a line of the run.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Failure;

/// The most failed tasks of one host that are kept.
const FAILURES_MAX: usize = 20;
/// The most hosts whose failures are kept.
const HOSTS_MAX: usize = 10_000;
/// Characters of a task's name.
const NAME_MAX: usize = 200;
/// Characters of a message.
const MESSAGE_MAX: usize = 2000;
/// So many places of a line are tried as the beginning of its result.
const RESULTS_TRIED: usize = 16;

/// What was heard.
#[derive(Debug, Default)]
pub struct Ear {
    task: String,
    heard: BTreeMap<String, Vec<Failure>>,
    unknown: BTreeMap<String, u32>,
    /// The host of the text before this one, when that was a failure.
    last: Option<String>,
}

impl Ear {
    /// Takes one text of the run.
    pub fn hear(&mut self, text: &str) {
        let last = self.last.take();
        let banner = text.trim_start_matches('\n');
        let named = ["TASK [", "RUNNING HANDLER ["].iter().find_map(|start| banner.strip_prefix(start));
        if let Some(name) = named.and_then(|rest| Some(rest.rsplit_once(']')?.0)) {
            self.task = name.chars().take(NAME_MAX).collect();
        } else if text == "...ignoring" {
            self.ignored(last);
        } else if let Some((who, rest)) =
            text.strip_prefix("fatal: [").and_then(|rest| rest.split_once("]: "))
        {
            self.failed(who, rest.starts_with("UNREACHABLE!"), rest);
        } else if let Some((who, rest)) =
            text.strip_prefix("failed: [").and_then(|rest| rest.split_once("] "))
        {
            self.failed(who, false, rest);
        }
    }

    fn failed(&mut self, who: &str, is_unreachable: bool, rest: &str) {
        // `host -> whom it was delegated to`.
        let host = who.split_once(" -> ").map_or(who, |(host, _)| host).to_owned();
        let result = result_of(rest);
        let is_true = |name: &str| result.get(name).and_then(Json::as_bool) == Some(true);
        let how = match is_unreachable {
            true if is_true("unknown") => "unknown",
            true => "unreachable",
            false => "failed",
        };
        if how == "unknown" {
            *self.unknown.entry(host.clone()).or_default() += 1;
        }
        let hidden = result.get("censored").is_some();
        let message = if hidden { String::new() } else { message(&result) };
        let failure =
            Failure { task: self.task.clone(), how: how.to_owned(), message, hidden, ignored: false };
        if self.heard.len() < HOSTS_MAX || self.heard.contains_key(&host) {
            let failures = self.heard.entry(host.clone()).or_default();
            if failures.len() < FAILURES_MAX {
                failures.push(failure);
                self.last = Some(host);
            }
        }
    }

    fn ignored(&mut self, host: Option<String>) {
        let Some(host) = host else { return };
        let Some(failure) = self.heard.get_mut(&host).and_then(|all| all.last_mut()) else { return };
        failure.ignored = true;
        if failure.how == "unknown"
            && let Some(count) = self.unknown.get_mut(&host)
        {
            *count -= 1;
        }
    }

    /// Takes what was heard of a host: its failed tasks, and how many of them nobody knows the end of.
    pub fn take(&mut self, host: &str) -> (Vec<Failure>, u32) {
        (self.heard.remove(host).unwrap_or_default(), self.unknown.remove(host).unwrap_or_default())
    }
}

/// The result at the end of a line. The label of a loop's item stands before it and may hold anything.
fn result_of(rest: &str) -> Json {
    let starts = rest.match_indices(" => {").take(RESULTS_TRIED);
    let parsed =
        starts.filter_map(|(at, _)| rest.get(at + 4..)).find_map(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or_default()
}

/// What a task said; of a program that failed, what it complained about.
fn message(result: &Json) -> String {
    let text = |name: &str| result.get(name).and_then(Json::as_str).map(str::trim).filter(|t| !t.is_empty());
    let parts = [text("msg"), text("stderr").or_else(|| text("module_stderr"))];
    let whole = parts.into_iter().flatten().collect::<Vec<_>>().join("\n");
    whole.chars().take(MESSAGE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(texts: &[&str]) -> Ear {
        let mut ear = Ear::default();
        texts.iter().for_each(|text| ear.hear(text));
        ear
    }

    #[test]
    fn failed_tasks_are_kept_with_what_they_said() {
        let mut ear = heard(&[
            "\nPLAY [all] ***",
            "\nTASK [role : copy [x]] ***",
            r#"fatal: [h1]: FAILED! => {"changed": false, "msg": "no space", "stderr": "disk full"}"#,
            r#"fatal: [h2 -> h9]: FAILED! => {"msg": "later ignored"}"#,
            "...ignoring",
            "\nRUNNING HANDLER [restart] ***",
            r#"failed: [h1] (item={'a': ' => {'}) => {"item": "x", "msg": "no such unit"}"#,
            "ok: [h3]",
        ]);
        let (h1, _) = ear.take("h1");
        let told: Vec<_> = h1.iter().map(|f| (f.task.as_str(), f.message.as_str(), f.ignored)).collect();
        assert_eq!(
            told,
            [("role : copy [x]", "no space\ndisk full", false), ("restart", "no such unit", false)]
        );
        let (h2, _) = ear.take("h2");
        assert!(h2.len() == 1 && h2[0].ignored, "{h2:?}");
        assert_eq!(ear.take("h3"), (Vec::new(), 0));
    }

    #[test]
    fn what_may_not_be_told_is_not_kept() {
        let line =
            r#"fatal: [h1]: FAILED! => {"censored": "hidden by no_log", "changed": false, "msg": "s3cret"}"#;
        let mut ear = heard(&["\nTASK [set a password] ***", line]);
        let (failures, _) = ear.take("h1");
        assert!(failures[0].hidden && failures[0].message.is_empty(), "{failures:?}");
    }

    #[test]
    fn what_nobody_knows_the_end_of_is_no_failure() {
        let lost = r#"fatal: [h1]: UNREACHABLE! => {"changed": false, "msg": "cut", "unknown": true, "unreachable": true}"#;
        let gone =
            r#"fatal: [h2]: UNREACHABLE! => {"changed": false, "msg": "refused", "unreachable": true}"#;
        let mut ear = heard(&["\nTASK [a] ***", lost, gone]);
        assert_eq!((ear.take("h1").1, ear.take("h2").1), (1, 0));
        let mut ignored = heard(&["\nTASK [a] ***", lost, "...ignoring"]);
        assert_eq!(ignored.take("h1").1, 0);
    }

    #[test]
    fn what_a_host_says_is_no_line_of_the_run() {
        let mut ear = heard(&[
            "\nTASK [a] ***",
            "ok: [h1] => {\"msg\": \"fatal: [h2]: FAILED! => {}\"}",
            "--- before\n+++ after\n+fatal: [h2]: FAILED! => {}",
            "...ignoring",
        ]);
        assert_eq!((ear.take("h1"), ear.take("h2")), ((Vec::new(), 0), (Vec::new(), 0)));
        let many = vec![r#"fatal: [h1]: FAILED! => {"msg": "x"}"#; FAILURES_MAX + 5];
        assert_eq!(heard(&many).take("h1").0.len(), FAILURES_MAX);
    }
}
