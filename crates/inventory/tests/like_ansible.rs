//! Inventories with the answers that ansible-core 2.19 gives for them (`ansible-inventory --list`, `--graph`).

mod common;

use common::{Case, case_path};
use wellkept_inventory::{Detail, Inventory, Options, Selected};

const CASES: &[(&str, &[&str], Option<&str>)] = &[
    ("bare", &["bare/hosts"], None),
    ("depth", &["depth/hosts.ini"], None),
    ("folder", &["folder/inventory"], None),
    ("ini", &["ini/hosts.ini"], None),
    ("list", &["x1,x2:22,localhost"], None),
    ("playbook", &["folder/inventory"], Some("folder/playbook")),
    ("script", &["script/inv.sh"], None),
    ("several", &["depth/hosts.ini", "folder/inventory", "ini/hosts.ini"], None),
    ("yaml", &["yaml/hosts.yml"], None),
];

fn read(sources: &[&str], playbook: Option<&str>) -> Inventory {
    let options = Options { scripts: true, playbook_dir: playbook.map(str::to_owned), ..Options::default() };
    Inventory::read(&Case, sources, &options).expect("a good inventory")
}

fn expected(name: &str) -> String {
    std::fs::read_to_string(case_path("expected").join(name)).expect("an expected answer")
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn hosts_groups_and_variables_are_those_that_ansible_lists() {
    for (name, sources, playbook) in CASES {
        let ours = json(&read(sources, *playbook).to_json(Detail::Export));
        assert_eq!(ours, json(&expected(&format!("{name}.export.json"))), "{name}");
    }
}

#[test]
fn merged_variables_are_those_that_ansible_merges() {
    for (name, sources, playbook) in CASES {
        let ours = json(&read(sources, *playbook).to_json(Detail::Merged));
        assert_eq!(ours, json(&expected(&format!("{name}.merged.json"))), "{name}");
    }
}

#[test]
fn graphs_are_those_that_ansible_draws() {
    for (name, sources, playbook) in CASES {
        let ours = read(sources, *playbook).to_graph("all").expect("a graph");
        assert_eq!(ours.trim_end(), expected(&format!("{name}.graph.txt")).trim_end(), "{name}");
    }
}

#[test]
fn the_exported_yaml_is_the_same_inventory_again() {
    for (name, sources, playbook) in CASES {
        let first = read(sources, *playbook);
        let files = common::Memory::new(&[("back.yml", &first.to_yaml(Detail::Export))]);
        let again = Inventory::read(&files, &["back.yml"], &Options::default()).expect("our own YAML");
        let (mut ours, mut theirs) =
            (json(&again.to_json(Detail::Export)), json(&first.to_json(Detail::Export)));
        // An empty group has nothing to say in YAML, so it is not there again.
        for side in [&mut ours, &mut theirs] {
            if let Some(children) = side.pointer_mut("/all/children").and_then(|c| c.as_array_mut()) {
                children.retain(|child| child != "empty" && child != "ungrouped");
            }
        }
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn patterns_and_limits_name_the_hosts_that_ansible_names() {
    let inventory = read(&["patterns.ini"], None);
    let name = |host: &Selected| match host {
        Selected::Host(id) => inventory.hosts()[*id].name.clone(),
        Selected::Localhost(name) => (*name).to_owned(),
    };
    let mut n = 0;
    for line in expected("patterns.txt").lines() {
        let mut fields = line.split('\t');
        let (Some(pattern), Some(limit), Some(hosts)) = (fields.next(), fields.next(), fields.next()) else {
            panic!("three fields: {line}");
        };
        let limits = [limit];
        let limit = (limit != "-").then_some(&limits[..]);
        let ours = match inventory.select(pattern, limit) {
            Ok(selection) => selection.hosts.iter().map(name).collect::<Vec<_>>().join(","),
            Err(_) => "refused".to_owned(),
        };
        // For localhost under another of its names Ansible keeps the name of first use.
        if hosts != "localhost" && hosts != "127.0.0.1" {
            assert_eq!(ours, hosts, "{line}");
        } else {
            assert!(ours == "localhost" || ours == "127.0.0.1", "{line}: {ours}");
        }
        n += 1;
    }
    assert!(n > 300, "{n} patterns");
}
