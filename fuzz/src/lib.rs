//! What the fuzz targets share: the judges of the tests.

pub mod fleet;

#[path = "../../crates/intake/tests/judge/mod.rs"]
pub mod judge;

#[path = "../../crates/tsdb/tests/judge/mod.rs"]
pub mod store;

#[path = "../../crates/logintake/tests/judge/mod.rs"]
pub mod logs;
