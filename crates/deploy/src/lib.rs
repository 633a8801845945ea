//! Releases of apps on many hosts.
//!
//! A deployment is planned first (which hosts in which batches, from which release to which), written down, and then
//! done batch by batch; after each batch the checks of the app must hold, else everything that was switched goes
//! back. How hosts are reached is given to it as a [`World`], so that it can be tried without any: it runs Ansible's
//! modules there and no shell. Reading the keep file is left to `keep`, words for people to the catalogue.
//!
//! A host has, below the app's folder: `releases/VERSION`, `current` (a link, switched by one rename), `shared`, and
//! `.wellkept` (the marker of a deployment under way, marks of whole releases, what is coming in).
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod version;
mod error;
mod world;
mod plan;
mod artefact;
mod journal;
mod house;
mod notice;
mod host;
mod check;
mod deployment;
mod forward;
mod back;

pub use artefact::Prepared;
pub use deployment::{Asked, Deployment, Preview};
pub use error::DeployError;
pub use house::{House, Past};
pub use journal::{Act, Head, HostPlan, Status};
pub use notice::{Notice, PutUp, put_up, under_way};
pub use version::{Version, VersionError};
pub use world::{Answer, Place, World};
