//! Signed bundles: made, checked, played; and everything that is refused before a task runs.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "this is test code")]

mod common;

use std::path::PathBuf;

use common::{Ended, Home, run, wellkept};

struct Stage {
    home: Home,
    public: String,
}

impl Stage {
    /// A key, a keep file that trusts it, a data directory, a playbook with a role, and an inventory of this host.
    fn new() -> Self {
        let mut stage = Self { home: Home::new(), public: String::new() };
        std::fs::create_dir_all(stage.home.data()).unwrap();
        std::fs::write(stage.home.data().join("VERSION"), "1\n").unwrap();
        stage.public = stage.key("key");
        stage.home.keep(format!("trust: [{{ name: ops, key: '{}' }}]\n", stage.public));
        stage.file("play/hosts", "[web]\nh1 ansible_connection=local\nh2 ansible_connection=local\n");
        stage.file("play/roles/greet/tasks/main.yml", "- template: { src: t.j2, dest: '{{ to }}' }\n");
        stage.file("play/roles/greet/templates/t.j2", "hello {{ inventory_hostname }}\n");
        let to = stage.home.path("out-{{ inventory_hostname }}").display().to_string();
        let site =
            format!("- hosts: all\n  gather_facts: false\n  vars: {{ to: '{to}' }}\n  roles: [greet]\n");
        stage.file("play/site.yml", &site);
        stage
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    #[track_caller]
    fn cli(&self, args: &[&str]) -> Ended {
        let mut command = wellkept();
        command.args(args).current_dir(self.home.path("")).env("HOME", self.home.path(""));
        command.env("XDG_STATE_HOME", self.home.path("state"));
        run(&mut command)
    }

    #[track_caller]
    fn key(&self, name: &str) -> String {
        let made = self.cli(&["sign", "keygen", "--to", name]);
        assert_eq!(made.code, Some(0), "{made:?}");
        made.out.lines().last().unwrap().to_owned()
    }

    fn try_bundle(&self, out: &str, more: &[&str]) -> Ended {
        let mut args = vec!["sign", "bundle", "play/site.yml", "-o", out, "-i", "play/hosts"];
        if !more.contains(&"--key") {
            args.extend(["--key", "key"]);
        }
        if !more.contains(&"--target") {
            args.extend(["--target", "web"]);
        }
        args.extend(more);
        self.cli(&args)
    }

    #[track_caller]
    fn bundle(&self, out: &str, more: &[&str]) {
        let made = self.try_bundle(out, more);
        assert_eq!(made.code, Some(0), "{made:?}");
    }

    fn play(&self, what: &str, more: &[&str]) -> Ended {
        let data = self.home.data().display().to_string();
        let mut args = vec!["play", what, "--keep", "wellkept.yml", "--data-dir", &data];
        args.extend(more);
        self.cli(&args)
    }

    #[track_caller]
    fn refused(&self, what: &str, more: &[&str], why: &str) {
        let ended = self.play(what, more);
        assert!(ended.code == Some(2) && ended.err.contains(why), "{why}: {ended:?}");
        assert!(!self.home.path("out-h1").exists(), "nothing was done");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path(name)).unwrap_or_default()
    }
}

#[test]
fn a_bundle_is_played_with_the_files_that_were_signed_on_its_targets_only() {
    let stage = Stage::new();
    stage.bundle("site.bundle", &["--target", "h1"]);
    let verified =
        stage.cli(&["sign", "verify", "site.bundle", "--keep", "wellkept.yml", "--output", "json"]);
    assert!(verified.code == Some(0) && verified.out.contains("roles/greet/templates/t.j2"), "{verified:?}");
    stage.file("play/roles/greet/templates/t.j2", "changed since\n");
    for _ in 0..2 {
        let played = stage.play("site.bundle", &["--automatic"]);
        assert_eq!(played.code, Some(0), "{played:?}");
    }
    assert_eq!((stage.read("out-h1").as_str(), stage.read("out-h2").as_str()), ("hello h1\n", ""));
    let beyond = stage.play("site.bundle", &["--limit", "h2"]);
    assert!(beyond.code == Some(2) && beyond.err.contains("h1"), "{beyond:?}");
    assert_eq!(stage.read("out-h2"), "");
}

#[test]
fn what_nobody_trusted_signed_is_refused_before_anything_is_done() {
    let stage = Stage::new();
    stage.refused("play/site.yml", &["-i", "play/hosts", "--automatic"], "not signed");
    stage.key("stranger");
    stage.bundle("strange.bundle", &["--key", "stranger"]);
    stage.refused("strange.bundle", &[], "not among the trusted keys");
    stage.refused("strange.bundle", &["--check"], "not among the trusted keys");
    stage.bundle("site.bundle", &[]);
    let mut bytes = std::fs::read(stage.home.path("site.bundle")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(stage.home.path("changed.bundle"), &bytes).unwrap();
    stage.refused("changed.bundle", &[], "not the one that was signed");
    std::fs::write(stage.home.path("cut.bundle"), &bytes[..bytes.len() / 2]).unwrap();
    stage.refused("cut.bundle", &[], "cut short");
    stage.home.keep(format!("trust: [{{ name: ops, key: '{}', revoked: true }}]\n", stage.public));
    stage.refused("site.bundle", &[], "revoked");
    stage.home.keep("{}\n");
    stage.refused("site.bundle", &[], "no keys are trusted");
}

#[test]
fn a_bundle_out_of_its_time_or_older_than_one_that_was_seen_is_refused() {
    let stage = Stage::new();
    stage.bundle("old.bundle", &["--not-before", "1000", "--for", "1h"]);
    stage.refused("old.bundle", &[], "expired");
    stage.bundle("soon.bundle", &["--not-before", "9999999999"]);
    stage.refused("soon.bundle", &[], "not valid before");
    stage.bundle("five.bundle", &["--generation", "5"]);
    stage.bundle("six.bundle", &["--generation", "6"]);
    let looked = stage.play("six.bundle", &["--check"]);
    assert_eq!(looked.code, Some(0), "{looked:?}");
    stage.refused("five.bundle", &[], "generation 6 was seen");
    std::fs::remove_file(stage.home.data().join("VERSION")).unwrap();
    stage.refused("six.bundle", &["--automatic"], "automatic run needs one");
}

#[test]
fn a_bundle_stands_alone_and_holds_plain_files_only() {
    let stage = Stage::new();
    stage.file("roles-elsewhere/extra/tasks/main.yml", "- debug: { msg: from elsewhere }\n");
    stage.file("ansible.cfg", "[defaults]\nroles_path = roles-elsewhere\n");
    stage.file("play/site.yml", "- hosts: all\n  gather_facts: false\n  roles: [extra]\n");
    stage.bundle("site.bundle", &[]);
    std::fs::remove_dir_all(stage.home.path("roles-elsewhere")).unwrap();
    let played = stage.play("site.bundle", &[]);
    assert!(played.code == Some(0) && played.out.contains("from elsewhere"), "{played:?}");
    stage.file("outside.yml", "- debug: { msg: outside }\n");
    stage.file("play/site.yml", "- hosts: all\n  tasks:\n    - import_tasks: ../outside.yml\n");
    let open = stage.try_bundle("open.bundle", &[]);
    assert!(open.code == Some(2) && open.err.contains("does not stand alone"), "{open:?}");
    stage.file("play/site.yml", "- hosts: all\n");
    std::os::unix::fs::symlink("/etc/passwd", stage.home.path("play/link")).unwrap();
    let linked = stage.try_bundle("linked.bundle", &[]);
    assert!(linked.code == Some(2) && linked.err.contains("plain file"), "{linked:?}");
    stage.bundle("linked.bundle", &["--leave-out", "link"]);
}

#[test]
fn keys_are_private_and_never_overwritten() {
    use std::os::unix::fs::MetadataExt as _;
    let stage = Stage::new();
    let key = stage.home.path("key");
    assert_eq!(std::fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    let before = std::fs::read(&key).unwrap();
    let again = stage.cli(&["sign", "keygen", "--to", "key"]);
    assert!(again.code == Some(2) && again.err.contains("never overwritten"), "{again:?}");
    assert_eq!(std::fs::read(&key).unwrap(), before);
    let shown =
        stage.cli(&["sign", "bundle", "play/site.yml", "-o", "x", "--key", "wellkept.yml", "--target", "a"]);
    assert!(shown.code == Some(2) && shown.err.contains("no signing key"), "{shown:?}");
}

#[test]
fn what_runs_while_nobody_is_there_needs_as_many_signers_as_the_keep_file_says() {
    let stage = Stage::new();
    let other = stage.key("other");
    let keep = |second: &str| {
        let trust =
            format!("[{{ name: ops, key: '{}' }}, {{ name: {second}, key: '{other}' }}]", stage.public);
        stage.home.keep(format!("trust: {trust}\nsignatures: 2\n"));
    };
    keep("ops");
    let wrong = stage.cli(&["check", "wellkept.yml"]);
    assert!(
        wrong.code == Some(2) && wrong.out.contains("wellkept.yml:2"),
        "one signer with two keys: {wrong:?}"
    );
    keep("boss");
    stage.bundle("one.bundle", &[]);
    stage.refused("one.bundle", &["--automatic"], "1");
    let verified = stage.cli(&["sign", "verify", "one.bundle", "--keep", "wellkept.yml"]);
    assert!(verified.code == Some(0) && verified.out.contains("1 of the 2"), "{verified:?}");
    stage.bundle("twice.bundle", &["--key", "key", "--key", "key"]);
    stage.refused("twice.bundle", &["--automatic"], "1");
    let by_a_person = stage.play("one.bundle", &["--check"]);
    assert_eq!(by_a_person.code, Some(0), "{by_a_person:?}");
    stage.bundle("two.bundle", &["--key", "key", "--key", "other"]);
    let played = stage.play("two.bundle", &["--automatic"]);
    assert_eq!((played.code, stage.read("out-h1").as_str()), (Some(0), "hello h1\n"), "{played:?}");
}
