//! Hands on hosts: does one planned action, keeps the evidence first, and takes it back when asked.
//!
//! Every decision was made before: what, to whom, with which version. What is left here is to do exactly that, or
//! to refuse when the world is no longer as the plan saw it. `local` works on this host; it is the only place of the
//! workspace that starts programs of services, signals processes and writes or removes their files. The journal
//! record before and after a step is the caller's.
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

mod outcome;
mod copies;
mod hands;
mod evidence;
mod procs;
mod identity;
mod tail;
mod session;
mod who;
mod cgroup;
mod command;
mod service;
mod release;
mod strangers;
mod storm;
mod isolate;
mod quarantine;
mod signals;
mod place;
mod kept_file;
mod open_files;
mod lease;
mod crontab;
mod means;
mod means_cache;
mod means_mysql;
mod means_sql;
mod packet_filter;
mod candidates;
mod free_space;

pub use copies::{Copies, FileCopy};
pub use hands::LocalHands;
pub use outcome::Outcome;
