//! Series of a Prometheus-compatible server that the user already has.
//!
//! [`Upstream`] is a `model::SeriesSource` like the embedded store, so that queries, rules and the console run on data
//! that lies in Prometheus or VictoriaMetrics. Raw samples are asked for with an instant query of a range selector, the
//! one way that both answer alike; PromQL itself is evaluated by us. How bytes get there and back is for the
//! [`Transport`]: this crate opens no socket.
//!
//! Two things are lost on the way: stale markers, which the servers leave out of such answers, so that a series that
//! ended is seen for the length of the look-back; and native histograms, which their JSON gives in a form that cannot
//! be put together again. Their number is told in an error rather than left out in silence.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod answer;
mod joined;
mod selector;
mod source;
mod transport;

pub use joined::Joined;
pub use source::Upstream;
pub use transport::{Reply, Transport, TransportError};
