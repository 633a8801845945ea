//! Statements of steps against a real server: exactly the sessions and tables that are named.

#[path = "../../collect/src/watch/testing.rs"]
mod servers;
mod world;

use std::time::Duration;

use servers::{Mariadb, Postgres, wait_for};
use wellkept_model::keep::{Command, Database, DatabaseCare, Engine};
use wellkept_model::{ActionKind, ActionStatus, EntityId, Means};
use wellkept_remote::Outcome;
use world::*;

async fn run(server: &Postgres, care: DatabaseCare, kind: ActionKind, means: &Means) -> Outcome {
    act(server.argv(), care, &[], kind, means).await
}

async fn act(
    argv: Vec<String>,
    care: DatabaseCare,
    end_sessions: &[(&str, Duration)],
    kind: ActionKind,
    means: &Means,
) -> Outcome {
    let mut world = World::new();
    world.service("db");
    let database = Database {
        service: "db".into(),
        sql: Command { argv, within: Duration::from_secs(20) },
        full_at: 0.9,
        end_sessions: end_sessions.iter().map(|(name, limit)| ((*name).to_owned(), *limit)).collect(),
        indexes: vec![],
        undo_migration: None,
        standby: false,
        care,
        every: Duration::from_secs(1),
        may: vec![],
    };
    world.keep.watched.databases.insert("db".into(), database);
    let mut step = action(kind, EntityId::service("db"));
    (step.subject, step.deadline_ms) = (means.to_string(), 30_000);
    world.hands().execute(id(1), &step, &[], now()).await
}

fn sessions(server: &Postgres, application: &str) -> String {
    server.ask(&format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}'"))
}

#[tokio::test]
async fn only_the_session_that_others_wait_for_is_ended() {
    let server = Postgres::start().await;
    server.sql("CREATE TABLE a (n int); INSERT INTO a VALUES (1)");
    let _harmless = server.session_that_did("report", "BEGIN; SELECT 1;");
    let _holder = server.session_that_did("report", "BEGIN; UPDATE a SET n = 2;");
    let waits = || server.ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    let _first = server.session("app", "UPDATE a SET n = 3;");
    wait_for("somebody waits", async || (waits() == "1").then_some(())).await;
    let means = Means::Blockers("report".into());
    let kind = ActionKind::TerminateSession;
    let none = run(&server, DatabaseCare::default(), kind, &means).await;
    assert_eq!((none.status, none.text.key.as_str()), (ActionStatus::Failed, "outcome.not_declared"));
    let care = |limit| DatabaseCare {
        end_blockers: [("report".to_owned(), limit)].into(),
        ..DatabaseCare::default()
    };
    let young = run(&server, care(Duration::from_secs(3600)), kind, &means).await;
    assert_eq!(
        (young.status, sessions(&server, "report").as_str()),
        (ActionStatus::Succeeded, "2"),
        "too young"
    );
    let ended = run(&server, care(Duration::from_millis(1)), kind, &means).await;
    assert_eq!(ended.status, ActionStatus::Succeeded, "{ended:?}");
    wait_for("the holder is gone", async || (sessions(&server, "report") == "1").then_some(())).await;
    wait_for("nobody waits", async || (waits() == "0").then_some(())).await;
    assert_eq!(sessions(&server, "app"), "1");
}

#[tokio::test]
async fn only_a_named_table_is_cleaned_whatever_it_is_called() {
    let server = Postgres::start().await;
    let table = "a\";DROP";
    server.sql(
        "CREATE TABLE \"a\"\";DROP\" (n int); INSERT INTO \"a\"\";DROP\" SELECT generate_series(1, 1000); \
                DELETE FROM \"a\"\";DROP\"",
    );
    let size = || server.ask("SELECT pg_relation_size(oid) FROM pg_class WHERE relname = 'a\";DROP'");
    assert_ne!(size(), "0");
    let means = Means::Vacuum(table.to_owned());
    let none = run(&server, DatabaseCare::default(), ActionKind::FreeSpace, &means).await;
    assert_eq!((none.status, none.text.key.as_str()), (ActionStatus::Failed, "outcome.not_declared"));
    let care = DatabaseCare { vacuum: vec![table.to_owned()], ..DatabaseCare::default() };
    let cleaned = run(&server, care, ActionKind::FreeSpace, &means).await;
    assert_eq!((cleaned.status, size().as_str()), (ActionStatus::Succeeded, "0"), "{cleaned:?}");
}

/// Two accounts, a table with a row, and how many sessions of an account have a transaction.
async fn mysql() -> Mariadb {
    let server = Mariadb::start().await;
    server.sql(
        "CREATE TABLE a (n int PRIMARY KEY, v int) ENGINE=InnoDB; INSERT INTO a VALUES (1, 1); \
         CREATE USER report@localhost; GRANT ALL ON *.* TO report@localhost",
    );
    server
}

#[tokio::test]
async fn of_a_mysql_server_only_the_session_that_others_wait_for_is_ended() {
    let server = mysql().await;
    let _harmless = server.session_of_that_did("report", "BEGIN; INSERT INTO a VALUES (7, 7);");
    let _holder = server.session_of_that_did("report", "BEGIN; UPDATE a SET v = 2 WHERE n = 1;");
    let _waits = server.session("UPDATE a SET v = 3 WHERE n = 1;");
    let waits = || server.ask("SELECT count(*) FROM sys.innodb_lock_waits");
    wait_for("somebody waits", async || (waits() == "1").then_some(())).await;
    let (kind, means) = (ActionKind::TerminateSession, Means::Blockers("report".into()));
    let care = |limit| DatabaseCare {
        engine: Engine::Mysql,
        end_blockers: [("report".to_owned(), limit)].into(),
        ..DatabaseCare::default()
    };
    let none = DatabaseCare { end_blockers: Default::default(), ..care(Duration::ZERO) };
    let none = act(server.argv(), none, &[], kind, &means).await;
    assert_eq!((none.status, none.text.key.as_str()), (ActionStatus::Failed, "outcome.not_declared"));
    let young = act(server.argv(), care(Duration::from_secs(3600)), &[], kind, &means).await;
    assert_eq!((young.status, waits().as_str()), (ActionStatus::Succeeded, "1"), "too young: {young:?}");
    // The server tells when transactions began in whole seconds.
    let end = async || {
        let ended = act(server.argv(), care(Duration::from_millis(1)), &[], kind, &means).await;
        assert_eq!(ended.status, ActionStatus::Succeeded, "{ended:?}");
        (waits() == "0").then_some(())
    };
    wait_for("it is old enough and ended, and nobody waits", end).await;
    let sessions = || server.ask("SELECT count(*) FROM information_schema.PROCESSLIST WHERE USER = 'report'");
    wait_for("one is left", async || (sessions() == "1").then_some(())).await;
    let open = || server.ask("SELECT count(*) FROM information_schema.INNODB_TRX");
    wait_for("the harmless transaction stays", async || (open() == "1").then_some(())).await;
}

#[tokio::test]
async fn of_a_mysql_server_only_idle_transactions_of_the_named_account_are_ended() {
    let server = mysql().await;
    let _two = [7, 8]
        .map(|n| server.session_of_that_did("report", &format!("BEGIN; INSERT INTO a VALUES ({n}, 0);")));
    let _no_transaction = server.session_of_that_did("report", "SELECT 1;");
    let _other = server.session_that_did("BEGIN; INSERT INTO a VALUES (9, 9);");
    let open = || server.ask("SELECT count(*) FROM information_schema.INNODB_TRX");
    wait_for("three transactions are open", async || (open() == "3").then_some(())).await;
    let (kind, means) = (ActionKind::TerminateSession, Means::Sessions("report".into()));
    let care = || DatabaseCare { engine: Engine::Mysql, ..DatabaseCare::default() };
    let young = act(server.argv(), care(), &[("report", Duration::from_secs(3600))], kind, &means).await;
    assert_eq!((young.status, open().as_str()), (ActionStatus::Succeeded, "3"), "too young: {young:?}");
    let end = async || {
        let ended = act(server.argv(), care(), &[("report", Duration::from_millis(500))], kind, &means).await;
        assert_eq!(ended.status, ActionStatus::Succeeded, "{ended:?}");
        (open() == "1").then_some(())
    };
    wait_for("they are idle for long enough and ended", end).await;
    let left = server.ask("SELECT count(*) FROM information_schema.PROCESSLIST WHERE USER = 'report'");
    assert_eq!(left, "1", "the one without a transaction stays");
}
