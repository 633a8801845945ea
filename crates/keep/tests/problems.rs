//! Each mistake a keep file can hold: where it is pointed at, what is said, and what is offered instead.

use wellkept_keep::{KeepErrors, parse};

/// A file with one service `app` whose further keys are given.
fn app(keys: &str) -> String {
    format!("services:\n  app:\n    pidfile: /run/app.pid\n{keys}")
}

fn errors(text: &str) -> KeepErrors {
    match parse("wellkept.yml", text) {
        Ok(keep) => panic!("accepted: {text}\n{keep:?}"),
        Err(errors) => errors,
    }
}

/// Exactly one problem: place, key path, message key, and words of the English help.
#[track_caller]
fn check(text: &str, place: (u32, u32), path: &str, key: &str, help: &str) {
    let errors = errors(text);
    let [problem] = errors.problems.as_slice() else { panic!("one problem expected for:\n{text}\n{errors}") };
    assert_eq!((problem.line, problem.column), place, "{errors}");
    assert_eq!(problem.path, path, "{errors}");
    assert_eq!(problem.message.key, key, "{errors}");
    assert!(problem.help_en().contains(help), "{help:?} expected in:\n{errors}");
    assert!(!problem.message_en().contains(['{', '}']) || text.contains('{'), "{errors}");
    assert_eq!(problem.file, "wellkept.yml");
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    check("service: {}\n", (1, 1), "service", "keep.unknown_key", "`services`");
    check(&app("    helth: { tcp: a:1 }\n"), (4, 5), "services.app.helth", "keep.unknown_key", "`health`");
    check(&app("    zzzzzz: 1\n"), (4, 5), "services.app.zzzzzz", "keep.unknown_key", "pidfile, unit");
    check(
        "filesystems:\n  /data: { ful_at: 95% }\n",
        (2, 12),
        "filesystems./data.ful_at",
        "keep.unknown_key",
        "`full_at`",
    );
    check("automation: { mod: act }\n", (1, 15), "automation.mod", "keep.unknown_key", "`mode`");
    check("changes: { file: [/a] }\n", (1, 12), "changes.file", "keep.unknown_key", "`files`");
    check(
        &app("    health:\n      - { tcp: a:1, evry: 1s }\n"),
        (5, 21),
        "services.app.health[0].evry",
        "keep.unknown_key",
        "`every`",
    );
}

#[test]
fn a_user_as_whom_a_service_is_started_must_be_one_of_the_host() {
    let on = |text: &str| {
        let users = ["root".to_owned(), "shop".to_owned()];
        match wellkept_keep::parse_bytes_on("wellkept.yml", text.as_bytes(), Some(&users)) {
            Ok(_) => Vec::new(),
            Err(e) => e.problems.into_iter().map(|p| (p.line, p.column, p.path, p.message.key)).collect(),
        }
    };
    let app = |users: (&str, &str), start: &str| {
        let (inside, beside) = users;
        format!("services:\n  app:\n    program: {{ exe: /bin/x{inside} }}\n{beside}    start: [{start}]\n")
    };
    let unknown =
        |line, column, path: &str| vec![(line, column, path.to_owned(), "keep.user_unknown".to_owned())];
    let beside = |name: &str| format!("    user: {name}\n");
    assert_eq!(on(&app(("", &beside("shopp")), "/bin/x")), unknown(4, 11, "services.app.user"));
    let inside = ", user: shopp";
    assert_eq!(on(&app((inside, ""), "/bin/x")), unknown(3, 35, "services.app.program.user"));
    for good in ["shop", "4242"] {
        assert!(on(&app(("", &beside(good)), "/bin/x")).is_empty(), "{good}");
    }
    let by_script = "services:\n  app:\n    pidfile: /run/a\n    user: shopp\n    start: /bin/x\n";
    assert!(on(by_script).is_empty(), "a start command of its own changes users itself");
    let anywhere = app((inside, ""), "/bin/x");
    assert!(parse("wellkept.yml", &anywhere).is_ok(), "the host may be another one");
}

#[test]
fn keys_are_given_once() {
    check(&app("    user: a\n    user: b\n"), (5, 5), "services.app.user", "keep.duplicate_key", "line 4");
    check(
        "services:\n  a: { pidfile: /a }\n  a: { pidfile: /b }\n",
        (3, 3),
        "services.a",
        "keep.duplicate_key",
        "line 2",
    );
    check(
        "services:\n  1: { pidfile: /a }\n  1: { pidfile: /b }\n",
        (3, 3),
        "1",
        "keep.duplicate_key",
        "once",
    );
}

#[test]
fn merge_keys_are_refused_in_words() {
    let text = "services:\n  a: &x { pidfile: /a }\n  b: { <<: *x, pidfile: /b }\n";
    check(text, (3, 8), "services.b.<<", "keep.merge_key", "alias");
}

#[test]
fn wrong_types_say_what_is_there_and_what_is_accepted() {
    check("services: [a]\n", (1, 11), "services", "keep.is_list", "map");
    check("services: 5\n", (1, 11), "services", "keep.is_value", "map");
    check("- a\n", (1, 1), "", "keep.is_list", "services");
    check(&app("    user: [a]\n"), (4, 11), "services.app.user", "keep.is_list", "user");
    check(&app("    user:\n    may: []\n"), (4, 9), "services.app.user", "keep.is_nothing", "user");
    check(&app("    health: yes\n"), (4, 13), "services.app.health", "keep.is_value", "tcp");
    check(&app("    user: ''\n"), (4, 11), "services.app.user", "keep.is_empty", "user");
    check(&app("    user: \"a\\u0007b\"\n"), (4, 11), "services.app.user", "keep.control_character", "user");
}

#[test]
fn names_of_services_are_bounded() {
    for name in ["App", "-a", "a/b", "ü", "'a b'", &"a".repeat(64)] {
        let text = format!("services:\n  {name}: {{ pidfile: /a }}\n");
        let path = format!("services.{}", name.trim_matches('\''));
        check(&text, (2, 3), &path, "keep.service_name", "1 to 63");
    }
    for name in ["a", "0a", "a_b.c-d", &"a".repeat(63)] {
        assert!(parse("k", &format!("services:\n  {name}: {{ pidfile: /a }}\n")).is_ok(), "{name}");
    }
}

#[test]
fn exactly_one_key_says_how_processes_are_found() {
    check(
        "services:\n  app: { start: /srv/app }\n",
        (2, 3),
        "services.app",
        "keep.identity_missing",
        "pidfile: /run",
    );
    check("services:\n  app:\n", (2, 3), "services.app", "keep.identity_missing", "unit: app.service");
    check(&app("    unit: a.service\n"), (4, 5), "services.app.unit", "keep.identity_twice", "exactly one");
    check("services: { a: { unit: nginx } }\n", (1, 24), "services.a.unit", "keep.is_value", "nginx.service");
    check(
        "services: { a: { pidfile: a.pid } }\n",
        (1, 27),
        "services.a.pidfile",
        "keep.is_value",
        "absolute",
    );
    check(
        "services: { a: { pidfile: /a/../b } }\n",
        (1, 27),
        "services.a.pidfile",
        "keep.is_value",
        "absolute",
    );
    check("services: { a: { cgroup: shop } }\n", (1, 26), "services.a.cgroup", "keep.is_value", "absolute");
    check(
        "services: { a: { program: { user: x } } }\n",
        (1, 27),
        "services.a.program",
        "keep.missing_key",
        "absolute",
    );
    check("services: { a: { program: /x } }\n", (1, 27), "services.a.program", "keep.is_value", "exe");
}

#[test]
fn commands_that_need_a_shell_or_a_folder_are_refused() {
    let at = |offset: u32| (4, 12 + offset);
    let path = "services.app.start";
    check(&app("    start: a | b\n"), at(2), path, "keep.command_operator", "shell:");
    check(&app("    start: a && b\n"), at(2), path, "keep.command_operator", "shell:");
    check(&app("    start: a b > /c\n"), at(4), path, "keep.command_operator", "shell:");
    check(&app("    start: a $HOME\n"), at(2), path, "keep.command_expansion", "shell:");
    check(&app("    start: rm /a/*.log\n"), at(6), path, "keep.command_expansion", "shell:");
    check(&app("    start: \"a | b\"\n"), at(0), path, "keep.command_operator", "shell:");
    check(&app("    start: a 'b\n"), at(2), path, "keep.command_quote", "close");
    check(&app("    start: bin/app\n"), at(0), path, "keep.command_program", "absolute");
    check(&app("    start: ./app\n"), at(0), path, "keep.command_program", "absolute");
    check(&app("    start: A=1 app\n"), at(0), path, "keep.command_assignment", "shell:");
    check(&app("    start: []\n"), at(0), path, "keep.command_empty", "program");
    check(
        &app("    start: [bin/app, x]\n"),
        at(1),
        "services.app.start[0]",
        "keep.command_program",
        "absolute",
    );
    check(&app("    start: [app, [x]]\n"), at(6), "services.app.start[1]", "keep.is_list", "argument");
    check(&app("    start: { within: 3s }\n"), at(0), path, "keep.shell_or_run", "{ run:");
    check(&app("    start: { shell: a, run: b }\n"), at(0), path, "keep.shell_or_run", "{ run:");
    check(
        &app("    start: { shell: a, withn: 1s }\n"),
        at(12),
        "services.app.start.withn",
        "keep.unknown_key",
        "`within`",
    );
    check(
        &app("    start: { shell: a, within: 2h }\n"),
        at(20),
        "services.app.start.within",
        "keep.is_value",
        "100ms to 1h",
    );
    check(
        &app("    start: [\"a\\0b\"]\n"),
        at(1),
        "services.app.start[0]",
        "keep.control_character",
        "argument",
    );
}

#[test]
fn a_permission_needs_its_means() {
    check(&app("    may: [restart]\n"), (4, 5), "services.app.may", "keep.may_without_means", "`start`");
    check(&app("    may: [rollback]\n"), (4, 5), "services.app.may", "keep.may_without_means", "`files`");
    check(
        &app("    may: [resume, restat]\n"),
        (4, 19),
        "services.app.may[1]",
        "keep.unknown_action",
        "`restart`",
    );
    check(&app("    may: [run_backup]\n"), (4, 5), "services.app.may", "keep.may_without_means", "`backups`");
    check(&app("    may: [back_up]\n"), (4, 11), "services.app.may[0]", "keep.unknown_action", "restart,");
    check(&app("    may: [reconfigure]\n"), (4, 5), "services.app.may", "keep.may_without_means", "`reopen`");
    assert!(parse("k", &app("    restart: a\n    may: [restart]\n")).is_ok());
    assert!(parse("k", "services: { a: { unit: a.service, may: [restart] } }").is_ok());
}

#[test]
fn health_checks_are_checked() {
    let path = "services.app.health";
    check(&app("    health: { every: 1s }\n"), (4, 13), path, "keep.probe_not_one", "{ tcp: host:port }");
    check(&app("    health: { tcp: a:1, http: http://a }\n"), (4, 13), path, "keep.probe_not_one", "http");
    check(
        &app("    health: { tcp: 6379 }\n"),
        (4, 20),
        "services.app.health.tcp",
        "keep.is_value",
        "host:port",
    );
    check(
        &app("    health: { http: a.b }\n"),
        (4, 21),
        "services.app.health.http",
        "keep.is_value",
        "http://host",
    );
    check(
        &app("    health: { http: http://u:p@a }\n"),
        (4, 21),
        "services.app.health.http",
        "keep.is_value",
        "password",
    );
    check(
        &app("    health: { http: http://a, expect: ok }\n"),
        (4, 39),
        "services.app.health.expect",
        "keep.is_value",
        "100 to 599",
    );
    check(
        &app("    health: { tcp: a:1, within: 2 }\n"),
        (4, 33),
        "services.app.health.within",
        "keep.is_value",
        "500ms",
    );
    check(
        &app("    health: { tcp: a:1, failures: 0 }\n"),
        (4, 35),
        "services.app.health.failures",
        "keep.is_value",
        "1 to 100",
    );
    check(
        &app("    health: { tcp: a:1, expect: 200 }\n"),
        (4, 25),
        "services.app.health.expect",
        "keep.only_for_http",
        "http",
    );
    check(
        &app("    health: { exec: a | b }\n"),
        (4, 23),
        "services.app.health.exec",
        "keep.command_operator",
        "shell:",
    );
    check(
        &app("    health: [{ tcp: a:1 }, { tcp: a:1 }]\n"),
        (4, 28),
        "services.app.health[1]",
        "keep.check_twice",
        "`name`",
    );
    check(
        &app("    health: [{ tcp: a:1, name: x }, { tcp: a:2, name: x }]\n"),
        (4, 37),
        "services.app.health[1]",
        "keep.check_twice",
        "`name`",
    );
}

#[test]
fn addresses_files_and_releases_are_checked() {
    check(
        &app("    listens: [9000]\n"),
        (4, 15),
        "services.app.listens[0]",
        "keep.is_value",
        "127.0.0.1:9000",
    );
    check(
        &app("    listens: localhost:80\n"),
        (4, 14),
        "services.app.listens",
        "keep.is_value",
        "127.0.0.1:9000",
    );
    check(
        &app("    release: { current: /a }\n"),
        (4, 14),
        "services.app.release",
        "keep.missing_key",
        "from:",
    );
    check(&app("    files: [/etc/*.conf]\n"), (4, 13), "services.app.files[0]", "keep.is_value", "wildcards");
    check(
        &app("    files: [{ kind: config }]\n"),
        (4, 13),
        "services.app.files[0]",
        "keep.missing_key",
        "path:",
    );
    check(
        &app("    files: [{ path: /a, kind: conf }]\n"),
        (4, 31),
        "services.app.files[0].kind",
        "keep.is_value",
        "config",
    );
    check(&app("    files: [/a, /a]\n"), (4, 17), "services.app.files[1]", "keep.file_twice", "once");
    check(&app("    uses: [data]\n"), (4, 12), "services.app.uses[0]", "keep.is_value", "absolute");
    check(
        &app("    starts_itself_within: soon\n"),
        (4, 27),
        "services.app.starts_itself_within",
        "keep.is_value",
        "5m",
    );
}

#[test]
fn dependencies_exist_and_form_no_circle() {
    let two = "services:\n  app: { pidfile: /a, depends_on: [bd] }\n  db: { pidfile: /b }\n";
    check(two, (2, 36), "services.app.depends_on[0]", "keep.unknown_service", "`db`");
    let own = "services:\n  a: { pidfile: /a, depends_on: a }\n";
    check(own, (2, 33), "services.a.depends_on", "keep.cycle", "remove");
    assert!(errors(own).to_string().contains("a → a"));
    let circle = "services:\n  a: { pidfile: /a, depends_on: [b] }\n  b: { pidfile: /b, depends_on: [c] }\n  \
                  c: { pidfile: /c, depends_on: [b] }\n";
    check(circle, (4, 34), "services.c.depends_on[0]", "keep.cycle", "remove");
    assert!(errors(circle).to_string().contains("b → c → b"));
    let diamond = "services:\n  a: { pidfile: /a, depends_on: [b, c] }\n  b: { pidfile: /b, depends_on: [d] }\n  \
                   c: { pidfile: /c, depends_on: [d] }\n  d: { pidfile: /d }\n";
    assert!(parse("k", diamond).is_ok());
}

#[test]
fn a_service_that_cannot_be_read_still_counts_as_known() {
    let text = "services:\n  app: { pidfile: /a, depends_on: [db] }\n  db: { pidfile: b }\n";
    check(text, (3, 18), "services.db.pidfile", "keep.is_value", "absolute");
}

#[test]
fn neighbours_of_a_service_that_cannot_be_read_are_checked_all_the_same() {
    let text = "services:\n  a: { start: /a, listens: '1.2.3.4:5', depends_on: [nobody] }\n  \
                b: { pidfile: /b, listens: '1.2.3.4:5' }\n";
    let keys: Vec<String> = errors(text).problems.into_iter().map(|p| p.message.key).collect();
    assert_eq!(keys, ["keep.identity_missing", "keep.unknown_service", "keep.address_clash"]);
}

#[test]
fn two_services_cannot_have_one_address() {
    let two = |a: &str, b: &str| {
        format!(
            "services:\n  a: {{ pidfile: /a, listens: ['{a}'] }}\n  b: {{ pidfile: /b, listens: ['{b}'] }}\n"
        )
    };
    for (a, b) in [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("127.0.0.1:80", "0.0.0.0:80"),
        ("[::]:80", "[::1]:80"),
    ] {
        check(&two(a, b), (3, 31), "services.b.listens[0]", "keep.address_clash", "0.0.0.0");
        assert!(errors(&two(a, b)).to_string().contains("`a` in line 2"));
    }
    for (a, b) in [("127.0.0.1:80", "127.0.0.2:80"), ("0.0.0.0:80", "0.0.0.0:81"), ("0.0.0.0:80", "[::]:80")]
    {
        assert!(parse("k", &two(a, b)).is_ok(), "{a} {b}");
    }
}

#[test]
fn rules_for_removing_files_are_narrow() {
    let rule = |glob: &str| format!("filesystems:\n  /data:\n    free_space: [{{ glob: '{glob}' }}]\n");
    let path = "filesystems./data.free_space[0].glob";
    for (glob, key) in [
        ("tmp/x*", "keep.glob_relative"),
        ("/data/tmp/*", "keep.glob_everything"),
        ("/data/*/x.bin", "keep.glob_folder"),
        ("/data/../x*", "keep.glob_dotdot"),
        ("/srv/x*", "keep.glob_elsewhere"),
        ("/data/[ab]*", "keep.glob_signs"),
    ] {
        check(&rule(glob), (3, 26), path, key, "/data/tmp/export-*.bin");
    }
    check(
        "filesystems: { /data: { free_space: [{ older_than: 1h }] } }\n",
        (1, 38),
        "filesystems./data.free_space[0]",
        "keep.missing_key",
        "export-*.bin",
    );
    check(
        "filesystems:\n  /data:\n    free_space: { glob: /data/x*, unless_open: false }\n",
        (3, 48),
        "filesystems./data.free_space.unless_open",
        "keep.unless_open_false",
        "leave it out",
    );
    check(
        "filesystems:\n  /data:\n    free_space: { glob: /data/up/x*.bin }\n    never_touch: /data/up\n",
        (3, 25),
        "filesystems./data.free_space.glob",
        "keep.rule_never_touch",
        "alone",
    );
    check(
        "filesystems:\n  /data:\n    free_space: { glob: /data/up* }\n    never_touch: /data/uploads\n",
        (3, 25),
        "filesystems./data.free_space.glob",
        "keep.rule_never_touch",
        "alone",
    );
    check(
        "filesystems:\n  /: { free_space: { glob: /data/x* } }\n  /data: {}\n",
        (2, 28),
        "filesystems./.free_space.glob",
        "keep.rule_other_filesystem",
        "/data",
    );
    check(
        &app("    files: /srv/app.conf\nfilesystems:\n  /: { free_space: { glob: /srv/app* } }\n"),
        (6, 28),
        "filesystems./.free_space.glob",
        "keep.rule_kept_file",
        "alone",
    );
    check("filesystems: { data: {} }\n", (1, 16), "filesystems.data", "keep.mount_point", "absolute");
    check(
        "filesystems: { /data: { full_at: 95 } }\n",
        (1, 34),
        "filesystems./data.full_at",
        "keep.is_value",
        "95%",
    );
}

#[test]
fn automation_changes_and_unusual_are_checked() {
    check("automation: { mode: actt }\n", (1, 21), "automation.mode", "keep.is_value", "`act`");
    check("automation: { at_once: 0 }\n", (1, 24), "automation.at_once", "keep.is_value", "1 to 10");
    check(
        "automation: { attempts: 3 }\n",
        (1, 25),
        "automation.attempts",
        "keep.is_value",
        "3 per target per hour",
    );
    check(
        "automation: { confirm: [kil] }\n",
        (1, 25),
        "automation.confirm[0]",
        "keep.unknown_action",
        "`kill`",
    );
    check("automation: { verify_hold: 5 }\n", (1, 28), "automation.verify_hold", "keep.is_value", "500ms");
    check("changes: { files: [a.jsonl] }\n", (1, 20), "changes.files[0]", "keep.is_value", "absolute");
    check("unusual: [{ name: a }]\n", (1, 11), "unusual[0]", "keep.missing_key", "PromQL");
    check(
        "unusual: [{ name: a, query: b, score: x }]\n",
        (1, 39),
        "unusual[0].score",
        "keep.is_value",
        "1 to 1000",
    );
    check(
        "unusual: [{ name: a, query: b }, { name: a, query: c }]\n",
        (1, 34),
        "unusual[1]",
        "keep.rule_twice",
        "once",
    );
}

#[test]
fn text_that_is_no_yaml_is_one_problem_with_its_place() {
    for (text, line) in [
        ("a: [1\nb: 2\n", 2),
        ("services:\n\tapp: 1\n", 2),
        ("a: *nope\n", 1),
        ("a: 'x\n", 1),
        ("a: b\n---\nc: d\n", 2),
    ] {
        let errors = errors(text);
        let problem = errors.problems.first().expect("problem");
        assert_eq!(errors.problems.len(), 1, "{errors}");
        assert!(problem.message.key == "keep.yaml" || problem.message.key == "keep.documents", "{errors}");
        assert!(problem.line >= line.min(problem.line) && problem.line > 0, "{errors}");
    }
    let errors = wellkept_keep::parse_bytes("k.yml", b"services:\n  \xff: 1\n").unwrap_err();
    assert_eq!((errors.problems[0].line, errors.problems[0].column), (2, 3));
}

#[test]
fn what_breaks_a_bound_is_said_in_words() {
    check("a: b\n---\nc: d\n", (2, 1), "", "keep.documents", "one YAML document");
    check(&format!("a: {}{}\n", "[".repeat(40), "]".repeat(40)), (1, 20), "", "keep.too_deep", "16 levels");
    let block: String = (0..40).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    check(&block, (17, 17), "", "keep.too_deep", "16 levels");
    let aliases = format!("a: &a 1\nb: [{}]\n", "*a,".repeat(200));
    check(&aliases, (2, 305), "", "keep.too_many_aliases", "100 aliases");
    check("services: &a [*a]\n", (1, 15), "", "keep.alias_to_itself", "YAML");
    check("? [a]\n: b\n", (1, 3), "", "keep.key_not_text", "text as key");
    check("~: 1\n", (1, 1), "", "keep.key_not_text", "text as key");
    check(&"- a\n".repeat(60_000), (50_000, 3), "", "keep.too_many_values", "50000 values");
    check(&"x".repeat(2 * 1024 * 1024), (0, 0), "", "keep.too_long", "1048576 bytes");
}

#[test]
fn places_are_right_with_every_kind_of_line_end() {
    for end in ["\n", "\r\n", "\r"] {
        let text = app("    helth: 1\n").replace('\n', end);
        check(&text, (4, 5), "services.app.helth", "keep.unknown_key", "`health`");
        assert!(errors(&text).to_string().contains("\n 4 |     helth: 1\n   |     ^^^^^\n"), "{end:?}");
    }
}

#[test]
fn all_problems_come_together_in_the_order_of_the_file() {
    let text = "automation: { mode: run }\nservices:\n  App: { start: ./x, helth: {} }\n  b: { pidfile: /b, depends_on: [c] }\n\
                filesystems: { /d: { full_at: 0 } }\n";
    let errors = errors(text);
    let places: Vec<(u32, &str)> = errors.problems.iter().map(|p| (p.line, p.message.key.as_str())).collect();
    assert_eq!(
        places,
        [
            (1, "keep.is_value"),
            (3, "keep.service_name"),
            (3, "keep.identity_missing"),
            (3, "keep.command_program"),
            (3, "keep.unknown_key"),
            (4, "keep.unknown_service"),
            (5, "keep.is_value"),
        ],
        "{errors}"
    );
}

#[test]
fn the_rendering_is_what_a_person_needs() {
    let text = app("    helth: { tcp: 127.0.0.1:80 }\n");
    let rendered = errors(&text).render(false);
    let head = "wellkept.yml:4:5: error: services.app.helth: unknown key `helth`\n";
    assert!(rendered.starts_with(head), "{rendered}");
    assert!(rendered.contains("\n 4 |     helth: { tcp: 127.0.0.1:80 }\n   |     ^^^^^\n"), "{rendered}");
    assert!(rendered.ends_with("1 problem in wellkept.yml\n"), "{rendered}");
    assert!(errors(&text).render(true).contains("\u{1b}[1;31m^^^^^\u{1b}[0m"));
}

#[test]
fn what_lies_beside_services_is_checked() {
    let db = "services: { db: { pidfile: /run/db.pid } }\n";
    let check = |line: &str, key: &str, help: &str| {
        let errors = parse("k.yml", &format!("{db}{line}\n")).unwrap_err();
        let first = &errors.problems[0];
        assert_eq!((first.message.key.as_str(), first.line), (key, 2), "{errors}");
        assert!(errors.to_string().contains(help), "{errors}");
    };
    check("networks: { n: { links: [\"-x\"] } }", "keep.is_value", "eth0");
    check("networks: { n: { may: reconfigure } }", "keep.may_without_means", "reconfigure");
    check("networks: { n: { carries: [dv] } }", "keep.unknown_service", "`db`");
    check("databases: { other: { sql: psql } }", "keep.unknown_service", "service");
    check("databases: { db: {} }", "keep.missing_key", "psql");
    check("databases: { db: { sql: psql, undo_migration: undo } }", "keep.no_placeholder", "{id}");
    check(
        "databases: { db: { sql: psql, may: terminate_session } }",
        "keep.may_without_means",
        "terminate_session",
    );
    check("databases: { db: { sql: psql, may: free_space } }", "keep.may_without_means", "free_space");
    check("databases: { db: { sql: psql, engine: oracle } }", "keep.is_value", "mariadb");
    check("databases: { db: { sql: psql, deadlocks: 0 } }", "keep.is_value", "1");
    check("databases: { db: { sql: psql, bloated_at: 200% } }", "keep.is_value", "95%");
    check("signals: { db: { laod: up } }", "keep.unknown_key", "`load`");
    check("proxies: { other: {} }", "keep.unknown_service", "service");
    check("proxies: { db: { loaded_by: wish } }", "keep.is_value", "workers");
    check("keys: { k: { file: /k } }", "keep.missing_key", "used_by");
    check(
        "keys: { k: { file: /k, used_by: db, may: reconfigure } }",
        "keep.may_without_means",
        "reconfigure",
    );
    check("versions: { v: { of: { dv: x } } }", "keep.unknown_service", "`db`");
    check("versions: { v: { of: { db: x }, numbers: 9 } }", "keep.is_value", "1");
    check("data: { d: { service: db } }", "keep.missing_key", "test");
    check("caches: { db: {} }", "keep.missing_key", "6379");
    check("caches: { db: { redis: nowhere } }", "keep.is_value", "6379");
    check("caches: { db: { redis: /s, may: reconfigure } }", "keep.may_without_means", "isolate");
    check("caches: { db: { redis: /s, queues: { j: {} } } }", "keep.missing_key", "whole");
    check("caches: { db: { redis: /s, queues: { j: { limit: 1, takes: up } } } }", "keep.is_value", "left");
    check(
        "caches: { db: { redis: /s, queues: { j: { limit: 1, dead_letter: j } } } }",
        "keep.dead_letter_same",
        "word",
    );
    check(
        "caches: { db: { redis: /s, queues: { j: { limit: 1, consumer: x } } } }",
        "keep.unknown_service",
        "called `x`",
    );
    check("credentials: { c: { store: /s } }", "keep.missing_key", "word");
    check("backups: { b: { files: /a*/b } }", "keep.is_value", "file name only");
    check("backups: { b: { files: /b/*, credential: c } }", "keep.unknown_credential", "credentials");
    check("backups: { b: { files: /b/*, may: run_backup } }", "keep.may_without_means", "run_backup");
    check("dependencies: { p: { http: ftp://x } }", "keep.is_value", "http");
    check("dependencies: { p: { http: http://x, fallback: { on: a } } }", "keep.missing_key", "off");
}

#[test]
fn what_is_declared_about_the_host_is_checked() {
    let db = "services: { db: { pidfile: /run/db.pid } }\n";
    let check = |line: &str, key: &str, help: &str| {
        let errors = parse("k.yml", &format!("{db}{line}\n")).unwrap_err();
        let first = &errors.problems[0];
        assert_eq!((first.message.key.as_str(), first.line), (key, 2), "{errors}");
        assert!(errors.to_string().contains(help), "{errors}");
    };
    check("certificates: { c: { connect: x:1 } }", "keep.missing_key", "service");
    check(
        "certificates: { c: { service: db, connect: \"https://x\" } }",
        "keep.is_value",
        "www.example.org:443",
    );
    check("jobs: { j: { crontab: /etc/crontab } }", "keep.job_place", "crontab");
    check("jobs: { j: { crontab: /c, line: hello } }", "keep.is_value", "crontab");
    check("jobs: { j: { timer: x.service } }", "keep.is_value", ".timer");
    check("jobs: { j: { trace: /t } }", "keep.missing_key", "15m");
    check("jobs: { j: { timer: x.timer, may: reconfigure } }", "keep.may_without_means", "reconfigure");
    check("knobs: { other: { more_cpu: x } }", "keep.unknown_service", "names of services");
    check("knobs: { db: { may: reconfigure } }", "keep.may_without_means", "reconfigure");
    check("knobs: { db: { log_rate: fast } }", "keep.is_value", "MiB");
    check("progress: { db: { file: /x } }", "keep.missing_key", "15m");
    check("time_sync: { service: chrony }", "keep.unknown_service", "service");
    check("filesystems: { /data: { mounted: ro } }", "keep.is_value", "rw");
    check("filesystems: { /data: { mount: mount /data } }", "keep.missing_key", "rw");
    check("networks: { n: { routes: [10.0.0.0/8] } }", "keep.is_value", "via");
    check("networks: { n: { links: { eth0: { mtu: 0 } } } }", "keep.is_value", "65536");
    check("security: { logins: { log: auth.log } }", "keep.is_value", "path");
    check("daemons: [db, cron]", "keep.unknown_service", "service");
    check("proxies: { db: { status: ftp://x } }", "keep.is_value", "http");
    check("security: { logins: { log: /l, never_block: [10.0.0.0/40] } }", "keep.is_value", "10.0.0.0/8");
    check("security: { logins: { log: /l, failures: 1 } }", "keep.is_value", "3");
    check("security: { scan: { folders: [uploads] } }", "keep.is_value", "path");
    check("security: { firewall: {} }", "keep.unknown_key", "logins");
}

/// A file with one app `shop` whose further keys are given.
fn shop(keys: &str) -> String {
    format!("deploy:\n  shop:\n    hosts: web\n    to: /srv/shop\n    artefact: {{ file: /b/a.tgz }}\n{keys}")
}

#[test]
fn apps_are_declared_in_full_and_mistakes_in_them_are_pointed_at() {
    let at = |line, column, key: &str, path: &str, message: &str, help: &str| {
        check(&shop(key), (line, column), path, message, help);
    };
    at(6, 5, "    helth: []\n", "deploy.shop.helth", "keep.unknown_key", "`health`");
    at(6, 15, "    batches: [0]\n", "deploy.shop.batches[0]", "keep.is_value", "25%");
    at(6, 14, "    shared: [../x]\n", "deploy.shop.shared[0]", "keep.is_value", "without `..`");
    at(
        6,
        20,
        "    shared: [log/, log/x]\n",
        "deploy.shop.shared[1]",
        "keep.shared_twice",
        "none within another",
    );
    at(6, 11, "    keep: 1\n", "deploy.shop.keep", "keep.is_value", "from 2 to 1000");
    at(
        6,
        35,
        "    errors: { query: x, worse_by: 0.5x }\n",
        "deploy.shop.errors.worse_by",
        "keep.is_value",
        "1.5x",
    );
    at(
        6,
        32,
        "    health: [{ tcp: a:1, from: moon }]\n",
        "deploy.shop.health[0].from",
        "keep.is_value",
        "target",
    );
    at(
        6,
        13,
        "    health: { tcp: a:1, exec: b }\n",
        "deploy.shop.health",
        "keep.probe_not_one",
        "controller",
    );
}

#[test]
fn an_app_names_no_option_and_no_program_by_accident() {
    for (keys, path) in [
        ("hosts: -x\n    to: /a\n    artefact: { file: /b }\n", "deploy.shop.hosts"),
        ("hosts: w\n    to: /\n    artefact: { file: /b }\n", "deploy.shop.to"),
        (
            "hosts: w\n    to: /a\n    artefact: { git: 'ext::sh -c id', ref: v1 }\n",
            "deploy.shop.artefact.git",
        ),
        ("hosts: w\n    to: /a\n    artefact: { git: /r, ref: --all }\n", "deploy.shop.artefact.ref"),
        (
            "hosts: w\n    to: /a\n    artefact: { git: /r, ref: v1, sha256: /x }\n",
            "deploy.shop.artefact.sha256",
        ),
        ("hosts: w\n    to: /a\n    artefact: { file: b.tgz }\n", "deploy.shop.artefact.file"),
        ("hosts: w\n    to: /a\n    artefact: { file: /b, url: http://a/b }\n", "deploy.shop.artefact"),
    ] {
        let errors = errors(&format!("deploy:\n  shop:\n    {keys}"));
        assert_eq!(errors.problems.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(), [path], "{errors}");
    }
    let errors = errors("deploy: { history: { hosts: w, to: /a, artefact: { file: /b } } }\n");
    assert_eq!(errors.problems[0].message.key, "keep.entry_name", "`deploy history` is a command");
}

#[test]
fn a_declared_state_is_looked_at_and_not_enforced_unless_that_is_written() {
    use wellkept_model::keep::StateMode;
    let keep = parse("wellkept.yml", "apply: { site: { playbook: /etc/site.yml } }\n").expect("accepted");
    let site = &keep.apply["site"];
    assert_eq!((site.mode, site.on_change, site.every.as_secs()), (StateMode::Check, true, 900));
    check(
        "apply: { site: { playbook: site.yml } }\n",
        (1, 28),
        "apply.site.playbook",
        "keep.is_value",
        "absolute",
    );
    check("apply: { site: { mode: check } }\n", (1, 10), "apply.site", "keep.missing_key", "absolute");
    let mode = "apply: { site: { playbook: /s.yml, mode: act } }\n";
    check(mode, (1, 42), "apply.site.mode", "keep.is_value", "enforce");
}
