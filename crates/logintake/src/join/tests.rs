//! Traces as the languages print them.

use super::*;

fn join_with(config: JoinConfig, text: &str) -> Vec<String> {
    let mut joiner = Joiner::new(config);
    let mut groups = Vec::new();
    let take = |joiner: &mut Joiner, groups: &mut Vec<String>| {
        groups.extend(joiner.group().map(|g| String::from_utf8_lossy(g).into_owned()));
        joiner.clear();
    };
    for line in text.lines() {
        if !joiner.continues(line.as_bytes()) {
            take(&mut joiner, &mut groups);
        }
        joiner.hold(line.as_bytes(), 0);
    }
    take(&mut joiner, &mut groups);
    groups
}

/// Groups stand behind lines of `----`.
fn check(groups: &str) {
    let expected: Vec<String> = groups.trim().split("\n----\n").map(str::to_owned).collect();
    let text = groups.trim().replace("\n----\n", "\n");
    assert_eq!(join_with(JoinConfig::default(), &text), expected);
}

#[test]
fn java() {
    check(
        "2024-01-02 03:04:05,678 ERROR [main] o.e.Main - failed
java.lang.IllegalStateException: no stock
\tat org.example.Shop.buy(Shop.java:12)
\tat org.example.Main.main(Main.java:3)
\tSuppressed: java.io.IOException: closed
\t\tat org.example.A.b(A.java:1)
Caused by: java.lang.NullPointerException
\tat org.example.Shop.find(Shop.java:9)
\t... 12 more
----
2024-01-02 03:04:06,678 INFO [main] o.e.Main - up
----
2024-01-02 03:04:07,678 INFO [main] o.e.Main - up
----
Exception in thread \"main\" java.lang.RuntimeException: x
\tat a.B.c(B.java:1)
----
done",
    );
}

#[test]
fn python() {
    check(
        "2024-01-02 03:04:05,678 - app - ERROR - failed
Traceback (most recent call last):
  File \"app.py\", line 3, in <module>
    main()
KeyError: 'a'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File \"app.py\", line 5, in <module>
    raise ValueError(1)
sqlalchemy.exc.OperationalError: (1) x
----
2024-01-02 03:04:06,678 - app - INFO - up
----
Traceback (most recent call last):
  File \"b.py\", line 1, in <module>
SystemExit
----
next",
    );
}

#[test]
fn go() {
    check(
        "2024/01/02 03:04:05 serving
----
panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.(*Shop).buy(0xc000012345, {0x1, 0x2})
\t/srv/shop/main.go:12 +0x1d
main.main()
\t/srv/shop/main.go:5 +0x20
created by main.start in goroutine 1
\t/srv/shop/main.go:9 +0x20
exit status 2
----
2024/01/02 03:04:06 serving",
    );
}

#[test]
fn rust() {
    check(
        "thread 'main' panicked at src/main.rs:2:5:
index out of bounds: the len is 3
stack backtrace:
   0: rust_begin_unwind
             at /rustc/1/library/std/src/panicking.rs:645:5
   1: app::main
note: Some details are omitted, run with `RUST_BACKTRACE=full`
----
up
----
thread 'a' panicked at 'old form', src/main.rs:2:5
note: run with `RUST_BACKTRACE=1`
----
up",
    );
}

#[test]
fn node() {
    check(
        "/srv/app/index.js:12
  throw new Error('x')
  ^

TypeError: x is not a function
    at main (/srv/app/index.js:12:9)
    at node:internal/main:1:1 {
  code: 'E_X'
}

Node.js v20.1.0
----
up
----
Error: connect ECONNREFUSED
    at TCPConnectWrap.afterConnect (node:net:1:1)
----
up",
    );
}

#[test]
fn dotnet_php_and_indented_lines() {
    check(
        "Unhandled exception. System.InvalidOperationException: x
   at Shop.Buy() in /srv/Shop.cs:line 3
   --- End of inner exception stack trace ---
   at Shop.Main() in /srv/Shop.cs:line 9
----
up
----
PHP Fatal error:  Uncaught Exception: x in /srv/a.php:3 Stack trace:
#0 /srv/b.php(9): f()
#1 {main}
  thrown in /srv/a.php on line 3
----
config:
  a: 1
  b: 2
----
done",
    );
}

#[test]
fn ordinary_lines_stay_apart() {
    check("Mar  9 10:00:00 h a[1]: x\n----\n  Mar  9 10:00:00 y");
    check(
        "a\n----\nb\n----\nc d: e\n----\n 2024-01-02 03:04:05 indented, but stamped\n----\n{\"a\":1}\n----\n}",
    );
}

#[test]
fn other_ways_to_tell_where_a_group_begins() {
    let text = "2024-01-02 03:04:05 a\nb\n  c\n[2024-01-02 03:04:06] d";
    let begins = |begins| join_with(JoinConfig { begins, ..JoinConfig::default() }, text).len();
    assert_eq!(begins(Begins::Stamp), 2);
    assert_eq!(begins(Begins::Every), 4);
    assert_eq!(begins(Begins::Pattern(Regex::new("^[0-9\\[]").unwrap())), 2);
}

#[test]
fn a_group_is_bounded_in_lines_and_bytes() {
    let text = format!("head\n{}", "  more\n".repeat(1000));
    let lines = JoinConfig { lines: 10, ..JoinConfig::default() };
    assert!(join_with(lines, &text).iter().all(|g| g.lines().count() <= 10));
    let bytes = JoinConfig { bytes: 50, ..JoinConfig::default() };
    assert!(join_with(bytes, &text).iter().all(|g| g.len() <= 50));
}

#[test]
fn a_trace_waits_longer_than_an_ordinary_line() {
    let config = JoinConfig { wait_ns: 20, trace_wait_ns: 100, ..JoinConfig::default() };
    let mut joiner = Joiner::new(config);
    assert_eq!(joiner.due_ns(), None);
    joiner.hold(b"up", 1000);
    assert_eq!(joiner.due_ns(), Some(1020));
    assert!(!joiner.is_due(1019) && joiner.is_due(1020));
    assert!(joiner.is_due(900), "a clock that stepped back ends the waiting");
    joiner.clear();
    joiner.hold(b"java.lang.Error: x", 1000);
    assert_eq!(joiner.due_ns(), Some(1100));
}

proptest::proptest! {
    #[test]
    fn joining_loses_nothing(text in "((Caused by: |\tat |Traceback|panic: |#1 |  |2024-01-02 03:04:05 )?[a-z:\\(\\)\\}]{0,8}\n){0,30}") {
        assert_eq!(join_with(JoinConfig::default(), &text).join("\n"), text.lines().collect::<Vec<_>>().join("\n"));
    }
}
