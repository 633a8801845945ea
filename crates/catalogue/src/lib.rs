//! The message catalogue shared by CLI, API and console.
//!
//! Pure crates name a message ([`wellkept_model::Text`]); this crate turns it into a sentence at the edge.
//! `build.rs` merges `messages/<language>/*.json` into one sorted table per language, so that nothing is read or
//! parsed at run time. Values are data from hosts: they are put in once, made harmless for terminals and logs,
//! and never looked up or rendered again.
#![forbid(unsafe_code)]

mod escape;
mod language;
mod render;
mod units;

mod table {
    include!(concat!(env!("OUT_DIR"), "/table.rs"));
}

pub use escape::harmless;
pub use language::{Language, ParseLanguageError};
pub use render::{keys, render, text};
