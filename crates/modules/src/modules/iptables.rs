//! `iptables`, `ufw` and `firewalld`: rules of the firewall, by the host's programs.

use serde_json::Value;

use crate::base::program::Ran;
use crate::base::{Done, Fail, Result, Task, fail, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, int, list, map as map_arg, maybe, text};

const ARGS: &[Arg] = &[
    text("table").or("filter").one_of(&["filter", "nat", "mangle", "raw", "security"]),
    text("state").or("present").one_of(&["absent", "present"]),
    text("action").or("append").one_of(&["append", "insert"]),
    text("ip_version").or("ipv4").one_of(&["ipv4", "ipv6", "both"]),
    text("chain"),
    text("rule_num"),
    text("protocol"),
    text("wait"),
    text("source"),
    text("to_source"),
    text("destination"),
    text("to_destination"),
    list("match").or_list(&[]),
    map_arg("tcp_flags").with(&[list("flags"), list("flags_set")]),
    text("jump"),
    text("gateway"),
    text("log_prefix"),
    text("log_level").one_of(&[
        "0", "1", "2", "3", "4", "5", "6", "7", "emerg", "alert", "crit", "error", "warning", "notice",
        "info", "debug",
    ]),
    text("goto"),
    text("in_interface"),
    text("out_interface"),
    text("fragment"),
    text("set_counters"),
    text("source_port"),
    text("destination_port"),
    list("destination_ports").or_list(&[]),
    text("to_ports"),
    text("set_dscp_mark"),
    text("set_dscp_mark_class"),
    text("comment"),
    list("ctstate").or_list(&[]),
    text("src_range"),
    text("dst_range"),
    text("match_set"),
    text("match_set_flags").one_of(&["src", "dst", "src,dst", "dst,src", "src,src", "dst,dst"]),
    text("limit"),
    text("limit_burst"),
    text("uid_owner"),
    text("gid_owner"),
    text("reject_with"),
    text("icmp_type"),
    text("syn").or("ignore").one_of(&["ignore", "match", "negate"]),
    flag("flush", false),
    text("policy").one_of(&["ACCEPT", "DROP", "QUEUE", "RETURN"]),
    flag("chain_management", false),
    flag("numeric", false),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("iptables", ARGS, run).rules(&[
    Rule::Exclusive(&["set_dscp_mark", "set_dscp_mark_class"]),
    Rule::Exclusive(&["flush", "policy"]),
    Rule::IfAll("jump", "TEE", &["gateway"]),
    Rule::IfAll("jump", "tee", &["gateway"]),
    Rule::IfAll("flush", "false", &["chain"]),
    Rule::By("set_dscp_mark", &["jump"]),
    Rule::By("set_dscp_mark_class", &["jump"]),
]);

/// The words of a rule, in the order in which Ansible writes them.
#[expect(clippy::too_many_lines, reason = "a flat list of options in a fixed order")]
fn rule(task: &Task<'_>, jump: Option<&str>, version: &str) -> Vec<String> {
    let args = &task.args;
    let mut out: Vec<String> = Vec::new();
    let mut push = |words: &[&str]| out.extend(words.iter().map(|word| (*word).to_owned()));
    let signed = |push: &mut dyn FnMut(&[&str]), option: &str, value: Option<&str>| {
        if let Some(value) = value {
            match value.strip_prefix('!') {
                Some(not) => push(&["!", option, not]),
                None => push(&[option, value]),
            }
        }
    };
    let text = |name: &str| args.filled(name);
    for (name, option) in [("protocol", "-p"), ("source", "-s"), ("destination", "-d")] {
        signed(&mut push, option, text(name));
    }
    let matches = args.list("match");
    for one in &matches {
        signed(&mut push, "-m", Some(one));
    }
    if let Some(flags) = args.map("tcp_flags") {
        let part = |name: &str| -> Option<String> {
            let items = flags.get(name)?.as_array()?;
            Some(items.iter().map(crate::base::python::text).collect::<Vec<_>>().join(","))
        };
        if let (Some(flags), Some(set)) = (part("flags"), part("flags_set")) {
            push(&["--tcp-flags", &flags, &set]);
        }
    }
    signed(&mut push, "-j", jump);
    if jump.is_some_and(|jump| jump.eq_ignore_ascii_case("tee")) {
        signed(&mut push, "--gateway", text("gateway"));
    }
    for (name, option) in
        [("log_prefix", "--log-prefix"), ("log_level", "--log-level"), ("to_destination", "--to-destination")]
    {
        signed(&mut push, option, text(name));
    }
    let ports = args.list("destination_ports");
    if !ports.is_empty() {
        push(&["-m", "multiport", "--dports", &ports.join(",")]);
    }
    for (name, option) in [
        ("to_source", "--to-source"),
        ("goto", "-g"),
        ("in_interface", "-i"),
        ("out_interface", "-o"),
        ("fragment", "-f"),
        ("set_counters", "-c"),
        ("source_port", "--source-port"),
        ("destination_port", "--destination-port"),
        ("to_ports", "--to-ports"),
    ] {
        signed(&mut push, option, text(name));
    }
    for (name, option) in [("set_dscp_mark", "--set-dscp"), ("set_dscp_mark_class", "--set-dscp-class")] {
        signed(&mut push, option, text(name));
        if text(name).is_some() && !jump.is_some_and(|jump| jump.eq_ignore_ascii_case("dscp")) {
            push(&["-j", "DSCP"]);
        }
    }
    match args.or_empty("syn") {
        "match" => push(&["--syn"]),
        "negate" => push(&["!", "--syn"]),
        _ => {}
    }
    let has = |name: &str| matches.iter().any(|one| one == name);
    let states = args.list("ctstate").join(",");
    if !states.is_empty() {
        match (has("conntrack"), has("state")) {
            (true, _) => push(&["--ctstate", &states]),
            (false, true) => push(&["--state", &states]),
            _ => push(&["-m", "conntrack", "--ctstate", &states]),
        }
    }
    if (text("src_range").is_some() || text("dst_range").is_some()) && !has("iprange") {
        push(&["-m", "iprange"]);
    }
    signed(&mut push, "--src-range", text("src_range"));
    signed(&mut push, "--dst-range", text("dst_range"));
    if let Some(set) = text("match_set") {
        if !has("set") {
            push(&["-m", "set"]);
        }
        signed(&mut push, "--match-set", Some(set));
        push(&args.filled("match_set_flags").into_iter().collect::<Vec<_>>());
    }
    if text("limit").is_some() || text("limit_burst").is_some() {
        push(&["-m", "limit"]);
    }
    signed(&mut push, "--limit", text("limit"));
    signed(&mut push, "--limit-burst", text("limit_burst"));
    for (name, option) in [("uid_owner", "--uid-owner"), ("gid_owner", "--gid-owner")] {
        if let Some(owner) = text(name) {
            push(&["-m", "owner"]);
            signed(&mut push, option, Some(owner));
        }
    }
    if jump.is_none() && text("reject_with").is_some() {
        push(&["-j", "REJECT"]);
    }
    signed(&mut push, "--reject-with", text("reject_with"));
    let icmp = if version == "ipv6" { "--icmpv6-type" } else { "--icmp-type" };
    signed(&mut push, icmp, text("icmp_type"));
    if let Some(comment) = text("comment") {
        push(&["-m", "comment"]);
        signed(&mut push, "--comment", Some(comment));
    }
    out
}

fn must(ran: Ran, argv: &[String]) -> Result<Ran> {
    if ran.rc == 0 {
        return Ok(ran);
    }
    let cmd = argv.iter().map(|word| crate::base::words::quote(word)).collect::<Vec<_>>().join(" ");
    Err(Fail::new(ran.err_text().trim_end())
        .with("cmd", cmd)
        .with("rc", ran.rc)
        .with("stdout", ran.out_text())
        .with("stderr", ran.err_text()))
}

fn run(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let version = args.or_empty("ip_version").to_owned();
    let given = args.filled("jump").map(str::to_owned);
    let shown = rule(task, given.as_deref(), &version).join(" ");
    let logs = args.has("log_prefix") || args.has("log_level");
    if logs && given.as_deref().is_some_and(|jump| jump != "LOG") {
        return fail("Logging options can only be used with the LOG jump target.");
    }
    let jump = given.or_else(|| logs.then(|| "LOG".to_owned()));
    let versions: &[&str] = match version.as_str() {
        "both" => &["ipv4", "ipv6"],
        "ipv6" => &["ipv6"],
        _ => &["ipv4"],
    };
    let mut changed = false;
    for one in versions {
        let program =
            task.need(if *one == "ipv4" { "iptables" } else { "ip6tables" })?.to_string_lossy().into_owned();
        changed |= apply(task, &program, rule(task, jump.as_deref(), &version), &shown)?;
    }
    Ok(map([
        ("changed", changed.into()),
        ("ip_version", version.into()),
        ("table", args.or_empty("table").into()),
        ("chain", args.get("chain").cloned().unwrap_or_default()),
        ("flush", args.flag("flush").into()),
        ("rule", shown.into()),
        ("state", args.or_empty("state").into()),
        ("chain_management", args.flag("chain_management").into()),
        ("wait", args.get("wait").cloned().unwrap_or(Value::Null)),
    ]))
}

/// Makes it so with one program; whether something changed (or would).
fn apply(task: &Task<'_>, program: &str, rule: Vec<String>, shown: &str) -> Result<bool> {
    let args = &task.args;
    let base = |action: &str, more: &[String]| -> Vec<String> {
        let mut argv = vec![program.to_owned(), "-t".into(), args.or_empty("table").into(), action.into()];
        argv.extend(args.filled("chain").map(str::to_owned));
        argv.extend(args.filled("rule_num").filter(|_| action == "-I").map(str::to_owned));
        if let Some(wait) = args.filled("wait") {
            argv.extend(["-w".into(), wait.to_owned()]);
        }
        argv.extend_from_slice(more);
        argv
    };
    let go = |argv: Vec<String>| -> Result<Ran> { must(task.run(&argv)?, &argv) };
    let numeric: Vec<String> = args.flag("numeric").then(|| "--numeric".to_owned()).into_iter().collect();
    must(task.run([program, "--version"])?, &[program.to_owned(), "--version".to_owned()])?;
    if args.flag("flush") {
        if !task.check() {
            go(base("-F", &[]))?;
        }
        return Ok(true);
    }
    if let Some(policy) = args.filled("policy") {
        let said = go(base("-L", &numeric))?.out_text();
        let now = said
            .lines()
            .next()
            .and_then(|line| Some(line.split_once("(policy ")?.1.split([')', ' ']).next()?.to_owned()));
        let Some(now) = now else { return fail("Can't detect current policy") };
        if now != policy && !task.check() {
            go(base("-P", &[policy.to_owned()]))?;
        }
        return Ok(now != policy);
    }
    let present = args.text("state") == Some("present");
    if shown.is_empty() {
        let there = task.run(base("-L", &numeric))?.rc == 0;
        if there != present && args.flag("chain_management") && !task.check() {
            go(base(if present { "-N" } else { "-X" }, &[]))?;
        }
        return Ok(there != present);
    }
    if (task.run(base("-C", &rule))?.rc == 0) == present {
        return Ok(false);
    }
    if !task.check() {
        let action = match (present, args.text("action")) {
            (false, _) => "-D",
            (true, Some("insert")) => "-I",
            _ => "-A",
        };
        go(base(action, &rule))?;
    }
    Ok(true)
}

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
