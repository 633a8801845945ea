//! Templates and conditions give what ansible-core 2.19.14 gave for them (`data/templates.json`, recorded).

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde::Deserialize;
use wellkept_inventory::{Files, Meta, Seat, Value};
use wellkept_playbook::template::{Engine, Outside, Scope};

#[derive(Deserialize)]
struct Recorded {
    vars: serde_json::Map<String, serde_json::Value>,
    templates: Vec<Case>,
    conditions: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(alias = "condition")]
    template: String,
    result: Option<serde_json::Value>,
    error: Option<String>,
}

struct Vars(BTreeMap<String, Arc<Value>>);

impl Scope for Vars {
    fn get(&self, name: &str) -> Option<Arc<Value>> {
        self.0.get(name).cloned()
    }
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

/// Two files and a folder.
struct Few;

impl Files for Few {
    fn stat(&self, path: &str) -> Result<Option<Meta>, String> {
        let folder = path == "/etc";
        let there = folder || path == "/etc/passwd";
        Ok(there.then_some(Meta { folder, owner: 0, group: 0, mode: 0o644, size: 0 }))
    }
    fn seat(&self, path: &str) -> Result<Option<Seat>, String> {
        let inode = match path {
            "/etc" => 1,
            "/etc/passwd" | "/etc/./passwd" => 2,
            _ => return Ok(None),
        };
        Ok(Some(Seat { link: false, mount: false, file: Some((1, inode)) }))
    }
    fn list(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(vec!["passwd".to_owned()])
    }
    fn read(&self, path: &str, _: u64) -> Result<(Meta, Vec<u8>), String> {
        Err(format!("no {path}"))
    }
    fn run(&self, _: &str, _: &[&str], _: u64) -> Result<Vec<u8>, String> {
        Err("no scripts".to_owned())
    }
}

struct Nothing;

impl Outside for Nothing {}

fn value(json: &serde_json::Value) -> Value {
    serde_json::from_value(json.clone()).expect("JSON is a value")
}

fn json(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(number) => Json::from(*number as i64),
        Value::Float(number) => Json::from(*number),
        Value::Text(text) | Value::Unsafe(text) | Value::Vault(text) => Json::from(text.as_str()),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            let key = |key: &Value| match json(key) {
                Json::String(text) => text,
                other => other.to_string(),
            };
            Json::Object(entries.iter().map(|(k, v)| (key(k), json(v))).collect())
        }
    }
}

fn recorded() -> Recorded {
    let text = include_str!("data/templates.json");
    serde_json::from_str(text).expect("the recording is JSON")
}

/// Words that must be the same; others only have to be an error on both sides.
fn same_words(theirs: &str) -> bool {
    theirs.contains("is undefined")
        || theirs.contains("object of type")
        || theirs.starts_with("Conditional result")
}

fn compare(kind: &str, case: &Case, ours: Result<serde_json::Value, String>, wrong: &mut Vec<String>) {
    let fine = match (&case.error, &case.result, &ours) {
        (Some(theirs), _, Err(ours)) => !same_words(theirs) || theirs.ends_with(ours.as_str()),
        (None, Some(theirs), Ok(ours)) => theirs == ours,
        (None, None, Ok(ours)) => ours.is_null(),
        _ => false,
    };
    if !fine {
        wrong.push(format!(
            "{kind} {:?}\n  theirs: {}\n  ours:   {ours:?}",
            case.template,
            case.error.clone().unwrap_or_else(|| format!("{:?}", case.result))
        ));
    }
}

#[test]
fn templates_and_conditions_give_what_ansible_gives() {
    let recorded = recorded();
    let vars = recorded.vars.iter().map(|(name, v)| (name.clone(), Arc::new(value(v)))).collect();
    let scope: Rc<dyn Scope> = Rc::new(Vars(vars));
    let engine = Engine::new(Rc::new(Few), Rc::new(Nothing));
    let mut wrong = Vec::new();
    for case in &recorded.templates {
        let ours = engine.session(Rc::clone(&scope)).render(&case.template);
        let ours = match ours {
            Ok(Some(value)) => Ok(json(&value)),
            Ok(None) => Err("omitted".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        compare("template", case, ours, &mut wrong);
    }
    for case in &recorded.conditions {
        let ours = engine.session(Rc::clone(&scope)).test(&Value::Text(case.template.clone()));
        compare("condition", case, ours.map(serde_json::Value::Bool).map_err(|e| e.to_string()), &mut wrong);
    }
    assert!(recorded.templates.len() > 250, "the recording is whole");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[derive(Deserialize)]
struct Names {
    filters: Vec<String>,
    tests: Vec<String>,
    lookups: Vec<String>,
}

/// Whether a name stands after a mark (`|`, `is`, `query('`) in a recorded template.
fn is_recorded(recorded: &Recorded, before: &[&str], name: &str) -> bool {
    let all = recorded.templates.iter().chain(&recorded.conditions).map(|case| case.template.as_str());
    let found = |text: &str| {
        before.iter().any(|mark| {
            let wanted = format!("{mark}{name}");
            text.match_indices(&wanted).any(|(at, _)| {
                let after = text[at + wanted.len()..].chars().next();
                !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
            })
        })
    };
    all.into_iter().any(found)
}

#[test]
fn every_filter_and_test_of_ansible_core_is_known_and_compared() {
    let names: Names = serde_json::from_str(include_str!("data/names.json")).expect("names");
    let recorded = recorded();
    // These make HTML for pages; a playbook has none. They are refused by name.
    let html = ["urlize", "xmlattr"];
    // Links, mounts and files that hold sealed texts are not in the recording's world; `crates/fleet` tests them on a disk.
    let disk = ["is_link", "link", "is_mount", "mount", "vaulted_file", "finished", "timedout"];
    for name in &names.filters {
        assert!(wellkept_playbook::template::knows_filter(name), "filter {name}");
        let fine = html.contains(&name.as_str()) || is_recorded(&recorded, &["| ", "map('"], name);
        assert!(fine, "filter {name} is in no recorded case");
    }
    for name in &names.tests {
        assert!(wellkept_playbook::template::knows_test(name), "test {name}");
        let fine = disk.contains(&name.as_str())
            || is_recorded(
                &recorded,
                &["is ", "is not ", "select('", "reject('", "attr('uid', '", "attr('name', '"],
                name,
            );
        assert!(fine, "test {name} is in no recorded case");
    }
    for name in &names.lookups {
        assert!(wellkept_playbook::template::knows_lookup(name), "lookup {name}");
    }
}
