//! Ad hoc work on one host: a command, a file there, a file back, a script. What came of it is one row.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use wellkept_playbook::run::Outcome;
use wellkept_ssh::{Become, Bounds, Command, CommandLine, End, Input, Piece, Placing, Ran};

use crate::error::chain;
use crate::expect::{Dialogue, Held};
use crate::hand::Hand;
use crate::helper::protocol::Order;
use crate::play::Hands;
use crate::pool::Pool;
use crate::reach::Reach;

/// The largest file that goes through a command's input or output, as it must for another user.
const BY_COMMAND_MAX: usize = 64 * 1024 * 1024;

/// A host, with rights.
#[derive(Clone)]
pub struct Place {
    /// How it is reached.
    pub reach: Reach,
    /// As whom the work is done.
    pub who: Option<Become>,
}

/// What is done.
#[derive(Clone)]
pub enum Deed {
    /// A command.
    Command(Command),
    /// A file of ours goes there.
    Copy {
        /// Ours.
        source: PathBuf,
        /// Theirs; a folder when it ends with `/`.
        to: String,
        /// Permission bits.
        mode: Option<u32>,
        /// It is read back and compared.
        verify: bool,
    },
    /// A file of theirs comes here, below `into/HOST/`.
    Fetch {
        /// Theirs.
        path: String,
        /// Our folder.
        into: PathBuf,
        /// The most bytes.
        max_bytes: u64,
    },
    /// A program of ours is run there.
    Script {
        /// Its bytes.
        program: Bytes,
        /// Its arguments.
        args: Vec<String>,
        /// Bounds.
        bounds: Bounds,
    },
    /// Prompts are answered by a script.
    Expect(Dialogue),
    /// A module is run by the helper; its result is told as JSON.
    Module(Asking),
}

/// A module that the helper is to run.
#[derive(Clone)]
pub struct Asking {
    /// Starts helpers.
    pub hands: Arc<Hands>,
    /// The module.
    pub order: Box<Order>,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It ran and succeeded.
    Ok,
    /// It ran and failed, or is known not to have run.
    Failed,
    /// There was no connection; nothing ran.
    Unreached,
    /// Nobody knows whether it ran to its end.
    Unknown,
    /// It was not its turn any more; nothing ran.
    NotBegun,
}

impl Status {
    /// The word in tables, JSON and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Unreached => "unreachable",
            Self::Unknown => "unknown",
            Self::NotBegun => "not_begun",
        }
    }
}

/// What became of one host.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name in the inventory.
    pub host: String,
    /// How it went.
    pub status: Status,
    /// The exit status, when a command ended by itself.
    pub exit: Option<u32>,
    /// Why it did not succeed, or what was done with a file; the host's words are in it: escape them.
    pub note: Option<String>,
    /// Standard output, bounded.
    pub stdout: Vec<u8>,
    /// Standard error, bounded.
    pub stderr: Vec<u8>,
    /// Bytes of output that were not kept.
    pub dropped: u64,
    /// From connecting to the end.
    pub took: Duration,
}

impl Row {
    /// A host without output.
    pub fn bare(host: &str, status: Status, note: Option<String>) -> Self {
        Self {
            host: host.to_owned(),
            status,
            exit: None,
            note,
            stdout: Vec::new(),
            stderr: Vec::new(),
            dropped: 0,
            took: Duration::ZERO,
        }
    }

    fn of(host: &str, ran: Ran) -> Self {
        let (status, exit, note) = match &ran.end {
            End::Exited { status: 0 } => (Status::Ok, Some(0), None),
            End::Exited { status } => (Status::Failed, Some(*status), None),
            End::Signalled { signal, .. } => (Status::Failed, None, Some(format!("signal {signal}"))),
            End::NotRun(why) => (Status::Failed, None, Some(why.to_string())),
            End::Unknown(doubt) => (Status::Unknown, None, Some(doubt.to_string())),
        };
        let dropped = ran.stdout.dropped + ran.stderr.dropped;
        Self {
            exit,
            dropped,
            stdout: ran.stdout.bytes,
            stderr: ran.stderr.bytes,
            ..Self::bare(host, status, note)
        }
    }
}

/// The exit code of rows: 0 when all succeeded, 4 when a host could not be reached, 3 when an end is unknown, else 2.
pub fn exit_code(rows: &[Row]) -> u8 {
    let any = |status| rows.iter().any(|row| row.status == status);
    match () {
        () if rows.iter().all(|row| row.status == Status::Ok) => 0,
        () if any(Status::Unreached) => 4,
        () if any(Status::Unknown) => 3,
        () => 2,
    }
}

/// Connects and does it.
pub async fn perform(
    pool: &Arc<Pool>,
    place: &Place,
    deed: &Deed,
    live: &mut (dyn FnMut(&Piece) + Send),
) -> Row {
    let begun = Instant::now();
    let host = place.reach.name.as_str();
    if let Deed::Module(asking) = deed {
        let outcome =
            asking.hands.module(&place.reach, place.who.as_ref(), &asking.order, &Arc::default()).await;
        return Row { took: begun.elapsed(), ..of_outcome(host, outcome) };
    }
    let hand = if place.reach.local {
        Hand::Here
    } else {
        match pool.connection(&place.reach).await {
            Ok(connection) => Hand::There(connection),
            Err(error) => {
                let row = Row::bare(host, Status::Unreached, Some(chain(&error)));
                return Row { took: begun.elapsed(), ..row };
            }
        }
    };
    let who = place.who.as_ref();
    let row = match deed {
        Deed::Command(command) => Row::of(host, hand.exec(who, command, live).await),
        Deed::Script { program, args, bounds } => match script(program, args, *bounds) {
            Ok(command) => Row::of(host, hand.exec(who, &command, live).await),
            Err(why) => Row::bare(host, Status::Failed, Some(why)),
        },
        Deed::Expect(dialogue) => match &hand {
            Hand::There(connection) => of_dialogue(host, dialogue.hold(connection).await),
            Hand::Here => {
                Row::bare(host, Status::Failed, Some("prompts are answered over SSH only".to_owned()))
            }
        },
        Deed::Module(_) => Row::bare(host, Status::NotBegun, None),
        Deed::Copy { source, to, mode, verify } => {
            told(host, copy(&hand, who, source, to, *mode, *verify).await)
        }
        Deed::Fetch { path, into, max_bytes } => {
            told(host, fetch(&hand, who, host, path, into, *max_bytes).await)
        }
    };
    Row { took: begun.elapsed(), ..row }
}

fn of_dialogue(host: &str, held: Held) -> Row {
    let mut row = match held.end {
        Some(end) => {
            let mut ran = crate::hand::ended(end);
            ran.stdout.bytes = held.heard;
            Row::of(host, ran)
        }
        None => Row { stdout: held.heard, ..Row::bare(host, Status::Ok, None) },
    };
    if let Some(why) = held.failure {
        row.status = Status::Failed;
        row.note = Some(why);
    }
    row
}

fn of_outcome(host: &str, outcome: Outcome) -> Row {
    let result = match outcome {
        Outcome::Unreachable(why) => return Row::bare(host, Status::Unreached, Some(why)),
        Outcome::Unknown(why) => return Row::bare(host, Status::Unknown, Some(why)),
        Outcome::Done(result) => crate::values::to_json(&result),
    };
    let failed = result.get("failed").is_some_and(|failed| failed == true);
    let note = result.get("msg").and_then(|msg| msg.as_str()).filter(|_| failed).map(str::to_owned);
    let status = if failed { Status::Failed } else { Status::Ok };
    Row { stdout: result.to_string().into_bytes(), ..Row::bare(host, status, note) }
}

fn told(host: &str, done: Result<String, Row>) -> Row {
    match done {
        Ok(note) => Row::bare(host, Status::Ok, Some(note)),
        Err(row) => Row { host: host.to_owned(), ..row },
    }
}

fn failure(why: impl Into<String>) -> Row {
    Row::bare("", Status::Failed, Some(why.into()))
}

/// The program goes in by standard input, into a folder of its own that is gone afterwards.
fn script(program: &Bytes, args: &[String], bounds: Bounds) -> Result<Command, String> {
    let text = r#"d=$(umask 077; mktemp -d) && cat >"$d/script" && chmod 700 "$d/script" || exit 125
"$d/script" "$@" </dev/null; s=$?; rm -rf "$d"; exit $s"#;
    let words =
        [&["/bin/sh", "-c", text, "script"][..], &args.iter().map(String::as_str).collect::<Vec<_>>()]
            .concat();
    let line = CommandLine::argv(&words).map_err(|e| e.to_string())?;
    Ok(Command { input: Input::Bytes(program.clone()), bounds, ..Command::new(line) })
}

async fn copy(
    hand: &Hand,
    who: Option<&Become>,
    source: &Path,
    to: &str,
    mode: Option<u32>,
    verify: bool,
) -> Result<String, Row> {
    let to = if to.ends_with('/') {
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        format!("{to}{name}")
    } else {
        to.to_owned()
    };
    let ours = |e: std::io::Error| failure(format!("{}: {e}", source.display()));
    if let (Hand::There(connection), None) = (hand, who) {
        let mut file = tokio::fs::File::open(source).await.map_err(ours)?;
        let sftp = connection.sftp().await.map_err(|e| failure(chain(&e)))?;
        let placing = Placing { mode, read_back: verify, ..Placing::default() };
        let sent = sftp.upload(&mut file, &to, &placing).await.map_err(|error| transfer_row(&error))?;
        return Ok(format!("{} bytes, sha256 {}", sent.bytes, sent.sha256));
    }
    let bytes = tokio::fs::read(source).await.map_err(ours)?;
    put(hand, who, Bytes::from(bytes), &to, mode).await
}

fn transfer_row(error: &wellkept_ssh::TransferError) -> Row {
    let unknown = error.destination() == wellkept_ssh::Destination::Unknown;
    Row::bare("", if unknown { Status::Unknown } else { Status::Failed }, Some(chain(error)))
}

/// Bytes become a file, by a command that reads them, and by one rename.
pub(crate) async fn put(
    hand: &Hand,
    who: Option<&Become>,
    bytes: Bytes,
    to: &str,
    mode: Option<u32>,
) -> Result<String, Row> {
    if bytes.len() > BY_COMMAND_MAX {
        return Err(failure(format!("more than {} MiB cannot go in as another user", BY_COMMAND_MAX >> 20)));
    }
    let text = r#"d=$1; case $d in -*) d=./$d;; esac
test ! -d "$d" || { echo "$d is a folder" >&2; exit 1; }
t=$d.wellkept.$$; trap 'rm -f "$t"' EXIT
if test -n "$2"; then m=$2; elif test -e "$d"; then m=$(stat -c %a "$d"); else m=644; fi
(umask 077; cat >"$t") && chmod "$m" "$t" && mv -f "$t" "$d""#;
    let mode = mode.map(|mode| format!("{mode:o}")).unwrap_or_default();
    let line =
        CommandLine::argv(&["/bin/sh", "-c", text, "sh", to, &mode]).map_err(|e| failure(e.to_string()))?;
    let length = bytes.len();
    let command = Command { input: Input::Bytes(bytes), ..Command::new(line) };
    let row = Row::of("", hand.exec(who, &command, &mut |_| {}).await);
    if row.status == Status::Ok { Ok(format!("{length} bytes")) } else { Err(row) }
}

/// Where a file of a host goes here: below its own folder, whatever its path holds.
fn here(into: &Path, host: &str, path: &str) -> PathBuf {
    let mut to = into.join(host.replace('/', "_"));
    to.extend(Path::new(path).components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    }));
    to
}

async fn fetch(
    hand: &Hand,
    who: Option<&Become>,
    host: &str,
    path: &str,
    into: &Path,
    max: u64,
) -> Result<String, Row> {
    let to = here(into, host, path);
    let ours = |e: std::io::Error| failure(format!("{}: {e}", to.display()));
    if let Some(folder) = to.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(ours)?;
    }
    // It appears under its name when it is whole.
    let part = PathBuf::from(format!("{}.part", to.display()));
    let got = match (hand, who) {
        (Hand::There(connection), None) => {
            let sftp = connection.sftp().await.map_err(|e| failure(chain(&e)))?;
            let mut file = tokio::fs::File::create(&part).await.map_err(ours)?;
            let got = sftp.download(path, &mut file, max).await;
            got.map(|got| got.bytes).map_err(|error| transfer_row(&error))
        }
        _ => match slurp(hand, who, path, max).await {
            Ok(bytes) => {
                let mut file = tokio::fs::File::create(&part).await.map_err(ours)?;
                let written = file.write_all(&bytes).await;
                written.and(file.flush().await).map(|()| bytes.len() as u64).map_err(ours)
            }
            Err(row) => Err(row),
        },
    };
    match got {
        Ok(bytes) => {
            tokio::fs::rename(&part, &to).await.map_err(ours)?;
            Ok(format!("{bytes} bytes in {}", to.display()))
        }
        Err(row) => {
            // What was begun is of no use; that it stays behind would harm nobody.
            let _ = tokio::fs::remove_file(&part).await;
            Err(row)
        }
    }
}

/// A file's bytes, by a command.
pub(crate) async fn slurp(hand: &Hand, who: Option<&Become>, path: &str, max: u64) -> Result<Vec<u8>, Row> {
    let max = max.min(BY_COMMAND_MAX as u64);
    let line = CommandLine::argv(&["cat", "--", path]).map_err(|e| failure(e.to_string()))?;
    let bounds = Bounds { kept_bytes: max as usize, total_bytes: max, ..Bounds::default() };
    let mut ran = hand.exec(who, &Command { bounds, ..Command::new(line) }, &mut |_| {}).await;
    let bytes = std::mem::take(&mut ran.stdout.bytes);
    let row = Row::of("", ran);
    if row.status == Status::Ok { Ok(bytes) } else { Err(row) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetched_files_stay_below_their_hosts_folder() {
        let at = |host: &str, path: &str| here(Path::new("/out"), host, path).display().to_string();
        assert_eq!(at("h1", "/etc/passwd"), "/out/h1/etc/passwd");
        assert_eq!(at("../h", "../../x/../y"), "/out/.._h/x/y");
    }

    #[test]
    fn the_exit_code_says_the_worst() {
        let row = |status| Row::bare("h", status, None);
        assert_eq!(exit_code(&[row(Status::Ok)]), 0);
        assert_eq!(exit_code(&[row(Status::Ok), row(Status::Failed)]), 2);
        assert_eq!(exit_code(&[row(Status::Unknown), row(Status::Failed)]), 3);
        assert_eq!(exit_code(&[row(Status::Unknown), row(Status::Unreached)]), 4);
    }
}
