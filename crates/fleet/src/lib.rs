//! Many hosts at once: ad hoc work, playbooks, and the helper that runs modules there.
//!
//! The crates below say what is to be done (`inventory`, `playbook`) and carry it (`ssh`); this one brings both
//! together. It asks a person only through [`desk::Desk`], prints nothing, and reads no clock for others.
#![forbid(unsafe_code)]

pub mod values;
pub mod settings;
pub mod vault;
pub mod disk;
pub mod desk;
mod error;
pub mod reach;
pub mod pool;
mod entrance;
pub mod hand;
pub mod spread;
pub mod lookups;
pub mod live;
pub mod scene;
pub mod adhoc;
pub mod records;
pub mod shell;
pub mod expect;
pub mod helper;
pub mod journal;
pub mod play;

pub use error::ReachError;
