//! Every module and keyword that is promised has a test that is there and speaks of it (`docs/playbooks.md`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What must be covered: the modules that public playbooks use.
const MODULES: &str = "set_fact file template command shell raw script include_tasks import_tasks include_role \
    import_role include_vars service systemd systemd_service package apt dnf yum apt_repository apt_key \
    deb822_repository debconf lineinfile blockinfile replace copy fetch slurp stat find assemble tempfile fail assert \
    debug meta pause wait_for wait_for_connection reboot uri get_url unarchive git user group getent cron hostname \
    known_hosts authorized_key sysctl mount modprobe pip setup gather_facts package_facts service_facts add_host \
    group_by iptables ufw firewalld ini_file alternatives timezone locale_gen acl capabilities pam_limits \
    openssl_privatekey openssl_csr x509_certificate postgresql_db postgresql_user postgresql_query mysql_db \
    mysql_user mysql_query docker_container docker_image docker_network";
/// The keywords of the language.
const KEYWORDS: &str = "when tags register become become_user become_method notify listen with_items with_dict \
    with_file with_fileglob with_first_found with_indexed_items with_inventory_hostnames with_list with_nested \
    with_sequence with_subelements with_together loop loop_control changed_when failed_when block rescue always vars \
    until retries delay delegate_to delegate_facts local_action run_once environment check_mode diff no_log \
    ignore_errors ignore_unreachable args async poll throttle timeout module_defaults any_errors_fatal serial order \
    max_fail_percentage strategy force_handlers pre_tasks post_tasks roles handlers gather_facts vars_files \
    vars_prompt import_playbook remote_user port connection";
/// Lookups of ansible-core.
const LOOKUPS: &str = "config csvfile dict env file fileglob first_found indexed_items ini inventory_hostnames items \
    lines list nested password pipe random_choice sequence subelements template together unvault url varnames vars";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows of a section's table: name, file below `crates/`, test.
fn rows<'d>(document: &'d str, section: &str) -> BTreeMap<&'d str, (&'d str, &'d str)> {
    let (_, after) = document.split_once(&format!("\n### {section}\n")).expect(section);
    let text = after.split("\n#").next().unwrap_or_default();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.flat_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [names, file, test] = cells.as_slice() else { panic!("{line}: three cells are wanted") };
        let names = names.split(' ').map(|name| name.trim_matches('`'));
        names.map(|name| (name, (file.trim_matches('`'), test.trim_matches('`')))).collect::<Vec<_>>()
    });
    rows.collect()
}

/// What a test says: its body, or the recorded case that it compares with.
fn said(file: &str, test: &str) -> Option<String> {
    let path = root().join("crates").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if let Some(at) = text.find(&format!("fn {test}()")) {
        let before: String = text.get(..at)?.lines().rev().take(4).collect();
        assert!(before.contains("test]"), "{file}: {test} is no test");
        let body = text.get(at..)?;
        // Up to the next test; what both use stands between and belongs to neither.
        let end = body.find("\n}\n").unwrap_or(body.len());
        let mut body = body.get(..end)?.to_owned();
        // What was recorded and is compared stands in a file beside.
        if body.contains("recorded()") {
            let data = text.split("include_str!(\"").nth(1)?.split('"').next()?;
            body.push_str(&std::fs::read_to_string(path.parent()?.join(data)).ok()?);
        }
        return Some(body);
    }
    // Tests that are made of recorded cases: `name: "case"`.
    let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{test}: \"")))?;
    let case = line.split('"').nth(1)?;
    let folder = path.parent()?;
    let files = [folder.join(format!("cases/{case}.yml")), folder.join(format!("plays/{case}.yml"))];
    files.iter().find_map(|file| std::fs::read_to_string(file).ok())
}

fn is_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|t| t.chars().next());
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

fn check(section: &str, wanted: &str) {
    let document = std::fs::read_to_string(root().join("docs/playbooks.md")).expect("docs/playbooks.md");
    let rows = rows(&document, section);
    let mut problems = Vec::new();
    for name in wanted.split_whitespace() {
        let Some((file, test)) = rows.get(name) else {
            problems.push(format!("{name} stands in no row"));
            continue;
        };
        match said(file, test) {
            None => problems.push(format!("{name}: {file} has no test {test}")),
            Some(text) if !is_word(&text, name) => {
                problems.push(format!("{name}: {test} in {file} does not speak of it"));
            }
            Some(_) => {}
        }
    }
    assert!(problems.is_empty(), "{section}:\n{}", problems.join("\n"));
}

#[test]
fn every_module_has_a_test_that_proves_it() {
    check("Modules", MODULES);
}

#[test]
fn every_keyword_has_a_test_that_proves_it() {
    check("Keywords", KEYWORDS);
}

#[test]
fn every_lookup_has_a_test_that_proves_it() {
    check("Lookups", LOOKUPS);
}

#[test]
fn a_test_that_is_not_there_or_speaks_of_something_else_is_found() {
    assert!(said("playbook/tests/coverage.rs", "no_such_test").is_none());
    let own =
        said("playbook/tests/coverage.rs", "every_lookup_has_a_test_that_proves_it").expect("it is there");
    assert!(is_word(&own, "LOOKUPS") && !is_word(&own, "LOOKUP") && !is_word(&own, "MODULES"));
}
