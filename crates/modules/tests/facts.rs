//! The facts that roles read, on the host that the tests run on.
#![allow(missing_docs, clippy::unwrap_used)]

use serde_json::{Map, Value, json};
use wellkept_modules::{Call, Context, NoFiles, run};

fn setup(args: Value) -> Map<String, Value> {
    let Value::Object(args) = args else { panic!() };
    let temp = tempfile::tempdir().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the host's clock")]
    let mut ctx = Context::new(temp.path().to_owned(), std::time::SystemTime::now);
    let call = Call { module: "setup".to_owned(), args, ..Call::default() };
    run(&call, &NoFiles, &mut ctx)
}

fn facts(args: Value) -> Map<String, Value> {
    setup(args)["ansible_facts"].as_object().unwrap().clone()
}

#[test]
fn the_facts_that_roles_read_are_there_in_their_types() {
    let facts = facts(json!({}));
    let kind = |name: &str| facts.get(&format!("ansible_{name}")).unwrap_or_else(|| panic!("no {name}"));
    for name in [
        "system",
        "kernel",
        "machine",
        "architecture",
        "hostname",
        "nodename",
        "fqdn",
        "domain",
        "distribution",
        "distribution_version",
        "distribution_major_version",
        "distribution_release",
        "os_family",
        "pkg_mgr",
        "service_mgr",
        "user_id",
        "user_dir",
        "user_shell",
        "virtualization_type",
        "virtualization_role",
        "userspace_bits",
        "userspace_architecture",
        "kernel_version",
    ] {
        assert!(kind(name).is_string(), "{name}");
    }
    for name in [
        "memtotal_mb",
        "memfree_mb",
        "swaptotal_mb",
        "processor_count",
        "processor_cores",
        "processor_vcpus",
        "processor_nproc",
        "processor_threads_per_core",
        "uptime_seconds",
        "user_uid",
        "user_gid",
        "effective_user_id",
        "real_user_id",
    ] {
        assert!(kind(name).is_u64(), "{name}");
    }
    for name in ["mounts", "processor", "interfaces", "all_ipv4_addresses", "all_ipv6_addresses"] {
        assert!(kind(name).is_array(), "{name}");
    }
    for name in [
        "date_time",
        "env",
        "dns",
        "default_ipv4",
        "devices",
        "memory_mb",
        "local",
        "lsb",
        "cmdline",
        "selinux",
        "apparmor",
    ] {
        assert!(kind(name).is_object(), "{name}");
    }
    assert!(kind("memtotal_mb").as_u64() > Some(16));
    assert_eq!(facts["module_setup"], json!(true));
}

#[test]
fn filters_and_subsets_narrow_what_is_gathered() {
    let few = facts(json!({"filter": ["distribution*", "ansible_os_family"]}));
    assert!(
        few.keys().all(|name| name.starts_with("ansible_distribution") || name == "ansible_os_family"),
        "{few:?}"
    );
    assert!(few.contains_key("ansible_os_family"));
    let small = facts(json!({"gather_subset": ["!all"]}));
    assert!(
        small.contains_key("ansible_os_family")
            && !small.contains_key("ansible_mounts")
            && !small.contains_key("ansible_interfaces")
    );
    let net = facts(json!({"gather_subset": ["!all", "!min", "network"]}));
    assert!(
        net.contains_key("ansible_interfaces")
            && !net.contains_key("ansible_mounts")
            && !net.contains_key("ansible_os_family")
    );
    let wrong = setup(json!({"gather_subset": ["nope"]}));
    assert!(
        wrong["msg"]
            .as_str()
            .unwrap()
            .starts_with("Bad subset 'nope' given to Ansible. gather_subset options allowed: all")
    );
}

#[test]
fn facts_of_the_hosts_owner_are_read_as_json_or_ini() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.fact"), "{\"x\": 1}").unwrap();
    std::fs::write(folder.path().join("b.fact"), "[s]\nKey=v\n").unwrap();
    std::fs::write(folder.path().join("c.txt"), "no").unwrap();
    let facts = facts(json!({"fact_path": folder.path()}));
    assert_eq!(facts["ansible_local"], json!({"a": {"x": 1}, "b": {"s": {"key": "v"}}}));
}
