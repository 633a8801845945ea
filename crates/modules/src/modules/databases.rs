//! Modules for databases, by the clients of the databases.
//!
//! Statements go by standard input; passwords by a file that only we can read, never by argument or environment.

pub(crate) mod mysql;
pub(crate) mod postgresql;

use std::io::Write;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::base::{Fail, Result, ResultExt, Task, fail};

/// A file that only we can read.
fn sealed(task: &Task<'_>, text: &str) -> Result<NamedTempFile> {
    let mut file =
        tempfile::Builder::new().prefix("login").tempfile_in(&task.ctx.temp).or_fail(|| "login".into())?;
    file.write_all(text.as_bytes()).or_fail(|| "login".into())?;
    Ok(file)
}

/// A query with `%s` and `%(name)s` replaced: `%s` by the next of `positional`, which are in quotes already, a name by what
/// `quote` makes of its value.
fn filled(
    query: &str,
    positional: &mut dyn Iterator<Item = String>,
    named: Option<&Value>,
    quote: impl Fn(&Value) -> String,
) -> Result<String> {
    let mut out = String::new();
    let mut rest = query;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        rest = if let Some(after) = after.strip_prefix('s') {
            let next = positional.next();
            out.push_str(&next.ok_or_else(|| Fail::new("not enough arguments for the query's %s"))?);
            after
        } else if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            after
        } else if let Some((name, after)) = after.strip_prefix('(').and_then(|after| after.split_once(")s")) {
            let given = named.and_then(|named| named.get(name));
            out.push_str(&quote(given.ok_or_else(|| Fail::new(format!("named_args has no {name}")))?));
            after
        } else {
            return fail(format!("the query has a % that is no argument; %% is a percent sign: %{after}"));
        };
    }
    out.push_str(rest);
    Ok(out)
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
