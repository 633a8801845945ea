//! Puts a declared line back into a crontab; all else that stands there stays.

use std::path::Path;

use wellkept_model::Text;
use wellkept_model::keep::plain_line;

use crate::evidence::Evidence;
use crate::place::{Place, PlaceError};
use crate::{FileCopy, Outcome};

/// Mode of a crontab that has to be made: cron refuses one that others may write.
const MODE: u32 = 0o600;

pub(crate) fn put(file: &Path, line: &str, job: &str, evidence: &mut Evidence) -> Outcome {
    let text = |key: &str| Text::new(key).with("path", file.display()).with("job", job);
    match append(file, line, evidence) {
        Ok(true) => Outcome::succeeded(text("outcome.job_entry_put")),
        Ok(false) => Outcome::succeeded(text("outcome.job_entry_there")),
        Err(e) => Outcome::failed(text("outcome.job_entry_failed").with("error", e)),
    }
}

/// True when it had to be added.
fn append(file: &Path, line: &str, evidence: &mut Evidence) -> Result<bool, PlaceError> {
    let place = Place::of(file)?;
    let mut copy = place.read()?.unwrap_or(FileCopy { content: Vec::new(), uid: 0, gid: 0, mode: MODE });
    if String::from_utf8_lossy(&copy.content).lines().any(|l| plain_line(l) == line) {
        return Ok(false);
    }
    evidence.add("crontab", &copy.content)?;
    if copy.content.last().is_some_and(|b| *b != b'\n') {
        copy.content.push(b'\n');
    }
    copy.content.extend(line.as_bytes());
    copy.content.push(b'\n');
    place.put(&copy)?;
    Ok(true)
}
