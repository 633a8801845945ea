//! `ufw` and `firewalld`: rules of the firewall, by the programs that keep them.

use crate::base::program::Ran;
use crate::base::{Done, Fail, Result, Task, fail, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, int, maybe, text};

const UFW_ARGS: &[Arg] = &[
    text("state").one_of(&["enabled", "disabled", "reloaded", "reset"]),
    text("default").aka(&["policy"]).one_of(&["allow", "deny", "reject"]),
    text("logging").one_of(&["on", "off", "low", "medium", "high", "full"]),
    text("direction").one_of(&["in", "incoming", "out", "outgoing", "routed"]),
    flag("delete", false),
    flag("route", false),
    int("insert"),
    text("insert_relative_to").or("zero").one_of(&[
        "zero",
        "first-ipv4",
        "last-ipv4",
        "first-ipv6",
        "last-ipv6",
    ]),
    text("rule").one_of(&["allow", "deny", "limit", "reject"]),
    text("interface").aka(&["if"]),
    text("interface_in").aka(&["if_in"]),
    text("interface_out").aka(&["if_out"]),
    flag("log", false),
    text("from_ip").or("any").aka(&["from", "src"]),
    text("from_port"),
    text("to_ip").or("any").aka(&["dest", "to"]),
    text("to_port").aka(&["port"]),
    text("proto")
        .aka(&["protocol"])
        .one_of(&["ah", "any", "esp", "ipv6", "tcp", "udp", "gre", "igmp", "vrrp"]),
    text("name").aka(&["app"]),
    text("comment"),
];

pub(crate) const UFW: ModuleSpec = ModuleSpec::new("ufw", UFW_ARGS, ufw).rules(&[
    Rule::Exclusive(&["name", "proto", "logging"]),
    Rule::OneOf(&["default", "rule", "logging", "state"]),
]);

fn ufw(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let program = task.need("ufw")?.to_string_lossy().into_owned();
    let mut commands: Vec<String> = Vec::new();
    let go = |words: &[String]| -> Result<Ran> {
        let argv: Vec<String> = std::iter::once(program.clone()).chain(words.iter().cloned()).collect();
        let ran = task.run_plain(&argv)?;
        if ran.rc != 0 {
            return Err(Fail::new(format!("{}{}", ran.err_text(), ran.out_text()))
                .with("commands", vec![argv.join(" ")]));
        }
        Ok(ran)
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let status = || -> Result<String> { Ok(go(&words(&["status", "verbose"]))?.out_text()) };
    let rules = |when: &str| -> Result<String> {
        Ok(format!("{when}{}", go(&words(&["show", "added"]))?.out_text()))
    };
    let before = (status()?, rules("")?);
    let mut steps: Vec<Vec<String>> = Vec::new();
    let mut changed = false;
    let active = before.0.contains("Status: active");
    if let Some(state) = args.text("state") {
        let (word, differs) = match state {
            "enabled" => ("enable", !active),
            "disabled" => ("disable", active),
            "reloaded" => ("reload", active),
            _ => ("reset", true),
        };
        if differs {
            changed = true;
            steps.push(words(&["-f", word]));
        }
    }
    if let Some(level) = args.text("logging") {
        let now = before.0.lines().find_map(|line| line.strip_prefix("Logging: ")).unwrap_or_default();
        let wanted = match level {
            "off" => now.starts_with("off"),
            "on" => now.starts_with("on"),
            other => now.contains(&format!("({other})")),
        };
        if !wanted {
            changed = true;
            steps.push(words(&["logging", level]));
        }
    }
    if let Some(policy) = args.text("default") {
        let direction = match args.text("direction").unwrap_or("incoming") {
            "in" => "incoming",
            "out" => "outgoing",
            other => other,
        };
        let now = before.0.lines().find_map(|line| line.strip_prefix("Default: ")).unwrap_or_default();
        if !now.contains(&format!("{policy} ({direction})")) {
            changed = true;
            steps.push(words(&["default", policy, direction]));
        }
    }
    if let Some(action) = args.text("rule") {
        steps.push(ufw_rule(task, action));
    }
    let mut by_rule = false;
    for step in &steps {
        let dry = task.check() && args.has("rule");
        if task.check() && !dry {
            continue;
        }
        let step =
            if task.check() { [vec!["--dry-run".to_owned()], step.clone()].concat() } else { step.clone() };
        let said = go(&step)?.out_text();
        by_rule |= task.check() && !said.lines().any(|line| line.starts_with("Skipping"));
        commands.push(std::iter::once(program.clone()).chain(step).collect::<Vec<_>>().join(" "));
    }
    if task.check() {
        changed |= by_rule && args.has("rule");
    } else if !steps.is_empty() {
        let after = (status()?, rules("")?);
        changed |= after != before;
    }
    let now = if task.check() { before.0 } else { status()? };
    Ok(map([("changed", changed.into()), ("commands", commands.into()), ("msg", now.trim_end().into())]))
}

fn ufw_rule(task: &Task<'_>, action: &str) -> Vec<String> {
    let args = &task.args;
    let mut out: Vec<String> = Vec::new();
    let mut push = |words: &[&str]| out.extend(words.iter().map(|word| (*word).to_owned()));
    if args.flag("route") {
        push(&["route"]);
    }
    if args.flag("delete") {
        push(&["delete"]);
    }
    if let Some(at) = args.int("insert") {
        push(&["insert", &at.to_string()]);
    }
    push(&[action]);
    if let Some(direction) = args.text("direction") {
        push(&[match direction {
            "incoming" => "in",
            "outgoing" => "out",
            other => other,
        }]);
    }
    for (name, words) in
        [("interface", vec!["on"]), ("interface_in", vec!["in", "on"]), ("interface_out", vec!["out", "on"])]
    {
        if let Some(interface) = args.filled(name) {
            push(&words);
            push(&[interface]);
        }
    }
    if args.flag("log") {
        push(&["log"]);
    }
    for (name, word) in [
        ("from_ip", "from"),
        ("from_port", "port"),
        ("to_ip", "to"),
        ("to_port", "port"),
        ("proto", "proto"),
        ("name", "app"),
    ] {
        if let Some(value) = args.filled(name) {
            push(&[word, value]);
        }
    }
    if let Some(comment) = args.filled("comment") {
        push(&["comment", comment]);
    }
    out
}

const FIREWALLD_ARGS: &[Arg] = &[
    text("service"),
    text("port"),
    text("protocol"),
    text("rich_rule"),
    text("source"),
    text("interface"),
    text("zone"),
    text("masquerade"),
    text("icmp_block"),
    maybe("permanent"),
    flag("immediate", false),
    int("timeout").or_int(0),
    text("state").required().one_of(&["absent", "disabled", "enabled", "present"]),
    flag("offline", false),
];

pub(crate) const FIREWALLD: ModuleSpec = ModuleSpec::new("firewalld", FIREWALLD_ARGS, firewalld);

fn firewalld(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let program = task.need("firewall-cmd")?.to_string_lossy().into_owned();
    let on = matches!(args.or_empty("state"), "enabled" | "present");
    let permanent = args.flag("permanent");
    let mut thing = None;
    for name in ["service", "port", "protocol", "source", "interface", "icmp_block"] {
        if let Some(value) = args.filled(name) {
            thing = Some((name.replace('_', "-"), format!("={value}"), value.to_owned()));
        }
    }
    if let Some(rule) = args.filled("rich_rule") {
        thing = Some(("rich-rule".to_owned(), format!("={rule}"), rule.to_owned()));
    }
    if args.has("masquerade") {
        thing = Some(("masquerade".to_owned(), String::new(), "masquerade".to_owned()));
    }
    let Some((kind, value, shown)) = thing else {
        return fail(
            "one of service, port, protocol, source, interface, rich_rule, masquerade or icmp_block is wanted",
        );
    };
    let mut places: Vec<bool> = Vec::new();
    if permanent {
        places.push(true);
    }
    if args.flag("immediate") || !permanent {
        places.push(false);
    }
    let (mut changed, mut messages) = (false, Vec::new());
    for stored in places {
        let mut base = vec![program.clone()];
        base.extend(stored.then(|| "--permanent".to_owned()));
        base.extend(args.filled("zone").map(|zone| format!("--zone={zone}")));
        let with = |option: String| [base.clone(), vec![option]].concat();
        let there = task.run_plain(with(format!("--query-{kind}{value}")))?.rc == 0;
        if there == on {
            continue;
        }
        changed = true;
        let how = if stored { "Permanent" } else { "Non-permanent" };
        messages.push(format!("{how} operation, Changed {kind} {shown} to {}", args.or_empty("state")));
        if !task.check() {
            let mut argv = with(format!("--{}-{kind}{value}", if on { "add" } else { "remove" }));
            if let Some(seconds) = args.int("timeout").filter(|seconds| *seconds > 0 && on && !stored) {
                argv.push(format!("--timeout={seconds}"));
            }
            let ran = task.run_plain(&argv)?;
            if ran.rc != 0 {
                return fail(format!(
                    "ERROR: Exception caught: {}{}",
                    ran.err_text().trim(),
                    ran.out_text().trim()
                ));
            }
        }
    }
    Ok(map([("changed", changed.into()), ("msg", messages.join(", ").into())]))
}
