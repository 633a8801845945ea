//! One file in memory with an engine around it, and what must hold whatever it says: mistakes are errors, work is bounded.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::{Detail, Files, Inventory, Meta, Options, Value};
use wellkept_playbook::book::Loader;
use wellkept_playbook::run::{Next, Outcome, Run};
use wellkept_playbook::template::{Engine, Outside, Scope};

/// Polls of a run; more is a run that does not end.
const POLLS_MAX: usize = 300;
/// The password of sealed texts.
pub const PASSWORD: &[u8] = b"secret";

struct OneFile {
    path: &'static str,
    bytes: Vec<u8>,
}

fn meta(size: usize) -> Meta {
    Meta { folder: false, owner: 0, group: 0, mode: 0o644, size: size as u64 }
}

impl Files for OneFile {
    fn stat(&self, path: &str) -> Result<Option<Meta>, String> {
        Ok((path == self.path || path == "/p/hosts").then(|| meta(self.bytes.len())))
    }
    fn list(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
    fn read(&self, path: &str, max: u64) -> Result<(Meta, Vec<u8>), String> {
        let bytes = match path {
            path if path == self.path => self.bytes.iter().take(max as usize).copied().collect(),
            "/p/hosts" => b"h1\nh2\n".to_vec(),
            other => return Err(format!("no {other}")),
        };
        Ok((meta(self.bytes.len()), bytes))
    }
    fn run(&self, _: &str, _: &[&str], _: u64) -> Result<Vec<u8>, String> {
        Err("no scripts".to_owned())
    }
}

struct Nothing;

impl Outside for Nothing {}

struct Vars(BTreeMap<String, Arc<Value>>);

impl Scope for Vars {
    fn get(&self, name: &str) -> Option<Arc<Value>> {
        self.0.get(name).cloned()
    }
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

/// Reads an inventory and asks everything of it.
pub fn inventory(path: &'static str, bytes: &[u8]) {
    let files = OneFile { path, bytes: bytes.to_vec() };
    let inventory = match Inventory::read(&files, &[path], &Options::default()) {
        Ok(inventory) => inventory,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    for index in 0..inventory.hosts().len().min(20) {
        let name = inventory.hosts()[index].name.clone();
        assert!(!name.starts_with('-'), "a host that could be an option: {name:?}");
        let id = inventory.host_id(&name).expect("a host is found by its name");
        let _ = (inventory.host_vars(id), inventory.magic(id));
    }
    let _ = (inventory.to_json(Detail::Merged), inventory.to_yaml(Detail::Export), inventory.to_graph("all"));
    for pattern in ["all", "all:!web", "web:&prod", "~.*1", "h[0:3]"] {
        let _ = inventory.select(pattern, None);
    }
}

/// Loads a playbook and runs it on two hosts that answer everything.
pub fn playbook(bytes: &[u8]) {
    let files = OneFile { path: "/p/site.yml", bytes: bytes.to_vec() };
    let hosts = Inventory::read(&files, &["/p/hosts"], &Options::default()).expect("hosts");
    let engine = Rc::new(Engine::new(Rc::new(files), Rc::new(Nothing)));
    let mut loader = Loader::new(Rc::clone(&engine), |_| true);
    let book = match loader.playbook("/p/site.yml") {
        Ok(book) => book,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let mut run = Run::new(engine, loader, book, hosts, wellkept_playbook::run::Options::default());
    let result = |changed: bool| {
        let entry = |key: &str, value: Value| (Value::Text(key.to_owned()), value);
        let text = Value::Unsafe("{{ 1 }} {% raw %}".to_owned());
        Outcome::Done(Value::Map(vec![entry("changed", Value::Bool(changed)), entry("stdout", text)]))
    };
    let mut now = 0;
    for turn in 0..POLLS_MAX {
        match run.poll(now) {
            Next::Done(_) => return,
            Next::Ask(_) => run.answer(Value::Unsafe("yes".to_owned())),
            Next::Wait => return,
            Next::Until(due) => now = due.max(now),
            Next::Work(all) => {
                for work in all {
                    run.handle(now, work.id, result(turn % 2 == 0));
                }
            }
        }
        run.output();
    }
}

/// Renders a template with some variables.
pub fn template(text: &str) {
    let files = OneFile { path: "/p/t.j2", bytes: text.as_bytes().to_vec() };
    let list = Value::List(vec![Value::Int(3), Value::Text("a".to_owned()), Value::Bool(true)]);
    let map = Value::Map(vec![(Value::Text("k".to_owned()), list.clone())]);
    let told = Value::Unsafe("{{ lookup('pipe', 'id') }}".to_owned());
    let vars = [
        ("x", Value::Int(7)),
        ("l", list),
        ("m", map),
        ("told", told),
        ("t", Value::Text("{{ x }}".to_owned())),
    ];
    let vars = vars.into_iter().map(|(name, value)| (name.to_owned(), Arc::new(value))).collect();
    let engine = Engine::new(Rc::new(files), Rc::new(Nothing));
    let engine = Rc::new(engine);
    if let Err(error) = engine.session(Rc::new(Vars(vars))).render(text) {
        assert!(!error.to_string().is_empty());
    }
}
