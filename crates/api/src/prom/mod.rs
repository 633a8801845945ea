//! Prometheus' HTTP API for reading.

pub(crate) mod http;
mod answer;
mod params;
mod run;
