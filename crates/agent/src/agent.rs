//! The agent's end: it joins, sends what its queue holds, and does what it is handed.

mod execute;
mod identity;
mod run;

pub use execute::{Executor, Start};
pub use identity::{Identity, JoinError, join};
pub use run::{Agent, Sending};
