//! How a PostgreSQL server plans a statement: asked when something is wrong, and for the statement that rose most.
//!
//! It is planned (`EXPLAIN`) and never run, in a transaction that may only read and within a second. The text is the
//! server's own, from `pg_stat_statements`: it is data, and never leaves the server. There it must begin with `SELECT`,
//! and it is handed to a cursor, which takes one statement and refuses a text that holds a second one before anything
//! is done. A text without its values can be planned from PostgreSQL 16 on; one that never had any, always.
//!
//! Planning runs functions that their author declared immutable, with our rights: whoever may create a function and
//! run a statement could have us run it. So this is done only where a person has allowed it.

use std::collections::BTreeMap;

use wellkept_model::TimestampMs;
use wellkept_model::observe::PlanSeen;

use super::sql::Sql;

/// Tables that are told.
const TABLES_MAX: usize = 20;
/// Why there is no plan when the server did not say.
const UNKNOWN: &str = "the server cannot plan it";

/// Asks how the statement of this number is planned; `schema`: of the extension, quoted.
pub(super) async fn ask(sql: &mut Sql, schema: &str, fingerprint: i64, at: TimestampMs) -> PlanSeen {
    let text = format!(
        "(SELECT query FROM {schema}.pg_stat_statements WHERE queryid = {fingerprint} AND dbid = \
         (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1)"
    );
    let rows = sql.ask(&questions(&text)).await.unwrap_or_default();
    PlanSeen { fingerprint, at, ..read(&rows) }
}

/// `text`: an expression that gives the statement.
fn questions(text: &str) -> String {
    format!(
        "BEGIN READ ONLY; SET LOCAL statement_timeout = '1s';\n\
         DO $wellkept$ DECLARE q text := {text}; generic text := ''; said text; line record; plan jsonb; BEGIN \
         IF q IS NULL THEN said := 'its text is not known in this database'; \
         ELSIF q !~* '^\\s*select\\M' THEN said := 'it is no SELECT'; \
         ELSIF q ~ '\\$[0-9]' THEN generic := ', GENERIC_PLAN'; \
         IF current_setting('server_version_num')::int < 160000 THEN \
         said := 'only PostgreSQL 16 and later plan a statement without its values'; END IF; END IF; \
         IF said IS NULL THEN FOR line IN EXECUTE 'EXPLAIN (FORMAT JSON' || generic || ') ' || q \
         LOOP plan := line.\"QUERY PLAN\"; END LOOP; END IF; \
         PERFORM set_config('wellkept.refused', coalesce(said, ''), true), \
         set_config('wellkept.plan', coalesce(plan, '[]')::text, true); END $wellkept$;\n\
         SELECT 'explained', current_setting('wellkept.refused');\n\
         SELECT 'scan', n->>'Plan Rows', n->>'Relation Name' FROM \
         jsonb_path_query(current_setting('wellkept.plan')::jsonb, 'strict $.**') n \
         WHERE jsonb_typeof(n) = 'object' AND n->>'Node Type' = 'Seq Scan' LIMIT {TABLES_MAX};\nROLLBACK;\n"
    )
}

fn read(rows: &[Vec<String>]) -> PlanSeen {
    let (mut refused, mut scans) = (Some(UNKNOWN.to_owned()), BTreeMap::new());
    for row in rows {
        match row.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["explained", why] => refused = (!why.is_empty()).then(|| (*why).to_owned()),
            ["scan", rows, table @ ..] => {
                scans.insert(table.join("|"), rows.parse().unwrap_or(0));
            }
            _ => {}
        }
    }
    PlanSeen { refused, scans, ..PlanSeen::default() }
}

#[cfg(test)]
mod tests {
    use wellkept_model::keep::Engine;

    use super::*;
    use crate::watch::sql::quoted;
    use crate::watch::testing::Postgres;

    #[tokio::test]
    async fn a_real_server_plans_one_select_and_does_nothing_else() {
        let server = Postgres::start().await;
        server.sql(
            "CREATE EXTENSION pg_stat_statements; CREATE TABLE orders (id int PRIMARY KEY, customer int); \
             INSERT INTO orders SELECT i, i FROM generate_series(1, 5000) i; ANALYZE orders",
        );
        let mut sql = Sql::new(server.argv(), Engine::Postgres);
        let mut plan = async |text: &str| read(&sql.ask(&questions(&quoted(text))).await.expect("an answer"));
        let seen = plan("SELECT * FROM orders WHERE customer = 7").await;
        assert_eq!((seen.refused, seen.scans), (None, [("orders".to_owned(), 1)].into()));
        let seen = plan(" select * FROM orders WHERE id = 7").await;
        assert_eq!((seen.refused, seen.scans), (None, BTreeMap::new()), "by its key");
        for bad in [
            "DELETE FROM orders",
            "selection",
            "WITH x AS (DELETE FROM orders RETURNING 1) SELECT * FROM x",
            "ANALYZE orders",
            "SELECT 1; DROP TABLE orders",
            "SELECT 1; COMMIT; DELETE FROM orders",
            "SELECT ); DROP TABLE orders; --",
            "SELECT 1 FROM absent",
        ] {
            let seen = plan(bad).await;
            assert!(seen.refused.is_some() && seen.scans.is_empty(), "{bad}: {seen:?}");
            assert_eq!(server.ask("SELECT count(*) FROM orders"), "5000", "{bad}");
        }
        let seen = plan("SELECT * FROM orders WHERE customer = $1").await;
        let is_new = server.ask("SELECT current_setting('server_version_num')::int >= 160000") == "t";
        assert_eq!(seen.scans.contains_key("orders"), is_new, "{seen:?}");
    }

    #[tokio::test]
    async fn the_text_is_taken_from_the_statements_that_the_server_counts() {
        let server = Postgres::start().await;
        server.sql("CREATE EXTENSION pg_stat_statements; CREATE TABLE orders (id int)");
        server.sql("SELECT count(id) FROM orders");
        let id = "SELECT queryid FROM pg_stat_statements WHERE query = 'SELECT count(id) FROM orders'";
        let id: i64 = server.ask(id).parse().expect("it is counted");
        let mut sql = Sql::new(server.argv(), Engine::Postgres);
        let seen = ask(&mut sql, "public", id, TimestampMs(3)).await;
        assert_eq!((seen.fingerprint, seen.at, seen.refused.as_deref()), (id, TimestampMs(3), None));
        assert!(seen.scans.contains_key("orders"), "{:?}", seen.scans);
        let other = ask(&mut sql, "public", id.wrapping_add(1), TimestampMs(4)).await;
        assert!(other.refused.is_some_and(|why| why.contains("not known")));
    }
}
