//! Runs playbooks as a state machine: says what is to be done next, takes results, tells what people read.
//!
//! It opens no connection and waits for nothing: [`Run::poll`] hands out [`Work`], [`Run::handle`] takes what became
//! of it. Each piece of work is handed out once; the caller journals it before it is done.

mod actions;
mod ahead;
mod ask;
mod batch;
mod diff;
mod follow;
mod frames;
mod includes;
mod judge;
mod lines;
mod meta;
mod options;
mod results;
mod show;
mod spec;
mod step;
mod stepping;
mod tags;
mod task;
mod vars;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::{Inventory, Value};

pub use ahead::Ahead;
pub use options::Options;
pub use show::Stats;
pub use tags::chosen as tags_choose;
pub use work::{Become, Next, Outcome, Work, WorkId};

use crate::book::{Loader, Play, Playbook};
use crate::template::Engine;
use batch::Batch;
use vars::World;

/// Exit codes of ansible-playbook.
const FAILED: u8 = 2;
const UNREACHABLE: u8 = 4;
const BROKEN: u8 = 1;

/// One run of a playbook.
pub struct Run {
    pub(crate) engine: Rc<Engine>,
    pub(crate) loader: Loader,
    pub(crate) world: Rc<World>,
    pub(crate) options: Options,
    plays: VecDeque<Rc<Play>>,
    pub(crate) play: Option<Rc<Play>>,
    batches: VecDeque<Vec<String>>,
    pub(crate) batch: Option<Batch>,
    /// Questions of the current play that are still open.
    prompts: VecDeque<crate::book::Prompt>,
    pub(crate) asked: Option<crate::book::Prompt>,
    answers: Vec<(String, Value)>,
    /// The task that `--step` asks about.
    pub(crate) stepping: Option<stepping::Stepping>,
    pub(crate) stats: BTreeMap<String, Stats>,
    pub(crate) failed: BTreeSet<String>,
    pub(crate) unreachable: BTreeSet<String>,
    pub(crate) custom_stats: Vec<(String, Value)>,
    pub(crate) out: Vec<String>,
    pub(crate) now_ms: i64,
    next_id: u64,
    /// Work that was told of before its turn.
    pub(crate) promises: ahead::Promises,
    /// `--start-at-task` has been reached.
    pub(crate) started: bool,
    exit: u8,
    done: bool,
    /// All hosts of a batch failed: no play follows.
    broken: bool,
}

impl Run {
    /// A run of all plays. `engine` is the one that the loader was made with.
    pub fn new(
        engine: Rc<Engine>,
        loader: Loader,
        playbook: Playbook,
        inventory: Inventory,
        options: Options,
    ) -> Self {
        let early = Rc::clone(&engine.early);
        let world = Rc::new(World::new(inventory, options.extra.clone(), options.inject_facts, early));
        let started = options.start_at_task.is_none();
        let run = Self {
            engine,
            loader,
            world,
            plays: playbook.plays.into_iter().map(Rc::new).collect(),
            play: None,
            batches: VecDeque::new(),
            batch: None,
            prompts: VecDeque::new(),
            asked: None,
            answers: Vec::new(),
            stepping: None,
            stats: BTreeMap::new(),
            failed: BTreeSet::new(),
            unreachable: BTreeSet::new(),
            custom_stats: Vec::new(),
            out: Vec::new(),
            now_ms: 0,
            next_id: 0,
            promises: ahead::Promises::default(),
            started,
            exit: 0,
            done: false,
            broken: false,
            options,
        };
        run.set_magic();
        run
    }

    /// What to do next. `now_ms`: milliseconds since the epoch.
    pub fn poll(&mut self, now_ms: i64) -> Next {
        self.now_ms = now_ms;
        self.engine.now_ms.set(now_ms);
        loop {
            if self.done {
                return Next::Done(self.exit);
            }
            if let Some(prompt) = self.next_prompt() {
                return Next::Ask(prompt);
            }
            if self.batch.is_some() {
                self.fill_free();
                if self.asked.is_some() {
                    continue;
                }
                let (work, due) = self.progress();
                if !work.is_empty() {
                    return Next::Work(work);
                }
                if self.is_busy() {
                    return due.map_or(Next::Wait, Next::Until);
                }
                if self.schedule() {
                    continue;
                }
                self.end_batch();
                continue;
            }
            if self.play.is_some() && self.begin_batch() {
                continue;
            }
            self.begin_play();
        }
    }

    /// Takes the answer to a question of the play.
    pub fn answer(&mut self, value: Value) {
        let Some(prompt) = self.asked.take() else { return };
        match self.stepping.take() {
            Some(step) => self.stepped(&step, &value),
            None => self.answers.push((prompt.name, value)),
        }
    }

    /// Lines for people since the last call.
    pub fn output(&mut self) -> Vec<String> {
        std::mem::take(&mut self.out)
    }

    /// Counts by host.
    pub fn stats(&self) -> &BTreeMap<String, Stats> {
        &self.stats
    }

    /// What `set_stats` collected.
    pub fn custom_stats(&self) -> &[(String, Value)] {
        &self.custom_stats
    }

    pub(crate) fn say(&mut self, line: String) {
        self.out.push(line);
    }

    pub(crate) fn count(&mut self, host: &str, change: impl FnOnce(&mut Stats)) {
        change(self.stats.entry(host.to_owned()).or_default());
    }

    pub(crate) fn new_id(&mut self) -> WorkId {
        self.next_id += 1;
        WorkId(self.next_id)
    }

    fn set_magic(&self) {
        let options = &self.options;
        let mut magic = self.world.magic.borrow_mut();
        let mut set = |name: &str, value: Value| {
            magic.insert(name.to_owned(), Arc::new(value));
        };
        set("ansible_check_mode", Value::Bool(options.check));
        set("ansible_diff_mode", Value::Bool(options.diff));
        set("ansible_forks", Value::Int(options.forks as i128));
        set("ansible_verbosity", Value::Int(options.verbosity.into()));
        let list = |items: &[String]| Value::List(items.iter().map(|t| Value::Unsafe(t.clone())).collect());
        set("ansible_run_tags", list(&options.tags));
        set("ansible_skip_tags", list(&options.skip_tags));
        if !options.limit.is_empty() {
            set("ansible_limit", Value::Unsafe(options.limit.join(",")));
        }
        let mut numbers = options.version.split('.').map(|n| n.parse::<i128>().unwrap_or_default());
        let mut number = || Value::Int(numbers.next().unwrap_or_default());
        let parts = [
            ("full", Value::Unsafe(options.version.clone())),
            ("string", Value::Unsafe(options.version.clone())),
            ("major", number()),
            ("minor", number()),
            ("revision", number()),
        ];
        set("ansible_version", Value::Map(parts.into_iter().map(|(k, v)| (show::key(k), v)).collect()));
    }

    fn next_prompt(&mut self) -> Option<crate::book::Prompt> {
        if self.asked.is_some() {
            return self.asked.clone();
        }
        while let Some(prompt) = self.prompts.pop_front() {
            if !self.world.extra.contains_key(&prompt.name) {
                self.asked = Some(prompt.clone());
                return Some(prompt);
            }
        }
        if !self.answers.is_empty() {
            let answers = std::mem::take(&mut self.answers);
            self.world.play.borrow_mut().prompts.extend(answers);
        }
        None
    }

    /// The next play, or the end.
    fn begin_play(&mut self) {
        let Some(play) = self.plays.pop_front().filter(|_| !self.broken) else {
            self.finish();
            return;
        };
        self.loader.enter_play(&play);
        let magic = self.play_magic(&play);
        *self.world.play.borrow_mut() = vars::PlayVars {
            vars: play.within.vars.clone(),
            prompts: Vec::new(),
            roles: play.used_roles.clone(),
            magic,
        };
        for host in self.world.hosts.borrow_mut().values_mut() {
            host.files.clear();
        }
        self.prompts = play.prompts.iter().cloned().collect();
        self.play = Some(Rc::clone(&play));
        match self.hosts_of(&play) {
            Ok(hosts) if hosts.is_empty() => {
                self.say_play(&play);
                self.say("skipping: no hosts matched".to_owned());
                self.play = None;
                self.prompts.clear();
            }
            Ok(hosts) => match self.split(&play, hosts) {
                Ok(batches) => self.batches = batches,
                Err(why) => self.stop(&why),
            },
            Err(why) => self.stop(&why),
        }
    }

    fn say_play(&mut self, play: &Play) {
        let title = self.plain(&play.title());
        self.say(show::banner(&if title.is_empty() { "PLAY".to_owned() } else { format!("PLAY [{title}]") }));
    }

    /// The run cannot go on.
    pub(crate) fn stop(&mut self, why: &str) {
        self.say(format!("[ERROR]: {why}"));
        self.batch = None;
        self.play = None;
        self.exit = BROKEN;
        self.done = true;
    }

    fn finish(&mut self) {
        self.done = true;
        let lines = show::recap_all(&self.stats);
        self.out.extend(lines);
    }

    fn play_magic(&self, play: &Play) -> vars::Layer {
        let mut magic = vars::Layer::new();
        let mut set = |name: &str, value: Arc<Value>| {
            magic.insert(name.to_owned(), value);
        };
        set("playbook_dir", vars::text(&play.folder));
        set("ansible_play_name", vars::text(&play.title()));
        let names: Vec<&str> = play.used_roles.iter().map(|role| role.name.as_str()).collect();
        set("role_names", vars::texts(names.iter().copied()));
        set("ansible_play_role_names", vars::texts(names.iter().copied()));
        set("ansible_role_names", vars::texts(names));
        magic
    }

    /// A text rendered with what is known without a host.
    fn plain(&self, text: &str) -> String {
        let scope = vars::TaskScope::new(&self.world, "localhost", None, vars::Layer::new());
        match self.engine.session(scope).render(text) {
            Ok(Some(value)) => crate::book::key_text(&value),
            _ => text.to_owned(),
        }
    }

    fn hosts_of(&mut self, play: &Play) -> Result<Vec<String>, String> {
        let mut patterns = Vec::new();
        for pattern in &play.hosts {
            let scope = vars::TaskScope::new(&self.world, "localhost", None, vars::Layer::new());
            let value = self.engine.session(scope).render(pattern).map_err(|e| e.to_string())?;
            patterns.extend(match value {
                Some(Value::List(items)) => items.iter().map(crate::book::key_text).collect(),
                Some(value) => vec![crate::book::key_text(&value)],
                None => Vec::new(),
            });
        }
        let limit: Vec<&str> = self.options.limit.iter().map(String::as_str).collect();
        let inventory = self.world.inventory.borrow();
        let limit = (!limit.is_empty()).then_some(limit.as_slice());
        let chosen = inventory.select(&patterns.join(","), limit).map_err(|e| e.to_string())?;
        let mut hosts: Vec<String> = chosen
            .hosts
            .iter()
            .filter_map(|selected| match selected {
                wellkept_inventory::Selected::Host(id) => {
                    inventory.hosts().get(*id).map(|host| host.name.clone())
                }
                wellkept_inventory::Selected::Localhost(name) => Some((*name).to_owned()),
            })
            .collect();
        drop(inventory);
        hosts.retain(|host| !self.failed.contains(host) && !self.unreachable.contains(host));
        match play.own("order").map(crate::book::key_text).as_deref() {
            Some("reverse_inventory") => hosts.reverse(),
            Some("sorted") => hosts.sort(),
            Some("reverse_sorted") => {
                hosts.sort();
                hosts.reverse();
            }
            Some("shuffle") => {
                let mut state = self.engine.randomness.get() | 1;
                for at in (1..hosts.len()).rev() {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    hosts.swap(at, ((state >> 33) as usize) % (at + 1));
                }
                self.engine.randomness.set(state);
            }
            _ => {}
        }
        Ok(hosts)
    }

    /// `serial`: numbers and percentages, the last one again until all hosts are in.
    fn split(&mut self, play: &Play, hosts: Vec<String>) -> Result<VecDeque<Vec<String>>, String> {
        let all = vars::texts(hosts.iter().map(String::as_str));
        self.world.play.borrow_mut().magic.insert("ansible_play_hosts_all".to_owned(), Arc::clone(&all));
        self.world.play.borrow_mut().magic.insert("ansible_play_hosts".to_owned(), Arc::clone(&all));
        self.world.play.borrow_mut().magic.insert("play_hosts".to_owned(), all);
        let mut sizes = Vec::new();
        if let Some(serial) = play.own("serial") {
            let scope = vars::TaskScope::new(&self.world, "localhost", None, vars::Layer::new());
            let value = self.engine.session(scope).value(serial).map_err(|e| e.to_string())?;
            let items = match value {
                Some(Value::List(items)) => items,
                Some(one) => vec![one],
                None => Vec::new(),
            };
            for item in items {
                sizes.push(size(&crate::book::key_text(&item), hosts.len())?);
            }
        }
        let mut batches = VecDeque::new();
        let mut rest = hosts.as_slice();
        let mut sizes = sizes.into_iter();
        let mut current = rest.len();
        while !rest.is_empty() {
            current = sizes.next().unwrap_or(current);
            let take = if current == 0 { rest.len() } else { current.min(rest.len()) };
            let (batch, after) = rest.split_at(take);
            batches.push_back(batch.to_vec());
            rest = after;
        }
        Ok(batches)
    }

    /// No further batch of the play is run.
    pub(crate) fn skip_batches(&mut self) {
        self.batches.clear();
    }

    fn begin_batch(&mut self) -> bool {
        let Some(play) = self.play.clone() else { return false };
        let Some(hosts) = self.batches.pop_front().filter(|_| !self.broken) else {
            self.play = None;
            return false;
        };
        let hosts: Vec<String> =
            hosts.into_iter().filter(|h| !self.failed.contains(h) && !self.unreachable.contains(h)).collect();
        if hosts.is_empty() {
            return true;
        }
        self.say_play(&play);
        self.load_vars_files(&play, &hosts);
        self.batch = Some(Batch::new(&play, hosts, &self.options));
        self.refresh_hosts();
        true
    }

    fn end_batch(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        self.promises.void_all();
        let lost = |host: &&String| self.failed.contains(*host) || self.unreachable.contains(*host);
        let gone = batch.hosts.iter().filter(lost).count();
        if gone == batch.hosts.len() || batch.fatal {
            self.broken = true;
        }
        self.exit = if !self.unreachable.is_empty() {
            UNREACHABLE
        } else if !self.failed.is_empty() || batch.fatal {
            FAILED
        } else {
            0
        };
    }

    /// `vars_files`: names may hold variables of the host; of a list the first that exists is taken.
    fn load_vars_files(&mut self, play: &Play, hosts: &[String]) {
        if play.vars_files.is_empty() {
            return;
        }
        for host in hosts {
            for entry in &play.vars_files {
                let names = match entry {
                    Value::List(names) => names.clone(),
                    one => vec![one.clone()],
                };
                let mut found = false;
                let mut problem = None;
                for name in &names {
                    let scope = vars::TaskScope::new(&self.world, host, None, vars::Layer::new());
                    // A name with facts that are not known yet is passed over.
                    let Ok(Some(name)) = self.engine.session(scope).value(name) else {
                        found = true;
                        continue;
                    };
                    let name = crate::book::key_text(&name);
                    let path = if name.starts_with('/') { name } else { format!("{}/{name}", play.folder) };
                    let beside = path.rsplit_once('/').map(|(folder, file)| format!("{folder}/vars/{file}"));
                    let path = if self.loader.exists(&path) {
                        Some(path)
                    } else {
                        beside.filter(|p| self.loader.exists(p))
                    };
                    let Some(path) = path else { continue };
                    found = true;
                    match self.loader.vars_file(&path) {
                        Ok(vars) => self.world.with_host(host, |known| {
                            known.files.extend(vars.into_iter().map(|(name, value)| (name, Arc::new(value))));
                        }),
                        Err(error) => problem = Some(error.to_string()),
                    }
                    break;
                }
                if !found {
                    let shown: Vec<String> = names.iter().map(crate::book::key_text).collect();
                    problem = Some(format!("vars file {} was not found", shown.join(", ")));
                }
                if let Some(problem) = problem {
                    self.stop(&problem);
                    return;
                }
            }
        }
    }
}

fn size(text: &str, hosts: usize) -> Result<usize, String> {
    let wrong = || format!("serial: {text:?} is no number of hosts; accepted: 2, \"30%\"");
    match text.trim().strip_suffix('%') {
        Some(percent) => {
            let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
            Ok(((percent / 100.0 * hosts as f64) as usize).max(1))
        }
        None => text.trim().parse().map_err(|_| wrong()),
    }
}
