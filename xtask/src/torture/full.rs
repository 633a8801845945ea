//! No room: no space, no inodes, no larger files. The server says so, goes on serving, and takes samples again by itself.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, prlimit};

use super::disks::{self, Mount};
use super::load::Ledger;
use super::server::Server;
use super::{Rack, Verdict, read_back};
use crate::{clock, http};

/// Time within which it must take samples again.
const RESUME_MAX: Duration = Duration::from_secs(30);
/// Largest file while files may not grow.
const FILE_MAX: u64 = 16 << 10;
/// Requests that are tried while there is no room.
const TRIES: usize = 400;

/// What there is no room for.
#[derive(Debug, Clone, Copy)]
enum Shortage {
    Space,
    Inodes,
    /// No file may grow (`RLIMIT_FSIZE`).
    FileSize,
}

/// When the shortage comes.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Nothing was ever stored.
    BeforeTheFirst,
    /// Some is stored.
    Between,
    /// All was just brought to its final form.
    AfterFlush,
}

pub(super) fn run(rack: &Rack, times: usize) -> Result<Verdict> {
    let folder = rack.folder("full")?;
    if let Err(reason) = disks::possible(&folder) {
        return Ok(Verdict::skipped(reason));
    }
    let moments = [Moment::BeforeTheFirst, Moment::Between, Moment::AfterFlush];
    let shortages = [Shortage::Space, Shortage::Inodes, Shortage::FileSize];
    let cases = moments.map(|m| shortages.map(|s| (s, m))).concat();
    let mut verdict = Verdict::default();
    for (shortage, moment) in cases.into_iter().cycle().take(times) {
        let (acknowledged, broken) = once(rack, shortage, moment)?;
        let named = broken.into_iter().map(|b| format!("{shortage:?} {moment:?}: {b}"));
        verdict.add(acknowledged, named.collect());
    }
    Ok(verdict)
}

fn once(rack: &Rack, shortage: Shortage, moment: Moment) -> Result<(u64, Vec<String>)> {
    let folder = rack.folder("full")?;
    let log = folder.join("log");
    let disk = match shortage {
        Shortage::Space | Shortage::FileSize => {
            Mount::new(&["-t", "tmpfs", "-o", "size=64m"], Path::new("none"), &folder.join("disk"))?
        }
        Shortage::Inodes => {
            let image = folder.join("image");
            disks::ext4(&image, 64 << 20, &["-N", "64"])?;
            Mount::new(&["-o", "loop"], &image, &folder.join("disk"))?
        }
    };
    let data = disk.path.join("data");
    let mut server = Server::start(&rack.product, &data, &log)?;
    let mut ledger = Ledger::new();
    let never = AtomicBool::new(false);
    if !matches!(moment, Moment::BeforeTheFirst) {
        ledger.push(server.port, &never, 20);
    }
    if matches!(moment, Moment::AfterFlush) {
        http::post(server.port, "/api/v1/admin/flush", "", Duration::from_secs(20))?;
    }
    let filler = fill(&disk.path, &server, shortage)?;
    let mut broken = under_shortage(&mut ledger, &mut server);
    filler.iter().for_each(|f| {
        // Counted below: without room it would not resume.
        let _ = std::fs::remove_file(f);
    });
    // One that has ended has no limit, and is named below.
    let _ = limit_files(&server, None);
    let resumed = clock::wait_for(RESUME_MAX, Duration::from_millis(50), || {
        (200..300).contains(&ledger.push_one(server.port)).then_some(())
    });
    if resumed.is_none() {
        broken.push(format!(
            "no sample is taken {} s after there is room again{}",
            RESUME_MAX.as_secs(),
            server.last_words()
        ));
    }
    server.kill();
    let all = vec![0; ledger.clients.len()];
    let server = Server::start(&rack.product, &data, &log)?;
    broken.extend(read_back::broken(&ledger, &all, server.port));
    Ok((ledger.acknowledged(), broken))
}

/// Pushes until something is refused, and looks whether all else still answers.
fn under_shortage(ledger: &mut Ledger, server: &mut Server) -> Vec<String> {
    let mut broken = Vec::new();
    for _ in 0..TRIES {
        match ledger.push_one(server.port) {
            200..=299 => {}
            0 => {
                broken.push(format!("a push got no answer{}", server.last_words()));
                break;
            }
            503 | 507 | 429 => break,
            other => {
                broken
                    .push(format!("a push was answered with {other}, which tells clients not to come again"));
                break;
            }
        }
    }
    if server.ended() {
        broken.push(format!("it ended{}", server.last_words()));
    }
    for path in ["/-/healthy", "/", "/api/v1/query?query=torture", "/api/v1/overview", "/metrics"] {
        match http::get(server.port, path, Duration::from_secs(10)) {
            Ok((200, _)) => {}
            Ok((status, _)) => broken.push(format!("{path} was answered with {status}")),
            Err(error) => broken.push(format!("{path}: {error:#}")),
        }
    }
    broken
}

/// Lets no file of the server grow beyond so many bytes, or all as they like.
fn limit_files(server: &Server, bytes: Option<u64>) -> Result<()> {
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Some(server.pid()), Resource::Fsize, limit).context("failed to limit the size of files")?;
    Ok(())
}

/// Takes all that is left; the files that hold it.
fn fill(disk: &Path, server: &Server, shortage: Shortage) -> Result<Vec<PathBuf>> {
    match shortage {
        Shortage::FileSize => {
            limit_files(server, Some(FILE_MAX))?;
            Ok(Vec::new())
        }
        Shortage::Space => {
            let path = disk.join("filler");
            let mut file = File::create(&path).context("failed to create the filler")?;
            for chunk in [1 << 20, 4096, 1] {
                while file.write_all(&vec![b'x'; chunk]).is_ok() {}
            }
            Ok(vec![path])
        }
        Shortage::Inodes => {
            let paths = (0..100).map(|i| disk.join(format!("filler{i}")));
            Ok(paths.take_while(|p| File::create(p).is_ok()).collect())
        }
    }
}
