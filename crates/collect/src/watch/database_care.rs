//! What a database server says of its locks, deadlocks, dead rows, transaction numbers, checkpoints, role and tables.
//!
//! Rows begin with a word that says what they are, whatever server they come from; the questions of PostgreSQL are here.
//! Those about the role go along with every look, and those about locks as soon as somebody waits. The others cost more and change slowly: they are asked every
//! [`RARELY`], or every [`SOON`] while something is wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use wellkept_model::TimestampMs;
use wellkept_model::keep::{Database, Engine};
use wellkept_model::observe::{DatabaseCareSeen, DeadRows, HolderOfLock};

use super::sql::quoted;

/// Time between two looks at what changes slowly, while all is well.
const RARELY: Duration = Duration::from_secs(30);
/// The same while something is wrong.
const SOON: Duration = Duration::from_secs(5);
/// In which time deadlocks are counted.
const DEADLOCKS_WITHIN: Duration = Duration::from_secs(60);
/// In which time checkpoints are counted.
const CHECKPOINTS_WITHIN: Duration = Duration::from_secs(120);
/// Tables with fewer dead rows are not worth telling.
const DEAD_MIN: u64 = 20_000;
/// From this version on checkpoints are counted in a view of their own.
const CHECKPOINTER: u64 = 170_000;
/// From this version on a slot says that its log is lost.
const SLOT_STATUS: u64 = 130_000;
/// Sessions that are followed from a waiting one to whom it waits for.
const CHAIN_MAX: usize = 200;

/// What goes along with every look.
pub(super) fn quick(declared: &Database) -> String {
    let mut out = "SELECT 'role', pg_is_in_recovery(), current_setting('server_version_num');\n".to_owned();
    if declared.standby {
        out.push_str(
            "SELECT 'receiver', count(*), coalesce((SELECT setting FROM pg_settings \
             WHERE name = 'primary_conninfo') <> '', true) FROM pg_stat_wal_receiver \
             WHERE status IS NULL OR status = 'streaming';\n",
        );
    }
    out
}

/// Who waits for whom; asked only when somebody waits, because it costs more than all the rest.
pub(super) fn chains(declared: &Database) -> String {
    if declared.care.engine == Engine::Mysql {
        return super::mysql::chains();
    }
    let waits = "WITH w AS MATERIALIZED (SELECT pid, pg_blocking_pids(pid) AS held_by FROM pg_stat_activity \
                 WHERE wait_event_type = 'Lock' LIMIT 200)";
    format!(
        "{waits} SELECT 'wait', pid, array_to_string(held_by, ',') FROM w;\n\
         {waits} SELECT 'holder', a.pid, coalesce((extract(epoch FROM clock_timestamp() - a.xact_start) \
         * 1000)::bigint, 0), coalesce(a.state LIKE 'idle in transaction%', false), \
         a.backend_type = 'client backend', a.usename, a.application_name FROM pg_stat_activity a \
         WHERE a.pid IN (SELECT unnest(held_by) FROM w) LIMIT 200;\n"
    )
}

/// True when the answer says that somebody waits for a lock.
pub(super) fn somebody_waits(rows: &[Vec<String>]) -> bool {
    rows.iter()
        .any(|row| matches!(row.as_slice(), [word, _, _, waiting] if word == "slots" && number(waiting) > 0))
}

fn slow(declared: &Database, version: u64) -> String {
    let checkpoints = if version >= CHECKPOINTER {
        "num_requested, num_timed FROM pg_stat_checkpointer"
    } else {
        "checkpoints_req, checkpoints_timed FROM pg_stat_bgwriter"
    };
    let mut out = format!(
        "SELECT 'dead', n_live_tup, n_dead_tup, relname FROM pg_stat_user_tables WHERE n_dead_tup >= {DEAD_MIN} \
         ORDER BY n_dead_tup DESC LIMIT 50;\n\
         SELECT 'horizon', (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::bigint, application_name \
         FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND xact_start IS NOT NULL \
         AND backend_type = 'client backend' ORDER BY xact_start LIMIT 1;\n\
         SELECT 'xid', age(datfrozenxid), datname FROM pg_database ORDER BY 2 DESC LIMIT 1;\n\
         SELECT 'damaged', coalesce(sum(checksum_failures), 0) FROM pg_stat_database;\n\
         SELECT 'deadlocks', coalesce(sum(deadlocks), 0) FROM pg_stat_database;\n\
         SELECT 'checkpoints', {checkpoints};\nSELECT 'slow';\n"
    );
    if version >= SLOT_STATUS {
        out.push_str(
            "SELECT 'lost', slot_name FROM pg_replication_slots WHERE wal_status = 'lost' LIMIT 50;\n",
        );
    }
    if !declared.care.schema.is_empty() {
        let names: Vec<String> = declared.care.schema.keys().map(|t| quoted(t)).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "SELECT 'column', c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.attnum > 0 AND NOT a.attisdropped AND \
             n.nspname NOT IN ('pg_catalog', 'information_schema') AND c.relname IN ({});",
            names.join(", ")
        );
    }
    out
}

/// A number that only rises, with how much it rose in the last while.
#[derive(Debug, Default)]
pub(super) struct Rising(VecDeque<(Instant, u64)>);

impl Rising {
    pub(super) fn more(&mut self, now: Instant, value: u64, within: Duration) -> u64 {
        if self.0.back().is_some_and(|(_, last)| value < *last) {
            // Its statistics were reset.
            self.0.clear();
        }
        self.0.push_back((now, value));
        while self.0.get(1).is_some_and(|(then, _)| now.saturating_duration_since(*then) >= within) {
            self.0.pop_front();
        }
        self.0.front().map_or(0, |(_, first)| value.saturating_sub(*first))
    }
}

/// What is known from former looks.
#[derive(Debug, Default)]
pub(super) struct Care {
    version: u64,
    slow_at: Option<Instant>,
    waiting: BTreeMap<u64, Instant>,
    deadlocks: Rising,
    forced: Rising,
    timed: Rising,
    seen: DatabaseCareSeen,
}

impl Care {
    /// What is asked now about what changes slowly; empty when it is not due.
    pub(super) fn slow_questions(&mut self, declared: &Database, closely: bool, now: Instant) -> String {
        let every = if closely { SOON } else { RARELY };
        let due = self.slow_at.is_none_or(|then| now.saturating_duration_since(then) >= every);
        if self.version == 0 || !due {
            return String::new();
        }
        self.slow_at = Some(now);
        match declared.care.engine {
            Engine::Postgres => slow(declared, self.version),
            Engine::Mysql => super::mysql::slow(declared),
        }
    }

    /// Takes the rows of one look.
    pub(super) fn read(
        &mut self,
        declared: &Database,
        rows: &[Vec<String>],
        at: TimestampMs,
        now: Instant,
    ) -> DatabaseCareSeen {
        let mut read = Read::default();
        for row in rows {
            let words: Vec<&str> = row.iter().map(String::as_str).collect();
            self.row(&words, &mut read, now);
        }
        self.seen.holders = self.holders(&read, now);
        let cut = declared.standby && read.follows == Some(true) && read.receives == Some(false);
        self.seen.follows = read.follows;
        self.seen.broken_since = cut.then(|| self.seen.broken_since.unwrap_or(at));
        self.seen.broken_why = read.why;
        if read.slow {
            (self.seen.dead_rows, self.seen.lost_slots) = (read.dead, read.lost);
            (self.seen.horizon_ms, self.seen.horizon_of) = read.horizon;
            self.columns(declared, &read.columns, at);
        }
        self.seen.clone()
    }

    fn row(&mut self, words: &[&str], read: &mut Read, now: Instant) {
        match words {
            ["role", follows, version] => {
                (read.follows, self.version) = (Some(*follows == "t"), number(version));
            }
            ["wait", id, by] => {
                read.waits.insert(number(id), by.split(',').map(number).collect());
            }
            ["holder", id, held_ms, idle, client, user, application] => {
                let (idle, client) = (*idle == "t", *client == "t");
                let (application, user) = ((*application).to_owned(), (*user).to_owned());
                let (id, held_ms) = (number(id), number(held_ms));
                let holder =
                    HolderOfLock { id, application, user, held_ms, idle, client, ..HolderOfLock::default() };
                read.holders.insert(id, holder);
            }
            ["deadlocks", count] => {
                self.seen.deadlocks = self.deadlocks.more(now, number(count), DEADLOCKS_WITHIN);
            }
            ["receiver", count, follows] => read.receives = Some(number(count) > 0 || *follows == "f"),
            ["broken", why @ ..] => {
                read.why = why.join("|").chars().filter(|c| !c.is_control()).take(300).collect()
            }
            ["slow"] => read.slow = true,
            ["dead", live, dead, table] => {
                let rows = DeadRows { live: number(live), dead: number(dead) };
                read.dead.insert((*table).to_owned(), rows);
            }
            ["horizon", ms, application] => read.horizon = (number(ms), (*application).to_owned()),
            ["xid", age, database] => {
                (self.seen.oldest_xid, self.seen.oldest_xid_in) = (number(age), (*database).to_owned());
            }
            ["damaged", pages] => self.seen.damaged_pages = number(pages),
            ["checkpoints", forced, timed] => {
                self.seen.checkpoints_forced = self.forced.more(now, number(forced), CHECKPOINTS_WITHIN);
                self.seen.checkpoints_timed = self.timed.more(now, number(timed), CHECKPOINTS_WITHIN);
            }
            ["lost", slot] => read.lost.push((*slot).to_owned()),
            ["column", table, column] => {
                read.columns.entry((*table).to_owned()).or_default().insert((*column).to_owned());
            }
            _ => {}
        }
    }

    /// Follows everyone who waits to those who wait for nobody.
    fn holders(&mut self, read: &Read, now: Instant) -> Vec<HolderOfLock> {
        self.waiting.retain(|id, _| read.waits.contains_key(id));
        let mut roots: BTreeMap<u64, HolderOfLock> = BTreeMap::new();
        for waiter in read.waits.keys() {
            let since = *self.waiting.entry(*waiter).or_insert(now);
            let waited = u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX);
            for root in roots_of(*waiter, &read.waits) {
                let known = || read.holders.get(&root).cloned().unwrap_or_default();
                let holder = roots.entry(root).or_insert_with(|| HolderOfLock { id: root, ..known() });
                holder.waiting += 1;
                holder.waited_ms = holder.waited_ms.max(waited);
            }
        }
        let mut roots: Vec<_> = roots.into_values().collect();
        roots.sort_by_key(|h| (std::cmp::Reverse(h.waiting), h.id));
        roots.truncate(10);
        roots
    }

    fn columns(&mut self, declared: &Database, there: &BTreeMap<String, BTreeSet<String>>, at: TimestampMs) {
        let mut missing = Vec::new();
        for (table, columns) in &declared.care.schema {
            match there.get(table) {
                None => missing.push(table.clone()),
                Some(has) => {
                    let absent = columns.iter().filter(|c| !has.contains(*c));
                    missing.extend(absent.map(|c| format!("{table}.{c}")));
                }
            }
        }
        let since = self.seen.columns_missing_since.unwrap_or(at);
        self.seen.columns_missing_since = (!missing.is_empty()).then_some(since);
        self.seen.columns_missing = missing;
    }
}

/// The rows of one look.
#[derive(Debug, Default)]
struct Read {
    follows: Option<bool>,
    receives: Option<bool>,
    why: String,
    waits: BTreeMap<u64, Vec<u64>>,
    holders: BTreeMap<u64, HolderOfLock>,
    slow: bool,
    dead: BTreeMap<String, DeadRows>,
    horizon: (u64, String),
    lost: Vec<String>,
    columns: BTreeMap<String, BTreeSet<String>>,
}

/// Those at the end of all chains from here. A circle has no end: the server breaks it by itself.
fn roots_of(waiter: u64, waits: &BTreeMap<u64, Vec<u64>>) -> BTreeSet<u64> {
    let (mut seen, mut todo, mut roots) = (BTreeSet::from([waiter]), vec![waiter], BTreeSet::new());
    while let Some(id) = todo.pop() {
        match waits.get(&id) {
            None => {
                roots.insert(id);
            }
            Some(by) => {
                // Zero stands for a prepared transaction, which has no session; it waits for nobody either.
                todo.extend(by.iter().copied().filter(|b| seen.len() < CHAIN_MAX && seen.insert(*b)));
            }
        }
    }
    roots
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use wellkept_model::keep::{Command, DatabaseCare};
    use wellkept_model::observe::DatabaseSeen;

    use super::*;
    use crate::clock;
    use crate::watch::database::Look;
    use crate::watch::testing::{Postgres, wait_for};

    fn declared(argv: Vec<String>) -> Database {
        let schema = [("orders".to_owned(), vec!["id".to_owned(), "total".to_owned()])].into();
        Database {
            service: "db".into(),
            sql: Command { argv, within: Duration::from_secs(5) },
            full_at: 0.9,
            end_sessions: BTreeMap::new(),
            indexes: vec![],
            undo_migration: None,
            standby: false,
            care: DatabaseCare { schema, ..DatabaseCare::default() },
            every: Duration::from_secs(1),
            may: vec![],
        }
    }

    async fn until(
        look: &mut Look,
        what: &str,
        mut holds: impl FnMut(&DatabaseSeen) -> bool,
    ) -> DatabaseSeen {
        wait_for(what, async || Some(look.look(true).await).filter(|seen| holds(seen))).await
    }

    #[tokio::test]
    async fn a_real_server_tells_who_holds_a_lock_and_who_waits() {
        let server = Postgres::start().await;
        server.sql("CREATE TABLE orders (id int PRIMARY KEY, total int); INSERT INTO orders VALUES (1, 1)");
        let mut look = Look::new(declared(server.argv()));
        let seen = look.look(false).await;
        assert_eq!((seen.problem, seen.care.follows, seen.care.holders), (None, Some(false), vec![]));
        let holder = server.session_that_did("report", "BEGIN; UPDATE orders SET total = 2;");
        let _waits = server.session("app", "UPDATE orders SET total = 3;");
        let _behind = server.session("app", "UPDATE orders SET total = 4;");
        let seen =
            until(&mut look, "two wait", |s| s.care.holders.first().is_some_and(|h| h.waiting == 2)).await;
        let root = &seen.care.holders[0];
        assert_eq!((seen.care.holders.len(), root.application.as_str()), (1, "report"));
        assert!(root.idle && root.client && root.user == "postgres", "{root:?}");
        until(&mut look, "the wait is timed", |s| s.care.holders.first().is_some_and(|h| h.waited_ms > 0))
            .await;
        drop(holder);
        until(&mut look, "the lock is given back", |s| s.care.holders.is_empty()).await;
    }

    #[tokio::test]
    async fn a_real_server_tells_deadlocks_dead_rows_checkpoints_and_absent_columns() {
        let server = Postgres::start().await;
        server.sql(
            "CREATE TABLE orders (id int, total int); INSERT INTO orders SELECT i, i FROM generate_series(1, 30000) i; \
             CREATE TABLE a (n int); INSERT INTO a VALUES (1); CREATE TABLE b (n int); INSERT INTO b VALUES (1)",
        );
        let mut look = Look::new(declared(server.argv()));
        let seen = until(&mut look, "the first slow look", |s| s.care.oldest_xid > 0).await;
        assert_eq!((seen.care.deadlocks, seen.care.checkpoints_forced), (0, 0));
        assert!(seen.care.columns_missing.is_empty() && seen.care.dead_rows.is_empty());
        server.sql("UPDATE orders SET total = 0");
        server.sql("ALTER TABLE orders DROP COLUMN total");
        for _ in 0..3 {
            server.sql("CHECKPOINT");
        }
        let _one = server
            .session("x", "BEGIN; UPDATE a SET n = 2; SELECT pg_sleep(0.5); UPDATE b SET n = 2; ROLLBACK;");
        let _two = server
            .session("y", "BEGIN; UPDATE b SET n = 3; SELECT pg_sleep(0.5); UPDATE a SET n = 3; ROLLBACK;");
        let seen =
            until(&mut look, "a deadlock", |s| s.care.deadlocks == 1 && s.care.checkpoints_forced >= 3).await;
        assert_eq!(seen.care.columns_missing, ["orders.total"]);
        assert!(seen.care.columns_missing_since.is_some());
        let seen = until(&mut look, "dead rows", |s| s.care.dead_rows.contains_key("orders")).await;
        assert_eq!(seen.care.dead_rows["orders"], DeadRows { live: 30_000, dead: 30_000 });
    }

    #[tokio::test]
    async fn a_real_standby_that_is_cut_off_says_so_and_one_that_was_promoted_follows_nobody() {
        let mut primary = Postgres::start().await;
        let standby = primary.standby().await;
        let mut look = Look::new(Database { standby: true, ..declared(standby.argv()) });
        let seen = until(&mut look, "it receives", |s| {
            s.care.follows == Some(true) && s.care.broken_since.is_none()
        })
        .await;
        assert_eq!(seen.paused_since, None);
        standby.sql("SELECT pg_wal_replay_pause()");
        let seen = until(&mut look, "replay is paused", |s| s.paused_since.is_some()).await;
        assert_eq!(seen.care.broken_since, None, "one that is paused is connected");
        standby.sql("SELECT pg_wal_replay_resume()");
        primary.stop();
        until(&mut look, "it is cut off", |s| s.care.broken_since.is_some()).await;
        primary.start_again().await;
        until(&mut look, "it receives again", |s| s.care.broken_since.is_none()).await;
        standby.sql("SELECT pg_promote()");
        let seen = until(&mut look, "it is a primary", |s| s.care.follows == Some(false)).await;
        assert_eq!(seen.care.broken_since, None);
    }

    #[test]
    fn a_circle_of_those_who_wait_has_no_root_and_a_number_that_falls_was_reset() {
        let waits = [(1, vec![2]), (2, vec![1])].into();
        assert!(roots_of(1, &waits).is_empty());
        assert_eq!(roots_of(3, &[(3, vec![4]), (4, vec![0])].into()), [0].into());
        let (mut rising, start) = (Rising::default(), clock::monotonic());
        let at = |s| start + Duration::from_secs(s);
        let minute = Duration::from_secs(60);
        let told: Vec<u64> =
            [(0, 5), (30, 7), (59, 9), (100, 9), (101, 1)].map(|(s, v)| rising.more(at(s), v, minute)).into();
        assert_eq!(told, [0, 2, 4, 2, 0]);
    }

    #[test]
    fn what_changes_slowly_is_asked_rarely() {
        let (mut care, declared, now) = (Care::default(), declared(vec![]), clock::monotonic());
        assert_eq!(care.slow_questions(&declared, true, now), "", "the version is not known yet");
        care.version = 170_001;
        assert!(care.slow_questions(&declared, false, now).contains("pg_stat_checkpointer"));
        let later = |s| now + Duration::from_secs(s);
        assert_eq!(care.slow_questions(&declared, false, later(29)), "");
        assert_eq!(care.slow_questions(&declared, true, later(4)), "");
        assert_ne!(care.slow_questions(&declared, true, later(6)), "");
    }
}
