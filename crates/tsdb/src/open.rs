//! Opening a data directory: lock, format, blocks, log.
//!
//! Nothing here needs a person: what is damaged is set aside and named, half-written files are removed, the log
//! is read up to where it is good. Only a newer format, a second process or a disk that does not answer stop it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, RwLock};

use crate::block::{self, Loaded, OpenError};
use crate::block_format::parse_name;
use crate::config::StoreConfig;
use crate::disk::Disk;
use crate::error::{Quarantined, StoreError};
use crate::head::SealJob;
use crate::maintain::Upkeep;
use crate::replay::{self, Replayed};
use crate::row::{GroupDef, Prepared};
use crate::store::{Log, State, Store};
use crate::wal::{self, Wal, segment_name, segment_number};
use crate::wire::Wires;

/// Version of the data directory as a whole.
const FORMAT: u32 = 2;

const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";

/// Folder for damaged files.
pub(crate) const QUARANTINE: &str = "quarantine";

impl Store {
    /// Opens a data directory, or makes a new one.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::NewerFormat`], or a disk that does not answer.
    pub fn open(disk: Arc<dyn Disk>, config: StoreConfig) -> Result<Self, StoreError> {
        for dir in ["", wal::DIR, block::DIR, QUARANTINE] {
            disk.make_dir(dir).map_err(StoreError::io("make folder", dir))?;
        }
        let lock = disk.lock(LOCK_FILE).map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => StoreError::Locked { file: LOCK_FILE.to_owned() },
            _ => StoreError::io("lock", LOCK_FILE)(e),
        })?;
        check_format(disk.as_ref())?;
        let mut state = State::default();
        let (covers, last_block) = open_blocks(disk.as_ref(), &mut state, &config)?;
        remove_covered(disk.as_ref(), covers)?;
        let replayed = replay_into(disk.as_ref(), covers, &mut state)?;
        let wal = Wal::new(Arc::clone(&disk), replayed.good, replayed.last_number + 1, config.segment_bytes);
        let wires = Wires::new(config.series_max);
        let newest =
            [state.head.range, state.blocks.iter().map(|b| (b.header.min, b.header.max)).max_by_key(|r| r.1)];
        let newest = newest.into_iter().flatten().map(|r| r.1).max();
        let upkeep = Upkeep::new(last_block + 1, newest, state.head.range.map(|r| r.0));
        Ok(Self {
            disk,
            config,
            state: RwLock::new(state),
            wires,
            log: Mutex::new(Log { wal, durable: 0 }),
            upkeep: Mutex::new(upkeep),
            _lock: lock,
        })
    }
}

/// Refuses a newer directory. A missing or damaged file is written anew: the other files carry versions too.
fn check_format(disk: &dyn Disk) -> Result<(), StoreError> {
    let text = match disk.read(FORMAT_FILE, 0, 4096) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(StoreError::io("read", FORMAT_FILE)(e)),
    };
    match parse_format(&text) {
        Some(found) if found > FORMAT => {
            Err(StoreError::NewerFormat { file: FORMAT_FILE.to_owned(), found, supported: FORMAT })
        }
        Some(FORMAT) => Ok(()),
        // An older one is read as it is; from now on older programs could misread it.
        Some(_) | None => write_format(disk),
    }
}

fn parse_format(text: &str) -> Option<u32> {
    let (line, sum) = text.split_once('\n')?;
    let right = format!("crc32 {:08x}\n", crate::codec::crc32(&[line.as_bytes()]));
    if sum != right {
        return None;
    }
    line.strip_prefix("wellkept-tsdb ")?.parse().ok()
}

pub(crate) fn write_format(disk: &dyn Disk) -> Result<(), StoreError> {
    let line = format!("wellkept-tsdb {FORMAT}");
    let text = format!("{line}\ncrc32 {:08x}\n", crate::codec::crc32(&[line.as_bytes()]));
    let temporary = "FORMAT.tmp";
    let _ = disk.remove(temporary);
    let mut file = disk.create(temporary).map_err(StoreError::io("create", temporary))?;
    file.append(text.as_bytes()).map_err(StoreError::io("write", temporary))?;
    file.sync().map_err(StoreError::io("sync", temporary))?;
    disk.rename(temporary, FORMAT_FILE).map_err(StoreError::io("rename", temporary))?;
    disk.sync_dir("").map_err(StoreError::io("sync folder", "."))
}

/// Opens all blocks. Gives the last log segment that they cover and the largest block number seen.
fn open_blocks(disk: &dyn Disk, state: &mut State, config: &StoreConfig) -> Result<(u64, u64), StoreError> {
    let (mut covers, mut last) = (0, 0);
    let mut loaded: Vec<Loaded> = Vec::new();
    for file in disk.list(block::DIR).map_err(StoreError::io("list", block::DIR))? {
        let name = format!("{}/{file}", block::DIR);
        if let Some(number) = file.strip_suffix(".tmp") {
            last = last.max(number.parse().unwrap_or(0));
            disk.remove(&name).map_err(StoreError::io("remove", &name))?;
            continue;
        }
        let Some((number, min, max)) = parse_name(&file) else { continue };
        last = last.max(number);
        match block::load(disk, &name, number, (min, max)) {
            Ok(block) => {
                covers = covers.max(block.header.covers);
                loaded.push(block);
            }
            Err(OpenError::Refused(e)) => return Err(e),
            Err(OpenError::Damaged(damage)) => set_aside(disk, state, &name, damage),
        }
    }
    // A crash came between a merged block and the removal of those that it stands for.
    let replaced: BTreeSet<u64> = loaded.iter().flat_map(|b| b.index.replaces.iter().copied()).collect();
    let (gone, mut loaded): (Vec<Loaded>, Vec<Loaded>) =
        loaded.into_iter().partition(|b| replaced.contains(&b.header.number));
    for block in gone {
        disk.remove(&block.name).map_err(StoreError::io("remove", &block.name))?;
    }
    loaded.sort_by_key(|b| (b.header.precedence, b.header.number));
    for block in loaded {
        let block = block.register(&mut state.registry);
        if config.verify_on_open {
            for damage in block.verify()? {
                state.counters.note(damage);
            }
        }
        state.blocks.push(Arc::new(block));
    }
    Ok((covers, last))
}

/// Moves a file away from what is read. A disk that refuses changes nothing for the rest.
fn set_aside(disk: &dyn Disk, state: &mut State, name: &str, damage: Quarantined) {
    state.counters.note(damage);
    quarantine(disk, name);
}

/// Moves a file to the quarantine folder, as far as the disk lets us.
pub(crate) fn quarantine(disk: &dyn Disk, name: &str) {
    let file = name.rsplit('/').next().unwrap_or(name);
    let _ = disk.rename(name, &format!("{QUARANTINE}/{file}"));
    let _ = disk.sync_dir(QUARANTINE);
    let _ = disk.sync_dir(name.rsplit_once('/').map_or("", |p| p.0));
}

/// Removes log segments whose samples are in blocks: a crash came between the block and their removal.
fn remove_covered(disk: &dyn Disk, covers: u64) -> Result<(), StoreError> {
    for file in disk.list(wal::DIR).map_err(StoreError::io("list", wal::DIR))? {
        if let Some(number) = segment_number(&file).filter(|&n| n <= covers) {
            let name = segment_name(number);
            disk.remove(&name).map_err(StoreError::io("remove", &name))?;
        }
    }
    Ok(())
}

fn replay_into(disk: &dyn Disk, covers: u64, state: &mut State) -> Result<Replayed, StoreError> {
    let State { head, registry, .. } = state;
    let mut refused = 0_u64;
    // Group of a segment: its place in the head, and the head's slots.
    let mut known: HashMap<(u64, u64), (Arc<GroupDef>, Vec<u32>)> = HashMap::new();
    let replayed = replay::replay(disk, covers, |found| {
        let (group, slots) = known
            .entry((found.segment, found.number))
            .or_insert_with(|| (head.group_for(&found.group.target), Vec::new()));
        for labels in found.group.series.get(slots.len()..).unwrap_or_default() {
            slots.push(head.slot_for(registry, group, labels));
        }
        let same = slots.iter().zip(0..).all(|(&a, b)| a == b);
        let row = if same { found.row } else { found.row.renamed(|slot| slots.get(slot as usize).copied()) };
        let row = Prepared { group: Arc::clone(group), row: Arc::new(row) };
        // The window was checked when the batch came; only a bound on rows can refuse it now.
        match head.push(&row, i64::MAX) {
            Ok(false) => {}
            Ok(true) => {
                if let Some((job, Some(chunk))) = head.begin_seal(group.index).map(SealJob::run) {
                    head.end_seal(&job, chunk);
                }
            }
            Err(_) => refused += 1,
        }
    })?;
    debug_assert_eq!(refused, 0, "what was taken once is taken again");
    for damage in &replayed.damaged {
        state.counters.note(damage.clone());
    }
    state.counters.torn.clone_from(&replayed.torn);
    Ok(replayed)
}
