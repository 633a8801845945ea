//! The times that `file` sets: `now`, `preserve`, or a moment in a given form.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::SystemTime;

use jiff::civil::DateTime;

use crate::base::attributes::Sides;
use crate::base::{Fail, Result, Task, files, python};

#[derive(Clone, Copy, PartialEq)]
enum Moment {
    Keep,
    Now,
    At(SystemTime),
}

/// When the file was changed and read last.
pub(crate) struct Times {
    modified: Moment,
    accessed: Moment,
}

impl Times {
    pub(crate) fn of(task: &Task<'_>, state: &str) -> Result<Self> {
        let one = |name: &str, format: &str| -> Result<Moment> {
            match task.args.text(name) {
                None if state == "touch" => Ok(Moment::Now),
                None | Some("preserve") => Ok(Moment::Keep),
                Some("now") => Ok(Moment::Now),
                Some(text) => parse(text, task.args.text(format).unwrap_or("%Y%m%d%H%M.%S")),
            }
        };
        Ok(Self {
            modified: one("modification_time", "modification_time_format")?,
            accessed: one("access_time", "access_time_format")?,
        })
    }

    /// Sets them; true when that changed (or would change) something.
    pub(crate) fn apply(&self, task: &Task<'_>, path: &Path, sides: &mut Sides) -> Result<bool> {
        if self.modified == Moment::Keep && self.accessed == Moment::Keep {
            return Ok(false);
        }
        let failed = |error: std::io::Error| {
            let why = format!("{}: b{}", python::errno(&error), python::quoted(&files::shown(path)));
            Fail::new(format!("Error while updating modification or access time: {why}"))
                .with("path", files::shown(path))
        };
        let meta = fs::metadata(path).map_err(failed)?;
        let (was_modified, was_accessed) =
            (meta.modified().map_err(failed)?, meta.accessed().map_err(failed)?);
        let now = task.ctx.now();
        let pick = |moment: Moment, was: SystemTime| match moment {
            Moment::Keep => was,
            Moment::Now => now,
            Moment::At(time) => time,
        };
        let (modified, accessed) = (pick(self.modified, was_modified), pick(self.accessed, was_accessed));
        let both_now = self.modified == Moment::Now && self.accessed == Moment::Now;
        if !both_now && modified == was_modified && accessed == was_accessed {
            return Ok(false);
        }
        if !task.check() {
            let times = FileTimes::new().set_modified(modified).set_accessed(accessed);
            File::open(path).and_then(|file| file.set_times(times)).map_err(failed)?;
        }
        if modified != was_modified {
            sides.note("mtime", seconds(was_modified), seconds(modified));
        }
        if accessed != was_accessed {
            sides.note("atime", seconds(was_accessed), seconds(accessed));
        }
        Ok(true)
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn parse(text: &str, format: &str) -> Result<Moment> {
    let moment = DateTime::strptime(format, text)
        .and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::system()))
        .map(|zoned| Moment::At(SystemTime::from(zoned.timestamp())));
    moment.map_err(|_| {
        let why = format!("time data '{text}' does not match format '{format}'");
        Fail::new(format!("Error while obtaining timestamp for time {text} using format {format}: {why}"))
    })
}
