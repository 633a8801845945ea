//! The questions for a MySQL or MariaDB server. Their rows have the same words as those of PostgreSQL, so that all that is
//! thought about them is the same.
//!
//! We ask the declared client and bring no driver: one lasting conversation costs a process and no dependency. What only
//! one of both servers knows is asked of both; the other answers with an error, which is left out.

use std::fmt::Write as _;

use wellkept_model::keep::Database;

/// What every conversation begins with: our questions are never the ones that hold others up.
pub(super) const GREETING: &str = "/*M! SET SESSION max_statement_time=2 */;\n\
     /*!50708 SET SESSION max_execution_time=2000 */;\nSET SESSION lock_wait_timeout=1;\n";

/// What is asked at every look. An application is known by its account here.
pub(super) fn quick(declared: &Database) -> String {
    let clients = "FROM information_schema.PROCESSLIST p LEFT JOIN information_schema.INNODB_TRX t \
                   ON t.trx_mysql_thread_id = p.ID WHERE p.COMMAND NOT IN ('Daemon', 'Binlog Dump')";
    let idle = "p.COMMAND = 'Sleep' AND t.trx_id IS NOT NULL";
    let mut out = format!(
        "SELECT 'slots', count(*), @@max_connections, coalesce(sum(t.trx_state = 'LOCK WAIT'), 0) {clients};\n\
         SELECT 'app', count(*), coalesce(max(if({idle}, p.TIME, 0)), 0) * 1000, p.USER {clients} \
         GROUP BY p.USER LIMIT 200;\n\
         SELECT 'role', if(@@global.read_only, 't', 'f'), 1;\n"
    );
    for (account, limit) in &declared.end_sessions {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "SELECT 'stale', count(*), p.USER {clients} AND {idle} AND p.USER = {} AND p.TIME > {} GROUP BY p.USER;",
            quoted(account),
            limit.as_secs()
        );
    }
    if declared.standby {
        out.push_str(
            "SELECT 'receiver', if(VARIABLE_VALUE = 'ON', 1, 0), 't' FROM information_schema.GLOBAL_STATUS \
             WHERE VARIABLE_NAME = 'SLAVE_RUNNING';\n\
             SELECT 'receiver', sum(SERVICE_STATE = 'ON'), 't' FROM performance_schema.replication_connection_status \
             HAVING count(*) > 0;\n",
        );
    }
    if !declared.indexes.is_empty() {
        let names: Vec<String> = declared.indexes.iter().map(|i| quoted(i)).collect();
        let _ = writeln!(
            out,
            "SELECT DISTINCT 'index', INDEX_NAME, TABLE_NAME FROM information_schema.STATISTICS \
             WHERE INDEX_NAME IN ({});",
            names.join(", ")
        );
    }
    out
}

/// Who waits for whom.
pub(super) fn chains() -> String {
    "SELECT 'wait', waiting_pid, group_concat(DISTINCT blocking_pid) FROM sys.innodb_lock_waits \
     GROUP BY waiting_pid LIMIT 200;\n\
     SELECT 'holder', t.trx_mysql_thread_id, timestampdiff(SECOND, t.trx_started, now()) * 1000, \
     if(p.COMMAND = 'Sleep', 't', 'f'), 't', p.USER, p.USER FROM information_schema.INNODB_TRX t \
     JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id \
     WHERE t.trx_mysql_thread_id IN (SELECT blocking_pid FROM sys.innodb_lock_waits) LIMIT 200;\n"
        .to_owned()
}

/// What is asked rarely.
pub(super) fn slow(declared: &Database) -> String {
    let mut out = "SELECT 'slow';\nSELECT 'deadlocks', COUNT FROM information_schema.INNODB_METRICS \
                   WHERE NAME = 'lock_deadlocks';\n"
        .to_owned();
    if !declared.care.schema.is_empty() {
        let names: Vec<String> = declared.care.schema.keys().map(|t| quoted(t)).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "SELECT 'column', TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_NAME IN ({});",
            names.join(", ")
        );
    }
    out
}

/// A text as these servers read it: a backslash means something to them.
fn quoted(text: &str) -> String {
    super::sql::quoted(&text.replace('\\', "\\\\"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wellkept_model::keep::{Command, DatabaseCare, Engine};
    use wellkept_model::observe::DatabaseSeen;

    use super::*;
    use crate::watch::database::Look;
    use crate::watch::testing::{Mariadb, wait_for};

    fn declared(argv: Vec<String>) -> Database {
        let schema = [("orders".to_owned(), vec!["id".to_owned(), "total".to_owned()])].into();
        Database {
            service: "db".into(),
            sql: Command { argv, within: Duration::from_secs(5) },
            full_at: 0.9,
            end_sessions: [("root".to_owned(), Duration::from_secs(1))].into(),
            indexes: vec!["orders_total".into()],
            undo_migration: None,
            standby: true,
            care: DatabaseCare { engine: Engine::Mysql, schema, ..DatabaseCare::default() },
            every: Duration::from_secs(1),
            may: vec![],
        }
    }

    /// The server renews what it says of transactions only when nobody has asked for a tenth of a second.
    async fn until(
        look: &mut Look,
        what: &str,
        mut holds: impl FnMut(&DatabaseSeen) -> bool,
    ) -> DatabaseSeen {
        let again = async || {
            tokio::time::sleep(Duration::from_millis(150)).await;
            Some(look.look(true).await).filter(|seen| holds(seen))
        };
        wait_for(what, again).await
    }

    #[tokio::test]
    async fn a_real_server_tells_connections_locks_deadlocks_and_its_tables() {
        let server = Mariadb::start().await;
        server.sql(
            "CREATE TABLE orders (id int PRIMARY KEY, total int, KEY orders_total (total)) ENGINE=InnoDB; \
             INSERT INTO orders VALUES (1, 1), (2, 2)",
        );
        let mut look = Look::new(declared(server.argv()));
        let seen = until(&mut look, "the first looks", |s| s.care.columns_missing_since.is_none()).await;
        assert_eq!((seen.problem, seen.slots, seen.care.follows), (None, 151, Some(false)));
        assert!(seen.used >= 1 && seen.care.holders.is_empty() && seen.indexes_missing.is_empty());
        let holder = server.session_that_did("BEGIN; UPDATE orders SET total = 5 WHERE id = 1;");
        let _waits = server.session("UPDATE orders SET total = 6 WHERE id = 1;");
        let seen =
            until(&mut look, "one waits", |s| s.care.holders.first().is_some_and(|h| h.waiting == 1)).await;
        let root = &seen.care.holders[0];
        assert!(root.client && root.user == "root", "{root:?}");
        until(&mut look, "it is seen to be idle", |s| {
            s.applications.get("root").is_some_and(|a| a.stale == 1)
        })
        .await;
        drop(holder);
        until(&mut look, "the lock is given back", |s| s.care.holders.is_empty()).await;
        let (mut one, mut two) = (
            server.session_that_did("BEGIN; UPDATE orders SET total = 1 WHERE id = 1;"),
            server.session_that_did("BEGIN; UPDATE orders SET total = 2 WHERE id = 2;"),
        );
        one.say("UPDATE orders SET total = 1 WHERE id = 2;");
        two.say("UPDATE orders SET total = 2 WHERE id = 1;");
        until(&mut look, "a deadlock", |s| s.care.deadlocks == 1).await;
        drop((one, two));
        server.sql("ALTER TABLE orders DROP KEY orders_total, DROP COLUMN total");
        let seen = until(&mut look, "what is gone", |s| !s.care.columns_missing.is_empty()).await;
        assert_eq!(seen.care.columns_missing, ["orders.total"]);
        assert_eq!(seen.indexes_missing.len(), 1);
    }

    #[tokio::test]
    async fn a_real_replica_whose_primary_is_gone_says_so() {
        let primary = Mariadb::start().await;
        let replica = Mariadb::start().await;
        primary.sql(
            "CREATE USER repl@localhost IDENTIFIED BY 'x'; GRANT REPLICATION SLAVE ON *.* TO repl@localhost",
        );
        replica.sql(&format!(
            "SET GLOBAL read_only = 1; CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={}, \
             MASTER_USER='repl', MASTER_PASSWORD='x', MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos; START SLAVE",
            primary.port
        ));
        let mut look = Look::new(declared(replica.argv()));
        let receives = |s: &DatabaseSeen| s.care.follows == Some(true) && s.care.broken_since.is_none();
        until(&mut look, "it follows", receives).await;
        replica.sql("STOP SLAVE");
        until(&mut look, "it is cut off", |s| s.care.broken_since.is_some()).await;
        replica.sql("START SLAVE");
        until(&mut look, "it follows again", receives).await;
    }

    #[test]
    fn neither_quotation_marks_nor_backslashes_end_a_name() {
        assert_eq!(quoted("a\\'; DROP"), "'a\\\\''; DROP'");
    }
}
