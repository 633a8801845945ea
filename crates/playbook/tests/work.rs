//! What the engine asks of hosts, and what follows when they are lost: rights, environment, defaults, throttle, forks.

use std::rc::Rc;

use wellkept_inventory::{Files, Inventory, Meta, Value};
use wellkept_playbook::book::Loader;
use wellkept_playbook::run::{Ahead, Next, Options, Outcome, Run, Work, WorkId};
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
    let ahead = promised(&mut run, "h1");
    // The task that registers may come itself; what sees the name may not.
    assert_eq!(told(&ahead), ["c 1", "d"]);
    assert_eq!(
        (ahead[0].needs.as_slice(), ahead[1].needs.as_slice()),
        (&[first[0].id][..], &[ahead[0].work.id][..])
    );
    assert!(promised(&mut run, "h1").is_empty(), "promised once");
    run.handle(0, first[0].id, done(&[("rc", Value::Int(0))]));
    for (ahead, what) in ahead.iter().zip(["c 1", "d"]) {
        let next = work(run.poll(0));
        assert_eq!((next[0].id, arg(&next[0], "_raw_params")), (ahead.work.id, Some(text(what))));
        assert!(promised(&mut run, "h1").is_empty(), "what follows sees what was registered");
        run.handle(0, next[0].id, done(&[("rc", Value::Int(0))]));
    }
    let e = work(run.poll(0));
    assert_eq!(arg(&e[0], "_raw_params"), Some(text("e 0")));
    let ahead = promised(&mut run, "h1");
    assert_eq!(told(&ahead), ["f", "g"]);
    assert!(ahead[1].needs.is_empty(), "what never fails stops nothing");
    run.handle(0, e[0].id, done(&[("rc", Value::Int(7))]));
    assert!(work(run.poll(0)).is_empty(), "it failed");
}

fn promised(run: &mut Run, host: &str) -> Vec<Ahead<()>> {
    run.ahead(host, 10, &mut |_| Some(()))
}

fn told(ahead: &[Ahead<()>]) -> Vec<String> {
    let told = ahead.iter().filter_map(|a| arg(&a.work, "_raw_params"));
    told.map(|value| value.as_text().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_promise_is_void_when_the_task_before_it_fails() {
    let site = format!(
        "{HEAD}  tasks:\n    - block:\n        - command: a\n        - command: b\n      rescue:\n        - command: saved\n"
    );
    let mut run = run(&site, Options::default());
    let first = work(run.poll(0));
    let ahead = promised(&mut run, "h1");
    assert_eq!(ahead.len(), 1);
    run.handle(0, first[0].id, done(&[("failed", Value::Bool(true))]));
    let next = work(run.poll(0));
    assert_eq!(arg(&next[0], "_raw_params"), Some(text("saved")));
    assert_ne!(next[0].id, ahead[0].work.id);
    assert_eq!(run.take_void(), [ahead[0].work.id]);
}

/// What is promised to the first host after its first task.
fn after_first(site: &str, options: Options) -> Vec<String> {
    let mut run = run(site, options);
    let all = work(run.poll(0));
    let ahead = promised(&mut run, &all[0].host);
    told(&ahead)
}

fn in_step(tasks: &str) -> Vec<String> {
    let site =
        format!("- hosts: all\n  gather_facts: false\n  vars: {{v: 1}}\n  tasks:\n    - command: a\n{tasks}");
    after_first(&site, Options::default())
}

#[test]
fn hosts_that_go_in_step_are_promised_work_each_for_itself() {
    let site = "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: a\n    - command: b\n    - command: c\n";
    let mut run = run(site, Options::default());
    let all = work(run.poll(0));
    assert_eq!(all.len(), 3);
    let ahead: Vec<_> = ["h1", "h2", "h3"].iter().map(|host| promised(&mut run, host)).collect();
    assert!(ahead.iter().all(|ahead| told(ahead) == ["b", "c"]));
    for work in &all {
        assert!(self::work(run.poll(0)).is_empty(), "nobody is handed b before all have done a");
        let failed = work.host == "h2";
        run.handle(0, work.id, done(&[("failed", Value::Bool(failed))]));
    }
    let next = work(run.poll(0));
    assert_eq!(next.iter().map(|w| w.id).collect::<Vec<_>>(), [ahead[0][0].work.id, ahead[2][0].work.id]);
    let lines = run.output().join("\n");
    assert!(lines.contains("TASK [command]") && lines.matches("TASK [command]").count() == 2, "{lines}");
}

#[test]
fn other_hosts_lookups_and_what_reaches_over_are_borders() {
    let b = "    - command: b\n";
    assert_eq!(in_step(b), ["b"]);
    for border in [
        "    - {command: x, delegate_to: h2, when: v == 2}\n",
        "    - {command: x, run_once: true}\n",
        "    - {command: x, throttle: 1}\n",
        "    - {command: x, any_errors_fatal: true}\n",
        "    - {wait_for: {port: 1}}\n",
        "    - {meta: end_play, when: v == 2}\n",
        "    - {command: \"{{ hostvars.h2.inventory_hostname }}\"}\n",
        "    - {command: \"{{ ansible_play_hosts | length }}\"}\n",
        "    - {command: \"{{ lookup('file', '/p/hosts') }}\"}\n",
        "    - {command: x, when: \"lookup('pipe', 'date') != ''\"}\n",
        "    - {include_tasks: more.yml}\n",
        "    - {setup: {}}\n",
        "    - {debug: {msg: \"{{ unknown }}\"}}\n",
        "    - {assert: {that: v == 2}}\n",
        "    - {command: x, loop: [1], loop_control: {pause: 1}}\n",
    ] {
        assert!(in_step(&format!("{border}{b}")).is_empty(), "{border}");
    }
    for stops in ["max_fail_percentage: 10", "any_errors_fatal: true"] {
        let site = format!(
            "- hosts: all\n  gather_facts: false\n  {stops}\n  tasks: [{{command: a}}, {{command: b}}]\n"
        );
        assert!(after_first(&site, Options::default()).is_empty(), "{stops}");
    }
    let site = "- hosts: all\n  gather_facts: false\n  tasks: [{command: a}, {command: b}]\n";
    assert!(after_first(site, Options { lock_step: true, ..Options::default() }).is_empty());
}

#[test]
fn what_changes_nothing_for_the_host_is_looked_past() {
    let b = "    - command: b\n";
    for passed in [
        "    - {command: x, when: v == 2}\n",
        "    - {include_tasks: more.yml, when: v == 2}\n",
        "    - {fail: {msg: no}, when: v == 2}\n",
        "    - {setup: {}, when: v == 2}\n",
        "    - {debug: {msg: \"{{ v }}\"}}\n",
        "    - {debug: {var: anything}}\n",
        "    - {assert: {that: v == 1}}\n",
        "    - {set_fact: {w: \"{{ v + 1 }}\"}}\n",
        "    - {meta: noop}\n",
        "    - {meta: flush_handlers}\n",
    ] {
        assert_eq!(in_step(&format!("{passed}{b}")), ["b"], "{passed}");
    }
    let set = "    - {set_fact: {w: 2}}\n    - {command: b}\n    - {command: \"c {{ w }}\"}\n";
    assert_eq!(in_step(set), ["b"], "what was set is not known yet");
    let notified = "    - {command: x, notify: h}\n    - meta: flush_handlers\n    - command: b\n  handlers: [{name: h, command: y}]\n";
    assert_eq!(in_step(notified), ["x"]);
    let until = "    - {command: x, register: r, until: r.rc == 0}\n    - command: b\n";
    assert_eq!(in_step(until), ["x"], "it may be tried again");
}

#[test]
fn items_of_a_loop_are_promised_and_all_of_them_are_needed() {
    let site = format!(
        "{HEAD}  tasks:\n    - {{command: 'a {{{{ item }}}}', loop: [1, 2, 3], when: item != 2}}\n    - command: b\n"
    );
    let mut run = run(&site, Options::default());
    let first = work(run.poll(0));
    let ahead = promised(&mut run, "h1");
    assert_eq!(told(&ahead), ["a 3", "b"]);
    assert!(ahead[0].needs.is_empty(), "an item comes whatever became of the one before");
    assert_eq!(ahead[1].needs, [first[0].id, ahead[0].work.id]);
    run.handle(0, first[0].id, done(&[("rc", Value::Int(0))]));
    let third = work(run.poll(0));
    assert_eq!(third[0].id, ahead[0].work.id);
    run.handle(0, third[0].id, done(&[("rc", Value::Int(0))]));
    assert_eq!(work(run.poll(0))[0].id, ahead[1].work.id);
}

#[test]
fn hosts_with_promised_work_count_as_at_work() {
    let site = "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: a\n    - command: b\n";
    let mut run = run(site, Options { forks: 1, ..Options::default() });
    let first = work(run.poll(0));
    assert_eq!((first.len(), first[0].host.as_str()), (1, "h1"));
    let ahead = promised(&mut run, "h1");
    run.handle(0, first[0].id, done(&[]));
    assert!(matches!(run.poll(0), Next::Wait), "b is still at work on h1");
    run.settle(ahead[0].work.id);
    assert_eq!(work(run.poll(0))[0].host, "h2");
}

#[test]
fn step_asks_before_each_task_and_passes_over_what_is_not_wanted() {
    let site = format!(
        "{HEAD}  tasks:\n    - {{name: one, command: a}}\n    - {{name: two, command: b}}\n    - {{name: three, command: c}}\n    - {{name: four, command: d}}\n"
    );
    let mut run = run(&site, Options { step: true, ..Options::default() });
    let mut asked = Vec::new();
    for (said, done_next) in [("", None), ("y", Some("b")), ("c", Some("c"))] {
        let Next::Ask(prompt) = run.poll(0) else { panic!("a question") };
        asked.push(prompt.prompt);
        run.answer(text(said));
        let Some(what) = done_next else { continue };
        let all = work(run.poll(0));
        assert_eq!(arg(&all[0], "_raw_params"), Some(text(what)));
        assert!(what == "c" || promised(&mut run, "h1").is_empty(), "nothing is done unasked");
        run.handle(0, all[0].id, done(&[]));
    }
    assert_eq!(asked[0], "Perform task: TASK: one (N)o/(y)es/(c)ontinue");
    assert_eq!(arg(&work(run.poll(0))[0], "_raw_params"), Some(text("d")), "nobody is asked any more");
    let lines = run.output().join("\n");
    assert!(!lines.contains("TASK [one]") && lines.contains("TASK [two]"), "{lines}");
}
