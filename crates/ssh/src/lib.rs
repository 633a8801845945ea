//! SSH to other hosts: configuration, host keys, authentication, commands, files, frames.
//!
//! One connection per host carries everything: commands side by side, terminals, files, the frames of a helper. What a
//! command's end means is told exactly ([`End`]): it ended by itself, it is known not to have run, or nobody knows.
//! Nothing here tries again or decides what to run; that is the caller's.
#![forbid(unsafe_code)]

mod secret;
mod name;
mod pattern;
mod text;
mod quote;
pub mod config;
pub mod hosts;
mod keys;
mod target;
mod prompts;
mod error;
mod handler;
mod signer;
mod auth;
mod connection;
mod process;
mod exec;
mod pipe;
mod escalate;
pub mod adhoc;
mod transfer;
mod sftp;
pub mod frames;

pub use connection::Connection;
pub use error::{ConnectError, Retry};
pub use escalate::{BEFORE_MAX, Become, Marks, Method};
pub use exec::{Bounds, Command, Input, Output, Ran};
pub use frames::{FrameError, Frames};
pub use name::{HostName, NameError, UserName};
pub use pipe::{Pipe, Rest};
pub use process::{Doubt, End, NotRun, Piece, Process, PtySize, Stream};
pub use prompts::{Prompts, Question, Unattended};
pub use quote::{CommandLine, LineError, quote};
pub use secret::Secret;
pub use sftp::Sftp;
pub use target::{Family, Identity, Target, Times};
pub use transfer::{About, Destination, Placing, TransferError, Transferred};
