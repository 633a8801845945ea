//! `mysql_db`, `mysql_user` and `mysql_query`, by `mysql` or `mariadb`.

use std::collections::{BTreeMap, BTreeSet};

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

/// Rights on each target; `GRANT OPTION` among them.
type Rights = BTreeMap<String, BTreeSet<String>>;

/// What the task wants, in the words of the server.
fn wanted_rights(task: &Task<'_>) -> Result<Rights> {
    let mut wanted = Rights::new();
    for (table, rights) in privileges(task)? {
        let (database, object) = table.split_once('.').unwrap_or((table.as_str(), "*"));
        let quoted = |part: &str| if part == "*" { "*".to_owned() } else { my_name(part.trim_matches('`')) };
        let rights = single(&python::text(&rights)).into_iter().map(|right| match right.as_str() {
            "ALL" => "ALL PRIVILEGES".to_owned(),
            "GRANT" => "GRANT OPTION".to_owned(),
            _ => right,
        });
        wanted.entry(format!("{}.{}", quoted(database), quoted(object))).or_default().extend(rights);
    }
    Ok(wanted)
}

/// Rights between commas; those in brackets name columns and belong together.
fn single(rights: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut depth = 0usize;
    for c in rights.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = found.last_mut() {
            last.push(c);
        }
    }
    let words = |right: &String| match right.split_once('(') {
        Some((word, columns)) => format!("{} ({columns}", word.trim().to_uppercase()),
        None => right.trim().to_uppercase(),
    };
    found.iter().map(words).filter(|right| !right.is_empty() && right != "USAGE").collect()
}

/// A line of `SHOW GRANTS`: the target and the rights on it.
fn granted(line: &str) -> Option<(String, BTreeSet<String>)> {
    let (rights, rest) = line.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let (target, rest) = rest.split_once(" TO ")?;
    let mut rights: BTreeSet<String> = single(rights).into_iter().collect();
    if rest.contains("WITH GRANT OPTION") {
        rights.insert("GRANT OPTION".to_owned());
    }
    Some((target.to_owned(), rights))
}

/// Statements that make what is granted what is wanted. With `append` nothing is taken away.
fn changes_of_rights(who: &str, have: &Rights, wanted: &Rights, append: bool) -> Vec<String> {
    let mut steps = Vec::new();
    let none = BTreeSet::new();
    for (target, rights) in have {
        let keep = wanted.get(target).unwrap_or(&none);
        let gone: Vec<&str> = rights.difference(keep).map(String::as_str).collect();
        // All privileges stand for each of them, and are taken by themselves.
        let (whole, single): (Vec<&str>, Vec<&str>) =
            gone.into_iter().partition(|right| matches!(*right, "ALL PRIVILEGES" | "GRANT OPTION"));
        for gone in whole.iter().map(|right| (*right).to_owned()).chain([single.join(", ")]) {
            if !append && !gone.is_empty() {
                steps.push(format!("REVOKE {gone} ON {target} FROM {who}"));
            }
        }
    }
    for (target, rights) in wanted {
        let now = have.get(target).unwrap_or(&none);
        let all = now.contains("ALL PRIVILEGES");
        let lost = !append && all && !rights.contains("ALL PRIVILEGES");
        let missing = |right: &&String| !now.contains(*right) && (!all || lost || *right == "GRANT OPTION");
        let new: Vec<&str> = rights.iter().filter(missing).map(String::as_str).collect();
        let grant = new.contains(&"GRANT OPTION");
        let mut plain: Vec<&str> = new.into_iter().filter(|right| *right != "GRANT OPTION").collect();
        if plain.is_empty() && grant {
            plain.push("USAGE");
        }
        if !plain.is_empty() {
            let option = if grant { " WITH GRANT OPTION" } else { "" };
            steps.push(format!("GRANT {} ON {target} TO {who}{option}", plain.join(", ")));
        }
    }
    steps
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
    if args.text("state") == Some("present") && args.get("priv").is_some() {
        let lines = match there {
            true => mysql(task, None, &format!("SHOW GRANTS FOR {who}"))?,
            false => Vec::new(),
        };
        let have = lines.iter().filter_map(|row| granted(row.first()?)).collect();
        let changes = changes_of_rights(&who, &have, &wanted_rights(task)?, args.flag("append_privs"));
        if there && msg == "User unchanged" && !changes.is_empty() {
            msg = "Privileges updated";
        }
        steps.extend(changes);
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
    let mut positional = positional.iter().map(|text| my_text(text));
    let out = super::filled(query, &mut positional, named, value)?;
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
    fn rights_are_given_and_taken_until_they_are_those_that_are_wanted() {
        let rights = |lines: &[&str]| lines.iter().filter_map(|line| granted(line)).collect::<Rights>();
        let have = rights(&[
            "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*X'",
            "GRANT SELECT (`a`, `b`), INSERT ON `c`.`t` TO `u`@`%`",
            "GRANT ALL PRIVILEGES ON `d`.* TO `u`@`%` WITH GRANT OPTION",
        ]);
        let wanted = rights(&["GRANT INSERT, UPDATE ON `c`.`t` TO x", "GRANT SELECT ON `d`.* TO x"]);
        assert!(changes_of_rights("u", &have, &have, false).is_empty());
        assert_eq!(changes_of_rights("u", &have, &wanted, true), ["GRANT UPDATE ON `c`.`t` TO u"]);
        assert_eq!(
            changes_of_rights("u", &have, &wanted, false),
            [
                "REVOKE SELECT (`a`, `b`) ON `c`.`t` FROM u",
                "REVOKE ALL PRIVILEGES ON `d`.* FROM u",
                "REVOKE GRANT OPTION ON `d`.* FROM u",
                "GRANT UPDATE ON `c`.`t` TO u",
                "GRANT SELECT ON `d`.* TO u",
            ]
        );
        assert_eq!(single("select(a,b), Grant"), ["SELECT (a,b)", "GRANT"]);
    }

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!((my_name("a`b"), my_text("a\\'b")), ("`a``b`".to_owned(), "'a\\\\''b'".to_owned()));
    }
}
