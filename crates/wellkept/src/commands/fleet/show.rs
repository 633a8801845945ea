//! What people and programs see of ad hoc work: live lines, a progress bar, a table, JSON.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};

use serde_json::json;
use wellkept_fleet::adhoc::{Row, Status};
use wellkept_fleet::live::{Lines, shown};
use wellkept_model::Text;
use wellkept_ssh::Piece;

use super::{text, word};
use crate::cli::Output;
use crate::commands::Context;
use crate::say;

/// Characters of the bar itself.
const BAR: usize = 30;
/// Characters of a note in the table.
const NOTE_MAX: usize = 160;

/// What happens while work goes on.
pub(super) enum Event {
    /// A host is being connected to.
    Begun,
    /// Output of a host.
    Piece(String, Piece),
    /// A host has ended.
    Ended(Box<Row>),
}

/// Shows events as they come.
pub(super) struct Live {
    lines: Lines,
    bar: bool,
    quiet: bool,
    total: usize,
    begun: usize,
    done: BTreeMap<&'static str, usize>,
}

impl Live {
    pub(super) fn new(context: Context, total: usize) -> Self {
        let json = context.output == Output::Json;
        Self {
            lines: Lines::default(),
            bar: std::io::stderr().is_terminal(),
            quiet: json,
            total,
            begun: 0,
            done: BTreeMap::new(),
        }
    }

    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Begun => self.begun += 1,
            Event::Piece(host, piece) => {
                let lines = self.lines.take(&host, piece.stream, &piece.bytes);
                self.say(&host, &lines);
            }
            Event::Ended(row) => {
                let rest = self.lines.end(&row.host);
                self.say(&row.host, &rest);
                *self.done.entry(row.status.word()).or_default() += 1;
            }
        }
        self.draw();
    }

    fn say(&self, host: &str, lines: &[String]) {
        if self.quiet || lines.is_empty() {
            return;
        }
        self.clear();
        for line in lines {
            say::line(&format!("{} {line}", say::paint("2", &format!("{host} |"))));
        }
    }

    fn clear(&self) {
        if self.bar {
            // A terminal that is gone shows nothing either way.
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }

    fn draw(&self) {
        if !self.bar {
            return;
        }
        let done: usize = self.done.values().sum();
        let filled = (done * BAR).checked_div(self.total).unwrap_or(BAR);
        let counts: Vec<String> = self.done.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let (bar, rest) = ("#".repeat(filled), "-".repeat(BAR - filled));
        let running = self.begun.saturating_sub(done);
        let _ = write!(
            std::io::stderr(),
            "\r\u{1b}[K[{bar}{rest}] {done}/{} ({running} …) {}",
            self.total,
            counts.join(", ")
        );
        let _ = std::io::stderr().flush();
    }

    pub(super) fn end(&self) {
        self.clear();
    }
}

/// The rows as a table, and how many went how.
pub(super) fn table(context: Context, rows: &[Row]) {
    let head = [
        "fleet.column.host",
        "fleet.column.result",
        "fleet.column.exit",
        "fleet.column.time",
        "fleet.column.note",
    ];
    let head: Vec<String> = head.iter().map(|key| word(context, key)).collect();
    let body = rows.iter().map(|row| {
        let exit = row.exit.map_or_else(|| "-".to_owned(), |exit| exit.to_string());
        let took = format!("{:.2} s", row.took.as_secs_f64());
        vec![row.host.clone(), painted(context, row.status), exit, took, note(row)]
    });
    say::table(&head, body.collect());
    let count = |status| rows.iter().filter(|row| row.status == status).count();
    let summary = Text::new("fleet.summary")
        .with("ok", count(Status::Ok))
        .with("failed", count(Status::Failed))
        .with("unreachable", count(Status::Unreached))
        .with("unknown", count(Status::Unknown))
        .with("not_begun", count(Status::NotBegun));
    say::line(&text(context, &summary));
}

/// Why, or the last line of what it complained about.
fn note(row: &Row) -> String {
    let complaint = || {
        let last = row.stderr.split(|byte| *byte == b'\n').rfind(|line| !line.trim_ascii().is_empty());
        last.filter(|_| row.status != Status::Ok).map(shown).unwrap_or_default()
    };
    let said = row.note.as_ref().map(|note| shown(note.as_bytes())).unwrap_or_else(complaint);
    said.chars().take(NOTE_MAX).collect()
}

fn painted(context: Context, status: Status) -> String {
    let (colour, key) = match status {
        Status::Ok => ("32", "fleet.status.ok"),
        Status::Failed => ("31", "fleet.status.failed"),
        Status::Unreached => ("31", "fleet.status.unreachable"),
        Status::Unknown => ("35", "fleet.status.unknown"),
        Status::NotBegun => ("33", "fleet.status.not_begun"),
    };
    say::paint(colour, &word(context, key))
}

/// Everything for programs.
pub(super) fn json(rows: &[Row], exit: u8) {
    let hosts: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "host": row.host,
                "status": row.status.word(),
                "exit": row.exit,
                "note": row.note,
                "stdout": String::from_utf8_lossy(&row.stdout),
                "stderr": String::from_utf8_lossy(&row.stderr),
                "dropped_bytes": row.dropped,
                "took_ms": row.took.as_millis() as u64,
            })
        })
        .collect();
    say::line(&json!({ "exit": exit, "hosts": hosts }).to_string());
}
