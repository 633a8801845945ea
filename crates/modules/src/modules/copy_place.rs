//! The half of `copy` that runs on the host: puts one file in its place, or copies a folder of the host.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value;

use super::copy_remote;
use super::file::make_folders;
use crate::base::attributes::{Sides, Wanted, set_mode};
use crate::base::replace::{self, Keep};
use crate::base::{Done, Fail, Result, ResultExt, Task, fail, files, hash, map, mode, words};

/// Where the bytes come from.
pub(crate) enum Origin {
    /// From the controller, with the path that results call it by.
    Bytes(Vec<u8>, String),
    /// A file or folder of this host.
    Host(String),
}

impl Origin {
    fn shown(&self) -> &str {
        match self {
            Self::Bytes(_, shown) | Self::Host(shown) => shown,
        }
    }

    fn sum(&self, algorithm: &str) -> Option<String> {
        match self {
            Self::Bytes(bytes, _) => hash::bytes(bytes, algorithm),
            Self::Host(path) if Path::new(path).is_file() => {
                hash::file(Path::new(path), algorithm).ok().flatten()
            }
            Self::Host(_) => None,
        }
    }
}

/// One file to be put somewhere.
pub(crate) struct Place {
    pub(crate) origin: Origin,
    pub(crate) dest: String,
    /// Name below `dest` when that is a folder.
    pub(crate) basename: Option<String>,
    /// Mode instead of the task's.
    pub(crate) mode: Option<Value>,
}

/// Puts it there.
pub(crate) fn place(task: &mut Task<'_>, what: &Place) -> Done {
    let src = what.origin.shown().to_owned();
    let mut wanted = Wanted::of(task);
    if let Some(mode) = &what.mode {
        wanted.mode = Some(mode.clone());
    }
    let host = matches!(what.origin, Origin::Host(_));
    if host {
        check_source(&src)?;
        if task.args.text("mode") == Some("preserve") {
            let bits = fs::metadata(&src).or_fail(|| src.clone())?.mode();
            wanted.mode = Some(mode::shown(bits).into());
        }
    }
    let (sum, md5) = (what.origin.sum("sha1"), what.origin.sum("md5"));
    if host && sum.is_none() && !Path::new(&src).is_dir() {
        return fail(format!("Cannot copy invalid source '{src}': not a file"));
    }
    if let Some(expected) = task.args.filled("checksum")
        && sum.as_deref() != Some(expected)
    {
        return Err(Fail::new("Copied file does not match the expected checksum. Transfer failed.")
            .with("checksum", sum)
            .with("expected_checksum", expected));
    }
    let mut changed = false;
    let mut dest = if what.dest.contains('/') { what.dest.clone() } else { format!("./{}", what.dest) };
    if dest.ends_with('/') {
        if let Some(name) = &what.basename {
            dest = files::join(&dest, name);
        }
        let folder = files::dirname(&dest).to_owned();
        if !files::exists(Path::new(&folder)) {
            if task.check() {
                let msg = format!("dest directory {folder} would be created");
                return Ok(map([("msg", msg.into()), ("changed", true.into()), ("src", src.into())]));
            }
            let rights = Wanted { mode: task.args.get("directory_mode").cloned(), ..wanted.clone() };
            make_folders(task, &folder, &rights, &mut Sides::default())?;
            changed = true;
        }
    }
    if Path::new(&dest).is_dir() {
        let name = what.basename.as_deref().unwrap_or(files::basename(&src));
        dest = files::join(&dest, name);
    }
    let mut old = None;
    if files::exists(Path::new(&dest)) {
        if files::is_link(Path::new(&dest)) && task.args.flag("follow") {
            dest = files::shown(&files::realpath(Path::new(&dest)));
        }
        if !task.args.flag("force") {
            let told = [("msg", "file already exists".into()), ("src", src.into()), ("dest", dest.into())];
            return Ok(map(told));
        }
        if files::readable(Path::new(&dest)) && Path::new(&dest).is_file() {
            old = hash::file(Path::new(&dest), "sha1").or_fail(|| dest.clone())?;
        }
    } else {
        let folder = files::dirname(&dest);
        if let Err(error) = fs::metadata(if folder.is_empty() { "." } else { folder }) {
            let why = match error.kind() {
                std::io::ErrorKind::PermissionDenied => "is not accessible",
                _ => "does not exist",
            };
            return fail(format!("Destination directory {folder} {why}"));
        }
    }
    let folder = files::folder_of(Path::new(&dest));
    if !files::writable(&folder) && !task.args.flag("unsafe_writes") {
        return fail(format!("Destination {} not writable", files::dirname(&dest)));
    }
    let mut backup = None;
    if sum != old || files::is_link(Path::new(&dest)) {
        if !task.check() {
            backup = put(task, what, &dest, &wanted)?;
        }
        changed = true;
    }
    if host && sum.is_none() && old.is_none() {
        changed |= copy_remote::folder(task, &src, &what.dest)?;
    }
    let mut result = map([
        ("dest", dest.clone().into()),
        ("src", src.into()),
        ("md5sum", md5.into()),
        ("checksum", sum.into()),
    ]);
    if let Some(backup) = backup {
        result.insert("backup_file".to_owned(), backup.into());
    }
    let target = if task.args.flag("follow") && files::is_link(Path::new(&dest)) {
        files::realpath(Path::new(&dest))
    } else {
        Path::new(&dest).to_owned()
    };
    changed |= wanted.apply(task, &target, &mut Sides::default())?;
    result.insert("changed".to_owned(), changed.into());
    Ok(result)
}

fn check_source(src: &str) -> Result<()> {
    if !files::exists(Path::new(src)) {
        return fail(format!("Source {src} not found"));
    }
    if !files::readable(Path::new(src)) {
        return fail(format!("Source {src} not readable"));
    }
    Ok(())
}

/// Replaces the file; the path of its backup.
fn put(task: &Task<'_>, what: &Place, dest: &str, wanted: &Wanted) -> Result<Option<String>> {
    let path = Path::new(dest);
    let broken = |what: &str| format!("Failed to copy '{what}' to '{dest}'.");
    let mut backup = None;
    if task.args.flag("backup") && files::exists(path) {
        backup = Some(replace::backup(dest, task.ctx.now()).or_fail(|| broken(what.origin.shown()))?);
    }
    if let Some(validate) = task.args.filled("validate") {
        check_content(task, what, wanted, validate)?;
    }
    if files::is_link(path) {
        fs::remove_file(path).or_fail(|| broken(what.origin.shown()))?;
        File::create(path).or_fail(|| broken(what.origin.shown()))?;
    }
    let in_place = task.args.flag("unsafe_writes");
    match &what.origin {
        Origin::Bytes(bytes, shown) => {
            replace::with_bytes(path, bytes, &Keep::Old, in_place).or_fail(|| broken(shown))?;
        }
        Origin::Host(src) if Path::new(src).is_file() => {
            let meta = fs::metadata(src).or_fail(|| broken(src))?;
            let mut from = File::open(src).or_fail(|| broken(src))?;
            replace::with(path, &mut from, &Keep::Of(&meta), in_place).or_fail(|| broken(src))?;
        }
        Origin::Host(_) => {}
    }
    Ok(backup)
}

/// Asks the user's program whether the new text is right, before it takes its place.
fn check_content(task: &Task<'_>, what: &Place, wanted: &Wanted, validate: &str) -> Result<()> {
    let kept;
    let path = match &what.origin {
        Origin::Host(src) => Path::new(src),
        Origin::Bytes(bytes, shown) => {
            let suffix =
                Path::new(shown).extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
            let made = tempfile::Builder::new().prefix(".source").suffix(&suffix).tempfile_in(&task.ctx.temp);
            kept = made.or_fail(|| "failed to validate".to_owned())?;
            fs::write(kept.path(), bytes).or_fail(|| "failed to validate".to_owned())?;
            kept.path()
        }
    };
    let mut sides = Sides::default();
    if let Some(mode) = &wanted.mode {
        set_mode(task, path, mode, &mut sides)?;
    }
    wanted.owner_and_group(task, path, &mut sides)?;
    validated(task, validate, path)
}

/// Runs `validate` with the file's path in the place of `%s`.
pub(crate) fn validated(task: &Task<'_>, validate: &str, path: &Path) -> Result<()> {
    if !validate.contains("%s") {
        return fail(format!("validate must contain %s: {validate}"));
    }
    let words = words::split(&validate.replace("%s", &files::shown(path))).map_err(Fail::new)?;
    let words: Vec<String> = words.iter().map(|word| task.expand(word)).collect();
    let ran = task.run(&words)?;
    if ran.rc != 0 {
        return Err(Fail::new("failed to validate")
            .with("exit_status", ran.rc)
            .with("stdout", ran.out_text())
            .with("stderr", ran.err_text()));
    }
    Ok(())
}
