//! The answer to `_bulk`: one item per action, in order, with its status.

use std::fmt::Write as _;

use serde_json::Value;

use super::Action;
use crate::Refusal;

/// An answer while it grows.
pub(super) struct Answer {
    items: String,
    errors: bool,
    number: u64,
    now_ns: i64,
}

impl Answer {
    pub(super) fn new(now_ns: i64) -> Self {
        Self { items: String::new(), errors: false, number: 0, now_ns }
    }

    /// Tells what became of one action.
    pub(super) fn item(&mut self, action: &Action<'_>, refusal: Option<&Refusal>) {
        self.number += 1;
        self.errors |= refusal.is_some();
        let text = |text: &str| Value::from(text).to_string();
        let made;
        let id = match &action.id {
            Some(id) => id.as_ref(),
            None => {
                made = format!("{:x}-{}", self.now_ns, self.number);
                &made
            }
        };
        if !self.items.is_empty() {
            self.items.push(',');
        }
        let head =
            format!("{{{}:{{\"_index\":{},\"_id\":{}", text(&action.verb), text(&action.index), text(id));
        self.items.push_str(&head);
        // Writing into a String cannot fail.
        let _ = match refusal {
            None => write!(
                self.items,
                ",\"_version\":1,\"result\":\"created\",\"_shards\":{{\"total\":1,\"successful\":1,\"failed\":0}},\"_seq_no\":{},\"_primary_term\":1,\"status\":201}}}}",
                self.number - 1
            ),
            Some(why) => write!(
                self.items,
                ",\"status\":400,\"error\":{{\"type\":{},\"reason\":{}}}}}}}",
                text(why.word()),
                text(&why.to_string())
            ),
        };
    }

    pub(super) fn finish(self) -> String {
        format!("{{\"took\":0,\"errors\":{},\"items\":[{}]}}", self.errors, self.items)
    }
}
