//! What the engine asks of hosts, and what follows when they are lost: rights, environment, defaults, throttle, forks.

use std::rc::Rc;

use wellkept_inventory::{Files, Inventory, Meta, Value};
use wellkept_playbook::book::Loader;
use wellkept_playbook::run::{Next, Options, Outcome, Run, Work, WorkId};
use wellkept_playbook::template::{Engine, Outside};

struct OneFile(String);

impl Files for OneFile {
    fn stat(&self, path: &str) -> Result<Option<Meta>, String> {
        let there = matches!(path, "/p/site.yml" | "/p/hosts");
        Ok(there.then_some(Meta { folder: false, owner: 0, group: 0, mode: 0o644, size: 0 }))
    }
    fn list(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
    fn read(&self, path: &str, _: u64) -> Result<(Meta, Vec<u8>), String> {
        let text = if path == "/p/hosts" { "h1\nh2\nh3\n" } else { &self.0 };
        Ok((Meta { folder: false, owner: 0, group: 0, mode: 0o644, size: 0 }, text.as_bytes().to_vec()))
    }
    fn run(&self, _: &str, _: &[&str], _: u64) -> Result<Vec<u8>, String> {
        Err("no scripts".to_owned())
    }
}

struct Nothing;

impl Outside for Nothing {}

fn run(site: &str, options: Options) -> Run {
    let files = OneFile(site.to_owned());
    let inventory =
        Inventory::read(&files, &["/p/hosts"], &wellkept_inventory::Options::default()).expect("hosts");
    let engine = Rc::new(Engine::new(Rc::new(files), Rc::new(Nothing)));
    let mut loader = Loader::new(Rc::clone(&engine), |_| true);
    let book = loader.playbook("/p/site.yml").unwrap_or_else(|error| panic!("{error}"));
    Run::new(engine, loader, book, inventory, options)
}

fn work(next: Next) -> Vec<Work> {
    match next {
        Next::Work(work) => work,
        _ => Vec::new(),
    }
}

fn done(entries: &[(&str, Value)]) -> Outcome {
    let entries = entries.iter().map(|(key, value)| (Value::Text((*key).to_owned()), value.clone()));
    Outcome::Done(Value::Map(entries.collect()))
}

fn arg(work: &Work, name: &str) -> Option<Value> {
    work.args.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

fn text(text: &str) -> Value {
    Value::Unsafe(text.to_owned())
}

const HEAD: &str = "- hosts: h1\n  gather_facts: false\n";

#[test]
fn rights_environment_and_defaults_are_inherited_and_rendered() {
    let site = format!(
        "{HEAD}  become: true\n  vars: {{u: deploy}}\n  environment: {{A: 1, B: play}}\n  module_defaults: {{copy: {{mode: '0600', owner: root}}}}\n  tasks:\n    - block:\n        - copy: {{src: a, dest: b, owner: '{{{{ u }}}}', group: '{{{{ omit }}}}'}}\n          environment: {{B: task}}\n          async: 60\n          poll: 0\n          timeout: 7\n          check_mode: true\n          no_log: true\n          remote_user: me\n          port: 2222\n          connection: ssh\n      become_user: '{{{{ u }}}}'\n      become_method: su\n      diff: true\n"
    );
    let mut run = run(&site, Options::default());
    let all = work(run.poll(0));
    let [work] = all.as_slice() else { panic!("one piece of work") };
    assert_eq!((work.module.as_str(), work.host.as_str(), work.target.as_str()), ("copy", "h1", "h1"));
    assert_eq!(arg(work, "owner"), Some(text("deploy")));
    assert_eq!(arg(work, "mode"), Some(text("0600")));
    assert_eq!(arg(work, "group"), None);
    assert_eq!(work.environment, [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "task".to_owned())]);
    let becomes = work.becomes.as_ref().expect("rights");
    assert_eq!((becomes.user.as_str(), becomes.method.as_str()), ("deploy", "su"));
    assert_eq!((work.async_seconds, work.poll, work.timeout), (60, 0, Some(7)));
    assert!(work.check && work.diff && work.no_log);
    assert_eq!(
        (work.remote_user.as_deref(), work.port, work.connection.as_deref()),
        (Some("me"), Some(2222), Some("ssh"))
    );
    assert_eq!(work.search_path, ["/p"]);
}

#[test]
fn forks_and_throttle_bound_what_runs_at_once() {
    let site = "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: x\n      throttle: 1\n    - command: y\n";
    let mut run = run(site, Options { forks: 2, ..Options::default() });
    for host in ["h1", "h2", "h3"] {
        let all = work(run.poll(0));
        assert_eq!(all.iter().map(|w| w.host.as_str()).collect::<Vec<_>>(), [host]);
        run.handle(0, all[0].id, done(&[("rc", Value::Int(0))]));
    }
    let two = work(run.poll(0));
    assert_eq!(two.len(), 2);
    assert!(matches!(run.poll(0), Next::Wait));
}

#[test]
fn a_piece_of_work_is_handed_out_once_and_strange_answers_are_ignored() {
    let mut run = run(&format!("{HEAD}  tasks:\n    - command: x\n"), Options::default());
    let all = work(run.poll(0));
    assert_eq!(all.len(), 1);
    assert!(matches!(run.poll(0), Next::Wait));
    run.handle(0, WorkId(999), done(&[]));
    assert!(matches!(run.poll(0), Next::Wait));
    run.handle(0, all[0].id, done(&[("changed", Value::Bool(true))]));
    assert!(matches!(run.poll(0), Next::Done(0)));
    run.handle(0, all[0].id, done(&[("failed", Value::Bool(true))]));
    assert!(matches!(run.poll(0), Next::Done(0)));
}

#[test]
fn a_lost_connection_is_unknown_and_the_host_leaves_the_run() {
    for outcome in
        [Outcome::Unknown("connection lost".to_owned()), Outcome::Unreachable("no route".to_owned())]
    {
        let site = "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: x\n    - command: y\n- hosts: all\n  gather_facts: false\n  tasks: [{command: z}]\n";
        let mut run = run(site, Options::default());
        for work in work(run.poll(0)) {
            let outcome = if work.host == "h2" { outcome.clone() } else { done(&[]) };
            run.handle(0, work.id, outcome);
        }
        let mut hosts = Vec::new();
        loop {
            match run.poll(0) {
                Next::Work(all) => {
                    for work in all {
                        hosts.push(work.host.clone());
                        run.handle(0, work.id, done(&[]));
                    }
                }
                Next::Done(code) => {
                    assert_eq!(code, 4);
                    break;
                }
                _ => panic!("the run waits"),
            }
        }
        assert_eq!(hosts, ["h1", "h3", "h1", "h3"]);
        let lines = run.output().join("\n");
        assert!(lines.contains("fatal: [h2]: UNREACHABLE! => {"), "{lines}");
        assert_eq!(run.stats()["h2"].unreachable, 1);
        assert_eq!(run.stats()["h2"].failed, 0);
        assert_eq!(lines.contains("\"unknown\": true"), matches!(outcome, Outcome::Unknown(_)));
    }
}

#[test]
fn ignore_unreachable_keeps_the_host() {
    let site =
        format!("{HEAD}  tasks:\n    - command: x\n      ignore_unreachable: true\n    - command: y\n");
    let mut run = run(&site, Options::default());
    let first = work(run.poll(0));
    run.handle(0, first[0].id, Outcome::Unreachable("away".to_owned()));
    assert_eq!(work(run.poll(0)).len(), 1);
    assert_eq!((run.stats()["h1"].skipped, run.stats()["h1"].ignored), (1, 1));
}

#[test]
fn facts_are_stored_as_data_and_seen_under_both_names() {
    let site = "- hosts: h1\n  tasks:\n    - command: \"{{ ansible_os_family }} {{ ansible_facts.os_family }} {{ ansible_facts['evil'] }}\"\n";
    let mut run = run(site, Options::default());
    let setup = work(run.poll(0));
    assert_eq!(setup[0].module, "setup");
    let facts = Value::Map(vec![
        (text("ansible_os_family"), Value::Text("Debian".to_owned())),
        (text("ansible_evil"), Value::Text("{{ lookup('pipe', 'id') }}".to_owned())),
    ]);
    run.handle(0, setup[0].id, done(&[("ansible_facts", facts)]));
    let next = work(run.poll(0));
    assert_eq!(arg(&next[0], "_raw_params"), Some(text("Debian Debian {{ lookup('pipe', 'id') }}")));
}

#[test]
fn retries_wait_for_their_time() {
    let site = format!(
        "{HEAD}  tasks:\n    - command: x\n      register: r\n      until: r.rc == 0\n      retries: 3\n      delay: 2\n"
    );
    let mut run = run(&site, Options::default());
    let first = work(run.poll(1000));
    run.handle(1000, first[0].id, done(&[("rc", Value::Int(1))]));
    let Next::Until(due) = run.poll(1000) else { panic!("a pause") };
    assert_eq!(due, 3000);
    assert!(matches!(run.poll(2999), Next::Until(3000)));
    let second = work(run.poll(3000));
    assert_eq!(second.len(), 1);
    run.handle(3000, second[0].id, done(&[("rc", Value::Int(0))]));
    assert!(matches!(run.poll(3000), Next::Done(0)));
    assert!(run.output().join("\n").contains("FAILED - RETRYING: [h1]: command (3 retries left)."));
}

#[test]
fn prompts_are_asked_before_the_play() {
    let site = format!(
        "{HEAD}  vars_prompt: [{{name: who, prompt: Who, private: false}}]\n  tasks:\n    - command: \"{{{{ who }}}}\"\n"
    );
    let mut run = run(&site, Options::default());
    let Next::Ask(prompt) = run.poll(0) else { panic!("a question") };
    assert_eq!((prompt.prompt.as_str(), prompt.private), ("Who", false));
    run.answer(text("me"));
    assert_eq!(arg(&work(run.poll(0))[0], "_raw_params"), Some(text("me")));
}

#[test]
fn start_at_task_passes_over_what_stands_before() {
    let site = format!(
        "{HEAD}  tasks:\n    - {{name: one, command: a}}\n    - {{name: two x, command: b}}\n    - {{name: three, command: c}}\n"
    );
    let mut run = run(&site, Options { start_at_task: Some("two*".to_owned()), ..Options::default() });
    assert_eq!(arg(&work(run.poll(0))[0], "_raw_params"), Some(text("b")));
}

#[test]
fn a_missing_handler_stops_the_run_by_name() {
    let site = format!("{HEAD}  tasks:\n    - command: x\n      notify: nobody\n");
    let mut run = run(&site, Options::default());
    let first = work(run.poll(0));
    run.handle(0, first[0].id, done(&[("changed", Value::Bool(true))]));
    assert!(matches!(run.poll(0), Next::Done(1)));
    assert!(run.output().join("\n").contains("The requested handler 'nobody' was not found"));
}

#[test]
fn a_missing_include_fails_the_task_by_name_and_can_be_rescued() {
    let site = format!(
        "{HEAD}  tasks:\n    - block:\n        - include_tasks: nope.yml\n      rescue:\n        - command: saved\n"
    );
    let mut run = run(&site, Options::default());
    assert_eq!(arg(&work(run.poll(0))[0], "_raw_params"), Some(text("saved")));
    assert!(run.output().join("\n").contains("nope.yml"));
}

#[test]
fn a_diff_stands_before_the_line_of_its_task() {
    let mut run = run(
        &format!("{HEAD}  tasks:\n    - copy: {{dest: /f}}\n"),
        Options { diff: true, ..Options::default() },
    );
    let first = work(run.poll(0));
    let sides = [("before", "a\n"), ("after", "b\n")];
    let diff = Value::Map(sides.iter().map(|(k, v)| (text(k), text(v))).collect());
    run.handle(0, first[0].id, done(&[("changed", Value::Bool(true)), ("diff", diff)]));
    run.poll(0);
    let lines = run.output().join("\n");
    assert!(lines.contains("--- before\n+++ after\n@@ -1 +1 @@\n-a\n+b\n\nchanged: [h1]"), "{lines}");
}

const PLAIN: &str = "  vars: {v: 1}\n  tasks:\n    - command: a\n    - {command: b, when: v == 2}\n    - command: 'c {{ v }}'\n    - {command: d, register: r}\n    - {command: 'e {{ r.rc }}'}\n    - {command: f, failed_when: false}\n    - command: g\n";

#[test]
fn what_cannot_depend_on_a_result_is_promised_up_to_the_next_border() {
    let mut run = run(&format!("{HEAD}{PLAIN}"), Options::default());
    let first = work(run.poll(0));
    let ahead = run.ahead("h1", 10);
    let told: Vec<_> = ahead.iter().filter_map(|w| arg(w, "_raw_params")).collect();
    // The task that registers can be promised itself only if nothing it leaves is needed: it is a border.
    assert_eq!(told, [text("c 1")]);
    assert!(run.ahead("h1", 10).is_empty(), "promised once");
    run.handle(0, first[0].id, done(&[("rc", Value::Int(0))]));
    let next = work(run.poll(0));
    assert_eq!(next[0].id, ahead[0].id);
    assert_eq!(arg(&next[0], "_raw_params"), Some(text("c 1")));
    assert!(run.ahead("h1", 10).is_empty(), "the next one registers");
    run.handle(0, next[0].id, done(&[("rc", Value::Int(0))]));
    let d = work(run.poll(0));
    assert!(run.ahead("h1", 10).is_empty(), "what follows sees what was registered");
    run.handle(0, d[0].id, done(&[("rc", Value::Int(7))]));
    assert!(work(run.poll(0)).is_empty(), "it failed");
}

#[test]
fn a_promise_is_void_when_the_task_before_it_fails() {
    let site = format!(
        "{HEAD}  tasks:\n    - block:\n        - command: a\n        - command: b\n      rescue:\n        - command: saved\n"
    );
    let mut run = run(&site, Options::default());
    let first = work(run.poll(0));
    let ahead = run.ahead("h1", 10);
    assert_eq!(ahead.len(), 1);
    run.handle(0, first[0].id, done(&[("failed", Value::Bool(true))]));
    let next = work(run.poll(0));
    assert_eq!(arg(&next[0], "_raw_params"), Some(text("saved")));
    assert_ne!(next[0].id, ahead[0].id);
    assert!(!run.is_promised(ahead[0].id));
}

#[test]
fn hosts_that_go_in_step_are_promised_nothing() {
    let site = "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: a\n    - command: b\n";
    let mut run = run(site, Options::default());
    assert_eq!(work(run.poll(0)).len(), 3);
    assert!(run.ahead("h1", 10).is_empty());
}
