//! Statements that a step may send to a declared MySQL or MariaDB server: they end sessions, and nothing else.
//!
//! These servers have no statement that chooses and ends at once, so one session after the other is chosen and ended by a
//! prepared `KILL`, and each is judged anew just before. An application is known by its account here. A number of a
//! session is not given again while the server runs.

use std::time::Duration;

use wellkept_model::keep::{Command, Database};

use crate::Outcome;
use crate::evidence::Evidence;
use crate::means::ByMeans;

/// Sessions that one step ends at most.
const ENDED_MAX: usize = 50;

impl ByMeans<'_> {
    /// Sessions of this account that do nothing in an open transaction for longer than is declared.
    pub(crate) async fn mysql_sessions(
        &self,
        database: &Database,
        account: &str,
        limit: Duration,
        evidence: &mut Evidence,
    ) -> Outcome {
        let which = format!(
            "p.COMMAND = 'Sleep' AND p.USER = '{}' AND p.TIME * 1000 > {}",
            literal(account),
            limit.as_millis()
        );
        self.mysql_end(database, &which, evidence).await
    }

    /// Sessions of this account for which somebody waits now, which wait for nobody, and whose transaction is older than
    /// is declared.
    pub(crate) async fn mysql_blockers(
        &self,
        database: &Database,
        account: &str,
        limit: Duration,
        evidence: &mut Evidence,
    ) -> Outcome {
        let which = format!(
            "p.USER = '{}' AND t.trx_state <> 'LOCK WAIT' AND timestampdiff(MICROSECOND, t.trx_started, now()) > {} \
             AND p.ID IN (SELECT blocking_pid FROM sys.innodb_lock_waits)",
            literal(account),
            limit.as_micros()
        );
        self.mysql_end(database, &which, evidence).await
    }

    async fn mysql_end(&self, database: &Database, which: &str, evidence: &mut Evidence) -> Outcome {
        if let Some(refused) = Self::note_sessions(which, evidence) {
            return refused;
        }
        // By force, a client would go on after an error and say that all went well.
        let more = ["--skip-force", "-e", &script(which)].map(str::to_owned);
        let argv = database.sql.argv.iter().cloned().chain(more).collect();
        self.command(&Command { argv, within: database.sql.within }).await
    }
}

fn script(which: &str) -> String {
    let from = format!(
        "FROM information_schema.PROCESSLIST p JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID \
         WHERE p.ID <> connection_id() AND p.COMMAND NOT IN ('Daemon', 'Binlog Dump', 'Killed') AND {which}"
    );
    let mut script = format!("SELECT p.ID, p.USER, t.trx_started {from};\nSET @done = '';\n");
    let one = format!(
        "SET @id = (SELECT p.ID {from} AND NOT find_in_set(p.ID, @done) ORDER BY p.ID LIMIT 1);\n\
         SET @end = coalesce(concat('KILL ', @id), 'DO 0');\nPREPARE wellkept FROM @end;\nEXECUTE wellkept;\n\
         SET @done = concat_ws(',', @done, @id);\n"
    );
    script.extend(std::iter::repeat_n(one.as_str(), ENDED_MAX));
    script
}

/// A backslash means something to these servers.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "''")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_quotation_marks_nor_backslashes_end_a_name() {
        assert_eq!(literal("a\\'; DROP"), "a\\\\''; DROP");
    }
}
