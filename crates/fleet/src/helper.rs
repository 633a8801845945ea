//! The helper: our own binary on the target, which runs modules there while a connection lasts.
//!
//! The controller sends it once per version into a private folder of the user, and it is compared by its hash before it
//! is used. Then both talk in frames: orders there, results back, and in between the helper asks for files of the
//! controller that an order names. Where it cannot run, plain commands do what they can.

mod client;
mod files;
mod jobs;
pub mod protocol;
mod send;
mod serve;
mod stamps;
mod workers;

mod chain;

pub use client::{Helper, Lost, Ticket};
pub use files::Allowed;
pub use jobs::background;
pub use send::{Binary, NoHelper, start_here, start_there};
pub use serve::serve;
pub use stamps::Stamps;
pub use workers::Workers;
pub(crate) use workers::now;
