//! The embedded log store of Wellkept: lines by template, searched without unpacking most of them.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod head;
mod segment;
mod segment_write;
mod index;
mod charset;
mod filter;
mod column;
mod ints;
mod clock;
mod pack;
mod strings;
mod codec;
use wellkept_tsdb as disk;
