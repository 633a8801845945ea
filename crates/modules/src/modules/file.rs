//! `file`: files, folders and links are there, are not there, and have owner, mode and times.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::file_times::Times;
use crate::base::attributes::{Sides, Wanted};
use crate::base::{Done, Fail, Result, Task, accounts, fail, files, map, python};
use crate::spec::{Arg, ModuleSpec, flag, maybe, path, text};

const ARGS: &[Arg] = &[
    text("state").one_of(&["absent", "directory", "file", "hard", "link", "touch"]),
    path("path").required().aka(&["dest", "name"]),
    text("_original_basename"),
    flag("recurse", false),
    flag("force", false),
    flag("follow", true),
    maybe("_diff_peek"),
    path("src"),
    text("modification_time"),
    text("modification_time_format").or("%Y%m%d%H%M.%S"),
    text("access_time"),
    text("access_time_format").or("%Y%m%d%H%M.%S"),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("file", ARGS, |task| {
    const STATES: [&str; 6] = ["absent", "directory", "file", "hard", "link", "touch"];
    let state =
        task.args.text("state").and_then(|state| STATES.iter().find(|known| **known == state)).copied();
    let job = Job {
        path: task.args.or_empty("path").to_owned(),
        state,
        src: task.args.text("src").map(str::to_owned),
        basename: task.args.filled("_original_basename").map(str::to_owned),
        recurse: task.args.flag("recurse"),
        force: task.args.flag("force"),
        follow: task.args.flag("follow"),
        wanted: Wanted::of(task),
    };
    execute(task, job)
})
.with_file_args();

/// What is to be done to one path.
#[derive(Default)]
pub(crate) struct Job {
    pub(crate) path: String,
    pub(crate) state: Option<&'static str>,
    pub(crate) src: Option<String>,
    pub(crate) basename: Option<String>,
    pub(crate) recurse: bool,
    pub(crate) force: bool,
    pub(crate) follow: bool,
    pub(crate) wanted: Wanted,
}

/// Does it. Other modules use it too.
pub(crate) fn execute(task: &mut Task<'_>, mut job: Job) -> Done {
    if !matches!(job.state, Some("link" | "absent")) && Path::new(&job.path).is_dir() {
        let name = job.basename.clone().or_else(|| Some(files::basename(job.src.as_deref()?).to_owned()));
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            job.path = files::join(&job.path, &name);
        }
    }
    let before = state(Path::new(&job.path));
    let wanted = job.state.unwrap_or(match (before, job.recurse) {
        ("absent", true) => "directory",
        ("absent", false) => "file",
        (other, _) => other,
    });
    let about = |msg: &str| Fail::new(msg).with("path", job.path.clone());
    if job.recurse && wanted != "directory" {
        return Err(about("recurse option requires state to be 'directory'"));
    }
    if job.src.as_deref().is_some_and(|src| !src.is_empty()) && !matches!(wanted, "link" | "hard") {
        return Err(about("src option requires state to be 'link' or 'hard'"));
    }
    if task.check() && wanted != "absent" {
        warn_of_strangers(task, &job.wanted);
    }
    let times = Times::of(task, wanted)?;
    let mut result = match wanted {
        "file" => attributes_only(task, &job, &times)?,
        "directory" => directory(task, &job, &times)?,
        "link" => link(task, &job, &times)?,
        "hard" => hard(task, &job, &times)?,
        "touch" => touch(task, &job, &times)?,
        _ => absent(task, &job)?,
    };
    if !task.call.diff {
        result.remove("diff");
    }
    Ok(result)
}

/// In check mode an account may be made by an earlier task that did not run.
fn warn_of_strangers(task: &mut Task<'_>, wanted: &Wanted) {
    let root = task.ctx.root.clone();
    if let Some(owner) = wanted.owner.clone().filter(|owner| !owner.is_empty()) {
        match owner.parse() {
            Ok(uid) if accounts::user_with(&root, uid).is_none() => task.warn(format!(
                "failed to look up user with uid {uid}. Create user up to this point in real play"
            )),
            Err(_) if accounts::user_named(&root, &owner).is_none() => {
                task.warn(format!(
                    "failed to look up user {owner}. Create user up to this point in real play"
                ));
            }
            _ => {}
        }
    }
    if let Some(group) = wanted.group.clone().filter(|group| !group.is_empty()) {
        match group.parse() {
            Ok(gid) if accounts::group_with(&root, gid).is_none() => task.warn(format!(
                "failed to look up group with gid {gid}. Create group up to this point in real play"
            )),
            Err(_) if accounts::group_named(&root, &group).is_none() => {
                task.warn(format!(
                    "failed to look up group {group}. Create group up to this point in real play"
                ));
            }
            _ => {}
        }
    }
}

/// `absent`, `link`, `directory`, `hard` or `file`.
pub(crate) fn state(path: &Path) -> &'static str {
    match fs::symlink_metadata(path) {
        Err(_) => "absent",
        Ok(meta) if meta.is_symlink() => "link",
        Ok(meta) if meta.is_dir() => "directory",
        Ok(meta) if meta.nlink() > 1 => "hard",
        Ok(_) => "file",
    }
}

fn first_sides(path: &str, now: &str, before: &str) -> Sides {
    let mut sides = Sides::default();
    sides.note("path", path, path);
    if now != before {
        sides.note("state", before, now);
    }
    sides
}

fn done(key: &str, path: &str, changed: bool, sides: Sides) -> Map<String, Value> {
    map([(key, path.into()), ("changed", changed.into()), ("diff", sides.into_value())])
}

/// The path whose owner and mode are meant: a link's target when links are followed.
fn meant(path: &str, follow: bool) -> PathBuf {
    let path = Path::new(path);
    if follow && files::is_link(path) { files::realpath(path) } else { path.to_owned() }
}

fn attributes_only(task: &Task<'_>, job: &Job, times: &Times) -> Done {
    let mut path = job.path.clone();
    let mut before = state(Path::new(&path));
    if job.follow && before == "link" {
        path = files::shown(&files::realpath(Path::new(&path)));
        before = state(Path::new(&path));
    }
    if !matches!(before, "file" | "hard") {
        return Err(Fail::new(format!("file ({path}) is {before}, cannot continue"))
            .with("path", path)
            .with("state", before));
    }
    let mut sides = first_sides(&path, "file", before);
    let mut changed = job.wanted.apply(task, Path::new(&path), &mut sides)?;
    changed |= times.apply(task, Path::new(&path), &mut sides)?;
    Ok(done("path", &path, changed, sides))
}

fn directory(task: &Task<'_>, job: &Job, times: &Times) -> Done {
    let mut path = job.path.clone();
    let mut before = state(Path::new(&path));
    if job.follow && before == "link" {
        path = files::shown(&files::realpath(Path::new(&path)));
        before = state(Path::new(&path));
    }
    let mut sides = first_sides(&path, "directory", before);
    if before == "absent" {
        if task.check() {
            return Ok(done("path", &path, true, sides));
        }
        make_folders(task, &path, &job.wanted, &mut sides)?;
        times.apply(task, Path::new(&path), &mut sides)?;
        return Ok(done("path", &path, true, sides));
    }
    if before != "directory" {
        return Err(Fail::new(format!("{path} already exists as a {before}")).with("path", path));
    }
    let mut changed = job.wanted.apply(task, Path::new(&path), &mut sides)?;
    changed |= times.apply(task, Path::new(&path), &mut sides)?;
    if job.recurse {
        changed |= recurse(task, Path::new(&path), job, times, 0)?;
    }
    Ok(done("path", &path, changed, sides))
}

/// Makes a folder and those above it; each new one gets the rights.
pub(crate) fn make_folders(task: &Task<'_>, path: &str, wanted: &Wanted, sides: &mut Sides) -> Result<()> {
    let mut now = PathBuf::from(if path.starts_with('/') { "/" } else { "" });
    for part in path.split('/').filter(|part| !part.is_empty()) {
        now.push(part);
        if files::exists(&now) {
            continue;
        }
        match fs::create_dir(&now) {
            Err(error) if !(error.kind() == std::io::ErrorKind::AlreadyExists && now.is_dir()) => {
                let shown = files::shown(&now);
                let why = format!("{}: b{}", python::errno(&error), python::quoted(&shown));
                return Err(Fail::new(format!("There was an issue creating {shown} as requested: {why}"))
                    .with("path", path));
            }
            _ => {}
        }
        wanted.apply(task, &now, sides)?;
    }
    Ok(())
}

/// Levels below a folder whose attributes are set.
const DEPTH_MAX: usize = 200;

fn recurse(task: &Task<'_>, folder: &Path, job: &Job, times: &Times, depth: usize) -> Result<bool> {
    if depth > DEPTH_MAX {
        return fail(format!(
            "Could not recursively set attributes on {}: too many levels",
            files::shown(folder)
        ));
    }
    let mut changed = false;
    let Ok(entries) = fs::read_dir(folder) else { return Ok(false) };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        let mut none = Sides::default();
        changed |= job.wanted.apply(task, &path, &mut none)?;
        changed |= times.apply(task, &path, &mut none)?;
        if kind.is_symlink() && job.follow {
            let target = folder.join(fs::read_link(&path).unwrap_or_default());
            if files::exists(&target) {
                if target.is_dir() {
                    changed |= recurse(task, &target, job, times, depth + 1)?;
                }
                changed |= job.wanted.apply(task, &target, &mut none)?;
            }
        } else if kind.is_dir() {
            changed |= recurse(task, &path, job, times, depth + 1)?;
        }
    }
    Ok(changed)
}

fn absent(task: &Task<'_>, job: &Job) -> Done {
    let path = Path::new(&job.path);
    let before = state(path);
    if before == "absent" {
        let told = [("path", job.path.clone().into()), ("changed", false.into()), ("state", "absent".into())];
        return Ok(map(told));
    }
    let mut sides = first_sides(&job.path, "absent", before);
    if before == "directory" {
        sides.before.insert("path_content".to_owned(), content(path));
    }
    if !task.check() {
        let removed = if before == "directory" { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        match removed {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) if before == "directory" => {
                return fail(format!(
                    "rmtree failed: {}: b{}",
                    python::errno(&error),
                    python::quoted(&job.path)
                ));
            }
            Err(error) => {
                return Err(Fail::caused("Unlinking failed.", &error).with("path", job.path.clone()));
            }
            Ok(()) => {}
        }
    }
    let mut result = done("path", &job.path, true, sides);
    result.insert("state".to_owned(), "absent".into());
    Ok(result)
}

/// Most names of a removed folder that a diff shows.
const NAMES_MAX: usize = 10_000;

/// What a folder holds, for the diff.
fn content(path: &Path) -> Value {
    let (mut folders, mut names) = (Vec::new(), Vec::new());
    let mut left = vec![path.to_owned()];
    while let Some(folder) = left.pop() {
        let mut entries: Vec<_> = fs::read_dir(&folder).into_iter().flatten().flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type());
            if folders.len() + names.len() >= NAMES_MAX {
                break;
            }
            if path.is_dir() {
                folders.push(files::shown(&path));
                if kind.is_ok_and(|kind| kind.is_dir()) {
                    left.push(path);
                }
            } else {
                names.push(files::shown(&path));
            }
        }
    }
    json!({"directories": folders, "files": names})
}

fn link(task: &mut Task<'_>, job: &Job, times: &Times) -> Done {
    let path = Path::new(&job.path);
    let before = state(path);
    let mut src = job.src.clone();
    if src.is_none() && job.follow && files::exists(path) {
        src = fs::read_link(path).ok().map(|target| files::shown(&target));
    }
    let about = |msg: String| Fail::new(msg).with("path", job.path.clone());
    let base = if before == "directory" { job.path.as_str() } else { files::dirname(&job.path) };
    if let Some(src) = &src
        && !job.force
    {
        let absolute = files::join(base, src);
        if !files::exists(Path::new(&absolute)) {
            let msg = format!(
                "src file does not exist, use 'force=yes' if you really want to create the link: {absolute}"
            );
            return Err(about(msg).with("src", src.clone()));
        }
    }
    match before {
        "directory" | "file" | "hard" if !job.force => {
            return Err(about(format!("refusing to convert from {before} to symlink for {}", job.path)));
        }
        "directory" if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) => {
            return Err(about(format!("the directory {} is not empty, refusing to convert it", job.path)));
        }
        _ => {}
    }
    let mut sides = first_sides(&job.path, "link", before);
    let mut changed = before != "link";
    if changed && src.is_none() {
        return fail("src is required for creating new symlinks");
    }
    if let (false, Some(src)) = (changed, &src) {
        let old = fs::read_link(path).map(|old| files::shown(&old)).unwrap_or_default();
        if old != *src {
            sides.note("src", old, src.clone());
            changed = true;
        }
    }
    if changed && !task.check() {
        let src = src.clone().unwrap_or_default();
        swap(task, job, before, &|to| symlink(&src, to))?;
    }
    let told = |changed: bool, sides: Sides| {
        let mut result = done("dest", &job.path, changed, sides);
        result.insert("src".to_owned(), src.clone().into());
        result
    };
    if task.check() && !files::exists(path) {
        return Ok(told(changed, sides));
    }
    let target = meant(&job.path, job.follow);
    if job.follow && files::is_link(path) && !files::exists(&target) {
        task.warn("Cannot set fs attributes on a non-existent symlink target. follow should be set to False to avoid this.");
    } else {
        changed |= job.wanted.apply(task, &target, &mut sides)?;
        changed |= times.apply(task, &target, &mut sides)?;
    }
    Ok(told(changed, sides))
}

/// Puts a new link where something else may be, without a moment in which nothing is there.
fn swap(task: &Task<'_>, job: &Job, before: &str, make: &dyn Fn(&Path) -> std::io::Result<()>) -> Result<()> {
    let path = Path::new(&job.path);
    let failed = |what: &str, error: &std::io::Error| {
        Fail::new(format!("Error while {what}: {}", python::errno(error))).with("path", job.path.clone())
    };
    if before == "absent" {
        return make(path).map_err(|error| failed("linking", &error));
    }
    let nanos = task.ctx.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let beside = files::folder_of(path).join(format!(".{}.{nanos}.tmp", std::process::id()));
    let replaced = || -> std::io::Result<()> {
        if before == "directory" {
            fs::remove_dir(path)?;
        }
        make(&beside)?;
        fs::rename(&beside, path)
    };
    replaced().map_err(|error| {
        // Whatever was left of the attempt is of no use.
        let _ = fs::remove_file(&beside);
        failed("replacing", &error)
    })
}

fn hard(task: &Task<'_>, job: &Job, times: &Times) -> Done {
    let path = Path::new(&job.path);
    let before = state(path);
    let told = |msg: &str| Fail::new(msg).with("dest", job.path.clone()).with("src", job.src.clone());
    if before != "hard" && job.src.is_none() {
        return fail("src is required for creating new hardlinks");
    }
    let src = job.src.as_deref().map(Path::new);
    if src.is_some_and(|src| !files::exists(src)) {
        return Err(told("src does not exist"));
    }
    let mut sides = first_sides(&job.path, "hard", before);
    let inode = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let mut changed = match before {
        "hard" => src.is_some_and(|src| inode(path) != inode(src)),
        "link" => {
            let old = fs::read_link(path).unwrap_or_default();
            let differs = src.is_some_and(|src| old != src);
            if differs {
                sides.note("src", files::shown(&old), job.src.clone());
            }
            differs
        }
        _ => true,
    };
    if changed && !job.force {
        match before {
            "hard" => return Err(told("Cannot link, different hard link exists at destination")),
            "file" => return Err(told("Cannot link, file exists at destination")),
            "directory" => return Err(told("Cannot link: different hard link exists at destination")),
            _ => {}
        }
    }
    if let (true, false, Some(src)) = (changed, task.check(), src) {
        let followed = if before == "absent" && job.follow && files::is_link(src) {
            fs::read_link(src).unwrap_or_else(|_| src.to_owned())
        } else {
            src.to_owned()
        };
        swap(task, job, before, &|to| fs::hard_link(&followed, to))?;
    }
    if !task.check() || files::exists(path) {
        let target = meant(&job.path, job.follow);
        changed |= job.wanted.apply(task, &target, &mut sides)?;
        changed |= times.apply(task, &target, &mut sides)?;
    }
    let mut result = done("dest", &job.path, changed, sides);
    result.insert("src".to_owned(), job.src.clone().into());
    Ok(result)
}

fn touch(task: &Task<'_>, job: &Job, times: &Times) -> Done {
    let path = Path::new(&job.path);
    let before = state(path);
    let mut changed = false;
    if before == "absent" {
        if task.check() {
            return Ok(map([("dest", job.path.clone().into()), ("changed", true.into())]));
        }
        fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
            Fail::caused("Error, could not touch target.", &error).with("path", job.path.clone())
        })?;
        changed = true;
    }
    let mut sides = first_sides(&job.path, "touch", before);
    let target = meant(&job.path, job.follow);
    let applied = job
        .wanted
        .apply(task, &target, &mut sides)
        .and_then(|a| Ok(a | times.apply(task, &target, &mut sides)?));
    match applied {
        Ok(applied) => changed |= applied,
        Err(mut error) => {
            if before == "absent" {
                crate::base::attributes::tell(task, &mut error.more);
                // What was made a moment ago goes again; that it failed is told anyway.
                let _ = fs::remove_file(path);
            }
            return Err(error);
        }
    }
    Ok(done("dest", &job.path, changed, sides))
}
