//! Everything that is printed. Texts come from the catalogue; what hosts said is made harmless there.
#![expect(clippy::print_stderr, reason = "the one place that talks to the terminal")]

use std::io::{IsTerminal as _, Write as _};

use comfy_table::presets;
use comfy_table::{ContentArrangement, Table};
use wellkept_catalogue::{Language, render};
use wellkept_model::Text;

/// One line on standard output. A closed pipe ends the program quietly, as other tools do.
pub(crate) fn line(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// One line on standard error.
pub(crate) fn error(text: &str) {
    eprintln!("wellkept: {text}");
}

/// Counts along on standard error while long work goes on; silent unless that is a terminal.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    shown: bool,
    next: u64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { shown: std::io::stderr().is_terminal(), next: 0 }
    }

    /// Shows the number now and then: each time it has grown by about a hundredth.
    pub(crate) fn at(&mut self, done: u64) {
        if self.shown && done >= self.next {
            eprint!("\r{done} ...");
            self.next = done + done / 100 + 1;
        }
    }

    /// Clears the line.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.shown) && self.next > 0 {
            eprint!("\r\u{1b}[K");
        }
    }
}

/// A message of the catalogue.
pub(crate) fn text(language: Language, message: &Text) -> String {
    render(language, message)
}

/// A message without arguments.
pub(crate) fn word(language: Language, key: &str) -> String {
    render(language, &Text::new(key))
}

/// True when people read standard output, so that colour helps.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Paints text when a terminal reads it: `31` red, `32` green, `33` yellow, `2` dim, `1` bold.
pub(crate) fn paint(code: &str, text: &str) -> String {
    if is_terminal() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// A table without lines, as wide as the terminal.
pub(crate) fn table(head: &[String], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(head);
    for row in rows {
        table.add_row(row);
    }
    for row in table.to_string().lines() {
        line(row.trim_end());
    }
}
