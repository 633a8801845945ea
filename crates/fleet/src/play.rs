//! Drives a playbook: work that the run hands out is done on its hosts, and what came of it is told back.
//!
//! The run decides everything about order; here is how: by the helper where it runs, by plain commands where it does
//! not, on this machine by ourselves. A connection that is lost in a step is told as unknown, never as failed.

mod assign;
mod controller;
mod done;
mod files;
mod hands;
mod listing;
mod plain;
mod player;
mod template;

pub use assign::{Assigner, OWN};
pub use hands::{Answer, Following, Hands};
pub use listing::{list_hosts, list_tags, list_tasks};
pub use player::{Ended, Player};

/// Whether a module can be run, by its short name.
pub fn supported(name: &str) -> bool {
    OWN.contains(&name)
        || wellkept_playbook::book::CONTROLLER.contains(&name)
        || wellkept_modules::known().iter().any(|spec| spec.name == name || spec.also.contains(&name))
}
