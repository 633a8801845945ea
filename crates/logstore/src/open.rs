//! Opening a data directory: lock, format, segments, log.
//!
//! Nothing here needs a person: what is damaged is set aside and named, half-written files are removed, the log is
//! read up to where it is good. Only a newer format, a second process or a disk that does not answer stop it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, RwLock};

use wellkept_model::TemplateMiner;

use crate::cache::Cache;
use crate::codec::crc32;
use crate::disk::Disk;
use crate::error::{LogStoreError, SetAside};
use crate::maintain::Upkeep;
use crate::replay::{self, Replayed};
use crate::segment::{self, ReadError, Segment, parse_name};
use crate::store::{Log, LogStore, LogStoreConfig, State, split_line};
use crate::tail::Tails;
use crate::wal::{self, Wal, file_name, file_number};

/// Version of the data directory as a whole.
const FORMAT: u32 = 1;

const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";

/// Folder for damaged files.
const QUARANTINE: &str = "quarantine";

impl LogStore {
    /// Opens a data directory, or makes a new one. `miner` splits the lines to come, and those that are in no segment
    /// yet.
    ///
    /// # Errors
    /// [`LogStoreError::Locked`], [`LogStoreError::NewerFormat`], or a disk that does not answer.
    pub fn open(
        disk: Arc<dyn Disk>,
        config: LogStoreConfig,
        mut miner: Box<dyn TemplateMiner + Send>,
    ) -> Result<Self, LogStoreError> {
        for dir in ["", wal::DIR, segment::DIR, QUARANTINE] {
            disk.make_dir(dir).map_err(LogStoreError::io("make folder", dir))?;
        }
        let lock = disk.lock(LOCK_FILE).map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => LogStoreError::Locked { file: LOCK_FILE.to_owned() },
            _ => LogStoreError::io("lock", LOCK_FILE)(e),
        })?;
        check_format(disk.as_ref())?;
        let mut state = State::default();
        let (covers, last_segment) = open_segments(disk.as_ref(), &mut state)?;
        remove_covered(disk.as_ref(), covers)?;
        let replayed = replay_into(disk.as_ref(), covers, &mut state, miner.as_mut())?;
        let wal = Wal::new(Arc::clone(&disk), replayed.good, replayed.last_number + 1, replayed.notes);
        let last_made = state.segments.iter().map(|s| s.header.made).max();
        Ok(Self {
            disk,
            state: RwLock::new(state),
            miner: Mutex::new(miner),
            log: Mutex::new(Log { wal, durable: 0 }),
            upkeep: Mutex::new(Upkeep::new(last_segment + 1, last_made)),
            cache: Cache::new(config.cache_bytes),
            tails: Tails::default(),
            config,
            _lock: lock,
        })
    }
}

/// Refuses a newer directory. A missing or damaged file is written anew: the other files carry versions too.
fn check_format(disk: &dyn Disk) -> Result<(), LogStoreError> {
    let text = match disk.read(FORMAT_FILE, 0, 4096) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(LogStoreError::io("read", FORMAT_FILE)(e)),
    };
    match parse_format(&text) {
        Some(found) if found > FORMAT => {
            Err(LogStoreError::NewerFormat { file: FORMAT_FILE.to_owned(), found, supported: FORMAT })
        }
        Some(FORMAT) => Ok(()),
        Some(_) | None => write_format(disk),
    }
}

fn parse_format(text: &str) -> Option<u32> {
    let (line, sum) = text.split_once('\n')?;
    if sum != format!("crc32 {:08x}\n", crc32(&[line.as_bytes()])) {
        return None;
    }
    line.strip_prefix("wellkept-logstore ")?.parse().ok()
}

fn write_format(disk: &dyn Disk) -> Result<(), LogStoreError> {
    let line = format!("wellkept-logstore {FORMAT}");
    let text = format!("{line}\ncrc32 {:08x}\n", crc32(&[line.as_bytes()]));
    let temporary = "FORMAT.tmp";
    let _ = disk.remove(temporary);
    let mut file = disk.create(temporary).map_err(LogStoreError::io("create", temporary))?;
    file.append(text.as_bytes()).map_err(LogStoreError::io("write", temporary))?;
    file.sync().map_err(LogStoreError::io("sync", temporary))?;
    disk.rename(temporary, FORMAT_FILE).map_err(LogStoreError::io("rename", temporary))?;
    disk.sync_dir("").map_err(LogStoreError::io("sync folder", "."))
}

/// Opens all segments. Gives the last file of the log that they cover and the largest segment number seen.
fn open_segments(disk: &dyn Disk, state: &mut State) -> Result<(u64, u64), LogStoreError> {
    let (mut covers, mut last) = (0, 0);
    let mut opened: Vec<Segment> = Vec::new();
    for file in disk.list(segment::DIR).map_err(LogStoreError::io("list", segment::DIR))? {
        let name = format!("{}/{file}", segment::DIR);
        if let Some(number) = file.strip_suffix(".tmp") {
            last = last.max(number.parse().unwrap_or(0));
            disk.remove(&name).map_err(LogStoreError::io("remove", &name))?;
            continue;
        }
        let Some((number, min, max)) = parse_name(&file) else { continue };
        last = last.max(number);
        match Segment::open(disk, &name, number) {
            Ok(segment) => {
                covers = covers.max(segment.header.covers);
                opened.push(segment);
            }
            Err(ReadError::Newer(found)) => {
                let (found, supported) = (u32::from(found), u32::from(segment::VERSION));
                return Err(LogStoreError::NewerFormat { file: name, found, supported });
            }
            Err(ReadError::Io(e)) => return Err(LogStoreError::io("read", &name)(e)),
            Err(ReadError::Damaged(e)) => {
                let len = disk.len(&name).unwrap_or(0);
                let range_ns = Some((min, max));
                state.counters.note(SetAside {
                    file: name.clone(),
                    offset: 0,
                    len,
                    range_ns,
                    what: e.to_string(),
                });
                quarantine(disk, &name);
            }
        }
    }
    // A crash came between a segment and the removal of the one that it stands for.
    let replaced: BTreeSet<u64> = opened.iter().map(|s| s.header.replaces).collect();
    for segment in opened {
        if replaced.contains(&segment.header.number) {
            disk.remove(&segment.name).map_err(LogStoreError::io("remove", &segment.name))?;
        } else {
            state.segments.push(Arc::new(segment));
        }
    }
    state.segments.sort_by_key(|s| s.header.number);
    Ok((covers, last))
}

/// Moves a file to the quarantine folder, as far as the disk lets us.
pub(crate) fn quarantine(disk: &dyn Disk, name: &str) {
    let file = name.rsplit('/').next().unwrap_or(name);
    let _ = disk.rename(name, &format!("{QUARANTINE}/{file}"));
    let _ = disk.sync_dir(QUARANTINE);
    let _ = disk.sync_dir(name.rsplit_once('/').map_or("", |p| p.0));
}

/// Removes files of the log whose lines are in segments: a crash came between the segment and their removal.
fn remove_covered(disk: &dyn Disk, covers: u64) -> Result<(), LogStoreError> {
    for file in disk.list(wal::DIR).map_err(LogStoreError::io("list", wal::DIR))? {
        if let Some(number) = file_number(&file).filter(|&n| n <= covers) {
            let name = file_name(number);
            disk.remove(&name).map_err(LogStoreError::io("remove", &name))?;
        }
    }
    Ok(())
}

fn replay_into(
    disk: &dyn Disk,
    covers: u64,
    state: &mut State,
    miner: &mut (dyn TemplateMiner + Send),
) -> Result<Replayed, LogStoreError> {
    let State { head, counters, .. } = state;
    let mut params = Vec::new();
    let mut replayed = replay::replay(disk, covers, |line| {
        let (shape, is_right) = split_line(miner, line.text, &mut params);
        counters.unsplit += u64::from(!is_right);
        head.push(line, &shape, &params);
    })?;
    for damage in &replayed.damaged {
        counters.note(damage.clone());
    }
    counters.torn = std::mem::take(&mut replayed.torn);
    Ok(replayed)
}
