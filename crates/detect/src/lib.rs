//! Checks and statistical detectors: observations in, findings out.
//!
//! A detector never reads a clock, a file or a socket. It is given one round after the other and says which
//! findings hold now. What has not been seen in a round keeps its findings: silence is not health. Grouping
//! findings into incidents and waiting out their hold time is left to `wellkept-recover`.
#![forbid(unsafe_code)]

mod detectors;
mod checks;
mod robust;
mod trend;
mod maintenance;

pub use detectors::{Detectors, Round, SeriesValue};
pub use robust::{mad, median, robust_z, theil_sen};
