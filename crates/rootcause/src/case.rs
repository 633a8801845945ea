//! Recorded cases in folders: reads them into a [`Scene`], and gives the answer that a scorer reads.
//!
//! Two layouts are known, told apart by what lies in the folder: a wide table of services with a matrix of calls, and
//! one table of pods with spans and logs. The caller reads files ([`CaseFiles`]); here they are only parsed, within
//! bounds. What a case folder says about its true cause is never read.

mod answer;
mod files;
mod pods;
mod services;
mod table;
mod template;
mod time;

pub use answer::Answer;
pub use files::{CaseError, CaseFiles};

use crate::scene::Scene;

/// Reads one case.
///
/// `name`: the last parts of its path; a last part that is a date with hour and minute (`2022-08-22_03_53`) is the time
/// of the alarm.
///
/// # Errors
/// [`CaseError`] when the folder has none of the known layouts, or a file in it cannot be read.
pub fn read(name: &str, files: &impl CaseFiles) -> Result<Scene, CaseError> {
    if files.read("metrics.csv").is_some() {
        services::read(files)
    } else if files.read("metric.csv.gz").is_some() {
        pods::read(name, files)
    } else {
        Err(CaseError::Layout)
    }
}
