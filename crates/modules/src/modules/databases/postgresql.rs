//! `postgresql_db`, `postgresql_user` and `postgresql_query`, by `psql`.

use serde_json::{Value, json};

use super::{reads, sealed};
use crate::base::program::Ran;
use crate::base::{Done, Result, Task, fail, files, map, python};
use crate::spec::{Arg, ModuleSpec, flag, int, map as map_arg, raw, text};

const PG_DB: &[Arg] = &[
    text("name").required().aka(&["db"]),
    text("owner").or(""),
    text("template").or(""),
    text("encoding").or(""),
    text("lc_collate").or(""),
    text("lc_ctype").or(""),
    text("tablespace").or(""),
    text("state").or("present").one_of(&["absent", "present"]),
    flag("force", false),
    text("maintenance_db").or("postgres"),
    text("login_host").or("").aka(&["host"]),
    text("login_unix_socket").or("").aka(&["unix_socket"]),
    text("login_user").or("postgres").aka(&["login"]),
    text("login_password").secret(),
    int("login_port").or_int(5432).aka(&["port"]),
];
const PG_USER: &[Arg] = &[
    text("name").required().aka(&["user"]),
    text("password").secret(),
    text("state").or("present").one_of(&["absent", "present"]),
    text("role_attr_flags").or(""),
    text("expires"),
    int("conn_limit"),
    flag("no_password_changes", false),
    flag("fail_on_user", true).aka(&["fail_on_role"]),
    text("login_db").or("postgres").aka(&["db"]),
    text("login_host").or("").aka(&["host"]),
    text("login_unix_socket").or("").aka(&["unix_socket"]),
    text("login_user").or("postgres").aka(&["login"]),
    text("login_password").secret(),
    int("login_port").or_int(5432).aka(&["port"]),
];
const PG_QUERY: &[Arg] = &[
    text("query").required(),
    raw("positional_args"),
    map_arg("named_args"),
    text("login_db").or("postgres").aka(&["db"]),
    text("login_host").or("").aka(&["host"]),
    text("login_unix_socket").or("").aka(&["unix_socket"]),
    text("login_user").or("postgres").aka(&["login"]),
    text("login_password").secret(),
    int("login_port").or_int(5432).aka(&["port"]),
];

pub(crate) const DB: ModuleSpec = ModuleSpec::new("postgresql_db", PG_DB, pg_db);
pub(crate) const USER: ModuleSpec = ModuleSpec::new("postgresql_user", PG_USER, pg_user);
pub(crate) const QUERY: ModuleSpec = ModuleSpec::new("postgresql_query", PG_QUERY, pg_query);

/// A name in PostgreSQL's quotes.
fn pg_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL's quotes, with no backslash special.
fn pg_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn psql(task: &Task<'_>, database: &str, statement: &str, form: &[&str]) -> Result<Ran> {
    if statement.lines().any(|line| line.trim_start().starts_with('\\')) {
        return fail("a statement must not hold commands of psql (lines that begin with a backslash)");
    }
    let args = &task.args;
    let program = task.need("psql")?.to_string_lossy().into_owned();
    let mut argv =
        vec![program, "-X".into(), "-q".into(), "-v".into(), "ON_ERROR_STOP=1".into(), "-w".into()];
    argv.extend(form.iter().map(|word| (*word).to_owned()));
    let host = args.filled("login_host").or(args.filled("login_unix_socket"));
    argv.extend(host.into_iter().flat_map(|host| ["-h".to_owned(), host.to_owned()]));
    argv.extend([
        "-p".into(),
        args.int("login_port").unwrap_or(5432).to_string(),
        "-U".into(),
        args.or_empty("login_user").to_owned(),
        "-d".into(),
        database.to_owned(),
        "-f".into(),
        "-".into(),
    ]);
    let mut environment = Vec::new();
    let kept = match args.filled("login_password") {
        Some(password) => {
            let file =
                sealed(task, &format!("*:*:*:*:{}\n", password.replace('\\', "\\\\").replace(':', "\\:")))?;
            environment.push(("PGPASSFILE".to_owned(), files::shown(file.path())));
            Some(file)
        }
        None => None,
    };
    let ran = task
        .program(&argv)
        .environment(&environment)
        .input(Some(format!("{statement};\n").into_bytes()))
        .run();
    let ran = task.end(ran, "psql".into())?;
    drop(kept);
    if ran.rc != 0 {
        let what = if ran.err_text().contains("connection") && ran.out.is_empty() {
            "unable to connect to database"
        } else {
            "Cannot execute SQL"
        };
        return fail(format!("{what}: {}", ran.err_text().trim()));
    }
    Ok(ran)
}

/// Rows of a query: fields between bytes that no text holds.
fn pg_rows(task: &Task<'_>, database: &str, statement: &str) -> Result<Vec<Vec<String>>> {
    let ran = psql(task, database, statement, &["-A", "-t", "-F", "\x1f", "-R", "\x1e"])?;
    let out = ran.out_text();
    let out = out.trim_end_matches('\n');
    Ok(out
        .split('\x1e')
        .filter(|row| !row.is_empty())
        .map(|row| row.split('\x1f').map(str::to_owned).collect())
        .collect())
}

fn pg_db(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let (name, base) = (args.or_empty("name").to_owned(), args.or_empty("maintenance_db").to_owned());
    let query = format!(
        "SELECT rolname FROM pg_database d JOIN pg_roles r ON d.datdba = r.oid WHERE datname = {}",
        pg_text(&name)
    );
    let now = pg_rows(task, &base, &query)?;
    let owner = args.filled("owner").map(str::to_owned);
    let mut steps = Vec::new();
    match (args.text("state"), now.first()) {
        (Some("absent"), Some(_)) => {
            let force = if args.flag("force") { " WITH (FORCE)" } else { "" };
            steps.push(format!("DROP DATABASE {}{force}", pg_name(&name)));
        }
        (Some("present"), None) => {
            let mut statement = format!("CREATE DATABASE {}", pg_name(&name));
            if let Some(owner) = &owner {
                statement.push_str(&format!(" OWNER {}", pg_name(owner)));
            }
            for (arg, word) in [("template", "TEMPLATE"), ("tablespace", "TABLESPACE")] {
                if let Some(value) = args.filled(arg) {
                    statement.push_str(&format!(" {word} {}", pg_name(value)));
                }
            }
            for (arg, word) in
                [("encoding", "ENCODING"), ("lc_collate", "LC_COLLATE"), ("lc_ctype", "LC_CTYPE")]
            {
                if let Some(value) = args.filled(arg) {
                    statement.push_str(&format!(" {word} {}", pg_text(value)));
                }
            }
            steps.push(statement);
        }
        (Some("present"), Some(row)) => {
            if let Some(owner) = owner.filter(|owner| row.first() != Some(owner)) {
                steps.push(format!("ALTER DATABASE {} OWNER TO {}", pg_name(&name), pg_name(&owner)));
            }
        }
        _ => {}
    }
    if !task.check() {
        for step in &steps {
            psql(task, &base, step, &[])?;
        }
    }
    Ok(map([
        ("changed", (!steps.is_empty()).into()),
        ("db", name.into()),
        ("executed_commands", steps.into()),
    ]))
}

/// Role attributes, with the column that tells each.
const ROLES: &[(&str, &str)] = &[
    ("SUPERUSER", "rolsuper"),
    ("CREATEROLE", "rolcreaterole"),
    ("CREATEDB", "rolcreatedb"),
    ("INHERIT", "rolinherit"),
    ("LOGIN", "rolcanlogin"),
    ("REPLICATION", "rolreplication"),
    ("BYPASSRLS", "rolbypassrls"),
];

fn pg_user(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let (name, base) = (args.or_empty("name").to_owned(), args.or_empty("login_db").to_owned());
    let columns: Vec<&str> = ROLES.iter().map(|(_, column)| *column).collect();
    let query = format!(
        "SELECT {}, rolconnlimit FROM pg_roles WHERE rolname = {}",
        columns.join(", "),
        pg_text(&name)
    );
    let now = pg_rows(task, &base, &query)?;
    let flags: Vec<String> = args
        .or_empty("role_attr_flags")
        .split(',')
        .map(|flag| flag.trim().to_uppercase())
        .filter(|flag| !flag.is_empty())
        .collect();
    let known = |flag: &str| ROLES.iter().find(|(word, _)| *word == flag.strip_prefix("NO").unwrap_or(flag));
    if let Some(wrong) = flags.iter().find(|flag| known(flag).is_none()) {
        return fail(format!("Invalid role_attr_flags specified: {wrong}"));
    }
    let password = args.filled("password").map(str::to_owned);
    let with = |words: &mut Vec<String>| {
        if let Some(password) = &password {
            words.push(format!("PASSWORD {}", pg_text(password)));
        }
        words.extend(args.filled("expires").map(|when| format!("VALID UNTIL {}", pg_text(when))));
        words.extend(args.int("conn_limit").map(|limit| format!("CONNECTION LIMIT {limit}")));
    };
    let mut steps = Vec::new();
    match (args.text("state"), now.first()) {
        (Some("absent"), Some(_)) => steps.push(format!("DROP USER {}", pg_name(&name))),
        (Some("present"), None) => {
            let mut words = flags.clone();
            with(&mut words);
            steps.push(
                format!("CREATE USER {} WITH {}", pg_name(&name), words.join(" "))
                    .trim_end_matches(" WITH ")
                    .to_owned(),
            );
        }
        (Some("present"), Some(row)) => {
            let on = |flag: &str| {
                let at = ROLES.iter().position(|(word, _)| *word == flag.strip_prefix("NO").unwrap_or(flag));
                at.and_then(|at| row.get(at)).is_some_and(|value| value == "t")
            };
            let mut words: Vec<String> =
                flags.iter().filter(|flag| on(flag) == flag.starts_with("NO")).cloned().collect();
            if password.is_some()
                && !args.flag("no_password_changes")
                && password_differs(task, &base, &name, password.as_deref())?
            {
                words.push(format!("PASSWORD {}", pg_text(password.as_deref().unwrap_or_default())));
            }
            let limit = row.get(ROLES.len()).and_then(|limit| limit.parse::<i64>().ok());
            words.extend(
                args.int("conn_limit")
                    .filter(|wanted| Some(*wanted) != limit)
                    .map(|limit| format!("CONNECTION LIMIT {limit}")),
            );
            if !words.is_empty() {
                steps.push(format!("ALTER USER {} WITH {}", pg_name(&name), words.join(" ")));
            }
        }
        _ => {}
    }
    if !task.check() {
        for step in &steps {
            psql(task, &base, step, &[])?;
        }
    }
    let shown: Vec<String> = steps
        .iter()
        .map(|step| match &password {
            Some(password) => step.replace(&pg_text(password), "'********'"),
            None => step.clone(),
        })
        .collect();
    Ok(map([("changed", (!steps.is_empty()).into()), ("user", name.into()), ("queries", shown.into())]))
}

/// A password that is already a hash is compared; of others nobody but the server can tell, so they are set again.
fn password_differs(task: &Task<'_>, base: &str, name: &str, password: Option<&str>) -> Result<bool> {
    let password = password.unwrap_or_default();
    if !password.starts_with("md5") && !password.starts_with("SCRAM-SHA-256$") {
        return Ok(true);
    }
    let rows =
        pg_rows(task, base, &format!("SELECT rolpassword FROM pg_authid WHERE rolname = {}", pg_text(name)))?;
    Ok(rows.first().and_then(|row| row.first()).map(String::as_str) != Some(password))
}

/// The query with `%s` and `%(name)s` replaced by the arguments, each in quotes.
fn filled(task: &Task<'_>, query: &str) -> Result<String> {
    let (positional, named) = (task.args.get("positional_args"), task.args.get("named_args"));
    if positional.is_none() && named.is_none() {
        return Ok(query.to_owned());
    }
    let value = |value: &Value| match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        other => pg_text(&python::text(other)),
    };
    let mut positional = positional.and_then(Value::as_array).into_iter().flatten().map(value);
    super::filled(query, &mut positional, named, value)
}

fn pg_query(task: &mut Task<'_>) -> Done {
    let query = filled(task, task.args.or_empty("query").trim().trim_end_matches(';'))?;
    let base = task.args.or_empty("login_db").to_owned();
    let reading = reads(&query);
    if task.check() && !reading {
        return Ok(map([
            ("changed", true.into()),
            ("query", query.into()),
            ("query_result", Value::Array(Vec::new())),
        ]));
    }
    let mut rows = Vec::new();
    let word = query.split_whitespace().next().unwrap_or_default().to_uppercase();
    let mut status = word.clone();
    let mut count = None;
    if reading && !matches!(word.as_str(), "SHOW" | "EXPLAIN") {
        let whole = format!("SELECT coalesce(json_agg(wk), '[]') FROM ({query}\n) wk");
        let out = psql(task, &base, &whole, &["-A", "-t"])?.out_text();
        if let Ok(Value::Array(all)) = serde_json::from_str(out.trim()) {
            rows = all;
        }
        status = format!("{word} {}", rows.len());
    } else if reading {
        let out = psql(task, &base, &query, &["-A", "-t"])?.out_text();
        rows.extend(out.lines().filter(|line| !line.is_empty()).map(|line| json!({"row": line})));
    } else {
        // What the server says of the last statement: `UPDATE 2`, `CREATE TABLE`.
        let out = psql(task, &base, &query, &["-A", "-t", "-v", "QUIET=off"])?.out_text();
        if let Some(last) = out.lines().rev().find(|line| !line.trim().is_empty()) {
            last.trim().clone_into(&mut status);
        }
        count = status.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
    }
    // Rows that stay as they are change nothing; of other statements nobody can say that.
    let changed = !reading && count != Some(0);
    let count = count.unwrap_or(rows.len() as u64);
    Ok(map([
        ("changed", changed.into()),
        ("query", query.clone().into()),
        ("query_list", json!([query])),
        ("query_result", rows.clone().into()),
        ("query_all_results", json!([rows])),
        ("rowcount", count.into()),
        ("statusmessage", status.into()),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!((pg_name("a\"b"), pg_text("a'b")), ("\"a\"\"b\"".to_owned(), "'a''b'".to_owned()));
    }
}
