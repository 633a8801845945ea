//! Modules of databases against real servers, each in a folder of its own.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../collect/src/watch/testing.rs"]
mod testing;

use serde_json::{Map, Value, json};
use testing::{Mariadb, Postgres};
use wellkept_modules::{Call, Context, NoFiles, run};

/// Runs a module with how the server is reached beside its arguments.
fn go(module: &str, login: &Value, args: Value, check: bool) -> Map<String, Value> {
    let temp = tempfile::tempdir().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the host's clock")]
    let mut context = Context::new(temp.path().to_owned(), std::time::SystemTime::now);
    let mut all = login.as_object().cloned().unwrap();
    all.extend(args.as_object().cloned().unwrap());
    let call =
        Call { module: module.to_owned(), args: all, check, timeout_seconds: Some(60), ..Call::default() };
    run(&call, &NoFiles, &mut context)
}

/// What it says of having changed something: in check mode, for real, and once more.
fn thrice(module: &str, login: &Value, args: &Value) -> [bool; 3] {
    [true, false, false].map(|check| {
        let result = go(module, login, args.clone(), check);
        assert!(!result.contains_key("failed"), "{module} {args}: {result:?}");
        result["changed"] == json!(true)
    })
}

#[tokio::test]
async fn postgresql_databases_users_and_queries_on_a_real_server() {
    let server = Postgres::start().await;
    let login = json!({"login_unix_socket": server.dir, "login_user": "postgres"});
    let changes = |module: &str, args: Value| thrice(module, &login, &args);
    let once = [true, true, false];
    assert_eq!(
        changes("postgresql_user", json!({"name": "o\"ne", "role_attr_flags": "CREATEDB,LOGIN"})),
        once
    );
    assert_eq!(server.ask("SELECT rolcreatedb, rolcanlogin FROM pg_roles WHERE rolname = 'o\"ne'"), "t|t");
    assert_eq!(changes("postgresql_user", json!({"name": "o\"ne", "role_attr_flags": "NOCREATEDB"})), once);
    let args = json!({"name": "sh'op", "owner": "o\"ne", "encoding": "UTF8", "template": "template0"});
    assert_eq!(changes("postgresql_db", args), once);
    assert_eq!(changes("postgresql_db", json!({"name": "sh'op", "owner": "postgres"})), once);
    assert_eq!(server.ask("SELECT count(*) FROM pg_database WHERE datname = 'sh''op'"), "1");

    let query = |args: Value| go("postgresql_query", &login, args, false);
    let made = query(json!({"login_db": "sh'op", "query": "CREATE TABLE t (a int, b text)"}));
    assert_eq!(
        (&made["changed"], &made["statusmessage"]),
        (&json!(true), &json!("CREATE TABLE")),
        "{made:?}"
    );
    let put = query(json!({"login_db": "sh'op", "query": "INSERT INTO t VALUES (1, %s), (2, %(x)s)",
        "positional_args": ["it's\nme"], "named_args": {"x": "100%"}}));
    assert_eq!((&put["rowcount"], &put["statusmessage"]), (&json!(2), &json!("INSERT 0 2")), "{put:?}");
    let got = query(json!({"login_db": "sh'op", "query": "SELECT a, b FROM t ORDER BY a -- all"}));
    assert_eq!(got["query_result"], json!([{"a": 1, "b": "it's\nme"}, {"a": 2, "b": "100%"}]), "{got:?}");
    assert_eq!((&got["changed"], &got["rowcount"]), (&json!(false), &json!(2)));
    let none = query(json!({"login_db": "sh'op", "query": "UPDATE t SET a = 3 WHERE a = 9"}));
    assert_eq!((&none["changed"], &none["rowcount"]), (&json!(false), &json!(0)), "{none:?}");
    let checked = go("postgresql_query", &login, json!({"login_db": "sh'op", "query": "DROP TABLE t"}), true);
    assert_eq!(checked["changed"], json!(true));
    assert_eq!(
        query(json!({"login_db": "sh'op", "query": "SELECT 1 FROM t"}))["rowcount"],
        json!(2),
        "it is still there"
    );
    let wrong = query(json!({"query": "SELECT nonsense"}));
    assert!(
        wrong["failed"] == json!(true) && wrong["msg"].as_str().unwrap().contains("nonsense"),
        "{wrong:?}"
    );

    assert_eq!(changes("postgresql_db", json!({"name": "sh'op", "state": "absent"})), once);
    assert_eq!(changes("postgresql_user", json!({"name": "o\"ne", "state": "absent"})), once);
    let away = json!({"login_unix_socket": "/nonexistent", "login_user": "postgres"});
    let lost = go("postgresql_db", &away, json!({"name": "x"}), false);
    assert_eq!(lost["failed"], json!(true));
}

#[tokio::test]
async fn postgresql_passwords_let_in_and_are_compared_when_they_are_hashes() {
    let server = Postgres::start().await;
    let login = json!({"login_unix_socket": server.dir, "login_user": "postgres"});
    let made = go("postgresql_user", &login, json!({"name": "jane", "password": "pa'ss:\\word"}), false);
    assert!(!format!("{made:?}").contains("pa'ss"), "{made:?}");
    let hash = server.ask("SELECT rolpassword FROM pg_authid WHERE rolname = 'jane'");
    assert!(hash.starts_with("SCRAM-SHA-256$"), "{hash}");
    let again = go("postgresql_user", &login, json!({"name": "jane", "password": hash}), false);
    assert_eq!(again["changed"], json!(false), "{again:?}");
    // From here on the server wants passwords.
    let rules = format!("{}/data/pg_hba.conf", server.dir.display());
    std::fs::write(rules, "local all postgres trust\nlocal all all scram-sha-256\n").unwrap();
    server.sql("SELECT pg_reload_conf()");
    let query = |password: &str| {
        let login =
            json!({"login_unix_socket": server.dir, "login_user": "jane", "login_password": password});
        go("postgresql_query", &login, json!({"query": "SELECT current_user::text AS me"}), false)
    };
    testing::wait_for("the rules hold", async || (query("wrong")["failed"] == json!(true)).then_some(()))
        .await;
    let right = query("pa'ss:\\word");
    assert_eq!(right["query_result"], json!([{"me": "jane"}]), "{right:?}");
}

#[tokio::test]
async fn mariadb_databases_users_and_queries_on_a_real_server() {
    let server = Mariadb::start().await;
    let login = json!({"login_unix_socket": server.dir.join("s"), "login_user": "root"});
    let changes = |module: &str, args: Value| thrice(module, &login, &args);
    let once = [true, true, false];
    assert_eq!(changes("mysql_db", json!({"name": ["a`b", "c"], "encoding": "utf8mb4"})), once);
    let user = json!({"name": "o'ne", "host": "127.0.0.1", "password": "wo'rd\\", "update_password": "on_create",
        "priv": "c.*:SELECT,INSERT/shop.*:ALL"});
    assert_eq!(changes("mysql_user", user), once);
    let query = |login: &Value, args: Value| go("mysql_query", login, args, false);
    let own = json!({"login_host": "127.0.0.1", "login_port": server.port, "login_user": "o'ne", "login_password": "wo'rd\\"});
    let made = query(&own, json!({"login_db": "shop", "query": "CREATE TABLE t (a int, b text)"}));
    assert_eq!(made["changed"], json!(true), "{made:?}");
    let put = query(
        &own,
        json!({"login_db": "shop", "query": "INSERT INTO t VALUES (1, %s), (2, NULL)", "positional_args": ["it's\n\tme\\"]}),
    );
    assert_eq!((&put["changed"], &put["rowcount"]), (&json!(true), &json!([2])), "{put:?}");
    let got = query(
        &own,
        json!({"login_db": "shop", "query": ["SELECT a, b FROM t ORDER BY a", "SELECT b FROM t WHERE a = %(n)s"], "named_args": {"n": 2}}),
    );
    let wanted = json!([[{"a": "1", "b": "it's\n\tme\\"}, {"a": "2", "b": null}], [{"b": null}]]);
    assert_eq!((&got["query_result"], &got["changed"]), (&wanted, &json!(false)), "{got:?}");
    let none = query(&own, json!({"login_db": "shop", "query": "DELETE FROM t WHERE a = 9"}));
    assert_eq!((&none["changed"], &none["rowcount"]), (&json!(false), &json!([0])), "{none:?}");
    let refused = query(&own, json!({"login_db": "c", "query": "DROP TABLE nothing"}));
    assert_eq!(refused["failed"], json!(true), "{refused:?}");
    let wrong = json!({"login_host": "127.0.0.1", "login_port": server.port, "login_user": "o'ne", "login_password": "no"});
    assert!(query(&wrong, json!({"query": "SELECT 1"}))["msg"].as_str().unwrap().contains("denied"));

    assert_eq!(
        changes(
            "mysql_user",
            json!({"name": "o'ne", "host": "127.0.0.1", "priv": "c.*:UPDATE", "append_privs": true})
        ),
        once
    );
    let fewer = json!({"name": "o'ne", "host": "127.0.0.1", "priv": "c.*:SELECT,GRANT"});
    assert_eq!(changes("mysql_user", fewer), once);
    let grants = query(&login, json!({"query": "SHOW GRANTS FOR 'o''ne'@'127.0.0.1'"}));
    let grants = grants["query_result"].to_string();
    assert!(grants.contains("GRANT SELECT ON `c`.* TO") && grants.contains("WITH GRANT OPTION"), "{grants}");
    assert!(!grants.contains("shop") && !grants.contains("INSERT"), "{grants}");
    assert_eq!(changes("mysql_user", json!({"name": "o'ne", "host": "127.0.0.1", "state": "absent"})), once);
    assert_eq!(changes("mysql_db", json!({"name": "a`b", "state": "absent"})), once);
}
