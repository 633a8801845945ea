//! `user`: accounts of the host, by the host's own programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::base::accounts::{self, User};
use crate::base::{Done, Fail, Result, Task, fail, files, map};
use crate::spec::{Arg, Kind, ModuleSpec, flag, int, list, maybe, path, text};

const ARGS: &[Arg] = &[
    text("state").or("present").one_of(&["absent", "present"]),
    text("name").required().aka(&["user"]),
    int("uid"),
    flag("non_unique", false),
    text("group"),
    list("groups"),
    text("comment"),
    path("home"),
    path("shell"),
    text("password").secret(),
    text("login_class"),
    int("password_expire_max"),
    int("password_expire_min"),
    int("password_expire_warn"),
    maybe("hidden"),
    text("seuser"),
    flag("force", false),
    flag("remove", false),
    flag("create_home", true).aka(&["createhome"]),
    text("skeleton"),
    flag("system", false),
    flag("move_home", false),
    flag("append", false),
    maybe("generate_ssh_key"),
    int("ssh_key_bits").or_int(0),
    text("ssh_key_type").or("rsa"),
    path("ssh_key_file"),
    text("ssh_key_comment"),
    text("ssh_key_passphrase").secret(),
    text("update_password").or("always").one_of(&["always", "on_create"]),
    Arg::new("expires", Kind::Float),
    maybe("password_lock"),
    maybe("local"),
    text("profile"),
    text("authorization"),
    text("role"),
    text("umask"),
    int("password_expire_account_disable"),
    int("uid_min"),
    int("uid_max"),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("user", ARGS, run);

/// The fields of a line of `shadow`.
fn shadow(task: &Task<'_>, name: &str) -> Vec<String> {
    let text = files::text(&task.ctx.system("etc/shadow")).unwrap_or_default();
    let line = text.lines().find(|line| line.split(':').next() == Some(name)).unwrap_or_default();
    line.split(':').map(str::to_owned).collect()
}

/// What one call of a program said.
#[derive(Default)]
struct Said {
    ran: bool,
    out: String,
    err: String,
}

impl Said {
    fn call(
        &mut self,
        task: &Task<'_>,
        mut argv: Vec<String>,
        input: Option<String>,
        name: &str,
    ) -> Result<()> {
        self.ran = true;
        if task.check() {
            return Ok(());
        }
        if let Some(program) = argv.first_mut() {
            *program = task.need(program)?.to_string_lossy().into_owned();
        }
        let ran = task.program(&argv).input(input.map(String::into_bytes)).run();
        let ran = task.end(ran, argv.first().cloned().unwrap_or_default().into())?;
        self.out.push_str(&ran.out_text());
        self.err.push_str(&ran.err_text());
        if ran.rc != 0 {
            return Err(Fail::new(ran.err_text()).with("name", name).with("rc", ran.rc));
        }
        Ok(())
    }
}

fn run(task: &mut Task<'_>) -> Done {
    let (name, state) = (task.args.or_empty("name").to_owned(), task.args.or_empty("state").to_owned());
    if name.starts_with('-') || name.contains([':', '\n']) {
        return fail(format!("{name} cannot be the name of a user"));
    }
    warn_of_plain_password(task);
    let now = accounts::user_named(&task.ctx.root, &name);
    let mut said = Said::default();
    let mut result = map([("name", name.clone().into()), ("state", state.clone().into())]);
    match (state.as_str(), &now) {
        ("absent", Some(_)) => {
            if task.check() {
                return Ok(task.changed(true));
            }
            let mut argv = vec![if task.args.flag("local") { "luserdel" } else { "userdel" }.to_owned()];
            argv.extend((task.args.flag("force") && !task.args.flag("local")).then(|| "-f".to_owned()));
            argv.extend(task.args.flag("remove").then(|| "-r".to_owned()));
            argv.push(name.clone());
            said.call(task, argv, None, &name)?;
            result.insert("force".into(), task.args.flag("force").into());
            result.insert("remove".into(), task.args.flag("remove").into());
        }
        ("absent", None) => {}
        (_, None) => {
            if task.check() {
                return Ok(task.changed(true));
            }
            create(task, &name, &mut said)?;
            result.insert("system".into(), task.args.flag("system").into());
            result.insert("create_home".into(), task.args.flag("create_home").into());
        }
        (_, Some(user)) => {
            modify(task, user, &mut said)?;
            result.insert("append".into(), task.args.flag("append").into());
            result.insert("move_home".into(), task.args.flag("move_home").into());
        }
    }
    if state == "present" && task.args.has("password") {
        result.insert("password".into(), "NOT_LOGGING_PASSWORD".into());
    }
    result.insert("changed".into(), said.ran.into());
    for (key, text) in [("stdout", &said.out), ("stderr", &said.err)] {
        if !text.is_empty() {
            result.insert(key.into(), text.clone().into());
        }
    }
    if state == "present"
        && let Some(user) = accounts::user_named(&task.ctx.root, &name)
    {
        finish(task, &user, &mut result)?;
    }
    Ok(result)
}

fn warn_of_plain_password(task: &mut Task<'_>) {
    let Some(password) = task.args.filled("password") else { return };
    let fields: Vec<&str> = password.split('$').collect();
    let length = fields.last().map_or(0, |last| last.len());
    let hashed = fields.len() >= 3
        && match fields.get(1) {
            Some(&"1") => length == 22,
            Some(&"5") => length == 43,
            Some(&"6") => length == 86,
            _ => true,
        };
    let locked = matches!(password, "*" | "!" | "*************");
    if !hashed && !locked {
        task.warn("The input password appears not to have been hashed. The 'password' argument must be encrypted for this module to work properly.");
    }
}

/// Names of the groups that the task wants besides the first one.
fn groups(task: &Task<'_>, user: Option<&User>) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for name in task
        .args
        .list("groups")
        .iter()
        .flat_map(|entry| entry.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let group = match name.parse() {
            Ok(gid) => accounts::group_with(&task.ctx.root, gid),
            Err(_) => accounts::group_named(&task.ctx.root, name),
        };
        let Some(group) = group else { return fail(format!("Group {name} does not exist")) };
        if user.is_none_or(|user| user.gid != group.gid) && !out.contains(&group.name) {
            out.push(group.name);
        }
    }
    Ok(out)
}

fn group_exists(task: &Task<'_>, name: &str) -> bool {
    match name.parse() {
        Ok(gid) => accounts::group_with(&task.ctx.root, gid).is_some(),
        Err(_) => accounts::group_named(&task.ctx.root, name).is_some(),
    }
}

/// The day on which an account ends; empty for never.
fn expiry(task: &Task<'_>) -> Option<String> {
    let seconds = task.args.get("expires")?.as_f64()?;
    if seconds < 0.0 {
        return Some(String::new());
    }
    let stamp = jiff::Timestamp::from_second(seconds as i64).ok()?;
    Some(stamp.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d").to_string())
}

fn create(task: &Task<'_>, name: &str, said: &mut Said) -> Result<()> {
    let args = &task.args;
    let local = args.flag("local");
    let mut argv = vec![if local { "luseradd" } else { "useradd" }.to_owned()];
    let mut push = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    if let Some(uid) = args.int("uid") {
        push(&["-u", &uid.to_string()]);
        if args.flag("non_unique") {
            push(&["-o"]);
        }
    }
    if let Some(seuser) = args.text("seuser") {
        push(&["-Z", seuser]);
    }
    if let Some(group) = args.text("group") {
        if !group_exists(task, group) {
            return fail(format!("Group {group} does not exist"));
        }
        push(&["-g", group]);
    } else if group_exists(task, name) {
        push(&[if local { "-n" } else { "-N" }]);
    }
    let groups = groups(task, None)?;
    if !groups.is_empty() && !local {
        push(&["-G", &groups.join(",")]);
    }
    if let Some(comment) = args.text("comment") {
        push(&["-c", comment]);
    }
    if let Some(home) = args.text("home") {
        let parent = files::dirname(home);
        if args.flag("create_home") && !Path::new(parent).is_dir() {
            let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            make_home(task, home, own)?;
        }
        push(&["-d", home]);
    }
    if let Some(shell) = args.text("shell") {
        push(&["-s", shell]);
    }
    if let Some(day) = expiry(task).filter(|_| !local) {
        push(&["-e", &day]);
    }
    if let Some(days) = args.int("password_expire_account_disable") {
        push(&["-f", &days.to_string()]);
    }
    let hash = args
        .text("password")
        .map(|hash| if args.flag("password_lock") { format!("!{hash}") } else { hash.to_owned() });
    if let Some(hash) = &hash {
        push(&["-p", hash]);
    }
    if args.flag("create_home") {
        if !local {
            push(&["-m"]);
        }
        if let Some(skeleton) = args.text("skeleton") {
            push(&["-k", skeleton]);
        }
        if let Some(umask) = args.text("umask") {
            push(&["-K", &format!("UMASK={umask}")]);
        }
    } else {
        push(&["-M"]);
    }
    if args.flag("system") {
        push(&["-r"]);
    }
    for (limit, key) in [("uid_min", "UID_MIN"), ("uid_max", "UID_MAX")] {
        if let Some(value) = args.int(limit) {
            push(&["-K", &format!("{key}={value}")]);
        }
    }
    push(&[name]);
    said.call(task, argv, None, name)?;
    if let (Some(home), Some(user)) = (args.text("home"), accounts::user_named(&task.ctx.root, name)) {
        give(Path::new(home), &user, 0);
    }
    if local {
        for group in groups {
            said.call(task, ["lgroupmod", "-M", name, &group].map(str::to_owned).to_vec(), None, name)?;
        }
    }
    Ok(())
}

/// Gives a home that we made to its user. What cannot be given away stays as it is, and useradd has said so.
fn give(path: &Path, user: &User, depth: usize) {
    let _ = std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid));
    if depth < 64 && fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
        fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .for_each(|entry| give(&entry.path(), user, depth + 1));
    }
}

/// Names of the groups that a user is a member of.
fn membership(task: &Task<'_>, user: &User) -> BTreeSet<String> {
    let groups = accounts::groups(&task.ctx.root);
    groups
        .into_iter()
        .filter(|g| g.members.contains(&user.name) && g.gid != user.gid)
        .map(|g| g.name)
        .collect()
}

fn modify(task: &Task<'_>, user: &User, said: &mut Said) -> Result<()> {
    let args = &task.args;
    let name = user.name.as_str();
    let mut argv = vec![if args.flag("local") { "lusermod" } else { "usermod" }.to_owned()];
    let mut push = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    if let Some(uid) = args.int("uid").filter(|uid| *uid != i64::from(user.uid)) {
        push(&["-u", &uid.to_string()]);
        if args.flag("non_unique") {
            push(&["-o"]);
        }
    }
    if let Some(group) = args.text("group") {
        let found = match group.parse() {
            Ok(gid) => accounts::group_with(&task.ctx.root, gid),
            Err(_) => accounts::group_named(&task.ctx.root, group),
        };
        let Some(found) = found else { return fail(format!("Group {group} does not exist")) };
        if found.gid != user.gid {
            push(&["-g", &found.gid.to_string()]);
        }
    }
    if args.has("groups") {
        let wanted = groups(task, Some(user))?;
        let now = membership(task, user);
        let set: BTreeSet<String> = wanted.iter().cloned().collect();
        let needed = if args.flag("append") { !set.is_subset(&now) } else { set != now };
        if needed {
            if args.flag("append") {
                push(&["-a"]);
            }
            push(&["-G", &wanted.join(",")]);
        }
    }
    if let Some(comment) = args.text("comment").filter(|comment| *comment != user.comment) {
        push(&["-c", comment]);
    }
    if let Some(home) = args.text("home").filter(|home| *home != user.home) {
        push(&["-d", home]);
        if args.flag("move_home") {
            push(&["-m"]);
        }
    }
    if let Some(shell) = args.text("shell").filter(|shell| *shell != user.shell) {
        push(&["-s", shell]);
    }
    let shadow = shadow(task, name);
    let field = |at: usize| shadow.get(at).map(String::as_str).unwrap_or_default();
    if let Some(day) = expiry(task) {
        let now = field(7).parse::<i64>().ok().and_then(|days| {
            let stamp = jiff::Timestamp::from_second(days * 86400).ok()?;
            Some(stamp.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d").to_string())
        });
        if now.unwrap_or_default() != day {
            push(&["-e", &day]);
        }
    }
    if let Some(days) =
        args.int("password_expire_account_disable").filter(|days| field(6) != days.to_string())
    {
        push(&["-f", &days.to_string()]);
    }
    let hash = field(1);
    match args.maybe("password_lock") {
        Some(true) if !hash.starts_with('!') => push(&["-L"]),
        Some(false) if hash.starts_with('!') => push(&["-U"]),
        _ => {}
    }
    let wanted = args.text("password").filter(|_| args.text("update_password") == Some("always"));
    if let Some(wanted) =
        wanted.filter(|wanted| hash.trim_start_matches('!') != wanted.trim_start_matches('!'))
    {
        let new = if args.flag("password_lock") { format!("!{wanted}") } else { wanted.to_owned() };
        push(&["-p", &new]);
    }
    if argv.len() == 1 {
        return Ok(());
    }
    argv.push(name.to_owned());
    said.call(task, argv, None, name)
}

/// What is told of the account, its home, its key and how long its password lasts.
fn finish(task: &mut Task<'_>, user: &User, result: &mut Map<String, Value>) -> Result<()> {
    let told = [
        ("uid", Value::from(user.uid)),
        ("group", user.gid.into()),
        ("comment", user.comment.clone().into()),
        ("home", user.home.clone().into()),
        ("shell", user.shell.clone().into()),
    ];
    result.extend(told.map(|(key, value)| (key.to_owned(), value)));
    if task.args.has("groups") {
        result.insert("groups".into(), task.args.list("groups").join(",").into());
    }
    let home = task.args.text("home").unwrap_or(&user.home).to_owned();
    if task.args.flag("create_home") && !files::exists(Path::new(&home)) {
        if !task.check() {
            make_home(task, &home, (user.uid, user.gid))?;
        }
        result.insert("changed".into(), true.into());
    }
    if task.args.flag("generate_ssh_key") {
        key(task, user, &home, result)?;
    }
    let shadow = shadow(task, &user.name);
    let mut argv = Vec::new();
    for (name, option, field) in [
        ("password_expire_max", "-M", 4),
        ("password_expire_min", "-m", 3),
        ("password_expire_warn", "-W", 5),
    ] {
        let now = shadow.get(field).map(String::as_str).unwrap_or_default();
        if let Some(days) = task.args.int(name).filter(|days| now != days.to_string()) {
            argv.extend([option.to_owned(), days.to_string()]);
        }
    }
    if !argv.is_empty() {
        argv.insert(0, "chage".to_owned());
        argv.push(user.name.clone());
        Said::default().call(task, argv, None, &user.name)?;
        result.insert("changed".into(), true.into());
    }
    Ok(())
}

fn make_home(task: &Task<'_>, home: &str, (uid, gid): (u32, u32)) -> Result<()> {
    let wrong = |error: &std::io::Error| Fail::caused(format!("could not make the home {home}"), error);
    let skeleton = task.args.text("skeleton").unwrap_or("/etc/skel").to_owned();
    fs::create_dir_all(home).map_err(|error| wrong(&error))?;
    let mut left = vec![(Path::new(&skeleton).to_owned(), Path::new(home).to_owned())];
    std::os::unix::fs::lchown(home, Some(uid), Some(gid)).map_err(|error| wrong(&error))?;
    while let Some((from, to)) = left.pop() {
        for entry in fs::read_dir(&from).into_iter().flatten().flatten() {
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            let kind = entry.file_type().map_err(|error| wrong(&error))?;
            if kind.is_dir() {
                fs::create_dir_all(&to).map_err(|error| wrong(&error))?;
                left.push((from, to.clone()));
            } else if kind.is_symlink() {
                let target = fs::read_link(&from).map_err(|error| wrong(&error))?;
                std::os::unix::fs::symlink(target, &to).map_err(|error| wrong(&error))?;
            } else if kind.is_file() {
                fs::copy(&from, &to).map_err(|error| wrong(&error))?;
            }
            std::os::unix::fs::lchown(&to, Some(uid), Some(gid)).map_err(|error| wrong(&error))?;
        }
    }
    Ok(())
}

/// A key pair for the account, once.
fn key(task: &Task<'_>, user: &User, home: &str, result: &mut Map<String, Value>) -> Result<()> {
    let kind = task.args.or_empty("ssh_key_type");
    let file = task.args.filled("ssh_key_file").map_or_else(
        || format!("{home}/.ssh/id_{kind}"),
        |file| {
            if file.starts_with('/') { file.to_owned() } else { format!("{home}/{file}") }
        },
    );
    let folder = files::dirname(&file).to_owned();
    if !files::exists(Path::new(&file)) {
        result.insert("changed".into(), true.into());
        if task.check() {
            return Ok(());
        }
        let wrong = |error: &std::io::Error| Fail::caused(format!("Failed to create {folder}"), error);
        if !files::exists(Path::new(&folder)) {
            use std::os::unix::fs::DirBuilderExt;
            fs::DirBuilder::new().mode(0o700).create(&folder).map_err(|error| wrong(&error))?;
            std::os::unix::fs::chown(&folder, Some(user.uid), Some(user.gid))
                .map_err(|error| wrong(&error))?;
        }
        let program = task.need("ssh-keygen")?.to_string_lossy().into_owned();
        let comment = task.args.text("ssh_key_comment").map_or_else(
            || format!("ansible-generated on {}", rustix::system::uname().nodename().to_string_lossy()),
            str::to_owned,
        );
        let mut argv = vec![program, "-t".into(), kind.to_owned()];
        if let Some(bits) = task.args.int("ssh_key_bits").filter(|bits| *bits > 0) {
            argv.extend(["-b".into(), bits.to_string()]);
        }
        argv.extend([
            "-C".into(),
            comment,
            "-f".into(),
            file.clone(),
            "-N".into(),
            task.args.or_empty("ssh_key_passphrase").to_owned(),
        ]);
        let ran = task.run(&argv)?;
        if ran.rc != 0 {
            return Err(Fail::new(ran.err_text()).with("name", user.name.clone()).with("rc", ran.rc));
        }
        for made in [file.clone(), format!("{file}.pub")] {
            std::os::unix::fs::chown(&made, Some(user.uid), Some(user.gid)).map_err(|error| wrong(&error))?;
        }
    }
    let program = task.need("ssh-keygen")?.to_string_lossy().into_owned();
    let ran = task.run([program.as_str(), "-l", "-f", &file])?;
    let said = if ran.rc == 0 { ran.out_text() } else { ran.err_text() };
    result.insert("ssh_fingerprint".into(), said.trim().into());
    result.insert("ssh_key_file".into(), file.clone().into());
    let public = files::text(Path::new(&format!("{file}.pub"))).unwrap_or_default();
    result.insert("ssh_public_key".into(), public.trim().into());
    Ok(())
}
