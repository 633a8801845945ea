//! The one client for requests to other servers.
//!
//! Every answer is bounded in length and time, certificates are always checked ([`Believing`] is for other clients, where
//! a person said whom to believe), and redirects are answers like any
//! other: who wants to follow one decides so himself, with the new address in sight. Connections are kept for the next
//! request to the same server. Names are resolved by the host; which servers may be named is the caller's to check.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod basic;
mod client;
mod error;
mod tls;
mod verifier;

pub use basic::basic;
pub use client::{Answer, Client, Request};
pub use error::EgressError;
pub use hyper::Method;
pub use hyper::body::Bytes;
pub use hyper::header;
pub use tls::{SecretBytes, TlsOptions};
pub use verifier::{Believing, Shown};
