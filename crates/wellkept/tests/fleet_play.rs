//! Playbooks on real SSH servers, with and without the helper, through faults and restarts.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;
mod fleet_stage;

use std::process::Stdio;

use common::wait_for;
use fleet_stage::Fleet;
use fleet_stage::bed::proxy::Proxy;

fn site(fleet: &Fleet, tasks: &str) {
    fleet.file("site.yml", &format!("- hosts: web\n  gather_facts: false\n  tasks:\n{tasks}"));
}

#[test]
fn files_templates_and_handlers_are_in_place_and_a_second_run_changes_nothing() {
    let fleet = Fleet::new(2);
    let root = fleet.home.path("");
    let root = root.display();
    fleet.file("templates/t.j2", "{{ greet }} from {{ inventory_hostname }}\n");
    fleet.file("files/tree/a", "A");
    fleet.file("files/tree/sub/b", "B");
    fleet.file(
        "site.yml",
        &format!(
            "- hosts: web\n  gather_facts: false\n  vars: {{greet: hi}}\n  tasks:\n\
             \x20   - template: {{src: t.j2, dest: '{root}/t-{{{{ inventory_hostname }}}}', mode: '0640'}}\n\
             \x20     notify: told\n\
             \x20   - copy: {{src: tree/, dest: '{root}/tree-{{{{ inventory_hostname }}}}/'}}\n\
             \x20   - copy: {{content: '{{{{ lookup(\"pipe\", \"echo here\") }}}}', dest: '{root}/c-{{{{ inventory_hostname }}}}'}}\n\
             \x20 handlers:\n    - {{name: told, command: echo told}}\n"
        ),
    );
    let first = fleet.cli(&["play", "-i", "hosts", "site.yml"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.out.contains("RUNNING HANDLER [told]"), "{first:?}");
    assert!(first.out.contains("h2                         : ok=4    changed=4 "), "{first:?}");
    assert_eq!(fleet.read("t-h2"), "hi from h2\n");
    assert_eq!((fleet.read("tree-h1/sub/b").as_str(), fleet.read("c-h1").as_str()), ("B", "here"));
    let second = fleet.cli(&["play", "-i", "hosts", "site.yml", "--check", "--diff"]);
    assert!(second.out.contains("h1                         : ok=3    changed=0 "), "{second:?}");
    fleet.file("templates/t.j2", "{{ greet }} again\n");
    let changed = fleet.cli(&["play", "-i", "hosts", "site.yml", "--check", "--diff", "-l", "h1"]);
    assert!(changed.out.contains("-hi from h1") && changed.out.contains("+hi again"), "{changed:?}");
    assert_eq!(fleet.read("t-h1"), "hi from h1\n");
    let helpers = std::fs::read_dir(fleet.home.path("cache/wellkept")).unwrap().count();
    assert_eq!(helpers, 1, "sent once, under one name");
}

#[test]
fn results_failures_and_delegation_are_told_as_ansible_tells_them() {
    let fleet = Fleet::new(2);
    site(
        &fleet,
        "    - {command: echo one, register: r}\n    - {debug: {var: r.stdout}}\n\
         \x20   - {shell: exit 3, ignore_errors: true}\n\
         \x20   - {stat: {path: /etc/passwd}, delegate_to: localhost, run_once: true}\n\
         \x20   - {command: sleep 0, async: 60, poll: 0, register: job}\n\
         \x20   - {async_status: {jid: '{{ job.ansible_job_id }}'}, register: js, until: js.finished, retries: 30, delay: 1}\n\
         \x20   - {no_such_module: {}, when: inventory_hostname == 'h2'}\n",
    );
    let ended = fleet.cli(&["play", "-i", "hosts", "site.yml"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for line in [
        "    \"r.stdout\": \"one\"",
        "\"rc\": 3",
        "...ignoring",
        "ok: [h1 -> localhost]",
        "fatal: [h2]: FAILED! => {",
        "h1                         : ok=6    changed=4    unreachable=0    failed=0    skipped=1    rescued=0    ignored=1",
    ] {
        assert!(ended.out.contains(line), "{line}: {ended:?}");
    }
    assert!(ended.err.contains("site.yml") && ended.err.contains("no_such_module"), "{ended:?}");
}

#[test]
fn without_the_helper_plain_commands_do_what_they_can() {
    let fleet = Fleet::new(1);
    let root = fleet.home.path("");
    site(
        &fleet,
        &format!(
            "    - {{command: echo 'a  b', register: r}}\n    - {{debug: {{var: r.stdout}}}}\n\
             \x20   - {{shell: 'echo $X | tr a-z A-Z', environment: {{X: env}}, register: s}}\n    - {{debug: {{var: s.stdout}}}}\n\
             \x20   - {{copy: {{content: text, dest: {0}/plain, mode: '0600'}}}}\n\
             \x20   - {{fetch: {{src: {0}/plain, dest: {0}/got, flat: true}}}}\n\
             \x20   - {{file: {{path: {0}/x, state: touch}}}}\n",
            root.display()
        ),
    );
    let ended = fleet.cli(&["play", "-i", "hosts", "site.yml", "--no-helper"]);
    assert!(
        ended.out.contains("\"r.stdout\": \"a  b\"") && ended.out.contains("\"s.stdout\": \"ENV\""),
        "{ended:?}"
    );
    assert_eq!((fleet.read("plain").as_str(), fleet.read("got").as_str()), ("text", "text"), "{ended:?}");
    assert!(ended.out.contains("The module file needs the helper"), "{ended:?}");
    assert_eq!(ended.code, Some(2));
    assert!(!fleet.home.path("cache/wellkept").exists());
}

#[test]
fn a_helper_that_was_tampered_with_is_not_run() {
    let fleet = Fleet::new(1);
    site(&fleet, "    - command: 'true'\n");
    assert_eq!(fleet.cli(&["play", "-i", "hosts", "site.yml"]).code, Some(0));
    let folder = fleet.home.path("cache/wellkept");
    let helper = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let marker = fleet.home.path("ran");
    std::fs::write(&helper, format!("#!/bin/sh\ntouch {}\n", marker.display())).unwrap();
    let ended = fleet.cli(&["play", "-i", "hosts", "site.yml"]);
    assert_eq!((ended.code, marker.exists()), (Some(0), false), "{ended:?}");
    assert!(std::fs::metadata(&helper).unwrap().len() > 1_000_000, "it was sent anew");
}

#[test]
fn a_line_that_is_cut_in_a_step_leaves_it_unknown_and_not_failed() {
    let fleet = Fleet::new(1);
    let proxy = Proxy::to(fleet.servers[0].address);
    fleet.inventory(&[proxy.address]);
    fleet.know(&[proxy.address]);
    let begun = fleet.home.path("begun");
    site(&fleet, &format!("    - shell: touch {}; sleep 60\n    - command: 'true'\n", begun.display()));
    let mut child = fleet
        .command(&["play", "-i", "hosts", "site.yml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the step begins", || begun.exists().then_some(()));
    proxy.cut();
    let mut out = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4), "{out}");
    assert!(out.contains("fatal: [h1]: UNREACHABLE! => {") && out.contains("\"unknown\": true"), "{out}");
    assert!(out.contains("unreachable=1    failed=0"), "{out}");
}

#[test]
fn a_killed_run_goes_on_where_it_stopped_and_no_step_is_done_twice() {
    let fleet = Fleet::new(2).with_data();
    let (log, go) = (fleet.home.path("log"), fleet.home.path("go"));
    let step = |n: u8| {
        format!(
            "    - {{shell: 'echo {n} {{{{ inventory_hostname }}}} >> {0}; echo out{n}', register: r{n}}}\n",
            log.display()
        )
    };
    let gate = format!(
        "    - shell: while ! test -e {}; do sleep 0.1; done\n      delegate_to: localhost\n      run_once: true\n",
        go.display()
    );
    site(
        &fleet,
        &format!(
            "{}{}{gate}{}    - {{debug: {{msg: '{{{{ r1.stdout }}}}-{{{{ r3.stdout }}}}'}}}}\n",
            step(1),
            step(2),
            step(3)
        ),
    );
    let data = fleet.home.data().display().to_string();
    let args = ["play", "-i", "hosts", "site.yml", "--data-dir", &data];
    let mut child = fleet.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("both hosts did two steps", || (fleet.read("log").lines().count() == 4).then_some(()));
    // The step of the gate may or may not be written down; killing in it leaves it in doubt.
    wait_for("the gate is written down", || journal_lines(&fleet, "\"k\":\"b\"").ge(&5).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::write(&go, "").unwrap();
    let resumed = fleet.cli(&[&args[..], &["--resume"]].concat());
    assert_eq!(resumed.code, Some(4), "the gate is in doubt on the host it ran for: {resumed:?}");
    assert!(resumed.out.contains("was begun in the run that stopped"), "{resumed:?}");
    let done = fleet.read("log");
    for step in ["1 h1", "1 h2", "2 h1", "2 h2"] {
        assert_eq!(done.lines().filter(|line| *line == step).count(), 1, "{done}");
    }
    let over = fleet.cli(&[&args[..], &["--resume"]].concat());
    assert_eq!(over.code, Some(2), "nothing is left to go on with: {over:?}");
}

#[test]
fn tasks_are_sent_ahead_up_to_a_border_and_not_done_after_a_failure() {
    let fleet = Fleet::new(1).with_data();
    let log = fleet.home.path("log");
    let step = |what: &str| format!("    - shell: echo {what} >> {}\n", log.display());
    let many: String = (0..100).map(|n| step(&n.to_string())).collect();
    let block = format!(
        "    - block:\n        - shell: echo b1 >> {0}\n        - command: 'false'\n        - shell: echo never >> {0}\n\
         \x20     rescue:\n        - shell: echo saved >> {0}\n",
        log.display()
    );
    let last = format!(
        "    - {{shell: echo r, register: r}}\n    - shell: 'echo {{{{ r.stdout }}}} {{{{ r.rc }}}} >> {}'\n",
        log.display()
    );
    site(&fleet, &format!("{many}{block}{last}"));
    let data = fleet.home.data().display().to_string();
    let ended = fleet.cli(&["play", "-i", "hosts", "site.yml", "--data-dir", &data]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut wanted: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    wanted.extend(["b1", "saved", "r 0"].map(str::to_owned));
    assert_eq!(fleet.read("log").lines().collect::<Vec<_>>(), wanted);
    assert!(ended.out.contains("h1                         : ok=104  changed=104  unreachable=0    failed=0    skipped=0    rescued=1"), "{ended:?}");
    assert_eq!(ended.out.matches("changed: [h1]").count(), 104, "in order, one line each");
}

#[test]
fn prompts_are_answered_and_a_shell_is_recorded() {
    let fleet = Fleet::new(1).with_data();
    let data = fleet.home.data().display().to_string();
    fleet.file("word", "open sesame\n");
    fleet.file(
        "talk.yml",
        "command: \"printf 'Word: '; read w; printf 'Again: '; read x; test \\\"$w\\\" = \\\"$x\\\" && echo same\"\n\
         steps:\n  - {expect: 'yes/no', send: 'yes', optional: true}\n  - {expect: 'Word: $', send_file: word}\n  - {expect: 'Again: $', send: open sesame}\n",
    );
    let ended = fleet.cli(&["expect", "web", "talk.yml", "-i", "hosts", "--output", "json"]);
    let told: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(ended.code, Some(0), "{told}");
    assert!(told["hosts"][0]["stdout"].as_str().unwrap().contains("same"), "{told}");
    fleet.file("wrong.yml", "command: echo no\ntimeout: 5\nsteps:\n  - {expect: 'never said', send: x}\n");
    assert_eq!(fleet.cli(&["expect", "web", "wrong.yml", "-i", "hosts"]).code, Some(2));
    let ended = fleet.cli(&[
        "shell",
        "h1",
        "-i",
        "hosts",
        "--data-dir",
        &data,
        "--",
        "sh",
        "-c",
        "echo seen; exit 7",
    ]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(7), "seen\n"), "{ended:?}");
    let cast = std::fs::read_dir(fleet.home.data().join("fleet/shells")).unwrap().next().unwrap().unwrap();
    assert!(std::fs::read_to_string(cast.path()).unwrap().contains("\"o\",\"seen"));
    let facts = fleet.cli(&["facts", "web", "-i", "hosts", "--output", "json", "--filter", "ansible_kernel"]);
    let told: serde_json::Value = serde_json::from_str(&facts.out).unwrap();
    let result: serde_json::Value =
        serde_json::from_str(told["hosts"][0]["stdout"].as_str().unwrap()).unwrap();
    assert!(result["ansible_facts"]["ansible_kernel"].is_string(), "{result}");
}

fn journal_lines(fleet: &Fleet, mark: &str) -> usize {
    let Ok(entries) = std::fs::read_dir(fleet.home.data().join("fleet/journal")) else { return 0 };
    let texts = entries.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    texts.map(|text| text.matches(mark).count()).sum()
}

#[test]
fn listings_and_mistakes_come_without_touching_a_host() {
    let fleet = Fleet::new(1);
    site(
        &fleet,
        "    - {name: one, command: id, tags: [a, b]}\n    - {name: two, command: id, tags: never}\n",
    );
    let tasks = fleet.cli(&["play", "-i", "hosts", "site.yml", "--list-tasks"]);
    assert_eq!(
        tasks.out,
        "\nplaybook: site.yml\n\n  play #1 (web): web\tTAGS: []\n    tasks:\n      one\tTAGS: [a, b]\n\n"
    );
    let hosts = fleet.cli(&["play", "-i", "hosts", "site.yml", "--list-hosts"]);
    assert!(hosts.out.contains("    pattern: ['web']\n    hosts (1):\n      h1\n"), "{hosts:?}");
    let tags = fleet.cli(&["play", "-i", "hosts", "site.yml", "--list-tags", "--tags", "all,never"]);
    assert!(tags.out.contains("      TASK TAGS: [a, b, never]\n"), "{tags:?}");
    fleet.file("bad.yml", "- hosts: web\n  tasks:\n    - command: id\n      nonsense: 1\n");
    let bad = fleet.cli(&["play", "-i", "hosts", "bad.yml", "--syntax-check"]);
    assert_eq!(bad.code, Some(4), "{bad:?}");
    assert!(bad.err.contains("bad.yml:4") && bad.err.contains("nonsense"), "{bad:?}");
    assert_eq!(fleet.cli(&["play", "-i", "hosts", "none.yml"]).code, Some(1));
    assert_eq!(fleet.servers[0].log(), "");
}

#[test]
fn sealed_variables_open_with_the_password_and_settings_of_ansible_cfg_count() {
    let fleet = Fleet::new(1);
    fleet.file("pass", "s3cret\n");
    fleet.file("group_vars/web.yml", "word: sesame\n");
    let sealed = fleet.cli(&["vault", "encrypt", "--vault-password-file", "pass", "group_vars/web.yml"]);
    assert!(fleet.read("group_vars/web.yml").starts_with("$ANSIBLE_VAULT;1.1;AES256\n"), "{sealed:?}");
    let shown = fleet.cli(&["vault", "view", "--vault-password-file", "pass", "group_vars/web.yml"]);
    assert_eq!(shown.out, "word: sesame\n");
    fleet.file("ansible.cfg", "[defaults]\ninventory = hosts\nvault_password_file = pass\n");
    site(&fleet, "    - {debug: {var: word}}\n");
    let ended = fleet.cli(&["play", "site.yml"]);
    assert!(ended.code == Some(0) && ended.out.contains("\"word\": \"sesame\""), "{ended:?}");
    fleet.file("new", "other");
    let rekeyed = fleet.cli(&["vault", "rekey", "--new-vault-password-file", "new", "group_vars/web.yml"]);
    assert_eq!(rekeyed.code, Some(0), "{rekeyed:?}");
    assert_eq!(fleet.cli(&["vault", "view", "group_vars/web.yml"]).code, Some(2));
    fleet.file("ansible.cfg", "[defaults]\nvault_password_file = new\n");
    assert_eq!(fleet.cli(&["vault", "decrypt", "group_vars/web.yml"]).code, Some(0));
    assert_eq!(fleet.read("group_vars/web.yml"), "word: sesame\n");
    let text = fleet.cli(&["vault", "encrypt_string", "--name", "x", "hello"]);
    assert!(text.out.starts_with("x: !vault |\n          $ANSIBLE_VAULT;1.1;AES256\n"), "{text:?}");
}

#[test]
fn the_inventory_is_told_as_ansible_tells_it() {
    let fleet = Fleet::new(2);
    let graph = fleet.cli(&["inventory", "-i", "hosts", "--graph"]);
    assert_eq!(graph.out, "@all:\n  |--@ungrouped:\n  |--@web:\n  |  |--h1\n  |  |--h2\n");
    let list = fleet.cli(&["inventory", "-i", "hosts", "--list"]);
    let told: serde_json::Value = serde_json::from_str(&list.out).unwrap();
    assert_eq!(told["web"]["hosts"], serde_json::json!(["h1", "h2"]));
    let host = fleet.cli(&["inventory", "-i", "hosts", "--host", "h2"]);
    let told: serde_json::Value = serde_json::from_str(&host.out).unwrap();
    assert_eq!(told["ansible_host"], "127.0.0.2");
}
