//! Orders that go on by themselves (`async`): a process of its own with a file that tells how it went.
//!
//! The files lie where Ansible has them, `~/.ansible_async/<job id>`, so that a look by either finds them.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;
use wellkept_modules::{Context, NoFiles};

use super::protocol::Order;
use crate::values::{JsonMap, failed, map};

/// The largest file of a job, bytes.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// What a job says that was ended because its time was over.
const TIMED_OUT: &str = "Timeout exceeded";
/// The pause before the first look at a job, and the longest one.
const LOOK: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_secs(1);
/// How much later than its time the end of a job may be written down.
const GRACE: Duration = Duration::from_secs(2);

/// The folder of jobs: as it is named, `~` being the home of whoever the helper runs as, or Ansible's.
#[expect(clippy::disallowed_methods, reason = "the home of whoever the helper runs as")]
fn folder(named: Option<&str>) -> PathBuf {
    let home = PathBuf::from(std::env::var("HOME").unwrap_or_else(|_| "/tmp".to_owned()));
    match named.unwrap_or("~/.ansible_async") {
        "~" => home,
        named => home.join(named.strip_prefix("~/").unwrap_or(named)),
    }
}

fn file_of(named: Option<&str>, id: &str) -> Result<PathBuf, String> {
    let fits = !id.is_empty() && id.len() < 100 && !id.starts_with('.');
    if fits && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') {
        return Ok(folder(named).join(id));
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

/// Starts the order in a process of its own; waits for its end when that is wanted.
pub(super) fn begin(exe: &Path, order: &Order, seconds: u64, now: SystemTime) -> Result<JsonMap, String> {
    let said = |e: std::io::Error| format!("the job cannot be begun: {e}");
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|e| e.to_string())?;
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let id = format!("j{}.{}", since.as_micros(), u32::from_be_bytes(random));
    let path = file_of(order.job_folder.as_deref(), &id)?;
    let folder = folder(order.job_folder.as_deref());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(said)?;
    let told = map([
        ("ansible_job_id", id.into()),
        ("started", true.into()),
        ("finished", false.into()),
        ("results_file", path.display().to_string().into()),
    ]);
    write(&path, &told).map_err(said)?;
    let mut call = order.call.clone();
    call.timeout_seconds = Some(seconds);
    let sent = serde_json::to_vec(&Order { call, ..Order::default() }).map_err(|e| e.to_string())?;
    let mut command = Command::new(exe);
    command.args(["helper", "--job"]).arg(&path);
    // It outlives the connection that it was begun by.
    wellkept_kernel::in_new_session(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(said)?;
    child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(&sent)).map_err(said)?;
    // Somebody has to hear its end while we live, or it would stay a zombie.
    std::thread::spawn(move || child.wait());
    match order.waits {
        true => Ok(wait(&path, told, seconds)),
        false => Ok(told.into_iter().chain(map([("changed", true.into())])).collect()),
    }
}

/// Waits for the end of a job and takes its file away.
fn wait(path: &Path, told: JsonMap, seconds: u64) -> JsonMap {
    let (mut waited, mut pause) = (Duration::ZERO, LOOK);
    let limit = Duration::from_secs(seconds) + GRACE;
    while waited < limit {
        std::thread::sleep(pause);
        (waited, pause) = (waited + pause, (pause * 2).min(LOOK_MAX));
        let Ok(found) = read(path) else { continue };
        if found.get("finished") != Some(&true.into()) {
            continue;
        }
        if found.get("msg").and_then(Json::as_str) == Some(TIMED_OUT) {
            break;
        }
        // One that stays does no harm.
        let _ = std::fs::remove_file(path);
        return told.into_iter().chain(found).collect();
    }
    let why = format!("async task did not complete within the requested time - {seconds}s");
    map([("async_result", Json::Object(told)), ("changed", false.into())])
        .into_iter()
        .chain(failed(why))
        .collect()
}

/// The process of a job: reads its order from standard input, does it, writes down how it went.
///
/// # Errors
/// An order that cannot be read, the disk.
pub fn background(path: &Path) -> Result<(), String> {
    let order: Order = serde_json::from_reader(std::io::stdin().lock()).map_err(|e| e.to_string())?;
    let temp = tempfile::Builder::new().prefix("wellkept-").tempdir().map_err(|e| e.to_string())?;
    let mut context = Context::new(temp.path().to_owned(), super::workers::now);
    let began = super::workers::now();
    let mut result = wellkept_modules::run(&order.call, &NoFiles, &mut context);
    let took = super::workers::now().duration_since(began).unwrap_or_default();
    let is_late = order.call.timeout_seconds.is_some_and(|seconds| took >= Duration::from_secs(seconds));
    if is_late && result.get("failed") == Some(&true.into()) {
        result = map([("changed", false.into())]).into_iter().chain(failed(TIMED_OUT)).collect();
    }
    let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    result.insert("ansible_job_id".to_owned(), id.into());
    result.insert("started".to_owned(), true.into());
    result.insert("finished".to_owned(), true.into());
    result.insert("results_file".to_owned(), path.display().to_string().into());
    write(path, &result).map_err(|e| e.to_string())
}

fn read(path: &Path) -> std::io::Result<JsonMap> {
    if std::fs::metadata(path)?.len() > FILE_MAX {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    serde_json::from_slice(&std::fs::read(path)?).map_err(std::io::Error::other)
}

/// `async_status`. `named`: where jobs tell how they went.
pub(super) fn status(args: &JsonMap, named: Option<&str>) -> JsonMap {
    let Some(id) = args.get("jid").and_then(Json::as_str) else {
        return failed("missing required arguments: jid");
    };
    let mode = args.get("mode").and_then(Json::as_str).unwrap_or("status");
    if !matches!(mode, "status" | "cleanup") {
        return failed(format!("value of mode must be one of: status, cleanup, got: {mode}"));
    }
    let path = match file_of(named, id) {
        Ok(path) => path,
        Err(why) => return failed(why),
    };
    let shown = Json::from(path.display().to_string());
    let (cleanup, truth) = (mode == "cleanup", |truth: bool| Json::from(truth));
    let mut result = map([
        ("ansible_job_id", id.into()),
        (if cleanup { "erased" } else { "results_file" }, shown),
        ("changed", false.into()),
        ("stdout", "".into()),
        ("stdout_lines", Json::Array(Vec::new())),
        ("stderr", "".into()),
        ("stderr_lines", Json::Array(Vec::new())),
    ]);
    let found = match cleanup {
        true => {
            std::fs::remove_file(&path).map(|()| map([("started", truth(false)), ("finished", truth(false))]))
        }
        false => read(&path),
    };
    match found {
        Ok(found) => result.extend(found),
        Err(e) => {
            result.extend(map([("started", truth(true)), ("finished", truth(true))]));
            let is_gone = e.kind() == std::io::ErrorKind::NotFound;
            result.extend(failed(if is_gone {
                "could not find job".to_owned()
            } else {
                format!("Could not parse job output: {e}")
            }));
        }
    }
    result
}
