//! One lasting conversation with a `psql` or `mariadb` that was declared in the keep file.
//!
//! Starting a client for every look costs a hundred times what the question costs, and when all connection slots are
//! taken a new one may not get in. So the client stays; when it ends or does not answer in time, it is started again
//! at the next look. Each answer ends with a line that the client prints after the last statement.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

use wellkept_model::keep::Engine;

use super::program;
use crate::health::Group;

/// Longest time for one answer.
const WITHIN: Duration = Duration::from_secs(3);
/// Most of one answer, bytes.
const ANSWER_MAX: u64 = 1 << 20;
const END: &str = "--wellkept-end--";
/// What every conversation begins with: our questions are never the ones that hold others up.
const GREETING: &str =
    "SET application_name = 'wellkept'; SET statement_timeout = '2s'; SET lock_timeout = '500ms';\n";

/// The conversation.
pub(super) struct Sql {
    argv: Vec<String>,
    engine: Engine,
    open: Option<Open>,
}

struct Open {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Ends the client with this.
    _group: Group,
}

impl Sql {
    pub(super) fn new(argv: Vec<String>, engine: Engine) -> Self {
        Self { argv, engine, open: None }
    }

    /// Rows of all statements as their columns; an error ends the conversation.
    pub(super) async fn ask(&mut self, statements: &str) -> Result<Vec<Vec<String>>, String> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        let asked = tokio::time::timeout(WITHIN, exchange(&mut open, &self.wrapped(statements))).await;
        let text = asked.map_err(|_| format!("no answer within {} s", WITHIN.as_secs()))??;
        self.open = Some(open);
        let between = match self.engine {
            Engine::Postgres => '|',
            Engine::Mysql => '\t',
        };
        Ok(text.lines().map(|l| l.split(between).map(str::to_owned).collect()).collect())
    }

    /// With what goes before and what ends the answer.
    fn wrapped(&self, statements: &str) -> String {
        match self.engine {
            Engine::Postgres => format!("{GREETING}{statements}\n\\echo {END}\n"),
            Engine::Mysql => format!("{}{statements}\nSELECT '{END}';\n", super::mysql::GREETING),
        }
    }

    fn begin(&self) -> Result<Open, String> {
        let mut command = program::command(&self.argv).ok_or("no program is named")?;
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        let name = self.argv.first().cloned().unwrap_or_default();
        let mut group = Group::of(command.spawn().map_err(|e| format!("{name}: {e}"))?);
        let (input, output) = (group.child().stdin.take(), group.child().stdout.take());
        let (Some(input), Some(output)) = (input, output) else { return Err("no pipe".to_owned()) };
        Ok(Open { input, output: BufReader::new(output), _group: group })
    }
}

async fn exchange(open: &mut Open, text: &str) -> Result<String, String> {
    open.input.write_all(text.as_bytes()).await.map_err(|e| e.to_string())?;
    open.input.flush().await.map_err(|e| e.to_string())?;
    let mut answer = String::new();
    let mut bounded = (&mut open.output).take(ANSWER_MAX);
    loop {
        let from = answer.len();
        let read = bounded.read_line(&mut answer).await.map_err(|e| e.to_string())?;
        if read == 0 {
            return Err("the client has ended: it was refused, or the server went away".to_owned());
        }
        if answer.get(from..).is_some_and(|line| line.trim_end() == END) {
            answer.truncate(from);
            return Ok(answer);
        }
    }
}

/// A text as SQL writes it.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that behaves as the client: answers `SELECT x` with a row, and counts its starts.
    fn client(dir: &std::path::Path) -> Vec<String> {
        let script = format!(
            "echo x >> {}/starts; while read -r l; do case \"$l\" in SELECT*) echo \"a|1\";; QUIT) exit 0;; \
             HANG) sleep 600;; '\\echo '*) echo \"${{l#* }}\";; esac; done",
            dir.display()
        );
        ["/bin/sh", "-c", &script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn one_client_answers_many_questions_and_is_replaced_when_it_ends() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut sql = Sql::new(client(dir.path()), Engine::Postgres);
        for _ in 0..3 {
            assert_eq!(sql.ask("SELECT 1;\nSELECT 2;").await.map(|r| r.len()), Ok(2));
        }
        assert!(sql.ask("QUIT").await.is_err());
        assert_eq!(sql.ask("SELECT 1;").await, Ok(vec![vec!["a".to_owned(), "1".to_owned()]]));
        let starts = std::fs::read_to_string(dir.path().join("starts")).expect("written");
        assert_eq!(starts.lines().count(), 2);
    }

    #[tokio::test]
    async fn a_client_that_hangs_is_given_up() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut sql = Sql::new(client(dir.path()), Engine::Postgres);
        assert!(sql.ask("HANG").await.is_err_and(|e| e.contains("no answer")));
        assert!(sql.ask("SELECT 1;").await.is_ok());
    }

    #[test]
    fn quotation_marks_in_names_end_nothing() {
        assert_eq!(quoted("a'; DROP"), "'a''; DROP'");
    }
}
