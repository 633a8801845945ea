//! The few kernel calls without a safe wrapper. This is the only crate of the workspace with `unsafe` code.
//!
//! Each module holds one call, with a safe door and the reason why the door is safe. What the answers mean is left
//! to the callers.

mod adjtimex;
mod pidfd;
mod lease;
mod session;
mod user;

pub use adjtimex::{ClockState, clock_state};
pub use lease::{Use, use_of_file};
pub use pidfd::{Ended, Readable, exit_info};
pub use session::in_new_session;
pub use user::{User, as_user};
