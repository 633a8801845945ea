//! The hosts of one batch, and the flat order of tasks that keeps them in step.

use std::collections::HashMap;
use std::rc::Rc;

use wellkept_inventory::Value;

use super::Run;
use super::frames::Frames;
use super::options::Options;
use super::task::Running;
use super::vars;
use crate::book::{Block, Item, Play, Task, Within};

/// How far one host is.
#[derive(Default)]
pub(crate) struct HostState {
    pub(crate) frames: Frames,
    /// Failed, unreachable or ended.
    pub(crate) out: bool,
}

/// One batch of a play.
pub(crate) struct Batch {
    pub(crate) hosts: Vec<String>,
    pub(crate) states: HashMap<String, HostState>,
    /// All tasks in the order of the file, with included ones where they were included.
    pub(crate) order: Vec<Rc<Task>>,
    pub(crate) cursor: usize,
    /// All handlers; those that were notified run.
    pub(crate) handlers: Rc<Block>,
    /// Hosts that notified a handler, by the handler's place in memory.
    pub(crate) notified: Vec<(Rc<Task>, Vec<String>)>,
    pub(crate) running: Vec<Running>,
    /// Finished includes of the current step.
    pub(crate) includes: Vec<super::includes::Wanted>,
    pub(crate) free: bool,
    /// The host whose turn it is with the strategy free.
    pub(crate) turn: usize,
    /// The header that stands last in the output.
    pub(crate) shown: Option<Rc<Task>>,
    /// `any_errors_fatal` or `max_fail_percentage` ended it.
    pub(crate) fatal: bool,
    /// Failures before this step, to see whether a step added one.
    pub(crate) failures: usize,
    pub(crate) force_handlers: bool,
}

/// All tasks of a list in order.
pub(crate) fn flatten(items: &[Item], out: &mut Vec<Rc<Task>>) {
    for item in items {
        match item {
            Item::Task(task) => out.push(Rc::clone(task)),
            Item::Block(block) => {
                flatten(&block.tasks, out);
                flatten(&block.rescue, out);
                flatten(&block.always, out);
            }
        }
    }
}

fn node(play: &Play) -> Within {
    Within {
        place: play.within.place.clone(),
        name: None,
        attrs: Vec::new(),
        vars: Vec::new(),
        params: false,
        when: Vec::new(),
        tags: Vec::new(),
        role: None,
        notify: Vec::new(),
        parent: Some(Rc::clone(&play.within)),
    }
}

fn implicit(play: &Play, action: &str, name: &str, args: Vec<(String, Value)>) -> Item {
    let within =
        Within { name: Some(name.to_owned()), tags: vec![Value::Unsafe("always".to_owned())], ..node(play) };
    Item::Task(Rc::new(Task {
        within: Rc::new(within),
        action: action.to_owned(),
        written: format!("ansible.builtin.{action}"),
        args,
        args_template: None,
        looped: None,
        own: Vec::new(),
        listen: Vec::new(),
    }))
}

impl Batch {
    pub(crate) fn new(play: &Play, hosts: Vec<String>, options: &Options) -> Self {
        let flush = || {
            let args = vec![("_raw_params".to_owned(), Value::Unsafe("flush_handlers".to_owned()))];
            implicit(play, "meta", "flush_handlers", args)
        };
        let mut tasks = Vec::new();
        let gather = play.own("gather_facts").map_or(options.gather, super::results::truth);
        if gather {
            let mut args = Vec::new();
            for name in ["gather_subset", "gather_timeout", "fact_path"] {
                args.extend(play.own(name).map(|value| (name.to_owned(), value.clone())));
            }
            tasks.push(implicit(play, "gather_facts", "Gathering Facts", args));
        }
        tasks.extend(play.pre_tasks.iter().cloned());
        tasks.push(flush());
        tasks.extend(play.roles.iter().chain(&play.tasks).cloned());
        tasks.push(flush());
        tasks.extend(play.post_tasks.iter().cloned());
        tasks.push(flush());
        let mut order = Vec::new();
        flatten(&tasks, &mut order);
        let list = |tasks: Vec<Item>| {
            Rc::new(Block { within: Rc::new(node(play)), tasks, rescue: Vec::new(), always: Vec::new() })
        };
        let whole = list(tasks);
        let mut states = HashMap::new();
        for host in &hosts {
            let mut state = HostState::default();
            state.frames.push(Rc::clone(&whole), false);
            states.insert(host.clone(), state);
        }
        let strategy = play.own("strategy").map(crate::book::key_text).unwrap_or_default();
        Self {
            hosts,
            states,
            order,
            cursor: 0,
            handlers: list(play.handlers.clone()),
            notified: Vec::new(),
            running: Vec::new(),
            includes: Vec::new(),
            turn: 0,
            free: matches!(crate::book::short_name(&strategy), "free" | "host_pinned"),
            shown: None,
            fatal: false,
            failures: 0,
            force_handlers: play.own("force_handlers").map_or(options.force_handlers, super::results::truth),
        }
    }

    /// Puts tasks into the order right after the current step.
    pub(crate) fn insert(&mut self, items: &[Item]) {
        let mut tasks = Vec::new();
        flatten(items, &mut tasks);
        let at = self.cursor.min(self.order.len());
        self.order.splice(at..at, tasks);
    }

    /// Whether a host notified a handler and has not run it yet.
    pub(crate) fn is_notified(&self, handler: &Rc<Task>, host: &str) -> bool {
        self.notified.iter().any(|(task, hosts)| Rc::ptr_eq(task, handler) && hosts.iter().any(|h| h == host))
    }

    pub(crate) fn clear_notified(&mut self, handler: &Rc<Task>, host: &str) {
        for (task, hosts) in &mut self.notified {
            if Rc::ptr_eq(task, handler) {
                hosts.retain(|h| h != host);
            }
        }
    }

    pub(crate) fn notify(&mut self, handler: &Rc<Task>, host: &str) {
        if self.is_notified(handler, host) {
            return;
        }
        match self.notified.iter_mut().find(|(task, _)| Rc::ptr_eq(task, handler)) {
            Some((_, hosts)) => hosts.push(host.to_owned()),
            None => self.notified.push((Rc::clone(handler), vec![host.to_owned()])),
        }
    }

    /// Hosts that still run.
    pub(crate) fn left(&self) -> Vec<String> {
        self.hosts.iter().filter(|host| self.states.get(*host).is_some_and(|s| !s.out)).cloned().collect()
    }
}

impl Run {
    /// Tells templates which hosts are still in the play.
    pub(crate) fn refresh_hosts(&self) {
        let Some(batch) = &self.batch else { return };
        let mut play = self.world.play.borrow_mut();
        let left = batch.left();
        let batch_left = vars::texts(left.iter().map(String::as_str));
        let all = match play.magic.get("ansible_play_hosts_all").map(|all| (**all).clone()) {
            Some(Value::List(all)) => all,
            _ => Vec::new(),
        };
        let alive: Vec<Value> = all
            .into_iter()
            .filter(|host| {
                let name = host.as_text().unwrap_or_default();
                !self.failed.contains(name) && !self.unreachable.contains(name)
            })
            .collect();
        let alive = std::sync::Arc::new(Value::List(alive));
        play.magic.insert("ansible_play_batch".to_owned(), batch_left);
        play.magic.insert("ansible_play_hosts".to_owned(), std::sync::Arc::clone(&alive));
        play.magic.insert("play_hosts".to_owned(), alive);
    }
}
