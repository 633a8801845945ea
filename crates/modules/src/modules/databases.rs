//! Modules for databases, by the clients of the databases.
//!
//! Statements go by standard input; passwords by a file that only we can read, never by argument or environment.

pub(crate) mod mysql;
pub(crate) mod postgresql;

use std::io::Write;

use tempfile::NamedTempFile;

use crate::base::{Result, ResultExt, Task};

/// A file that only we can read.
fn sealed(task: &Task<'_>, text: &str) -> Result<NamedTempFile> {
    let mut file =
        tempfile::Builder::new().prefix("login").tempfile_in(&task.ctx.temp).or_fail(|| "login".into())?;
    file.write_all(text.as_bytes()).or_fail(|| "login".into())?;
    Ok(file)
}

/// The first word of a statement, which tells whether it changes anything.
fn reads(statement: &str) -> bool {
    let word = statement
        .trim_start()
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_uppercase();
    matches!(word.as_str(), "SELECT" | "SHOW" | "EXPLAIN" | "VALUES" | "TABLE" | "DESCRIBE" | "DESC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_only_read_change_nothing() {
        assert!(reads(" select 1") && reads("SHOW x"));
        assert!(!reads("INSERT INTO a") && !reads("with x as (delete from a) select 1"));
    }
}
