//! `group` and `getent`: groups of the host, and what its tables say.

use serde_json::{Map, Value, json};

use crate::base::{Done, Fail, Task, accounts, fail, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, int, text};

const ARGS: &[Arg] = &[
    text("state").or("present").one_of(&["absent", "present"]),
    text("name").required(),
    flag("force", false),
    int("gid"),
    flag("system", false),
    flag("local", false),
    flag("non_unique", false),
    int("gid_min"),
    int("gid_max"),
];

pub(crate) const SPEC: ModuleSpec =
    ModuleSpec::new("group", ARGS, run).rules(&[Rule::IfAll("non_unique", "true", &["gid"])]);

pub(crate) const GETENT: ModuleSpec = ModuleSpec::new(
    "getent",
    &[text("database").required(), text("key"), text("service"), text("split"), flag("fail_key", true)],
    getent,
);

fn run(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let (name, state, local) =
        (args.or_empty("name").to_owned(), args.or_empty("state").to_owned(), args.flag("local"));
    if local && args.flag("force") {
        return fail(
            "force is not a valid option for local, force=True and local=True are mutually exclusive",
        );
    }
    for limit in ["gid_min", "gid_max"] {
        if local && args.has(limit) {
            return fail(format!("'{limit}' can not be used with 'local'"));
        }
    }
    let prefix = if local { "l" } else { "" };
    let now = accounts::group_named(&task.ctx.root, &name);
    let gid = args.int("gid");
    let mut argv: Vec<String> = Vec::new();
    match (state.as_str(), &now) {
        ("absent", Some(_)) => {
            argv.push(format!("{prefix}groupdel"));
            if args.flag("force") && !local {
                argv.push("-f".to_owned());
            }
        }
        ("present", None) => {
            argv.push(format!("{prefix}groupadd"));
            if let Some(gid) = gid {
                argv.extend(["-g".to_owned(), gid.to_string()]);
                argv.extend(args.flag("non_unique").then(|| "-o".to_owned()));
            }
            argv.extend(args.flag("system").then(|| "-r".to_owned()));
            for (name, key) in [("gid_min", "GID_MIN"), ("gid_max", "GID_MAX")] {
                argv.extend(
                    args.int(name).into_iter().flat_map(|value| ["-K".to_owned(), format!("{key}={value}")]),
                );
            }
        }
        ("present", Some(group)) if gid.is_some_and(|gid| gid != i64::from(group.gid)) => {
            argv.push(format!("{prefix}groupmod"));
            argv.extend(["-g".to_owned(), gid.unwrap_or_default().to_string()]);
            argv.extend(args.flag("non_unique").then(|| "-o".to_owned()));
        }
        _ => {}
    }
    let mut result =
        map([("name", name.clone().into()), ("state", state.clone().into()), ("changed", false.into())]);
    if let Some(program) = argv.first().cloned() {
        if task.check() && !(state == "present" && now.is_some()) {
            return Ok(task.changed(true));
        }
        result.insert("changed".into(), true.into());
        if !task.check() {
            let path = task.need(&program)?.to_string_lossy().into_owned();
            argv.push(name.clone());
            let ran = task.run(std::iter::once(path).chain(argv.into_iter().skip(1)))?;
            if ran.rc != 0 {
                return Err(Fail::new(ran.err_text()).with("name", name));
            }
            for (key, text) in [("stdout", ran.out_text()), ("stderr", ran.err_text())] {
                if !text.is_empty() {
                    result.insert(key.into(), text.into());
                }
            }
        }
    }
    if let Some(group) = accounts::group_named(&task.ctx.root, &name) {
        result.insert("system".into(), task.args.flag("system").into());
        result.insert("gid".into(), group.gid.into());
    }
    Ok(result)
}

fn getent(task: &mut Task<'_>) -> Done {
    let program = task.need("getent")?;
    let (database, key) =
        (task.args.or_empty("database").to_owned(), task.args.text("key").map(str::to_owned));
    let mut argv = vec![program.to_string_lossy().into_owned(), database.clone()];
    argv.extend(key.clone());
    if let Some(service) = task.args.text("service") {
        argv.extend(["-s".to_owned(), service.to_owned()]);
    }
    let separator = task.args.text("split").map(str::to_owned).or_else(|| {
        matches!(database.as_str(), "passwd" | "shadow" | "group" | "gshadow").then(|| ":".to_owned())
    });
    let ran = task.run(&argv)?;
    let name = format!("getent_{database}");
    let told = |entries: Map<String, Value>| json!({name.clone(): entries});
    match ran.rc {
        0 => {
            let mut seen: Map<String, Value> = Map::new();
            for line in ran.out_text().lines() {
                let fields: Vec<&str> = match &separator {
                    Some(separator) => line.split(separator.as_str()).collect(),
                    None => line.split_whitespace().collect(),
                };
                let Some((first, rest)) = fields.split_first() else { continue };
                let rest: Value = rest.to_vec().into();
                match seen.get_mut(*first) {
                    // A key that comes twice has a list of lists.
                    Some(Value::Array(old)) if old.first().is_some_and(Value::is_array) => old.push(rest),
                    Some(old) => *old = json!([old.clone(), rest]),
                    None => drop(seen.insert((*first).to_owned(), rest)),
                }
            }
            Ok(map([("ansible_facts", told(seen))]))
        }
        2 => {
            let msg = "One or more supplied key could not be found in the database.";
            if task.args.flag("fail_key") {
                return fail(msg);
            }
            let entries = key.into_iter().map(|key| (key, Value::Null)).collect();
            Ok(map([("ansible_facts", told(entries)), ("msg", msg.into())]))
        }
        1 => fail("Missing arguments, or database unknown."),
        3 => fail("Enumeration not supported on this database."),
        _ => fail("Unexpected failure!"),
    }
}
