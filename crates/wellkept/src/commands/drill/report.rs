//! What is told at the end of a drill.

use serde_json::json;
use wellkept_model::{Text, TimestampMs};

use super::Wish;
use super::watch::Seen;
use crate::cli::Output;
use crate::commands::Context;
use crate::say::{self, paint};

/// Everything about one drill.
pub(super) struct Report<'a> {
    pub(super) wish: &'a Wish,
    pub(super) began: TimestampMs,
    pub(super) seen: Seen,
    /// The fault was still there at the end, and was taken away by the drill.
    pub(super) left: bool,
    /// The service was well again afterwards.
    pub(super) well: bool,
}

impl Report<'_> {
    /// Found, rightly explained, healed by Wellkept itself, and well again.
    pub(super) fn passed(&self) -> bool {
        let right = self.seen.cause.as_ref().is_some_and(|(_, _, right)| *right);
        right && self.seen.healed_ms.is_some() && !self.left && self.well
    }

    pub(super) fn show(&self, c: Context) {
        match c.output {
            Output::Json => say::line(&self.json().to_string()),
            Output::Table => self.table(c),
        }
    }

    fn json(&self) -> serde_json::Value {
        let seen = &self.seen;
        let cause = seen
            .cause
            .as_ref()
            .map(|(kind, detail, right)| json!({ "kind": kind, "detail": detail, "right": right }));
        let actions: Vec<_> =
            seen.actions.iter().map(|(kind, _, status)| json!({ "kind": kind, "status": status })).collect();
        json!({
            "service": self.wish.service,
            "fault": self.wish.fault.word(),
            "began_at": self.began.0,
            "incident": seen.incident,
            "detected_ms": seen.detected_ms,
            "cause": cause,
            "actions": actions,
            "healed_ms": seen.healed_ms,
            "escalated": seen.escalated,
            "undone_by_drill": self.left,
            "well_again": self.well,
            "passed": self.passed(),
        })
    }

    fn table(&self, c: Context) {
        let text = |t: Text| say::text(c.language, &t);
        let seen = &self.seen;
        let duration = |key: &str, ms: Option<u64>| match ms {
            Some(ms) => text(Text::new(key).with("ms", ms)),
            None => text(Text::new(&format!("{key}_not"))),
        };
        say::line("");
        say::line(&duration("cli.drill.detected", seen.detected_ms));
        say::line(&match &seen.cause {
            Some((_, detail, right)) => {
                let key = if *right { "cli.drill.right" } else { "cli.drill.wrong" };
                text(Text::new(key).with("detail", detail))
            }
            None => text(Text::new("cli.drill.no_cause")),
        });
        for (_, kind_text, status) in &seen.actions {
            let status = text(Text::new(&format!("status.action.{status}")));
            say::line(&format!("  {}: {status}", wellkept_catalogue::harmless(kind_text)));
        }
        say::line(&duration("cli.drill.healed", seen.healed_ms));
        if seen.escalated {
            say::line(&text(Text::new("cli.drill.escalated")));
        }
        if self.left {
            say::line(&text(Text::new("cli.drill.left")));
        }
        if !self.well {
            say::line(&text(Text::new("cli.drill.still_ill").with("name", &self.wish.service)));
        }
        let (color, key) =
            if self.passed() { ("32;1", "cli.drill.passed") } else { ("33;1", "cli.drill.failed") };
        say::line(&paint(color, &text(Text::new(key))));
    }
}
