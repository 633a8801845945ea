//! Playbooks that become other users: by sudo, su and doas, with and without passwords, on hosts and here.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;
mod fleet_stage;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::run;
use fleet_stage::Fleet;
use fleet_stage::bed::{JANE, JANES_PASSWORD, PEOPLE, ROOTS_PASSWORD, Sshd, needs_root, people};

/// A host where `jane` logs in. The homes of root and of the host's helpers are the namespace's own.
fn janes_host() -> Fleet {
    let fleet = Fleet::made(1, &|_, _| Sshd::with_people_and_mounts(&[], "mount -t tmpfs none /root"));
    fleet.file("group_vars/web.yml", &format!("ansible_user: {JANE}\n"));
    fleet
}

/// Who a task runs as when it becomes somebody in this way, and how the play ends.
fn who(fleet: &Fleet, how: &str) -> (Option<i32>, String) {
    fleet.file(
        "site.yml",
        &format!(
            "- hosts: web\n  gather_facts: false\n  tasks:\n\
             \x20   - {{command: id -un, register: before}}\n\
             \x20   - {{command: id -un, register: r, become: true, {how}}}\n\
             \x20   - {{shell: 'echo $HOME $(cat)', args: {{stdin: input}}, register: s, become: true, {how}}}\n\
             \x20   - {{command: id -un, register: after}}\n\
             \x20   - debug: {{msg: '{{{{ before.stdout }}}} {{{{ r.stdout }}}} {{{{ s.stdout }}}} {{{{ after.stdout }}}}'}}\n"
        ),
    );
    let ended = fleet.cli(&["play", "-i", "hosts", "site.yml"]);
    assert!(!ended.out.contains(JANES_PASSWORD) && !ended.out.contains(ROOTS_PASSWORD), "{ended:?}");
    (ended.code, ended.out)
}

fn yaml(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn a_task_becomes_root_by_sudo_with_a_password_and_su_with_roots_own() {
    if needs_root("sudo and su") {
        return;
    }
    let fleet = janes_host();
    for (method, password) in [("sudo", JANES_PASSWORD), ("su", ROOTS_PASSWORD)] {
        fleet.file(
            "host_vars/h1.yml",
            &format!("ansible_become_method: {method}\nansible_become_password: {}\n", yaml(password)),
        );
        let (code, out) = who(&fleet, "become_user: root");
        assert_eq!(code, Some(0), "{method}: {out}");
        assert!(out.contains("\"msg\": \"jane root /root input jane\""), "{method}: {out}");
    }
}

#[test]
fn a_wrong_or_missing_password_fails_the_task_and_runs_nothing() {
    if needs_root("sudo and su") {
        return;
    }
    let fleet = janes_host();
    for (how, password) in [("sudo", "wrong"), ("su", "wrong"), ("sudo", ""), ("doas", JANES_PASSWORD)] {
        let password = match password {
            "" => String::new(),
            password => format!("ansible_become_password: {}\n", yaml(password)),
        };
        fleet.file("host_vars/h1.yml", &format!("ansible_become_method: {how}\n{password}"));
        let (code, out) = who(&fleet, "become_user: root");
        assert_eq!(code, Some(2), "{how}: {out}");
        assert!(out.contains("ok=1    changed=1    unreachable=0    failed=1"), "{how}: {out}");
        assert!(!out.contains("wrong"), "{how}: {out}");
    }
}

#[test]
fn without_a_password_sudo_and_doas_work_where_they_are_allowed_to() {
    if needs_root("sudo and doas") {
        return;
    }
    let fleet = janes_host();
    let etc = fleet.servers[0].path("etc");
    std::fs::write(etc.join("sudoers"), format!("{JANE} ALL=(ALL) NOPASSWD: ALL\n")).unwrap();
    std::fs::write(etc.join("doas.conf"), format!("permit nopass {JANE}\n")).unwrap();
    for (method, home) in [("sudo", "/root"), ("doas", "/root")] {
        let (code, out) = who(&fleet, &format!("become_method: {method}"));
        assert_eq!(code, Some(0), "{method}: {out}");
        assert!(out.contains(&format!("\"msg\": \"jane root {home} input jane\"")), "{method}: {out}");
    }
    let (code, out) = who(&fleet, "become_user: nobody");
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("\"msg\": \"jane nobody "), "{out}");
}

#[test]
fn on_this_machine_a_password_is_handed_over_as_well() {
    if needs_root("sudo and su") {
        return;
    }
    let fleet = Fleet::new(1);
    let (root, own) = (fleet.home.path(""), fleet.home.path("people"));
    std::fs::create_dir(&own).unwrap();
    people(&own);
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o755)).unwrap();
    fleet.file(
        "site.yml",
        "- hosts: localhost\n  gather_facts: false\n  become: true\n  tasks:\n\
         \x20   - {command: id -un, register: r}\n    - {shell: cat, args: {stdin: input}, register: s}\n\
         \x20   - {raw: id -un, register: t}\n\
         \x20   - debug: {msg: '{{ r.stdout }} {{ s.stdout }} {{ t.stdout | trim }}'}\n",
    );
    let script = format!(
        "set -e\n{PEOPLE}\nmount -t tmpfs none /root\nshift; \
         exec setpriv --reuid=4242 --regid=4242 --clear-groups -- \"$@\""
    );
    let play = |method: &str, password: &str| {
        let vars = fleet.file("vars.yml", &format!("ansible_become_password: {}\n", yaml(password)));
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).arg(&own);
        command.arg(env!("CARGO_BIN_EXE_wellkept"));
        command.args([
            "play",
            "-i",
            "localhost,",
            "-c",
            "local",
            "--become-method",
            method,
            "site.yml",
            "-e",
        ]);
        command.arg(format!("@{}", vars.display()));
        command.current_dir(&root).env("HOME", own.join("home")).env_remove("SSH_AUTH_SOCK");
        run(&mut command)
    };
    for (method, password) in [("sudo", JANES_PASSWORD), ("su", ROOTS_PASSWORD)] {
        let ended = play(method, password);
        assert_eq!(ended.code, Some(0), "{method}: {ended:?}");
        assert!(ended.out.contains("\"msg\": \"root input root\""), "{method}: {ended:?}");
        let ended = play(method, "wrong");
        assert_eq!(ended.code, Some(2), "{method}: {ended:?}");
        assert!(ended.out.contains("FAILED!") && ended.out.contains("ok=0 "), "{method}: {ended:?}");
    }
}
