//! Announced work: within its time, trouble of the named components is expected.

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
}

impl Window {
    /// True while it lasts.
    #[must_use]
    pub fn is_open(&self, now: TimestampMs) -> bool {
        self.from <= now && now < self.until
    }

    /// True when it is for this entity.
    #[must_use]
    pub fn covers(&self, entity: &EntityId) -> bool {
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
        let window = Window { from, until, components: vec!["app".to_owned()], reason: String::new() };
        let open = [9, 10, 19, 20].map(|at| window.is_open(TimestampMs(at)));
        assert_eq!(open, [false, true, true, false]);
        assert!(window.covers(&EntityId::service("app")) && !window.covers(&EntityId::service("db")));
        assert!(!window.covers(&EntityId::filesystem("/data")));
    }
}
