//! `find`: files by name, age, size, content and mode.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde_json::{Map, Value};

use crate::base::pattern::{Flags, Pattern};
use crate::base::{Done, Fail, Result, Task, accounts, fail, files, hash, map, mode, python, status};
use crate::spec::{Arg, Kind, ModuleSpec, flag, int, list, raw, text};

const ARGS: &[Arg] = &[
    Arg::new("paths", Kind::List).of(Kind::Path).required().aka(&["name", "path"]),
    list("patterns").or_list(&[]).aka(&["pattern"]),
    list("excludes").aka(&["exclude"]),
    text("contains"),
    flag("read_whole_file", false),
    text("file_type").or("file").one_of(&["any", "directory", "file", "link"]),
    text("age"),
    text("age_stamp").or("mtime").one_of(&["atime", "ctime", "mtime"]),
    text("size"),
    flag("recurse", false),
    flag("hidden", false),
    flag("follow", false),
    flag("get_checksum", false),
    text("checksum_algorithm")
        .or("sha1")
        .one_of(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
        .aka(&["checksum", "checksum_algo"]),
    flag("use_regex", false),
    int("depth"),
    raw("mode"),
    flag("exact_mode", true),
    text("encoding"),
    int("limit"),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("find", ARGS, run);

/// Most entries that one task looks at.
const LOOKED_MAX: usize = 10_000_000;
/// Most entries that one task names.
const FOUND_MAX: usize = 200_000;

/// A name's pattern.
struct Names {
    wanted: Vec<Pattern>,
    not: Vec<Pattern>,
}

struct Search<'t, 'a> {
    task: &'t Task<'a>,
    names: Names,
    contains: Option<Pattern>,
    age: Option<i64>,
    size: Option<i64>,
    now: f64,
    looked: usize,
    found: Vec<Value>,
    skipped: Map<String, Value>,
    seen: Vec<(u64, u64)>,
}

fn run(task: &mut Task<'_>) -> Done {
    if let Some(mode) = task.args.get("mode").filter(|mode| !mode.is_string()) {
        let kind = python::type_name(mode);
        return fail(format!(
            "argument 'mode' is not a string and conversion is not allowed, value is of type {kind}"
        ));
    }
    let unit = |name: &str, units: &[(char, i64)]| -> Result<Option<i64>> {
        let Some(text) = task.args.text(name) else { return Ok(None) };
        let lower = text.to_lowercase();
        let factor = units.iter().find(|(unit, _)| lower.ends_with(*unit));
        let digits = factor.map_or(lower.as_str(), |(unit, _)| lower.trim_end_matches(*unit));
        let number = digits.parse::<i64>().ok().filter(|_| !digits.starts_with('+'));
        match number.and_then(|number| number.checked_mul(factor.map_or(1, |(_, by)| *by))) {
            Some(number) => Ok(Some(number)),
            None => Err(Fail::new(format!("failed to process {name}")).with(name, text)),
        }
    };
    let age = unit("age", &[('s', 1), ('m', 60), ('h', 3600), ('d', 86400), ('w', 604_800)])?;
    let size = unit("size", &[('b', 1), ('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30), ('t', 1 << 40)])?;
    if let Some(limit) = task.args.int("limit").filter(|limit| *limit <= 0) {
        return fail(format!("limit cannot be {limit} (use None for unlimited)"));
    }
    let contains = task.args.text("contains").map(|text| {
        let at_start = !task.args.flag("read_whole_file");
        Pattern::new(text, Flags { at_start, ..Flags::default() }).map_err(Fail::crash)
    });
    let mut search = Search {
        names: names(task)?,
        contains: contains.transpose()?,
        age,
        size,
        now: task.ctx.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        looked: 0,
        found: Vec::new(),
        skipped: Map::new(),
        seen: Vec::new(),
        task,
    };
    let mut warnings = Vec::new();
    let mut limited = false;
    for top in search.task.args.list("paths") {
        if Path::new(&top).is_dir() {
            limited |= search.folder(&top, &top)?;
            continue;
        }
        let why = format!("'{top}' is not a directory");
        warnings.push(format!("Skipped '{top}' path due to this access issue: {why}\n"));
        search.skipped.insert(top, why.into());
    }
    let msg = match (warnings.is_empty(), limited) {
        (false, _) => "Not all paths examined, check warnings for details",
        (true, true) => "Limit of matches reached",
        (true, false) => "All paths examined",
    };
    let (matched, looked, found, skipped) = (search.found.len(), search.looked, search.found, search.skipped);
    warnings.into_iter().for_each(|warning| task.warn(warning));
    Ok(map([
        ("files", found.into()),
        ("changed", false.into()),
        ("msg", msg.into()),
        ("matched", matched.into()),
        ("examined", looked.into()),
        ("skipped_paths", skipped.into()),
    ]))
}

fn names(task: &Task<'_>) -> Result<Names> {
    let regex = task.args.flag("use_regex");
    let compile = |name: &str| -> Result<Vec<Pattern>> {
        let sources = task.args.list(name);
        let flags = Flags { at_start: true, ..Flags::default() };
        let sources = sources.iter().map(|source| if regex { source.clone() } else { wildcard(source) });
        sources.map(|source| Pattern::new(&source, flags).map_err(Fail::crash)).collect()
    };
    Ok(Names { wanted: compile("patterns")?, not: compile("excludes")? })
}

/// Shell wildcards as a regular expression.
pub(crate) fn wildcard(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let (mut out, mut at) = (String::from("(?s)"), 0);
    while let Some(c) = chars.get(at).copied() {
        at += 1;
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => {
                let rest = chars.get(at..).unwrap_or_default();
                let negated = rest.first() == Some(&'!');
                let from = usize::from(negated) + usize::from(rest.get(usize::from(negated)) == Some(&']'));
                match rest.iter().skip(from).position(|c| *c == ']') {
                    None => out.push_str("\\["),
                    Some(end) => {
                        let inner: String = rest.iter().take(from + end).collect();
                        let inner = inner.replace('\\', "\\\\");
                        let inner = match inner.strip_prefix('!') {
                            Some(inner) => format!("^{inner}"),
                            None if inner.starts_with('^') => format!("\\{inner}"),
                            None => inner,
                        };
                        out.push_str(&format!("[{inner}]"));
                        at += from + end + 1;
                    }
                }
            }
            c if c.is_alphanumeric() || c == '_' => out.push(c),
            c => {
                out.push('\\');
                out.push(c);
            }
        }
    }
    out + "\\Z"
}

impl Search<'_, '_> {
    /// Walks a folder; true when the limit of matches is reached.
    fn folder(&mut self, top: &str, folder: &str) -> Result<bool> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.skipped
                    .insert(folder.to_owned(), format!("{}: '{folder}'", python::errno(&error)).into());
                return Ok(false);
            }
        };
        let (mut folders, mut names) = (Vec::new(), Vec::new());
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() { folders.push(name) } else { names.push(name) }
        }
        self.looked += folders.len() + names.len();
        if self.looked > LOOKED_MAX {
            return fail(format!("more than {LOOKED_MAX} entries; narrow the paths"));
        }
        let mut deeper = true;
        for name in names.iter().chain(&folders) {
            let whole = files::shown(&files::lexical(&Path::new(folder).join(name)));
            if let Some(most) = self.task.args.int("depth").filter(|depth| *depth != 0) {
                let slashes = |text: &str| text.matches('/').count() as i64;
                let base = format!("{}/", top.trim_end_matches('/'));
                if slashes(&whole) - slashes(&base) + 1 > most {
                    deeper = false;
                    continue;
                }
            }
            if name.starts_with('.') && !self.task.args.flag("hidden") {
                continue;
            }
            let Ok(meta) = fs::symlink_metadata(&whole) else { continue };
            if let Some(entry) = self.entry(name, &whole, &meta)? {
                self.found.push(entry);
            }
            let limit = self.task.args.int("limit").and_then(|limit| usize::try_from(limit).ok());
            if limit == Some(self.found.len()) {
                return Ok(true);
            }
            if self.found.len() > FOUND_MAX {
                return fail(format!("more than {FOUND_MAX} matches; narrow the patterns or set limit"));
            }
        }
        if !self.task.args.flag("recurse") || !deeper {
            return Ok(false);
        }
        for name in folders {
            let below = files::join(folder, &name);
            let Ok(meta) = fs::symlink_metadata(&below) else { continue };
            if meta.is_symlink() && !self.task.args.flag("follow") {
                continue;
            }
            let id = fs::metadata(&below).map(|meta| (meta.dev(), meta.ino())).unwrap_or_default();
            if self.seen.contains(&id) {
                continue;
            }
            self.seen.push(id);
            let limited = self.folder(top, &below)?;
            self.seen.pop();
            if limited {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is told of an entry, when it matches.
    fn entry(&self, name: &str, whole: &str, meta: &Metadata) -> Result<Option<Value>> {
        let args = &self.task.args;
        let right_kind = match args.or_empty("file_type") {
            "directory" => meta.is_dir(),
            "file" => meta.is_file(),
            "link" => meta.is_symlink(),
            _ => true,
        };
        if !right_kind || !self.named(name)? || !self.aged(meta) {
            return Ok(None);
        }
        let kind = args.or_empty("file_type");
        if meta.is_file() && matches!(kind, "any" | "file") && !self.sized(meta) {
            return Ok(None);
        }
        if kind == "file" && !self.contains(whole)? {
            return Ok(None);
        }
        if !self.moded(meta)? {
            return Ok(None);
        }
        let mut told = facts(self.task, meta);
        told.insert("path".to_owned(), whole.into());
        if meta.is_file() && args.flag("get_checksum") {
            let sum = hash::file(Path::new(whole), args.or_empty("checksum_algorithm")).ok().flatten();
            told.insert("checksum".to_owned(), sum.into());
        }
        Ok(Some(told.into()))
    }

    fn named(&self, name: &str) -> Result<bool> {
        let any = |patterns: &[Pattern]| -> Result<bool> {
            for pattern in patterns {
                if pattern.found(name.as_bytes()).map_err(Fail::crash)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        Ok((self.names.wanted.is_empty() || any(&self.names.wanted)?) && !any(&self.names.not)?)
    }

    fn aged(&self, meta: &Metadata) -> bool {
        let Some(age) = self.age else { return true };
        let (seconds, nanos) = match self.task.args.or_empty("age_stamp") {
            "atime" => (meta.atime(), meta.atime_nsec()),
            "ctime" => (meta.ctime(), meta.ctime_nsec()),
            _ => (meta.mtime(), meta.mtime_nsec()),
        };
        let old = self.now - (seconds as f64 + nanos as f64 / 1e9);
        if age >= 0 { old >= age as f64 } else { old <= -age as f64 }
    }

    fn sized(&self, meta: &Metadata) -> bool {
        self.size.is_none_or(|size| {
            if size >= 0 { meta.len() >= size as u64 } else { meta.len() <= size.unsigned_abs() }
        })
    }

    fn contains(&self, whole: &str) -> Result<bool> {
        let Some(pattern) = &self.contains else { return Ok(true) };
        let Ok(bytes) = files::bytes(Path::new(whole)) else { return Ok(false) };
        if self.task.args.flag("read_whole_file") {
            return pattern.found(&bytes).map_err(Fail::crash);
        }
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if pattern.found(line).map_err(Fail::crash)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn moded(&self, meta: &Metadata) -> Result<bool> {
        let Some(wanted) = self.task.args.get("mode").filter(|mode| mode.as_str() != Some("")) else {
            return Ok(true);
        };
        let bits = mode::parse(wanted, 0, false, files::umask()).map_err(Fail::crash)? & 0o7777;
        let now = meta.mode() & 0o7777;
        Ok(if self.task.args.flag("exact_mode") { now == bits } else { now & bits != 0 })
    }
}

fn facts(task: &Task<'_>, meta: &Metadata) -> Map<String, Value> {
    let root = &task.ctx.root;
    let group = accounts::group_with(root, meta.gid()).map(|group| group.name).unwrap_or_default();
    let user = accounts::user_with(root, meta.uid()).map(|user| user.name).unwrap_or_default();
    let mut facts = status::facts(meta);
    facts.extend(map([("gr_name", group.into()), ("pw_name", user.into())]));
    facts
}
