//! Wrong, hostile and untrusted inventories: each refusal names its place and what would be accepted.

mod common;

use common::Memory;
use wellkept_inventory::{Inventory, InventoryError, Options, Problem, Value};

fn read(files: &Memory, source: &str) -> Result<Inventory, InventoryError> {
    Inventory::read(files, &[source], &Options { user: 1000, ..Options::default() })
}

fn error(path: &str, text: &str) -> String {
    read(&Memory::new(&[(path, text)]), path).expect_err("a mistake").to_string()
}

#[test]
fn mistakes_in_ini_name_line_and_column() {
    for (text, start) in [
        ("a\n[web:hots]\n", "h.ini:2:1: section [web:hots] is not known"),
        ("[a b]\n", "h.ini:1:1: section [a b] is not known"),
        ("web1 port\n", "h.ini:1:6: expected variable=value after the host, found port"),
        ("  web1 a='x\n", "h.ini:1:3: a quoted text has no end"),
        ("[web:vars]\nx\n", "h.ini:2:1: expected variable=value, found x"),
        ("[web:vars]\nx=1\n", "h.ini:1:1: group \"web\" is declared nowhere"),
        ("[a]\nh\n[web:children]\na\nghost\n", "h.ini:5:1: group \"ghost\" is declared nowhere"),
        ("h\n-oProxyCommand=x\n", "h.ini:2:1: host name \"-oProxyCommand=x\" is refused: it begins with '-'"),
        ("[w]\nx;reboot\n", "h.ini:2:1: host name \"x;reboot\" is refused: it holds characters that shells"),
        ("[w]\nn[5:]\n", "h.ini:2:1: range \"[5:]\": the end is missing"),
        ("[w]\na\n[w:vars]\nansible_group_priority=high\n", "h.ini:4:1: ansible_group_priority is high"),
        ("[a:children]\nb\n[b:children]\nc\n[c:children]\na\n[d]\n", "h.ini:"),
    ] {
        let error = error("h.ini", text);
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn mistakes_in_yaml_name_line_and_column() {
    for (text, start) in [
        ("all:\n  hosts: [a, b]\n", "h.yml:2:10: expected a map"),
        ("all:\n  hosts:\n    12:\n", "h.yml:3:5: expected the name of a host as text"),
        (
            "all:\n  hosts:\n    a: 1\n",
            "h.yml:3:8: expected a map of the host's variables, found a whole number (1)",
        ),
        ("all:\n  hosts:\n    \"a$(id)\":\n", "h.yml:3:5: host name \"a$(id)\" is refused"),
        ("plugin: aws_ec2\n", "h.yml:1:1: is the configuration of the inventory plugin \"aws_ec2\""),
        ("- a\n", "h.yml:1:1: expected groups with hosts, vars and children, found a list"),
        ("", "h.yml: expected groups with hosts, vars and children, found an empty file"),
        ("a: {b: [1}\n", "h.yml:1:"),
    ] {
        let error = error("h.yml", text);
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn circles_of_groups_are_named() {
    for text in
        ["[a:children]\nb\n[b:children]\nc\n[c:children]\na\n", "[a:children]\na\n", "[web:children]\nall\n"]
    {
        let files = Memory::new(&[("h.ini", text)]);
        let error = read(&files, "h.ini").expect_err("a circle");
        assert!(matches!(error.problem, Problem::Circle { .. }), "{error}");
    }
}

#[test]
fn a_chain_of_groups_deeper_than_the_bound_is_refused() {
    let mut text = String::new();
    for n in 0..5000 {
        text += &format!("[g{n}:children]\ng{}\n", n + 1);
    }
    text += "[g5000]\nh\n";
    let error = read(&Memory::new(&[("h.ini", &text)]), "h.ini").expect_err("too deep");
    assert!(matches!(error.problem, Problem::TooDeep { .. }), "{error}");
}

#[test]
fn groups_under_very_many_groups_are_not_drawn_without_end() {
    let mut text = String::new();
    for n in 0..40 {
        text += &format!("[a{n}:children]\na{m}\nb{m}\n[b{n}:children]\na{m}\nb{m}\n", m = n + 1);
    }
    text += "[a40]\nh\n[b40]\nh\n";
    let inventory = read(&Memory::new(&[("h.ini", &text)]), "h.ini").expect("no circle");
    assert!(matches!(inventory.to_graph("all"), Err(Problem::TooMany { .. })));
    assert_eq!(inventory.groups_of(0).len(), 83);
}

#[test]
fn files_of_others_are_refused_by_name() {
    for (owner, mode) in [(1001, 0o644), (1000, 0o666), (0, 0o602)] {
        for path in
            ["inv/hosts", "inv/group_vars/all.yml", "inv/group_vars/web/x.yml", "inv/host_vars/h.json"]
        {
            let mut files = Memory::new(&[("inv/hosts", "[web]\nh\n")]);
            files.put(path, b"[web]\nh\n", owner, mode);
            let error = read(&files, "inv").expect_err("untrusted");
            assert_eq!(&*error.place.file, path, "{error}");
            assert!(matches!(error.problem, Problem::ForeignOwner { .. } | Problem::WritableByOthers { .. }));
        }
    }
}

#[test]
fn scripts_run_only_when_allowed_and_only_trusted_ones() {
    let mut files = Memory::default();
    files.put("inv.sh", b"#!/bin/sh\n", 1000, 0o755);
    files.put("inv.sh --list", br#"{"web": {"hosts": ["a", "-x"]}, "_meta": {"hostvars": {}}}"#, 0, 0);
    let error = read(&files, "inv.sh").expect_err("not allowed");
    assert_eq!(error.problem, Problem::ScriptNotAllowed);
    let options = Options { user: 1000, scripts: true, ..Options::default() };
    let error = Inventory::read(&files, &["inv.sh"], &options).expect_err("a bad name in the answer");
    assert!(matches!(error.problem, Problem::HostName { .. }), "{error}");
    files.put("inv.sh", b"#!/bin/sh\n", 1000, 0o757);
    let error = Inventory::read(&files, &["inv.sh"], &options).expect_err("open to others");
    assert_eq!(error.problem, Problem::WritableByOthers { mode: 0o757 });
    files.put("inv.sh", b"#!/bin/sh\n", 1000, 0o755);
    files.put("inv.sh --list", b"{\"web\": [", 0, 0);
    let error = Inventory::read(&files, &["inv.sh"], &options).expect_err("half a JSON text");
    assert!(matches!(error.problem, Problem::Json { .. }), "{error}");
}

#[test]
fn variables_keep_the_place_that_said_them_last() {
    let files = Memory::new(&[
        ("inv/hosts", "[web]\nw1.example port=1 user=a\n[web:vars]\nport=2\nzone=z\n"),
        ("inv/group_vars/web.yml", "# a\nzone: y\nlist:\n  - 1\n"),
        ("inv/host_vars/w1.example", "user: b\n"),
    ]);
    let inventory = read(&files, "inv").expect("good");
    let vars = inventory.host_vars(0);
    let places: Vec<String> = vars.iter().map(|(name, var)| format!("{name} {}", var.place)).collect();
    let wanted = [
        "list inv/group_vars/web.yml:3:1",
        "port inv/hosts:2:12",
        "user inv/host_vars/w1.example:1:1",
        "zone inv/group_vars/web.yml:2:1",
    ];
    assert_eq!(places, wanted);
    let magic = inventory.magic(0);
    assert_eq!(magic.inventory_hostname_short, "w1");
    assert_eq!(magic.group_names, ["web"]);
    assert_eq!(
        (magic.inventory_file.as_deref(), magic.inventory_dir.as_deref()),
        (Some("inv/hosts"), Some("inv"))
    );
    assert_eq!(inventory.groups_map().get("web"), Some(&vec!["w1.example".to_owned()]));
}

#[test]
fn encrypted_files_stay_closed_and_are_told() {
    let files = Memory::new(&[
        ("inv/hosts", "h\n"),
        ("inv/group_vars/all/open.yml", "a: 1\n"),
        ("inv/group_vars/all/vault.yml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n"),
    ]);
    let inventory = read(&files, "inv").expect("good");
    assert_eq!(inventory.sealed().len(), 1);
    assert_eq!(&*inventory.sealed()[0].place.file, "inv/group_vars/all/vault.yml");
    assert_eq!(inventory.host_vars(0).len(), 1);
}

#[test]
fn localhost_is_there_without_being_listed() {
    let files =
        Memory::new(&[("inv/hosts", "h\n[all:vars]\ng=1\n"), ("inv/host_vars/localhost.yml", "x: 2\n")]);
    let inventory = read(&files, "inv").expect("good");
    let vars = inventory.implicit_localhost_vars("localhost");
    let value = |name: &str| vars.get(name).map(|var| var.value.clone());
    assert_eq!(value("ansible_connection"), Some(Value::Text("local".to_owned())));
    assert_eq!((value("g"), value("x")), (Some(Value::Int(1)), Some(Value::Int(2))));
    assert!(
        !inventory
            .select("all", None)
            .expect("all")
            .hosts
            .iter()
            .any(|h| matches!(h, wellkept_inventory::Selected::Localhost(_)))
    );
}

#[test]
fn hosts_beyond_the_bound_are_refused() {
    let text = "[a]\na[1:60000]\n[b]\nb[1:60000]\n";
    let error = read(&Memory::new(&[("h.ini", text)]), "h.ini").expect_err("too many");
    assert_eq!(error.place.line, 4);
    assert!(matches!(error.problem, Problem::TooMany { what: "hosts", .. }), "{error}");
}

#[test]
fn patterns_that_cannot_be_run_in_bounded_time_are_refused() {
    let inventory = read(&Memory::new(&[("h.ini", "web1\n")]), "h.ini").expect("good");
    for pattern in ["~(?=a)", "~(a)\\1", "~a{1000}{1000}", "~[", "web1,", "web1,@failed", "web1,!"] {
        let result = inventory.select(pattern, None);
        assert_eq!(result.is_ok(), pattern == "web1," || pattern == "~[", "{pattern}: {result:?}");
    }
    let many = "w*,".repeat(2000);
    assert!(inventory.select(&many, None).is_err());
    assert_eq!(inventory.select("ghost:web1", None).expect("good").unmatched, ["ghost"]);
}

#[test]
fn plays_add_hosts_and_groups_with_their_variable_files() {
    let files = Memory::new(&[
        ("inv/hosts", "[web]\nw1\n"),
        ("inv/group_vars/new.yml", "g: 1\n"),
        ("inv/host_vars/late.yml", "h: 2\n"),
    ]);
    let mut inventory = read(&files, "inv").expect("good");
    let place = wellkept_inventory::Place::file("site.yml");
    let none = wellkept_inventory::Vars::new();
    let (host, changed) =
        inventory.add_at_run(&files, "late", &["new", "web"], &none, &place).expect("a good host");
    assert!(changed);
    assert_eq!(inventory.magic(host).group_names, ["new", "web"]);
    assert_eq!(inventory.magic(host).inventory_file, None);
    let vars = inventory.host_vars(host);
    assert_eq!(vars.keys().collect::<Vec<_>>(), ["g", "h"]);
    let again = inventory.add_at_run(&files, "late", &["web"], &none, &place).expect("the same host");
    assert_eq!(again, (host, false));
    assert!(inventory.add_at_run(&files, "-x", &[], &none, &place).is_err());
    inventory.add_child_at_run("top", "new", &place).expect("no circle");
    assert_eq!(inventory.magic(host).group_names, ["new", "top", "web"]);
    assert!(inventory.add_child_at_run("new", "top", &place).is_err());
    inventory.add_child_at_run("top", "web", &place).expect("the refused link left nothing behind");
}
