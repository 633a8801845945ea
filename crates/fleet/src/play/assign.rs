//! From work of the run to an assignment: everything rendered, resolved and chosen, so that it can cross threads.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use wellkept_modules::Call;
use wellkept_playbook::run::{Outcome, Work, WorkId};
use wellkept_playbook::template::{Engine, ScopeRef};
use wellkept_ssh::Become;

use super::{done, files, template};
use crate::helper::Allowed;
use crate::helper::protocol::Order;
use crate::reach::{Defaults, Reach, rights};
use crate::scene::getter;
use crate::values::{JsonMap, failed, from_json, is_yes, key_text, to_json};

/// Modules that are done here and not by the crate of modules.
pub const OWN: &[&str] = &[
    "async_status",
    "fetch",
    "gather_facts",
    "pause",
    "raw",
    "reboot",
    "script",
    "template",
    "wait_for_connection",
];

/// Modules that cannot go on by themselves: the controller has a part in them.
const NOT_ASYNC: &[&str] = &[
    "assemble",
    "async_status",
    "copy",
    "fetch",
    "pause",
    "raw",
    "reboot",
    "script",
    "template",
    "unarchive",
    "wait_for_connection",
];

/// Work that any thread can do.
#[derive(Clone)]
pub struct Assignment {
    /// For the answer.
    pub id: WorkId,
    /// How its host is reached.
    pub reach: Reach,
    /// As whom.
    pub who: Option<Become>,
    /// What.
    pub deed: Deed,
    /// Nothing of it may be kept.
    pub no_log: bool,
}

/// What is to be done.
#[derive(Clone)]
pub enum Deed {
    /// A module, by the helper or by ourselves.
    Module {
        /// It.
        order: Box<Order>,
        /// What it may read here.
        files: Arc<Allowed>,
    },
    /// A line for the host's shell, without any helper.
    Raw {
        /// It.
        line: String,
        /// Environment.
        environment: Vec<(String, String)>,
        /// Time limit.
        within: Option<Duration>,
    },
    /// A program of ours.
    Script(Box<Script>),
    /// A file comes here.
    Fetch(Box<Fetch>),
    /// A person is waited for, or time.
    Pause {
        /// What is asked; `None` waits only.
        prompt: Option<String>,
        /// How long; `None` until an answer.
        within: Option<Duration>,
        /// The answer is shown while it is typed.
        echo: bool,
    },
    /// The host is waited for.
    WaitForConnection {
        /// Before the first try.
        delay: Duration,
        /// Between tries.
        sleep: Duration,
        /// At most.
        within: Duration,
    },
    /// The host starts anew.
    Reboot {
        /// The command.
        line: String,
        /// Until it is back.
        within: Duration,
        /// After it is back.
        after: Duration,
        /// What shows that it works.
        test: String,
    },
    /// The answer is known already.
    Answer(JsonMap),
}

/// `script`.
#[derive(Clone)]
pub struct Script {
    /// Its bytes.
    pub program: bytes::Bytes,
    /// What the shell puts behind it.
    pub rest: String,
    /// Run by this program.
    pub executable: Option<String>,
    /// In this folder.
    pub chdir: Option<String>,
    /// Skipped when this is there.
    pub creates: Option<String>,
    /// Skipped when this is not there.
    pub removes: Option<String>,
    /// Environment.
    pub environment: Vec<(String, String)>,
    /// Time limit.
    pub within: Option<Duration>,
}

/// `fetch`.
#[derive(Clone)]
pub struct Fetch {
    /// There.
    pub source: String,
    /// Here, as the task says.
    pub dest: String,
    /// `dest` is the file itself.
    pub flat: bool,
    /// A missing file fails.
    pub fail_on_missing: bool,
    /// For the path: the host's name.
    pub host: String,
}

/// Makes assignments; lives on the thread of the run.
pub struct Assigner {
    /// Renders.
    pub engine: Rc<Engine>,
    /// The command line.
    pub defaults: Defaults,
}

impl Assigner {
    /// The assignment, or the answer when there is none.
    pub fn assign(&self, work: &Work) -> Result<Assignment, Outcome> {
        let answer = |result: JsonMap| Outcome::Done(from_json(&Json::Object(result)));
        let scope = self.target_scope(work);
        let (reach, who) = self.way(work, &scope).map_err(|why| answer(failed(why)))?;
        let mut args: JsonMap =
            work.args.iter().map(|(name, value)| (name.clone(), to_json(value))).collect();
        let deed = self.deed(work, &mut args).unwrap_or_else(Deed::Answer);
        Ok(Assignment { id: work.id, reach, who, deed, no_log: work.no_log })
    }

    /// The variables of the host that the work runs on.
    fn target_scope(&self, work: &Work) -> ScopeRef {
        if work.target == work.host {
            return Rc::clone(&work.scope);
        }
        work.scope.host(&work.target).unwrap_or_else(|| Rc::new(Empty))
    }

    fn way(&self, work: &Work, scope: &ScopeRef) -> Result<(Reach, Option<Become>), String> {
        let get = getter(&self.engine, scope);
        let delegated = work.target != work.host;
        let mut defaults = self.defaults.clone();
        defaults.connection = work.connection.clone().or(defaults.connection);
        defaults.user = work.remote_user.clone().or(defaults.user);
        defaults.port = work.port.or(defaults.port);
        // A host that no inventory knows and that means this machine is this machine.
        let unknown = delegated && get("ansible_connection").is_none() && get("ansible_host").is_none();
        if unknown && matches!(work.target.as_str(), "localhost" | "127.0.0.1" | "::1") {
            defaults.connection = Some("local".to_owned());
        }
        let reach = Reach::resolve(&work.target, &get, &defaults)?;
        let own = getter(&self.engine, &work.scope);
        let asked = work.becomes.as_ref().map(|b| (b.method.as_str(), b.user.as_str()));
        // The run has decided whether; variables of the host may say who and how.
        let who = match asked {
            None if own("ansible_become").is_none() => None,
            asked => rights(asked, &own, &Defaults { becomes: false, ..defaults })?,
        };
        Ok((reach, who))
    }

    fn deed(&self, work: &Work, args: &mut JsonMap) -> Result<Deed, JsonMap> {
        let within = work.timeout.map(Duration::from_secs);
        let harmless =
            matches!(work.module.as_str(), "gather_facts" | "setup" | "async_status" | "wait_for_connection");
        if let Some(only) = &self.defaults.only_modules
            && !harmless
            && !only.contains(&work.module)
        {
            return Err(failed(format!("{} is not among the modules that this host allows", work.written)));
        }
        if work.async_seconds > 0 && NOT_ASYNC.contains(&work.module.as_str()) {
            return Err(failed(format!("This action ({}) does not support async.", work.written)));
        }
        match work.module.as_str() {
            "raw" => {
                if work.check {
                    return Err(done::skipped("raw is not run in check mode"));
                }
                let line = text(args, "_raw_params").unwrap_or_default();
                Ok(Deed::Raw { line, environment: work.environment.clone(), within })
            }
            "script" => files::script(work, args),
            "fetch" => Ok(Deed::Fetch(Box::new(fetch(work, args)?))),
            "pause" => pause(args),
            "wait_for_connection" => Ok(Deed::WaitForConnection {
                delay: seconds(args, "delay", 0),
                sleep: seconds(args, "sleep", 1),
                within: seconds(args, "timeout", 600),
            }),
            "reboot" => {
                if work.check {
                    return Ok(Deed::Answer(crate::values::map([
                        ("changed", true.into()),
                        ("rebooted", true.into()),
                    ])));
                }
                Ok(Deed::Reboot {
                    line: text(args, "reboot_command").unwrap_or_else(|| "shutdown -r now".to_owned()),
                    within: seconds(args, "reboot_timeout", 600),
                    after: seconds(args, "post_reboot_delay", 0),
                    test: text(args, "test_command").unwrap_or_else(|| "whoami".to_owned()),
                })
            }
            name if !super::supported(name) => Err(failed(format!(
                "The module {} was not found in configured module paths; it is not among the modules that are built in",
                work.written
            ))),
            _ => self.module(work, args),
        }
    }

    /// Where jobs are, when the task says so: by a variable, or as it used to be said, by its environment.
    fn job_folder(&self, work: &Work) -> Option<String> {
        let said = work.environment.iter().find(|(name, _)| name == "ANSIBLE_ASYNC_DIR");
        let get = getter(&self.engine, &work.scope);
        said.map(|(_, value)| value.clone()).or_else(|| get("ansible_async_dir").map(|v| key_text(&v)))
    }

    fn module(&self, work: &Work, args: &mut JsonMap) -> Result<Deed, JsonMap> {
        let mut module = work.module.as_str();
        if module == "template" {
            template::render(&self.engine, work, args)?;
            module = "copy";
        }
        let allowed = files::resolve(work, args)?;
        let call = Call {
            module: module.to_owned(),
            args: std::mem::take(args),
            check: work.check,
            diff: work.diff,
            environment: work.environment.clone(),
            timeout_seconds: work.timeout.or((work.async_seconds > 0).then_some(work.async_seconds)),
            cwd: None,
        };
        let background = (work.async_seconds > 0).then_some(work.async_seconds);
        let waits = background.is_some() && work.poll > 0;
        let job_folder = match background.is_some() || module == "async_status" {
            true => self.job_folder(work),
            false => None,
        };
        let order = Order { call, background_seconds: background, waits, job_folder, ..Order::default() };
        Ok(Deed::Module { order: Box::new(order), files: Arc::new(allowed) })
    }
}

/// A host that nobody knows anything of.
struct Empty;

impl wellkept_playbook::template::Scope for Empty {
    fn get(&self, _: &str) -> Option<Arc<wellkept_inventory::Value>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// An argument as text.
pub(super) fn text(args: &JsonMap, name: &str) -> Option<String> {
    match args.get(name)? {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// An argument as a switch.
pub(super) fn flag(args: &JsonMap, name: &str, default: bool) -> bool {
    match args.get(name) {
        Some(Json::Bool(truth)) => *truth,
        Some(Json::Null) | None => default,
        Some(other) => is_yes(other.as_str().unwrap_or(&other.to_string())),
    }
}

fn seconds(args: &JsonMap, name: &str, default: u64) -> Duration {
    Duration::from_secs(text(args, name).and_then(|t| t.trim().parse().ok()).unwrap_or(default))
}

fn fetch(work: &Work, args: &JsonMap) -> Result<Fetch, JsonMap> {
    if work.check {
        return Err(done::skipped("check mode not (yet) supported for this module"));
    }
    let need = |name: &str| text(args, name).ok_or_else(|| failed("src and dest are required"));
    Ok(Fetch {
        source: need("src")?,
        dest: need("dest")?,
        flat: flag(args, "flat", false),
        fail_on_missing: flag(args, "fail_on_missing", true),
        host: work.host.clone(),
    })
}

fn pause(args: &JsonMap) -> Result<Deed, JsonMap> {
    let number = |name: &str| match text(args, name) {
        None => Ok(None),
        Some(text) => match text.trim().parse::<f64>() {
            Ok(number) => Ok(Some(number.max(0.0))),
            Err(_) => Err(failed(format!("non-integer value given for prompt duration:\n{text}"))),
        },
    };
    let (minutes, given) = (number("minutes")?, number("seconds")?);
    let within = given.or(minutes.map(|m| m * 60.0)).map(|s| Duration::from_secs_f64(s.min(1e9)));
    Ok(Deed::Pause { prompt: text(args, "prompt"), within, echo: flag(args, "echo", true) })
}
