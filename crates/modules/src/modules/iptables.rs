//! `iptables`: rules of the firewall, by the host's program.

use serde_json::Value;

use crate::base::program::Ran;
use crate::base::{Done, Fail, Result, Task, fail, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, list, map as map_arg, text};

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
