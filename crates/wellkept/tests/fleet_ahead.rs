//! What is sent ahead of its turn changes nothing that people see, and nothing that is done to a host.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;
mod fleet_stage;

use fleet_stage::Fleet;
use fleet_stage::bed::{Sshd, needs_root};

/// Everything that makes hosts go different ways: conditions, loops, failures, handlers, values of other hosts.
const SITE: &str = r#"
- hosts: web
  gather_facts: false
  vars: {log: "{{ root }}/log-{{ inventory_hostname }}", odd: "{{ inventory_hostname in ['h1', 'h3'] }}"}
  pre_tasks:
    - {name: empty, shell: "echo begin > {{ log }}"}
  tasks:
    - {name: first, shell: "echo one >> {{ log }}", register: r, notify: told}
    - {name: free, shell: "echo two >> {{ log }}"}
    - {name: sees, debug: {msg: "{{ r.rc }} {{ inventory_hostname }}"}}
    - {name: only odd, shell: "echo odd >> {{ log }}", when: odd}
    - {name: set, set_fact: {n: "{{ 40 + 2 }}"}}
    - {name: past, shell: "echo past >> {{ log }}"}
    - {name: uses, shell: "echo {{ n }} >> {{ log }}"}
    - name: items
      shell: "echo item {{ item }} >> {{ log }}; test {{ item }} != 2"
      loop: [1, 2, 3]
      register: items
      ignore_errors: true
    - {name: after items, shell: "echo {{ items.results | map(attribute='rc') | join('') }} >> {{ log }}"}
    - {name: quiet failure, command: "false", failed_when: false}
    - {name: never changed, command: "true", changed_when: false}
    - block:
        - {name: fails on h2, shell: "echo try >> {{ log }}; test {{ inventory_hostname }} != h2"}
        - {name: not on h2, shell: "echo good >> {{ log }}"}
        - {name: nor this, shell: "echo better >> {{ log }}", notify: told}
      rescue:
        - {name: saved, shell: "echo saved >> {{ log }}"}
        - {name: saved again, shell: "echo again >> {{ log }}"}
      always:
        - {name: always, shell: "echo always >> {{ log }}"}
    - {name: flush, meta: flush_handlers}
    - {name: together, shell: "echo {{ hostvars.h1.r.rc }} {{ ansible_play_hosts | length }} >> {{ log }}"}
    - {name: once, shell: "echo once >> {{ root }}/once", run_once: true}
    - {name: over there, shell: "echo from {{ inventory_hostname }} >> {{ root }}/there", delegate_to: h1, throttle: 1}
    - {name: h3 goes, shell: "echo last >> {{ log }}; test {{ inventory_hostname }} != h3"}
    - {name: the others stay, shell: "echo stay >> {{ log }}"}
    - {name: and go on, include_tasks: more.yml, when: odd}
  handlers:
    - {name: told, shell: "echo handled >> {{ log }}"}
"#;

fn with_delays_masked(out: &str) -> String {
    // A failed command tells when it ran.
    let lines = out.lines().map(|line| match line.split_once(" => {") {
        Some((head, rest)) if rest.contains("\"delta\"") => {
            let kept = rest
                .split(", ")
                .filter(|part| !["\"delta\"", "\"start\"", "\"end\""].iter().any(|name| part.contains(name)));
            format!("{head} => {}", kept.collect::<Vec<_>>().join(", "))
        }
        _ => line.to_owned(),
    });
    // Within a task hosts are told in the order in which they came.
    let lines = lines.collect::<Vec<_>>().join("\n");
    let sorted = lines.split("\n\n").map(|block| {
        let mut lines: Vec<&str> = block.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    });
    sorted.collect::<Vec<_>>().join("\n\n")
}

#[test]
fn what_people_see_is_the_same_whether_hosts_wait_for_each_other_or_not() {
    let fleet = Fleet::new(3);
    fleet.file("site.yml", SITE);
    fleet.file(
        "more.yml",
        "- {name: more, shell: 'echo more >> {{ log }}'}\n- {name: most, shell: 'echo most >> {{ log }}'}\n",
    );
    let play = |more: &[&str]| {
        let root = fleet.home.path(if more.is_empty() { "ahead" } else { "step" });
        std::fs::create_dir(&root).unwrap();
        let extra = format!("root={}", root.display());
        let mut args = vec!["play", "-i", "hosts", "site.yml", "-e", &extra];
        args.extend(more);
        let ended = fleet.cli(&args);
        let done = ["log-h1", "log-h2", "log-h3", "once", "there"]
            .map(|name| std::fs::read_to_string(root.join(name)).unwrap_or_default());
        let out = with_delays_masked(&ended.out).replace(&root.display().to_string(), "ROOT");
        (ended.code, out, done)
    };
    let step = play(&["--lock-step"]);
    let ahead = play(&[]);
    assert_eq!(step.0, Some(2), "{}", step.1);
    assert_eq!(ahead, step, "{}", ahead.1);
    let [h1, h2, h3, once, there] = ahead.2;
    assert_eq!(
        h1,
        "begin\none\ntwo\nodd\npast\n42\nitem 1\nitem 2\nitem 3\n010\ntry\ngood\nbetter\nalways\nhandled\n0 3\nlast\nstay\nmore\nmost\n"
    );
    assert!(
        h2.contains("try\nsaved\nagain\nalways\n") && !h2.contains("good") && !h2.contains("odd"),
        "{h2}"
    );
    assert!(h3.ends_with("last\n"), "{h3}");
    assert_eq!((once.as_str(), there.lines().count()), ("once\n", 3));
}

#[test]
fn a_journal_of_several_hosts_knows_each_step_once() {
    let fleet = Fleet::new(2).with_data();
    let log = fleet.home.path("log");
    let many: String = (0..30)
        .map(|n| format!("    - shell: echo {n} {{{{ inventory_hostname }}}} >> {}\n", log.display()))
        .collect();
    fleet.file("site.yml", &format!("- hosts: web\n  gather_facts: false\n  tasks:\n{many}"));
    let data = fleet.home.data().display().to_string();
    let ended = fleet.cli(&["play", "-i", "hosts", "site.yml", "--data-dir", &data]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for host in ["h1", "h2"] {
        let log = fleet.read("log");
        let own: Vec<&str> = log.lines().filter(|line| line.ends_with(host)).collect();
        let wanted: Vec<String> = (0..30).map(|n| format!("{n} {host}")).collect();
        assert_eq!(own, wanted, "in order, each once");
    }
    let journal =
        std::fs::read_dir(fleet.home.data().join("fleet/journal")).unwrap().next().unwrap().unwrap();
    let text = std::fs::read_to_string(journal.path()).unwrap();
    assert_eq!(
        (text.matches("\"k\":\"b\"").count(), text.matches("\"k\":\"e\"").count()),
        (60, 60),
        "{text}"
    );
}

#[test]
fn keywords_of_tasks_reach_the_host() {
    let fleet = Fleet::new(1);
    let root = fleet.home.path("");
    fleet.file(
        "site.yml",
        &format!(
            "- hosts: web\n  gather_facts: false\n  environment: {{A: play, B: play}}\n  module_defaults: {{copy: {{mode: '0600'}}}}\n  tasks:\n\
             \x20   - {{shell: 'echo $A $B', environment: {{B: task}}, register: env}}\n    - {{debug: {{var: env.stdout}}}}\n\
             \x20   - {{command: echo polled, async: 30, poll: 1, register: job}}\n    - {{debug: {{var: job.stdout}}}}\n\
             \x20   - {{command: sleep 60, timeout: 1, register: late, ignore_errors: true}}\n    - {{debug: {{msg: 'late {{{{ late.failed }}}}'}}}}\n\
             \x20   - {{copy: {{content: s3cret-word, dest: {0}/kept}}, no_log: true, diff: true}}\n\
             \x20   - {{copy: {{content: new, dest: {0}/kept}}, check_mode: true, register: looked}}\n    - {{debug: {{msg: 'would change {{{{ looked.changed }}}}'}}}}\n\
             \x20   - {{shell: 'echo x; exit 3', register: tried, until: tried.rc == 3, retries: 2, delay: 0, failed_when: tried.rc != 3}}\n\
             \x20   - {{wait_for_connection: {{timeout: 20}}}}\n    - {{pause: {{seconds: 0}}}}\n    - {{raw: 'echo raw $((1+1))', register: raw}}\n    - {{debug: {{msg: '{{{{ raw.stdout | trim }}}}'}}}}\n\
             \x20   - {{gather_facts: {{gather_subset: min}}}}\n    - {{debug: {{msg: 'runs {{{{ ansible_facts.system }}}}'}}}}\n\
             \x20   - meta: reset_connection\n    - {{ping: {{}}}}\n\
             \x20   - {{command: echo local, delegate_to: localhost, register: here}}\n\
             \x20   - {{debug: {{msg: '{{{{ lookup(\"password\", \"words/db length=9\") | length }}}} {{{{ lookup(\"config\", \"DEFAULT_FORKS\") }}}} {{{{ query(\"lines\", \"echo a; echo b\") | length }}}}'}}}}\n",
            root.display()
        ),
    );
    let ended = fleet.cli(&["play", "-i", "hosts", "site.yml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.out);
    for told in [
        "\"env.stdout\": \"play task\"",
        "\"job.stdout\": \"polled\"",
        "\"msg\": \"late True\"",
        "\"msg\": \"would change True\"",
        "\"msg\": \"raw 2\"",
        "\"msg\": \"runs Linux\"",
        "changed: [h1 -> localhost]",
        "\"msg\": \"9 5 2\"",
    ] {
        assert!(ended.out.contains(told), "{told}: {}", ended.out);
    }
    assert!(!ended.out.contains("s3cret-word"), "{}", ended.out);
    assert_eq!(fleet.read("kept"), "s3cret-word");
    let bits = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(root.join("kept")).unwrap());
    assert_eq!(bits & 0o777, 0o600);
}

#[test]
fn the_way_to_a_host_is_as_play_and_task_say() {
    let fleet = Fleet::new(1);
    let server = &fleet.servers[0];
    let whoami = std::process::Command::new("id").arg("-un").output().unwrap();
    let me = String::from_utf8(whoami.stdout).unwrap().trim().to_owned();
    fleet.file(
        "bare",
        &format!(
            "h1 ansible_host={} ansible_ssh_private_key_file={}\n",
            server.address.ip(),
            server.path("user_key").display()
        ),
    );
    fleet.file(
        "site.yml",
        &format!(
            "- hosts: h1\n  gather_facts: false\n  port: {}\n  remote_user: {me}\n  tasks:\n\
             \x20   - {{shell: 'echo ${{SSH_CONNECTION:-none}}', register: far}}\n    - {{debug: {{msg: 'far {{{{ far.stdout != \"none\" }}}}'}}}}\n\
             \x20   - {{shell: 'echo ${{SSH_CONNECTION:-none}}', connection: local, register: near}}\n    - {{debug: {{msg: 'near {{{{ near.stdout }}}}'}}}}\n\
             \x20   - {{command: echo never, remote_user: no-such-user-here, ignore_unreachable: true, register: other}}\n\
             \x20   - {{debug: {{msg: 'other {{{{ other.unreachable }}}}'}}}}\n\
             \x20   - {{command: echo never, port: 1, ignore_unreachable: true, register: closed}}\n\
             \x20   - {{debug: {{msg: 'closed {{{{ closed.unreachable }}}}'}}}}\n",
            server.address.port()
        ),
    );
    let ended = fleet.cli(&["play", "-i", "bare", "site.yml"]);
    for told in [
        "\"msg\": \"far True\"",
        "\"msg\": \"near none\"",
        "\"msg\": \"other True\"",
        "\"msg\": \"closed True\"",
    ] {
        assert!(ended.out.contains(told), "{told}: {}{}", ended.out, ended.err);
    }
    assert_eq!(ended.code, Some(0), "{}", ended.out);
}

#[test]
fn a_restart_is_seen_by_the_boot_id() {
    if needs_root("another boot id") {
        return;
    }
    let fleet = Fleet::made(1, &|cache, _| {
        let setting = format!("SetEnv XDG_CACHE_HOME={cache}");
        let mounts = "test -e \"$1/boot\" || echo first >\"$1/boot\"\n\
                      mount --bind \"$1/boot\" /proc/sys/kernel/random/boot_id";
        Sshd::with_mounts(&[&setting], mounts, std::net::Ipv4Addr::LOCALHOST)
    });
    let boot = fleet.servers[0].path("boot");
    fleet.file(
        "site.yml",
        &format!(
            "- hosts: web\n  gather_facts: false\n  tasks:\n    - command: echo before\n\
             \x20   - reboot: {{reboot_command: 'echo second > {}; kill $PPID', reboot_timeout: 60}}\n    - command: echo after\n",
            boot.display()
        ),
    );
    let ended = fleet.cli(&["play", "-i", "hosts", "site.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("ok=3    changed=3 "), "{ended:?}");
    assert_eq!(std::fs::read_to_string(boot).unwrap(), "second\n");
}
