//! Rendering before its turn: what must not be asked yet, and whether it was asked.
//!
//! Work can be sent to a host before the task in front of it has ended, as long as it cannot depend on how that ends.
//! Whether it does is not guessed from its text: it is rendered, and what it asks for is watched.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// Names of the hosts that are left; they change when another host fails.
const LEFT: &[&str] = &["ansible_play_hosts", "ansible_play_batch", "play_hosts"];

/// Shared by everything that a template asks.
#[derive(Default)]
pub(crate) struct Early {
    on: Cell<bool>,
    /// Other hosts go their way meanwhile: what is known of them may change.
    several: Cell<bool>,
    /// Names whose values are not known yet.
    names: RefCell<BTreeSet<String>>,
    met: Cell<bool>,
}

impl Early {
    /// Watches from now on.
    pub(crate) fn begin(&self, several: bool) {
        self.on.set(true);
        self.several.set(several);
        self.met.set(false);
    }

    /// Watches no longer.
    pub(crate) fn end(&self) {
        self.on.set(false);
        self.names.borrow_mut().clear();
    }

    /// The value of this name comes from a task that has not ended.
    pub(crate) fn open(&self, name: &str) {
        self.names.borrow_mut().insert(name.to_owned());
    }

    /// A name is asked for.
    pub(crate) fn ask(&self, name: &str) {
        if self.on.get() && (self.names.borrow().contains(name) || self.several.get() && LEFT.contains(&name))
        {
            self.met.set(true);
        }
    }

    /// All names are asked for.
    pub(crate) fn ask_all(&self) {
        if self.on.get() && !self.names.borrow().is_empty() {
            self.met.set(true);
        }
    }

    /// Another host is asked about.
    pub(crate) fn ask_other(&self) {
        if self.on.get() && self.several.get() {
            self.met.set(true);
        }
    }

    /// The machine that runs the play is asked for something that may change. True when it must not be asked now.
    pub(crate) fn ask_outside(&self) -> bool {
        if self.on.get() {
            self.met.set(true);
        }
        self.on.get()
    }

    /// Whether something was asked for that must not be used yet.
    pub(crate) fn met(&self) -> bool {
        self.met.get()
    }
}
