//! Orders that go on by themselves (`async` with `poll: 0`): a process of its own with a file that tells how it went.
//!
//! The files lie where Ansible has them, `~/.ansible_async/<job id>`, so that a look by either finds them.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;
use wellkept_modules::{Context, NoFiles};

use super::protocol::Order;
use crate::values::{JsonMap, failed, map};

/// The largest file of a job, bytes.
const FILE_MAX: u64 = 64 * 1024 * 1024;

#[expect(clippy::disallowed_methods, reason = "the home of whoever the helper runs as")]
fn folder() -> PathBuf {
    let home = std::env::var("HOME").unwrap_or_else(|_| "/tmp".to_owned());
    Path::new(&home).join(".ansible_async")
}

fn file_of(id: &str) -> Result<PathBuf, String> {
    let fits = !id.is_empty() && id.len() < 100 && !id.starts_with('.');
    if fits && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') {
        return Ok(folder().join(id));
    }
    Err(format!("{id:?} is no id of a job"))
}

fn write(path: &Path, result: &JsonMap) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(&serde_json::to_vec(result)?)?;
    std::fs::rename(part, path)
}

/// Starts the order in a process of its own.
pub(super) fn begin(exe: &Path, order: &Order, seconds: u64, now: SystemTime) -> Result<JsonMap, String> {
    let said = |e: std::io::Error| format!("the job cannot be begun: {e}");
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|e| e.to_string())?;
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let id = format!("j{}.{}", since.as_micros(), u32::from_be_bytes(random));
    let path = file_of(&id)?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder()).map_err(said)?;
    let told = map([
        ("ansible_job_id", id.clone().into()),
        ("started", true.into()),
        ("finished", false.into()),
        ("results_file", path.display().to_string().into()),
    ]);
    write(&path, &told).map_err(said)?;
    let mut call = order.call.clone();
    call.timeout_seconds = Some(seconds);
    let order = serde_json::to_vec(&Order { call, ..Order::default() }).map_err(|e| e.to_string())?;
    let mut command = Command::new(exe);
    command.args(["helper", "--job", &id]);
    // It outlives the connection that it was begun by.
    wellkept_kernel::in_new_session(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(said)?;
    child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(&order)).map_err(said)?;
    // Somebody has to hear its end while we live, or it would stay a zombie.
    std::thread::spawn(move || child.wait());
    Ok(told.into_iter().chain(map([("changed", true.into())])).collect())
}

/// The process of a job: reads its order from standard input, does it, writes down how it went.
///
/// # Errors
/// A wrong id, an order that cannot be read, the disk.
pub fn background(id: &str) -> Result<(), String> {
    let path = file_of(id)?;
    let order: Order = serde_json::from_reader(std::io::stdin().lock()).map_err(|e| e.to_string())?;
    let temp = tempfile::Builder::new().prefix("wellkept-").tempdir().map_err(|e| e.to_string())?;
    let mut context = Context::new(temp.path().to_owned(), super::workers::now);
    let mut result = wellkept_modules::run(&order.call, &NoFiles, &mut context);
    result.insert("ansible_job_id".to_owned(), id.into());
    result.insert("started".to_owned(), true.into());
    result.insert("finished".to_owned(), true.into());
    write(&path, &result).map_err(|e| e.to_string())
}

/// `async_status`.
pub(super) fn status(args: &JsonMap) -> JsonMap {
    let id = args.get("jid").and_then(Json::as_str).unwrap_or_default();
    let path = match file_of(id) {
        Ok(path) => path,
        Err(why) => return failed(why),
    };
    let about = map([("ansible_job_id", id.into()), ("results_file", path.display().to_string().into())]);
    if args.get("mode").and_then(Json::as_str) == Some("cleanup") {
        // A file that is gone already is what is wanted.
        let _ = std::fs::remove_file(&path);
        return about
            .into_iter()
            .chain(map([("changed", true.into()), ("erased", path.display().to_string().into())]))
            .collect();
    }
    let read = std::fs::metadata(&path).and_then(|m| {
        if m.len() > FILE_MAX { Err(std::io::ErrorKind::FileTooLarge.into()) } else { std::fs::read(&path) }
    });
    let Ok(bytes) = read else {
        let missing = map([("started", true.into()), ("finished", true.into())]);
        return about.into_iter().chain(missing).chain(failed("could not find job")).collect();
    };
    match serde_json::from_slice::<JsonMap>(&bytes) {
        Ok(found) => {
            let mut result = about;
            result.entry("changed").or_insert(false.into());
            result.extend(found);
            result
        }
        Err(e) => failed(format!("the file of the job is damaged: {e}")),
    }
}
