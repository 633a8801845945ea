//! `unarchive`: what an archive holds is in a folder.
//!
//! Archives are untrusted: a name that leads out of the folder, by `..` or through a link, fails the task, and what is
//! unpacked has a bound.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use serde_json::json;

use super::find::wildcard;
use super::unzip;
use crate::base::attributes::{Sides, Wanted};
use crate::base::pattern::{Flags, Pattern};
use crate::base::program::Program;
use crate::base::{Done, Fail, Result, ResultExt, Task, fail, files, http, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, int, list, maybe, path};

const ARGS: &[Arg] = &[
    path("src"),
    path("dest"),
    flag("remote_src", false),
    path("creates"),
    flag("list_files", false),
    flag("keep_newer", false),
    list("exclude").or_list(&[]),
    list("include").or_list(&[]),
    list("extra_opts").or_list(&[]),
    flag("validate_certs", true),
    int("io_buffer_size").or_int(65536),
    maybe("copy"),
    flag("decrypt", true),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("unarchive", ARGS, run)
    .with_file_args()
    .rules(&[Rule::Exclusive(&["include", "exclude"])]);

/// Most bytes that one archive may unpack to.
const UNPACKED_MAX: u64 = 256 << 30;
/// Most entries of one archive.
const ENTRIES_MAX: usize = 4_000_000;

fn run(task: &mut Task<'_>) -> Done {
    let (src, dest) = (task.args.or_empty("src").to_owned(), task.args.or_empty("dest").to_owned());
    if src.is_empty() || dest.is_empty() {
        return fail("src (or content) and dest are required");
    }
    if let Some(made) = task.args.filled("creates").filter(|made| files::exists(Path::new(made))) {
        let msg = format!("skipped, since {made} exists");
        return Ok(map([("skipped", true.into()), ("msg", msg.into())]));
    }
    if !Path::new(&dest).is_dir() {
        return fail(format!("dest '{dest}' must be an existing dir"));
    }
    let remote = task.args.maybe("copy").map_or_else(|| task.args.flag("remote_src"), |copy| !copy);
    let (shown, mut file) = if remote { of_host(task, &src)? } else { of_controller(task, &src)? };
    if file.metadata().or_fail(|| shown.clone())?.len() == 0 {
        return fail(format!("Invalid archive '{shown}', the file is 0 bytes"));
    }
    let (handler, packed) = kind(&mut file, &shown)?;
    if handler != "ZipArchive" && task.check() {
        let msg = "remote module (unarchive) does not support check mode when using gtar";
        return Ok(map([("skipped", true.into()), ("msg", msg.into())]));
    }
    let mut unpack = Unpack::new(task, Path::new(&dest))?;
    let each = |unpack: &mut Unpack<'_, '_>, file: &File| -> Result<()> {
        let file = file.try_clone().or_fail(|| shown.clone())?;
        if handler == "ZipArchive" { unpack.zip(file) } else { unpack.tar(file, packed, &shown) }
    };
    each(&mut unpack, &file)?;
    let differs = unpack.differs;
    if unpack.names.is_empty() {
        return fail(format!(
            "Failed to find handler for \"{shown}\". Make sure the required command to extract the file is installed.\nEmpty archive files are not supported."
        ));
    }
    let names = std::mem::take(&mut unpack.names);
    if differs && !task.check() {
        file.seek(SeekFrom::Start(0)).or_fail(|| shown.clone())?;
        let mut unpack = Unpack::new(task, Path::new(&dest))?;
        unpack.write = true;
        let each = |unpack: &mut Unpack<'_, '_>, file: &File| -> Result<()> {
            let file = file.try_clone().or_fail(|| shown.clone())?;
            if handler == "ZipArchive" { unpack.zip(file) } else { unpack.tar(file, packed, &shown) }
        };
        each(&mut unpack, &file)?;
    }
    let mut result =
        map([("handler", handler.into()), ("dest", dest.clone().into()), ("src", shown.clone().into())]);
    let mut changed = differs;
    if differs && !task.check() {
        result.insert("extract_results".into(), json!({"cmd": [], "rc": 0, "out": "", "err": ""}));
    }
    if !task.check() {
        let wanted = Wanted::of(task);
        let tops: BTreeSet<&str> = names.iter().filter_map(|name| Some(name.split_once('/')?.0)).collect();
        for name in names.iter().map(String::as_str).chain(tops) {
            let path = Path::new(&dest).join(name);
            if files::lexists(&path) {
                changed |= wanted.apply(task, &path, &mut Sides::default())?;
            }
        }
    }
    result.insert("changed".into(), changed.into());
    if task.args.flag("list_files") {
        result.insert("files".into(), names.into());
    }
    Ok(result)
}

fn of_host(task: &Task<'_>, src: &str) -> Result<(String, File)> {
    if src.contains("://") && !files::exists(Path::new(src)) {
        let ask = super::url::request(task, src, "GET", None);
        let mut answer =
            http::ask(&ask).map_err(|why| Fail::new(format!("Failure downloading {src}, {why}")))?;
        if answer.status != 200 {
            return fail(format!(
                "Failure downloading {src}, HTTP Error {}: {}",
                answer.status, answer.reason
            ));
        }
        let mut file = tempfile::tempfile_in(&task.ctx.temp).or_fail(|| src.to_owned())?;
        io::copy(&mut answer.body, &mut file).or_fail(|| format!("Failure downloading {src}"))?;
        file.seek(SeekFrom::Start(0)).or_fail(|| src.to_owned())?;
        let name = super::url::file_name(src);
        return Ok((files::shown(&task.ctx.temp.join(name)), file));
    }
    match File::open(src) {
        Ok(file) => Ok((src.to_owned(), file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fail(format!("Source '{src}' does not exist"))
        }
        Err(_) => fail(format!("Source '{src}' not readable")),
    }
}

fn of_controller(task: &Task<'_>, src: &str) -> Result<(String, File)> {
    let bytes = task.source.read(src).or_fail(|| format!("Could not find or access '{src}'"))?;
    let mut file = tempfile::tempfile_in(&task.ctx.temp).or_fail(|| src.to_owned())?;
    io::copy(&mut bytes.as_slice(), &mut file).or_fail(|| src.to_owned())?;
    file.seek(SeekFrom::Start(0)).or_fail(|| src.to_owned())?;
    Ok((files::shown(&task.ctx.temp.join("source")), file))
}

/// How a tar is packed.
#[derive(Clone, Copy, PartialEq)]
enum Packed {
    Not,
    Gzip,
    /// By a program of the host.
    With(&'static str),
}

/// By the first bytes, not by the name.
fn kind(file: &mut File, shown: &str) -> Result<(&'static str, Packed)> {
    let mut head = [0u8; 512];
    let mut got = 0;
    while got < head.len() {
        match file.read(head.get_mut(got..).unwrap_or_default()).or_fail(|| shown.to_owned())? {
            0 => break,
            more => got += more,
        }
    }
    file.seek(SeekFrom::Start(0)).or_fail(|| shown.to_owned())?;
    Ok(match head {
        [b'P', b'K', 3 | 5, 4 | 6, ..] => ("ZipArchive", Packed::Not),
        [0x1f, 0x8b, ..] => ("TgzArchive", Packed::Gzip),
        [b'B', b'Z', b'h', ..] => ("TarBzipArchive", Packed::With("bzip2")),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => ("TarXzArchive", Packed::With("xz")),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("TarZstdArchive", Packed::With("zstd")),
        _ if head.get(257..262) == Some(b"ustar") => ("TarArchive", Packed::Not),
        _ => {
            return fail(format!(
                "Failed to find handler for \"{shown}\". Make sure the required command to extract the file is installed.\nIt is neither zip nor tar (gzip, bzip2, xz, zstd)."
            ));
        }
    })
}

/// One pass over an archive: compares, and writes when told to.
struct Unpack<'t, 'a> {
    task: &'t Task<'a>,
    dest: PathBuf,
    write: bool,
    differs: bool,
    names: Vec<String>,
    bytes: u64,
    strip: usize,
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    root: bool,
}

impl<'t, 'a> Unpack<'t, 'a> {
    fn new(task: &'t Task<'a>, dest: &Path) -> Result<Self> {
        let dest = fs::canonicalize(dest).or_fail(|| files::shown(dest))?;
        let compile = |name: &str| -> Result<Vec<Pattern>> {
            let flags = Flags { at_start: true, ..Flags::default() };
            let sources = task.args.list(name);
            sources
                .iter()
                .map(|source| {
                    Pattern::new(&wildcard(source.trim_end_matches('/')), flags).map_err(Fail::crash)
                })
                .collect()
        };
        let (include, exclude) = (compile("include")?, compile("exclude")?);
        let (mut strip, mut words) = (0, task.args.list("extra_opts").into_iter());
        while let Some(word) = words.next() {
            let number = match word.split_once('=') {
                Some(("--strip-components" | "--strip", number)) => Some(number.to_owned()),
                None if matches!(word.as_str(), "--strip-components" | "--strip") => words.next(),
                _ => None,
            };
            match number.map(|number| number.parse()) {
                Some(Ok(number)) => strip = number,
                _ if matches!(
                    word.as_str(),
                    "--no-same-owner"
                        | "-o"
                        | "--same-owner"
                        | "-p"
                        | "--preserve-permissions"
                        | "--overwrite"
                ) => {}
                _ => {
                    return fail(format!(
                        "extra_opts: {word} is not supported; --strip-components=N, --no-same-owner and --preserve-permissions are"
                    ));
                }
            }
        }
        let root = rustix::process::geteuid().is_root();
        Ok(Self {
            task,
            dest,
            write: false,
            differs: false,
            names: Vec::new(),
            bytes: 0,
            strip,
            include,
            exclude,
            root,
        })
    }

    /// The name below the folder, or `None` when it is not wanted.
    fn name(&mut self, name: &str, folder: bool) -> Result<Option<String>> {
        let name = name.trim_start_matches('/');
        if Path::new(name).components().any(|part| matches!(part, Component::ParentDir)) {
            return fail(format!("the archive holds {name}, which leads out of {}", self.dest.display()));
        }
        let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let name = parts.get(self.strip..).unwrap_or_default().join("/");
        if name.is_empty() {
            return Ok(None);
        }
        let covers = |patterns: &[Pattern]| -> Result<bool> {
            let above = name.match_indices('/').map(|(at, _)| name.get(..at).unwrap_or_default());
            for candidate in above.chain([name.as_str()]) {
                for pattern in patterns {
                    if pattern.found(candidate.as_bytes()).map_err(Fail::crash)? {
                        return Ok(true);
                    }
                }
            }
            Ok(false)
        };
        if (!self.include.is_empty() && !covers(&self.include)?) || covers(&self.exclude)? {
            return Ok(None);
        }
        if self.names.len() >= ENTRIES_MAX {
            return fail(format!("the archive holds more than {ENTRIES_MAX} entries"));
        }
        self.names.push(if folder { format!("{name}/") } else { name.clone() });
        Ok(Some(name))
    }

    fn count(&mut self, bytes: u64) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > UNPACKED_MAX {
            return fail(format!("the archive unpacks to more than {UNPACKED_MAX} bytes"));
        }
        Ok(())
    }

    /// No part of the way to an entry may be a link: an archive could have made it.
    fn way(&self, name: &str) -> Result<PathBuf> {
        let mut path = self.dest.clone();
        let parts: Vec<&str> = name.split('/').collect();
        for (number, part) in parts.iter().enumerate() {
            path.push(part);
            if number + 1 < parts.len() && files::is_link(&path) {
                let real = fs::canonicalize(&path).or_fail(|| files::shown(&path))?;
                if !real.starts_with(&self.dest) {
                    return fail(format!(
                        "the archive holds {name}, which leads out of {} through a link",
                        self.dest.display()
                    ));
                }
            }
        }
        Ok(path)
    }

    fn tar(&mut self, file: File, packed: Packed, shown: &str) -> Result<()> {
        let reader: Box<dyn Read> = match packed {
            Packed::Not => Box::new(BufReader::new(file)),
            Packed::Gzip => Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file))),
            Packed::With(program) => {
                let path = self.task.need(program)?;
                let mut bytes = Vec::new();
                let mut file = file;
                file.read_to_end(&mut bytes).or_fail(|| shown.to_owned())?;
                let ran = Program::new([path.as_os_str(), "-dc".as_ref()])
                    .input(Some(bytes))
                    .run()
                    .or_fail(|| program.into())?;
                if ran.rc != 0 {
                    return fail(format!("failed to unpack {shown}: {}", ran.err_text()));
                }
                Box::new(Cursor::new(ran.out))
            }
        };
        let mut archive = tar::Archive::new(reader);
        archive.set_preserve_permissions(self.root);
        archive.set_preserve_mtime(true);
        archive.set_preserve_ownerships(self.root);
        archive.set_overwrite(true);
        let broken = || format!("failed to unpack {shown}");
        for entry in archive.entries().or_fail(broken)? {
            self.tar_entry(entry.or_fail(broken)?, shown)?;
        }
        Ok(())
    }

    fn tar_entry(&mut self, mut entry: tar::Entry<'_, Box<dyn Read>>, shown: &str) -> Result<()> {
        let broken = || format!("failed to unpack {shown}");
        let kind = entry.header().entry_type();
        let raw = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !(kind.is_dir()
            || kind.is_file()
            || kind.is_symlink()
            || kind.is_hard_link()
            || kind.is_contiguous()
            || kind.is_gnu_sparse())
        {
            return if kind.is_pax_global_extensions() {
                Ok(())
            } else {
                fail(format!("the archive holds {raw}, which is neither file, folder nor link"))
            };
        }
        let Some(name) = self.name(&raw, kind.is_dir())? else { return Ok(()) };
        self.count(entry.size())?;
        let path = self.way(&name)?;
        let target = entry.link_name().or_fail(broken)?.map(std::borrow::Cow::into_owned);
        if kind.is_hard_link() {
            let source = target.unwrap_or_default();
            let inside = self.name_of_link(&source)?;
            if !self.write {
                self.differs |= !files::exists(&path);
                return Ok(());
            }
            let source = self.way(&inside)?;
            let _ = fs::remove_file(&path);
            return fs::hard_link(source, &path).or_fail(broken);
        }
        if !self.write {
            if !self.differs
                && !same(&mut entry, &path, target.as_deref(), self.root, self.task).or_fail(broken)?
            {
                self.differs = true;
            }
            return Ok(());
        }
        let newer = || -> Option<bool> {
            Some(path.symlink_metadata().ok()?.mtime() >= entry.header().mtime().ok()? as i64)
        };
        if self.task.args.flag("keep_newer") && !kind.is_dir() && newer() == Some(true) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).or_fail(broken)?;
        }
        if files::is_link(&path) || (path.is_file() && !kind.is_dir()) {
            fs::remove_file(&path).or_fail(broken)?;
        }
        entry.unpack(&path).or_fail(broken)?;
        Ok(())
    }

    fn name_of_link(&self, source: &Path) -> Result<String> {
        let text = files::shown(source);
        if source.components().any(|part| matches!(part, Component::ParentDir)) {
            return fail(format!("the archive links to {text}, which leads out of {}", self.dest.display()));
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        Ok(parts.get(self.strip..).unwrap_or_default().join("/"))
    }

    fn zip(&mut self, mut file: File) -> Result<()> {
        for entry in unzip::entries(&mut file)? {
            let Some(name) = self.name(&entry.name, entry.folder)? else { continue };
            self.count(entry.size)?;
            let path = self.way(&name)?;
            if self.write {
                unzip::unpack(&mut file, &entry, &path, self.task.args.flag("keep_newer"))?;
            } else if !self.differs {
                self.differs = !unzip::same(&entry, &path)?;
            }
        }
        Ok(())
    }
}

/// Whether the disk holds the entry as it is.
fn same(
    entry: &mut tar::Entry<'_, Box<dyn Read>>,
    path: &Path,
    target: Option<&Path>,
    root: bool,
    task: &Task<'_>,
) -> io::Result<bool> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(false) };
    let header = entry.header();
    let kind = header.entry_type();
    if kind.is_symlink() {
        return Ok(meta.is_symlink() && fs::read_link(path).ok().as_deref() == target);
    }
    let owner = !root
        || ((task.args.has("owner") || header.uid()? == u64::from(meta.uid()))
            && (task.args.has("group") || header.gid()? == u64::from(meta.gid())));
    let mode = task.args.has("mode") || header.mode()? & 0o7777 == meta.mode() & 0o7777;
    if kind.is_dir() {
        return Ok(meta.is_dir() && mode && owner);
    }
    if !meta.is_file()
        || meta.len() != entry.size()
        || !mode
        || !owner
        || header.mtime()? as i64 != meta.mtime()
    {
        return Ok(false);
    }
    let mut disk = BufReader::new(File::open(path)?);
    let (mut a, mut b) = (vec![0u8; 64 << 10], vec![0u8; 64 << 10]);
    loop {
        let got = entry.read(&mut a)?;
        if got == 0 {
            return Ok(true);
        }
        let part = b.get_mut(..got).unwrap_or_default();
        disk.read_exact(part)?;
        if a.get(..got) != Some(&*part) {
            return Ok(false);
        }
    }
}
