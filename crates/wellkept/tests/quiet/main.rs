//! The right answer to a harmless situation is none.
//!
//! Each situation is played second by second through detect, diagnose and recover, over observations made here, with
//! everything permitted: whatever is not done is not done because it was judged to be harmless.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod host;
mod load;
mod play;
mod signals;
mod storage;
mod work;
