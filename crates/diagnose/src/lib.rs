//! Causes from a frozen situation.
//!
//! Deterministic: the same [`Situation`] gives the same causes, byte for byte. Rules propose causes, one rule per
//! file; [`rank`](diagnose) then decides over the topology which is root and which is symptom. Acting on a
//! cause is left to `wellkept-recover`.
#![forbid(unsafe_code)]

mod situation;
mod rules;
mod rank;

pub use rank::diagnose;
pub use situation::{SITUATION_FORMAT, Situation, Suspect};
