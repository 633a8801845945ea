//! Where samples come in.
#![forbid(unsafe_code)]

mod exemplars;
mod guard;
mod metadata;

pub use exemplars::ExemplarStore;
pub use guard::Guard;
pub use metadata::MetadataStore;
