//! Brings the helper to where it is to run, and starts it.
//!
//! It lies in a folder that only its user may enter, under a name that holds its hash; each start compares the hash
//! anew. All of that is done as the user that the helper is to run as, so that rights never have to be passed on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use wellkept_ssh::{Become, Bounds, Command, CommandLine, Connection, End, Input, NotRun, Ran};

use super::client::Helper;
use super::stamps::{self, STAT, Stamps};
use crate::entrance::{Entered, enter};

/// How long a helper may take to answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long sending may take.
const SENDING: Duration = Duration::from_secs(900);
/// What the script says when the binary is not for this machine.
const OTHER_MACHINE: u32 = 97;
/// What it says when the binary is not there yet.
const ABSENT: u32 = 98;

/// Folders that are tried, as the shell writes them.
const FOLDERS: &str =
    r#""${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/wellkept" "/var/tmp/wellkept-$(id -u)""#;

/// Our binary.
#[derive(Debug, Clone)]
pub struct Binary {
    /// Where it is here.
    pub path: PathBuf,
    hash: String,
    machine: String,
}

/// There is no helper there.
#[derive(Debug)]
pub enum NoHelper {
    /// It cannot run there; plain commands may do.
    Unfit(String),
    /// We could not become the other user: nothing else will do either.
    NotBecome(String),
    /// The connection is gone; nothing has run.
    Lost(String),
}

impl Binary {
    /// Hashes our binary as it is, or takes the hash that it had when it looked the same.
    ///
    /// # Errors
    /// The disk.
    pub fn read(path: &Path, stamps: &Stamps) -> std::io::Result<Self> {
        let name = format!("here {}", path.display());
        let stamp = stamps::of(&std::fs::metadata(path)?);
        let known =
            stamps.get(&name).and_then(|known| known.strip_prefix(&format!("{stamp} ")).map(str::to_owned));
        let hash = match known {
            Some(hash) => hash,
            None => {
                let hash = hex(&std::fs::read(path)?);
                stamps.put(&name, &format!("{stamp} {hash}"));
                hash
            }
        };
        let machine = rustix::system::uname();
        let word = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let machine = format!("{} {}", word(machine.sysname()), word(machine.machine()));
        Ok(Self { path: path.to_owned(), hash, machine })
    }

    /// What is sent: it must still be what was hashed.
    fn bytes(&self) -> Result<Bytes, NoHelper> {
        let said = |why: String| NoHelper::Unfit(format!("our own program cannot be read: {why}"));
        let bytes = std::fs::read(&self.path).map_err(|e| said(e.to_string()))?;
        if hex(&bytes) != self.hash {
            return Err(said("it has changed while it ran".to_owned()));
        }
        Ok(Bytes::from(bytes))
    }

    /// Starts what is there already.
    ///
    /// `stamp`: what its file looked like when the hash was compared last; empty when that is not known.
    fn start_line(&self, stamp: &str) -> Result<CommandLine, NoHelper> {
        let script = format!(
            r#"test "$(uname -sm)" = "$2" || exit {OTHER_MACHINE}
for d in {FOLDERS}; do p=$d/helper-$1
if test -O "$d" && test -f "$p" && test ! -L "$p"; then
if test -n "$3" && test "$(stat -c '{STAT}' "$p" 2>/dev/null)" = "$3" ||
test "$(sha256sum <"$p" | cut -c1-64)" = "$1"; then exec "$p" helper; fi
fi; done; exit {ABSENT}"#
        );
        line(&script, &[&self.hash, &self.machine, stamp])
    }

    /// Takes the binary from standard input into the first folder in which programs may be run.
    fn store_line(&self) -> Result<CommandLine, NoHelper> {
        let script = format!(
            r#"umask 077
for d in {FOLDERS}; do
mkdir -p "$d" 2>/dev/null && test ! -L "$d" && test -O "$d" && chmod 700 "$d" || continue
t=$d/.part-$$; printf '#!/bin/sh\nexit 0\n' >"$t" && chmod 700 "$t" && "$t" 2>/dev/null || {{ rm -f "$t"; continue; }}
cat >"$t" && test "$(sha256sum <"$t" | cut -c1-64)" = "$1" && mv -f "$t" "$d/helper-$1" && {{
find "$d" -name 'helper-*' -mtime +30 -exec rm -f {{}} + 2>/dev/null; exit 0; }}
rm -f "$t"; echo "the helper did not arrive as it was sent" >&2; exit 96
done; echo "no folder in which programs may be run" >&2; exit 95"#
        );
        line(&script, &[&self.hash])
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(script: &str, args: &[&str]) -> Result<CommandLine, NoHelper> {
    let words = [&["/bin/sh", "-c", script, "sh"][..], args].concat();
    CommandLine::argv(&words).map_err(|e| NoHelper::Unfit(e.to_string()))
}

/// Starts the helper over a connection; sends it before when it is not there. `place` names the host and the user.
///
/// # Errors
/// [`NoHelper`].
pub async fn start_there(
    connection: &Connection,
    who: Option<&Become>,
    binary: &Binary,
    stamps: &Arc<Stamps>,
    place: &str,
) -> Result<Helper, NoHelper> {
    let name = format!("{place} {}", binary.hash);
    match start(connection, who, binary, stamps, &name).await? {
        Ok(helper) => return Ok(helper),
        Err(ABSENT) => {}
        Err(OTHER_MACHINE) => return Err(NoHelper::Unfit("another processor or system".to_owned())),
        Err(other) => return Err(NoHelper::Unfit(format!("it ends with status {other}"))),
    }
    let own = binary.clone();
    let bytes = tokio::task::spawn_blocking(move || own.bytes()).await;
    let command = Command {
        input: Input::Bytes(bytes.map_err(|e| NoHelper::Unfit(e.to_string()))??),
        bounds: Bounds { time: SENDING, ..Bounds::default() },
        ..Command::new(binary.store_line()?)
    };
    let ran = match who {
        None => connection.exec(&command).await,
        Some(who) => connection.exec_as(who, &command, &mut |_| {}).await,
    };
    if !ran.end.success() {
        return Err(of_end(&ran));
    }
    match start(connection, who, binary, stamps, &name).await? {
        Ok(helper) => Ok(helper),
        Err(status) => Err(NoHelper::Unfit(format!("it ends with status {status}"))),
    }
}

fn of_end(ran: &Ran) -> NoHelper {
    match &ran.end {
        End::NotRun(NotRun::NotBecome(why)) => NoHelper::NotBecome(why.clone()),
        End::NotRun(why) => NoHelper::Lost(why.to_string()),
        End::Unknown(why) => NoHelper::Lost(why.to_string()),
        _ => NoHelper::Unfit(ran.stderr.text().trim().to_owned()),
    }
}

/// The helper, or the status that the script ended with.
async fn start(
    connection: &Connection,
    who: Option<&Become>,
    binary: &Binary,
    stamps: &Arc<Stamps>,
    name: &str,
) -> Result<Result<Helper, u32>, NoHelper> {
    let line = binary.start_line(&stamps.get(name).unwrap_or_default())?;
    let pipe = match who {
        None => connection.pipe(&line).await,
        Some(who) => connection.pipe_as(who, &line).await,
    };
    let pipe = pipe.map_err(|end| of_end(&crate::hand::ended(end)))?;
    let (reader, writer, rest) = pipe.into_parts();
    let holder = Arc::new(std::sync::Mutex::new(Some(rest)));
    let (kept, name) = (Arc::clone(stamps), name.to_owned());
    let stamped = Box::new(move |stamp: &str| kept.put(&name, stamp));
    let greeting = Helper::greet_with(reader, writer, Box::new(Arc::clone(&holder)), stamped);
    let why = match timeout(ANSWER, greeting).await {
        Ok(Ok(helper)) => return Ok(Ok(helper)),
        Ok(Err(error)) => error.to_string(),
        Err(_) => return Err(NoHelper::Unfit("it does not answer".to_owned())),
    };
    let rest = holder.lock().ok().and_then(|mut holder| holder.take());
    let Some(rest) = rest else { return Err(NoHelper::Unfit(why)) };
    let ran = timeout(ANSWER, rest.finish()).await.map_err(|_| NoHelper::Unfit(why.clone()))?;
    match ran.end {
        End::Exited { status: 0 } => Err(NoHelper::Unfit(why)),
        End::Exited { status } => Ok(Err(status)),
        _ => Err(of_end(&ran)),
    }
}

/// Starts the helper on this machine as another user.
///
/// # Errors
/// [`NoHelper`].
pub async fn start_here(who: &Become, binary: &Binary) -> Result<Helper, NoHelper> {
    let path = binary.path.display().to_string();
    let line = CommandLine::argv(&["exec", &path, "helper"]).map_err(|e| NoHelper::Unfit(e.to_string()))?;
    let entered = enter(who, &line).await.map_err(|end| of_end(&crate::hand::ended(end)))?;
    let Entered { child, stdin, stdout, mut stderr, first } = entered;
    let reader = std::io::Cursor::new(first).chain(stdout);
    match timeout(ANSWER, Helper::greet(reader, stdin, Box::new(child))).await {
        Ok(Ok(helper)) => Ok(helper),
        Ok(Err(error)) => {
            let mut said = Vec::new();
            // What it complained about helps; that it cannot be read changes nothing.
            let _ = timeout(ANSWER, (&mut stderr).take(4096).read_to_end(&mut said)).await;
            let said = String::from_utf8_lossy(&said);
            Err(NoHelper::NotBecome(format!("cannot work as {}: {} ({error})", who.user, said.trim())))
        }
        Err(_) => Err(NoHelper::Unfit("it does not answer".to_owned())),
    }
}
