//! How fast plays are stepped through when hosts answer at once: hosts, tasks, seconds.
//!
//! `cargo run --release -p wellkept-playbook --example paces -- 100 200`

#![expect(clippy::print_stdout, reason = "an example tells its figures")]
#![expect(clippy::disallowed_methods, reason = "an example measures time")]

use std::rc::Rc;
use std::time::Instant;

use wellkept_inventory::{Files, Inventory, Meta, Value};
use wellkept_playbook::book::Loader;
use wellkept_playbook::run::{Next, Options, Outcome, Run};
use wellkept_playbook::template::{Engine, Outside};

struct Made {
    site: String,
    hosts: String,
}

impl Files for Made {
    fn stat(&self, path: &str) -> Result<Option<Meta>, String> {
        let there = matches!(path, "/p/site.yml" | "/p/hosts");
        Ok(there.then_some(Meta { folder: false, owner: 0, group: 0, mode: 0o644, size: 0 }))
    }
    fn list(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
    fn read(&self, path: &str, _: u64) -> Result<(Meta, Vec<u8>), String> {
        let text = if path == "/p/hosts" { &self.hosts } else { &self.site };
        Ok((Meta { folder: false, owner: 0, group: 0, mode: 0o644, size: 0 }, text.as_bytes().to_vec()))
    }
    fn run(&self, _: &str, _: &[&str], _: u64) -> Result<Vec<u8>, String> {
        Err("no scripts".to_owned())
    }
}

struct Nothing;

impl Outside for Nothing {}

fn main() {
    let mut args = std::env::args().skip(1).filter_map(|n| n.parse::<usize>().ok());
    let (hosts, tasks) = (args.next().unwrap_or(20), args.next().unwrap_or(100));
    let mut site =
        "- hosts: all\n  gather_facts: false\n  vars: {base: /srv, name: app}\n  tasks:\n".to_owned();
    for n in 0..tasks {
        site += &format!(
            "    - name: task {n}\n      command: \"echo {{{{ base }}}}/{{{{ name }}}} {{{{ inventory_hostname }}}} {n}\"\n      when: base is defined and inventory_hostname in groups['all']\n      register: r{n}\n"
        );
    }
    let names: Vec<String> = (0..hosts).map(|n| format!("host{n}\n")).collect();
    let files = Made { site, hosts: names.concat() };
    let Ok(inventory) = Inventory::read(&files, &["/p/hosts"], &wellkept_inventory::Options::default())
    else {
        return;
    };
    let engine = Rc::new(Engine::new(Rc::new(files), Rc::new(Nothing)));
    let begun = Instant::now();
    let mut loader = Loader::new(Rc::clone(&engine), |_| true);
    let Ok(book) = loader.playbook("/p/site.yml") else { return };
    let read = begun.elapsed();
    let mut run = Run::new(engine, loader, book, inventory, Options { forks: 50, ..Options::default() });
    let mut works = 0;
    loop {
        match run.poll(0) {
            Next::Work(all) => {
                for work in all {
                    works += 1;
                    let result = vec![
                        (Value::Text("rc".to_owned()), Value::Int(0)),
                        (Value::Text("stdout".to_owned()), Value::Text("x".repeat(200))),
                    ];
                    run.handle(0, work.id, Outcome::Done(Value::Map(result)));
                }
                run.output();
            }
            Next::Done(code) => {
                println!(
                    "{hosts} hosts, {tasks} tasks: read {read:?}, {works} works in {:?}, exit {code}",
                    begun.elapsed()
                );
                return;
            }
            _ => return,
        }
    }
}
