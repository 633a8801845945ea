//! States that are not numbers: who listens where, what the kept files and the files of releases hold.

mod crowds;
pub(crate) mod deleted;
pub(crate) mod descriptors;
pub(crate) mod kept;
pub(crate) mod listeners;
pub(crate) mod refused;
pub(crate) mod release;
mod sock_diag;
pub(crate) mod strain;
pub(crate) mod table;
pub(crate) mod tasks;
pub(crate) mod traces;
pub(crate) mod waits;
