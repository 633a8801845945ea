//! Pulls samples from Prometheus targets, and sends samples on by remote write.
//!
//! [`config`] reads a `prometheus.yml`, [`discovery`] finds targets, [`relabel`] and [`target`] turn what was found
//! into what is scraped, [`client`] asks, [`manager`] keeps one task per target and hands over one [`Scraped`] per
//! scrape, and [`sender`] passes samples on through a queue on disk. What the answers mean is left to a parser that the
//! caller gives ([`Parser`]), how samples are written on the wire to an [`Encoder`], and where they go to an
//! [`Outlet`].
#![forbid(unsafe_code)]

pub mod config;
mod client;
mod ingest;
pub mod manager;
pub mod relabel;
mod scrape;
mod seam;
pub mod target;
mod tls;
mod clock;
mod discovery;
mod duration;
mod secret;
pub mod sender;
mod url;

pub use client::ClientError;
pub use duration::show as show_duration;
pub use scrape::Health;
pub use seam::{Encoder, NewEncoder, NewParser, Outgoing, Outlet, Page, Parser, Pending, Scraped};
pub use secret::{Secret, SecretSource};
