//! Whether a batch is well: all checks of all its hosts pass for the time to hold, and errors are not more than before.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use wellkept_model::keep::{AppCheck, ErrorShare, HOST_PLACE, Probe, VERSION_PLACE, Vantage, WorseBy};
use wellkept_model::{Text, TimestampMs};
use wellkept_modules::Call;

use crate::deployment::Deployment;
use crate::host::{Bad, Done, done};
use crate::world::{Place, World};

/// Time between two rounds of checks.
const EVERY: Duration = Duration::from_secs(1);
/// What is tolerated of numbers that were computed.
const SLACK: f64 = 1e-9;

/// How watching a batch ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Watched {
    Well,
    Ill(Text),
    Halted(Text),
}

impl<W: World> Deployment<'_, W> {
    /// Watches the hosts until they have been well for `hold`, or are not.
    pub(crate) async fn watch(&self, hosts: &[String], hold: Duration, errors: bool) -> Watched {
        let errors = self.app.errors.as_ref().filter(|_| errors);
        if self.app.health.is_empty() && errors.is_none() {
            return Watched::Well;
        }
        let began = self.world.now();
        let mut well_since: Option<TimestampMs> = None;
        let mut failures: HashMap<(String, usize), u32> = HashMap::new();
        loop {
            let ill = self.round(hosts, &mut failures).await;
            let now = self.world.now();
            match (&ill, well_since) {
                (None, None) => well_since = Some(now),
                (Some((why, _)), None) if now.since(began) >= self.app.starts_within => {
                    return Watched::Ill(why.clone());
                }
                (Some((why, true)), Some(_)) => return Watched::Ill(why.clone()),
                _ => {}
            }
            if let Some(since) = well_since {
                let over = now.since(since) >= hold && ill.is_none();
                match self.errors(errors).await {
                    Share::Worse(why) => return Watched::Ill(why),
                    Share::Unknown(why) if over => return Watched::Ill(why),
                    Share::Fine if over => return Watched::Well,
                    Share::Fine | Share::Unknown(_) => {}
                }
            }
            if let Some(why) = self.world.halted() {
                return Watched::Halted(why);
            }
            self.world.wait(EVERY).await;
        }
    }

    /// Asks everything once. The first failure is told, and whether it has failed often enough to count.
    async fn round(
        &self,
        hosts: &[String],
        failures: &mut HashMap<(String, usize), u32>,
    ) -> Option<(Text, bool)> {
        let all = self.each(hosts, |host| async move {
            let mut found = Vec::new();
            for check in &self.app.health {
                found.push(self.ask(&host, check).await);
            }
            found
        });
        let mut worst: Option<(Text, bool)> = None;
        for (host, found) in all.await {
            for (number, (check, asked)) in self.app.health.iter().zip(found).enumerate() {
                let count = failures.entry((host.clone(), number)).or_default();
                let Err(bad) = asked else {
                    *count = 0;
                    continue;
                };
                *count += 1;
                let counts = *count >= check.failures;
                if worst.as_ref().is_none_or(|(_, other)| counts && !other) {
                    let why = Text::new("deploy.ill").with("host", &host).with("check", named(check));
                    worst = Some((why.with("why", plain(&bad)), counts));
                }
            }
        }
        worst
    }

    /// One check, once: by a module here or there.
    async fn ask(&self, host: &str, check: &AppCheck) -> Done<()> {
        let place = match check.vantage {
            Vantage::Controller => Place::Controller,
            Vantage::Target => Place::Host(host),
        };
        let address = match check.vantage {
            Vantage::Controller => self.world.address(host),
            Vantage::Target => "127.0.0.1".to_owned(),
        };
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        let bracketed = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
        let seconds = check.within.as_secs().max(1);
        let (module, args, contains) = match &check.probe {
            Probe::Http { url, status, contains } => {
                let url = url.replace(HOST_PLACE, &bracketed);
                let args = json!({
                    "url": url, "status_code": [status], "timeout": seconds, "return_content": contains.is_some(),
                    "follow_redirects": "none", "use_proxy": false,
                });
                ("uri", args, contains.as_deref())
            }
            Probe::Tcp { address } => {
                let address = address.replace(HOST_PLACE, &bracketed);
                let (name, port) = address.rsplit_once(':').unwrap_or((&address, ""));
                let name = name.trim_start_matches('[').trim_end_matches(']');
                let args =
                    json!({"host": name, "port": port, "timeout": seconds, "connect_timeout": seconds});
                ("wait_for", args, None)
            }
            Probe::Exec { command } => {
                let fill = |word: &String| {
                    word.replace(VERSION_PLACE, self.version.as_str()).replace(HOST_PLACE, bare)
                };
                let argv: Vec<String> = command.argv.iter().map(fill).collect();
                ("command", json!({"argv": argv, "expand_argument_vars": false}), None)
            }
        };
        let mut call =
            Call { module: module.to_owned(), timeout_seconds: Some(seconds + 1), ..Call::default() };
        if let Value::Object(args) = args {
            call.args = args;
        }
        let result = done(self.world.module(place, call, None).await)?;
        let content = result.get("content").and_then(Value::as_str).unwrap_or_default();
        match contains.filter(|wanted| !content.contains(wanted)) {
            None => Ok(()),
            Some(wanted) => Err(Bad::failed(Text::new("deploy.not_contained").with("wanted", wanted))),
        }
    }

    async fn errors(&self, errors: Option<&ErrorShare>) -> Share {
        let Some(errors) = errors else { return Share::Fine };
        match self.world.query(&errors.query).await {
            Err(why) => Share::Unknown(Text::new("deploy.errors_unknown").with("why", why)),
            // Where nothing is asked there are no errors.
            Ok(now) => judge(self.head.errors_before.unwrap_or(0.0), now.unwrap_or(0.0), errors.worse_by),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Share {
    Fine,
    Worse(Text),
    Unknown(Text),
}

fn judge(before: f64, now: f64, worse_by: WorseBy) -> Share {
    let bound = match worse_by {
        WorseBy::Added(added) => before + added,
        WorseBy::Times(times) => before * times,
    };
    if now <= bound + SLACK {
        return Share::Fine;
    }
    let text = Text::new("deploy.errors_worse");
    let text = text.with("before", shown(before)).with("now", shown(now));
    Share::Worse(text.with("bound", shown(bound)))
}

fn shown(number: f64) -> String {
    format!("{number:.4}")
}

/// What a check is called.
fn named(check: &AppCheck) -> String {
    match &check.probe {
        Probe::Http { url, .. } => url.clone(),
        Probe::Tcp { address } => format!("tcp {address}"),
        Probe::Exec { command } => command.argv.join(" "),
    }
}

/// The reason without its frame: it is put into another text.
fn plain(bad: &Bad) -> String {
    let why = bad.why.args.iter().map(|(_, value)| value.as_str());
    why.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_judged_against_before() {
        let worse = |before, now, by| matches!(judge(before, now, by), Share::Worse(_));
        let (added, times) = (WorseBy::Added(0.02), WorseBy::Times(2.0));
        assert!(!worse(0.1, 0.12, added) && worse(0.1, 0.121, added) && !worse(0.1, 0.0, added));
        assert!(!worse(0.1, 0.2, times) && worse(0.1, 0.201, times));
        assert!(worse(0.0, 0.001, times) && !worse(0.0, 0.0, times));
        assert!(worse(0.0, f64::INFINITY, added));
        assert!(worse(0.0, f64::NAN, added), "what is no number is not fine");
    }
}
