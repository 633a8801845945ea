//! Prometheus' HTTP API for reading.

pub(crate) mod federate;
pub(crate) mod http;
pub(crate) mod status;
pub(crate) mod views;
mod answer;
mod params;
mod run;
pub(crate) use params::duration;
pub(crate) use run::run;
