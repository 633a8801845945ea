//! Where samples come in: what is pushed is decoded, guarded and stored.
//!
//! The formats themselves are `wellkept-intake`'s, HTTP is the API's. Metadata and exemplars are kept here, in memory.
#![forbid(unsafe_code)]

mod exemplars;
mod guard;
mod metadata;
mod push;
mod rates;
mod side;
mod taken;
mod tap;

pub use exemplars::ExemplarStore;
pub use guard::Guard;
pub use metadata::MetadataStore;
pub use push::{Body, Counts, Doors, Format, From, Pushed};
pub use tap::Tap;
