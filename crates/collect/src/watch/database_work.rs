//! What a PostgreSQL server is busy with: statements by fingerprint, and how its tables are read.
//!
//! Asked every [`EVERY`], in the conversation that is open anyway. Statements come from the extension
//! `pg_stat_statements`; the counts are read without the texts, which lie in a file that may be big, and a text only
//! for a statement that is told and not yet known. Where the extension or the right to read it is missing, that is
//! said in the facts and looked for again every [`AGAIN`]. What is usual is the median of the last differences; it
//! is not learned while something is wrong.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use wellkept_model::TimestampMs;
use wellkept_model::observe::{DatabaseWorkSeen, STATEMENTS_MAX, StatementSeen, TABLES_MAX, TableReadSeen};

use super::explain;
use super::sql::Sql;
use super::statement_text;
use crate::series::Series;

/// Shortest time between two looks.
const EVERY: Duration = Duration::from_secs(10);
/// Time between two looks for an extension that was not there.
const AGAIN: Duration = Duration::from_secs(300);
/// A statement that costs so much more in a second is worth the question how it is planned, milliseconds.
const EXPLAIN_MS: f64 = 20.0;
/// Time until the same statement's plan is asked for again.
const EXPLAIN_AGAIN: Duration = Duration::from_secs(60);
/// Smaller tables are read as a whole on purpose, rows.
const ROWS_MIN: u64 = 1000;
/// Characters of a statement.
const TEXT_MAX: usize = 200;
/// Differences that say what is usual, and how many there must be.
const USUAL: (usize, usize) = (30, 3);
/// Statements and tables that are remembered.
const KNOWN_MAX: usize = 500;

/// What is known from former looks.
#[derive(Debug, Default)]
pub(super) struct Work {
    asked_at: Option<Instant>,
    searched_at: Option<Instant>,
    /// The schema of the extension.
    schema: Option<String>,
    statements: BTreeMap<(i64, String), Known>,
    tables: BTreeMap<String, Known>,
    seen: DatabaseWorkSeen,
    /// Plans may be asked for.
    explains: bool,
}

/// One statement or table before.
#[derive(Debug, Default)]
struct Known {
    text: String,
    /// Three counts that only rise.
    last: Option<[f64; 3]>,
    /// Two figures that are usual.
    usual: [Usual; 2],
    told_at: Option<Instant>,
}

/// The last differences.
#[derive(Debug, Default)]
struct Usual(VecDeque<f64>);

impl Usual {
    fn learn(&mut self, value: f64) {
        self.0.push_back(value);
        if self.0.len() > USUAL.0 {
            self.0.pop_front();
        }
    }

    fn median(&self) -> Option<f64> {
        let mut values: Vec<f64> = self.0.iter().copied().collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().filter(|_| values.len() >= USUAL.1)
    }
}

impl Work {
    /// `explains`: a person allows that plans of statements are asked for.
    pub(super) fn new(explains: bool) -> Self {
        Self { explains, ..Self::default() }
    }

    /// The last difference; a new one when it is time. `asked`: something is wrong.
    pub(super) async fn look(
        &mut self,
        sql: &mut Sql,
        asked: bool,
        at: TimestampMs,
        now: Instant,
    ) -> DatabaseWorkSeen {
        if self.asked_at.is_some_and(|then| now.saturating_duration_since(then) < EVERY) {
            return self.seen.clone();
        }
        self.search(sql, now).await;
        let mut questions = tables();
        if let Some(schema) = &self.schema {
            questions.push_str(&statements(schema));
        }
        // A question that fails costs this look only: the others have their own.
        let Ok(rows) = sql.ask(&questions).await else { return self.seen.clone() };
        let before = self.asked_at.replace(now).map(|then| now.saturating_duration_since(then));
        self.read(&rows, before, asked, at, now);
        self.texts(sql).await;
        if asked {
            self.explain(sql, at).await;
        }
        self.seen.clone()
    }

    /// Looks for the extension.
    async fn search(&mut self, sql: &mut Sql, now: Instant) {
        if self.searched_at.is_some_and(|then| now.saturating_duration_since(then) < AGAIN) {
            return;
        }
        self.searched_at = Some(now);
        let (mut schema, mut why) = (None, Some("the extension pg_stat_statements is not there".to_owned()));
        for row in sql.ask(EXTENSION).await.unwrap_or_default() {
            let words: Vec<&str> = row.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["extension", "t", right, name @ ..] => {
                    why = (*right != "t").then(|| ONLY_OWN.to_owned());
                    schema = Some(name.join("|"));
                }
                ["extension", ..] => why = Some("pg_stat_statements is older than 1.8".to_owned()),
                _ => {}
            }
        }
        (self.schema, self.seen.not_counted) = (schema, why);
    }

    fn read(
        &mut self,
        rows: &[Vec<String>],
        before: Option<Duration>,
        asked: bool,
        at: TimestampMs,
        now: Instant,
    ) {
        let seconds = before.map_or(0.0, |d| d.as_secs_f64());
        let within_ms = before.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        let not_counted = self.seen.not_counted.take().filter(|why| why != NOT_READABLE);
        let plan = self.seen.plan.take();
        let mut seen = DatabaseWorkSeen { at, within_ms, not_counted, plan, ..DatabaseWorkSeen::default() };
        let mut counted = false;
        for row in rows {
            let words: Vec<&str> = row.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["statement", id, calls, ms, database @ ..] => {
                    counted = true;
                    let Ok(id) = id.parse() else { continue };
                    let known = self.statements.entry((id, database.join("|"))).or_default();
                    seen.statements.push(known.statement(
                        (id, &database.join("|")),
                        calls,
                        ms,
                        seconds,
                        asked,
                        now,
                    ));
                }
                ["table", scans, scanned, by_index, rows, database, name @ ..] => {
                    let (name, counts) = (name.join("|"), [number(scans), number(scanned), number(by_index)]);
                    let known = self.tables.entry(name.clone()).or_default();
                    let table = known.table(database, counts, number(rows), asked, now);
                    if seen.tables.len() < TABLES_MAX {
                        seen.tables.insert(name, table);
                    }
                }
                _ => {}
            }
        }
        if self.schema.is_some() && !counted && seen.not_counted.is_none() {
            seen.not_counted = Some(NOT_READABLE.to_owned());
        }
        seen.statements.sort_by(|a, b| b.ms.total_cmp(&a.ms).then(b.ms_ever.total_cmp(&a.ms_ever)));
        seen.statements.truncate(STATEMENTS_MAX);
        forget(&mut self.statements, now);
        forget(&mut self.tables, now);
        self.seen = seen;
    }

    /// Asks once in a while how the statement that rose most is planned.
    async fn explain(&mut self, sql: &mut Sql, at: TimestampMs) {
        if !self.explains {
            return;
        }
        let Some((risen, _)) = self.seen.risen_most().filter(|(_, rise)| *rise >= EXPLAIN_MS) else { return };
        let known = self.seen.plan.as_ref().filter(|p| p.fingerprint == risen.fingerprint);
        let fingerprint = risen.fingerprint;
        if let Some(schema) = &self.schema
            && known.is_none_or(|p| at.since(p.at) >= EXPLAIN_AGAIN)
        {
            self.seen.plan = Some(explain::ask(sql, schema, fingerprint, at).await);
        }
    }

    /// Fills in the texts, and asks for those that are not known.
    async fn texts(&mut self, sql: &mut Sql) {
        let key = |s: &StatementSeen| (s.fingerprint, s.database.clone());
        let unknown = |s: &&StatementSeen| self.statements.get(&key(s)).is_some_and(|k| k.text.is_empty());
        let ids: Vec<String> =
            self.seen.statements.iter().filter(unknown).map(|s| s.fingerprint.to_string()).collect();
        if let (Some(schema), false) = (&self.schema, ids.is_empty()) {
            let rows = sql.ask(&texts(schema, &ids.join(", "))).await.unwrap_or_default();
            for row in rows {
                let [word, id, text @ ..] = row.as_slice() else { continue };
                let Some(id) = id.parse::<i64>().ok().filter(|_| word == "text") else { continue };
                let text = statement_text::without_values(&text.join("|"));
                let text: String = text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect();
                let same = self.statements.iter_mut().filter(|((known, _), _)| *known == id);
                same.for_each(|(_, known)| known.text.clone_from(&text));
            }
        }
        for statement in &mut self.seen.statements {
            if let Some(known) = self.statements.get(&(statement.fingerprint, statement.database.clone())) {
                statement.text.clone_from(&known.text);
            }
        }
    }
}

impl Known {
    /// How much each count rose. One that fell was reset (the reads of an index go with the index), and what is new
    /// began with its first look.
    fn rise(&mut self, counts: [f64; 3], now: Instant) -> [f64; 3] {
        self.told_at = Some(now);
        let Some([a, b, c]) = self.last.replace(counts) else { return [0.0; 3] };
        let [x, y, z] = counts;
        [(x - a).max(0.0), (y - b).max(0.0), (z - c).max(0.0)]
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, never negative")]
    fn statement(
        &mut self,
        (fingerprint, database): (i64, &str),
        calls: &str,
        ms: &str,
        seconds: f64,
        asked: bool,
        now: Instant,
    ) -> StatementSeen {
        let (calls_ever, ms_ever) = (number(calls), number(ms));
        let first = self.last.is_none();
        let [calls, ms, _] = self.rise([calls_ever, ms_ever, 0.0], now);
        let [a_second, a_call] = &mut self.usual;
        let (usual_ms_a_second, usual_ms_a_call) = (a_second.median(), a_call.median());
        if !asked && !first && seconds > 0.0 {
            a_second.learn(ms / seconds);
            if calls > 0.0 {
                a_call.learn(ms / calls);
            }
        }
        StatementSeen {
            fingerprint,
            database: database.to_owned(),
            text: String::new(),
            calls_ever: calls_ever as u64,
            ms_ever,
            calls: calls as u64,
            ms,
            usual_ms_a_second,
            usual_ms_a_call,
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, never negative")]
    fn table(
        &mut self,
        database: &str,
        counts: [f64; 3],
        rows: f64,
        asked: bool,
        now: Instant,
    ) -> TableReadSeen {
        let first = self.last.is_none();
        let [scans, scanned, by_index] = self.rise(counts, now).map(|n| n as u64);
        let [scans_ever, scanned_ever, by_index_ever] = counts.map(|n| n as u64);
        let [a_read, _] = &mut self.usual;
        let seen = TableReadSeen {
            database: database.to_owned(),
            rows: rows as u64,
            scans_ever,
            scanned_ever,
            by_index_ever,
            scans,
            scanned,
            by_index,
            usual_a_read: a_read.median(),
        };
        if !asked && !first && scans + by_index > 0 {
            a_read.learn(seen.a_read());
        }
        seen
    }
}

/// Those not told for longest go first.
fn forget<K: Ord + Clone>(known: &mut BTreeMap<K, Known>, now: Instant) {
    if known.len() > KNOWN_MAX {
        known.retain(|_, k| k.told_at == Some(now));
    }
}

const NOT_READABLE: &str = "pg_stat_statements tells nothing: is its library in shared_preload_libraries?";
const ONLY_OWN: &str = "the right pg_read_all_stats is missing: statements of others are not told";

/// From 1.8 on the columns have the names that are asked for.
const EXTENSION: &str = "SELECT 'extension', string_to_array(e.extversion, '.')::int[] >= '{1,8}', \
     pg_has_role('pg_read_all_stats', 'USAGE'), quote_ident(n.nspname) \
     FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements';";

/// Those that took most time, and those of which one call takes most: a new slow one is not yet among the first.
fn statements(schema: &str) -> String {
    format!(
        "WITH s AS MATERIALIZED (SELECT queryid, dbid, sum(calls) AS calls, sum(total_exec_time) AS ms \
         FROM {schema}.pg_stat_statements(false) WHERE queryid IS NOT NULL GROUP BY 1, 2 HAVING sum(calls) > 0), \
         t AS ((SELECT * FROM s ORDER BY ms DESC LIMIT {STATEMENTS_MAX}) UNION \
         (SELECT * FROM s ORDER BY ms / calls DESC LIMIT {STATEMENTS_MAX})) \
         SELECT 'statement', t.queryid, t.calls, round(t.ms::numeric, 3), d.datname \
         FROM t JOIN pg_database d ON d.oid = t.dbid;\n"
    )
}

fn texts(schema: &str, ids: &str) -> String {
    format!(
        "SELECT DISTINCT ON (queryid) 'text', queryid, left(regexp_replace(query, '\\s+', ' ', 'g'), {TEXT_MAX}) \
         FROM {schema}.pg_stat_statements WHERE queryid IN ({ids}) AND {};\n",
        statement_text::READS_OR_WRITES
    )
}

fn tables() -> String {
    format!(
        "SELECT 'table', seq_scan, seq_tup_read, coalesce(idx_scan, 0), n_live_tup, \
         replace(current_database(), '|', '_'), \
         CASE schemaname WHEN 'public' THEN '' ELSE schemaname || '.' END || relname \
         FROM pg_stat_user_tables WHERE n_live_tup >= {ROWS_MIN} ORDER BY seq_tup_read DESC LIMIT {TABLES_MAX};\n"
    )
}

fn number(text: &str) -> f64 {
    text.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0).unwrap_or(0.0)
}

/// The names of PostgreSQL's own exporter, with the service.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn emit(service: &str, work: &DatabaseWorkSeen, out: &mut Series) {
    for (name, table) in &work.tables {
        let pairs = [("service", service), ("datname", table.database.as_str()), ("relname", name.as_str())];
        out.put("pg_stat_user_tables_seq_scan", &pairs, table.scans_ever as f64);
        out.put("pg_stat_user_tables_seq_tup_read", &pairs, table.scanned_ever as f64);
        out.put("pg_stat_user_tables_idx_scan", &pairs, table.by_index_ever as f64);
        out.put("pg_stat_user_tables_n_live_tup", &pairs, table.rows as f64);
    }
    for statement in &work.statements {
        let id = statement.fingerprint.to_string();
        let pairs =
            [("service", service), ("datname", statement.database.as_str()), ("queryid", id.as_str())];
        out.put("pg_stat_statements_calls_total", &pairs, statement.calls_ever as f64);
        out.put("pg_stat_statements_seconds_total", &pairs, statement.ms_ever / 1000.0);
    }
}

#[cfg(test)]
mod tests {
    use wellkept_model::keep::Engine;

    use super::*;
    use crate::clock;
    use crate::watch::testing::{Postgres, wait_for};

    /// A table of this many rows with an index, read by it.
    const FILL: &str = "CREATE TABLE orders (id int, customer int); INSERT INTO orders SELECT i, i % 5000 FROM \
                        generate_series(1, 50000) i; CREATE INDEX orders_customer ON orders (customer); ANALYZE orders";
    const READ: &str = "SELECT count(*) FROM orders WHERE customer = 42";

    /// Looks as if this many seconds had passed, so that no test waits for them.
    async fn look(work: &mut Work, sql: &mut Sql, seconds: u64, asked: bool) -> DatabaseWorkSeen {
        let now = clock::monotonic() + Duration::from_secs(seconds);
        work.look(sql, asked, TimestampMs(1), now).await
    }

    #[tokio::test]
    async fn a_real_server_tells_the_statement_and_the_table_that_are_read_without_their_index() {
        let server = Postgres::start().await;
        server.sql("CREATE SCHEMA \"odd |name\"; CREATE EXTENSION pg_stat_statements SCHEMA \"odd |name\"");
        server.sql(FILL);
        let (mut work, mut sql) = (Work::default(), Sql::new(server.argv(), Engine::Postgres));
        let mut seconds = 0;
        for _ in 0..6 {
            (0..3).for_each(|_| server.sql(READ));
            let reads = "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'orders'";
            let wanted = (seconds / 11 + 1) * 3;
            wait_for("the server counts", async || {
                (server.ask(reads).parse::<u64>().ok()? >= wanted).then_some(())
            })
            .await;
            look(&mut work, &mut sql, seconds, false).await;
            seconds += 11;
        }
        let well = &work.seen;
        assert_eq!((well.not_counted.as_deref(), well.within_ms / 1000), (None, 11));
        let read = |seen: &DatabaseWorkSeen| {
            seen.statements.iter().find(|s| s.text.contains("customer = $1")).cloned().expect("it is told")
        };
        assert!(read(well).usual_ms_a_call.is_some_and(|ms| ms < 50.0), "{:?}", read(well));
        assert_eq!((read(well).calls, read(well).database.as_str()), (3, "postgres"));
        assert_eq!(well.tables["orders"].usual_a_read, Some(0.0));
        server.sql("DROP INDEX orders_customer");
        (0..20).for_each(|_| server.sql(READ));
        let seen = wait_for("the scans are counted", async || {
            seconds += 11;
            Some(look(&mut work, &mut sql, seconds, true).await).filter(|s| s.tables["orders"].scans > 0)
        })
        .await;
        let orders = &seen.tables["orders"];
        assert!(orders.rows == 50_000 && orders.a_read() >= 10_000.0, "{orders:?}");
        assert_eq!(orders.usual_a_read, Some(0.0), "nothing is learned while something is wrong");
        // As if it took a second of each.
        work.seen
            .statements
            .iter_mut()
            .filter(|s| s.text.contains("customer = $1"))
            .for_each(|s| s.ms = 11_000.0);
        work.explain(&mut sql, TimestampMs(1)).await;
        assert_eq!(work.seen.plan, None, "nobody has allowed to ask how it is planned");
        work.explains = true;
        work.explain(&mut sql, TimestampMs(1)).await;
        assert_eq!(work.seen.plan.as_ref().map(|p| p.fingerprint), Some(read(&seen).fingerprint));
        let mut out = Series::new(&[]);
        emit("db", &seen, &mut out);
        let told = out.take();
        let has = |name: &str| told.iter().any(|(labels, _)| labels.to_string().starts_with(name));
        assert!(has("pg_stat_user_tables_seq_tup_read{") && has("pg_stat_statements_seconds_total{"));
    }

    #[tokio::test]
    async fn without_the_extension_or_the_right_that_is_said_and_tables_are_told() {
        let server = Postgres::start().await;
        server.sql(FILL);
        let (mut work, mut sql) = (Work::default(), Sql::new(server.argv(), Engine::Postgres));
        let seen = look(&mut work, &mut sql, 0, false).await;
        assert!(seen.not_counted.is_some_and(|why| why.contains("not there")));
        server.sql("CREATE EXTENSION pg_stat_statements; CREATE ROLE weak LOGIN");
        server.sql("CREATE ROLE keeper LOGIN PASSWORD 'hunter2'");
        let seen = look(&mut work, &mut sql, 301, false).await;
        assert!(seen.not_counted.is_none() && !seen.statements.is_empty());
        assert!(seen.statements.iter().any(|s| !s.text.is_empty()));
        assert!(seen.statements.iter().all(|s| !s.text.contains("ROLE")), "{:?}", seen.statements);
        let mut argv = server.argv();
        let account = argv.iter().position(|a| a == "-U").expect("it is named") + 1;
        "weak".clone_into(&mut argv[account]);
        let (mut work, mut sql) = (Work::default(), Sql::new(argv, Engine::Postgres));
        let seen = look(&mut work, &mut sql, 0, false).await;
        assert!(
            seen.tables.contains_key("orders") && seen.not_counted.is_some_and(|w| w.contains("the right"))
        );
        // Its own statements it may always see; those of others it may not.
        assert!(seen.statements.iter().all(|s| !s.text.contains("CREATE")), "{:?}", seen.statements);
    }

    #[test]
    fn counts_that_fall_were_reset_and_what_is_new_has_not_risen() {
        let (mut known, now) = (Known::default(), clock::monotonic());
        assert_eq!(known.rise([5.0, 50.0, 0.0], now), [0.0; 3]);
        assert_eq!(known.rise([7.0, 51.0, 0.0], now), [2.0, 1.0, 0.0]);
        assert_eq!(known.rise([1.0, 60.0, 0.0], now), [0.0, 9.0, 0.0]);
    }

    #[test]
    fn it_is_usual_only_after_some_looks() {
        let mut usual = Usual::default();
        let told: Vec<_> = [9.0, 1.0, 5.0, 100.0].map(|v| (usual.learn(v), usual.median()).1).into();
        assert_eq!(told, [None, None, Some(5.0), Some(9.0)]);
    }

    #[test]
    fn names_and_numbers_are_bounded() {
        let (mut work, now) = (Work { schema: Some("public".into()), ..Work::default() }, clock::monotonic());
        let rows: Vec<Vec<String>> = (0..2000)
            .flat_map(|i| {
                let (s, t) = (format!("statement|{i}|2|{i}.5|d|x"), format!("table|1|1|NaN|1000|d|t{i}|y"));
                [s, t].map(|l| l.split('|').map(str::to_owned).collect())
            })
            .collect();
        work.read(&rows, None, false, TimestampMs(1), now);
        assert_eq!((work.seen.statements.len(), work.seen.tables.len()), (STATEMENTS_MAX, TABLES_MAX));
        assert_eq!(work.seen.statements[0].database, "d|x");
        assert_eq!(work.seen.tables["t0|y"].by_index_ever, 0);
        work.read(&rows[..2], None, false, TimestampMs(2), now + Duration::from_secs(1));
        assert!(work.statements.len() <= 1 && work.tables.len() <= 1);
    }
}
