//! `postgresql_db`, `postgresql_user`, `postgresql_query`, `mysql_db`, `mysql_user`, `mysql_query`, by the clients of the
//! databases.
//!
//! Statements go by standard input; passwords by a file that only we can read, never by argument or environment.

use std::io::Write;

use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;

use crate::base::program::Ran;
use crate::base::{Done, Fail, Result, ResultExt, Task, fail, files, map, python};
use crate::spec::{Arg, ModuleSpec, flag, int, list, map as map_arg, path, raw, text};

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
    text("login_db").or("postgres").aka(&["db"]),
    text("login_host").or("").aka(&["host"]),
    text("login_unix_socket").or("").aka(&["unix_socket"]),
    text("login_user").or("postgres").aka(&["login"]),
    text("login_password").secret(),
    int("login_port").or_int(5432).aka(&["port"]),
];
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
    list("query").required(),
    text("login_db").aka(&["db"]),
    text("login_host").or("localhost"),
    text("login_user"),
    text("login_password").secret(),
    int("login_port").or_int(3306),
    path("login_unix_socket"),
    path("config_file"),
    map_arg("named_args"),
];

pub(crate) const ALL: [ModuleSpec; 6] = [
    ModuleSpec::new("postgresql_db", PG_DB, pg_db),
    ModuleSpec::new("postgresql_user", PG_USER, pg_user),
    ModuleSpec::new("postgresql_query", PG_QUERY, pg_query),
    ModuleSpec::new("mysql_db", MY_DB, my_db),
    ModuleSpec::new("mysql_user", MY_USER, my_user),
    ModuleSpec::new("mysql_query", MY_QUERY, my_query),
];

/// A file that only we can read.
fn sealed(task: &Task<'_>, text: &str) -> Result<NamedTempFile> {
    let mut file =
        tempfile::Builder::new().prefix("login").tempfile_in(&task.ctx.temp).or_fail(|| "login".into())?;
    file.write_all(text.as_bytes()).or_fail(|| "login".into())?;
    Ok(file)
}

/// A name in PostgreSQL's quotes.
fn pg_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL's quotes, with no backslash special.
fn pg_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn my_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn my_text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
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

fn pg_query(task: &mut Task<'_>) -> Done {
    let (query, base) = (
        task.args.or_empty("query").trim().trim_end_matches(';').to_owned(),
        task.args.or_empty("login_db").to_owned(),
    );
    let reading = reads(&query);
    if task.check() && !reading {
        return Ok(map([
            ("changed", true.into()),
            ("query", query.into()),
            ("query_result", Value::Array(Vec::new())),
        ]));
    }
    let mut rows = Vec::new();
    if reading && !query.to_uppercase().starts_with("SHOW") && !query.to_uppercase().starts_with("EXPLAIN") {
        let whole = format!("SELECT coalesce(json_agg(wk), '[]') FROM ({query}) wk");
        let out = psql(task, &base, &whole, &["-A", "-t"])?.out_text();
        if let Ok(Value::Array(all)) = serde_json::from_str(out.trim()) {
            rows = all;
        }
    } else {
        let out = psql(task, &base, &query, &["-A", "-t"])?.out_text();
        rows.extend(out.lines().filter(|line| !line.is_empty() && reading).map(|line| json!({"row": line})));
    }
    let count = rows.len();
    Ok(map([
        ("changed", (!reading).into()),
        ("query", query.clone().into()),
        ("query_list", json!([query])),
        ("query_result", rows.clone().into()),
        ("query_all_results", json!([rows])),
        ("rowcount", count.into()),
    ]))
}

fn mysql(task: &Task<'_>, database: Option<&str>, statement: &str) -> Result<Vec<Vec<String>>> {
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
        "--skip-column-names".into(),
    ];
    argv.extend(database.map(|database| format!("--database={database}")));
    let ran = task.program(&argv).input(Some(format!("{statement};\n").into_bytes())).run();
    let ran = task.end(ran, "mysql".into())?;
    if ran.rc != 0 {
        return fail(ran.err_text().trim().to_owned());
    }
    Ok(ran.out_text().lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
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

fn my_query(task: &mut Task<'_>) -> Done {
    let queries = task.args.list("query");
    let base = task.args.filled("login_db").map(str::to_owned);
    let (mut changed, mut results, mut counts) = (false, Vec::new(), Vec::new());
    for query in &queries {
        let query = query.trim().trim_end_matches(';');
        let reading = reads(query);
        changed |= !reading;
        if task.check() && !reading {
            continue;
        }
        let rows = mysql(task, base.as_deref(), query)?;
        counts.push(rows.len());
        results.push(json!(rows));
    }
    Ok(map([
        ("changed", changed.into()),
        ("executed_queries", queries.into()),
        ("query_result", results.into()),
        ("rowcount", counts.into()),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!((pg_name("a\"b"), pg_text("a'b")), ("\"a\"\"b\"".to_owned(), "'a''b'".to_owned()));
        assert_eq!((my_name("a`b"), my_text("a\\'b")), ("`a``b`".to_owned(), "'a\\\\''b'".to_owned()));
    }

    #[test]
    fn statements_that_only_read_change_nothing() {
        assert!(
            reads(" select 1")
                && reads("SHOW x")
                && !reads("INSERT INTO a")
                && !reads("with x as (delete from a) select 1")
        );
    }
}
