//! What a database server says of its sessions, indexes, scans and replay.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use wellkept_model::TimestampMs;
use wellkept_model::keep::{Database, Engine};
use wellkept_model::observe::{ApplicationSeen, DatabaseSeen};

use super::database_care::{self, Care};
use super::database_work::Work;
use super::sql::{Sql, quoted};
use super::{Shared, mysql, pause};
use crate::clock;

/// Tables whose scans are worth telling, rows per second.
const SCANNED_MIN: u64 = 10_000;

pub(super) async fn watch(shared: Shared, declared: Database) {
    let mut closely = shared.closely.subscribe();
    let mut look = Look::new(declared);
    let mut asked = false;
    loop {
        let seen = look.look(asked).await;
        shared.lock().databases.insert(look.declared.service.clone(), seen);
        asked = pause(look.declared.every, &mut closely).await;
    }
}

/// One server with the conversation and what is known from former looks.
pub(super) struct Look {
    declared: Database,
    sql: Sql,
    questions: String,
    memory: Memory,
    care: Care,
    work: Work,
}

impl Look {
    pub(super) fn new(declared: Database) -> Self {
        let sql = Sql::new(declared.sql.argv.clone(), declared.care.engine);
        let questions = match declared.care.engine {
            Engine::Postgres => questions(&declared),
            Engine::Mysql => mysql::quick(&declared),
        };
        let work = Work::new(declared.care.explain);
        Self { declared, sql, questions, memory: Memory::default(), care: Care::default(), work }
    }

    /// `asked`: something is wrong, so that what changes slowly is looked at as well.
    pub(super) async fn look(&mut self, asked: bool) -> DatabaseSeen {
        let (at, now) = (clock::wall(), clock::monotonic());
        let rarely = self.care.slow_questions(&self.declared, asked, now);
        let mut answer = self.sql.ask(&format!("{}{rarely}", self.questions)).await;
        if let Ok(rows) = &mut answer
            && database_care::somebody_waits(rows)
            && let Ok(more) = self.sql.ask(&database_care::chains(&self.declared)).await
        {
            rows.extend(more);
        }
        match answer {
            Ok(rows) => {
                let care = self.care.read(&self.declared, &rows, at, now);
                let mut seen = DatabaseSeen { care, ..self.memory.read(&self.declared, &rows, at, now) };
                if seen.problem.is_none() && self.declared.care.engine == Engine::Postgres {
                    seen.work = self.work.look(&mut self.sql, asked, at, now).await;
                }
                seen
            }
            Err(problem) => DatabaseSeen { at, problem: Some(problem), ..DatabaseSeen::default() },
        }
    }
}

/// What is asked; every row begins with a word that says what it is, and names come last.
fn questions(declared: &Database) -> String {
    let clients = "FROM pg_stat_activity WHERE backend_type = 'client backend'";
    let idle = "state LIKE 'idle in transaction%'";
    let mut out = format!(
        "SELECT 'slots', count(*), current_setting('max_connections')::int \
         - current_setting('superuser_reserved_connections')::int, \
         count(*) FILTER (WHERE wait_event_type = 'Lock') {clients};\n\
         SELECT 'app', count(*), coalesce((extract(epoch FROM max(clock_timestamp() - state_change) \
         FILTER (WHERE {idle})) * 1000)::bigint, 0), application_name {clients} GROUP BY 4 LIMIT 200;\n"
    );
    // Writing to a String cannot fail.
    for (application, limit) in &declared.end_sessions {
        let _ = writeln!(
            out,
            "SELECT 'stale', count(*), application_name {clients} AND {idle} AND application_name = {} AND \
             clock_timestamp() - state_change > interval '{} ms' GROUP BY 3;",
            quoted(application),
            limit.as_millis()
        );
    }
    if !declared.indexes.is_empty() {
        let names: Vec<String> = declared.indexes.iter().map(|i| quoted(i)).collect();
        let _ = writeln!(
            out,
            "SELECT 'index', i.relname, t.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
             JOIN pg_class t ON t.oid = x.indrelid WHERE x.indisvalid AND i.relname IN ({});\n\
             SELECT 'scan', seq_tup_read, relname FROM pg_stat_user_tables WHERE seq_tup_read > 0 \
             ORDER BY 2 DESC LIMIT 100;",
            names.join(", ")
        );
    }
    out.push_str(&database_care::quick(declared));
    if declared.standby {
        out.push_str(
            "SELECT 'replay', CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END, \
             CASE WHEN pg_is_in_recovery() THEN coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), \
             pg_last_wal_replay_lsn()), 0)::bigint ELSE 0 END;\n",
        );
    }
    out
}

/// What is known from former looks.
#[derive(Default)]
struct Memory {
    tables: BTreeMap<String, String>,
    scanned: Option<(Instant, BTreeMap<String, u64>)>,
    missing_since: Option<TimestampMs>,
    paused_since: Option<TimestampMs>,
}

impl Memory {
    fn read(
        &mut self,
        declared: &Database,
        rows: &[Vec<String>],
        at: TimestampMs,
        now: Instant,
    ) -> DatabaseSeen {
        let mut seen = DatabaseSeen { at, ..DatabaseSeen::default() };
        let (mut there, mut scans) = (BTreeMap::new(), BTreeMap::new());
        for row in rows {
            let words: Vec<&str> = row.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["slots", used, slots, ..] => (seen.used, seen.slots) = (number(used), number(slots)),
                ["app", sessions, idle_ms, name] => {
                    let app: &mut ApplicationSeen = seen.applications.entry((*name).to_owned()).or_default();
                    (app.sessions, app.idle_ms) = (number(sessions), number(idle_ms));
                }
                ["stale", count, name] => {
                    seen.applications.entry((*name).to_owned()).or_default().stale = number(count);
                }
                ["index", name, table] => {
                    there.insert((*name).to_owned(), (*table).to_owned());
                }
                ["scan", rows, table] => {
                    scans.insert((*table).to_owned(), number(rows));
                }
                ["replay", paused, behind] => {
                    seen.paused_since = (*paused == "t").then(|| *self.paused_since.get_or_insert(at));
                    seen.behind_bytes = number(behind);
                }
                _ => {}
            }
        }
        self.paused_since = seen.paused_since;
        if seen.slots == 0 {
            seen.problem = Some("the server did not answer the question".to_owned());
            return seen;
        }
        self.indexes(declared, there, &mut seen);
        seen.scanned = self.scans(scans, now);
        seen
    }

    fn indexes(&mut self, declared: &Database, there: BTreeMap<String, String>, seen: &mut DatabaseSeen) {
        for name in declared.indexes.iter().filter(|n| !there.contains_key(*n)) {
            let table = self.tables.get(name).cloned().unwrap_or_default();
            seen.indexes_missing.insert(name.clone(), table);
        }
        self.tables.extend(there);
        let any = !seen.indexes_missing.is_empty();
        self.missing_since = any.then(|| *self.missing_since.get_or_insert(seen.at));
        seen.missing_since = self.missing_since;
    }

    fn scans(&mut self, now_read: BTreeMap<String, u64>, now: Instant) -> BTreeMap<String, u64> {
        let before = self.scanned.replace((now, now_read.clone()));
        let Some((then, before)) = before else { return BTreeMap::new() };
        let seconds = now.saturating_duration_since(then).max(Duration::from_millis(100)).as_secs_f64();
        let rate = |(table, rows): (String, u64)| {
            let more = rows.saturating_sub(*before.get(&table)?);
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let per_second = (more as f64 / seconds) as u64;
            (per_second >= SCANNED_MIN).then_some((table, per_second))
        };
        now_read.into_iter().filter_map(rate).collect()
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wellkept_model::keep::Command;

    fn declared() -> Database {
        Database {
            service: "db".into(),
            sql: Command { argv: vec!["psql".into()], within: Duration::from_secs(1) },
            full_at: 0.9,
            end_sessions: [("it's".to_owned(), Duration::from_secs(5))].into(),
            indexes: vec!["a_idx".into()],
            undo_migration: None,
            standby: true,
            care: wellkept_model::keep::DatabaseCare::default(),
            every: Duration::from_secs(1),
            may: vec![],
        }
    }

    fn rows(text: &str) -> Vec<Vec<String>> {
        text.lines().map(|l| l.split('|').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn rows_of_all_questions_become_one_picture() {
        let (mut memory, start) = (Memory::default(), clock::monotonic());
        let text = "slots|27|27\napp|25|9000|it's\napp|2|0|app\nstale|25|it's\nindex|a_idx|a\nscan|1000|a\nreplay|f|0";
        let seen = memory.read(&declared(), &rows(text), TimestampMs(1000), start);
        assert_eq!((seen.used, seen.slots, seen.applications["it's"].stale), (27, 27, 25));
        assert!(seen.indexes_missing.is_empty() && seen.paused_since.is_none() && seen.scanned.is_empty());
        let text = "slots|5|27\nscan|2001000|a\nreplay|t|4096";
        let later = start + Duration::from_secs(2);
        let seen = memory.read(&declared(), &rows(text), TimestampMs(3000), later);
        assert_eq!(seen.indexes_missing, [("a_idx".to_owned(), "a".to_owned())].into());
        assert_eq!(seen.scanned, [("a".to_owned(), 1_000_000)].into());
        assert_eq!((seen.paused_since, seen.behind_bytes), (Some(TimestampMs(3000)), 4096));
    }

    #[test]
    fn an_answer_without_the_first_row_is_a_problem_and_no_missing_index() {
        let seen = Memory::default().read(&declared(), &[], TimestampMs(1), clock::monotonic());
        assert!(seen.problem.is_some() && seen.indexes_missing.is_empty());
    }

    #[test]
    fn names_are_quoted() {
        assert!(questions(&declared()).contains("application_name = 'it''s'"));
    }
}
