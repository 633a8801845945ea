//! States that are not numbers: who listens where, what the kept files hold.

pub(crate) mod kept;
pub(crate) mod listeners;
