//! Agents: the same program on another host, with an identity of its own, that sends what it sees and does what it is
//! handed, as far as that host's own file allows.
//!
//! Both ends are here. The server's ([`server`]) keeps an authority of its own, makes tokens that are good once, knows
//! each agent by its certificate, and gives what arrives to its [`server::House`]. The agent's ([`agent`]) joins by a
//! token that names the authority, keeps what it sends in a bounded queue on disk, and checks a bundle that it is handed
//! against its own list of keys before anything of it is used. What is collected, where it is stored and how a playbook
//! is run are left to the binary. The clock is given as an argument.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

pub mod agent;
mod authority;
mod folder;
pub mod line;
mod name;
mod orders;
pub mod policy;
pub mod queue;
mod registry;
pub mod server;
mod tls;
mod token;
pub mod unpack;
pub mod wire;

pub use authority::Authority;
pub use name::{NameError, check_name};
pub use orders::{HANDED_MAX, OrderView, Orders, OrdersError};
pub use registry::{AgentView, Refusal, Registry};
pub use token::JoinToken;

/// Milliseconds since the epoch, as the caller's clock says.
pub type Clock = fn() -> i64;
