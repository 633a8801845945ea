//! Whole files: the examples, bombs, and text that nobody would write.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use wellkept_keep::{PROBLEMS_MAX, TEXT_MAX, parse, parse_bytes};
use wellkept_model::ActionKind;
use wellkept_model::keep::{Budget, FileKind, Identity, Keep, Mode, Probe};

const SHOP: &str = include_str!("../../../examples/shop/wellkept.yml");
/// Slow machines run these tests too; a bomb that goes off takes minutes.
const QUICKLY: Duration = Duration::from_secs(20);

fn accepted(text: &str) -> Keep {
    parse("k.yml", text).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_example_of_the_shop_is_accepted() {
    let keep = accepted(SHOP);
    let names: Vec<&str> = keep.services.keys().map(String::as_str).collect();
    assert_eq!(names, ["app", "cache", "cron", "db", "db-standby", "edge", "resolver", "web", "worker"]);
    for (name, service) in &keep.services {
        assert_eq!(service.identity, Identity::Pidfile(format!("/run/{name}.pid").into()));
        assert_eq!(service.start.as_ref().expect("start").argv, ["shopctl", "start", name]);
        assert!(service.may.contains(&ActionKind::Restart) && service.may.contains(&ActionKind::Resume));
        assert!(service.files.iter().all(|f| !f.path.to_string_lossy().contains("password")));
    }
    assert_eq!(keep.services["db"].may, [ActionKind::Restart, ActionKind::Resume]);
    assert_eq!(keep.services["app"].health.len(), 3);
    assert_eq!(keep.services["app"].starts_itself_within, Some(Duration::from_secs(5)));
    assert_eq!(keep.automation.mode, Mode::Act);
    assert_eq!(keep.filesystems["/data"].free_space[0].glob, "/data/tmp/export-*.bin");
    assert_eq!(keep.change_logs, [std::path::PathBuf::from("/var/lib/shop/changes.jsonl")]);
}

/// The keep file of the design, with the identity and the services that it leaves out.
const DESIGN: &str = "\
services:
  app:
    pidfile: /run/app.pid
    start: /srv/shop/bin/app start        # also stop, reload, restart; or `unit: app.service`, or `pidfile:`
    health: { http: http://127.0.0.1:9000/healthz, expect: 200, within: 2s }
    user: shop
    listens: [127.0.0.1:9000]
    depends_on: [db, cache, resolver]
    release: { current: /srv/shop/current, from: /srv/shop/releases }
    files:
      - { path: /srv/shop/env, kind: setting }     # its last good version is kept and can be put back
    may: [restart, rollback, restore]              # without asking; everything else is proposed
  db: { unit: postgresql@15-main.service }
  cache: { cgroup: /shop/cache }
  resolver: { program: { exe: /usr/sbin/dnsmasq } }
filesystems:
  /data:
    free_space: [{ glob: /data/tmp/export-*.bin, unless_open: true }]
    never_touch: [/data/uploads]
automation: { mode: act, at_once: 1, attempts: 3 per target per hour, confirm: [isolate] }
";

#[test]
fn the_example_of_the_design_means_what_it_says() {
    let keep = accepted(DESIGN);
    let app = &keep.services["app"];
    assert_eq!(app.start.as_ref().expect("start").argv, ["/srv/shop/bin/app", "start"]);
    assert_eq!(app.start.as_ref().expect("start").within, Duration::from_secs(30));
    let check = &app.health[0];
    assert_eq!((check.name.as_str(), check.failures), ("http 127.0.0.1:9000/healthz", 2));
    assert_eq!((check.within, check.every), (Duration::from_secs(2), Duration::from_secs(1)));
    assert!(matches!(&check.probe, Probe::Http { status: 200, contains: None, .. }));
    assert_eq!(app.listens, ["127.0.0.1:9000".parse().expect("address")]);
    assert_eq!(app.depends_on, ["db", "cache", "resolver"]);
    assert_eq!(app.files[0].kind, FileKind::Setting);
    assert_eq!(app.may, [ActionKind::Restart, ActionKind::Rollback, ActionKind::Restore]);
    assert_eq!(
        keep.services["db"].restart.as_ref().expect("by unit").argv,
        ["systemctl", "restart", "postgresql@15-main.service"]
    );
    assert_eq!(keep.filesystems["/data"].full_at, 0.95);
    assert!(keep.filesystems["/data"].free_space[0].unless_open);
    assert_eq!(keep.automation.attempts, Budget { count: 3, per: Duration::from_secs(3600) });
    assert_eq!(keep.automation.confirm, [ActionKind::Isolate]);
}

#[test]
fn an_empty_file_keeps_the_safe_values() {
    for text in ["", "\n\n", "# nothing\n", "---\n", "services:\nfilesystems:\n", "{}"] {
        assert_eq!(accepted(text), Keep::default(), "{text:?}");
    }
}

#[test]
fn every_form_of_a_command_and_a_check_is_read() {
    let keep = accepted(
        "services:
  a:
    program: { exe: /usr/bin/python3, user: shop, argument: /srv/x y.py }
    start: '\"/srv/my app\" --name \"a b\"'
    stop: [/bin/kill, -TERM, '12', '']
    restart: { shell: 'cd /srv && ./run > log', within: 5s }
    reload: { run: [systemctl, reload, a], within: 500ms }
    health:
      - { tcp: '[::1]:5432', name: database }
      - { exec: [pg_isready, -q], within: 3s }
      - { exec: { shell: 'a | b' }, every: 10s, failures: 5 }
      - { http: 'https://a.test/x?y=1', expect: 404, contains: \"not\\nfound\" }
    files: [/etc/a.conf, { path: /etc/b.conf, kind: content }]
    depends_on: b
  b: { pidfile: /run/b.pid, start: &start [b, start], restart: *start }
unusual:
  - { name: latency, query: 'rate(x[1m])', score: 4.5, hold: 1m }
  - { name: errors, query: errors }
",
    );
    let a = &keep.services["a"];
    let argv = |c: &Option<wellkept_model::keep::Command>| c.as_ref().expect("command").argv.clone();
    assert_eq!(argv(&a.start), ["/srv/my app", "--name", "a b"]);
    assert_eq!(argv(&a.stop), ["/bin/kill", "-TERM", "12", ""]);
    assert_eq!(argv(&a.restart), ["/bin/sh", "-c", "cd /srv && ./run > log"]);
    assert_eq!(a.restart.as_ref().expect("restart").within, Duration::from_secs(5));
    assert_eq!(a.reload.as_ref().expect("reload").within, Duration::from_millis(500));
    let names: Vec<&str> = a.health.iter().map(|h| h.name.as_str()).collect();
    assert_eq!(names, ["database", "exec pg_isready -q", "exec /bin/sh -c a | b", "http a.test/x?y=1"]);
    let Probe::Exec { command } = &a.health[1].probe else { panic!("exec expected") };
    assert_eq!((command.within, a.health[1].every), (Duration::from_secs(3), Duration::from_secs(5)));
    assert_eq!(a.health[2].failures, 5);
    assert_eq!(a.files[0].kind, FileKind::Config);
    assert_eq!(argv(&keep.services["b"].restart), ["b", "start"]);
    assert_eq!((keep.unusual[0].score, keep.unusual[0].hold), (4.5, Duration::from_secs(60)));
    assert_eq!((keep.unusual[1].score, keep.unusual[1].hold), (6.0, Duration::from_secs(30)));
}

#[test]
fn a_mistake_below_an_alias_is_pointed_at_where_the_alias_stands() {
    let text = "services:\n  a: { pidfile: /a, start: &s [x] }\n  b: { pidfile: /b, health: *s }\n";
    let errors = parse("k.yml", text).unwrap_err();
    assert!(errors.problems.iter().all(|p| p.path.starts_with("services.b.health")), "{errors}");
    assert!(!errors.problems.is_empty());
}

fn refused_quickly(name: &str, text: &str) {
    #[expect(clippy::disallowed_methods, reason = "the test measures that a bomb does not go off")]
    let begin = Instant::now();
    let errors = parse("k.yml", text).err();
    assert!(begin.elapsed() < QUICKLY, "{name}: {:?}", begin.elapsed());
    let errors = errors.unwrap_or_else(|| panic!("{name} was accepted"));
    let rendered = errors.render(false);
    assert!(rendered.len() < 100_000, "{name}: {} bytes of message", rendered.len());
    assert!(errors.problems.len() <= PROBLEMS_MAX);
}

#[test]
fn bombs_are_refused_quickly_and_in_few_words() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    let chain: String =
        (0..5000).map(|i| format!("  s{i}: {{ pidfile: /a, depends_on: [s{}] }}\n", i + 1)).collect();
    let cases: Vec<(&str, String)> = vec![
        ("billion laughs", laughs),
        ("many aliases", format!("a: &a 1\nb: [{}]\n", "*a, ".repeat(10_000))),
        ("deep flow", format!("a: {}{}\n", "[".repeat(100_000), "]".repeat(100_000))),
        ("deep flow, unclosed", "[".repeat(500_000)),
        ("deep maps", format!("{}1{}", "{a: ".repeat(100_000), "}".repeat(100_000))),
        ("deep block", (0..900).map(|i| format!("{}a:\n", " ".repeat(i))).collect()),
        ("deep lists in a line", "- ".repeat(300_000)),
        ("question marks", "? ".repeat(300_000)),
        ("ten megabytes", "services: {}\n#".to_owned() + &"x".repeat(10 * 1024 * 1024)),
        ("ten megabytes of items", "- a\n".repeat(2_500_000)),
        ("many keys", (0..60_000).map(|i| format!("k{i}: 1\n")).collect()),
        ("many mistakes", (0..5_000).map(|i| format!("k{i}: 1\n")).collect()),
        ("one key often", "services: {}\n".repeat(20_000)),
        ("long key", format!("{}: 1\n", "k".repeat(TEXT_MAX / 2))),
        ("long value", format!("services: {}\n", "v".repeat(TEXT_MAX / 2))),
        ("long chain of services", format!("services:\n{chain}")),
        ("an alias to itself", "services: &a [*a]\n".to_owned()),
        ("tags", "services: !!binary x\n".to_owned()),
        ("long number", format!("automation: {{ at_once: {} }}\n", "9".repeat(100_000))),
        ("not a number", "automation: { at_once: .nan }\n".to_owned()),
        ("nul", "services: \0\n".to_owned()),
        ("many directives", "%A b\n".repeat(100_000)),
        ("anchors", (0..20_000).map(|i| format!("a{i}: &a{i} 1\n")).collect()),
    ];
    for (name, text) in &cases {
        refused_quickly(name, text);
    }
}

#[test]
fn a_bomb_of_aliases_is_refused_in_words_of_its_own() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..9 {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    let told = parse("k.yml", &laughs).expect_err("a bomb").to_string();
    assert!(told.contains("too many anchors and aliases") && told.contains("k.yml:"), "{told}");
    assert!(!told.contains("budget"), "{told}");
}

/// What a fuzz target calls: any bytes give a keep file or errors that can be shown.
fn fuzz(bytes: &[u8]) {
    if let Err(errors) = parse_bytes("fuzz.yml", bytes) {
        assert!(!errors.problems.is_empty());
        let rendered = errors.render(true);
        assert!(!errors.render(false).contains(|c: char| c.is_control() && c != '\n'), "{rendered:?}");
        for problem in &errors.problems {
            assert!(!problem.message_en().starts_with("keep.") && !problem.help_en().starts_with("keep."));
            assert!(
                problem.line as usize <= bytes.split(|b| matches!(b, b'\n' | b'\r')).count() + 1,
                "{rendered}"
            );
        }
    }
}

/// Pieces that reach deeper than random characters do.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(
            [
                "services:",
                "app:",
                "pidfile: /run/a",
                "start:",
                "health:",
                "{ http: http://a }",
                "[",
                "]",
                "{",
                "}",
                "- ",
                "\n",
                "\n  ",
                "\n    ",
                "&a ",
                "*a",
                "<<: ",
                "? ",
                ": ",
                "'",
                "\"",
                "| ",
                "> ",
                "!!str ",
                "#",
                "---",
                "may: [restart]",
                "depends_on: [app]",
                "filesystems:",
                "/data:",
                "free_space:",
                "glob: /data/x*",
                "95%",
                "automation:",
                "mode: act",
                "1s",
                "listens: [1.2.3.4:5]",
                "\t",
                "\r",
                "\r\n",
                "\u{feff}",
                "名字",
                "...",
                "%YAML 1.2\n",
            ]
            .map(str::to_owned)
            .to_vec()
        ),
        ".{0,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&bytes);
    }

    #[test]
    fn random_text_never_panics(text in "\\PC{0,200}") {
        fuzz(text.as_bytes());
    }

    #[test]
    fn pieces_of_keep_files_never_panic(pieces in proptest::collection::vec(piece(), 0..40)) {
        fuzz(pieces.concat().as_bytes());
    }

    #[test]
    fn a_damaged_example_never_panics(
        at in 0usize..SHOP.len(),
        cut in 0usize..40,
        put in piece(),
    ) {
        let chars: Vec<char> = SHOP.chars().collect();
        let at = at.min(chars.len());
        let to = (at + cut).min(chars.len());
        let text: String = chars[..at].iter().copied().chain(put.chars()).chain(chars[to..].iter().copied()).collect();
        fuzz(text.as_bytes());
    }
}

#[test]
fn every_example_of_the_manual_is_accepted_in_both_languages() {
    for manual in
        [include_str!("../../../docs/keep-file.md"), include_str!("../../../docs/keep-file.zh-CN.md")]
    {
        let examples: Vec<&str> =
            manual.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(examples.len() > 8, "{}", examples.len());
        for example in examples {
            // An indented one shows keys of a service.
            if example.starts_with("    ") {
                accepted(&format!("services:\n  app:\n    pidfile: /run/app.pid\n{example}"));
                continue;
            }
            accepted(example);
        }
    }
}

#[test]
fn what_lies_beside_services_is_read_with_its_defaults() {
    let keep = accepted(
        "services: { db: { pidfile: /run/db.pid, resolves: { at: 127.0.0.1:53, names: { a.b: ::1 } } } }\n\
         networks: { n: { links: [eth0], may: reconfigure } }\n\
         databases: { db: { sql: psql -AtqX, end_sessions: { report gen: 5s }, vacuum: orders, cluster: c, explain: true, \
         schema: { orders: [id, total] }, may: [terminate_session, free_space] } }\n\
         caches: { db: { redis: /run/r.sock, memory: 1MiB, queues: { jobs: { limit: 9, dead_letter: d } }, \
         may: [reconfigure, isolate] } }\n\
         proxies: { db: { error_log: /l, loaded_by: start } }\n\
         keys: { k: { file: /k, used_by: db, renew: make-it, may: reconfigure } }\n\
         versions: { v: { of: { db: psql --version }, numbers: 2 } }\n\
         signals: { db: { latency: up, busy: \"max(x)\" } }\n\
         data: { d: { service: db, test: look } }\n\
         credentials: { c: { store: /s, user: u, sync: sync-it, may: reconfigure } }\n\
         backups: { b: { files: /b/*.gz, credential: c, run: back-up, may: run_backup } }\n\
         dependencies: { pay: { http: http://pay/, fallback: { on: a, off: b }, may: reconfigure } }\n",
    );
    let w = &keep.watched;
    assert_eq!(w.networks["n"].links["eth0"], None);
    assert_eq!(w.databases["db"].end_sessions["report gen"], Duration::from_secs(5));
    assert!(!w.proxies["db"].loaded_by_workers && w.keys["k"].before == Duration::from_secs(86_400));
    assert_eq!((w.versions["v"].numbers, w.data["d"].every), (2, Duration::from_secs(3600)));
    assert_eq!(w.signals["db"].len(), 2);
    let jobs = &w.caches["db"].queues["jobs"];
    assert_eq!((jobs.limit, jobs.takes_left, jobs.stuck), (9, false, Duration::from_secs(30)));
    assert_eq!((jobs.dead_letter.as_deref(), w.caches["db"].memory), (Some("d"), Some(1 << 20)));
    let care = &w.databases["db"].care;
    assert_eq!((care.vacuum.as_slice(), care.cluster.as_deref()), (&["orders".to_owned()][..], Some("c")));
    assert_eq!(
        (care.schema["orders"].len(), care.deadlocks, care.lock_wait),
        (2, 3, Duration::from_secs(10))
    );
    assert!(care.explain && !wellkept_model::keep::DatabaseCare::default().explain);
    assert_eq!((w.databases["db"].full_at, w.backups["b"].min_size), (0.9, 1));
    assert_eq!(w.dependencies["pay"].slow, Duration::from_secs(1));
    assert_eq!(keep.services["db"].resolves.as_ref().map(|r| r.names.len()), Some(1));
}
