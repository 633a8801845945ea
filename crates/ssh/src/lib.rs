//! SSH to other hosts: configuration, host keys, authentication, commands, files, frames.
#![forbid(unsafe_code)]

mod secret;
mod name;
mod pattern;
mod quote;
pub mod hosts;
mod keys;

pub use name::{HostName, NameError, UserName};
pub use quote::{CommandLine, LineError, quote};
pub use secret::Secret;
