//! Statements that a step may send to a declared PostgreSQL server. Each is written here; only names from the keep file are
//! put in, as quoted literals or identifiers.

use std::time::Duration;

use wellkept_model::Text;
use wellkept_model::keep::{Command, Database, Engine};

use crate::Outcome;
use crate::evidence::Evidence;
use crate::means::ByMeans;

/// Longest time for cleaning a table; the deadline of the step may be nearer.
const VACUUM_WITHIN: Duration = Duration::from_secs(600);

impl ByMeans<'_> {
    /// One statement, with its own limit.
    pub(crate) async fn sql(&self, database: &Database, statement: &str, within: Duration) -> Outcome {
        if database.care.engine != Engine::Postgres {
            return self.undeclared();
        }
        let more = ["-v", "ON_ERROR_STOP=1", "-c", statement].map(str::to_owned);
        let argv = database.sql.argv.iter().cloned().chain(more).collect();
        self.command(&Command { argv, within }).await
    }

    /// Only sessions of this application, only those idle in a transaction, and only for longer than is declared; asked
    /// of the server in the statement that ends them, so that nothing changes in between.
    pub(crate) async fn sessions(
        &self,
        database: &Database,
        application: &str,
        evidence: &mut Evidence,
    ) -> Outcome {
        let Some(limit) = database.end_sessions.get(application) else { return self.undeclared() };
        if database.care.engine == Engine::Mysql {
            return self.mysql_sessions(database, application, *limit, evidence).await;
        }
        let which = format!(
            "FROM pg_stat_activity WHERE backend_type = 'client backend' AND state LIKE 'idle in transaction%' \
             AND application_name = '{}' AND clock_timestamp() - state_change > interval '{} ms' \
             AND pid <> pg_backend_pid()",
            literal(application),
            limit.as_millis()
        );
        self.end(database, &which, evidence).await
    }

    /// Only sessions of this application for which somebody waits now, which wait for nobody themselves, and whose
    /// transaction is older than is declared; asked of the server in the statement that ends them.
    pub(crate) async fn blockers(
        &self,
        database: &Database,
        application: &str,
        evidence: &mut Evidence,
    ) -> Outcome {
        let Some(limit) = database.care.end_blockers.get(application) else { return self.undeclared() };
        if database.care.engine == Engine::Mysql {
            return self.mysql_blockers(database, application, *limit, evidence).await;
        }
        let which = format!(
            "FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name = '{}' \
             AND clock_timestamp() - xact_start > interval '{} ms' AND wait_event_type IS DISTINCT FROM 'Lock' \
             AND pid <> pg_backend_pid() AND pid IN (SELECT unnest(pg_blocking_pids(w.pid)) \
             FROM pg_stat_activity w WHERE w.wait_event_type = 'Lock')",
            literal(application),
            limit.as_millis()
        );
        self.end(database, &which, evidence).await
    }

    async fn end(&self, database: &Database, which: &str, evidence: &mut Evidence) -> Outcome {
        if let Some(refused) = Self::note_sessions(which, evidence) {
            return refused;
        }
        let statement = format!("SELECT pid, usename, xact_start, pg_terminate_backend(pid) {which}");
        self.sql(database, &statement, database.sql.within).await
    }

    /// Which sessions are to end is kept first; why not, when that cannot be written.
    pub(crate) fn note_sessions(which: &str, evidence: &mut Evidence) -> Option<Outcome> {
        let note = format!("ended: sessions {which}\n");
        let error = evidence.add("sessions.txt", note.as_bytes()).err()?;
        Some(Outcome::failed(Text::new("outcome.evidence_failed").with("error", error)))
    }

    /// Cleans one declared table; without a lock that others would wait for.
    pub(crate) async fn vacuum(&self, database: &Database, table: &str) -> Outcome {
        let statement = format!("VACUUM (SKIP_LOCKED, ANALYZE) \"{}\"", table.replace('"', "\"\""));
        self.sql(database, &statement, VACUUM_WITHIN).await
    }
}

fn literal(text: &str) -> String {
    text.replace('\'', "''")
}
