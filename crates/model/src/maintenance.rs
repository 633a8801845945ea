//! Announced work: within its time, trouble of the named components is expected. A window for drills announces the
//! contrary: trouble is made on purpose, and must be found and healed.

use serde::{Deserialize, Serialize};

use crate::{EntityId, TimestampMs};

/// One window, as somebody announced it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When it begins.
    pub from: TimestampMs,
    /// When it is over.
    pub until: TimestampMs,
    /// Components that it is for: services by name, or `host`, `network`.
    pub components: Vec<String>,
    /// Why, as it was written.
    pub reason: String,
    /// True: drills may be held, and everything is judged and done as ever.
    #[serde(default)]
    pub drill: bool,
}

impl Window {
    /// True while it lasts.
    #[must_use]
    pub fn is_open(&self, now: TimestampMs) -> bool {
        self.from <= now && now < self.until
    }

    /// True when trouble of this entity is expected: then it is no finding, and nothing is done to it.
    #[must_use]
    pub fn covers(&self, entity: &EntityId) -> bool {
        !self.drill && self.names(entity)
    }

    /// True when drills on this entity may be held.
    #[must_use]
    pub fn allows_drill(&self, entity: &EntityId) -> bool {
        self.drill && self.names(entity)
    }

    fn names(&self, entity: &EntityId) -> bool {
        let component = entity.component();
        self.components.iter().any(|c| c == component)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_from_its_first_moment_and_over_at_its_last() {
        let (from, until) = (TimestampMs(10), TimestampMs(20));
        let window =
            Window { from, until, components: vec!["app".to_owned()], reason: String::new(), drill: false };
        let open = [9, 10, 19, 20].map(|at| window.is_open(TimestampMs(at)));
        assert_eq!(open, [false, true, true, false]);
        assert!(window.covers(&EntityId::service("app")) && !window.covers(&EntityId::service("db")));
        assert!(!window.covers(&EntityId::filesystem("/data")));
        assert!(!window.allows_drill(&EntityId::service("app")));
        let drill = Window { drill: true, ..window };
        assert!(
            drill.allows_drill(&EntityId::service("app")) && !drill.allows_drill(&EntityId::service("db"))
        );
        assert!(!drill.covers(&EntityId::service("app")), "what is drilled must be found");
    }
}
