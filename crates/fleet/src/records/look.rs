//! Reading of records: first lines for a list, all of one for a look at it. Every length is bounded, and what cannot be
//! read is named and hides no other record.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;

use super::{FORMAT, Head, HostRecord, Record, Records};

/// The largest file that is read, bytes.
const RECORD_MAX: u64 = 256 << 20;
/// The longest first line, bytes: names of hosts with a word each.
const HEAD_MAX: u64 = 4 << 20;
/// The largest record of the first format that a list reads, bytes: it has to be read as a whole.
const OLD_MAX: u64 = 4 << 20;
/// The longest line of a host, bytes.
const HOST_MAX: u64 = 2 << 20;

/// Which runs are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only with a host whose name holds this.
    pub host: Option<String>,
    /// Only those before this one.
    pub before: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Some runs, newest first.
#[derive(Debug, Default)]
pub struct Listed {
    /// By id. Records that cannot be read are there, whatever is wanted of them.
    pub runs: Vec<(String, Result<Head, Unreadable>)>,
    /// There are more, before this one.
    pub more_before: Option<String>,
}

/// All of a run, as far as bounds allow.
#[derive(Debug)]
pub struct Whole {
    /// What is known of the whole.
    pub head: Head,
    /// Hosts; true where outputs are left out for the sake of the bound.
    pub hosts: Vec<(HostRecord, bool)>,
    /// Lines of hosts that cannot be read.
    pub damaged: usize,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The disk.
    #[error("it cannot be read: {0}")]
    Disk(#[from] io::Error),
    /// It is no record.
    #[error("it is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// It is another version's.
    #[error("it has format {0}; use a newer wellkept")]
    Format(u32),
    /// It is too large.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
}

/// Whether a text can be the id of a run: digits, a dash, digits.
pub fn is_id(text: &str) -> bool {
    let digits = |part: &str| (1..=20).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('-').is_some_and(|(at, process)| digits(at) && digits(process))
}

/// The id in a file's name.
pub(super) fn id_of(name: &str) -> Option<&str> {
    name.strip_suffix(".jsonl").or_else(|| name.strip_suffix(".json"))
}

impl Records {
    /// The newest run of a kind; damaged records are passed over.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn last(&self, kind: &str) -> io::Result<Option<Head>> {
        let newest = self.names()?.into_iter().rev();
        Ok(newest.filter_map(|name| self.head(&name).ok()).find(|head| head.kind == kind))
    }

    /// Runs that are wanted, newest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self, wanted: &Wanted) -> io::Result<Listed> {
        let mut listed = Listed::default();
        for name in self.names()?.iter().rev() {
            let id = id_of(name).unwrap_or_default();
            if wanted.before.as_deref().is_some_and(|before| id >= before) {
                continue;
            }
            let head = match self.head(name) {
                // It was the oldest and went meanwhile.
                Err(Unreadable::Disk(e)) if e.kind() == io::ErrorKind::NotFound => continue,
                Ok(head) if !wanted.fits(&head) => continue,
                head => head,
            };
            if listed.runs.len() >= wanted.limit {
                listed.more_before = listed.runs.last().map(|(id, _)| id.clone());
                break;
            }
            listed.runs.push((id.to_owned(), head));
        }
        Ok(listed)
    }

    /// All of a run; of one host, when one is named. Outputs are told up to so many bytes together, then left out.
    /// `None` when there is no such run.
    ///
    /// # Errors
    /// What is wrong with the record.
    pub fn read(
        &self,
        id: &str,
        host: Option<&str>,
        outputs_max: usize,
    ) -> Result<Option<Whole>, Unreadable> {
        if !is_id(id) {
            return Ok(None);
        }
        let named = ["jsonl", "json"].map(|end| format!("{id}.{end}"));
        let Some(name) = named.iter().find(|name| self.folder.join(name).exists()) else { return Ok(None) };
        let mut whole = self.whole(name, host)?;
        let mut left = outputs_max;
        for (host, is_left_out) in &mut whole.hosts {
            let size = host.stdout.len() + host.stderr.len();
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => {
                    (host.stdout, host.stderr) = (String::new(), String::new());
                    *is_left_out = true;
                }
            }
        }
        Ok(Some(whole))
    }

    fn whole(&self, name: &str, host: Option<&str>) -> Result<Whole, Unreadable> {
        let is_wanted = |one: &HostRecord| host.is_none_or(|host| one.host == host);
        if name.ends_with(".json") {
            let old = self.old(name, RECORD_MAX)?;
            let hosts = old.hosts.into_iter().filter(is_wanted).map(|host| (host, false)).collect();
            return Ok(Whole { head: old.head, hosts, damaged: 0 });
        }
        let mut file = BufReader::new(self.open(name, RECORD_MAX)?);
        let mut whole = Whole { head: head_of(&mut file)?, hosts: Vec::new(), damaged: 0 };
        while let Some(line) = line_of(&mut file, HOST_MAX)? {
            match serde_json::from_slice::<HostRecord>(&line) {
                Ok(host) if is_wanted(&host) => whole.hosts.push((host, false)),
                Ok(_) => {}
                Err(_) => whole.damaged += 1,
            }
        }
        Ok(whole)
    }

    pub(super) fn head(&self, name: &str) -> Result<Head, Unreadable> {
        if name.ends_with(".json") {
            return Ok(self.old(name, OLD_MAX)?.head);
        }
        head_of(&mut BufReader::new(self.open(name, u64::MAX)?))
    }

    /// A record of the first format.
    fn old(&self, name: &str, max: u64) -> Result<Record, Unreadable> {
        let mut record: Record = serde_json::from_reader(BufReader::new(self.open(name, max)?))?;
        if record.head.format != 1 {
            return Err(Unreadable::Format(record.head.format));
        }
        record.head.hosts = record.hosts.iter().map(|h| (h.host.clone(), h.status.clone())).collect();
        Ok(record)
    }

    /// A link or a pipe in the folder is none of ours.
    fn open(&self, name: &str, max: u64) -> Result<File, Unreadable> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = flags.bits().cast_signed();
        let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(self.folder.join(name))?;
        if file.metadata()?.len() > max {
            return Err(Unreadable::TooLarge(max));
        }
        Ok(file)
    }
}

impl Wanted {
    fn fits(&self, head: &Head) -> bool {
        let named = |part: &String| head.hosts.iter().any(|(host, _)| host.contains(part.as_str()));
        self.kind.as_ref().is_none_or(|kind| *kind == head.kind) && self.host.as_ref().is_none_or(named)
    }
}

fn head_of(file: &mut impl BufRead) -> Result<Head, Unreadable> {
    let line = line_of(file, HEAD_MAX)?.unwrap_or_default();
    let head: Head = serde_json::from_slice(&line)?;
    match head.format {
        FORMAT => Ok(head),
        other => Err(Unreadable::Format(other)),
    }
}

/// The next line with its end; `None` at the end of the file.
fn line_of(file: &mut impl BufRead, max: u64) -> Result<Option<Vec<u8>>, Unreadable> {
    let mut line = Vec::new();
    file.by_ref().take(max).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() as u64 == max => Err(Unreadable::TooLarge(max)),
        Some(_) => Ok(Some(line)),
    }
}
