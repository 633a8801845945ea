//! `mysql_db`, `mysql_user` and `mysql_query`, by `mysql` or `mariadb`.

use serde_json::{Map, Value, json};

use super::{reads, sealed};
use crate::base::{Done, Fail, Result, ResultExt, Task, fail, files, map, python};
use crate::spec::{Arg, ModuleSpec, flag, int, list, map as map_arg, path, raw, text};

const MY_DB: &[Arg] = &[
    list("name").required().aka(&["db"]),
    text("encoding").or(""),
    text("collation").or(""),
    text("state").or("present").one_of(&["absent", "present"]),
    text("login_host").or("localhost"),
    text("login_user"),
    text("login_password").secret(),
    int("login_port").or_int(3306),
    path("login_unix_socket"),
    path("config_file"),
];
const MY_USER: &[Arg] = &[
    text("user").required().aka(&["name"]),
    text("host").or("localhost"),
    text("password").secret(),
    text("state").or("present").one_of(&["absent", "present"]),
    text("update_password").or("always").one_of(&["always", "on_create"]),
    raw("priv"),
    flag("append_privs", false),
    text("login_host").or("localhost"),
    text("login_user"),
    text("login_password").secret(),
    int("login_port").or_int(3306),
    path("login_unix_socket"),
    path("config_file"),
];
const MY_QUERY: &[Arg] = &[
    raw("query").required(),
    text("login_db").aka(&["db"]),
    list("positional_args"),
    text("login_host").or("localhost"),
    text("login_user"),
    text("login_password").secret(),
    int("login_port").or_int(3306),
    path("login_unix_socket"),
    path("config_file"),
    map_arg("named_args"),
];

pub(crate) const DB: ModuleSpec = ModuleSpec::new("mysql_db", MY_DB, my_db);
pub(crate) const USER: ModuleSpec = ModuleSpec::new("mysql_user", MY_USER, my_user);
pub(crate) const QUERY: ModuleSpec = ModuleSpec::new("mysql_query", MY_QUERY, my_query);

fn my_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn my_text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The rows of a statement, without the names of their columns.
fn mysql(task: &Task<'_>, database: Option<&str>, statement: &str) -> Result<Vec<Vec<String>>> {
    let out = client(task, database, statement, "--skip-column-names")?;
    Ok(out.lines().map(|line| line.split('\t').map(plain).collect()).collect())
}

/// The rows of a statement by the names of their columns. The client tells every value as text; what it calls NULL is
/// null.
fn named_rows(task: &Task<'_>, database: Option<&str>, statement: &str) -> Result<Vec<Value>> {
    let out = client(task, database, statement, "--column-names")?;
    let mut lines = out.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let names: Vec<String> = lines.next().unwrap_or_default().into_iter().map(plain).collect();
    let row = |fields: Vec<&str>| {
        let value = |field: &str| if field == "NULL" { Value::Null } else { plain(field).into() };
        let fields = names.iter().cloned().zip(fields.into_iter().map(value));
        Value::Object(fields.collect())
    };
    Ok(lines.map(row).collect())
}

/// A field as it was before the client escaped it.
fn plain(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (c, false) => out.push(c),
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('0') => out.push('\0'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
        }
    }
    out
}

fn client(task: &Task<'_>, database: Option<&str>, statement: &str, names: &str) -> Result<String> {
    let args = &task.args;
    let program = task.find("mysql").map_or_else(|| task.need("mariadb"), Ok)?.to_string_lossy().into_owned();
    let mut login = "[client]\n".to_owned();
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    for (name, key) in
        [("login_user", "user"), ("login_password", "password"), ("login_unix_socket", "socket")]
    {
        if let Some(value) = args.filled(name) {
            login.push_str(&format!("{key}=\"{}\"\n", quoted(value)));
        }
    }
    if args.text("login_host") != Some("localhost") {
        login.push_str(&format!(
            "host=\"{}\"\nport={}\n",
            quoted(args.or_empty("login_host")),
            args.int("login_port").unwrap_or(3306)
        ));
    }
    let file = sealed(task, &login)?;
    let which = match args.filled("config_file") {
        Some(other) => format!("!include {other}\n{login}"),
        None => login,
    };
    std::fs::write(file.path(), which).or_fail(|| "login".into())?;
    let mut argv = vec![
        program,
        format!("--defaults-extra-file={}", files::shown(file.path())),
        "--batch".into(),
        names.to_owned(),
    ];
    argv.extend(database.map(|database| format!("--database={database}")));
    let ran = task.program(&argv).input(Some(format!("{statement};\n").into_bytes())).run();
    let ran = task.end(ran, "mysql".into())?;
    if ran.rc != 0 {
        return fail(ran.err_text().trim().to_owned());
    }
    Ok(ran.out_text())
}

fn my_db(task: &mut Task<'_>) -> Done {
    let names = task.args.list("name");
    let (mut changed, mut executed) = (false, Vec::new());
    for name in &names {
        let query = format!(
            "SELECT SCHEMA_NAME FROM INFORMATION_SCHEMA.SCHEMATA WHERE SCHEMA_NAME = {}",
            my_text(name)
        );
        let there = !mysql(task, None, &query)?.is_empty();
        let present = task.args.text("state") == Some("present");
        if there == present {
            continue;
        }
        changed = true;
        let mut step = format!("{} DATABASE {}", if present { "CREATE" } else { "DROP" }, my_name(name));
        if present {
            for (arg, word) in [("encoding", "CHARACTER SET"), ("collation", "COLLATE")] {
                if let Some(value) = task.args.filled(arg) {
                    step.push_str(&format!(" {word} {}", my_text(value)));
                }
            }
        }
        if !task.check() {
            mysql(task, None, &step)?;
        }
        executed.push(step);
    }
    Ok(map([
        ("changed", changed.into()),
        ("db", names.join(" ").into()),
        ("db_list", names.into()),
        ("executed_commands", executed.into()),
    ]))
}

/// `db.table:SELECT,INSERT/other.*:ALL` as tables with their rights.
fn privileges(task: &Task<'_>) -> Result<Map<String, Value>> {
    match task.args.get("priv") {
        Some(Value::Object(map)) => Ok(map.clone()),
        Some(Value::String(text)) => text
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| {
                part.split_once(':')
                    .map(|(table, rights)| (table.to_owned(), rights.into()))
                    .ok_or_else(|| Fail::new(format!("invalid privileges string: {part}")))
            })
            .collect(),
        _ => Ok(Map::new()),
    }
}

fn my_user(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let (name, host) = (args.or_empty("user").to_owned(), args.or_empty("host").to_owned());
    let who = format!("{}@{}", my_text(&name), my_text(&host));
    let query = format!(
        "SELECT COUNT(*) FROM mysql.user WHERE user = {} AND host = {}",
        my_text(&name),
        my_text(&host)
    );
    let there =
        mysql(task, None, &query)?.first().and_then(|row| row.first()).is_some_and(|count| count != "0");
    let mut steps = Vec::new();
    let password = args.filled("password");
    let mut msg = "User unchanged";
    match (args.text("state"), there) {
        (Some("absent"), true) => {
            steps.push(format!("DROP USER {who}"));
            msg = "User deleted";
        }
        (Some("absent"), false) => msg = "User doesn't exist",
        (_, false) => {
            let by =
                password.map(|password| format!(" IDENTIFIED BY {}", my_text(password))).unwrap_or_default();
            steps.push(format!("CREATE USER {who}{by}"));
            msg = "User added";
        }
        (_, true) => {
            if let Some(password) = password.filter(|_| args.text("update_password") == Some("always")) {
                steps.push(format!("ALTER USER {who} IDENTIFIED BY {}", my_text(password)));
                msg = "Password updated (new style)";
            }
        }
    }
    if args.text("state") == Some("present") {
        let grants: Vec<String> = if there {
            mysql(task, None, &format!("SHOW GRANTS FOR {who}"))?
                .into_iter()
                .filter_map(|row| row.into_iter().next())
                .collect()
        } else {
            Vec::new()
        };
        for (table, rights) in privileges(task)? {
            let (mut rights, option) = (python::text(&rights).to_uppercase(), ",GRANT");
            let grant = rights.split(',').any(|right| right.trim() == "GRANT");
            rights = rights.replace(option, "");
            let (database, object) = table.split_once('.').unwrap_or((table.as_str(), "*"));
            let quoted =
                |part: &str| if part == "*" { "*".to_owned() } else { my_name(part.trim_matches('`')) };
            let target = format!("{}.{}", quoted(database), quoted(object));
            let all =
                |rights: &str| if rights == "ALL" { "ALL PRIVILEGES".to_owned() } else { rights.to_owned() };
            let spaced = all(&rights).split(',').map(str::trim).collect::<Vec<_>>().join(", ");
            let have = grants.iter().any(|line| {
                line.starts_with(&format!("GRANT {spaced} ON {target} TO"))
                    && (!grant || line.contains("WITH GRANT OPTION"))
            });
            if !have {
                steps.push(format!(
                    "GRANT {rights} ON {target} TO {who}{}",
                    if grant { " WITH GRANT OPTION" } else { "" }
                ));
                if there && msg == "User unchanged" {
                    msg = "Privileges updated";
                }
            }
        }
    }
    if !task.check() {
        for step in &steps {
            mysql(task, None, step)?;
        }
    }
    Ok(map([("changed", (!steps.is_empty()).into()), ("user", name.into()), ("msg", msg.into())]))
}

/// The query with `%s` and `%(name)s` replaced by the arguments, each in quotes.
fn filled(task: &Task<'_>, query: &str) -> Result<String> {
    let value = |value: &Value| match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(truth) => u8::from(*truth).to_string(),
        Value::Number(number) => number.to_string(),
        other => my_text(&python::text(other)),
    };
    let (positional, named) = (task.args.list("positional_args"), task.args.get("named_args"));
    if positional.is_empty() && named.is_none() {
        return Ok(query.to_owned());
    }
    let mut positional = positional.into_iter();
    let mut out = String::new();
    let mut rest = query;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        rest = if let Some(after) = after.strip_prefix('s') {
            let next = positional.next();
            let next = next.ok_or_else(|| Fail::new("not enough arguments for the query's %s"))?;
            out.push_str(&my_text(&next));
            after
        } else if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            after
        } else if let Some((name, after)) = after.strip_prefix('(').and_then(|after| after.split_once(")s")) {
            let given = named.and_then(|named| named.get(name));
            out.push_str(&value(given.ok_or_else(|| Fail::new(format!("named_args has no {name}")))?));
            after
        } else {
            return fail(format!("the query has a % that is no argument; %% is a percent sign: %{after}"));
        };
    }
    out.push_str(rest);
    if positional.next().is_some() {
        return fail("not all arguments are used by the query's %s");
    }
    Ok(out)
}

fn my_query(task: &mut Task<'_>) -> Done {
    // A statement may hold commas: it is no list for that.
    let queries: Vec<String> = match task.args.get("query") {
        Some(Value::Array(all)) => all.iter().map(python::text).collect(),
        Some(one) => vec![python::text(one)],
        None => Vec::new(),
    };
    let base = task.args.filled("login_db").map(str::to_owned);
    let (mut changed, mut results, mut counts, mut executed) = (false, Vec::new(), Vec::new(), Vec::new());
    for query in &queries {
        let query = filled(task, query.trim().trim_end_matches(';'))?;
        let reading = reads(&query);
        if task.check() && !reading {
            changed = true;
            continue;
        }
        let (rows, count) = if reading {
            let rows = named_rows(task, base.as_deref(), &query)?;
            let count = rows.len() as i64;
            (rows, count)
        } else {
            // The client says nothing of it; the server does when it is asked in the same session.
            let told = mysql(task, base.as_deref(), &format!("{query};\nSELECT ROW_COUNT()"))?;
            let count = told.last().and_then(|row| row.first()).and_then(|count| count.parse().ok());
            (Vec::new(), count.unwrap_or(0))
        };
        // Rows that stay as they are change nothing; of other statements nobody can say that.
        changed |= !reading && (count > 0 || !counts_rows(&query));
        counts.push(count.max(0));
        results.push(json!(rows));
        executed.push(query);
    }
    Ok(map([
        ("changed", changed.into()),
        ("executed_queries", executed.into()),
        ("query_result", results.into()),
        ("rowcount", counts.into()),
    ]))
}

/// Statements that tell how many rows they changed.
fn counts_rows(query: &str) -> bool {
    let word = query.split_whitespace().next().unwrap_or_default().to_uppercase();
    matches!(word.as_str(), "INSERT" | "UPDATE" | "DELETE" | "REPLACE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!((my_name("a`b"), my_text("a\\'b")), ("`a``b`".to_owned(), "'a\\\\''b'".to_owned()));
    }
}
