//! How texts change, as unified diffs with three lines around (`--diff`).

use wellkept_inventory::Value;

use crate::book::key_text;

/// Lines around a change.
const AROUND: usize = 3;
/// Largest table of lines against lines; larger changes are shown as one piece.
const CELLS_MAX: usize = 4_000_000;

/// All diffs of a result as one text; empty when nothing changes.
pub(crate) fn shown(diff: &Value) -> String {
    let all = match diff {
        Value::List(all) => all.clone(),
        one => vec![one.clone()],
    };
    let mut out = String::new();
    for one in &all {
        if let Some(prepared) = one.get("prepared") {
            out.push_str(&key_text(prepared));
        }
        let (Some(before), Some(after)) = (one.get("before"), one.get("after")) else { continue };
        let header = |side: &str| match one.get(&format!("{side}_header")) {
            Some(header) => format!("{side}: {}", key_text(header)),
            None => side.to_owned(),
        };
        out.push_str(&unified(&side(before), &side(after), &header("before"), &header("after")));
    }
    out
}

/// A map is compared as JSON.
fn side(value: &Value) -> String {
    match value {
        Value::Map(_) | Value::List(_) => crate::json::dump(value, Some(4)) + "\n",
        Value::Null => String::new(),
        other => key_text(other),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Same,
    Gone,
    New,
}

fn unified(before: &str, after: &str, before_name: &str, after_name: &str) -> String {
    let lines = |text: &str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(before), lines(after));
    let steps = steps(&old, &new);
    if steps.iter().all(|(kind, _)| *kind == Kind::Same) {
        return String::new();
    }
    let mut out = format!("--- {before_name}\n+++ {after_name}\n");
    let changed: Vec<usize> =
        (0..steps.len()).filter(|at| steps.get(*at).is_some_and(|s| s.0 != Kind::Same)).collect();
    let mut at = 0;
    while let Some(first) = changed.get(at).copied() {
        let mut last = first;
        while let Some(next) = changed.get(at).copied().filter(|next| *next <= last + AROUND * 2 + 1) {
            last = next;
            at += 1;
        }
        let (from, to) = (first.saturating_sub(AROUND), (last + AROUND + 1).min(steps.len()));
        hunk(&steps, from, to, &mut out);
    }
    out
}

fn hunk(steps: &[(Kind, &str)], from: usize, to: usize, out: &mut String) {
    let count = |range: &[(Kind, &str)], not: Kind| range.iter().filter(|(kind, _)| *kind != not).count();
    let ahead = steps.get(..from).unwrap_or_default();
    let body = steps.get(from..to).unwrap_or_default();
    let range = |not: Kind| {
        let (start, length) = (count(ahead, not), count(body, not));
        match length {
            1 => format!("{}", start + 1),
            0 => format!("{start},0"),
            _ => format!("{},{length}", start + 1),
        }
    };
    out.push_str(&format!("@@ -{} +{} @@\n", range(Kind::New), range(Kind::Gone)));
    for (kind, line) in body {
        out.push(match kind {
            Kind::Same => ' ',
            Kind::Gone => '-',
            Kind::New => '+',
        });
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// The way from one list of lines to the other over their longest common part.
fn steps<'t>(old: &'t [String], new: &'t [String]) -> Vec<(Kind, &'t str)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let a = old.get(head..old.len() - tail).unwrap_or_default();
    let b = new.get(head..new.len() - tail).unwrap_or_default();
    let mut out: Vec<(Kind, &str)> = old.iter().take(head).map(|line| (Kind::Same, line.as_str())).collect();
    let width = b.len() + 1;
    if (a.len() + 1).saturating_mul(width) > CELLS_MAX {
        out.extend(a.iter().map(|line| (Kind::Gone, line.as_str())));
        out.extend(b.iter().map(|line| (Kind::New, line.as_str())));
    } else {
        let mut table = vec![0u32; (a.len() + 1) * width];
        let cell = |table: &[u32], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or_default();
        for (i, left) in a.iter().enumerate().rev() {
            for (j, right) in b.iter().enumerate().rev() {
                let best = if left == right {
                    cell(&table, i + 1, j + 1) + 1
                } else {
                    cell(&table, i + 1, j).max(cell(&table, i, j + 1))
                };
                if let Some(slot) = table.get_mut(i * width + j) {
                    *slot = best;
                }
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < a.len() || j < b.len() {
            match (a.get(i), b.get(j)) {
                (Some(left), Some(right)) if left == right => {
                    out.push((Kind::Same, left));
                    i += 1;
                    j += 1;
                }
                (Some(left), right)
                    if right.is_none() || cell(&table, i + 1, j) >= cell(&table, i, j + 1) =>
                {
                    out.push((Kind::Gone, left));
                    i += 1;
                }
                (_, Some(right)) => {
                    out.push((Kind::New, right));
                    j += 1;
                }
                _ => break,
            }
        }
    }
    out.extend(old.iter().skip(old.len() - tail).map(|line| (Kind::Same, line.as_str())));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> Value {
        let entries =
            entries.iter().map(|(k, v)| (Value::Text((*k).to_owned()), Value::Text((*v).to_owned())));
        Value::Map(entries.collect())
    }

    #[test]
    fn diffs_look_as_those_of_ansible() {
        let diff = map(&[("before", "a\nb\nc\n"), ("after", "a\nx\nc\nd"), ("before_header", "/etc/f")]);
        assert_eq!(
            shown(&diff),
            "--- before: /etc/f\n+++ after\n@@ -1,3 +1,4 @@\n a\n-b\n+x\n c\n+d\n\\ No newline at end of file\n"
        );
        assert_eq!(shown(&map(&[("before", "a\n"), ("after", "a\n")])), "");
        assert_eq!(
            shown(&map(&[("before", ""), ("after", "n\n")])),
            "--- before\n+++ after\n@@ -0,0 +1 @@\n+n\n"
        );
    }

    #[test]
    fn changes_far_apart_are_pieces_of_their_own() {
        let old: String = (0..30).map(|n| format!("{n}\n")).collect();
        let new = old.replacen("2\n", "two\n", 1).replace("25\n", "x\n");
        let text = shown(&map(&[("before", &old), ("after", &new)]));
        assert_eq!(text.matches("@@ -").count(), 2, "{text}");
    }
}
