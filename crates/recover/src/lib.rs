//! Incident life, planner, guards and verification: decides everything and does nothing.
//!
//! All of it is a state machine without IO: `handle_*` takes what happened, `poll_*` says what to do next. The
//! binary owns clocks, the journal and the hands; it must journal a step before it is done and ask
//! [`Book::gate`] once more just before its effect.
#![forbid(unsafe_code)]

mod book;
mod life;
mod grouping;
mod verify;
mod ledger;
mod guard;
mod plan;
mod prevent;
#[cfg(test)]
mod testing;

pub use book::{Book, Refused, Step, StepResult};
pub use guard::{Surroundings, deployed};
pub use ledger::Ledger;
pub use plan::{Decision, Facts, decide};
pub use prevent::{NoProposal, proposal as proposal_of, propose as propose_prevention};
