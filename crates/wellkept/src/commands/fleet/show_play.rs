//! Lines of a play on a terminal: Ansible's colours, and nothing of a host's that could move the cursor.

use wellkept_catalogue::harmless;

use crate::say;

/// Prints a text of one or more lines.
pub(in crate::commands) fn line(text: &str) {
    for one in text.split('\n') {
        // A tab is harmless and has its place in listings and diffs.
        let safe: Vec<_> = one.split('\t').map(harmless).collect();
        let safe = safe.join("\t");
        match colour(&safe) {
            Some(code) => say::line(&say::paint(code, &safe)),
            None => say::line(&safe),
        }
    }
}

fn colour(line: &str) -> Option<&'static str> {
    let recap = || line.contains(" : ok=") && line.contains("unreachable=");
    let any = |name: &str| !line.contains(&format!("{name}=0 "));
    match line {
        _ if line.starts_with("ok: [") => Some("32"),
        _ if line.starts_with("changed: [") => Some("33"),
        _ if line.starts_with("skipping: [") => Some("36"),
        _ if line.starts_with("fatal: [") || line.starts_with("failed: [") => Some("31"),
        _ if line.starts_with("[ERROR]") || line.starts_with(" [ERROR]") => Some("31"),
        _ if recap() && (any("failed") || any("unreachable")) => Some("31"),
        _ if recap() && any("changed") => Some("33"),
        _ if recap() => Some("32"),
        _ => None,
    }
}
