//! Asks a Redis server (or one that speaks its protocol, RESP 2): one connection, one command after the other.
//!
//! A client library would bring pools, pipelines, clusters and a dozen crates; looks and steps need a few commands with
//! bounds. What may be asked is for the callers: this crate sends what it is given, as arguments with lengths, so that no
//! name can become a second command.
#![forbid(unsafe_code)]

mod reply;
mod wire;

pub use reply::{Reply, fingerprint, parse_info};
pub use wire::{Address, Client, RespError};
