//! Reads zip archives: the list at the end, stored and deflated entries; others are refused by name.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::SystemTime;

use jiff::civil;

use crate::base::{Fail, Result, ResultExt, fail, files};

/// Longest list of entries, bytes.
const LIST_MAX: u64 = 256 << 20;

/// One entry.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) folder: bool,
    pub(crate) size: u64,
    packed: u64,
    way: u16,
    crc: u32,
    at: u64,
    mode: Option<u32>,
    modified: Option<SystemTime>,
}

fn broken() -> Fail {
    Fail::new("the zip archive is damaged")
}

fn number(bytes: &[u8], at: usize, length: usize) -> Result<u64> {
    let part = bytes.get(at..at + length).ok_or_else(broken)?;
    Ok(part.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// All entries, by the list at the end of the file.
pub(crate) fn entries(file: &mut File) -> Result<Vec<Entry>> {
    let length = file.metadata().or_fail(|| "zip".into())?.len();
    let tail_length = length.min(66_000);
    file.seek(SeekFrom::Start(length - tail_length)).or_fail(|| "zip".into())?;
    let mut tail = Vec::new();
    file.take(tail_length).read_to_end(&mut tail).or_fail(|| "zip".into())?;
    let end = tail.windows(4).rposition(|part| part == b"PK\x05\x06").ok_or_else(broken)?;
    let (mut size, mut start) = (number(&tail, end + 12, 4)?, number(&tail, end + 16, 4)?);
    if start == 0xffff_ffff || size == 0xffff_ffff {
        let locator = end
            .checked_sub(20)
            .filter(|at| tail.get(*at..at + 4) == Some(b"PK\x06\x07"))
            .ok_or_else(broken)?;
        let mut record = [0u8; 56];
        file.seek(SeekFrom::Start(number(&tail, locator + 8, 8)?)).or_fail(|| "zip".into())?;
        file.read_exact(&mut record).map_err(|_| broken())?;
        (size, start) = (number(&record, 40, 8)?, number(&record, 48, 8)?);
    }
    if size > LIST_MAX || start.saturating_add(size) > length {
        return Err(broken());
    }
    file.seek(SeekFrom::Start(start)).or_fail(|| "zip".into())?;
    let mut list = Vec::new();
    file.take(size).read_to_end(&mut list).or_fail(|| "zip".into())?;
    let (mut out, mut at) = (Vec::new(), 0);
    while list.get(at..at + 4) == Some(b"PK\x01\x02") {
        let (entry, next) = entry(&list, at)?;
        out.push(entry);
        at = next;
    }
    Ok(out)
}

fn entry(list: &[u8], at: usize) -> Result<(Entry, usize)> {
    let field = |offset: usize, length: usize| number(list, at + offset, length);
    let (name_length, extra_length, comment) =
        (field(28, 2)? as usize, field(30, 2)? as usize, field(32, 2)? as usize);
    let name = list.get(at + 46..at + 46 + name_length).ok_or_else(broken)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let (mut packed, mut size, mut start) = (field(20, 4)?, field(24, 4)?, field(42, 4)?);
    let extra_from = at + 46 + name_length;
    let extra = list.get(extra_from..extra_from + extra_length).ok_or_else(broken)?;
    let mut modified = None;
    let mut rest = extra;
    while let [a, b, c, d, tail @ ..] = rest {
        let (id, length) = (u16::from_le_bytes([*a, *b]), usize::from(u16::from_le_bytes([*c, *d])));
        let data = tail.get(..length).ok_or_else(broken)?;
        match id {
            1 => {
                let mut offset = 0;
                for value in [&mut size, &mut packed, &mut start] {
                    if *value == 0xffff_ffff {
                        *value = number(data, offset, 8)?;
                        offset += 8;
                    }
                }
            }
            0x5455 if data.first().is_some_and(|flags| flags & 1 == 1) => {
                modified = number(data, 1, 4)
                    .ok()
                    .map(|seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
            }
            _ => {}
        }
        rest = tail.get(length..).unwrap_or_default();
    }
    if field(8, 2)? & 1 == 1 {
        return fail(format!("{name} in the zip archive is encrypted"));
    }
    let unix = field(5, 1)? == 3;
    let mode = Some((field(38, 4)? >> 16) as u32).filter(|mode| unix && *mode != 0);
    let entry = Entry {
        folder: name.ends_with('/'),
        size,
        packed,
        way: field(10, 2)? as u16,
        crc: field(16, 4)? as u32,
        at: start,
        mode,
        modified: modified.or_else(|| dos_time(field(14, 2).ok()?, field(12, 2).ok()?)),
        name,
    };
    Ok((entry, extra_from + extra_length + comment))
}

fn dos_time(date: u64, time: u64) -> Option<SystemTime> {
    let part = |value: u64, shift: u32, mask: u64| (value >> shift & mask) as i8;
    let moment = civil::DateTime::new(
        1980 + (date >> 9) as i16,
        part(date, 5, 15),
        part(date, 0, 31),
        part(time, 11, 31),
        part(time, 5, 63),
        part(time, 0, 31) * 2,
        0,
    );
    let zoned = moment.ok()?.to_zoned(jiff::tz::TimeZone::system()).ok()?;
    Some(zoned.timestamp().into())
}

impl Entry {
    fn is_link(&self) -> bool {
        self.mode.is_some_and(|mode| mode & 0o170_000 == 0o120_000)
    }
}

/// Whether the disk holds the entry as it is: kind, size, checksum, mode.
pub(crate) fn same(entry: &Entry, path: &Path) -> Result<bool> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(false) };
    if entry.folder {
        return Ok(meta.is_dir());
    }
    if entry.is_link() {
        return Ok(meta.is_symlink());
    }
    let mode = entry.mode.is_none_or(|mode| mode & 0o777 == meta.mode() & 0o777);
    if !meta.is_file() || meta.len() != entry.size || !mode {
        return Ok(false);
    }
    let mut crc = flate2::CrcReader::new(File::open(path).or_fail(|| files::shown(path))?);
    io::copy(&mut crc, &mut io::sink()).or_fail(|| files::shown(path))?;
    Ok(crc.crc().sum() == entry.crc)
}

/// Writes the entry; its bytes are checked against their checksum.
pub(crate) fn unpack(file: &mut File, entry: &Entry, path: &Path, keep_newer: bool) -> Result<()> {
    let broken_at = || format!("failed to unpack {}", entry.name);
    if entry.folder {
        return fs::create_dir_all(path).or_fail(broken_at);
    }
    if keep_newer
        && fs::metadata(path).and_then(|meta| meta.modified()).ok() >= entry.modified
        && files::exists(path)
    {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).or_fail(broken_at)?;
    }
    let mut head = [0u8; 30];
    file.seek(SeekFrom::Start(entry.at)).or_fail(broken_at)?;
    file.read_exact(&mut head).map_err(|_| broken())?;
    if head.get(..4) != Some(b"PK\x03\x04") {
        return Err(broken());
    }
    let skip = number(&head, 26, 2)? + number(&head, 28, 2)?;
    file.seek(SeekFrom::Current(skip as i64)).or_fail(broken_at)?;
    let packed = file.take(entry.packed);
    let plain: Box<dyn Read + '_> = match entry.way {
        0 => Box::new(packed),
        8 => Box::new(flate2::read::DeflateDecoder::new(packed)),
        other => return fail(format!("{} is packed in a way that is not known: {other}", entry.name)),
    };
    let mut plain = flate2::CrcReader::new(plain.take(entry.size + 1));
    if files::lexists(path) && !path.is_dir() {
        fs::remove_file(path).or_fail(broken_at)?;
    }
    if entry.is_link() {
        let mut target = String::new();
        (&mut plain).take(4096).read_to_string(&mut target).or_fail(broken_at)?;
        return symlink(target, path).or_fail(broken_at);
    }
    let mut out = File::options().write(true).create_new(true).open(path).or_fail(broken_at)?;
    let written = io::copy(&mut plain, &mut out).or_fail(broken_at)?;
    if written != entry.size || plain.crc().sum() != entry.crc {
        return fail(format!("{} in the zip archive is damaged", entry.name));
    }
    if let Some(mode) = entry.mode {
        out.set_permissions(Permissions::from_mode(mode & 0o777)).or_fail(broken_at)?;
    }
    if let Some(modified) = entry.modified {
        out.set_modified(modified).or_fail(broken_at)?;
    }
    Ok(())
}
