//! Reading the write-ahead log at start: every good record once, every damaged stretch named, the torn end cut.

use std::collections::BTreeMap;

use wellkept_model::LogLine;

use crate::batch;
use crate::codec::Corrupt;
use crate::disk::Disk;
use crate::error::{LogStoreError, SetAside};
use crate::wal::{self, Good, HEADER, Notes, file_name, file_number};

/// Longest file that is read, bytes: far above what is ever written.
const FILE_MAX: u64 = 4 << 30;

/// What the log gave.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The newest file with its good length; the next file names it.
    pub(crate) good: Good,
    /// Largest number seen.
    pub(crate) last_number: u64,
    pub(crate) notes: Notes,
    pub(crate) damaged: Vec<SetAside>,
    /// A torn end that was cut: never acknowledged, unless the file was damaged just there.
    pub(crate) torn: Vec<SetAside>,
}

/// Reads all files above `covered` in order and hands their lines to `take`.
pub(crate) fn replay(
    disk: &dyn Disk,
    covered: u64,
    mut take: impl FnMut(&LogLine<'_>),
) -> Result<Replayed, LogStoreError> {
    let mut out = Replayed { last_number: covered, ..Replayed::default() };
    let files = load_headers(disk, covered, &mut out)?;
    let numbers: Vec<u64> = files.keys().copied().collect();
    for (i, &number) in numbers.iter().enumerate() {
        out.last_number = number;
        let before = files.get(&number).and_then(|h| *h);
        if let Some(good) = before
            && good.file > covered
            && !numbers.contains(&good.file)
        {
            let what = format!("the file before {} is missing", file_name(number));
            out.damaged.push(damage(good.file, 0, good.len, what));
        }
        // What the next readable header says of this one; nothing when this is the last.
        let next = numbers.get(i + 1).and_then(|n| files.get(n).and_then(|h| *h));
        let end = match next {
            Some(good) if good.file == number => Some(good.len),
            // Its successor names another: nothing in here was ever acknowledged.
            Some(_) => continue,
            None => None,
        };
        if let Some(len) = scan(disk, number, before.is_none(), end, &mut out, &mut take)? {
            out.good = Good { file: number, len };
        }
    }
    if out.good.file > 0 {
        // Read back is not yet durable: make it so before the next file calls it good.
        let name = file_name(out.good.file);
        disk.sync_file(&name).map_err(LogStoreError::io("sync", &name))?;
        disk.sync_dir(wal::DIR).map_err(LogStoreError::io("sync folder", wal::DIR))?;
    }
    Ok(out)
}

/// Number and, where its header is readable, predecessor of every file.
fn load_headers(
    disk: &dyn Disk,
    covered: u64,
    out: &mut Replayed,
) -> Result<BTreeMap<u64, Option<Good>>, LogStoreError> {
    let mut files = BTreeMap::new();
    for file in disk.list(wal::DIR).map_err(LogStoreError::io("list", wal::DIR))? {
        let Some(number) = file_number(&file).filter(|&n| n > covered) else { continue };
        let name = file_name(number);
        let bytes = disk.read(&name, 0, HEADER).map_err(LogStoreError::io("read", &name))?;
        let header = match wal::read_header(&bytes) {
            Ok((version, ..)) if version > wal::VERSION => {
                let (found, supported) = (u32::from(version), u32::from(wal::VERSION));
                return Err(LogStoreError::NewerFormat { file: name, found, supported });
            }
            Ok((_, own, before)) if own == number => Ok(before),
            Ok(_) => Err(Corrupt("the header is that of another file")),
            Err(e) => Err(e),
        };
        if let Err(e) = header {
            let found = damage(number, 0, bytes.len() as u64, e.to_string());
            // A file without a header, or with a hole in its place, was being made when a crash came.
            let was_made = bytes.len() < HEADER || bytes.iter().all(|&b| b == 0);
            if was_made { out.torn.push(found) } else { out.damaged.push(found) }
        }
        files.insert(number, header.ok());
    }
    Ok(files)
}

fn damage(file: u64, offset: u64, len: u64, what: String) -> SetAside {
    SetAside { file: file_name(file), offset, len, range_ns: None, what }
}

/// Reads one file. Gives its good length, or `None` when nothing in it counts.
fn scan(
    disk: &dyn Disk,
    number: u64,
    header_damaged: bool,
    end: Option<u64>,
    out: &mut Replayed,
    take: &mut impl FnMut(&LogLine<'_>),
) -> Result<Option<u64>, LogStoreError> {
    let name = file_name(number);
    let len = disk.len(&name).map_err(LogStoreError::io("measure", &name))?;
    let wanted = usize::try_from(len.min(FILE_MAX)).unwrap_or(usize::MAX);
    let bytes = disk.read(&name, 0, wanted).map_err(LogStoreError::io("read", &name))?;
    let stop = end.map_or(bytes.len(), |e| usize::try_from(e).unwrap_or(usize::MAX).min(bytes.len()));
    let mut at = HEADER;
    let mut good = if header_damaged { 0 } else { HEADER };
    while at < stop {
        if let Some((body, next)) = wal::record_at(&bytes, number, at) {
            let notes = &mut out.notes;
            let read = batch::read_record(body, &mut *take, |key, value| note(notes, key, value));
            if let Err(e) = read {
                out.damaged.push(damage(number, at as u64, (next - at) as u64, e.to_string()));
            }
            (at, good) = (next, next);
            continue;
        }
        let next = (at + 1..stop).find(|&p| wal::record_at(&bytes, number, p).is_some());
        if next.is_none() && end.is_none() {
            let cut = damage(number, at as u64, (stop - at) as u64, "the end was torn and is cut".to_owned());
            out.torn.push(cut);
            break;
        }
        let next = next.unwrap_or(stop);
        let what = "a stretch of records is damaged".to_owned();
        out.damaged.push(damage(number, at as u64, (next - at) as u64, what));
        (at, good) = (next, next);
    }
    if let Some(missing) = end.and_then(|e| e.checked_sub(stop as u64)).filter(|&m| m > 0) {
        let what = "the end of the file is missing".to_owned();
        out.damaged.push(damage(number, stop as u64, missing, what));
    }
    Ok((good > 0).then_some(good as u64))
}

fn note(notes: &mut Notes, key: &str, value: &[u8]) {
    if value.is_empty() {
        notes.remove(key);
    } else {
        notes.insert(key.to_owned(), value.to_vec());
    }
}
